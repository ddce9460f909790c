package wrap_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/remote"
	"shoal/internal/remote/wrap"
	"shoal/internal/ssh"
	"shoal/internal/ssh/tcp"
	"shoal/internal/ssh/xcrypto"
	"shoal/internal/sshdtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type trusting struct{ key xssh.PublicKey }

func (h trusting) Algorithms(ssh.Target) []string { return nil }

func (h trusting) Check(_ ssh.Target, _ net.Addr, key xssh.PublicKey) error {
	if !bytes.Equal(h.key.Marshal(), key.Marshal()) {
		return errors.New("another key")
	}
	return nil
}

func (h trusting) Accepted(context.Context, ssh.Target, xssh.PublicKey) error { return nil }

type signers []xssh.Signer

func (s signers) Signers(context.Context, ssh.Target) ([]xssh.Signer, error) { return s, nil }

// far is a real server with a run directory.
type far struct {
	server *sshdtest.Server
	inner  ssh.Dialer
	dir    string
}

func newFar(t *testing.T, opts ...sshdtest.Option) *far {
	t.Helper()
	s := sshdtest.OpenSSH(t, opts...)
	inner, err := xcrypto.New(xcrypto.Options{
		HostKeys: trusting{s.HostKey}, Identities: signers{s.Signer},
		Timeouts: ssh.Timeouts{Dial: time.Minute, Kex: time.Minute, Auth: time.Minute, Session: time.Minute, Drain: time.Minute},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &far{server: s, inner: inner, dir: filepath.Join(t.TempDir(), "marks")}
}

type ending struct {
	fleet.End
	stdout, stderr string
}

// run makes one attempt at target 7.
func (f *far) run(t *testing.T, o wrap.Options, command string) ending {
	t.Helper()
	if o.Dir == "" && o.Marked() {
		o.Dir = f.dir
	}
	d, err := wrap.New(f.inner, o)
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	a := &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: fleet.Target{
		Host: f.server.Host, User: f.server.User, Port: f.server.Host.Port, Command: command, Index: 7,
	}}, Stdout: &stdout, Stderr: &stderr}
	end := attempt(t, d, a)
	if a.Line != "" || a.Stdout != &stdout || a.Stderr != &stderr || a.Target.Command != command {
		t.Errorf("the attempt is not as it was: %+v", a)
	}
	return ending{end, stdout.String(), stderr.String()}
}

func attempt(t *testing.T, d ssh.Dialer, a *ssh.Attempt) fleet.End {
	t.Helper()
	c, err := d.Dial(t.Context(), a)
	if err != nil {
		f, ok := errors.AsType[*fleet.Error](err)
		if !ok {
			t.Fatalf("Dial's error is a %T: %v", err, err)
		}
		return f.End()
	}
	defer func() { _ = c.Close() }()
	done := make(chan fleet.End, 1)
	c.Start(t.Context(), func(e fleet.End) { done <- e })
	return <-done
}

func (e ending) want(t *testing.T, o fleet.Outcome, r fleet.Reason, stdout, stderr string) {
	t.Helper()
	if e.Outcome != o || e.Reason != r || e.stdout != stdout || e.stderr != stderr {
		t.Errorf("ended %v(%s), said %q and %q; want %v(%s), %q and %q\ncause: %v",
			e.Outcome, e.Reason, e.stdout, e.stderr, o, r, stdout, stderr, e.Err)
	}
}

// A second start of a target's command runs nothing, unless a later session starts it
// deliberately.
func TestOnce(t *testing.T) {
	t.Parallel()
	f := newFar(t)
	log := filepath.Join(t.TempDir(), "log")
	command := "echo ran | tee -a " + log + "; echo err >&2; exit 3"
	once := wrap.Options{Run: "run1", Once: true}
	first := f.run(t, once, command)
	first.want(t, fleet.OutcomeFailed, fleet.ReasonNone, "ran\n", "err\n")
	if first.Status != 3 {
		t.Errorf("exit status %d, want 3", first.Status)
	}
	second := f.run(t, once, command)
	second.want(t, fleet.OutcomeUnknown, fleet.ReasonAlreadyStarted, "", "")
	if second.Err == nil || !strings.Contains(second.Err.Error(), "hint: shoal resolve") {
		t.Errorf("the error has no hint: %v", second.Err)
	}
	once.Session = 1
	f.run(t, once, command).want(t, fleet.OutcomeUnknown, fleet.ReasonAlreadyStarted, "", "")
	once.Rerun = map[int]bool{1: true} // another target
	f.run(t, once, command).want(t, fleet.OutcomeUnknown, fleet.ReasonAlreadyStarted, "", "")
	once.Session, once.Rerun = 2, map[int]bool{7: true}
	f.run(t, once, command).want(t, fleet.OutcomeFailed, fleet.ReasonNone, "ran\n", "err\n")
	if text, err := os.ReadFile(log); string(text) != "ran\nran\n" || err != nil {
		t.Errorf("it ran so often: %q, %v", text, err)
	}
}

// A run directory that others can write to is not used, and nothing runs.
func TestRefused(t *testing.T) {
	t.Parallel()
	f := newFar(t)
	open := t.TempDir()
	if err := os.Chmod(open, 0o777); err != nil { //nolint:gosec // that is what is wrong with it
		t.Fatal(err)
	}
	e := f.run(t, wrap.Options{Run: "run1", Once: true, Dir: open}, "touch "+open+"/ran")
	e.want(t, fleet.OutcomeRefused, fleet.ReasonWrapRefused, "", "")
	if _, err := os.Stat(open + "/ran"); err == nil {
		t.Error("it ran")
	}
}

// A command runs with the variables, in the directory and with the umask that were asked
// for, or not at all.
func TestPlace(t *testing.T) {
	t.Parallel()
	f := newFar(t)
	dir := t.TempDir()
	for _, o := range []wrap.Options{{}, {Run: "run1", Once: true}} {
		o.Place = &remote.Place{Env: []string{"A=it's b"}, Dir: dir, Umask: "0027"}
		f.run(t, o, `echo "$A"; pwd; umask`).want(t, fleet.OutcomeOK, fleet.ReasonNone, "it's b\n"+dir+"\n0027\n", "")
		o.Place.Dir, o.Session = dir+"/no\nsuch", 1
		e := f.run(t, o, "touch "+dir+"/ran")
		e.want(t, fleet.OutcomeNeverStarted, fleet.ReasonChdirFailed, "", "")
		if _, err := os.Stat(dir + "/ran"); err == nil || e.Err == nil || !strings.Contains(e.Err.Error(), `/no\nsuch"`) {
			t.Errorf("%v, error %v", err, e.Err)
		}
	}
}

// A refusal counts whatever comes behind it, and with whatever exit status: a forced command
// may run what was sent and go on.
func TestRefusedBelowAForcedCommand(t *testing.T) {
	t.Parallel()
	said := strings.Repeat("this session was recorded. ", 9) + "\n"
	f := newFar(t, sshdtest.WithForceCommand(`/bin/sh -c "$SSH_ORIGINAL_COMMAND"; echo "`+strings.TrimSpace(said)+` " >&2; exit 0`))
	once := wrap.Options{Run: "run1", Once: true}
	f.run(t, once, "echo ran").want(t, fleet.OutcomeOK, fleet.ReasonNone, "ran\n", said)
	f.run(t, once, "echo ran").want(t, fleet.OutcomeUnknown, fleet.ReasonAlreadyStarted, "", said)
}

func TestRemoteTimeout(t *testing.T) {
	t.Parallel()
	f := newFar(t)
	e := f.run(t, wrap.Options{Timeout: time.Second}, "echo begun; exec sleep 1000")
	e.want(t, fleet.OutcomeSignalled, fleet.ReasonRemoteTimeout, "begun\n", "")
	if e.Signal != "ALRM" || e.Flags != fleet.FlagExitKnown {
		t.Errorf("signal %q, flags %v", e.Signal, e.Flags)
	}
	f.run(t, wrap.Options{Timeout: time.Hour}, "kill -ALRM $$").want(t, fleet.OutcomeFailed, fleet.ReasonNone, "", "")
}

// A detached command outlives its connection, and its output is in its marker.
func TestDetach(t *testing.T) {
	t.Parallel()
	f := newFar(t)
	gate := filepath.Join(t.TempDir(), "gate")
	o := wrap.Options{Run: "run1", Detach: true, Dir: f.dir}
	e := f.run(t, o, "while [ ! -e "+gate+" ]; do sleep 0.1; done; echo out; echo err >&2; exit 5")
	e.want(t, fleet.OutcomeDetached, fleet.ReasonNone, "", "")
	if e.Flags != 0 || e.Err != nil {
		t.Errorf("flags %v, error %v", e.Flags, e.Err)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for r := (remote.Report{}); r.State != remote.StateEnded; {
		question, err := o.Marker(fleet.Target{Index: 7}).Collect("N0nceN0nce", remote.Offsets{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		if r, err = remote.ParseReport("N0nceN0nce", []byte(f.run(t, wrap.Options{}, question).stdout)); err != nil {
			t.Fatal(err)
		}
		if r.State == remote.StateEnded && (r.Status != 5 || string(r.Stdout.Bytes) != "out\n" || string(r.Stderr.Bytes) != "err\n") {
			t.Errorf("collected %+v", r)
		}
	}
}

// A command that does not fit into a line runs under every wrapper, and without one too.
func TestBigCommand(t *testing.T) {
	t.Parallel()
	f := newFar(t)
	log := filepath.Join(t.TempDir(), "log")
	command := "echo ran | tee -a " + log + strings.Repeat("\n# "+strings.Repeat("x", 1021), 1<<10) + "\ncat; echo err >&2; exit 3"
	runs := 0
	for name, o := range map[string]wrap.Options{
		"plain": {}, "once": {Run: "once", Once: true}, "timeout": {Timeout: time.Hour},
		"all": {Run: "all", Once: true, Killable: true, Timeout: time.Hour},
	} {
		runs++
		e := f.run(t, o, command)
		if e.want(t, fleet.OutcomeFailed, fleet.ReasonNone, "ran\n", "err\n"); e.Status != 3 {
			t.Errorf("%s: exit status %d, want 3", name, e.Status)
		}
	}
	f.run(t, wrap.Options{Run: "once", Once: true}, command).want(t, fleet.OutcomeUnknown, fleet.ReasonAlreadyStarted, "", "")
	f.run(t, wrap.Options{Run: "detach", Detach: true}, command).want(t, fleet.OutcomeDetached, fleet.ReasonNone, "", "")
	for deadline := 0; ; deadline++ { // the detached one ends by itself
		text, err := os.ReadFile(log)
		if err != nil || deadline == 3000 || len(text) > (runs+1)*len("ran\n") {
			t.Fatalf("it ran so often: %q, %v", text, err)
		}
		if len(text) == (runs+1)*len("ran\n") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// If the connection ends while a big command is on its way, nothing of it runs, and the host
// can say so.
func TestBigCommandIsCut(t *testing.T) {
	t.Parallel()
	f := newFar(t)
	f.inner = cutting{f.inner}
	log := filepath.Join(t.TempDir(), "log")
	o := wrap.Options{Run: "run1", Once: true, Dir: f.dir}
	f.run(t, o, "touch "+log+strings.Repeat("\n#", 1<<20)).want(t, fleet.OutcomeUnknown, fleet.ReasonInternal, "", "")
	f.inner = f.inner.(cutting).Dialer
	question, err := o.Marker(fleet.Target{Index: 7}).Settle("N0nceN0nce")
	if err != nil {
		t.Fatal(err)
	}
	r, err := remote.ParseReport("N0nceN0nce", []byte(f.run(t, wrap.Options{}, question).stdout))
	if err != nil || r.State != remote.StateNever {
		t.Errorf("settled as %+v, %v", r, err)
	}
	for range 3000 {
		left, _ := filepath.Glob(filepath.Join(f.dir, "*", "cmd"))
		if len(left) == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if left, _ := filepath.Glob(filepath.Join(f.dir, "*", "*")); len(left) != 1 || filepath.Base(left[0]) != "run" {
		t.Errorf("left %q", left)
	}
	if _, err := os.Stat(log); err == nil {
		t.Error("it ran")
	}
}

// cutting ends connections after 1 MiB of input.
type cutting struct{ ssh.Dialer }

func (c cutting) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	a.Input = broken{a.Input}
	return c.Dialer.Dial(ctx, a)
}

type broken struct{ ssh.Input }

func (b broken) ReadAt(p []byte, at int64) (int, error) {
	if at >= 1<<20 {
		return 0, errors.New("cut")
	}
	return b.Input.ReadAt(p, at)
}

// If the server's login file reads standard input, nothing of a big command runs.
func TestBigCommandIsEaten(t *testing.T) {
	t.Parallel()
	f := newFar(t, sshdtest.WithForceCommand(`read line; eval "$SSH_ORIGINAL_COMMAND"`))
	log := filepath.Join(t.TempDir(), "log")
	e := f.run(t, wrap.Options{Run: "run1", Once: true}, "true\n"+strings.Repeat("#\n", remote.MaxLine)+"touch "+log)
	e.want(t, fleet.OutcomeRefused, fleet.ReasonWrapRefused, "", "")
	if _, err := os.Stat(log); err == nil || !strings.Contains(e.Err.Error(), "did not arrive there completely") {
		t.Errorf("%v, error %v", err, e.Err)
	}
}

// On a connection that is kept, a further command is wrapped as the first one, unless it has
// its line already.
func TestNext(t *testing.T) {
	t.Parallel()
	f := newFar(t)
	var recorded []int // appended to before done is called
	d, err := wrap.New(f.inner, wrap.Options{Run: "run1", Killable: true, Dir: f.dir, Recorded: func(x fleet.Target) {
		recorded = append(recorded, x.Index)
	}})
	if err != nil {
		t.Fatal(err)
	}
	var c ssh.Conn
	for i, w := range []struct {
		index        int
		command      string
		line         string
		outcome      fleet.Outcome
		stdout, left string
		recorded     int
	}{
		{1, "echo one; exit 3", "", fleet.OutcomeFailed, "one\n", "run1-1", 1},
		{2, "echo two", "", fleet.OutcomeOK, "two\n", "run1-1 run1-2", 2},
		{2, "echo two", "echo bare", fleet.OutcomeOK, "bare\n", "run1-1 run1-2", 2},
		{1, "echo again", "", fleet.OutcomeUnknown, "", "run1-1 run1-2", 2},
	} {
		var stdout, stderr bytes.Buffer
		a := &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: fleet.Target{
			Host: f.server.Host, User: f.server.User, Port: f.server.Host.Port, Command: w.command, Index: w.index,
		}}, Line: w.line, Stdout: &stdout, Stderr: &stderr, Keep: true}
		done := make(chan fleet.End, 1)
		if i == 0 {
			if c, err = d.Dial(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			c.Start(t.Context(), func(e fleet.End) { done <- e })
		} else {
			c.StartNext(t.Context(), a, func(e fleet.End) { done <- e })
		}
		end := <-done
		entries, err := os.ReadDir(f.dir)
		var left []string
		for _, e := range entries {
			left = append(left, e.Name())
		}
		if err != nil || end.Outcome != w.outcome || stdout.String() != w.stdout || stderr.Len() > 0 || strings.Join(left, " ") != w.left || len(recorded) != w.recorded {
			t.Errorf("%d: %v(%s), %q, %q, %v left, %v recorded: %v, %v", i, end.Outcome, end.Reason, stdout.String(), stderr.String(), left, recorded, end.Err, err)
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// A long command is wrapped also behind one that is not.
func TestNextIsBig(t *testing.T) {
	t.Parallel()
	f := newFar(t)
	d, err := wrap.New(f.inner, wrap.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var stdout bytes.Buffer
	done := make(chan fleet.End, 1) // sent once by each done
	next := func(command string) *ssh.Attempt {
		return &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: fleet.Target{
			Host: f.server.Host, User: f.server.User, Port: f.server.Host.Port, Command: command,
		}}, Stdout: &stdout, Keep: true}
	}
	c, err := d.Dial(t.Context(), next("echo short"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	c.Start(t.Context(), func(e fleet.End) { done <- e })
	<-done
	for _, command := range []string{"echo long; : " + strings.Repeat("x ", remote.MaxLine), "echo short"} {
		c.StartNext(t.Context(), next(command), func(e fleet.End) { done <- e })
		if e := <-done; e.Outcome != fleet.OutcomeOK {
			t.Errorf("ended %v(%s): %v", e.Outcome, e.Reason, e.Err)
		}
	}
	if stdout.String() != "short\nlong\nshort\n" {
		t.Errorf("stdout %q", stdout.String())
	}
}

// If something else runs than was asked for, there is no receipt.
// faults.md: S05
func TestForcedCommand(t *testing.T) {
	t.Parallel()
	f := newFar(t, sshdtest.WithForceCommand("echo forced"))
	f.run(t, wrap.Options{Run: "run1", Detach: true}, "true").want(t, fleet.OutcomeUnknown, fleet.ReasonNoReceipt, "", "")
	f.run(t, wrap.Options{Run: "run1", Once: true}, "true").want(t, fleet.OutcomeOK, fleet.ReasonNone, "forced\n", "")
}

// A command that cannot be wrapped fails before connecting.
func TestTooLong(t *testing.T) {
	t.Parallel()
	d, err := wrap.New(nobody{}, wrap.Options{Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Dial(t.Context(), &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: fleet.Target{Command: strings.Repeat("x", remote.MaxCommand+1)}}})
	if f, ok := errors.AsType[*fleet.Error](err); !ok || f.Outcome != fleet.OutcomeNeverStarted || f.Reason != fleet.ReasonBadTarget {
		t.Errorf("error %v", err)
	}
	for _, o := range []wrap.Options{{Once: true}, {Once: true, Run: "a b"}, {Timeout: -1, Detach: true, Run: "a"}, {Killable: true, Run: "a", Dir: "b"}} {
		if _, err := wrap.New(nobody{}, o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

// nobody is a Dialer that must not be called.
type nobody struct{ ssh.Dialer }

// A script runs with its arguments and input, and leaves nothing.
func TestScript(t *testing.T) {
	t.Parallel()
	f := newFar(t)
	input := strings.Repeat("0123456\n", 100_000)
	text := "#!/bin/sh -eu\n" + strings.Repeat("# padding\n", 100_000) + "echo \"$#:$1\" \"$0\"\nwc -c; [ -e \"$0\" ]; exit 3"
	script, err := remote.NewScript([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []wrap.Options{{}, {Run: "run1", Once: true}, {Run: "run2", Killable: true, Timeout: time.Hour}} {
		o.Script, o.Input = script, strings.NewReader(input)
		e := f.run(t, o, "name 'it'\\''s'")
		shown, rest, _ := strings.Cut(e.stdout, " ")
		file, size, _ := strings.Cut(rest, "\n")
		if shown != "1:it's" || strings.TrimSpace(size) != "800000" || e.stderr != "" || e.Status != 3 || e.Outcome != fleet.OutcomeFailed {
			t.Errorf("%v(%s), %q, %q: %v", e.Outcome, e.Reason, e.stdout, e.stderr, e.Err)
		}
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%q is left: %v", file, err)
		}
	}
}

// cut is a network whose connections close when they have sent a number of bytes.
type cut struct {
	ssh.Network
	after int64
}

func (c cut) Open(ctx context.Context, a *ssh.Attempt) (net.Conn, error) {
	inner, err := c.Network.Open(ctx, a)
	return &cutConn{inner, c.after}, err
}

type cutConn struct {
	net.Conn
	left int64
}

func (c *cutConn) Write(p []byte) (int, error) {
	if c.left -= int64(len(p)); c.left < 0 {
		_ = c.Close()
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

// A script whose connection is cut before all of it was sent has not started, and nothing of it
// is left; after that, nobody knows.
func TestScriptCut(t *testing.T) {
	t.Parallel()
	f := newFar(t)
	ran := filepath.Join(t.TempDir(), "ran")
	script, err := remote.NewScript([]byte("touch " + ran + "\n" + strings.Repeat("# padding\n", 600_000) + "wc -c"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after int64
		want  fleet.Outcome
	}{
		{0, fleet.OutcomeNeverStarted},
		{3 << 20, fleet.OutcomeNeverStarted},
		{8 << 20, fleet.OutcomeUnknown},
	} {
		timeouts := ssh.Timeouts{Dial: time.Minute, Kex: time.Minute, Auth: time.Minute, Session: time.Minute, Drain: time.Minute}
		inner, err := xcrypto.New(xcrypto.Options{
			HostKeys: trusting{f.server.HostKey}, Identities: signers{f.server.Signer}, Timeouts: timeouts,
			Network: cut{tcp.Dialer{Timeouts: timeouts}, c.after},
		})
		if err != nil {
			t.Fatal(err)
		}
		far := far{f.server, inner, filepath.Join(t.TempDir(), "marks")}
		o := wrap.Options{Run: "run1", Once: true, Script: script, Input: bytes.NewReader(make([]byte, 16<<20))}
		if e := far.run(t, o, "name"); e.Outcome != c.want || e.Err == nil {
			t.Errorf("cut after %d bytes: %v(%s), %v", c.after, e.Outcome, e.Reason, e.Err)
		}
		if c.want == fleet.OutcomeUnknown {
			continue
		}
		for left := 1; left > 0; time.Sleep(10 * time.Millisecond) {
			entries, _ := os.ReadDir(far.dir)
			left = len(entries)
		}
		if _, err := os.Stat(ran); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("cut after %d bytes: it ran, %v", c.after, err)
		}
	}
}

// Forced commands that run what was sent may join both streams, as script(1) does: what the
// wrapper says counts there too.
func TestJoinedStreams(t *testing.T) {
	t.Parallel()
	f := newFar(t, sshdtest.WithForceCommand(`/bin/sh -c "$SSH_ORIGINAL_COMMAND" 2>&1`))
	script, err := remote.NewScript([]byte("echo out; echo err >&2; exit 3"))
	if err != nil {
		t.Fatal(err)
	}
	f.run(t, wrap.Options{Script: script}, "name").want(t, fleet.OutcomeFailed, fleet.ReasonNone, "out\nerr\n", "")
	for _, o := range []wrap.Options{{Run: "run1", Once: true}, {Run: "run2", Once: true, Script: script}, {Run: "run3", Detach: true}} {
		if e := f.run(t, o, "echo out"); !e.Outcome.Ran() && e.Outcome != fleet.OutcomeDetached {
			t.Errorf("%+v: %v(%s): %v", o, e.Outcome, e.Reason, e.Err)
		}
		if e := f.run(t, o, "echo out"); e.Outcome != fleet.OutcomeUnknown || e.Reason != fleet.ReasonAlreadyStarted {
			t.Errorf("%+v, again: %v(%s), %q: %v", o, e.Outcome, e.Reason, e.stdout, e.Err)
		}
	}
}

// Where neither stream comes, nobody knows whether a script ran; one of them is enough.
func TestScriptUnseen(t *testing.T) {
	t.Parallel()
	for drops, c := range map[string]struct {
		outcome        fleet.Outcome
		reason         fleet.Reason
		stdout, stderr string
	}{
		"2>/dev/null":      {fleet.OutcomeOK, fleet.ReasonNone, "out\n", ""},
		">/dev/null":       {fleet.OutcomeOK, fleet.ReasonNone, "", "err\n"},
		">/dev/null 2>&1":  {fleet.OutcomeUnknown, fleet.ReasonNoReceipt, "", ""},
		"| sed s/shoal//g": {fleet.OutcomeOK, fleet.ReasonNone, "", "err\n"},
	} {
		f := newFar(t, sshdtest.WithForceCommand(`/bin/sh -c "$SSH_ORIGINAL_COMMAND" `+drops))
		script, err := remote.NewScript([]byte("echo out; echo err >&2"))
		if err != nil {
			t.Fatal(err)
		}
		e := f.run(t, wrap.Options{Script: script}, "name")
		if strings.Contains(drops, "sed") { // a line that is changed is not ours
			e.stdout = ""
		}
		e.want(t, c.outcome, c.reason, c.stdout, c.stderr)
	}
}

// What login scripts write before a script is not its output, on either stream, and the result says that there was some.
func TestScriptOfANoisyLogin(t *testing.T) {
	t.Parallel()
	script, err := remote.NewScript([]byte("echo out; echo err >&2; exit 3"))
	if err != nil {
		t.Fatal(err)
	}
	for _, joins := range []string{"", " 2>&1"} {
		for noise, noisy := range map[string]bool{"": false, "echo; ": false, "echo Welcome; ": true, "echo warning >&2; ": true, "head -c 60000 /dev/zero | tr '\\0' x; ": true} {
			f := newFar(t, sshdtest.WithForceCommand(`{ `+noise+`/bin/sh -c "$SSH_ORIGINAL_COMMAND"; }`+joins))
			for _, o := range []wrap.Options{{Script: script}, {Script: script, Run: "once", Once: true}} {
				e := f.run(t, o, "name")
				stdout, stderr := "out\n", "err\n"
				if joins != "" {
					stdout, stderr = "out\nerr\n", ""
				}
				e.want(t, fleet.OutcomeFailed, fleet.ReasonNone, stdout, stderr)
				if e.Flags.Has(fleet.FlagNoisyLogin) != noisy {
					t.Errorf("%q%s: flags %v", noise, joins, e.Flags)
				}
			}
		}
	}
	// More than that is passed on.
	f := newFar(t, sshdtest.WithForceCommand(`{ head -c 200000 /dev/zero | tr '\0' x; /bin/sh -c "$SSH_ORIGINAL_COMMAND"; }`))
	f.run(t, wrap.Options{Script: script}, "name").want(t, fleet.OutcomeFailed, fleet.ReasonNone, strings.Repeat("x", 200_000)+"out\n", "err\n")
}

// What ends before it has read a script was not the script. Of a short one, which is sent
// before anybody answers, that cannot be told.
func TestScriptUnread(t *testing.T) {
	t.Parallel()
	f := newFar(t, sshdtest.WithConfig("ForceCommand echo forced"))
	for _, c := range []struct {
		lines   int
		outcome fleet.Outcome
		reason  fleet.Reason
	}{{1, fleet.OutcomeUnknown, fleet.ReasonNoReceipt}, {1_000_000, fleet.OutcomeRefused, fleet.ReasonWrapRefused}} {
		script, err := remote.NewScript(bytes.Repeat([]byte("# padding\n"), c.lines))
		if err != nil {
			t.Fatal(err)
		}
		f.run(t, wrap.Options{Script: script}, "name").want(t, c.outcome, c.reason, "forced\n", "")
	}
}
