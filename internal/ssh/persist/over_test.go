package persist

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/simfleet"
)

// What is open when a run ends, and was not started, is forgotten too.
func TestUnstartedIsForgotten(t *testing.T) {
	r := newRig(t, simfleet.Options{Hosts: 1})
	a, _ := r.attempt(0, "echo must not run")
	a.Hold = true
	if _, err := r.Dial(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if err := r.Dialer.Close(); err != nil {
		t.Error(err)
	}
	r.end()
	r.askers.Range(func(e, _ any) bool {
		t.Errorf("the holder remembers an attempt at %+v", e)
		return true
	})
	r.ran(t, 0)
}

// An attempt that is sent after a drain has the holder told of itself alone.
func TestDrainIsToldOnce(t *testing.T) {
	l, other := pipe(t)
	drained := make(chan struct{})
	close(drained)
	d := &Dialer{link: l, attempts: make(map[uint32]*remote), drains: make(map[<-chan struct{}]bool), stop: make(chan struct{})}
	var last *remote
	for range 3 {
		last = d.newRemote(t.Context(), &ssh.Attempt{Progress: new(ssh.Progress), Drain: drained})
		defer last.finished()
	}
	d.followDrain(last)
	d.all.Wait()
	l.send(kindPing, 0, nil)
	var told []uint32
	for {
		f, err := other.next()
		if err != nil || f.kind == kindPing {
			break
		}
		told = append(told, f.id)
	}
	if !slices.Equal(told, []uint32{last.id}) {
		t.Errorf("attempts %d, want %d alone", told, last.id)
	}
}

// playHolder greets, and has handle do what follows with each other frame that comes, until there is no more.
func playHolder(l *link, conn net.Conn, handle func(frame)) {
	for from := newReader(conn); ; {
		f, err := from.next()
		switch {
		case err != nil:
			return
		case f.kind == kindHello:
			l.send(kindWelcome, 0, func(e *enc) { e.uint(version); encodeRefusal(e, nil); e.bytes(nil) })
		default:
			handle(f)
		}
	}
}

// A holder that lives, and says nothing of an attempt for longer than all deadlines together, is not waited for.
func TestForgottenDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		l := newLink(there)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			playHolder(l, there, func(f frame) {
				if f.kind == kindPing { // all that it answers
					l.send(kindPong, 0, nil)
				}
			})
		}()
		k := &keys{}
		d, err := New(t.Context(), here, Options{HostKeys: k, Identities: k, Local: nowhere{}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		a := &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: fleet.Target{Host: fleet.Host{Name: "h"}, User: "u", Port: 22}}}
		if end := run(ctx, d, a); end.Reason != fleet.ReasonDialFailed || a.Connection == nil || a.Connection.Why != fleet.DialHolder {
			t.Errorf("%+v, %+v", end, a.Connection)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		l.close(errors.New("over"))
		l.writer.Wait()
		<-ended
	})
}

// A lateYes dials nothing, once the holder has read what became of its question.
type lateYes struct {
	resume chan<- struct{}
	answer <-chan error
	t      *testing.T
}

func (l lateYes) Dial(_ context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	a.Execution.Connected()
	close(l.resume)
	if err := <-l.answer; err == nil {
		l.t.Error("the command was handed over, and then dialled by the run")
	}
	return nil, a.Fail(a.Execution.Failed(), fleet.ReasonDialFailed, errors.New("nowhere"))
}

// A command that is dialled by the run, because the holder has not said in time what became of it, is not
// handed to the holder as well by an answer that still waits to be sent.
func TestTakenBackBeforeItIsDialled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		l := newLink(there)
		resume, answer, ended := make(chan struct{}), make(chan error, 1), make(chan struct{})
		notReading := func(id uint32) {
			time.Sleep(2 * beat) // a ping is being written, and the answer waits behind it
			l.send(kindAsk, 1, func(e *enc) { e.uint(uint64(id)); e.uint(uint64(askIntend)); e.uint(0); e.str("") })
			for {
				select {
				case <-resume:
					return
				case <-time.After(beat):
					l.send(kindPong, 0, nil)
				}
			}
		}
		go func() {
			defer close(ended)
			playHolder(l, there, func(f frame) {
				switch f.kind {
				case kindOpen:
					notReading(f.id)
				case kindAnswer:
					answer <- refusal(&f.body)
				}
			})
		}()
		k := &keys{}
		d, err := New(t.Context(), here, Options{HostKeys: k, Identities: k, Local: lateYes{resume, answer, t}})
		if err != nil {
			t.Fatal(err)
		}
		a := &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: fleet.Target{Host: fleet.Host{Name: "h"}, User: "u", Port: 22}}}
		if end := run(t.Context(), d, a); end.Outcome != fleet.OutcomeNeverStarted || end.Reason != fleet.ReasonDialFailed {
			t.Errorf("%+v, %+v", end, a.Connection)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		l.close(errors.New("over"))
		l.writer.Wait()
		<-ended
	})
}
