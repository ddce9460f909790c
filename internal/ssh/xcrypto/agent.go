package xcrypto

import (
	"context"
	"sync"
	"sync/atomic"

	xssh "golang.org/x/crypto/ssh"

	"shoal/internal/ssh"
)

// A forwarding serves the channels to a forwarded agent that the server opens during the first
// attempt of a connection. The library does not say what connects the host key to the
// connection, so that keys which are constrained to destinations are not given. A nil forwarding
// has no channels.
type forwarding struct {
	attempt *ssh.Attempt
	agents  ssh.Agents
	ctx     context.Context // ends with the attempt
	cancel  context.CancelFunc

	mu      sync.Mutex
	granted bool
	open    int
	serving sync.WaitGroup
	queued  atomic.Int64 // bytes of requests that wait
}

func newForwarding(a *ssh.Attempt, agents ssh.Agents) *forwarding {
	f := &forwarding{attempt: a, agents: agents}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

// wanted reports whether the server is still to be asked.
func (f *forwarding) wanted() bool { return f != nil && f.ctx.Err() == nil }

// requestAgent asks the server to forward the agent (draft-ietf-sshm-ssh-agent §5), and reports
// whether it does.
func (c *conn) requestAgent(ch xssh.Channel) bool {
	f := c.agent
	f.mu.Lock()
	f.granted = true // the server may open a channel at once
	f.mu.Unlock()
	ok, err := ch.SendRequest("auth-agent-req@openssh.com", true, nil)
	if err != nil || !ok {
		f.mu.Lock()
		f.granted = false
		f.mu.Unlock()
	}
	return ok && err == nil
}

// serve takes a channel to the agent, and reports whether it did: then it is not refused.
func (f *forwarding) serve(opened xssh.NewChannel) bool {
	if f == nil || f.agents == nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case !f.granted || f.ctx.Err() != nil:
		return false
	case f.open == ssh.MaxAgentChannels:
		_ = opened.Reject(xssh.ResourceShortage, "too many at once")
		return true
	}
	ch, requests, err := opened.Accept()
	if err != nil {
		return true
	}
	f.open++
	f.serving.Go(func() { xssh.DiscardRequests(requests) })
	f.serving.Go(func() {
		f.answer(ch)
		_ = ch.Close()
		f.mu.Lock()
		defer f.mu.Unlock()
		f.open--
	})
	return true
}

// answer serves one channel until it or the attempt ends.
func (f *forwarding) answer(ch xssh.Channel) {
	conn := f.agents.Open(f.attempt, nil)
	defer conn.Close()
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	requests := make(chan []byte, queuedRequests) // sent by the reader, which closes it
	f.serving.Go(func() {
		defer cancel()
		defer close(requests)
		f.read(ch, requests)
	})
	for request := range requests {
		_, err := ch.Write(ssh.FrameAgent(f.attempt.AskAgent(ctx, conn, request)))
		f.queued.Add(-int64(len(request)))
		if err != nil {
			return
		}
	}
}

// queuedRequests is how many requests may wait on a channel, and queuedBytes how many bytes of
// requests on all of them.
const (
	queuedRequests = 64
	queuedBytes    = 256 << 10
)

// read reads on while a request is being answered, because the library would keep 2 MiB for each
// channel. It gives up a host that sends more requests than may wait.
func (f *forwarding) read(ch xssh.Channel, requests chan<- []byte) {
	var frames ssh.AgentFrames
	buf := make([]byte, 1<<10)
	for {
		n, err := ch.Read(buf)
		frames.Add(buf[:n])
		for err == nil {
			request, bad := frames.Next()
			if bad != nil {
				return
			}
			if request == nil {
				break
			}
			if f.queued.Add(int64(len(request))) > queuedBytes || len(requests) == cap(requests) {
				return
			}
			requests <- request
		}
		if err != nil {
			return
		}
	}
}

// end ends all requests. With wait, for a connection that is closed, it waits for the channels.
func (f *forwarding) end(wait bool) {
	if f == nil {
		return
	}
	f.cancel()
	f.mu.Lock()
	f.granted = false
	f.mu.Unlock()
	if wait {
		f.serving.Wait()
	}
}
