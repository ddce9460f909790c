package engine_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/ssh"
)

// A far is a network and servers far away, before a machine with two processors.
type far struct {
	rtt, login time.Duration
	work       time.Duration // of a processor, for each half of a handshake
	cpu        chan struct{} // has room for the processors
	agent      time.Duration // of the only agent, for each signature; 0: keys are in files

	signing chan struct{} // has room for one

	mu       sync.Mutex
	unsigned int // connects that are not signed
	most     int
}

// dial is a handshake as the client has it, up to the answer to the login.
func (f *far) dial(_ context.Context, a *ssh.Attempt) error {
	f.count(+1)
	a.Timeline.Enter(fleet.PhaseDial)
	time.Sleep(f.rtt)
	a.Timeline.Enter(fleet.PhaseBanner)
	time.Sleep(f.rtt)
	a.Timeline.Enter(fleet.PhaseKex)
	f.compute()
	time.Sleep(f.rtt)
	f.compute()
	a.Timeline.Enter(fleet.PhaseAuth)
	if f.agent > 0 {
		f.signing <- struct{}{}
		time.Sleep(f.agent)
		<-f.signing
	}
	a.Signed.Store(true)
	f.count(-1)
	time.Sleep(f.rtt + f.login)
	return nil
}

func (f *far) compute() {
	f.cpu <- struct{}{}
	time.Sleep(f.work)
	<-f.cpu
}

func (f *far) count(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unsigned += n
	f.most = max(f.most, f.unsigned)
}

// run returns how long n targets take.
func (f *far) run(t *testing.T, n, dials int) (took time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		f.cpu, f.signing = make(chan struct{}, 2), make(chan struct{}, 1)
		begin := time.Now()
		opts := engine.Options{Dialer: &stub{dial: f.dial}, Fanout: 5000, Dials: dials}
		for res, err := range engine.Run(t.Context(), opts, engine.Direct(targets(n, n))) {
			if err != nil || res.Outcome != fleet.OutcomeOK {
				t.Fatal(err, res.Outcome)
			}
		}
		took = time.Since(begin)
	})
	return took
}

// Without a fixed limit on connections being started, a run takes at most 1.25 times what the best
// fixed one takes, however far away servers are and however slow to let somebody in.
func TestDialsFollowLatency(t *testing.T) {
	const n = 1500
	for _, rtt := range []time.Duration{0, 50, 200, 600} {
		for _, login := range []time.Duration{0, 3000} {
			f := far{rtt: rtt * time.Millisecond, login: login * time.Millisecond, work: 500 * time.Microsecond}
			t.Run(fmt.Sprintf("%v+%v", f.rtt, f.login), func(t *testing.T) {
				best := min(f.run(t, n, 256), f.run(t, n, n))
				f.most = 0
				got := f.run(t, n, 0)
				ratio := float64(got) / float64(best)
				t.Logf("%v, the best fixed limit %v: %.2f times; at most %d at once", got, best, ratio, f.most)
				if ratio > 1.25 {
					t.Errorf("%v, the best fixed limit takes %v: %.2f times", got, best, ratio)
				}
			})
		}
	}
}

// What this machine is slow at, such as an agent, lets no more connects begin.
func TestDialsAwaitTheAgent(t *testing.T) {
	f := far{rtt: 12 * time.Millisecond, work: 500 * time.Microsecond, agent: 20 * time.Millisecond}
	f.run(t, 2000, engine.DefaultDials)
	fixed := f.most
	f.most = 0
	if f.run(t, 2000, 0); f.most > fixed+fixed/4 {
		t.Errorf("%d connects wait for the agent at once, and %d with the fixed limit", f.most, fixed)
	}
}
