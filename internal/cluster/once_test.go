package cluster

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/nats-io/nats.go/jetstream"

	"shoal/simfleet"
)

// What is done for one key is done once, and holds up no other; what fails is done again.
func TestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o once[int]
		calls, stuck := 0, make(chan struct{})
		first := func() (int, error) {
			calls++
			<-stuck
			return 7, nil
		}
		got := make(chan int, 3)
		for range 3 {
			go func() {
				n, err := o.do(t.Context(), "a", first)
				if err != nil {
					t.Error(err)
				}
				got <- n
			}()
		}
		synctest.Wait()
		broken := errors.New("broken")
		if _, err := o.do(t.Context(), "b", func() (int, error) { return 0, broken }); !errors.Is(err, broken) {
			t.Errorf("another key: %v", err)
		}
		if n, err := o.do(t.Context(), "b", func() (int, error) { return 8, nil }); n != 8 || err != nil {
			t.Errorf("again: %d, %v", n, err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := o.do(ended, "a", first); !errors.Is(err, context.Canceled) {
			t.Errorf("waits although it is given up: %v", err)
		}
		close(stuck)
		for range 3 {
			if n := <-got; n != 7 {
				t.Errorf("%d", n)
			}
		}
		if n, err := o.do(t.Context(), "a", first); n != 7 || err != nil || calls != 1 {
			t.Errorf("%d, %v, after %d calls", n, err, calls)
		}
	})
}

// While the origin of one pool is being stored, which nobody answers, another pool has its own.
func TestOriginsOfTwoPools(t *testing.T) {
	s := newSite(t, simfleet.Options{Hosts: 1})
	conn := s.conn()
	defer conn.Close()
	if _, err := conn.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: runStream("r"), Subjects: []string{"data.here.r.*"}}); err != nil {
		t.Fatal(err)
	}
	c, err := NewCoordinator(conn, CoordinatorOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.run = "r"
	asked, err := conn.nc.SubscribeSync(originSubject("there", "r")) // who answers nothing
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	over := make(chan error)
	go func() {
		_, err := c.origin(ctx, "there")
		over <- err
	}()
	if _, err := asked.NextMsg(requestTimeout); err != nil {
		t.Fatal(err)
	}
	if o, err := c.origin(t.Context(), "here"); err != nil || o.Seq != 1 {
		t.Errorf("%+v, %v", o, err)
	}
	cancel()
	if err := <-over; !errors.Is(err, context.Canceled) {
		t.Errorf("the other: %v", err)
	}
}
