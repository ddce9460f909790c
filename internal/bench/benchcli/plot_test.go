package benchcli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shoal/internal/bench/report/reporttest"
	"shoal/internal/cli/console"
	"shoal/internal/ui"
)

// plot runs shoal-bench plot in a temporary directory with a.jsonl and b.jsonl,
// of the same experiment, and other.jsonl, of another one.
func plot(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	a, b, other := reporttest.Default(10, 50), reporttest.Default(100, 200), reporttest.Default(10, 50)
	b.Header.Started = b.Header.Started.Add(time.Hour)
	other.Header.Started = other.Header.Started.Add(2 * time.Hour)
	other.Header.Settings.Command = "uptime"
	for name, e := range map[string]reporttest.Experiment{"a.jsonl": a, "b.jsonl": b, "other.jsonl": other} {
		if err := os.WriteFile(filepath.Join(dir, name), e.Record(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out, errs bytes.Buffer
	code = Main(context.Background(), append([]string{"plot"}, args...), console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
	return code, out.String(), errs.String()
}

func TestPlotPrintsTables(t *testing.T) {
	code, stdout, stderr := plot(t, "a.jsonl", "b.jsonl")
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d, %q", code, stderr)
	}
	for _, want := range []string{"Execution time (median)", "10 to 200", "one host takes", "= 10 round trips × 12.0 ms"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the tables do not say %q", want)
		}
	}
	for line := range strings.Lines(stdout) {
		if w := ui.Width(strings.TrimSuffix(line, "\n")); w > 80 {
			t.Errorf("%d columns: %q", w, line)
		}
	}
}

func TestPlotMarkdown(t *testing.T) {
	code, stdout, stderr := plot(t, "a.jsonl", "--markdown", "--to", "50000")
	if code != 0 || stderr != "" || !strings.HasPrefix(stdout, "### What was measured\n") || !strings.Contains(stdout, "\n| 50,000 | projected | ~") {
		t.Errorf("exit code %d, %q, %q", code, stderr, stdout)
	}
}

func TestPlotWritesFiles(t *testing.T) {
	code, stdout, stderr := plot(t, "a.jsonl", "--png", "c.png", "--svg", "c.svg", "--html", "c.html", "--dark")
	if code != 0 || stdout != "" || stderr != "" {
		t.Fatalf("exit code %d, %q, %q", code, stdout, stderr)
	}
	for name, want := range map[string]string{"c.png": "\x89PNG\r\n\x1a\n", "c.svg": "<?xml", "c.html": "<!DOCTYPE html>"} {
		content, err := os.ReadFile(name)
		if err != nil || !bytes.HasPrefix(content, []byte(want)) {
			t.Errorf("%s begins with %q, error %v", name, content[:min(len(content), 16)], err)
		}
	}
}

func TestPlotRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"nothing":         {nil, "takes FILE..., and was given nothing"},
		"no file":         {[]string{"none.jsonl"}, "opening a bench record"},
		"another command": {[]string{"a.jsonl", "other.jsonl"}, `command: "echo hello world {index}" in a.jsonl, "uptime" in other.jsonl` + "\nhint: plot them one by one"},
		"twice":           {[]string{"a.jsonl", "a.jsonl"}, "are the same bench\nhint: give each record once"},
		"a bad size":      {[]string{"a.jsonl", "--to", "0"}, "--to 0 is not between"},
		"a bad chart":     {[]string{"a.jsonl", "--chart", "pie"}, `"pie" is not one of measured, projected, phases, resources`},
		"itself":          {[]string{"a.jsonl", "--png", "./a.jsonl"}, "is the record itself"},
		"no directory":    {[]string{"a.jsonl", "--svg", "no/where.svg"}, "writing a chart"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := plot(t, c.args...)
			if code != console.ExitUsage || stdout != "" || !strings.Contains(stderr, c.want) {
				t.Errorf("exit code %d, %q, want %q in %q", code, stdout, c.want, stderr)
			}
		})
	}
}
