package openssh

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"shoal/internal/ssh"
)

// A forwarder is the socket that the program takes for the agent that it forwards (ForwardAgent of
// ssh_config, with a path since OpenSSH 8.2). A nil forwarder forwards none.
type forwarder struct {
	attempt  *ssh.Attempt
	agents   ssh.Agents
	listener net.Listener
	ctx      context.Context // ends with the connection
	cancel   context.CancelFunc
	all      sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

const forwardSuffix = ".f"

// acceptPause is the time between two tries to accept after a failure.
const acceptPause = 100 * time.Millisecond

func startForwarder(l *login) (*forwarder, error) {
	listener, err := net.Listen("unix", l.path+forwardSuffix) // removed by Close
	if err != nil {
		return nil, err
	}
	f := &forwarder{attempt: l.attempt, agents: l.dialer.opts.Agents, listener: listener, conns: make(map[net.Conn]struct{})}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.all.Go(f.serve)
	return f, nil
}

func (f *forwarder) serve() {
	for {
		c, err := f.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // which may pass: there is no descriptor left
			select {
			case <-time.After(acceptPause):
			case <-f.ctx.Done():
			}
			continue
		}
		f.mu.Lock()
		if f.ctx.Err() != nil || len(f.conns) == ssh.MaxAgentChannels {
			_ = c.Close()
		} else {
			f.conns[c] = struct{}{}
			f.all.Go(func() {
				f.answer(c)
				_ = c.Close()
				f.mu.Lock()
				defer f.mu.Unlock()
				delete(f.conns, c)
			})
		}
		f.mu.Unlock()
	}
}

// answer serves one connection of the program, which is a channel of the host.
func (f *forwarder) answer(c net.Conn) {
	conn := f.agents.Open(f.attempt, &ssh.AgentBinding{First: true})
	defer conn.Close()
	head := make([]byte, 4)
	for {
		if _, err := io.ReadFull(c, head); err != nil {
			return
		}
		n := binary.BigEndian.Uint32(head)
		if n == 0 || n > ssh.MaxAgentRequest {
			f.attempt.Tell("the host announces a request of %d bytes to the agent, and is not heard any more", n)
			return
		}
		request := make([]byte, n)
		if _, err := io.ReadFull(c, request); err != nil {
			return
		}
		if _, err := c.Write(ssh.FrameAgent(f.attempt.AskAgent(f.ctx, conn, request))); err != nil {
			return
		}
	}
}

// end closes the socket and waits for the goroutines.
func (f *forwarder) end() {
	if f == nil {
		return
	}
	f.mu.Lock()
	f.cancel()
	for c := range f.conns {
		_ = c.Close()
	}
	f.mu.Unlock()
	_ = f.listener.Close()
	f.all.Wait()
}
