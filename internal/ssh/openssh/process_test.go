package openssh_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/needs"
	"shoal/internal/ssh"
	"shoal/internal/ssh/openssh"
	"shoal/internal/sshdtest"
	"shoal/simfleet"
)

// trusting accepts one host key, and signs with one key.
type trusting struct {
	host     xssh.PublicKey
	key      xssh.Signer
	released atomic.Int32
}

func (k *trusting) Algorithms(ssh.Target) []string { return nil }

func (k *trusting) Check(_ ssh.Target, _ net.Addr, key xssh.PublicKey) error {
	if !bytes.Equal(key.Marshal(), k.host.Marshal()) {
		return errors.New("another key is known")
	}
	return nil
}

func (k *trusting) Accepted(context.Context, ssh.Target, xssh.PublicKey) error { return nil }
func (k *trusting) Released(ssh.Target, xssh.PublicKey)                        { k.released.Add(1) }

func (k *trusting) Signers(context.Context, ssh.Target) ([]xssh.Signer, error) {
	return []xssh.Signer{k.key}, nil
}

// A recorded program is ssh, and the id of each process and its command line are written down.
type recorded struct {
	path, pids, args string
}

func record(t *testing.T) recorded {
	t.Helper()
	dir := t.TempDir()
	r := recorded{filepath.Join(dir, "ssh"), filepath.Join(dir, "pids"), filepath.Join(dir, "args")}
	script := fmt.Sprintf("#!/bin/sh\necho $$ >>%s\nprintf '%%s\\n' \"$@\" >>%s\nexec %s \"$@\"\n", r.pids, r.args, needs.Program(t, "ssh"))
	if err := os.WriteFile(r.path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return r
}

// processes returns the ids of all processes so far.
func (r recorded) processes(t *testing.T) (pids []int) {
	t.Helper()
	text, err := os.ReadFile(r.pids)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		pid, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

func newDialer(t *testing.T, o openssh.Options) *openssh.Dialer {
	t.Helper()
	d, err := openssh.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// attempt dials, runs the command and returns its end and standard output.
func attempt(ctx context.Context, d ssh.Dialer, t fleet.Target) (fleet.End, string) {
	var out bytes.Buffer
	end := run(ctx, d, &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: t}, Stdout: &out})
	return end, out.String()
}

func run(ctx context.Context, d ssh.Dialer, a *ssh.Attempt) fleet.End {
	c, err := d.Dial(ctx, a)
	if f, ok := errors.AsType[*fleet.Error](err); ok {
		return f.End()
	}
	done := make(chan fleet.End, 1)
	c.Start(ctx, func(end fleet.End) { done <- end })
	return <-done
}

func newKey(t *testing.T) xssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := xssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func target(s *sshdtest.Server, command string) fleet.Target {
	return fleet.Target{Host: s.Host, User: s.User, Port: s.Host.Port, Command: command}
}

// The wait for a process is a part of the time to connect.
func TestNoProcessInTime(t *testing.T) {
	fl, err := simfleet.Start(t.Context(), simfleet.Options{Hosts: 1, Fault: func(int) simfleet.Fault { return simfleet.FaultStallKex }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fl.Close() })
	keys := &trusting{host: fl.HostKey(0), key: fl.ClientKey()}
	d := newDialer(t, openssh.Options{
		Program: needs.Program(t, "ssh"), HostKeys: keys, Identities: keys, Processes: 1,
		Timeouts: ssh.Timeouts{Dial: time.Hour, Kex: time.Hour},
	})
	h := fl.Host(0)
	first := &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: fleet.Target{Host: h, User: "u", Port: h.Port}}}
	ctx, cancel := context.WithCancel(t.Context())
	var dialling sync.WaitGroup
	dialling.Go(func() { _ = run(ctx, d, first) })
	for first.Timeline.Phase() != fleet.PhaseKex {
		time.Sleep(time.Millisecond)
	}
	second := &ssh.Attempt{Progress: new(ssh.Progress), Target: first.Target}
	second.Target.Endpoint = &ssh.Endpoint{Settings: &ssh.Settings{Connect: 50 * time.Millisecond}}
	if end := run(t.Context(), d, second); end.Outcome != fleet.OutcomeNeverStarted || end.Reason != fleet.ReasonLocalMemory {
		t.Errorf("ended %v(%s): %v", end.Outcome, end.Reason, end.Err)
	}
	cancel()
	dialling.Wait()
}

// On every ending the process has ended and was waited for when the attempt is over, and no
// file of it is left. The directory's name may have any characters.
func TestNothingIsLeft(t *testing.T) {
	program := record(t)
	parent, err := os.MkdirTemp("", `a"%h\$b `) //nolint:usetesting // sockets need a short path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(parent) })
	t.Setenv("TMPDIR", parent)
	t.Setenv("XDG_RUNTIME_DIR", "")
	s := sshdtest.OpenSSH(t)
	fl, err := simfleet.Start(t.Context(), simfleet.Options{Hosts: 3, Fault: func(i int) simfleet.Fault {
		return []simfleet.Fault{simfleet.FaultStallKex, simfleet.FaultAuthStall, simfleet.FaultDropMidOutput}[i]
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fl.Close() })
	other := sshdtest.OpenSSH(t)
	simulated := func(i int) (fleet.Target, *trusting) {
		h := fl.Host(i)
		return fleet.Target{Host: h, User: "u", Port: h.Port, Command: "echo hello"}, &trusting{host: fl.HostKey(i), key: fl.ClientKey()}
	}
	silent, silentKeys := simulated(0)
	stalled, stalledKeys := simulated(1)
	dropped, droppedKeys := simulated(2)
	good := &trusting{host: s.HostKey, key: s.Signer}
	for name, c := range map[string]struct {
		keys   *trusting
		target fleet.Target
		want   fleet.Outcome
		reason fleet.Reason
		stop   fleet.Phase // in which the context ends; PhaseNone: in none
	}{
		"runs":            {good, target(s, "echo ran"), fleet.OutcomeOK, "", fleet.PhaseNone},
		"another key":     {&trusting{host: other.HostKey, key: s.Signer}, target(s, "true"), fleet.OutcomeNeverStarted, fleet.ReasonHostkeyFailed, fleet.PhaseNone},
		"not let in":      {&trusting{host: s.HostKey, key: other.Signer}, target(s, "true"), fleet.OutcomeNeverStarted, fleet.ReasonAuthFailed, fleet.PhaseNone},
		"key exchange":    {silentKeys, silent, fleet.OutcomeCancelled, fleet.ReasonInterrupted, fleet.PhaseKex},
		"login":           {stalledKeys, stalled, fleet.OutcomeCancelled, fleet.ReasonInterrupted, fleet.PhaseAuth},
		"stopped running": {good, target(s, "exec sleep 3600"), fleet.OutcomeUnknown, fleet.ReasonInterrupted, fleet.PhaseRun},
		"lost":            {droppedKeys, dropped, fleet.OutcomeUnknown, fleet.ReasonConnClosed, fleet.PhaseNone},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(program.processes(t))
			d := newDialer(t, openssh.Options{Program: program.path, HostKeys: c.keys, Identities: c.keys})
			ctx, cancel := context.WithCancel(t.Context())
			a := &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: c.target}}
			var stopping sync.WaitGroup
			defer stopping.Wait()
			defer cancel()
			if c.stop != fleet.PhaseNone {
				stopping.Go(func() {
					for a.Timeline.Phase() != c.stop && ctx.Err() == nil {
						time.Sleep(time.Millisecond) // nothing else shows the phase
					}
					cancel()
				})
			}
			if end := run(ctx, d, a); end.Outcome != c.want || end.Reason != c.reason {
				t.Errorf("ended %v(%s) in %v, want %v(%s): %v", end.Outcome, end.Reason, end.Phase, c.want, c.reason, end.Err)
			}
			pids := program.processes(t)
			// One that is stopped at once may not have written its id yet.
			if n := len(pids) - before; n > 1 || n == 0 && c.stop == fleet.PhaseNone {
				t.Errorf("%d processes, want 1", n)
			}
			for _, pid := range pids[before:] {
				if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
					t.Errorf("process %d is left: %v", pid, err)
				}
			}
			left, err := filepath.Glob(strings.ReplaceAll(strings.ReplaceAll(parent, `\`, `\\`), "$", `\$`) + "/*/*")
			if err != nil || len(left) != 0 {
				t.Errorf("files are left: %q, %v", left, err)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
			if dirs, err := os.ReadDir(parent); err != nil || len(dirs) != 0 {
				t.Errorf("the directory is left: %v, %v", dirs, err)
			}
		})
	}
	text, err := os.ReadFile(program.args)
	if err != nil || strings.Contains(string(text), "echo ran") {
		t.Errorf("the command stands in the program's arguments: %v", err)
	}
}

// Names that would be options, or have the program do something else, do not reach it.
// faults.md: I02
func TestNamesAreNoOptions(t *testing.T) {
	program := record(t)
	s := sshdtest.OpenSSH(t)
	k := &trusting{host: s.HostKey, key: s.Signer}
	d := newDialer(t, openssh.Options{Program: program.path, HostKeys: k, Identities: k})
	for _, c := range []fleet.Target{
		{Host: fleet.Host{Name: "-oProxyCommand=touch x"}, User: "u"},
		{Host: fleet.Host{Name: "-oProxyCommand=id"}, User: "u"},
		{Host: fleet.Host{Name: "a b"}, User: "u"},
		{Host: s.Host, User: "-oProxyCommand=id", Port: s.Host.Port},
		{Host: s.Host, User: "u;id", Port: s.Host.Port},
		{Host: s.Host, User: "", Port: s.Host.Port},
	} {
		c.Command = "true"
		if end, _ := attempt(t.Context(), d, c); end.Outcome != fleet.OutcomeNeverStarted || end.Reason != fleet.ReasonBadTarget {
			t.Errorf("%q as %q: %v(%s): %v", c.Host.Name, c.User, end.Outcome, end.Reason, end.Err)
		}
	}
	if n := len(program.processes(t)); n != 0 {
		t.Errorf("%d processes were started", n)
	}
}

// While all places for processes are taken, the next attempt waits, and then fails as one that
// this machine has no memory for.
func TestProcessesAreBounded(t *testing.T) {
	program := record(t)
	s := sshdtest.OpenSSH(t)
	k := &trusting{host: s.HostKey, key: s.Signer}
	d := newDialer(t, openssh.Options{
		Program: program.path, HostKeys: k, Identities: k, Processes: 1, Timeouts: ssh.Timeouts{Dial: 300 * time.Millisecond},
	})
	first, err := d.Dial(t.Context(), &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: target(s, "true")}, Hold: true})
	if err != nil {
		t.Fatal(err)
	}
	if end, _ := attempt(t.Context(), d, target(s, "true")); end.Outcome != fleet.OutcomeNeverStarted || end.Reason != fleet.ReasonLocalMemory {
		t.Errorf("ended %v(%s): %v", end.Outcome, end.Reason, end.Err)
	}
	_ = first.Close()
	for range 3 {
		if end, out := attempt(t.Context(), d, target(s, "echo ran")); end.Outcome != fleet.OutcomeOK || out != "ran\n" {
			t.Errorf("ended %v(%s), output %q: %v", end.Outcome, end.Reason, out, end.Err)
		}
	}
	if n := len(program.processes(t)); n != 4 {
		t.Errorf("%d processes, want 4", n)
	}
	if n := openssh.Processes(); n < 4 || n > 1000 {
		t.Errorf("%d processes by default", n)
	}
}

// A program that does not even begin is a failure before anything ran, with what it said.
func TestProgramFails(t *testing.T) {
	s := sshdtest.OpenSSH(t)
	k := &trusting{host: s.HostKey, key: s.Signer}
	path := filepath.Join(t.TempDir(), "ssh")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nprintf 'no \\033[2J such option\\n' >&2\nexit 255\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	end, _ := attempt(t.Context(), newDialer(t, openssh.Options{Program: path, HostKeys: k, Identities: k}), target(s, "true"))
	if end.Outcome != fleet.OutcomeNeverStarted || !strings.Contains(end.Err.Error(), `exit status 255: "no \x1b[2J such option"`) {
		t.Errorf("ended %v(%s): %v", end.Outcome, end.Reason, end.Err)
	}
	end, _ = attempt(t.Context(), newDialer(t, openssh.Options{Program: path + "-none", HostKeys: k, Identities: k}), target(s, "true"))
	if end.Outcome != fleet.OutcomeNeverStarted {
		t.Errorf("ended %v(%s): %v", end.Outcome, end.Reason, end.Err)
	}
}

// A program that waits for another, which does not end, is ended at the deadline, or when the run
// is stopped, with what it has started.
func TestProgramWaits(t *testing.T) {
	s := sshdtest.OpenSSH(t)
	program := record(t)
	k := &trusting{host: s.HostKey, key: s.Signer}
	command := filepath.Join(t.TempDir(), "command")
	if err := os.WriteFile(command, []byte("#!/bin/sh\necho $$ >>"+program.pids+"\nexec sleep 3600\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for stop, reason := range map[bool]fleet.Reason{false: fleet.ReasonKexTimeout, true: fleet.ReasonInterrupted} {
		before := len(program.processes(t))
		timeouts := ssh.Timeouts{Kex: time.Minute}
		if !stop {
			timeouts.Kex = time.Second
		}
		d := newDialer(t, openssh.Options{Program: program.path, HostKeys: k, Identities: k, Timeouts: timeouts})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var stopping sync.WaitGroup
		if stop {
			stopping.Go(func() {
				for len(program.processes(t)) < before+2 {
					time.Sleep(time.Millisecond) // nothing else shows that it waits
				}
				cancel()
			})
		}
		end := run(ctx, d, &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{
			Target: target(s, "true"),
			Endpoint: &ssh.Endpoint{Settings: &ssh.Settings{Program: ssh.ProgramSpec{
				Options: []string{"KnownHostsCommand " + command}, KnownHostsCommand: true,
			}}},
		}})
		stopping.Wait()
		if !end.Outcome.DidNotRun() || end.Reason != reason {
			t.Errorf("ended %v(%s) in %v, want %s: %v", end.Outcome, end.Reason, end.Phase, reason, end.Err)
		}
		for _, pid := range program.processes(t)[before:] {
			for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) { // what it had started is killed, and nobody's to wait for
				state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
				if err != nil || strings.Contains(string(state), ") Z ") {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("process %d is left: %s", pid, state)
				}
			}
		}
	}
}

// A program that reads nothing does not keep an attempt beyond its deadline, whatever the server
// sends.
func TestProgramDoesNotRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ssh")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexec sleep 3600\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	defer all.Wait()
	defer func() { _ = l.Close() }()
	all.Go(func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = nc.Close() }()
		ignore := append([]byte{0, 0, 4, 4, 0, 2}, make([]byte, 1026)...) // SSH_MSG_IGNORE
		_, _ = nc.Write(append([]byte("SSH-2.0-x\r\n"), bytes.Repeat(ignore, 300)...))
		_, _ = io.Copy(io.Discard, nc)
	})
	port := l.Addr().(*net.TCPAddr).AddrPort().Port()
	k := &trusting{key: newKey(t)}
	d := newDialer(t, openssh.Options{Program: path, HostKeys: k, Identities: k, Timeouts: ssh.Timeouts{Kex: 500 * time.Millisecond}})
	end, _ := attempt(t.Context(), d, fleet.Target{Host: fleet.Host{Name: "127.0.0.1", Port: port}, User: "u", Port: port, Command: "x"})
	if end.Outcome != fleet.OutcomeNeverStarted || end.Reason != fleet.ReasonKexTimeout || end.Phase != fleet.PhaseKex {
		t.Errorf("ended %v(%s) in %v: %v", end.Outcome, end.Reason, end.Phase, end.Err)
	}
}

// A turncoat is a host key that becomes another one.
type turncoat struct {
	before, after xssh.Signer
	turned        atomic.Bool
}

func (c *turncoat) now() xssh.Signer {
	if c.turned.Load() {
		return c.after
	}
	return c.before
}

func (c *turncoat) PublicKey() xssh.PublicKey { return c.now().PublicKey() }
func (c *turncoat) Sign(r io.Reader, data []byte) (*xssh.Signature, error) {
	return c.now().Sign(r, data)
}

// A host key that changes in a later key exchange, which only the program can read, ends the
// connection, whatever the policy says of the other key; the command may have run.
func TestAnotherKeyLater(t *testing.T) {
	a, b := newKey(t), newKey(t)
	key := &turncoat{before: a, after: b}
	config := &xssh.ServerConfig{Config: xssh.Config{RekeyThreshold: 64 << 10}}
	config.PublicKeyCallback = func(xssh.ConnMetadata, xssh.PublicKey) (*xssh.Permissions, error) { return new(xssh.Permissions), nil }
	config.AddHostKey(key)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	defer all.Wait()
	defer func() { _ = l.Close() }()
	all.Go(func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = nc.Close() }()
		_, channels, requests, err := xssh.NewServerConn(nc, config)
		if err != nil {
			return
		}
		go xssh.DiscardRequests(requests)
		for opened := range channels {
			ch, requests, err := opened.Accept()
			if err != nil {
				return
			}
			for r := range requests {
				_ = r.Reply(r.Type == "exec", nil)
				if r.Type == "exec" {
					key.turned.Store(true)
					_, _ = ch.Write(make([]byte, 4<<20))
				}
			}
		}
	})
	port := l.Addr().(*net.TCPAddr).AddrPort().Port()
	k := &trusting{host: a.PublicKey(), key: b}
	d := newDialer(t, openssh.Options{Program: needs.Program(t, "ssh"), HostKeys: k, Identities: k})
	end, out := attempt(t.Context(), d, fleet.Target{Host: fleet.Host{Name: "127.0.0.1", Port: port}, User: "u", Port: port, Command: "x"})
	if end.Outcome != fleet.OutcomeUnknown || end.Phase != fleet.PhaseRun || end.Reason != fleet.ReasonProtocolError || len(out) == 4<<20 {
		t.Errorf("ended %v(%s) in %v after %d bytes: %v", end.Outcome, end.Reason, end.Phase, len(out), end.Err)
	}
}
