package engine

import (
	"strings"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/engine/limiter"
)

func TestBackoffIsBounded(t *testing.T) {
	for _, reason := range []fleet.Reason{fleet.ReasonConnReset, fleet.ReasonThrottled} {
		for n := 1; n <= MaxAttempts; n++ {
			for range 10 {
				if wait := backoff(reason, n); wait < 0 || wait > 30*time.Second {
					t.Fatalf("%s: %v after attempt %d", reason, wait, n)
				}
			}
		}
	}
}

// A panic while the lock is held is the target's result, and the lock is free.
func TestPanicUnderTheLock(t *testing.T) {
	r := newRun(t.Context(), Options{Fanout: 1, Attempts: 3, MaxHeld: -1}.withDefaults())
	r.owed = 1
	f := newAttempt(r, &limiter.Job{Attempts: -2}) // no wait follows attempt -1
	f.finish(fleet.End{Outcome: fleet.OutcomeNeverStarted, Reason: fleet.ReasonConnReset})
	if !r.mu.TryLock() {
		t.Fatal("the lock is kept")
	}
	defer r.mu.Unlock()
	if len(r.out) != 1 || r.owed != 0 {
		t.Fatalf("%d results, %d owed; want 1 and 0", len(r.out), r.owed)
	}
	res := r.out[0].result
	if res.Outcome != fleet.OutcomeNeverStarted || res.Reason != fleet.ReasonInternal || !strings.HasPrefix(res.Err.Error(), "panic: ") {
		t.Errorf("%v %s %v, want never_started internal with the panic's text", res.Outcome, res.Reason, res.Err)
	}
}
