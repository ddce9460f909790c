package display

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"shoal/fleet"
	"shoal/internal/cli/console"
	"shoal/internal/cli/flags"
	"shoal/internal/cli/signals"
	"shoal/record"
)

// Each destination that fails is named, once.
func TestLose(t *testing.T) {
	var said strings.Builder
	drains := 0
	o := &Results{Stderr: &said, OnLost: func() { drains++ }}
	first := errors.New("the first of the display")
	o.Lose("display", first)
	o.Lose("display", errors.New("another of the display"))
	o.Lose("journal's end", errors.New("that of the journal"))
	if text := said.String(); !strings.Contains(text, first.Error()) || !strings.Contains(text, "that of the journal") ||
		strings.Contains(text, "another") || drains != 2 {
		t.Errorf("%d drains, said:\n%s", drains, text)
	}
	if err := o.Failure(); !errors.Is(err, first) {
		t.Errorf("the failure is %v", err)
	}
}

// A blocked reader.
type blocked chan struct{}

func (b blocked) Write(p []byte) (int, error) {
	<-b
	return len(p), nil
}

// A run that ends early, with nobody reading its output, ends at SIGTERM.
func TestAbandonEnds(t *testing.T) {
	b := make(blocked)
	defer close(b)
	_, stop := signals.Watch(t.Context(), func(bool) {})
	defer stop.End()
	f := &OutputFlags{Progress: flags.Choice{Value: "never"}}
	out, err := New(f, console.Stdio{In: strings.NewReader(""), Out: b, Err: b}, record.Header{Run: "r", Targets: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	out.Take(fleet.Result{End: fleet.End{Outcome: fleet.OutcomeOK}, Stdout: fleet.Output{Bytes: []byte("x\n"), Size: 2}})
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := out.Abandon(stop.Patience()); err != nil {
		t.Error(err)
	}
}

// After a run that was not all ok one line says what to do next.
func TestNext(t *testing.T) {
	const begin = "run 1abc; next: "
	end := func(o fleet.Outcome, reason fleet.Reason) fleet.Result {
		return fleet.Result{End: fleet.End{Outcome: o, Reason: reason}}
	}
	for name, c := range map[string]struct {
		results  []fleet.Result
		recorded *Recorded
		quiet    bool
		want     string
	}{
		"all ok":     {[]fleet.Result{end(fleet.OutcomeOK, "")}, &Recorded{Run: "1abc"}, false, ""},
		"failed":     {[]fleet.Result{end(fleet.OutcomeOK, ""), end(fleet.OutcomeFailed, "")}, &Recorded{Run: "1abc"}, false, begin + "shoal rerun last failed\n"},
		"no journal": {[]fleet.Result{end(fleet.OutcomeFailed, "")}, nil, false, ""},
		"JSON":       {[]fleet.Result{end(fleet.OutcomeFailed, "")}, &Recorded{Run: "1abc"}, true, ""},
		"stopped": {
			[]fleet.Result{end(fleet.OutcomeCancelled, fleet.ReasonInterrupted), end(fleet.OutcomeUnknown, fleet.ReasonInterrupted)},
			&Recorded{Run: "1abc"}, false,
			begin + "shoal resume last, shoal show last --only unknown\n",
		},
		"with markers": {[]fleet.Result{end(fleet.OutcomeUnknown, fleet.ReasonConnReset)}, &Recorded{Run: "1abc", Marked: true}, false, begin + "shoal resolve last\n"},
		"its own brake": {
			[]fleet.Result{end(fleet.OutcomeCancelled, fleet.ReasonBrake)},
			&Recorded{Run: "1abc", StateDir: "dir"}, false,
			"run 1abc (--state-dir dir); next: shoal resume --past-brake last\n",
		},
	} {
		o := &Results{Recorded: c.recorded, quiet: c.quiet}
		for _, r := range c.results {
			o.Summary.Add(r)
		}
		if got := o.next(); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// A reason whose error has no hint has the usual one, once; an error's own takes its place. They
// are in the order of the reasons' names, whichever host failed first.
func TestHints(t *testing.T) {
	var h hints
	for _, r := range []fleet.Result{
		{End: fleet.End{Outcome: fleet.OutcomeNeverStarted, Reason: fleet.ReasonConnRefused, Err: errors.New("connection refused")}},
		{End: fleet.End{Outcome: fleet.OutcomeNeverStarted, Reason: fleet.ReasonConnRefused, Err: errors.New("connection refused")}},
		{End: fleet.End{Outcome: fleet.OutcomeNeverStarted, Reason: fleet.ReasonNameNotFound, Err: errors.New("no such host")}},
		{End: fleet.End{Outcome: fleet.OutcomeNeverStarted, Reason: fleet.ReasonBannerTimeout, Err: errors.New("too late\nhint: its own")}},
		{End: fleet.End{Outcome: fleet.OutcomeUnknown, Reason: fleet.ReasonConnReset, Err: errors.New("reset")}},
		{End: fleet.End{Outcome: fleet.OutcomeUnknown, Reason: fleet.ReasonInternal, Err: errors.New("x")}},
	} {
		h.add(r)
	}
	var b strings.Builder
	h.print(&b)
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	for i, want := range []string{
		"hint: banner_timeout: its own", "hint: conn_refused: nothing listens there: ",
		"hint: conn_reset: the log of sshd ", "hint: name_not_found: check the spelling ",
		"hint: to read more: shoal explain banner_timeout conn_refused conn_reset internal name_not_found",
	} {
		if len(lines) != 5 || !strings.HasPrefix(lines[i], want) {
			t.Errorf("%q does not begin with %q", lines, want)
		}
	}
}

// Messages are broken between words where the terminal ends.
func TestMessagesAreBroken(t *testing.T) {
	for columns, want := range map[int]string{20: "hint: delete line 41\n  of kh\n", 0: "hint: delete line 41 of kh\n"} {
		var b strings.Builder
		m := newMessages(&b, func() int { return columns })
		_, _ = m.Write([]byte("hint: delete line 41 of kh\n"))
		m.flush()
		m.close()
		if b.String() != want {
			t.Errorf("%d columns: %q, want %q", columns, b.String(), want)
		}
	}
}
