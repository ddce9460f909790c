package persist

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/sshdtest"
	"shoal/simfleet"
)

// A gate is a connection that may stand still, as that of a process which is stopped.
type gate struct {
	net.Conn

	mu     sync.Mutex
	stands chan struct{} // nil: bytes pass
}

func (g *gate) wait() {
	g.mu.Lock()
	stands := g.stands
	g.mu.Unlock()
	if stands != nil {
		<-stands
	}
}

// stop has nothing pass until the returned function is called.
func (g *gate) stop() (resume func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	stands := make(chan struct{})
	g.stands = stands
	return func() { close(stands) }
}

// Read implements net.Conn.
func (g *gate) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	g.wait()
	return n, err
}

// Write implements net.Conn.
func (g *gate) Write(p []byte) (int, error) {
	g.wait()
	return g.Conn.Write(p)
}

// An interrupting is hopping, and tells when it is asked about the jump host.
type interrupting struct {
	hopping
	asked, goOn chan struct{}
}

func (k *interrupting) Check(t ssh.Target, addr net.Addr, key xssh.PublicKey) error {
	if t.Jump() == nil {
		k.asked <- struct{}{}
		<-k.goOn
	}
	return k.hopping.Check(t, addr, key)
}

// The connection to a jump host is for all runs that want it: it does not matter to the others that the run
// which was asked about it has ended, or is stopped.
func TestAskedRunIsGone(t *testing.T) {
	server, jump := sshdtest.OpenSSH(t), sshdtest.OpenSSH(t)
	for _, how := range []string{"ended", "stopped"} {
		t.Run(how, func(t *testing.T) {
			d := newDen(t)
			d.silence = 3 * beat / 2
			attempt := func() (*ssh.Attempt, *bytes.Buffer) {
				settings, out := new(ssh.Settings), new(bytes.Buffer)
				hop := ssh.Target{Target: fleet.Target{Host: jump.Host, User: jump.User, Port: jump.Host.Port}, Endpoint: &ssh.Endpoint{Settings: settings}}
				via := ssh.Via(hop)
				via.User, via.Port, via.Settings = server.User, server.Host.Port, settings
				return &ssh.Attempt{Progress: new(ssh.Progress), Stdout: out, Target: via.Target(fleet.Target{Host: server.Host, Command: "echo ran"})}, out
			}
			c, err := net.Dial("unix", d.socket)
			if err != nil {
				t.Fatal(err)
			}
			g := &gate{Conn: c}
			k := &interrupting{hopping: hopping{server: server, hop: jump}, asked: make(chan struct{}), goOn: make(chan struct{})}
			first, err := New(t.Context(), g, Options{HostKeys: k, Identities: k, Local: nowhere{}, Idle: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			var dialling sync.WaitGroup
			dialling.Go(func() {
				a, _ := attempt()
				_ = run(ctx, first, a)
			})
			<-k.asked
			resume := func() {}
			if how == "stopped" {
				resume = g.stop()
			}
			other := &hopping{server: server, hop: jump}
			second := d.dialerOn(t, Options{HostKeys: other, Identities: other, Local: nowhere{}})
			ended := make(chan fleet.End, 1)
			a, out := attempt()
			go func() { ended <- run(t.Context(), second, a) }()
			for d.waiting() < 2 {
				time.Sleep(time.Millisecond)
			}
			if how == "ended" {
				first.lose(errors.New("it has ended"))
			}
			if end := <-ended; end.Outcome != fleet.OutcomeOK || out.String() != "ran\n" {
				t.Errorf("%+v, output %q", end, out)
			}
			cancel()
			resume()
			close(k.goOn)
			dialling.Wait()
			_ = first.Close()
		})
	}
}

// waiting returns how many attempts have jump hosts on their way.
func (h *Holder) waiting() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, hop := range h.hops {
		n += len(hop.works)
	}
	return n
}

// An attempt whose connection is closed as it starts has an end, and others of its run are not concerned.
func TestClosedAtTheStart(t *testing.T) {
	for _, how := range []string{"before", "just before", "meanwhile"} {
		t.Run(how, func(t *testing.T) {
			r := newRig(t, simfleet.Options{Hosts: 2})
			a, _ := r.attempt(0, "echo must not run")
			c, err := r.Dial(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			switch how {
			case "before":
				_ = c.Close()
			case "just before": // Close has told the holder, and Start does not know yet
				r.link.send(kindClose, c.(*conn).first.id, nil)
			case "meanwhile":
				a.Intent = func() error { return c.Close() }
			}
			done := make(chan fleet.End, 1)
			c.Start(t.Context(), func(end fleet.End) { done <- end })
			if end := <-done; end.Outcome != fleet.OutcomeNeverStarted {
				t.Errorf("%+v", end)
			}
			r.ran(t, 0)
			r.want(t, 1, fleet.DialNew)
		})
	}
}

// The holder says of an attempt that it has forgotten that nothing was sent: it is not asked where the command
// may have been sent with the login.
func TestClosedAfterEarlyCommand(t *testing.T) {
	r := newRig(t, simfleet.Options{Hosts: 1})
	a, _ := r.attempt(0, "echo may have run")
	c, err := r.Dial(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if f := a.Intend(); f != nil {
		t.Fatal(f)
	}
	a.Execution.Queue(1)
	a.Execution.Writing()
	a.Execution.Wrote(1)
	c.(*conn).first.queued = true
	a.Timeline.OnEnter(func(fleet.Phase) { _ = c.Close() }) // by Start, which has found it open
	done := make(chan fleet.End, 1)
	c.Start(t.Context(), func(end fleet.End) { done <- end })
	if end := <-done; end.Outcome != fleet.OutcomeUnknown {
		t.Errorf("%+v", end)
	}
}

// Who has a holder stop gets its answer, though the holder's process ends at once then.
func TestStopAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHolder(HolderOptions{})
		here, there := net.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { h.Serve(ctx, there) })
		all.Go(func() {
			<-h.Over()
			cancel() // as package holder does
		})
		_, err := here.Write(frameOf(kindHello, 0, (&hello{purpose: purposeStop}).encode))
		synctest.Wait()
		from := newReader(here)
		f, rerr := from.next()
		if err := errors.Join(err, rerr); err != nil || f.kind != kindWelcome {
			t.Errorf("%+v, %v; want an answer", f, err)
		}
		_ = here.Close()
		all.Wait()
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
}
