package cluster

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/ssh"
	"shoal/simfleet"
)

// Questions go to the hosts through workers, again and again, as a run of their own of which nothing is
// left; what a process that was killed has left is removed by whoever begins another, a day later.
func TestAsker(t *testing.T) {
	s := newSite(t, simfleet.Options{Hosts: 5})
	s.worker("one", nil)
	conn := s.conn()
	defer conn.Close()
	old, young := newQuery(time.Now().Add(-2*queryAge)), newQuery(time.Now())
	for _, name := range []string{old, young} {
		if _, err := conn.createRun(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	a := NewAsker(conn, CoordinatorOptions{Signer: s.signer, Lease: 300 * time.Millisecond})
	for round := range 2 {
		answered := 0
		o := engine.Options{Dialer: a, Starts: -1, Fanout: 5, Attempts: 1}
		planned := func(yield func(ssh.Target) bool) {
			for target := range s.fleet.Targets() {
				target.Command, target.User = "echo {index}", s.connect.User
				if target.Port == 0 {
					target.Port = s.fleet.Port()
				}
				if !yield(ssh.Target{Target: target}) {
					return
				}
			}
		}
		for res, err := range engine.Run(t.Context(), o, planned) {
			if err != nil {
				t.Fatal(err)
			}
			if res.Outcome == fleet.OutcomeOK {
				answered++
			} else {
				t.Errorf("%v: %v, %v", res.Target.Host, res.Outcome, res.Err)
			}
		}
		if answered != 5 {
			t.Errorf("round %d: %d hosts have answered", round, answered)
		}
	}
	if names := s.streams(conn); len(names) != 2 {
		t.Errorf("while it asks there are %v", names)
	}
	a.Close()
	if names := s.streams(conn); !slices.Equal(names, []string{runStream(young)}) {
		t.Errorf("afterwards there are %v, want that of %s", names, young)
	}
	if isOldQuery(strings.TrimPrefix(old, queryPrefix), time.Now()) {
		t.Error("a run of another name is taken for questions")
	}
}

// The first question is given up before the asking has begun, while others wait for it: they are asked all the same. One
// that waits is given up by itself.
func TestAskerBeginsAgain(t *testing.T) {
	s := newSite(t, simfleet.Options{Hosts: 1})
	conn := s.conn()
	defer conn.Close()
	a := NewAsker(conn, CoordinatorOptions{Signer: s.signer})
	defer a.Close()
	attempt := func() *ssh.Attempt {
		target := fleet.Target{Host: fleet.Host{Name: "h"}, User: "u", Port: 22, Command: "true"}
		return &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: target}}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Dial(gone, attempt()); !errors.Is(err, context.Canceled) {
		t.Errorf("asked although it was given up: %v", err)
	}
	a.turn <- struct{}{} // somebody begins
	if _, err := a.Dial(gone, attempt()); !errors.Is(err, context.Canceled) {
		t.Errorf("waited although it was given up: %v", err)
	}
	<-a.turn
	if _, err := a.Dial(t.Context(), attempt()); err != nil {
		t.Errorf("the error of another is that of all: %v", err)
	}
}
