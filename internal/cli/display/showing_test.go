package display

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"shoal/fleet"
	"shoal/internal/cli/signals"
)

func large(index int) fleet.Result {
	return fleet.Result{Target: fleet.Target{Index: index}, Stdout: fleet.Output{Bytes: make([]byte, maxShowing/2+1)}}
}

// After an abort the results of all that ran come at once. A reader that goes on reading gets
// all of them, though more come than may wait.
func TestAbortWaitsForAReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shown []int
		s := newShowing(func(r fleet.Result) {
			time.Sleep(readerGrace / 2)
			shown = append(shown, r.Target.Index)
		})
		ctx, abort := context.WithCancel(t.Context())
		defer s.AbortWith(ctx, nil)()
		abort()
		synctest.Wait()
		const n = 20
		for i := range n {
			s.push(large(i))
		}
		if left := s.end(signals.Patience{}); left != 0 || len(shown) != n {
			t.Errorf("%d of %d are shown, %d are left", len(shown), n, left)
		}
	})
}

// A reader that has stopped is waited for once.
func TestAbortDropsWithoutAReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := newShowing(func(fleet.Result) { <-gate })
		ctx, abort := context.WithCancel(t.Context())
		defer s.AbortWith(ctx, nil)()
		abort()
		synctest.Wait()
		begun := time.Now()
		const n = 20
		for i := range n {
			s.push(large(i))
		}
		if took := time.Since(begun); took != readerGrace {
			t.Errorf("waited %v, want %v", took, readerGrace)
		}
		close(gate)
		if left := s.end(signals.Patience{}); left != n-2 {
			t.Errorf("%d are left, want all but the two that had room", left)
		}
	})
}

// A signal after an abort ends the wait, for a reader that goes on reading too.
func TestHurryWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShowing(func(fleet.Result) { time.Sleep(readerGrace / 2) })
		ctx, abort := context.WithCancel(t.Context())
		hurried := make(chan struct{})
		defer s.AbortWith(ctx, hurried)()
		abort()
		time.AfterFunc(2*readerGrace, func() { close(hurried) })
		begun := time.Now()
		for i := range 20 {
			s.push(large(i))
		}
		if took := time.Since(begun); took != 2*readerGrace {
			t.Errorf("waited %v, want %v", took, 2*readerGrace)
		}
		if left := s.end(signals.Patience{}); left == 0 {
			t.Error("all are shown")
		}
	})
}
