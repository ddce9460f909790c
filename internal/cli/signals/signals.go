// Package signals turns SIGINT, SIGTERM and SIGHUP into the two stops of a run:
// drain and abort. It does not handle job control (SIGTSTP, SIGCONT) or SIGUSR1
// and SIGUSR2, which are in package run.
package signals

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// abortWindow is the time within which a second Ctrl-C aborts: 1 s.
const abortWindow = time.Second

var errInterrupted = errors.New("the run was interrupted")

// A Stopper turns signals into the two stops of a run. The first Ctrl-C drains:
// no command is started any more, running commands are waited for. Another
// within abortWindow of the last aborts, and SIGTERM or SIGHUP aborts at once.
type Stopper struct {
	Drained    chan struct{} // closed by the first stop
	terminated chan struct{} // closed by the first SIGTERM or SIGHUP
	hurried    chan struct{} // closed by a signal after an abort
	abort      context.CancelCauseFunc
	say        func(aborting bool)

	signals   chan os.Signal // sent by package signal, closed by End after signal.Stop
	listening sync.WaitGroup

	once      sync.Once // closes Drained
	terminate sync.Once // closes terminated
	hurry     sync.Once // closes hurried
	mu        sync.Mutex
	last      time.Time // of the last signal; zero: none yet
	aborted   bool
	elsewhere func() bool // see Elsewhere
}

// Watch listens until End is called; a signal that was ignored when this process began stays
// ignored. The returned context ends at an abort. say
// is called after each signal has had its effect; it must not block on a
// terminal, or the next signal waits too.
func Watch(ctx context.Context, say func(aborting bool)) (context.Context, *Stopper) {
	ctx, abort := context.WithCancelCause(ctx)
	s := &Stopper{
		Drained: make(chan struct{}), terminated: make(chan struct{}), hurried: make(chan struct{}),
		abort: abort, say: say, signals: make(chan os.Signal, 8),
	}
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(sig) { // nohup(1) is for runs that outlive their terminal
			signal.Notify(s.signals, sig)
		}
	}
	s.listening.Go(func() {
		for sig := range s.signals {
			s.onSignal(sig, time.Now())
		}
	})
	return ctx, s
}

// End stops listening.
func (s *Stopper) End() {
	signal.Stop(s.signals)
	close(s.signals)
	s.listening.Wait()
	s.abort(nil)
}

// Interrupt is a Ctrl-C that came as a key.
func (s *Stopper) Interrupt() { s.onSignal(os.Interrupt, time.Now()) }

// Elsewhere has SIGINT ignored while f reports that another program has the terminal, such as
// a pager: Ctrl-C is for that.
func (s *Stopper) Elsewhere(f func() bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.elsewhere = f
}

func (s *Stopper) onSignal(sig os.Signal, at time.Time) {
	s.mu.Lock()
	if sig == os.Interrupt && s.elsewhere != nil && s.elsewhere() {
		s.mu.Unlock()
		return
	}
	second := !s.last.IsZero() && at.Sub(s.last) <= abortWindow
	aborting := second || sig != os.Interrupt
	hurrying := s.aborted
	s.last, s.aborted = at, s.aborted || aborting
	s.mu.Unlock()
	if sig != os.Interrupt {
		s.terminate.Do(func() { close(s.terminated) })
	}
	if hurrying {
		s.hurry.Do(func() { close(s.hurried) })
		return
	}
	s.Drain()
	if aborting {
		s.abort(errInterrupted)
	}
	s.say(aborting)
}

// Patience returns how long to wait for the reader of our output.
func (s *Stopper) Patience() Patience { return Patience{s.terminated, s.hurried} }

// Hurried returns a channel that is closed by a signal after an abort.
func (s *Stopper) Hurried() <-chan struct{} { return s.hurried }

// Terminated returns a channel that is closed by the first SIGTERM or SIGHUP.
func (s *Stopper) Terminated() <-chan struct{} { return s.terminated }

// Drain is the first stop: for a signal, or when results cannot be written.
func (s *Stopper) Drain() { s.once.Do(func() { close(s.Drained) }) }

// Requested reports whether a signal was received.
func (s *Stopper) Requested() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.last.IsZero()
}

// readerGrace is how long a reader may block, once this process was told to
// end, before the remaining output is dropped.
const readerGrace = time.Second

// A Patience is how long to wait for the reader of our output. The zero value
// waits for ever.
type Patience struct {
	terminated <-chan struct{} // closed by SIGTERM, SIGHUP: readerGrace without progress
	hurried    <-chan struct{} // closed by a signal after an abort: no wait
}

// Wait waits for done and reports whether it is closed. progress returns a
// count that changes while the reader still reads.
func (p Patience) Wait(done <-chan struct{}, progress func() int) bool {
	select {
	case <-done:
		return true
	case <-p.hurried:
		return false
	case <-p.terminated:
	}
	for last := -1; ; {
		at := progress()
		if at == last {
			return false
		}
		last = at
		select {
		case <-done:
			return true
		case <-p.hurried:
			return false
		case <-time.After(readerGrace):
		}
	}
}
