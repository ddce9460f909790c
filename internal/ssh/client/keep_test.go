package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/tcp"
	"shoal/internal/ssh/wire"
	"shoal/internal/sshdtest"
)

// A kept connection is one whose first command has ended.
type keptConn struct {
	rig   *rig
	conn  ssh.Conn
	ended chan error // receives what OnEnd is told
}

func (r *rig) keeping(command string, out *bytes.Buffer) *ssh.Attempt {
	return &ssh.Attempt{Progress: new(ssh.Progress), Target: r.target(command), Stdout: out, Stderr: out, Keep: true}
}

// keepOne runs "true" and keeps the connection.
func keepOne(t *testing.T, r *rig, d *Dialer) *keptConn {
	t.Helper()
	k := &keptConn{rig: r, ended: make(chan error, 2)}
	a := r.keeping("true", new(bytes.Buffer))
	c, err := d.Dial(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	k.conn = c
	c.(ssh.Keeper).OnEnd(func(cause error) { k.ended <- cause })
	done := make(chan fleet.End, 1)
	c.Start(t.Context(), func(end fleet.End) { done <- end })
	if end := <-done; end.Outcome != fleet.OutcomeOK {
		t.Fatalf("the first command: %+v", end)
	}
	return k
}

// next runs a further command.
func (k *keptConn) next(ctx context.Context, command string, change ...func(*ssh.Attempt)) (fleet.End, string) {
	var out bytes.Buffer
	a := k.rig.keeping(command, &out)
	for _, c := range change {
		c(a)
	}
	done := make(chan fleet.End, 1)
	k.conn.StartNext(ctx, a, func(end fleet.End) { done <- end })
	end := <-done
	return end, out.String()
}

func (k *keptConn) ok(t *testing.T, command, want string) {
	t.Helper()
	if end, out := k.next(t.Context(), command); end.Outcome != fleet.OutcomeOK || out != want {
		t.Errorf("%s: %+v, output %q; want %q", command, end, out, want)
	}
}

// forParks runs a test with both drivers.
func forParks(t *testing.T, test func(*testing.T, Park)) {
	for name, park := range map[string]Park{"loop": ParkBest, "goroutine": ParkGoroutine} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, park)
		})
	}
}

// A further command takes one round trip.
func TestLaterRoundTrips(t *testing.T) {
	for name, s := range map[string]*sshdtest.Server{"OpenSSH": sshdtest.OpenSSH(t), "Dropbear": sshdtest.Dropbear(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var f flights
			r := rigFor(s)
			r.Network = counting{tcp.Dialer{Timeouts: ssh.Timeouts{}.WithDefaults()}, &f}
			r.Trace = f.trace
			d := r.newDialer(t)
			defer func() { _ = d.Close() }()
			for tries := 0; ; tries++ {
				k := keepOne(t, r, d)
				time.Sleep(2 * settleTime) // or the command waits for its channel
				f.mu.Lock()
				f.count, f.writing = 0, false
				f.mu.Unlock()
				end, out := k.next(t.Context(), "echo ok; exit 3")
				f.mu.Lock()
				took := f.atExit
				f.mu.Unlock()
				if end.Status == 3 && out == "ok\n" && took == 1 {
					return
				}
				if tries == 3 {
					t.Fatalf("%+v, output %q, %d round trips; want 1", end, out, took)
				}
				_ = k.conn.Close() // the server was too slow to free the channel
				d.late.Clear()
			}
		})
	}
}

// A server that gives each channel another number does not run what was sent to the wrong one, and
// is not tried again.
func TestLaterGuessFails(t *testing.T) {
	s := sshdtest.OpenSSH(t)
	r := rigFor(s)
	d := r.newDialer(t)
	defer func() { _ = d.Close() }()
	d.settle = 0
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ran, failed := 0, 0
	for range 5 {
		k := keepOne(t, r, d)
		for i := range 20 { // back to back: the server may still have the channel before
			end, out := k.next(t.Context(), fmt.Sprintf("echo x >>%s; echo %d", log, i))
			if end.Outcome == fleet.OutcomeNeverStarted {
				failed++
				if !d.laterFails(r.target("")) {
					t.Errorf("a wrong guess is not remembered: %+v", end)
				}
				d.late.Clear()
				break
			}
			if ran++; end.Outcome != fleet.OutcomeOK || out != fmt.Sprintln(i) {
				t.Errorf("command %d: %+v, output %q", i, end, out)
			}
		}
		_ = k.conn.Close()
	}
	text, err := os.ReadFile(log)
	if n := strings.Count(string(text), "x"); err != nil || n != ran {
		t.Errorf("%d commands ran, want %d: %v", n, ran, err)
	}
	t.Logf("%d commands ran, %d guesses were wrong", ran, failed)
}

// A command that comes while another waits for the connection, or runs on it, does not take its place.
func TestOneCommandAtATime(t *testing.T) {
	s := sshdtest.OpenSSH(t)
	forParks(t, func(t *testing.T, park Park) {
		r := rigFor(s)
		r.Park = park
		d := r.newDialer(t)
		var out bytes.Buffer
		a := r.keeping("true", new(bytes.Buffer))
		c, err := d.Dial(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		ends := make(chan fleet.End, 1)
		early := make(chan fleet.End, 1)
		c.Start(t.Context(), func(fleet.End) { // the driver takes nothing meanwhile
			c.StartNext(t.Context(), r.keeping("echo first", &out), func(e fleet.End) { ends <- e })
			c.StartNext(t.Context(), r.keeping("echo must not run", &out), func(e fleet.End) { early <- e })
		})
		if end := <-early; end.Outcome != fleet.OutcomeNeverStarted {
			t.Errorf("the one that came too early: %+v", end)
		}
		_ = d.Close()
		select {
		case end := <-ends:
			if end.Outcome == fleet.OutcomeOK && out.String() != "first\n" {
				t.Errorf("output %q", out.String())
			}
		default:
			t.Error("nobody was told of the first one's end")
		}
	})
}

// The time limit of a command that ignores TERM ends its channel and not the connection, and
// nothing of it comes to the next command.
func TestTimeoutKeeps(t *testing.T) {
	s := sshdtest.OpenSSH(t)
	forParks(t, func(t *testing.T, park Park) {
		r := rigFor(s)
		r.Park = park
		d := r.newDialer(t)
		defer func() { _ = d.Close() }()
		k := keepOne(t, r, d)
		end, out := k.next(t.Context(), "trap '' TERM; echo old; while echo old; do :; done", func(a *ssh.Attempt) { a.Limit = 300 * time.Millisecond })
		// A busy machine may start it too late for any output.
		if end.Outcome != fleet.OutcomeUnknown || end.Reason != fleet.ReasonTimeout || out != "" && !strings.HasPrefix(out, "old\n") {
			t.Errorf("%+v, output %.20q", end, out)
		}
		for i := range 3 {
			k.ok(t, fmt.Sprint("echo ", i), fmt.Sprintln(i))
		}
		if r.dialled() != 1 {
			t.Error("it was dialled again")
		}
	})
}

// A command that is interrupted gets TERM, and the connection stays.
func TestInterruptKeeps(t *testing.T) {
	s := sshdtest.Dropbear(t) // OpenSSH takes no signal where it has logged root in
	forParks(t, func(t *testing.T, park Park) {
		r := rigFor(s)
		r.Park = park
		d := r.newDialer(t)
		defer func() { _ = d.Close() }()
		k := keepOne(t, r, d)
		log := filepath.Join(t.TempDir(), "log")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		running := writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil })
		end, _ := k.next(ctx, "trap 'echo term >"+log+"; exit' TERM; echo on; i=0; while [ $((i+=1)) -lt 600 ]; do sleep 0.1; done", func(a *ssh.Attempt) {
			a.Interrupt, a.Stdout = true, running
		})
		if end.Outcome != fleet.OutcomeUnknown || end.Reason != fleet.ReasonInterrupted {
			t.Errorf("%+v", end)
		}
		k.ok(t, "i=0; while [ ! -s "+log+" ] && [ $((i+=1)) -lt 600 ]; do sleep 0.1; done; cat "+log, "term\n")
	})
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// What servers do to idle connections is noticed, and costs no command.
func TestIdleIsClosed(t *testing.T) {
	for name, s := range map[string]*sshdtest.Server{
		"UnusedConnectionTimeout": sshdtest.OpenSSH(t, sshdtest.WithConfig("UnusedConnectionTimeout 1")),
		"dropbear -I":             sshdtest.Dropbear(t, sshdtest.WithArgs("-I", "4")),
	} {
		t.Run(name, func(t *testing.T) {
			forParks(t, func(t *testing.T, park Park) {
				r := rigFor(s)
				r.Park = park
				d := r.newDialer(t)
				defer func() { _ = d.Close() }()
				k := keepOne(t, r, d)
				if cause := <-k.ended; cause == nil {
					t.Error("there is no cause")
				}
				if end, _ := k.next(t.Context(), "true"); end.Outcome != fleet.OutcomeNeverStarted {
					t.Errorf("%+v", end)
				}
				if len(k.ended) > 0 {
					t.Error("the end was told twice")
				}
			})
		})
	}
}

// A server that closes idle channels and asks for signs of life does not end an idle connection, on
// which keys are exchanged by both sides.
func TestIdleStays(t *testing.T) {
	s := sshdtest.OpenSSH(t, sshdtest.WithConfig("ChannelTimeout global=1", "ClientAliveInterval 1", "ClientAliveCountMax 2", "RekeyLimit default 1"))
	forParks(t, func(t *testing.T, park Park) {
		r := rigFor(s)
		r.Park, r.settings, r.Timeouts.Alive = park, &ssh.Settings{RekeyAfter: time.Second}, 500*time.Millisecond
		exchanged := r.countExchanges()
		d := r.newDialer(t)
		defer func() { _ = d.Close() }()
		k := keepOne(t, r, d)
		k.exchanges(t, exchanged, 4)
		k.ok(t, "echo on", "on\n")
		_ = k.conn.Close()
		if cause := <-k.ended; !errors.Is(cause, errClosedHere) {
			t.Errorf("ended by %v", cause)
		}
	})
}

// Keys become old on a connection on which nothing else happens, and under a silent command.
func TestSilentConnectionsExchangeKeys(t *testing.T) {
	for name, s := range map[string]*sshdtest.Server{"OpenSSH": sshdtest.OpenSSH(t), "Dropbear": sshdtest.Dropbear(t)} {
		t.Run(name, func(t *testing.T) {
			forParks(t, func(t *testing.T, park Park) {
				r := rigFor(s)
				r.Park, r.settings, r.Timeouts.Alive = park, &ssh.Settings{RekeyAfter: 200 * time.Millisecond}, -1
				r.Classical = park == ParkBest // the first message of the method goes with KEXINIT
				exchanged := r.countExchanges()
				d := r.newDialer(t)
				defer func() { _ = d.Close() }()
				k := keepOne(t, r, d)
				k.exchanges(t, exchanged, 3)
				path := filepath.Join(t.TempDir(), "go")
				var after sync.WaitGroup
				after.Go(func() {
					k.exchanges(t, exchanged, 3)
					if err := os.WriteFile(path, nil, 0o600); err != nil {
						t.Error(err)
					}
				})
				k.ok(t, "while [ ! -e "+path+" ]; do sleep 0.1; done; echo on", "on\n")
				after.Wait()
			})
		})
	}
}

// countExchanges returns what receives a value after each key exchange.
func (r *rig) countExchanges() <-chan struct{} {
	exchanged := make(chan struct{}, 1000) // sent by Trace, which must not block
	r.Trace = func(m wire.Message) {
		if m.Out && m.Name == "NEWKEYS" {
			select {
			case exchanged <- struct{}{}:
			default:
			}
		}
	}
	return exchanged
}

// exchanges waits for n key exchanges.
func (k *keptConn) exchanges(t *testing.T, exchanged <-chan struct{}, n int) {
	for range n {
		select {
		case <-exchanged:
		case cause := <-k.ended:
			t.Errorf("the connection has ended: %v", cause)
			return
		}
	}
}

// With MaxSessions 1 a command that goes on after its time limit holds the only session: the next one
// is refused, and certainly has not run.
func TestSecondSessionIsRefused(t *testing.T) {
	s := sshdtest.OpenSSH(t, sshdtest.WithConfig("MaxSessions 1"))
	r := rigFor(s)
	d := r.newDialer(t)
	defer func() { _ = d.Close() }()
	k := keepOne(t, r, d)
	if end, _ := k.next(t.Context(), "trap '' TERM; sleep 60 >/dev/null 2>&1", func(a *ssh.Attempt) { a.Limit = 100 * time.Millisecond }); end.Outcome != fleet.OutcomeUnknown {
		t.Errorf("%+v", end)
	}
	end, _ := k.next(t.Context(), "echo must not run")
	if end.Outcome != fleet.OutcomeNeverStarted || end.Reason != fleet.ReasonSessionRefused {
		t.Errorf("%+v", end)
	}
}
