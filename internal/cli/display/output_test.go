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
