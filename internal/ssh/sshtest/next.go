package sshtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/sshdtest"
	"shoal/simfleet"
)

// A held is a connection whose first command has ended, and what to reach its server with.
type held struct {
	conn   ssh.Conn
	server server
	port   uint16 // instead of the server's own; 0: no relay
}

// hold runs "true" on a connection that is kept.
func hold(t testing.TB, d ssh.Dialer, s server, middle *relay) *held {
	t.Helper()
	h := &held{server: s}
	if middle != nil {
		h.port = middle.listener.Addr().(*net.TCPAddr).AddrPort().Port()
	}
	a := h.attempt("true")
	conn, err := d.Dial(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	h.conn = conn
	begin(t.Context(), a, conn.Start).wait().ok(t)
	return h
}

// attempt returns one that keeps the connection.
func (h *held) attempt(command string) *ssh.Attempt {
	target := h.server.target(command)
	if h.port != 0 {
		target.Route, target.Port = &fleet.Route{Address: "127.0.0.1"}, h.port
	}
	return &ssh.Attempt{
		Progress: new(ssh.Progress), Target: ssh.Target{Target: target}, Stdout: new(sink), Stderr: new(sink), Keep: true,
	}
}

// next runs a further command and waits for its end.
func (h *held) next(ctx context.Context, a *ssh.Attempt) report {
	return begin(ctx, a, func(ctx context.Context, done func(fleet.End)) { h.conn.StartNext(ctx, a, done) }).wait()
}

// A begun is an attempt that was started.
type begun struct {
	attempt *ssh.Attempt
	done    chan fleet.End
}

func begin(ctx context.Context, a *ssh.Attempt, start func(context.Context, func(fleet.End))) begun {
	b := begun{a, make(chan fleet.End, 2)} // done may wrongly be called twice
	start(ctx, func(end fleet.End) { b.done <- end })
	return b
}

func (b begun) wait() report {
	end := <-b.done
	return report{
		End: end, stdout: b.attempt.Stdout.(*sink).buf.Bytes(), stderr: b.attempt.Stderr.(*sink).buf.Bytes(), took: b.attempt.Timeline.Took(),
	}
}

// testNext runs further commands on connections that are kept.
func testNext(t *testing.T, newDialer Factory) {
	for _, s := range everyKind(t) {
		t.Run(s.name, func(t *testing.T) { testNextCommands(t, s, newDialer) })
	}
	t.Run("MaxSessions 1", func(t *testing.T) {
		s := realOne("openssh", sshdtest.OpenSSH(t, sshdtest.WithConfig("MaxSessions 1")))
		h := hold(t, s.dialer(t, newDialer, patient()), s, nil)
		for i := range 30 {
			r := h.next(t.Context(), h.attempt(fmt.Sprint("echo ", i)))
			if r.ok(t); string(r.stdout) != fmt.Sprintln(i) {
				t.Fatalf("command %d: stdout %q", i, r.stdout)
			}
		}
	})
	t.Run("too long", func(t *testing.T) { // Dropbear closes the connection at 9,001 bytes
		s := realOne("dropbear", sshdtest.Dropbear(t))
		h := hold(t, s.dialer(t, newDialer, patient()), s, nil)
		long := "echo ran; : " + strings.Repeat("x", 8988)
		h.next(t.Context(), h.attempt(long)).ok(t)
		h.next(t.Context(), h.attempt(long+"x")).want(t, fleet.OutcomeNeverStarted, fleet.ReasonBadTarget, fleet.PhaseSession, 0)
	})
	t.Run("idle", func(t *testing.T) { // the server asks for a sign of life, and for new keys
		t.Parallel()
		s := realOne("openssh", sshdtest.OpenSSH(t, sshdtest.WithConfig("ClientAliveInterval 1", "ClientAliveCountMax 3", "RekeyLimit default 1")))
		timeouts := patient()
		timeouts.Alive = short
		h := hold(t, s.dialer(t, newDialer, timeouts), s, nil)
		time.Sleep(6 * time.Second) // what is tested is that nothing happens; three answers that are missing end it
		h.next(t.Context(), h.attempt("true")).ok(t)
	})
	t.Run("behind the close", func(t *testing.T) { testBehindClose(t, newDialer) })
	t.Run("lost", func(t *testing.T) { testNextLost(t, newDialer) })
	t.Run("stopped", func(t *testing.T) { testNextStopped(t, newDialer) })
	t.Run("not kept", func(t *testing.T) { testNotKept(t, newDialer) })
}

// testNextCommands runs commands one after the other on one connection.
func testNextCommands(t *testing.T, s server, newDialer Factory) {
	known := &exact{trusted: []xssh.PublicKey{s.hostKey}}
	h := hold(t, newDialer(t, Config{HostKeys: known, Identities: keys{s.signer}, Timeouts: patient()}), s, nil)
	for _, c := range []struct {
		command, input string
		outcome        fleet.Outcome
		status         uint32
		stdout, stderr string
	}{
		{command: "echo one; echo err >&2; exit 3", outcome: fleet.OutcomeFailed, status: 3, stdout: "one\n", stderr: "err\n"},
		{command: "head -c 3000000 /dev/zero", outcome: fleet.OutcomeOK, stdout: strings.Repeat("\x00", 3000000)},
		{command: "cat", outcome: fleet.OutcomeOK},
		{command: "cat", input: strings.Repeat("input\n", 100000), outcome: fleet.OutcomeOK, stdout: strings.Repeat("input\n", 100000)},
		{command: "true", input: strings.Repeat("unread\n", 1000), outcome: fleet.OutcomeOK},
		{command: "kill -TERM $$", outcome: fleet.OutcomeSignalled},
		{command: "echo last", outcome: fleet.OutcomeOK, stdout: "last\n"},
	} {
		if c.input != "" && s.name == "simfleet" {
			continue // its cat has no input
		}
		a := h.attempt(c.command)
		intents := 0
		a.Intent = func() error { intents++; return nil }
		if c.input != "" {
			a.Input = strings.NewReader(c.input)
		}
		r := h.next(t.Context(), a)
		r.want(t, c.outcome, fleet.ReasonNone, fleet.PhaseDrain, fleet.FlagExitKnown)
		if r.Status != c.status || string(r.stdout) != c.stdout || string(r.stderr) != c.stderr {
			t.Errorf("%s: status %d, stdout %.80q (%d bytes), stderr %.80q; want %d, %.80q (%d), %.80q",
				c.command, r.Status, r.stdout, len(r.stdout), r.stderr, c.status, c.stdout, len(c.stdout), c.stderr)
		}
		if intents != 1 || r.took[fleet.PhaseSession] <= 0 || r.took[fleet.PhaseDial] != 0 {
			t.Errorf("%s: %d intents, took %v; want 1, a session and no dial", c.command, intents, r.took)
		}
	}
	// An attempt that does not ask for it ends the connection.
	a := h.attempt("echo bye")
	a.Keep = false
	if r := h.next(t.Context(), a); string(r.stdout) != "bye\n" {
		t.Errorf("stdout %q", r.stdout)
	}
	h.wantNone(t, fleet.ReasonConnClosed)
	if known.checked != 1 || known.accepted != 1 {
		t.Errorf("the host key was checked %d times and accepted %d times, want once", known.checked, known.accepted)
	}
}

// wantNone checks that a further command is not started, with proof.
func (h *held) wantNone(t testing.TB, reasons ...fleet.Reason) {
	t.Helper()
	a := h.attempt("echo must not run")
	r := h.next(t.Context(), a)
	for _, reason := range reasons {
		if r.Reason == reason {
			reasons = []fleet.Reason{reason}
		}
	}
	r.want(t, fleet.OutcomeNeverStarted, reasons[0], fleet.PhaseSession, 0)
	if a.Execution.Queued() || a.Execution.Failed() != fleet.OutcomeNeverStarted {
		t.Error("the command may have been sent")
	}
}

// testBehindClose has a server ask for answers directly behind the close of the channel.
func testBehindClose(t *testing.T, newDialer Factory) {
	key := newKey(t)
	config := new(xssh.ServerConfig)
	config.AddHostKey(key)
	const asked = 20
	answered := make(chan int, 1) // sent once by each command but the first
	var commands atomic.Int64
	s := server{name: "own", hostKey: key.PublicKey(), signer: newKey(t)}
	s.host = ownServer(t, config, func(xssh.Channel) { commands.Add(1) }, func(sc *xssh.ServerConn) {
		n := 0
		for range asked {
			if _, _, err := sc.SendRequest("keepalive@openssh.com", true, nil); err == nil {
				n++
			}
		}
		answered <- n
	}).Host
	h := hold(t, s.dialer(t, newDialer, patient()), s, nil)
	for i := range 5 {
		if n := <-answered; n != asked {
			t.Errorf("%d requests were answered, want %d", n, asked)
		}
		h.next(t.Context(), h.attempt("true")).ok(t)
		if n := int(commands.Load()); n != i+2 {
			t.Errorf("%d commands, want %d", n, i+2)
		}
	}
}

// testNextLost has the connection end between two commands.
func testNextLost(t *testing.T, newDialer Factory) {
	f := startFleet(t, simfleet.Options{Hosts: 1})
	s := simulated(f, 0)
	d := s.dialer(t, newDialer, patient())
	t.Run("closed", func(t *testing.T) {
		middle := newRelay(t, s.target("").Address())
		h := hold(t, d, s, middle)
		middle.cut()
		h.wantNone(t, fleet.ReasonConnClosed, fleet.ReasonConnReset)
		h.wantNone(t, fleet.ReasonConnClosed, fleet.ReasonConnReset) // and so it stays
	})
	t.Run("reset", func(t *testing.T) {
		middle := newRelay(t, s.target("").Address())
		h := hold(t, d, s, middle)
		middle.reset()
		h.wantNone(t, fleet.ReasonConnReset, fleet.ReasonConnClosed)
	})
	t.Run("closed here", func(t *testing.T) {
		h := hold(t, d, s, nil)
		_ = h.conn.Close()
		h.wantNone(t, fleet.ReasonInterrupted)
	})
	t.Run("vanished", func(t *testing.T) {
		middle := newRelay(t, s.target("").Address())
		timeouts := patient()
		timeouts.Session = short
		h := hold(t, s.dialer(t, newDialer, timeouts), s, middle)
		close(middle.stopped)
		h.wantNone(t, fleet.ReasonSessionTimeout)
	})
	if execs := f.Log(); len(execs) != 4 {
		t.Errorf("the server ran %d commands, want the first one of each connection: %+v", len(execs), execs)
	}
}

// testNextStopped stops further commands.
func testNextStopped(t *testing.T, newDialer Factory) {
	s := simulated(startFleet(t, simfleet.Options{Hosts: 1}), 0)
	d := s.dialer(t, newDialer, patient())
	t.Run("the first context", func(t *testing.T) { // is the first command's alone
		h := &held{server: s}
		a := h.attempt("true")
		conn, err := d.Dial(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		h.conn = conn
		ctx, cancel := context.WithCancelCause(t.Context())
		begin(ctx, a, conn.Start).wait().ok(t)
		cancel(errStop)
		h.next(t.Context(), h.attempt("true")).ok(t)
	})
	t.Run("before", func(t *testing.T) {
		h := hold(t, d, s, nil)
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errStop)
		r := h.next(ctx, h.attempt("true"))
		if r.want(t, fleet.OutcomeCancelled, fleet.ReasonInterrupted, fleet.PhaseSession, 0); !errors.Is(r.Err, errStop) {
			t.Errorf("cause %v, want the context's", r.Err)
		}
		h.wantNone(t, fleet.ReasonConnClosed, fleet.ReasonInterrupted)
	})
	for _, how := range []string{"context", "close", "timeout"} {
		t.Run(how, func(t *testing.T) {
			h := hold(t, d, s, nil)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			a := h.attempt("sleep 3600")
			if how == "timeout" {
				a.Limit = short
			}
			b := begin(ctx, a, func(ctx context.Context, done func(fleet.End)) { h.conn.StartNext(ctx, a, done) })
			for a.Timeline.Phase() < fleet.PhaseRun {
				pause()
			}
			switch how {
			case "context":
				cancel(errStop)
			case "close":
				_ = h.conn.Close()
			default:
				r := b.wait()
				r.want(t, fleet.OutcomeSignalled, fleet.ReasonTimeout, fleet.PhaseDrain, fleet.FlagExitKnown)
				h.next(t.Context(), h.attempt("true")).ok(t) // its channel was closed in order
				return
			}
			if r := b.wait(); r.Outcome != fleet.OutcomeUnknown || r.Phase != fleet.PhaseRun {
				t.Errorf("ended %v(%s) in %v, want unknown in run", r.Outcome, r.Reason, r.Phase)
			}
			h.wantNone(t, fleet.ReasonConnClosed, fleet.ReasonInterrupted)
		})
	}
	t.Run("intent", func(t *testing.T) { // one that cannot be recorded
		h := hold(t, d, s, nil)
		a := h.attempt("true")
		a.Intent = func() error { return errStop }
		h.next(t.Context(), a).want(t, fleet.OutcomeNeverStarted, fleet.ReasonStoreFailed, fleet.PhaseSession, 0)
	})
}

// testNotKept has first commands that end in another way than by their exit status and the close
// of their channel.
func testNotKept(t *testing.T, newDialer Factory) {
	for _, c := range faultCases() {
		if c.reason == fleet.ReasonTimeout { // may be kept
			continue
		}
		if c.phase < fleet.PhaseSession || c.fault == simfleet.FaultExitSignal || c.command != "" {
			continue
		}
		t.Run(string(c.fault), func(t *testing.T) {
			t.Parallel()
			s := simulated(startFleet(t, simfleet.Options{Hosts: 1, Fault: func(int) simfleet.Fault { return c.fault }}), 0)
			timeouts := patient()
			if c.timeout != nil {
				c.timeout(&timeouts)
			}
			h := &held{server: s}
			a := h.attempt("echo hello")
			conn, err := s.dialer(t, newDialer, timeouts).Dial(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			h.conn = conn
			r := begin(t.Context(), a, conn.Start).wait()
			r.want(t, c.outcome, c.reason, c.phase, c.flags)
			if c.stdout != "" && !bytes.Equal(r.stdout, []byte(c.stdout)) {
				t.Errorf("stdout %q, want %q", r.stdout, c.stdout)
			}
			h.wantNone(t, fleet.ReasonConnClosed)
		})
	}
}
