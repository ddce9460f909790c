package engine_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/ssh"
)

// Commands on connections that are held have no login to space them. Where something slow is
// common to all of them, such as a jump host, they are not sent all at once: the last ones would
// not be answered before the deadline, and it would be unknown whether they ran.
func TestHeldBehindSomethingSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, each, deadline = 5000, 5 * time.Millisecond, 15 * time.Second
		var mu sync.Mutex
		var free time.Time // when what is slow has done all that it was sent
		s := &stub{
			dial: func(_ context.Context, a *ssh.Attempt) error {
				a.Connection = &fleet.Connection{Held: true}
				return nil
			},
			run: func(_ context.Context, a *ssh.Attempt) fleet.End {
				a.Timeline.Enter(fleet.PhaseExec)
				mu.Lock()
				if now := time.Now(); free.Before(now) {
					free = now
				}
				free = free.Add(each)
				wait := time.Until(free)
				mu.Unlock()
				if wait > deadline {
					time.Sleep(deadline)
					return fleet.End{Outcome: fleet.OutcomeUnknown, Reason: fleet.ReasonExecTimeout, Phase: fleet.PhaseExec}
				}
				time.Sleep(wait)
				a.Timeline.Enter(fleet.PhaseRun)
				return fleet.End{Outcome: fleet.OutcomeOK, Phase: fleet.PhaseDrain, Flags: fleet.FlagExitKnown}
			},
		}
		begun := time.Now()
		counts := tally(t, t.Context(), engine.Options{Dialer: s, Fanout: n}, n, targets(n, n))
		if counts[fleet.OutcomeOK] != n {
			t.Errorf("%v", counts)
		}
		if took := time.Since(begun); took > n*each+time.Second {
			t.Errorf("it took %v, and what is slow needs %v", took, n*each)
		}
	})
}
