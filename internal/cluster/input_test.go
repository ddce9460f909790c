package cluster

import (
	"sync"
	"testing"
)

// Shards that begin at the same time have one copy of their input, which the last of them lets go.
func TestInputsAreShared(t *testing.T) {
	_, conn, _ := newRun(t)
	data := []byte("for all hosts")
	in := Input{Digest: digest(data), Size: len(data)}
	if err := conn.store(t.Context(), runStream("r"), dataSubject("p", "r", in.Digest), blobMessage(0, data)); err != nil {
		t.Fatal(err)
	}
	w := &Worker{conn: conn, inputs: make(map[string]*kept)}
	shard := &Shard{Run: "r", Pool: "p", Hosts: []Host{{Input: &in}, {Input: &in}}}
	var all sync.WaitGroup
	releases := make(chan func(), 8)
	for range cap(releases) {
		all.Go(func() {
			have, release, err := w.keepInputs(t.Context(), shard)
			if err != nil || string(have[in.Digest]) != string(data) {
				t.Errorf("%q, %v", have, err)
				return
			}
			releases <- release
		})
	}
	all.Wait()
	close(releases)
	for _, k := range w.inputs {
		if k.shards != cap(releases) {
			t.Errorf("%d shards have it", k.shards)
		}
	}
	n := len(w.inputs)
	for release := range releases {
		release()
	}
	if n != 1 || len(w.inputs) != 0 {
		t.Errorf("%d copies, and %d are kept", n, len(w.inputs))
	}
}
