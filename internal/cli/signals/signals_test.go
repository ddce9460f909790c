package signals

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"
)

// faults.md: R13
func TestStopper(t *testing.T) {
	type press struct {
		sig   os.Signal
		after time.Duration
	}
	for name, c := range map[string]struct {
		presses []press
		drained bool
		aborted bool
	}{
		"nothing":          {nil, false, false},
		"once":             {[]press{{os.Interrupt, 0}}, true, false},
		"twice at once":    {[]press{{os.Interrupt, 0}, {os.Interrupt, abortWindow}}, true, true},
		"twice, too slow":  {[]press{{os.Interrupt, 0}, {os.Interrupt, abortWindow + 1}}, true, false},
		"slow, then twice": {[]press{{os.Interrupt, 0}, {os.Interrupt, time.Minute}, {os.Interrupt, 0}}, true, true},
		"terminated":       {[]press{{syscall.SIGTERM, 0}}, true, true},
		"hung up":          {[]press{{syscall.SIGHUP, 0}}, true, true},
	} {
		said := 0
		ctx, s := Watch(t.Context(), func(bool) { said++ })
		at := time.Now()
		for _, p := range c.presses {
			at = at.Add(p.after)
			s.onSignal(p.sig, at)
		}
		select {
		case <-s.Drained:
			if !c.drained {
				t.Errorf("%s: drained", name)
			}
		default:
			if c.drained {
				t.Errorf("%s: not drained", name)
			}
		}
		if got := ctx.Err() != nil; got != c.aborted {
			t.Errorf("%s: aborted = %v, want %v", name, got, c.aborted)
		}
		if c.aborted && !errors.Is(context.Cause(ctx), errInterrupted) {
			t.Errorf("%s: cause %v", name, context.Cause(ctx))
		}
		if said != len(c.presses) || s.Requested() != c.drained {
			t.Errorf("%s: said %d times of %d, requested = %v", name, said, len(c.presses), s.Requested())
		}
		s.End()
	}
}

// SIGHUP does not stop a run if it was ignored when the program started, as
// under nohup(1).
func TestHangupIgnored(t *testing.T) {
	signal.Ignore(syscall.SIGHUP)
	defer signal.Reset(syscall.SIGHUP)
	said := 0
	ctx, s := Watch(t.Context(), func(bool) { said++ })
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM} {
		if err := syscall.Kill(os.Getpid(), sig); err != nil {
			t.Fatal(err)
		}
	}
	<-ctx.Done()
	s.End()
	if said != 1 {
		t.Errorf("%d signals were heard, want SIGTERM alone", said)
	}
}

// What the process was started to ignore stays ignored.
func TestIgnoredStaysIgnored(t *testing.T) {
	signal.Ignore(os.Interrupt)
	defer signal.Reset(os.Interrupt)
	_, s := Watch(t.Context(), func(bool) {})
	defer s.End()
	if !signal.Ignored(os.Interrupt) || signal.Ignored(syscall.SIGTERM) {
		t.Errorf("SIGINT ignored: %v, SIGTERM: %v", signal.Ignored(os.Interrupt), signal.Ignored(syscall.SIGTERM))
	}
}
