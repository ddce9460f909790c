package sshtest

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/simfleet"
)

// A relay forwards bytes to an address until it is stopped: then both sides see a peer that has
// vanished (faults.md T10).
type relay struct {
	listener net.Listener
	stopped  chan struct{}
	all      sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: l, stopped: make(chan struct{})}
	r.all.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			there, err := net.Dial("tcp", to)
			if err != nil {
				_ = from.Close()
				continue
			}
			r.mu.Lock()
			r.conns = append(r.conns, from, there)
			r.mu.Unlock()
			r.all.Go(func() { r.pass(there, from) })
			r.all.Go(func() { r.pass(from, there) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		r.cut()
		r.all.Wait()
	})
	return r
}

// cut closes all connections.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		_ = c.Close()
	}
}

// reset ends all connections with a reset.
func (r *relay) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
}

// pass copies until the relay is stopped; later bytes are dropped.
func (r *relay) pass(to, from net.Conn) {
	buf := make([]byte, 4<<10)
	for {
		n, err := from.Read(buf)
		select {
		case <-r.stopped:
			_, _ = io.Copy(io.Discard, from)
			return
		default:
		}
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			_ = to.Close()
			return
		}
	}
}

// testAlive has one server vanish under a running command, and one stay silent for long but
// alive.
// faults.md: T10
func testAlive(t *testing.T, newDialer Factory) {
	timeouts := patient()
	timeouts.Alive = short / 2
	s := simulated(startFleet(t, simfleet.Options{Hosts: 1}), 0)
	vanish := func(t *testing.T, most int) error {
		r := newRelay(t, s.target("").Address())
		target := s.target("sleep 3600")
		target.Route = &fleet.Route{Address: "127.0.0.1"}
		target.Port = r.listener.Addr().(*net.TCPAddr).AddrPort().Port()
		a := &ssh.Attempt{Progress: new(ssh.Progress), Target: with(target, ssh.Settings{AliveMax: most}), Stdout: new(sink), Stderr: new(sink)}
		conn, err := s.dialer(t, newDialer, timeouts).Dial(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan fleet.End, 1)
		conn.Start(t.Context(), func(end fleet.End) { done <- end })
		for a.Timeline.Phase() != fleet.PhaseRun {
			pause()
		}
		close(r.stopped)
		end := <-done
		report{End: end}.want(t, fleet.OutcomeUnknown, fleet.ReasonVanished, fleet.PhaseRun, 0)
		return end.Err
	}
	t.Run("vanished", func(t *testing.T) {
		for most, silences := range map[int]time.Duration{-1: 1, 1: 2, 0: ssh.MaxSilent + 1} {
			want := fmt.Sprintf("no sign of life for %v", silences*timeouts.Alive)
			if err := vanish(t, most); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%d keepalives may go unanswered: %v, want %q", most, err, want)
			}
		}
	})
	t.Run("quiet", func(t *testing.T) {
		begun := time.Now()
		run(t.Context(), t, s.dialer(t, newDialer, timeouts), s.target("sleep 3")).ok(t)
		if quiet := time.Since(begun); quiet < 8*timeouts.Alive {
			t.Errorf("the command was quiet for %v only", quiet)
		}
	})
}
