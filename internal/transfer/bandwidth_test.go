package transfer

import (
	"testing"
	"testing/synctest"
	"time"
)

// Many flows share the rate fairly, none waits for ever, and what is not used is used by others.
func TestBandwidth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const rate, flows, each = 1 << 20, 10, 1 << 20
		b := newBucket(rate)
		began := time.Now()
		done := make(chan time.Duration, flows)
		for range flows {
			go func() {
				wake := make(chan struct{}, 1)
				f := &flow{bucket: b, wake: func() { wake <- struct{}{} }}
				defer f.end()
				for left := each; left > 0; {
					n := f.ready(min(left, 20_000))
					if n == 0 {
						<-wake
						continue
					}
					f.spend(n)
					left -= n
				}
				done <- time.Since(began)
			}()
		}
		for range flows {
			if took := <-done; took < 9*time.Second || took > 10*time.Second {
				t.Errorf("a flow took %v of about 10 s", took)
			}
		}
		// One that leaves makes place for the next.
		f, woken := &flow{bucket: b, wake: func() { t.Error("who has left is woken") }}, make(chan struct{}, 1)
		for f.ready(1) > 0 {
			f.spend(f.ready(burst))
		}
		g := &flow{bucket: b, wake: func() { woken <- struct{}{} }}
		if g.ready(1) != 0 {
			t.Error("who comes later is served first")
		}
		f.end()
		<-woken
		if g.ready(burst) != burst {
			t.Errorf("%d bytes are granted", g.ready(burst))
		}
		g.end()
	})
}
