package cluster

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"shoal/fleet"
	"shoal/simfleet"
)

// A coordinator is cut off in the middle. Workers finish the shards that they have and begin no other,
// until somebody attaches to the run: then it goes on, and every host has its one end.
func TestAttach(t *testing.T) {
	oracle, cut := reaches(5)
	s := newSite(t, simfleet.Options{Hosts: 100, Oracle: oracle})
	s.worker("one", func(o *WorkerOptions) { o.Room = 20 })
	ctx, abort := context.WithCancel(t.Context())
	defer abort()
	var dead *Coordinator
	began := make(chan struct{})
	s.prepare = func(c *Coordinator) { dead = c; close(began) }
	over := make(chan struct{})
	go func() {
		defer close(over)
		s.run(ctx, "sleep 0.2; echo {index}", nil)
	}()
	<-began
	<-cut
	for opened := 0; opened < 5; {
		dead.mu.Lock()
		opened = 0
		for _, sh := range dead.shards {
			if sh.fold.Shard != nil {
				opened++
			}
		}
		dead.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	conn := s.conn()
	defer conn.Close()
	attach := func() (*Coordinator, error) {
		c, err := NewCoordinator(conn, CoordinatorOptions{Lease: 300 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		return c, c.Attach(t.Context(), dead.run)
	}
	if c, err := attach(); err == nil || !strings.Contains(err.Error(), "is alive") {
		t.Errorf("attached beside a living coordinator: %v", err)
	} else {
		c.Close()
	}
	dead.conn.nc.Close()
	for { // until the server has noticed
		_, err := conn.nc.Request(askSubject(DefaultPool, dead.run, coordinatorName), nil, 100*time.Millisecond)
		if errors.Is(err, nats.ErrNoResponders) {
			break
		}
	}
	c, err := attach()
	if err != nil {
		t.Fatal(err)
	}
	var results []fleet.Result
	for res := range c.Results(t.Context()) {
		results = append(results, res)
	}
	c.Close()
	if report := s.check(results); report.Outcomes[fleet.OutcomeOK] != s.hosts {
		t.Errorf("outcomes %v", report.Outcomes)
	}
	if left := s.streams(conn); len(left) > 0 {
		t.Errorf("the streams %v are left", left)
	}
	abort()
	<-over
}
