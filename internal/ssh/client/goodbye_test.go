package client

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/hostcache"
	"shoal/internal/sshdtest"
)

// far relays with a delay each way, so that our close does not overtake what the
// server sends. alter, if not nil, changes what the server sends on the n-th
// connection, from 1, before it is delayed.
func far(t *testing.T, to string, alter func(n int32, from io.Reader) io.Reader) *relay {
	t.Helper()
	const delay = 50 * time.Millisecond
	var connections atomic.Int32
	return startRelay(t, to, func(client, server *net.TCPConn) {
		n := connections.Add(1)
		answers := io.Reader(server)
		if alter != nil {
			answers = alter(n, server)
		}
		var both sync.WaitGroup
		both.Go(func() { carryLate(server, client, delay) })
		both.Go(func() { carryLate(client, answers, delay) })
		both.Wait()
		_, _ = client.Close(), server.Close()
	})
}

// carryLate copies until from ends, and delays each piece.
func carryLate(to *net.TCPConn, from io.Reader, delay time.Duration) {
	type piece struct {
		bytes []byte
		due   time.Time
	}
	pieces := make(chan piece, 1<<10) // sent and closed by the reader; more than a connection has
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(pieces)
		for {
			buf := make([]byte, 4<<10)
			n, err := from.Read(buf)
			if n > 0 {
				pieces <- piece{buf[:n], time.Now().Add(delay)}
			}
			if err != nil {
				return
			}
		}
	})
	var last time.Time
	for p := range pieces {
		time.Sleep(time.Until(p.due))
		_, _ = to.Write(p.bytes)
		last = time.Now()
	}
	time.Sleep(time.Until(last.Add(delay)))
	_ = to.CloseWrite()
	reader.Wait()
}

// behindNewKeys inserts bytes that are no packet after the server's first NEWKEYS,
// in the same segment: what anybody on the path can do.
func behindNewKeys(from io.Reader) io.Reader {
	read, write := io.Pipe()
	go func() {
		var head []byte
		one := make([]byte, 1)
		take := func(n int) []byte {
			piece := make([]byte, n)
			if _, err := io.ReadFull(from, piece); err != nil {
				return nil
			}
			head = append(head, piece...)
			return piece
		}
		for len(head) == 0 || head[len(head)-1] != '\n' {
			if _, err := io.ReadFull(from, one); err != nil {
				_ = write.Close()
				return
			}
			head = append(head, one[0])
		}
		const newKeys = 21
		for message := byte(0); message != newKeys; {
			size := take(4)
			if size == nil {
				break
			}
			body := take(int(binary.BigEndian.Uint32(size)))
			if body == nil {
				break
			}
			message = body[1]
		}
		_, _ = write.Write(append(head, junk()...))
		_, _ = io.Copy(write, from)
		_ = write.Close()
	}()
	return read
}

func junk() []byte {
	b := make([]byte, 36)
	_, _ = rand.Read(b)
	return b
}

// A slowSigner delays a number of signatures.
type slowSigner struct {
	xssh.Signer
	takes time.Duration
	slow  atomic.Int32
}

func (s *slowSigner) Sign(random io.Reader, data []byte) (*xssh.Signature, error) {
	if s.slow.Add(-1) >= 0 {
		time.Sleep(s.takes)
	}
	return s.Signer.Sign(random, data)
}

// If an attempt ends while its command waits to be sent, DISCONNECT does not send
// the command: what never started has not run, and a later connection of the same
// attempt runs it once.
func TestGoodbyeSendsNoCommand(t *testing.T) {
	t.Parallel()
	w := opensshWitness(t)
	var mu sync.Mutex
	ends := make(map[string]ending)
	t.Run("trials", func(t *testing.T) {
		for name, c := range map[string]struct {
			slow  int32 // signatures that take longer than authentication may
			alter func(int32, io.Reader) io.Reader
		}{
			"one slow signature":  {slow: 1},
			"all signatures slow": {slow: 100},
			"altered on its way": {alter: func(n int32, from io.Reader) io.Reader {
				if n > 1 {
					return from
				}
				return behindNewKeys(from)
			}},
		} {
			for _, park := range []Park{ParkBest, ParkGoroutine} {
				name := fmt.Sprintf("%s, %v", name, park)
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					signer := &slowSigner{Signer: w.signer, takes: 700 * time.Millisecond}
					signer.slow.Store(c.slow)
					middle := far(t, fleet.Target{Host: w.host}.Address(), c.alter)
					r := newRig(w.host, w.hostKeys, signer)
					r.host.Name, r.host.Port = "127.0.0.1", middle.port()
					r.Timeouts.Auth, r.Park = 600*time.Millisecond, park
					r.remember(t, hostcache.Entry{Kex: []string{"curve25519-sha256"}})
					token := strings.ReplaceAll(name, " ", "_") + "."
					e := r.run(t, w.command(token))
					mu.Lock()
					ends[token] = e
					mu.Unlock()
				})
			}
		}
	})
	w.settle()
	for token, e := range ends {
		want := 0
		if e.Outcome == fleet.OutcomeOK {
			want = 1
		}
		if runs := w.runs(token); runs != want || e.Outcome != fleet.OutcomeOK && e.Outcome != fleet.OutcomeNeverStarted {
			t.Errorf("%s ended %v(%s) in %v and ran %d times: %v", token, e.Outcome, e.Reason, e.Phase, runs, e.Err)
		}
	}
}

// The same if the channel is already open: bytes that are no packet follow the
// server's CHANNEL_OPEN_CONFIRMATION in the same segment.
func TestGoodbyeSendsNoCommandOnAnOpenChannel(t *testing.T) {
	t.Parallel()
	for _, park := range []Park{ParkBest, ParkGoroutine} {
		var opened atomic.Bool
		p := startPoser(t, "OpenSSH_9.9", func(p *poser) {
			p.wrap = func(nc net.Conn) net.Conn { return &spoiler{Conn: nc, armed: &opened} }
			p.ready = func(*xssh.ServerConn) { opened.Store(true) }
		})
		r := p.rig(newSigner(t, sshdtest.Ed25519))
		r.Pipeline, r.Park = Auth, park
		e := r.run(t, "true")
		e.want(t, fleet.OutcomeNeverStarted, fleet.ReasonProtocolError, fleet.PhaseExec)
		_ = p.listener.Close()
		p.work.Wait() // the server has taken all that was sent
		if n := p.execs.Load(); n != 0 {
			t.Errorf("%v: the command was sent %d times", park, n)
		}
	}
}

// A spoiler adds bytes that are no packet to the first write after it was armed.
type spoiler struct {
	net.Conn
	armed *atomic.Bool
}

func (s *spoiler) Write(p []byte) (int, error) {
	if !s.armed.CompareAndSwap(true, false) {
		return s.Conn.Write(p)
	}
	if _, err := s.Conn.Write(append(append([]byte(nil), p...), junk()...)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// If the run ends between Dial and Start, the command is not sent.
func TestStoppedBeforeStart(t *testing.T) {
	t.Parallel()
	s := sshdtest.OpenSSH(t)
	for _, park := range []Park{ParkBest, ParkGoroutine} {
		r := rigFor(s)
		r.Park, r.Memory = park, newMemory(t)
		r.wrap = nil
		runs := newCounter(t)
		d := r.newDialer(t)
		ctx, stop := context.WithCancelCause(t.Context())
		a := &ssh.Attempt{Progress: new(ssh.Progress), Target: r.target(runs.command())}
		c, err := d.Dial(ctx, a)
		if err != nil {
			t.Fatal(err)
		}
		stop(errors.New("stopped"))
		done := make(chan fleet.End, 1)
		c.Start(ctx, func(e fleet.End) { done <- e })
		end := <-done
		if end.Outcome != fleet.OutcomeCancelled || end.Reason != fleet.ReasonInterrupted || a.Execution.Intended() {
			t.Errorf("%v: ended %v(%s), intended %t; want cancelled(interrupted), false", park, end.Outcome, end.Reason, a.Execution.Intended())
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if n := r.sent("exec"); n != 0 || runs.runs(t) != 0 {
			t.Errorf("%v: sent %d times, ran %d times; want 0, 0", park, n, runs.runs(t))
		}
	}
}
