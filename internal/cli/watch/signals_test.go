package watch

import (
	"bytes"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"shoal/fleet"
	"shoal/internal/output"
	shoalrun "shoal/internal/run"
	"shoal/internal/watch"
	"shoal/record"
)

// A watch whose output nobody reads ends at a signal, and aborts at a second one: neither waits for
// what is shown to be read.
func TestSignalsWhileNobodyReads(t *testing.T) {
	defer goleak.VerifyNone(t)
	ours := make(chan os.Signal, 10) // a third one must not end the test
	signal.Notify(ours, syscall.SIGTERM)
	defer signal.Stop(ours)
	w := &watcher{
		stop: make(chan struct{}), view: &view{stderr: io.Discard, out: output.Out{}, quit: make(chan struct{})},
	}
	w.view.mu.Lock() // as while a tick is printed
	aborted := false
	ctx, end := w.onSignals(t.Context(), func() { aborted = true })
	for _, effect := range []<-chan struct{}{w.stop, ctx.Done()} {
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		select {
		case <-effect:
		case <-time.After(time.Minute):
			t.Fatal("a signal waits for the reader of our output")
		}
	}
	w.view.mu.Unlock()
	end()
	if !aborted {
		t.Error("the second signal did not abort")
	}
}

// While nobody reads what a tick has to say, the results of other ticks are taken, and so recorded.
func TestResultsWhileNobodyReads(t *testing.T) {
	defer goleak.VerifyNone(t)
	out := &stalled{begun: make(chan struct{}), read: make(chan struct{})}
	w := &watcher{
		flags: &watchFlags{json: true}, compare: watch.New(watch.Options{}), kinds: make(map[watch.Kind]int), busy: make(map[int]int),
		view: &view{stderr: io.Discard, out: output.Out{W: out}, quit: make(chan struct{})}, run: new(shoalrun.Watch), total: 1,
		header: record.Header{Targets: 1},
	}
	result := fleet.Result{Target: fleet.Target{Host: fleet.Host{Name: "web1"}}, End: fleet.End{Outcome: fleet.OutcomeOK}}
	tick := func(n int) *round {
		return &round{Due: watch.Due{N: n}, began: time.Now(), dialled: make(map[fleet.DialReason]int)}
	}
	first, second := tick(1), tick(2)
	w.take(first, &result)
	shown := make(chan error, 2) // sent by the goroutines below
	go func() { shown <- w.finish(t.Context(), first) }()
	<-out.begun
	taken := make(chan struct{}) // closed by the goroutine
	go func() {
		defer close(taken)
		w.take(second, &result)
	}()
	select {
	case <-taken:
	case <-time.After(time.Minute):
		t.Error("a result waits for the reader of our output")
	}
	go func() { shown <- w.finish(t.Context(), second) }()
	close(out.read)
	for range cap(shown) {
		if err := <-shown; err != nil {
			t.Error(err)
		}
	}
	<-taken
	if lines := bytes.Count(out.text.Bytes(), []byte{'\n'}); lines != 2 {
		t.Errorf("%d lines of two ticks", lines)
	}
}

// A stalled is a reader of our output that does not read before read is closed.
type stalled struct {
	begun, read chan struct{}
	once        sync.Once // closes begun
	text        bytes.Buffer
}

func (s *stalled) Write(p []byte) (int, error) {
	s.once.Do(func() { close(s.begun) })
	<-s.read
	return s.text.Write(p)
}
