package cli_test

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"shoal/internal/cli"
	"shoal/internal/cli/console"
	"shoal/internal/sshdtest"
	"shoal/simfleet"
)

// -v tells of a real server and of the jump host before it.
func TestVerboseThroughAJumpHost(t *testing.T) {
	target := sshdtest.OpenSSH(t)
	jump := sshdtest.OpenSSH(t, sshdtest.WithAuthorized(target.Signer.PublicKey()))
	address := func(s *sshdtest.Server) string { return fmt.Sprintf("%s@%s:%d", s.User, s.Host.Name, s.Host.Port) }
	var out, errs strings.Builder
	code := cli.Main(t.Context(), []string{
		"run", "-v", "-F", "none", "--no-agent", "--known-hosts", target.KnownHosts, "--known-hosts", jump.KnownHosts,
		"--identity", target.KeyFile, "-J", address(jump), "-w", address(target), "--no-journal", "echo there",
	}, console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
	expect(t, "run", 0, code, out.String(), errs.String(), ": there\n")
	host, bastion := regexp.QuoteMeta(address(target)), `\S+ -v: as a jump host: `
	for _, line := range []string{
		host + ` -v: ` + host + `, through ` + regexp.QuoteMeta(address(jump)),
		bastion + `connected to \S+:\d+`,
		bastion + `host key ssh-ed25519 SHA256:\S+: known, ".*", line 1`,
		bastion + `user ".*" is let in with ssh-ed25519 SHA256:\S+`,
		host + ` -v: connected through the jump host \S+`,
		host + ` -v: server "SSH-2\.0-OpenSSH_.*"`,
		host + ` -v: user ".*" is let in with ssh-ed25519 SHA256:\S+`,
		host + ` -v: attempt 1: ok, exit status 0; .* auth .*`,
	} {
		if found := regexp.MustCompile("(?m)^"+line+"$").FindAllString(errs.String(), -1); len(found) != 1 {
			t.Errorf("%d lines are like %s", len(found), line)
		}
	}
	if t.Failed() {
		t.Log(errs.String())
	}
}

// -v says why the other client is used: what the server lacks at the first contact, and the
// host cache later.
func TestVerboseFallback(t *testing.T) {
	f := newFarSide(t, sshdtest.WithKex("diffie-hellman-group14-sha256"))
	for i, line := range []string{
		`: connecting anew, with golang\.org/x/crypto/ssh: no_common_algorithm in kex: .*`,
		`: client: golang\.org/x/crypto/ssh, because the host cache says that it shares no algorithm with shoal's own`,
	} {
		code, stdout, stderr := f.shoal(t, "run", "-v", "-w", f.host(), "echo there")
		expect(t, "run", 0, code, stdout, stderr, ": there\n", "-v: connecting with golang.org/x/crypto/ssh\n",
			"-v: key exchange diffie-hellman-group14-sha256, host key ssh-ed25519, cipher ")
		if !regexp.MustCompile(`(?m) -v` + line + `$`).MatchString(stderr) {
			t.Errorf("run %d: no line is like %s\n%s", i, line, stderr)
		}
	}
}

// While -v waits for a reader of standard error, before a run begins, no signal is caught: it
// ends the program.
func TestVerboseCatchesNoSignal(t *testing.T) {
	ours := make(chan os.Signal, 1)
	signal.Notify(ours, syscall.SIGTERM)
	defer signal.Stop(ours)
	_, dir := startFleet(t, simfleet.Options{Hosts: 1})
	errs := &unread{release: make(chan struct{})}
	code := make(chan int)
	go func() {
		in := func(name string) string { return filepath.Join(dir, name) }
		code <- cli.Main(t.Context(), []string{
			"run", "-v", "--no-agent", "--known-hosts", in("kh"), "--identity", in("key"), "--state-dir", dir, "--hostfile", in("hosts"), "true",
		}, console.Stdio{In: strings.NewReader(""), Out: io.Discard, Err: errs})
	}()
	for begun := ""; begun == ""; {
		time.Sleep(10 * time.Millisecond)
		var out strings.Builder
		cli.Main(t.Context(), []string{"history", "--state-dir", dir, "--json"}, console.Stdio{In: strings.NewReader(""), Out: &out, Err: io.Discard})
		begun = out.String()
	}
	for range 10 {
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		<-ours
		time.Sleep(time.Millisecond) // another that catches it may come a little later
	}
	close(errs.release)
	if got := <-code; got != console.ExitOK {
		t.Errorf("exit code %d: the run caught a signal\n%s", got, &errs.text)
	}
}

// An unread is a writer that blocks until it is released.
type unread struct {
	release chan struct{}
	mu      sync.Mutex
	text    strings.Builder
}

func (u *unread) Write(p []byte) (int, error) {
	<-u.release
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.text.Write(p)
}
