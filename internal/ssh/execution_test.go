package ssh

import (
	"errors"
	"testing"

	"shoal/fleet"
)

// Each row is one attempt: the events of its command, and the true outcome when it
// fails and when it is stopped.
func TestExecution(t *testing.T) {
	type step func(e *Execution)
	intend := func(e *Execution) {
		if stopped, err := e.intend(nil); stopped != nil || err != nil {
			t.Errorf("the intent: %v, %v", stopped, err)
		}
	}
	write := func(n int) step {
		return func(e *Execution) {
			if e.Writing() {
				e.Wrote(n)
			}
		}
	}
	queue := func(e *Execution) { e.Queue(100) }
	rejected := func(e *Execution) { e.Rejected(0) }
	refused := func(e *Execution) { e.Refused() }
	fails := func(e *Execution) { _ = e.Failed() }
	const (
		never, unknown, cancelled = fleet.OutcomeNeverStarted, fleet.OutcomeUnknown, fleet.OutcomeCancelled
	)
	for name, c := range map[string]struct {
		steps               []step
		failed, interrupted fleet.Outcome
		flush               bool // what is queued may still leave after that
	}{
		"nothing":                            {nil, never, cancelled, true},
		"connected":                          {[]step{(*Execution).Connected, write(50)}, never, cancelled, true},
		"intended":                           {[]step{intend}, never, never, true},
		"queued":                             {[]step{intend, queue}, never, never, false},
		"left but for a byte":                {[]step{intend, queue, write(99)}, never, never, false},
		"left":                               {[]step{intend, queue, write(99), write(1)}, unknown, unknown, true},
		"leaving":                            {[]step{intend, queue, func(e *Execution) { e.Writing() }}, unknown, unknown, true},
		"left after the end":                 {[]step{intend, queue, write(99), fails, write(1)}, never, never, false},
		"rejected":                           {[]step{intend, queue, write(100), rejected}, never, never, false},
		"rejected, the next request waits":   {[]step{intend, queue, write(100), rejected, write(0)}, never, never, false},
		"rejected, the next request left":    {[]step{intend, queue, write(100), rejected, write(10)}, unknown, unknown, true},
		"rejected twice":                     {[]step{intend, queue, write(100), rejected, write(10), rejected}, never, never, false},
		"rejected and let in":                {[]step{intend, queue, write(100), rejected, (*Execution).LetIn}, unknown, unknown, true},
		"rejected with some waiting":         {[]step{intend, queue, write(90), func(e *Execution) { e.Rejected(10) }, write(10)}, never, never, false},
		"rejected, ended, then the request":  {[]step{intend, queue, write(100), rejected, fails, write(10)}, never, never, false},
		"ignored":                            {[]step{intend, queue, write(100), rejected, (*Execution).Ignored, write(10)}, never, never, true},
		"ignored and sent anew":              {[]step{intend, queue, write(100), (*Execution).Ignored, intend, queue, write(100)}, unknown, unknown, true},
		"refused":                            {[]step{intend, queue, write(100), refused, write(10), (*Execution).LetIn}, never, never, true},
		"refused with some waiting":          {[]step{intend, queue, write(90), refused}, never, never, false},
		"refused before it left":             {[]step{intend, queue, write(90), refused, write(10)}, never, never, false},
		"started":                            {[]step{intend, queue, write(100), (*Execution).Started}, unknown, unknown, true},
		"started and refused":                {[]step{intend, queue, write(100), (*Execution).Started, refused}, unknown, unknown, true},
		"started and rejected":               {[]step{intend, queue, write(100), (*Execution).Started, rejected}, unknown, unknown, true},
		"refused and started":                {[]step{intend, queue, write(100), refused, (*Execution).Started}, unknown, unknown, true},
		"not started by the far end":         {[]step{intend, queue, write(100), (*Execution).Started, (*Execution).NotStarted}, never, never, true},
		"left, and a second connection":      {[]step{intend, queue, write(100), (*Execution).Connected}, unknown, unknown, true},
		"refused, and a second connection":   {[]step{intend, queue, write(100), refused, (*Execution).Connected}, never, never, true},
		"discarded, and a second connection": {[]step{intend, queue, fails, (*Execution).Connected, queue, write(100)}, unknown, unknown, true},
	} {
		for want, ask := range map[fleet.Outcome]func(*Execution) fleet.Outcome{
			c.failed: (*Execution).Failed, c.interrupted: (*Execution).Interrupted,
		} {
			var e Execution
			for _, s := range c.steps {
				s(&e)
			}
			if got := ask(&e); got != want || e.CanFlush() != c.flush {
				t.Errorf("%s: %v, flush %t; want %v, %t", name, got, e.CanFlush(), want, c.flush)
			}
			for _, o := range []fleet.Outcome{never, cancelled, fleet.OutcomeRefused} {
				want := o
				if c.failed == unknown {
					want = unknown
				} else if o == cancelled && c.interrupted != cancelled {
					want = never
				}
				if got := e.Check(o); got != want {
					t.Errorf("%s: %v is checked to be %v, want %v", name, o, got, want)
				}
			}
			if got := e.Check(fleet.OutcomeOK); got != fleet.OutcomeOK {
				t.Errorf("%s: ok is checked to be %v", name, got)
			}
		}
	}
}

// An intent is recorded once for each time that the command is queued, and not
// after Withdraw, which succeeds only before the first.
func TestIntentAndWithdrawal(t *testing.T) {
	written, disk := 0, error(nil)
	a := &Attempt{Progress: new(Progress), Intent: func() error { written++; return disk }}
	for i := range 2 {
		if f := a.Intend(); f != nil || written != 1 {
			t.Errorf("intent %d: %v, written %d times; want 1", i, f, written)
		}
	}
	if a.Execution.Withdraw(errors.New("stopped")) {
		t.Error("withdrawn after an intent")
	}
	a.Execution.Queue(1)
	if f := a.Intend(); f == nil || f.Outcome != fleet.OutcomeNeverStarted || f.Reason != fleet.ReasonInterrupted || written != 1 {
		t.Errorf("another intent: %v, written %d times", f, written)
	}

	a = &Attempt{Progress: new(Progress), Intent: a.Intent}
	stopped := errors.New("stopped")
	if !a.Execution.Withdraw(stopped) {
		t.Error("not withdrawn before an intent")
	}
	if f := a.Intend(); f == nil || f.Outcome != fleet.OutcomeCancelled || !errors.Is(f, stopped) || written != 1 {
		t.Errorf("an intent after that: %v, written %d times", f, written)
	}

	a, disk = &Attempt{Progress: new(Progress), Intent: a.Intent}, errors.New("full")
	for range 2 {
		if f := a.Intend(); f == nil || f.Outcome != fleet.OutcomeNeverStarted || f.Reason != fleet.ReasonStoreFailed || !errors.Is(f, disk) {
			t.Errorf("an intent that cannot be written: %v", f)
		}
	}
	if written != 3 || !a.Execution.Intended() {
		t.Errorf("written %d times, intended %t; want 3, true: it may have been", written, a.Execution.Intended())
	}
}
