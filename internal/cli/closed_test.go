package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/internal/cli"
	"shoal/internal/cli/console"
	"shoal/simfleet"
)

// Where the reader of the output has gone, as head(1) does, nothing more is started, and
// standard error and the journal say why.
func TestOutputClosed(t *testing.T) {
	f, err := simfleet.Start(t.Context(), simfleet.Options{Hosts: 9})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	dir := t.TempDir()
	if err := writeFleet(f, dir); err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	// closed runs shoal with a standard output that nobody reads.
	closed := func(args ...string) (code int, stderr string) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = w.Close() }()
		_ = r.Close()
		var errs bytes.Buffer
		code = cli.Main(t.Context(), args, console.Stdio{In: strings.NewReader(""), Out: w, Err: &errs})
		return code, errs.String()
	}
	code, stderr := closed("run", "--no-agent", "--known-hosts", in("kh"), "--identity", in("key"), "--state-dir", dir,
		"--hostfile", in("hosts"), "-f", "1", "--repeat", "20", "-L", "echo x")
	if code != console.ExitUnknown || strings.Count(stderr, "nobody reads the output any more: no further command") != 1 ||
		!strings.Contains(stderr, " cancelled (output_closed: ") || strings.Contains(stderr, "broken pipe") {
		t.Errorf("run: exit code %d\n%s", code, stderr)
	}
	if code, stderr := closed("show", "--state-dir", dir, "last"); code != console.ExitUnknown ||
		!strings.Contains(stderr, "\nshoal: nobody reads the output any more\n") {
		t.Errorf("show: exit code %d\n%s", code, stderr)
	}
	var out, errs bytes.Buffer
	if code := cli.Main(t.Context(), []string{"show", "--state-dir", dir, "--json", "last"},
		console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs}); code != console.ExitOK {
		t.Errorf("show --json: exit code %d\n%s", code, &errs)
	}
	if !strings.Contains(out.String(), `"reason":"output_closed"`) || strings.Contains(out.String(), `"reason":"interrupted"`) {
		t.Errorf("the journal has\n%.2000s", &out)
	}
}
