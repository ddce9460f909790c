package persist

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/simfleet"
)

// What came of a command before its holder was lost is passed on, before its end is.
func TestLostHolderKeepsOutput(t *testing.T) {
	r := newRig(t, simfleet.Options{Hosts: 1})
	a, _ := r.attempt(0, "sleep 3600")
	let, out := make(chan struct{}), new(bytes.Buffer)
	a.Stdout = waiting{let, out}
	w := r.newRemote(t.Context(), a)
	done := make(chan fleet.End, 1)
	if !w.begin(t.Context(), func(end fleet.End) { done <- end }) {
		t.Fatal("there is no holder")
	}
	a.Execution.Queue(1)
	a.Execution.Writing()
	a.Execution.Wrote(1)
	for range 3 {
		if err := w.push(event{stream: fleet.Stdout, bytes: make([]byte, 10_000)}); err != nil {
			t.Fatal(err)
		}
	}
	r.lose(errors.New("gone"))
	close(let)
	if end := <-done; end.Outcome != fleet.OutcomeUnknown || end.Reason != fleet.ReasonHolderLost || out.Len() != 30_000 {
		t.Errorf("%+v, %d bytes of output, want 30,000", end, out.Len())
	}
}

// waiting takes output once it is let.
type waiting struct {
	let chan struct{}
	to  *bytes.Buffer
}

func (w waiting) Write(p []byte) (int, error) {
	<-w.let
	return w.to.Write(p)
}

// A pipe is a link and what comes out at its other end.
func pipe(t *testing.T) (*link, *reader) {
	t.Helper()
	here, there := net.Pipe()
	l := newLink(here)
	t.Cleanup(func() {
		l.close(errClosed)
		l.writer.Wait()
		_ = there.Close()
	})
	_ = there.SetDeadline(time.Now().Add(time.Minute))
	return l, newReader(there)
}

// Whoever waits for a command that is withdrawn in the queue is told so.
func TestWithdrawnInQueue(t *testing.T) {
	l, other := pipe(t)
	var exec ssh.Execution
	exec.Queue(1)
	if o := exec.Failed(); o != fleet.OutcomeNeverStarted {
		t.Fatal(o)
	}
	l.hand(kindAnswer, 7, func(e *enc) { encodeRefusal(e, nil) }, &exec, frameOf(kindAnswer, 7, func(e *enc) { encodeRefusal(e, errOver) }))
	l.send(kindPing, 0, nil)
	f, err := other.next()
	if err != nil || f.kind != kindAnswer || f.id != 7 {
		t.Fatalf("%+v, %v; want an answer", f, err)
	}
	if err := refusal(&f.body); err == nil || !strings.Contains(err.Error(), errOver.Err.Error()) {
		t.Errorf("the answer is %v, want %v", err, errOver)
	}
}

// A connection that comes after the attempt was given up is not kept for nobody.
func TestLateConnection(t *testing.T) {
	l, other := pipe(t)
	d := &Dialer{link: l}
	var body enc
	encodeConnection(&body, nil)
	body.bool(false)
	body.str("")
	if err := d.take(frame{kind: kindOpened, id: 9, body: dec{b: body.b}}); err != nil {
		t.Fatal(err)
	}
	l.send(kindPing, 0, nil)
	if f, err := other.next(); err != nil || f.kind != kindClose || f.id != 9 {
		t.Errorf("%+v, %v; want that 9 is closed", f, err)
	}
}

// many are keys without number.
type many struct{ *keys }

func (m many) Signers(ctx context.Context, t ssh.Target) ([]xssh.Signer, error) {
	list, err := m.keys.Signers(ctx, t)
	return slices.Repeat(list, 20_000), err
}

// What is too large to be told ends one attempt, and not all of the run.
func TestLargeAnswer(t *testing.T) {
	r := newRig(t, simfleet.Options{Hosts: 1})
	d := r.dialer(t, Options{HostKeys: r.keys, Identities: many{r.keys}})
	a, _ := r.attempt(0, "echo must not run")
	if end := run(t.Context(), d, a); end.Outcome != fleet.OutcomeNeverStarted || end.Reason == fleet.ReasonHolderLost || end.Err == nil {
		t.Errorf("%+v", end)
	}
	if err := d.whyLost(); err != nil {
		t.Error(err)
	}
	r.ran(t, 0)
}

// A run that is stopped while a held command waits for its intent does not keep the holder waiting.
func TestStoppedRun(t *testing.T) {
	r := newRig(t, simfleet.Options{Hosts: 1})
	r.Holder.intentTime = 50 * time.Millisecond
	a, _ := r.attempt(0, "echo must not run")
	written := make(chan struct{})
	a.Hold, a.Intent = true, func() error { <-written; return nil }
	end := run(t.Context(), r.Dialer, a)
	close(written)
	if end.Outcome != fleet.OutcomeNeverStarted || end.Reason != fleet.ReasonSessionTimeout {
		t.Errorf("%+v", end)
	}
	if err := r.Dialer.Close(); err != nil {
		t.Error(err)
	}
	r.ran(t, 0)
}

// A drain that comes while the holder asks for the intent is no failure of the journal.
func TestDrainedIntent(t *testing.T) {
	r := newRig(t, simfleet.Options{Hosts: 1})
	a, _ := r.attempt(0, "echo must not run")
	a.Hold = true
	a.Execution.Withdraw(errors.New("stopped"))
	if end := run(t.Context(), r.Dialer, a); end.Outcome != fleet.OutcomeCancelled || end.Reason != fleet.ReasonInterrupted {
		t.Errorf("%+v", end)
	}
	r.ran(t, 0)
}

// An unread is a Stream without anything so far.
type unread struct {
	mu    sync.Mutex
	text  string
	early bool // it was read before it could tell of more
	wake  func()
}

func (s *unread) Notify(wake func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake = wake
}

func (s *unread) Next(p []byte, at int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.early = s.early || s.wake == nil
	return copy(p, s.text[at:]), nil
}

// A holder that asks for input before the attempt's Stream can tell of more, gets it nevertheless: the password for sudo,
// for example, is there once sudo has asked.
func TestInputAskedForEarly(t *testing.T) {
	l, other := pipe(t)
	d := &Dialer{link: l, attempts: make(map[uint32]*remote)}
	in := new(unread)
	r := d.newRemote(t.Context(), &ssh.Attempt{Progress: new(ssh.Progress), Stream: in})
	r.want(window)
	d.all.Wait()
	in.text = "the password\n" // of which it cannot tell
	r.serveInput()
	f, err := other.next()
	got := string(f.body.bytes())
	d.all.Wait()
	r.finished()
	if err != nil || f.kind != kindInput || got != in.text || in.early {
		t.Errorf("%v %q, %v; want %q; read too early: %t", f.kind, got, err, in.text, in.early)
	}
}

// A holder does not remember the commands that a run has done: there is no limit to these.
func TestDoneIsForgotten(t *testing.T) {
	r := newRig(t, simfleet.Options{Hosts: 2})
	ctx, cancel := context.WithCancel(t.Context())
	a, _ := r.attempt(1, "sleep 3600")
	done := make(chan fleet.End, 1)
	go func() { done <- run(ctx, r.Dialer, a) }()
	for a.Timeline.Phase() != fleet.PhaseRun {
		time.Sleep(time.Millisecond)
	}
	var s *session
	r.askers.Range(func(_, w any) bool { s = w.(*work).session; return false })
	for range 3 {
		b, _ := r.attempt(0, "echo ran")
		c, err := r.Dial(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		over := make(chan struct{})
		c.Start(t.Context(), func(fleet.End) { close(over) }) // Close may be left out: it is not kept
		<-over
	}
	s.mu.Lock()
	n := len(s.conns)
	s.mu.Unlock()
	if n != 1 {
		t.Errorf("%d connections are remembered, want that of the command that runs", n)
	}
	cancel()
	<-done
}

// The end of an attempt wakes whoever begins to wait for the run just then.
func TestWaitEndsWithAttempt(t *testing.T) {
	h := NewHolder(HolderOptions{})
	t.Cleanup(func() { _ = h.Close() })
	l, _ := pipe(t)
	s := newSession(t.Context(), h, &line{}, l)
	s.settings[1] = new(ssh.Settings)
	var body enc
	a := &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: fleet.Target{Host: fleet.Host{Name: "h"}, User: "u", Port: 22}}}
	encodeAttempt(&body, a, []uint32{1}, 0, 0)
	w, err := s.order(1, &dec{b: body.b})
	if err != nil {
		t.Fatal(err)
	}
	var over sync.WaitGroup
	over.Go(func() { // as allowed does
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.ctx.Err() == nil {
			w.cancel(errOver)
			time.Sleep(20 * time.Millisecond) // so that the end is told now, if it can be
			w.changed.Wait()
		}
	})
	over.Wait()
}
