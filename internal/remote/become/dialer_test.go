package become_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/needs"
	"shoal/internal/remote"
	"shoal/internal/remote/become"
	"shoal/internal/ssh"
	"shoal/internal/ssh/auth"
	"shoal/internal/ssh/client"
	"shoal/internal/sshdtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// trusting knows one key, and lets passwords be sent to it.
type trusting struct{ key xssh.PublicKey }

func (h trusting) Algorithms(ssh.Target) []string { return nil }

func (h trusting) Check(_ ssh.Target, _ net.Addr, key xssh.PublicKey) error {
	if !bytes.Equal(h.key.Marshal(), key.Marshal()) {
		return errors.New("another key")
	}
	return nil
}

func (h trusting) Accepted(context.Context, ssh.Target, xssh.PublicKey) error      { return nil }
func (h trusting) AllowPassword(context.Context, ssh.Target, xssh.PublicKey) error { return nil }

type signers []xssh.Signer

func (s signers) Signers(context.Context, ssh.Target) ([]xssh.Signer, error) { return s, nil }

// far is a real server with users.
type far struct {
	server *sshdtest.Server
	inner  ssh.Dialer
	pty    bool // commands get a terminal
}

func newFar(t *testing.T, u sshdtest.Users, config ...string) *far {
	t.Helper()
	s := sshdtest.OpenSSH(t, sshdtest.WithUsers(t, u), sshdtest.WithConfig(config...))
	inner, err := client.New(client.Options{
		HostKeys: trusting{s.HostKey}, Identities: signers{s.Signer},
		Timeouts: ssh.Timeouts{Dial: time.Minute, Kex: time.Minute, Auth: time.Minute, Session: time.Minute, Drain: time.Minute},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = inner.Close() })
	return &far{server: s, inner: inner}
}

type ending struct {
	fleet.End
	stdout, stderr, before string
}

// run makes one attempt as Worker.
func (f *far) run(t *testing.T, o become.Options, command, input string) ending {
	t.Helper()
	d, err := become.New(f.inner, o)
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	host := f.server.Host
	host.User = sshdtest.Worker
	a := &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: fleet.Target{
		Host: host, User: sshdtest.Worker, Port: host.Port, Command: command, Index: 7,
	}}, Stdout: &stdout, Stderr: &stderr}
	if input != "" {
		a.Input = strings.NewReader(input)
	}
	if f.pty {
		a.PTY = new(ssh.PTY)
	}
	end := attempt(t, d, a)
	end.Outcome = a.Execution.Check(end.Outcome)
	e := ending{end, stdout.String(), stderr.String(), ""}
	if a.BecomeOutput != nil {
		e.before = *a.BecomeOutput
	}
	return e
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

func password(t *testing.T, text string) ssh.Passwords {
	t.Helper()
	p, err := auth.NewBecomePasswords(func(context.Context) ([]byte, error) { return []byte(text), nil }, true, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const who = "id -un; echo err >&2; cat; pwd; exit 3"

// sudo without a password.
func TestNoPassword(t *testing.T) {
	t.Parallel()
	needs.Program(t, "sudo")
	for name, sudoers := range map[string]string{"plain": "", "use_pty": "Defaults use_pty\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFar(t, sshdtest.Users{Sudoers: sudoers + "worker ALL=(ALL:ALL) NOPASSWD: ALL\n"})
			for _, p := range []ssh.Passwords{nil, password(t, "not asked for")} {
				f.run(t, become.Options{User: "other", Passwords: p}, who, "").want(t, fleet.OutcomeFailed, "", "other\n/home/other\n", "err\n")
				f.run(t, become.Options{User: "other", Passwords: p}, who, "a\x00b").want(t, fleet.OutcomeFailed, "", "other\na\x00b/home/other\n", "err\n")
				f.run(t, become.Options{User: "daemon2", Passwords: p}, "id -un; pwd", "").want(t, fleet.OutcomeOK, "", "daemon2\n/\n", "")
			}
			f.run(t, become.Options{}, "id -un; pwd; echo $HOME $SHELL 'it'\"'s!\"", "").want(t, fleet.OutcomeOK, "", "root\n/root\n/root /bin/sh it's!\n", "")
			f.run(t, become.Options{User: "nobody7"}, "id", "").want(t, fleet.OutcomeNeverStarted, fleet.ReasonBecomeNoUser, "", "")
		})
	}
}

func TestPassword(t *testing.T) {
	t.Parallel()
	needs.Program(t, "sudo")
	const all = "worker ALL=(ALL:ALL) ALL\n"
	for name, sudoers := range map[string]string{
		"plain": "", "use_pty": "Defaults use_pty\n", "insults": "Defaults insults\n", "lecture": "Defaults lecture=always\n",
		"tries": "Defaults passwd_tries=1\n", "prompt": "Defaults !passprompt_override\n", "feedback": "Defaults pwfeedback\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFar(t, sshdtest.Users{Sudoers: sudoers + all})
			f.run(t, become.Options{User: "other"}, who, "input").want(t, fleet.OutcomeNeverStarted, fleet.ReasonBecomePasswordNeeded, "", "")
			right := password(t, sshdtest.WorkerPassword)
			big := strings.Repeat("input\n", 50_000)
			f.run(t, become.Options{User: "other", Passwords: right}, who, big).want(t, fleet.OutcomeFailed, "", "other\n"+big+"/home/other\n", "err\n")
			e := f.run(t, become.Options{User: "other", Passwords: right}, who, "")
			e.want(t, fleet.OutcomeFailed, "", "other\n/home/other\n", "err\n")
			if got := strings.Contains(e.before, "lecture"); got != (name == "lecture") || strings.Contains(e.before, sshdtest.WorkerPassword) {
				t.Errorf("before the command came %q", e.before)
			}
			wrong := fleet.ReasonBecomePasswordWrong
			if name == "tries" {
				wrong = fleet.ReasonBecomeNotAllowed
			}
			bad := password(t, "another secret")
			e = f.run(t, become.Options{User: "other", Passwords: bad}, "cat", big)
			e.want(t, fleet.OutcomeNeverStarted, wrong, "", "")
			if e.Err == nil || strings.Contains(e.Err.Error(), "another secret") {
				t.Errorf("the error is %v", e.Err)
			}
			f.run(t, become.Options{User: "other", Passwords: bad}, "cat", "").want(t, fleet.OutcomeNeverStarted, fleet.ReasonBecomePasswordNeeded, "", "")
		})
	}
}

// A PAM stack that asks for something else after the password gets one answer, and the command is not started.
func TestPAMAsksTwice(t *testing.T) {
	t.Parallel()
	needs.Program(t, "sudo")
	for _, sudoers := range []string{"", "Defaults passprompt_override\n"} {
		f := newFar(t, sshdtest.Users{
			Sudoers: sudoers + "worker ALL=(ALL:ALL) ALL\n",
			PAM:     map[string]string{"sudo": "auth required pam_unix.so\nauth required pam_stress.so\naccount required pam_permit.so\nsession required pam_permit.so\n"},
		})
		e := f.run(t, become.Options{User: "other", Passwords: password(t, sshdtest.WorkerPassword)}, "cat", "input\n"+sshdtest.WorkerPassword+"\n")
		if e.Outcome != fleet.OutcomeNeverStarted || e.Reason != fleet.ReasonBecomePrompt && e.Reason != fleet.ReasonBecomePasswordWrong || e.stdout != "" || e.stderr != "" {
			t.Errorf("%q: %v(%s), %q, %q: %v", sudoers, e.Outcome, e.Reason, e.stdout, e.stderr, e.Err)
		}
		t.Log(e.Reason, e.before)
	}
}

func TestNotAllowed(t *testing.T) {
	t.Parallel()
	needs.Program(t, "sudo")
	f := newFar(t, sshdtest.Users{Sudoers: "root ALL=(ALL) ALL\n"})
	e := f.run(t, become.Options{Passwords: password(t, sshdtest.WorkerPassword)}, "id", "")
	e.want(t, fleet.OutcomeNeverStarted, fleet.ReasonBecomeNotAllowed, "", "")
	f.run(t, become.Options{}, "id", "").want(t, fleet.OutcomeNeverStarted, fleet.ReasonBecomePasswordNeeded, "", "")
	t.Log(e.Err)
}

// sudo that wants a terminal says so by being given one.
func TestRequireTTY(t *testing.T) {
	t.Parallel()
	needs.Program(t, "sudo")
	for _, rule := range []string{"NOPASSWD: ALL", "ALL"} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			f := newFar(t, sshdtest.Users{Sudoers: "Defaults requiretty\nworker ALL=(ALL:ALL) " + rule + "\n"})
			bare := fleet.ReasonBecomeNeedsTTY
			if rule == "ALL" {
				bare = fleet.ReasonBecomePasswordNeeded
			}
			f.run(t, become.Options{}, "id -un", "").want(t, fleet.OutcomeNeverStarted, bare, "", "")
			o := become.Options{Passwords: password(t, sshdtest.WorkerPassword)}
			f.run(t, o, "id -un", "input").want(t, fleet.OutcomeNeverStarted, fleet.ReasonBecomeNeedsTTY, "", "")
			f.pty = true
			f.run(t, o, "id -un; stty -a | grep -o ' -echo '", "").want(t, fleet.OutcomeOK, "", "root\r\n -echo \r\n", "")
		})
	}
}

// What uses a terminal of its own.
func TestTerminal(t *testing.T) {
	t.Parallel()
	for _, m := range []remote.Method{remote.Doas, remote.Su} {
		needs.Program(t, string(m))
		t.Run(string(m), func(t *testing.T) {
			t.Parallel()
			f := newFar(t, sshdtest.Users{})
			secret := map[remote.Method]string{remote.Doas: sshdtest.WorkerPassword, remote.Su: sshdtest.OtherPassword}[m]
			o := become.Options{Method: m, User: "other"}
			f.run(t, o, "id -un", "").want(t, fleet.OutcomeNeverStarted, fleet.ReasonBecomePasswordNeeded, "", "")
			f.run(t, o, "id -un", "input").want(t, fleet.OutcomeNeverStarted, fleet.ReasonBecomePasswordNeeded, "", "")
			o.Passwords = password(t, secret)
			e := f.run(t, o, "id -un; echo err >&2; cat; printf 'a\\tb'; exit 3", "")
			e.want(t, fleet.OutcomeFailed, "", "other\nerr\na\tb", "")
			if !e.Flags.Has(fleet.FlagPTY) {
				t.Errorf("flags %v", e.Flags)
			}
			f.run(t, o, "cat", "input").want(t, fleet.OutcomeNeverStarted, fleet.ReasonBecomeNeedsTTY, "", "")
			f.pty = true
			f.run(t, o, "id -un; stty -a | grep -o ' -echo '", "").want(t, fleet.OutcomeOK, "", "other\r\n -echo \r\n", "")
			f.pty = false
			o.Passwords = password(t, "another secret")
			e = f.run(t, o, "id -un", "")
			e.want(t, fleet.OutcomeNeverStarted, fleet.ReasonBecomePasswordWrong, "", "")
			if e.Err == nil || strings.Contains(e.Err.Error(), "another secret") {
				t.Errorf("the error is %v", e.Err)
			}
		})
	}
}

// Where a forced command joins or drops the standard error, nothing on it says that the command
// was started. It was, and is not tried once more with a password.
func TestJoinedOutputs(t *testing.T) {
	t.Parallel()
	needs.Program(t, "sudo")
	for joins, says := range map[string]string{"2>&1": "other\n", "2>/dev/null": "other\n", ">/dev/null 2>&1": ""} {
		t.Run(joins, func(t *testing.T) {
			t.Parallel()
			f := newFar(t, sshdtest.Users{Sudoers: "worker ALL=(ALL:ALL) NOPASSWD: ALL\n"}, `ForceCommand eval "$SSH_ORIGINAL_COMMAND" `+joins)
			for _, p := range []ssh.Passwords{nil, password(t, "not asked for")} {
				e := f.run(t, become.Options{User: "other", Passwords: p}, "id -un", "")
				if e.Outcome != fleet.OutcomeUnknown || e.Reason != fleet.ReasonBecomeUnproven || !strings.Contains(e.stdout, says) {
					t.Errorf("ended %v(%s), said %q: %v", e.Outcome, e.Reason, e.stdout, e.Err)
				}
			}
		})
	}
}

// counting counts the commands that are sent, and keeps notes.
type counting struct {
	ssh.Dialer
	sent  int // commands; their dones order the accesses
	notes map[string]bool
}

func (c *counting) Noted(_ ssh.Target, word string) bool { return c.notes[word] }

func (c *counting) Note(_ ssh.Target, word string, keep bool) {
	if delete(c.notes, word); keep {
		c.notes[word] = true
	}
}

func (c *counting) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	conn, err := c.Dialer.Dial(ctx, a)
	if err != nil {
		return nil, err
	}
	c.sent++
	return countingConn{conn, c}, nil
}

type countingConn struct {
	ssh.Conn
	dialer *counting
}

func (c countingConn) StartNext(ctx context.Context, a *ssh.Attempt, done func(fleet.End)) {
	c.dialer.sent++
	c.Conn.StartNext(ctx, a, done)
}

// Where no password is needed a command is sent once, as without one. Where one is, that is
// remembered, and so is the opposite.
func TestTriedWithoutPasswordFirst(t *testing.T) {
	t.Parallel()
	needs.Program(t, "sudo")
	needs.Program(t, "doas")
	for name, c := range map[string]struct {
		users         sshdtest.Users
		method        remote.Method
		input, stdout string
		asks          bool
	}{
		"sudo":         {sshdtest.Users{Sudoers: "worker ALL=(ALL:ALL) ALL\n"}, remote.Sudo, "a\x00b", "other\na\x00b", true},
		"sudo without": {sshdtest.Users{Sudoers: "worker ALL=(ALL:ALL) NOPASSWD: ALL\n"}, remote.Sudo, "a\x00b", "other\na\x00b", false},
		"doas":         {sshdtest.Users{}, remote.Doas, "", "other\n", true},
		"doas without": {sshdtest.Users{Doas: "permit nopass worker\n"}, remote.Doas, "", "other\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFar(t, c.users)
			count := &counting{Dialer: f.inner, notes: make(map[string]bool)}
			f.inner = count
			o := become.Options{Method: c.method, User: "other", Passwords: password(t, sshdtest.WorkerPassword)}
			run := func(want int) {
				t.Helper()
				count.sent = 0
				e := f.run(t, o, "id -un; cat", c.input)
				e.want(t, fleet.OutcomeOK, "", c.stdout, "")
				if count.sent != want || len(count.notes) == 1 != c.asks {
					t.Errorf("%d commands, want %d; noted %v", count.sent, want, count.notes)
				}
				if e.Flags.Has(fleet.FlagPTY) != (c.asks && c.method == remote.Doas) {
					t.Errorf("flags %v", e.Flags)
				}
			}
			if run(map[bool]int{true: 2, false: 1}[c.asks]); !c.asks {
				o.User = "root"
				c.stdout = strings.Replace(c.stdout, "other", "root", 1)
			}
			run(1)
		})
	}
}

// A note that is no longer true is dropped, and belongs to the method and to who becomes whom.
func TestNoteIsDropped(t *testing.T) {
	t.Parallel()
	needs.Program(t, "sudo")
	f := newFar(t, sshdtest.Users{Sudoers: "worker ALL=(ALL:ALL) ALL\n"})
	count := &counting{Dialer: f.inner, notes: make(map[string]bool)}
	f.inner = count
	right := password(t, sshdtest.WorkerPassword)
	f.run(t, become.Options{User: "other", Passwords: right}, "true", "").want(t, fleet.OutcomeOK, "", "", "")
	f.run(t, become.Options{Passwords: right}, "true", "").want(t, fleet.OutcomeOK, "", "", "")
	if len(count.notes) != 2 {
		t.Errorf("noted %v", count.notes)
	}
	free := newFar(t, sshdtest.Users{Sudoers: "worker ALL=(ALL:ALL) NOPASSWD: ALL\n"})
	count.Dialer, free.inner = free.inner, count
	for _, want := range []int{1, 1} {
		free.run(t, become.Options{Passwords: right}, "true", "").want(t, fleet.OutcomeOK, "", "", "")
		if len(count.notes) != want {
			t.Errorf("noted %v", count.notes)
		}
	}
}

// A command that sudo starts itself: what sudoers allow runs, with its own words and nothing else
// of a shell; what they do not allow has not. A failure that may be sudo's own is unknown.
func TestDirect(t *testing.T) {
	t.Parallel()
	needs.Program(t, "sudo")
	const allowed = `/usr/bin/id -un, /usr/bin/printf *, /bin/cat, /usr/bin/test *, /bin/sh -c exit\ 1`
	const ok, failed, never = fleet.OutcomeOK, fleet.OutcomeFailed, fleet.OutcomeNeverStarted
	for name, rule := range map[string]string{
		"no password": "NOPASSWD: " + allowed, "password": allowed,
		"one without": allowed + ", NOPASSWD: /usr/bin/true", // sudo lists the others without a password too
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFar(t, sshdtest.Users{Sudoers: "Defaults lecture=always\nworker ALL=(other) " + rule + "\n"})
			o := become.Options{User: "other", Direct: true}
			needed := f.run(t, o, "id -un", "")
			if needed.Reason != "" {
				needed.want(t, never, fleet.ReasonBecomePasswordNeeded, "", "")
			} else if name != "no password" {
				t.Error("it ran without a password")
			}
			o.Passwords = password(t, sshdtest.WorkerPassword)
			if name == "one without" {
				return
			}
			f.run(t, o, "id -un", "").want(t, ok, "", "other\n", "")
			f.run(t, o, `printf '%s|' "it's" \; '$HOME' "a  b" 'ü!\\' ''`, "").want(t, ok, "", `it's|;|$HOME|a  b|ü!\\||`, "")
			f.run(t, o, "cat", "").want(t, ok, "", "", "")
			f.run(t, o, "cat", "input").want(t, never, fleet.ReasonBadTarget, "", "")
			f.run(t, o, "test 1 = 2", "").want(t, failed, "", "", "")
			f.run(t, o, "/bin/sh -c 'exit 1'", "").want(t, failed, "", "", "")
			e := f.run(t, o, "test 1 =", "")
			if e.Outcome != failed || e.Status != 2 || !strings.Contains(e.stderr, "missing argument") {
				t.Errorf("%v(%s), status %d, %q", e.Outcome, e.Reason, e.Status, e.stderr)
			}
			for _, bad := range []string{"id", "id -un; id", "sh -c id", "nosuch", "A=1 id -un", "id $HOME", "'id", ""} {
				e := f.run(t, o, bad, "")
				if e.Outcome != never || e.stdout != "" || e.stderr != "" {
					t.Errorf("%q: %v(%s), %q, %q: %v", bad, e.Outcome, e.Reason, e.stdout, e.stderr, e.Err)
				}
			}
			bad := password(t, "another secret")
			if name == "password" {
				f.run(t, become.Options{User: "other", Direct: true, Passwords: bad}, "id -un", "").want(t, never, fleet.ReasonBecomePasswordWrong, "", "")
			}
		})
	}
	t.Run("unproven", func(t *testing.T) {
		t.Parallel()
		f := newFar(t, sshdtest.Users{Sudoers: "worker ALL=(other) NOPASSWD: /bin/cat\n"})
		f.run(t, become.Options{User: "other", Direct: true}, "cat /nosuch", "").want(t, fleet.OutcomeUnknown, fleet.ReasonBecomeUnproven, "", "cat: /nosuch: No such file or directory\n")
	})
	t.Run("timestamp", func(t *testing.T) {
		t.Parallel()
		f := newFar(t, sshdtest.Users{Sudoers: "Defaults timestamp_timeout=0\nworker ALL=(other) /usr/bin/id -un\n"})
		o := become.Options{User: "other", Direct: true, Passwords: password(t, sshdtest.WorkerPassword)}
		f.run(t, o, "id -un", "").want(t, never, fleet.ReasonBecomePasswordNeeded, "", "")
	})
}
