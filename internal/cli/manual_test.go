package cli

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"shoal/internal/cli/console"
	"shoal/internal/cli/manual"
	"shoal/internal/needs"
)

// The manual has a page for each command, with its flags, and troff finds no fault with it.
func TestManual(t *testing.T) {
	t.Parallel()
	pages := manual.Pages(newRoot(console.Stdio{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}))
	dir := t.TempDir()
	var files []string
	for name, text := range pages {
		for _, want := range []string{".SH NAME\n", ".SH SYNOPSIS\n", ".SH DESCRIPTION\n", ".SH EXIT STATUS\n", ".SH FILES\n", ".SH ENVIRONMENT\n", ".SH SEE ALSO\n"} {
			if !strings.Contains(strings.ReplaceAll(text, `"`, ""), want) {
				t.Errorf("%s: no %q", name, want)
			}
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Hidden {
			return
		}
		name := strings.ReplaceAll(c.CommandPath(), " ", "-") + ".1"
		if _, ok := pages[name]; !ok && c.IsAvailableCommand() {
			t.Errorf("%s: no page", c.CommandPath())
		}
		for _, below := range c.Commands() {
			walk(below)
		}
	}
	walk(newRoot(console.Stdio{}))
	if !strings.Contains(pages["shoal-run.1"], `.B "\-w, \-\-hosts EXPR"`) || !strings.Contains(pages["shoal-run.1"], `.SS "Connection"`) {
		t.Errorf("shoal-run.1 lacks --hosts or its groups:\n%.3000s", pages["shoal-run.1"])
	}
	groff := needs.Program(t, "/usr/bin/groff")
	out, err := exec.CommandContext(t.Context(), groff, append([]string{"-man", "-Tutf8", "-ww", "-z"}, files...)...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("groff: %v\n%.4000s", err, out)
	}
}
