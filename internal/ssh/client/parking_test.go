package client

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/simfleet"
)

// A waiter is a connection whose command waits.
type waiter struct {
	attempt *ssh.Attempt
	conn    ssh.Conn
	calls   atomic.Int32 // of done
	end     fleet.End
	ended   chan struct{} // closed by the first done
}

// startFleet starts a simulated host that the rig can log in to.
func startFleet(t testing.TB) (*simfleet.Fleet, *rig) {
	t.Helper()
	f, err := simfleet.Start(t.Context(), simfleet.Options{Hosts: 1, DiscardLog: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	r := newRig(f.Host(0), []xssh.PublicKey{f.HostKey(0)}, f.ClientKey())
	r.Trace, r.Network = nil, nil
	return f, r
}

// wait starts n commands, and returns them when all of them run.
func (r *rig) wait(ctx context.Context, t testing.TB, d *Dialer, n int, command string) []*waiter {
	t.Helper()
	all := make([]*waiter, n)
	next := make(chan int) // sent and closed below; the workers receive
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for i := range next {
				all[i] = r.begin(ctx, t, d, command)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	workers.Wait()
	for _, w := range all {
		for w.attempt.Timeline.Phase() != fleet.PhaseRun {
			select {
			case <-w.ended:
				t.Fatalf("ended %v(%s) in %v: %v", w.end.Outcome, w.end.Reason, w.end.Phase, w.end.Err)
			case <-time.After(time.Millisecond):
			}
		}
	}
	return all
}

// begin starts one command and does not wait.
func (r *rig) begin(ctx context.Context, t testing.TB, d *Dialer, command string) *waiter {
	w := &waiter{attempt: attemptAt(r, command), ended: make(chan struct{})}
	c, err := d.Dial(t.Context(), w.attempt)
	if err != nil {
		t.Error(err)
		close(w.ended)
		return w
	}
	w.conn = c
	c.Start(ctx, func(e fleet.End) {
		if w.calls.Add(1) == 1 {
			w.end = e
			close(w.ended)
		}
	})
	return w
}

// wantEnded waits for all of them and checks their ends.
func wantEnded(t testing.TB, all []*waiter, reason fleet.Reason) {
	t.Helper()
	for _, w := range all {
		<-w.ended
		if w.end.Outcome != fleet.OutcomeUnknown || w.end.Reason != reason || w.end.Phase != fleet.PhaseRun {
			t.Fatalf("ended %v(%s) in %v, want unknown(%s) in run: %v", w.end.Outcome, w.end.Reason, w.end.Phase, reason, w.end.Err)
		}
	}
}

// wantOnce checks that done was called once for each of them.
func wantOnce(t testing.TB, all []*waiter) {
	t.Helper()
	for _, w := range all {
		if n := w.calls.Load(); n != 1 {
			t.Fatalf("done was called %d times", n)
		}
	}
}

// ownGoroutines counts goroutines with this package's code on their stacks, except
// those that run tests.
func ownGoroutines(t testing.TB) int {
	t.Helper()
	var text bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&text, 1); err != nil {
		t.Fatal(err)
	}
	n := 0
	for record := range strings.SplitSeq(text.String(), "\n\n") {
		if !strings.Contains(record, "shoal/internal/ssh/client.") || strings.Contains(record, "_test.go") {
			continue
		}
		count, _, _ := strings.Cut(strings.TrimPrefix(record, "\n"), " ")
		some, err := strconv.Atoi(count)
		if err != nil {
			t.Fatalf("reading the goroutine profile: %v\n%s", err, record)
		}
		n += some
	}
	return n
}

func openFiles(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// Two thousand connections wait at the same time without a goroutine each, and end
// by a context, by Close and with their Dialer; some others by a deadline. Nothing
// of them is left.
func TestTwoThousandWait(t *testing.T) {
	f, r := startFleet(t)
	files := openFiles(t)
	const each, rest, late = 700, 600, 50
	r.Classical = true // it is not about key exchange, and half of the work

	d := r.newDialer(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	byContext := r.wait(ctx, t, d, each, "sleep 3600")
	byClose := r.wait(t.Context(), t, d, each, "sleep 3600")
	byDialer := r.wait(t.Context(), t, d, rest, "sleep 3600")
	// A loop has a poller, some workers, and extra ones if a busy machine keeps these
	// waiting: the number is small, and varies.
	if n, most := ownGoroutines(t), 100; n > most {
		t.Errorf("%d goroutines for %d connections that wait, want at most %d", n, 2*each+rest, most)
	}
	errEnough := errors.New("enough")
	cancel(errEnough)
	wantEnded(t, byContext, fleet.ReasonInterrupted)
	if !errors.Is(byContext[0].end.Err, errEnough) {
		t.Errorf("the cause is %v, want the context's", byContext[0].end.Err)
	}
	for _, w := range byClose {
		if err := w.conn.Close(); err != nil {
			t.Error(err)
		}
	}
	wantEnded(t, byClose, fleet.ReasonInterrupted)

	r.Timeouts.Command = 300 * time.Millisecond
	hasty := r.newDialer(t)
	var byDeadline []*waiter
	for range late {
		byDeadline = append(byDeadline, r.begin(t.Context(), t, hasty, "sleep 3600"))
	}
	for _, w := range byDeadline {
		<-w.ended
		ending{End: w.end}.want(t, fleet.OutcomeSignalled, fleet.ReasonTimeout, fleet.PhaseDrain) // the server heeds TERM
	}

	for _, dialer := range []*Dialer{hasty, d} {
		if err := dialer.Close(); err != nil {
			t.Error(err)
		}
	}
	wantEnded(t, byDialer, fleet.ReasonInterrupted)
	for _, all := range [][]*waiter{byContext, byClose, byDialer, byDeadline} {
		wantOnce(t, all)
	}
	for f.Stats().Open > 0 { // the servers' ends
		time.Sleep(time.Millisecond)
	}
	n := openFiles(t)
	for looks := 0; n > files && looks < 1000; looks++ { // a descriptor goes with the last call that uses it
		time.Sleep(time.Millisecond)
		n = openFiles(t)
	}
	if n > files {
		t.Errorf("%d files are open, %d were before", n, files)
	}
	if n := ownGoroutines(t); n > 0 {
		t.Errorf("%d goroutines are left", n)
	}
}

// Close of a Dialer ends what runs, however it waits.
func TestCloseWhileCommandsRun(t *testing.T) {
	t.Parallel()
	for name, park := range map[string]Park{"loop": ParkBest, "goroutine": ParkGoroutine} {
		t.Run(name, func(t *testing.T) {
			_, r := startFleet(t)
			r.Park = park
			d := r.newDialer(t)
			all := r.wait(t.Context(), t, d, 20, "sleep 3600")
			if err := d.Close(); err != nil {
				t.Error(err)
			}
			for _, w := range all { // Close has waited for them
				select {
				case <-w.ended:
				default:
					t.Fatal("a command has outlived its Dialer")
				}
			}
			wantEnded(t, all, fleet.ReasonInterrupted)
			wantOnce(t, all)
			if err := d.Close(); err != nil {
				t.Errorf("closing once more: %v", err)
			}
		})
	}
}

// A gate is a writer that waits until it is opened.
type gate struct {
	entered chan struct{} // told of each write, while there is room
	opened  chan struct{} // closed to let all of them go on
	bytes.Buffer
}

func (g *gate) Write(p []byte) (int, error) {
	select {
	case g.entered <- struct{}{}:
	default:
	}
	<-g.opened
	return g.Buffer.Write(p)
}

// Blocked writers delay no other connection, even if there are more of them than
// workers, and lose nothing.
func TestBlockedWriters(t *testing.T) {
	t.Parallel()
	for name, park := range map[string]Park{"loop": ParkBest, "goroutine": ParkGoroutine} {
		t.Run(name, func(t *testing.T) {
			_, r := startFleet(t)
			r.Park = park
			d := r.newDialer(t)
			opened := make(chan struct{})
			const size = 3 << 20 // beyond the window
			var gates []*gate
			var blocked []chan fleet.End
			for range 3 * runtime.GOMAXPROCS(0) {
				g := &gate{entered: make(chan struct{}, 1), opened: opened}
				a := attemptAt(r, "head -c "+strconv.Itoa(size)+" /dev/zero")
				a.Stdout = g
				c, err := d.Dial(t.Context(), a)
				if err != nil {
					t.Fatal(err)
				}
				done := make(chan fleet.End, 1) // sent once by done
				go c.Start(t.Context(), func(e fleet.End) { done <- e })
				<-g.entered
				gates, blocked = append(gates, g), append(blocked, done)
			}
			begun := time.Now()
			for range 40 {
				r.attempt(t, d, "echo through").ok(t, "through\n")
			}
			t.Logf("40 others, one after the other, took %v", time.Since(begun))
			close(opened)
			for i, done := range blocked {
				if e := <-done; e.Outcome != fleet.OutcomeOK {
					t.Errorf("ended %v(%s): %v", e.Outcome, e.Reason, e.Err)
				}
				if n := gates[i].Len(); n != size {
					t.Errorf("%d bytes came, want %d", n, size)
				}
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// From Start on, Close leaves the descriptor to the driver, which may be about to
// write to it: its number might belong to another connection by then.
func TestCloseWithinStart(t *testing.T) {
	t.Parallel()
	for name, park := range map[string]Park{"loop": ParkBest, "goroutine": ParkGoroutine} {
		t.Run(name, func(t *testing.T) {
			f, r := startFleet(t)
			r.Park = park
			d := r.newDialer(t)
			a := attemptAt(r, "echo hello")
			var c ssh.Conn
			closed := 0
			a.Intent = func() error { // called within Start
				closed++
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				if err := c.(*conn).session.link.conn.SetDeadline(time.Time{}); err != nil {
					t.Errorf("Close within Start has closed the descriptor: %v", err)
				}
				return nil
			}
			c, err := d.Dial(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan fleet.End, 2) // sent by done, which may wrongly be called twice
			c.Start(t.Context(), func(e fleet.End) { done <- e })
			if end := <-done; end.Outcome != fleet.OutcomeNeverStarted || end.Reason != fleet.ReasonInterrupted {
				t.Errorf("ended %v(%s): %v", end.Outcome, end.Reason, end.Err)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
			if len(done) != 0 || closed != 1 {
				t.Errorf("done was called %d more times, the intent %d times", len(done), closed)
			}
			if n := f.Stats().Execs; n != 0 {
				t.Errorf("%d commands were started", n)
			}
		})
	}
}

// Connections that are kept after their command cost no goroutine, run a further command each,
// and end by Close, with their Dialer, and when their server ends them.
func TestFiveHundredAreKept(t *testing.T) {
	f, r := startFleet(t)
	files := openFiles(t)
	r.Classical = true
	d := r.newDialer(t)
	const conns = 500
	all := make([]ssh.Conn, conns)
	keep := func() *ssh.Attempt {
		a := attemptAt(r, "echo hello")
		a.Keep = true
		return a
	}
	ends := make(chan fleet.End, conns) // sent once by each done
	next := make(chan int)              // sent and closed below; the workers receive
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for i := range next {
				a := keep()
				c, err := d.Dial(t.Context(), a)
				if err != nil {
					t.Error(err)
					ends <- fleet.End{}
					continue
				}
				all[i] = c
				c.Start(t.Context(), func(e fleet.End) { ends <- e })
			}
		})
	}
	for i := range conns {
		next <- i
	}
	close(next)
	workers.Wait()
	wantOK := func() {
		t.Helper()
		for range conns {
			if e := <-ends; e.Outcome != fleet.OutcomeOK {
				t.Fatalf("ended %v(%s): %v", e.Outcome, e.Reason, e.Err)
			}
		}
	}
	wantOK()
	if n, most := ownGoroutines(t), 100; n > most {
		t.Errorf("%d goroutines for %d connections that are kept, want at most %d", n, conns, most)
	}
	for range 3 {
		for _, c := range all {
			c.StartNext(t.Context(), keep(), func(e fleet.End) { ends <- e })
		}
		wantOK()
	}
	if n := f.Stats().Open; n != conns {
		t.Errorf("%d connections are open, want %d", n, conns)
	}
	for _, c := range all[:conns/2] {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	for _, c := range all {
		c.StartNext(t.Context(), keep(), func(e fleet.End) { ends <- e })
		if e := <-ends; e.Outcome != fleet.OutcomeNeverStarted || e.Reason != fleet.ReasonInterrupted {
			t.Fatalf("after the end: %v(%s): %v", e.Outcome, e.Reason, e.Err)
		}
	}
	for f.Stats().Open > 0 { // the servers' ends
		time.Sleep(time.Millisecond)
	}
	n := openFiles(t)
	for looks := 0; n > files && looks < 1000; looks++ { // a descriptor goes with the last call that uses it
		time.Sleep(time.Millisecond)
		n = openFiles(t)
	}
	if n > files {
		t.Errorf("%d files are open, %d were before", n, files)
	}
	if n := ownGoroutines(t); n > 0 {
		t.Errorf("%d goroutines are left", n)
	}
}

// A further command may be started by the end of the last one, on the goroutine of the driver.
func TestNextWithinDone(t *testing.T) {
	t.Parallel()
	for name, park := range map[string]Park{"loop": ParkBest, "goroutine": ParkGoroutine} {
		t.Run(name, func(t *testing.T) {
			f, r := startFleet(t)
			r.Park = park
			d := r.newDialer(t)
			const commands = 200
			over := make(chan fleet.End, 1) // sent once, by the last done
			a := attemptAt(r, "echo hello")
			a.Keep = true
			c, err := d.Dial(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			var done func(fleet.End)
			done = func(e fleet.End) {
				if n++; n == commands || e.Outcome != fleet.OutcomeOK {
					over <- e
					return
				}
				a := attemptAt(r, "echo hello")
				a.Keep = n < commands-1
				c.StartNext(t.Context(), a, done)
			}
			c.Start(t.Context(), done)
			if e := <-over; e.Outcome != fleet.OutcomeOK || n != commands || f.Stats().Execs != commands {
				t.Errorf("ended %v(%s) after %d commands, of which the server ran %d: %v", e.Outcome, e.Reason, n, f.Stats().Execs, e.Err)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A server that vanishes between two commands is noticed by keepalives, and its connection is
// given up.
func TestKeptVanishes(t *testing.T) {
	t.Parallel()
	for name, park := range map[string]Park{"loop": ParkBest, "goroutine": ParkGoroutine} {
		t.Run(name, func(t *testing.T) {
			_, r := startFleet(t)
			r.Park, r.Timeouts.Alive, r.Timeouts.AliveMax = park, 100*time.Millisecond, 1
			var vanished atomic.Bool
			r.host.Port = startRelay(t, net.JoinHostPort(r.host.Name, strconv.Itoa(int(r.host.Port))), func(client, server *net.TCPConn) {
				var both sync.WaitGroup
				for _, way := range [][2]*net.TCPConn{{client, server}, {server, client}} {
					both.Go(func() {
						buf := make([]byte, 4<<10)
						for {
							n, err := way[0].Read(buf)
							if n > 0 && !vanished.Load() {
								_, _ = way[1].Write(buf[:n])
							}
							if err != nil {
								_ = way[1].Close()
								return
							}
						}
					})
				}
				both.Wait()
			}).port()
			r.host.Name = "127.0.0.1"
			d := r.newDialer(t)
			a := attemptAt(r, "echo hello")
			a.Keep = true
			c, err := d.Dial(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			ends := make(chan fleet.End, 1) // sent once by each done
			c.Start(t.Context(), func(e fleet.End) { ends <- e })
			if e := <-ends; e.Outcome != fleet.OutcomeOK {
				t.Fatalf("ended %v(%s): %v", e.Outcome, e.Reason, e.Err)
			}
			vanished.Store(true)
			for c.(*conn).lost() == nil {
				time.Sleep(time.Millisecond)
			}
			c.StartNext(t.Context(), attemptAt(r, "echo hello"), func(e fleet.End) { ends <- e })
			if e := <-ends; e.Outcome != fleet.OutcomeNeverStarted || e.Reason != fleet.ReasonVanished {
				t.Errorf("ended %v(%s): %v", e.Outcome, e.Reason, e.Err)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
