package cluster

import (
	"slices"
	"testing"
	"time"
)

// The first hosts of a pool come in small shards, which few workers share evenly, and others in large ones; a size
// that was asked for is kept.
func TestShardSizes(t *testing.T) {
	for asked, want := range map[int][]int{
		0:  append(slices.Repeat([]int{100}, 20), 200, 200, 50),
		70: append(slices.Repeat([]int{70}, 35), 0),
	} {
		c, err := NewCoordinator(nil, CoordinatorOptions{ShardSize: asked})
		if err != nil {
			t.Fatal(err)
		}
		c.pending["eu"], c.pending["us"] = make([]*host, 2450), make([]*host, 130)
		var sizes []int
		now := time.Now()
		for s, _ := c.nextShard(now); s != nil; s, _ = c.nextShard(now) {
			now = now.Add(fillFor) // hosts have waited long enough
			if s.pool == "eu" {
				sizes = append(sizes, len(s.hosts))
			} else if len(s.hosts) > 100 {
				t.Errorf("a shard of %d hosts in a small pool", len(s.hosts))
			}
		}
		if want = slices.DeleteFunc(want, func(n int) bool { return n == 0 }); !slices.Equal(sizes, want) {
			t.Errorf("asked for %d: %d, want %d", asked, sizes, want)
		}
	}
}

// While a shard of the pool waits for its first worker, hosts wait until the next one is full, and not for long; a worker that refuses
// it, another pool, and hosts that are enough are no reason to wait.
func TestShardsFill(t *testing.T) {
	c, err := NewCoordinator(nil, CoordinatorOptions{ShardSize: 100})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	next := func(pool string, add int, at time.Duration) (s *shard, wait time.Duration) {
		if len(c.pending[pool]) == 0 {
			c.since[pool] = now.Add(at)
		}
		c.pending[pool] = append(c.pending[pool], make([]*host, add)...)
		return c.nextShard(now.Add(at))
	}
	want := func(hosts int, most time.Duration) func(*shard, time.Duration) *shard {
		return func(s *shard, wait time.Duration) *shard {
			t.Helper()
			got := 0
			if s != nil {
				got = len(s.hosts)
			}
			if got != hosts || wait != most {
				t.Errorf("a shard of %d hosts, others wait %v; want %d and %v", got, wait, hosts, most)
			}
			return s
		}
	}
	first := want(30, 0)(next("eu", 30, 0))
	want(0, fillFor)(next("eu", 40, time.Millisecond))
	want(10, 0)(next("us", 10, 2*time.Millisecond))
	second := want(100, 0)(next("eu", 70, 101*time.Millisecond))
	want(0, fillFor-50*time.Millisecond)(next("eu", 0, 151*time.Millisecond))
	first.fold.Epoch, first.fold.Worker = 1, "one"
	second.refused["one"] = "for a reason"
	third := want(10, 0)(next("eu", 0, 151*time.Millisecond))
	want(0, fillFor)(next("eu", 20, 200*time.Millisecond))
	want(20, 0)(next("eu", 0, 200*time.Millisecond+fillFor))
	if c.waitsLocked("eu"); !slices.Contains(c.untaken, third) || len(c.untaken) != 3 { // that of us, and the last
		t.Errorf("%d shards wait for their first worker", len(c.untaken))
	}
}
