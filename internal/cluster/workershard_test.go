package cluster

import (
	"sync"
	"testing"
	"testing/synctest"

	"shoal/fleet"
)

// A shard is not done while a result waits for room.
func TestDoneAfterLastResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &workerShard{open: 2, sent: map[int]bool{0: true, 1: true}, next: &intents{done: make(chan struct{})}, wake: make(chan struct{}, 1)}
		s.room.L = &s.mu
		var engine sync.WaitGroup
		engine.Go(func() {
			for host := range 2 {
				s.result(host, fleet.Result{Stdout: fleet.Output{Bytes: make([]byte, maxQueue*3/4)}}, false)
			}
		})
		synctest.Wait() // the second waits for room
		told := 0
		for over := false; !over; synctest.Wait() {
			<-s.wake
			var w *Work
			_, w, over = s.take()
			told += len(w.Results)
			if w.Done != over {
				t.Errorf("done is %t, over %t", w.Done, over)
			}
		}
		engine.Wait()
		if told != 2 {
			t.Errorf("%d results were told of 2", told)
		}
	})
}
