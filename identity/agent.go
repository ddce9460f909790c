package identity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// A link is the one connection to an agent that all targets share. One request
// is under way at a time: agents answer in order, so that the time one takes is
// its own and a deadline ends the right one.
type link struct {
	socket string
	limit  time.Duration // for one request
	// turn holds the connection, or nil where none is open, while nobody uses
	// it. Whoever takes it puts it back; there is room for one.
	turn chan net.Conn
}

func newLink(socket string, limit time.Duration) *link {
	l := &link{socket: socket, limit: limit, turn: make(chan net.Conn, 1)}
	l.turn <- nil
	return l
}

// use waits for its turn and has f talk to the agent. It ends with ctx or at
// the limit. After an error the connection is dropped, and the next turn dials
// a new one.
func (l *link) use(ctx context.Context, f func(agent.ExtendedAgent) error) error {
	var conn net.Conn
	select {
	case conn = <-l.turn:
	case <-ctx.Done():
		return fmt.Errorf("waiting for the agent: %w", context.Cause(ctx))
	}
	keep := false
	defer func() {
		if !keep && conn != nil {
			_ = conn.Close() // it is of no more use
			conn = nil
		}
		l.turn <- conn
	}()

	ctx, cancel := context.WithTimeoutCause(ctx, l.limit, fmt.Errorf("no answer from the agent in %v", l.limit))
	defer cancel()
	if conn == nil {
		var err error
		if conn, err = l.dial(ctx); err != nil {
			conn = nil
			return err
		}
	}
	// The agent's client knows no context; a deadline in the past wakes it.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	// Without a Close method the client starts no goroutine of its own.
	err := f(agent.NewClient(struct{ io.ReadWriter }{conn}))
	if !stop() && err != nil {
		return fmt.Errorf("talking to the agent: %w", context.Cause(ctx))
	}
	keep = err == nil && ctx.Err() == nil
	return err
}

// dial waits out a full backlog (EAGAIN): the agent is alive then, and busy.
func (l *link) dial(ctx context.Context) (net.Conn, error) {
	const first, last = time.Millisecond, 100 * time.Millisecond
	var d net.Dialer
	for pause := first; ; pause = min(2*pause, last) {
		conn, err := d.DialContext(ctx, "unix", l.socket)
		if err == nil || !errors.Is(err, syscall.EAGAIN) {
			return conn, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, fmt.Errorf("dialling the agent: %w", context.Cause(ctx))
		}
	}
}

// list gives the public keys that the agent has.
func (l *link) list(ctx context.Context) ([]*agent.Key, error) {
	var keys []*agent.Key
	err := l.use(ctx, func(a agent.ExtendedAgent) (err error) {
		keys, err = a.List()
		return err
	})
	return keys, err
}

// sign has the agent sign, and checks what it answers: a server would count a
// wrong signature as a failed login.
func (l *link) sign(ctx context.Context, key ssh.PublicKey, data []byte, algorithm string) (*ssh.Signature, error) {
	var flags agent.SignatureFlags
	switch algorithm {
	case ssh.KeyAlgoRSASHA256:
		flags = agent.SignatureFlagRsaSha256
	case ssh.KeyAlgoRSASHA512:
		flags = agent.SignatureFlagRsaSha512
	}
	var signature *ssh.Signature
	err := l.use(ctx, func(a agent.ExtendedAgent) (err error) {
		if signature, err = a.SignWithFlags(key, data, flags); err != nil {
			return err
		}
		if signature.Format != algorithm {
			return fmt.Errorf("the agent signed with %.32q instead of %q", signature.Format, algorithm)
		}
		if err := key.Verify(data, signature); err != nil {
			return fmt.Errorf("the agent's signature is wrong: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return signature, nil
}

func (l *link) close() {
	if conn := <-l.turn; conn != nil {
		_ = conn.Close() // nothing was left to send
	}
	l.turn <- nil
}
