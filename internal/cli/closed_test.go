package cli_test

import (
	"bytes"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"shoal/internal/cli"
	"shoal/internal/cli/console"
	"shoal/simfleet"
)

// Where the reader of the output has gone, as head(1) does, nothing more is started, and
// standard error and the journal say why.
// faults.md: R12
func TestOutputClosed(t *testing.T) {
	_, dir := startFleet(t, simfleet.Options{Hosts: 9})
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

// Where standard error has no reader, signals make collect let go of the run before it waits to
// say where markers stay.
func TestCollectIsEndedBySignals(t *testing.T) {
	ours := make(chan os.Signal, 1)
	signal.Notify(ours, syscall.SIGTERM)
	defer signal.Stop(ours)
	f := newFarSide(t)
	code, stdout, stderr := f.shoal(t, "run", "-w", f.host(), "--run-dir", f.marks, "--detach", "echo collected")
	expect(t, "run", 0, code, stdout, stderr, "1 detached")
	errs := &unread{release: make(chan struct{})}
	ended := make(chan int)
	go func() {
		ended <- cli.Main(t.Context(), []string{
			"collect", "-F", "none", "--no-agent", "--state-dir", f.state, "--known-hosts", f.server.KnownHosts, "--identity", f.server.KeyFile, "--wait", "--keep", "last",
		}, console.Stdio{In: strings.NewReader(""), Out: io.Discard, Err: errs})
	}()
	history := func() string {
		var out strings.Builder
		cli.Main(t.Context(), []string{"history", "--state-dir", f.state, "--json"}, console.Stdio{In: strings.NewReader(""), Out: &out, Err: io.Discard})
		return out.String()
	}
	for !strings.Contains(history(), `"outcomes":{"ok":1}`) {
		time.Sleep(10 * time.Millisecond)
	}
	for tries := 0; !strings.Contains(history(), `"state":"ended"`); tries++ {
		if tries == 200 {
			t.Errorf("after 200 signals the run is still locked: %s", history())
			break
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		<-ours
		time.Sleep(20 * time.Millisecond) // signals closer together may be merged
	}
	close(errs.release)
	<-ended
}
