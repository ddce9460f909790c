package simfleet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
)

// pipeFleet is a fleet of one host that is reached by a pipe, for virtual time.
// The pipe is made now, as a TCP connection's connect would return now.
func pipeFleet(t *testing.T, o Options) (*Fleet, net.Conn) {
	t.Helper()
	o.Hosts, o.Seed = 1, "pipe"
	f, err := newFleet(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	client, server := net.Pipe()
	f.serve(server, 0)
	t.Cleanup(func() {
		_ = client.Close()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f, client
}

const latency = 6 * time.Millisecond // one round trip is 12 ms

// TestLatencyOfAConnection counts round trips by virtual time, in which
// computing takes none. They are those of the diagram at delayed, and with
// the round trip of the TCP handshake the 9 that this client takes against
// any server.
func TestLatencyOfAConnection(t *testing.T) {
	const rtt = 2 * latency
	for name, test := range map[string]struct {
		command string
		trips   int
		more    time.Duration
	}{
		"echo":  {command: "echo hello", trips: 9},
		"sleep": {command: "sleep 1.5", trips: 9, more: 1500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				f, conn := pipeFleet(t, Options{Latency: latency})
				watched := &firstRead{Conn: conn}
				client, err := newClient(watched, clientConfig(f, 0))
				if err != nil {
					t.Fatal(err)
				}
				if _, _, err := runOn(t, client, test.command, ""); err != nil {
					t.Fatal(err)
				}
				if got := watched.at.Sub(start); got != 2*rtt {
					t.Errorf("the version line came after %v, want %v", got, 2*rtt)
				}
				if got, want := time.Since(start), time.Duration(test.trips)*rtt+test.more; got != want {
					t.Errorf("it took %v, want %v", got, want)
				}
			})
		})
	}
}

type firstRead struct {
	net.Conn
	at time.Time
}

func (f *firstRead) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	if f.at.IsZero() {
		f.at = time.Now()
	}
	return n, err
}

func TestLatencyZeroHasNoWrapper(t *testing.T) {
	f, err := newFleet(t.Context(), Options{Hosts: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, ok := newConn(f, nil, 0, 1).transport.(*direct); !ok {
		t.Error("a connection without latency is wrapped")
	}
}

// lags returns one lag after the other, and then the last one for ever.
func lags(all ...time.Duration) func() time.Duration {
	return func() time.Duration {
		lag := all[0]
		if len(all) > 1 {
			all = all[1:]
		}
		return lag
	}
}

// delayedPipe returns a delayed end, the other end, and the count of releases.
func delayedPipe(lag func() time.Duration) (d *delayed, far net.Conn, released *int) {
	far, near := net.Pipe()
	released = new(int)
	return newDelayed(near, lag, func() { *released++ }), far, released
}

func mustWrite(t *testing.T, w io.Writer, text string) {
	t.Helper()
	if n, err := io.WriteString(w, text); n != len(text) || err != nil {
		t.Fatalf("writing %q: %d, %v", text, n, err)
	}
}

func TestDelayedKeepsTimeAndOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The second piece would overtake the first.
		d, far, released := delayedPipe(lags(30*time.Millisecond, 10*time.Millisecond))
		start := time.Now()
		mustWrite(t, d, "one ")
		time.Sleep(5 * time.Millisecond)
		mustWrite(t, d, "two")
		time.Sleep(45 * time.Millisecond)
		mustWrite(t, d, "three")
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Write([]byte("late")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("writing after Close: %v, want %v", err, net.ErrClosed)
		}
		type arrival struct {
			text  string
			after time.Duration
		}
		var got []arrival
		buf := make([]byte, 100)
		for {
			n, err := far.Read(buf)
			got = append(got, arrival{string(buf[:n]), time.Since(start)})
			if err != nil {
				break
			}
		}
		want := []arrival{
			{"one two", 50 * time.Millisecond}, // the reader came late
			{"three", 60 * time.Millisecond},
			{"", 60 * time.Millisecond},
		}
		if len(got) != len(want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("arrival %d is %v, want %v", i, got[i], want[i])
			}
		}
		synctest.Wait()
		if *released != 1 {
			t.Errorf("released %d times, want 1", *released)
		}
	})
}

// TestDelayedCloseEndsReads asserts that Close ends a pending read at once,
// while what was written is still under way.
func TestDelayedCloseEndsReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, far, _ := delayedPipe(lags(time.Second))
		start := time.Now()
		mustWrite(t, d, "x")
		go func() { _ = d.Close() }()
		if _, err := d.Read(make([]byte, 1)); err == nil || time.Since(start) != 0 {
			t.Errorf("the read ended with %v after %v, want an error at once", err, time.Since(start))
		}
		if got, err := io.ReadAll(far); string(got) != "x" || err != nil || time.Since(start) != time.Second {
			t.Errorf("got %q, %v after %v, want %q after 1s", got, err, time.Since(start), "x")
		}
	})
}

func TestDelayedBoundsItsQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, far, released := delayedPipe(lags(latency))
		piece := bytes.Repeat([]byte("x"), 100<<10)
		written := 0
		done := make(chan error)
		go func() {
			for {
				n, err := d.Write(piece)
				if err != nil {
					done <- err
					return
				}
				written += n
			}
		}()
		time.Sleep(time.Hour)
		synctest.Wait()
		if want := maxQueued / len(piece) * len(piece); written != want {
			t.Errorf("%d bytes were taken without a reader, want %d", written, want)
		}
		if _, err := io.ReadFull(far, make([]byte, 5<<20)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if written < 5<<20 || written > 7<<20 {
			t.Errorf("%d bytes were taken for a reader of 5 MiB", written)
		}
		d.abort()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("the writer ended with %v, want %v", err, net.ErrClosed)
		}
		synctest.Wait()
		if *released != 1 {
			t.Errorf("released %d times, want 1", *released)
		}
	})
}

// TestDelayedReleasesOnce ends a connection in each way, twice.
func TestDelayedReleasesOnce(t *testing.T) {
	for name, end := range map[string]func(d *delayed, far net.Conn){
		"abort":             func(d *delayed, _ net.Conn) { d.abort() },
		"close":             func(d *delayed, _ net.Conn) { _ = d.Close() },
		"close, abort":      func(d *delayed, _ net.Conn) { _ = d.Close(); d.abort() },
		"EOF, close":        func(d *delayed, _ net.Conn) { _ = d.CloseWrite(); _ = d.Close() },
		"EOF, abort":        func(d *delayed, _ net.Conn) { _ = d.CloseWrite(); d.abort() },
		"write, abort":      func(d *delayed, _ net.Conn) { _, _ = d.Write([]byte("x")); d.abort() },
		"write, peer gone":  func(d *delayed, far net.Conn) { _, _ = d.Write([]byte("x")); _ = far.Close() },
		"peer gone, closed": func(d *delayed, far net.Conn) { _ = far.Close(); _ = d.Close() },
		"stuck, abort": func(d *delayed, _ net.Conn) {
			_, _ = d.Write([]byte("x"))
			time.Sleep(time.Second) // deliver now waits for a reader
			d.abort()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, far, released := delayedPipe(lags(latency))
				end(d, far)
				time.Sleep(time.Second)
				d.abort()
				_ = d.Close()
				synctest.Wait()
				if *released != 1 {
					t.Errorf("released %d times, want 1", *released)
				}
			})
		})
	}
}

func TestJitterStaysInItsBounds(t *testing.T) {
	f, err := newFleet(t.Context(), Options{Hosts: 1, Latency: latency, Jitter: 4 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	c := newConn(f, nil, 0, 1)
	least, most := time.Hour, time.Duration(0)
	for range 10_000 {
		lag := c.lag()
		least, most = min(least, lag), max(most, lag)
	}
	if least < 2*latency || least > 2*latency+time.Millisecond || most < 2*latency+7*time.Millisecond || most >= 2*latency+8*time.Millisecond {
		t.Errorf("lags go from %v to %v, want about 12ms to 20ms", least, most)
	}
}

// TestCloseDoesNotWaitForLatency asserts that Close cuts off what is under way.
func TestCloseDoesNotWaitForLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, conn := pipeFleet(t, Options{Latency: time.Hour})
		go func() { _, _ = io.Copy(io.Discard, conn) }()
		start := time.Now()
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(start); got != 0 {
			t.Errorf("Close took %v, want no time", got)
		}
	})
}

// TestContextEndsTheFleet asserts that the context drops connections.
func TestContextEndsTheFleet(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f, err := Start(ctx, Options{Hosts: 1})
	if err != nil {
		t.Fatal(err)
	}
	client := dialSSH(t, f, 0)
	cancel()
	if err := client.Wait(); err == nil {
		t.Error("the connection ended in order")
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := ssh.Dial("tcp", f.Host(0).String(), clientConfig(f, 0)); err == nil {
		t.Error("a closed fleet answers")
	}
}
