package cli

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"shoal/internal/cli/console"
)

// The help of every command fits a terminal of 80 columns and names no Go type.
func TestHelpFits(t *testing.T) {
	seen := 0
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, below := range c.Commands() {
			walk(below)
		}
		if c.Hidden {
			return
		}
		seen++
		var out bytes.Buffer
		args := append(strings.Fields(c.CommandPath())[1:], "--help")
		if code := Main(context.Background(), args, console.Stdio{In: strings.NewReader(""), Out: &out, Err: &out}); code != 0 {
			t.Errorf("%q: exit code %d", args, code)
		}
		for line := range strings.Lines(out.String()) {
			line = strings.TrimSuffix(line, "\n")
			if n := utf8.RuneCountInString(line); n > 80 {
				t.Errorf("%q: %d columns: %q", args, n, line)
			}
			for _, kind := range []string{" int ", " uint16 ", " duration ", " string ", " size "} {
				if strings.HasPrefix(strings.TrimSpace(line), "-") && strings.Contains(line[:min(28, len(line))], kind) {
					t.Errorf("%q: a value is called%s: %q", args, kind, line)
				}
			}
		}
	}
	walk(newRoot(console.Stdio{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}))
	if seen < 23 {
		t.Errorf("%d commands", seen)
	}
}

func TestCommonCommandsAreFirst(t *testing.T) {
	var out bytes.Buffer
	Main(context.Background(), []string{"--help"}, console.Stdio{In: strings.NewReader(""), Out: &out, Err: &out})
	_, list, _ := strings.Cut(out.String(), "\nRunning commands:\n")
	if !strings.HasPrefix(list, "  run  ") {
		t.Errorf("run is not the first command:\n%s", out.String())
	}
}
