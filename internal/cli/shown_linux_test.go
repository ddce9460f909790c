package cli_test

import (
	"strings"
	"testing"
)

// What reads our output writes to the same terminal, over a progress line.
func TestNoProgressLineBesideAPipe(t *testing.T) {
	_, dir, shoal := paneFleet(t)
	p := openPane(t, dir, shoal+"-f 20 'sleep 0.5; echo x' | cat")
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
	<-p.read
	if text := p.text(); strings.Contains(text, "\x1b[K") || strings.Count(text, ": x\r\n") != 20 || !strings.Contains(text, "20 ok") {
		t.Errorf("%q", text)
	}
}

// On a terminal the output of hosts with short and long names begins in one column.
func TestAlignedOnTerminals(t *testing.T) {
	_, dir, shoal := paneFleet(t)
	p := openPane(t, dir, "NO_COLOR=1 "+shoal+"-f 20 -P=never 'echo x'") //nolint:misspell // the name is not ours
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
	<-p.read
	if text := p.text(); strings.Count(text, ":  x\r\n") != 9 || strings.Count(text, ": x\r\n") != 11 {
		t.Errorf("%q", text)
	}
}

// What is said before a run is broken between words on terminals too.
func TestComplaintsAreWrapped(t *testing.T) {
	p := openPane(t, t.TempDir(), "stty cols 40; shoal run --limit web --config-hosts -F none true")
	_ = p.cmd.Wait() // the exit code says that it was refused
	<-p.read
	lines := strings.Split(strings.TrimSpace(p.text()), "\r\n")
	for _, line := range lines {
		if len(line) > 40 {
			t.Errorf("%d columns: %q", len(line), line)
		}
	}
	if len(lines) < 2 || !strings.HasPrefix(lines[0], "shoal: ") || !strings.HasPrefix(lines[1], "  ") {
		t.Errorf("%q", lines)
	}
}
