package cluster

import (
	"slices"
	"testing"
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
		for s := c.nextShard(); s != nil; s = c.nextShard() {
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
