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

// abortWindow is how soon a second Ctrl-C has to follow to abort: 1 s.
const abortWindow = time.Second

var errInterrupted = errors.New("the run was interrupted")

// A stopper turns signals into the two stops of a run. The first Ctrl-C drains:
// no command is started any more, those that run are waited for. Another one
// within abortWindow of the last aborts, and so does SIGTERM or SIGHUP at once.
type Stopper struct {
	Drained    chan struct{} // closed by the first stop
	terminated chan struct{} // closed by the first SIGTERM or SIGHUP
	hurried    chan struct{} // closed by a signal after an abort
	abort      context.CancelCauseFunc
	say        func(aborting bool)

	signals   chan os.Signal // sent by package signal, closed by end after signal.Stop
	listening sync.WaitGroup

	once      sync.Once // closes drained
	terminate sync.Once // closes terminated
	hurry     sync.Once // closes hurried
	mu        sync.Mutex
	last      time.Time // of the last signal; zero when there was none
	aborted   bool
}

// watchSignals listens until end is called. The context that is given ends at an
// abort. say is told of every signal after it was obeyed; it must not wait for a
// terminal, or the next signal waits too.
func Watch(ctx context.Context, say func(aborting bool)) (context.Context, *Stopper) {
	ctx, abort := context.WithCancelCause(ctx)
	s := &Stopper{
		Drained: make(chan struct{}), terminated: make(chan struct{}), hurried: make(chan struct{}),
		abort: abort, say: say, signals: make(chan os.Signal, 8),
	}
	signal.Notify(s.signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // nohup(1) is for runs that outlive their terminal
		signal.Notify(s.signals, syscall.SIGHUP)
	}
	s.listening.Go(func() {
		for sig := range s.signals {
			s.onSignal(sig, time.Now())
		}
	})
	return ctx, s
}

func (s *Stopper) End() {
	signal.Stop(s.signals)
	close(s.signals)
	s.listening.Wait()
	s.abort(nil)
}

func (s *Stopper) onSignal(sig os.Signal, at time.Time) {
	s.mu.Lock()
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

// Patience is how long to wait for who reads our output.
func (s *Stopper) Patience() Patience { return Patience{s.terminated, s.hurried} }

// UnlessHurried gives a context that ends when somebody cannot wait for what
// follows an abort.
func (s *Stopper) UnlessHurried(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-s.hurried:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// Drain is the first stop, for a signal or for results that cannot be written.
func (s *Stopper) Drain() { s.once.Do(func() { close(s.Drained) }) }

// Requested says whether a signal came.
func (s *Stopper) Requested() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.last.IsZero()
}

// readerGrace is how long a reader may take nothing, once this process was
// told to end, until what is left is not shown any more.
const readerGrace = time.Second

// A patience says how long to wait for a reader of our output. The zero value
// waits for ever.
type Patience struct {
	terminated <-chan struct{} // closed by SIGTERM and SIGHUP: no longer than readerGrace without progress
	hurried    <-chan struct{} // closed by a signal after an abort: not at all
}

// Wait waits for done, and reports whether it is closed.
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
