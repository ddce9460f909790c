package watch

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"shoal/fleet"
)

// A week of ticks, one each minute, of hosts that come and go, change their answers and are slow:
// the events are those of the hosts, and nothing grows.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("it computes for some seconds")
	}
	const hosts, week = 20, 7 * 24 * time.Hour
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test
		c := New(Options{Groups: masked(), Confirm: 3})
		version, down := make([]int, hosts), make([]bool, hosts)
		told := make([]string, hosts) // what the events have said so far
		var early, late runtime.MemStats
		count := 0
		s := Schedule{Every: time.Minute, Jitter: 10 * time.Second, For: week}
		s.Run(t.Context(), nil, func(d Due) {
			count++
			for i := range hosts {
				switch random.IntN(50) {
				case 0:
					version[i]++
				case 1:
					down[i] = !down[i]
				}
				r := answerOf(i, fmt.Sprintf("web%d runs %d at %s", i, version[i], time.Now().Format(time.TimeOnly)))
				want := fmt.Sprint(version[i])
				if down[i] {
					r, want = silence(i, fleet.ReasonConnRefused), "down"
				}
				e, _, _ := c.Add(r, time.Now())
				switch e.Kind {
				case Stopped:
					told[i] = "down"
				case First, Changed, Back:
					if told[i] = "down"; e.Now != nil {
						_, _ = fmt.Sscanf(string(e.Now.Outputs[fleet.Stdout]), "web%d runs %s", new(int), &told[i])
					}
				}
				if told[i] != want {
					t.Fatalf("tick %d, host %d: %s, and the events say %s", d.N, i, want, told[i])
				}
			}
			if len(c.hosts) != hosts || len(c.answers) > 3*hosts {
				t.Fatalf("tick %d: %d hosts, %d answers", d.N, len(c.hosts), len(c.answers))
			}
			if random.IntN(20) == 0 {
				time.Sleep(rand.N(4 * time.Minute))
			}
			switch {
			case d.N == 1000:
				runtime.GC()
				runtime.ReadMemStats(&early)
			case time.Duration(count)*time.Minute > week/2 && late.HeapAlloc == 0:
				runtime.GC()
				runtime.ReadMemStats(&late)
			}
		})
		if count < 8000 || count > 10080 {
			t.Errorf("%d ticks", count)
		}
		if grown := int64(late.HeapAlloc) - int64(early.HeapAlloc); grown > 256<<10 {
			t.Errorf("%d bytes of heap more after half a week", grown)
		}
	})
}
