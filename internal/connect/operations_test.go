package connect_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	xssh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"shoal/fleet"
	"shoal/internal/connect"
	"shoal/internal/ssh"
	"shoal/internal/ssh/tcp"
	"shoal/simfleet"
)

// An operation is what a connection is asked for.
type operation string

// broken is a Network on which the nth operation of a kind fails, or each from then on. Operations
// are counted from 1, over all connections.
type broken struct {
	kind operation
	nth  int64
	ever bool
	err  error

	count atomic.Int64
}

func (b *broken) fails(kind operation) bool {
	if kind != b.kind {
		return false
	}
	n := b.count.Add(1)
	return n == b.nth || n > b.nth && b.ever
}

func (b *broken) Open(ctx context.Context, a *ssh.Attempt) (net.Conn, error) {
	if b.fails("dial") {
		return nil, a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonDialFailed, b.err)
	}
	c, err := tcp.Dialer{Timeouts: ssh.Timeouts{}.WithDefaults()}.Open(ctx, a)
	if err != nil {
		return nil, err
	}
	return &brokenConn{c, b}, nil
}

// A brokenConn stays broken, as a socket does.
type brokenConn struct {
	net.Conn
	network *broken
}

func (c *brokenConn) Read(p []byte) (int, error) {
	if c.network.fails("read") {
		_ = c.Conn.Close()
		return 0, &net.OpError{Op: "read", Net: "tcp", Err: c.network.err}
	}
	return c.Conn.Read(p)
}

func (c *brokenConn) Write(p []byte) (int, error) {
	switch {
	case c.network.fails("write"):
		_ = c.Conn.Close()
		return 0, &net.OpError{Op: "write", Net: "tcp", Err: c.network.err}
	case c.network.fails("half a write"):
		n, _ := c.Conn.Write(p[:len(p)/2])
		_ = c.Conn.Close()
		return n, &net.OpError{Op: "write", Net: "tcp", Err: c.network.err}
	}
	return c.Conn.Write(p)
}

// An agent's connection that ends instead of an answer.
type brokenAgent struct {
	net.Conn
	network *broken
}

func (c brokenAgent) Write(p []byte) (int, error) {
	if c.network.fails("agent") {
		_ = c.Conn.Close()
		return 0, c.network.err
	}
	return c.Conn.Write(p)
}

// agentOf serves the key of a file through an agent whose connections break.
func agentOf(t *testing.T, file string, b *broken) (socket string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	key, err := xssh.ParseRawPrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	keyring := agent.NewKeyring()
	if err := keyring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(t.TempDir(), "agent")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return // it is closed
			}
			serving.Go(func() {
				defer func() { _ = c.Close() }()
				_ = agent.ServeAgent(keyring, brokenAgent{c, b}) // until the client leaves
			})
		}
	})
	t.Cleanup(func() { _ = listener.Close(); serving.Wait() })
	return socket
}

// An agent that leaves instead of its Nth answer, once or from then on.
// faults.md: A09
func TestNthAnswerOfTheAgentFails(t *testing.T) {
	t.Parallel()
	for _, ever := range []bool{false, true} {
		t.Run(fmt.Sprint("ever ", ever), func(t *testing.T) {
			t.Parallel()
			const hosts = 2
			outcomes := make(map[fleet.Outcome]int)
			for nth := int64(1); ; nth++ {
				fl, opts := fleetOf(t, simfleet.Options{Hosts: hosts})
				b := &broken{kind: "agent", nth: nth, ever: ever, err: io.EOF}
				opts.Agent = agentOf(t, opts.Identities[0], b)
				opts.Identities, opts.SSHOptions = nil, []string{"IdentityFile=none"}
				opts.Engine.Attempts, opts.Engine.Fanout = 1, 1
				var results []fleet.Result
				for r, err := range connect.Run(t.Context(), opts, fl.Targets(), "echo {index}") {
					if err != nil { // no key is left: nothing may have run
						t.Logf("answer %d: %v", nth, err)
						continue
					}
					results = append(results, r)
					outcomes[r.Outcome]++
				}
				_ = fl.Close() // the log is complete only after Close
				if len(results) == 0 && len(fl.Log()) > 0 {
					t.Fatalf("answer %d: %d commands ran, and no result came", nth, len(fl.Log()))
				}
				if report := simfleet.Check(fl.Log(), slices.Values(results), hosts); len(results) > 0 && !report.OK() {
					t.Fatalf("answer %d: %v", nth, report)
				}
				if b.count.Load() < nth {
					if outcomes[fleet.OutcomeOK] < hosts || ever && outcomes[fleet.OutcomeNeverStarted] == 0 {
						t.Errorf("the suite is hollow: %v in %d runs", outcomes, nth)
					}
					return
				}
			}
		})
	}
}

// A few hosts, of whose connections the Nth operation fails, once or from then on, for each N until
// none is left to fail: every host has a result, and the oracle agrees with each.
// faults.md: T12 S17
func TestNthOperationFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind operation
		err  error
	}{
		{"dial", syscall.ECONNREFUSED},
		{"dial", syscall.EIO},
		{"read", syscall.ECONNRESET},
		{"read", io.EOF},
		{"write", syscall.EPIPE},
		{"half a write", syscall.ECONNRESET},
	} {
		for _, ever := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %v ever %v", c.kind, c.err, ever), func(t *testing.T) {
				t.Parallel()
				const hosts = 3
				outcomes := make(map[fleet.Outcome]int)
				for nth := int64(1); ; nth++ {
					fl, opts := fleetOf(t, simfleet.Options{Hosts: hosts})
					network := &broken{kind: c.kind, nth: nth, ever: ever, err: c.err}
					opts.Network = network
					opts.Engine.Attempts, opts.Engine.Fanout = 1, 1
					results := collect(t, connect.Run(t.Context(), opts, fl.Targets(), "echo out {index}; echo err >&2; exit {index}"))
					_ = fl.Close() // the log is complete only after Close
					if report := simfleet.Check(fl.Log(), slices.Values(results), hosts); !report.OK() {
						t.Fatalf("operation %d: %v", nth, report)
					}
					for _, r := range results {
						outcomes[r.Outcome]++
						if r.Outcome == fleet.OutcomeNeverStarted && r.Reason == fleet.ReasonNone {
							t.Errorf("operation %d: no reason: %v", nth, r.Err)
						}
					}
					if network.count.Load() < nth {
						if n := outcomes[fleet.OutcomeNeverStarted]; n == 0 || len(outcomes) < 3 {
							t.Errorf("the suite is hollow: %v in %d runs", outcomes, nth)
						}
						return
					}
				}
			})
		}
	}
}
