package client

import (
	"context"
	"maps"
	"slices"
	"sync"

	"shoal/internal/ssh"
	"shoal/internal/ssh/wire"
)

// An agentForward serves the channels to a forwarded agent that the server opens during one
// attempt. The agent may take long to answer, so that each request waits on a goroutine, one at a
// time for each channel; the window of the channel bounds what the server may send meanwhile. A
// nil agentForward has no channels.
//
//	wire.Data → frames → request → goroutine → the agent
//	the server ← deliver, on the driver ← answers ←┘
type agentForward struct {
	session *session
	binding *ssh.AgentBinding
	chans   map[wire.Channel]*agentChan // for the driver only

	mu      sync.Mutex
	answers []agentAnswer
	wake    func() // tells the driver of answers
}

type agentChan struct {
	conn    ssh.AgentConn
	frames  ssh.AgentFrames
	ctx     context.Context // of its requests
	cancel  context.CancelFunc
	asking  bool
	over    bool   // closed on our side
	eof     bool   // the server sends no more
	pending []byte // of an answer, for which there is no window yet
}

type agentAnswer struct {
	to    *agentChan
	frame []byte
}

// forward forwards the agent in this session.
func (s *session) forward(b *ssh.AgentBinding) {
	s.agent = &agentForward{session: s, binding: b}
}

// notify sets the function that tells the driver of answers.
func (f *agentForward) notify(wake func()) {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wake = wake
}

func (f *agentForward) hasAnswers() bool {
	if f == nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.answers) > 0
}

// channelOf returns the channel of an event of one that is open.
func channelOf(ev wire.Event) (n wire.Channel, ok bool) {
	switch ev := ev.(type) {
	case wire.AgentOpened:
		return ev.Channel, true
	case wire.Data:
		return ev.Channel, true
	case wire.EOF:
		return ev.Channel, true
	case wire.Writable:
		return ev.Channel, true
	case wire.ExitStatus:
		return ev.Channel, true
	case wire.ExitSignal:
		return ev.Channel, true
	case wire.RequestAnswered:
		return ev.Channel, true
	case wire.Closed:
		return ev.Channel, true
	}
	return 0, false
}

// take processes an event of channel n, which is not that of the command.
func (f *agentForward) take(n wire.Channel, ev wire.Event) {
	if f == nil {
		return
	}
	if _, ok := ev.(wire.AgentOpened); ok {
		f.open(n)
		return
	}
	c := f.chans[n]
	if c == nil {
		return
	}
	switch ev := ev.(type) {
	case wire.Data:
		if !ev.Stderr {
			c.frames.Add(ev.Bytes)
			f.ask(n, c)
		}
	case wire.EOF:
		c.eof = true
		f.ask(n, c)
	case wire.Writable:
		f.send(n, c)
	case wire.Closed:
		delete(f.chans, n)
		c.close()
	}
}

func (f *agentForward) open(n wire.Channel) {
	if f.chans == nil {
		f.chans = make(map[wire.Channel]*agentChan)
	}
	c := &agentChan{conn: f.session.dialer.opts.Agents.Open(f.session.attempt, f.binding)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	f.chans[n] = c
}

// close ends the request that the agent has not answered.
func (c *agentChan) close() {
	c.cancel()
	c.conn.Close()
}

// ask passes the next request to the agent, once the one before is answered and its answer sent.
func (f *agentForward) ask(n wire.Channel, c *agentChan) {
	if c.over || c.asking || len(c.pending) > 0 {
		return
	}
	request, err := c.frames.Next()
	switch {
	case err != nil || request == nil && c.eof:
		if err != nil {
			f.session.attempt.Tell("the host is not heard any more by the agent: %s", ssh.Brief(err))
		}
		c.over, c.frames = true, ssh.AgentFrames{}
		f.session.link.client.CloseChannel(n)
		return
	case request == nil:
		return
	}
	c.asking = true
	f.session.link.client.Consumed(n, 4+len(request))
	attempt := f.session.attempt
	f.session.dialer.asking.Go(func() {
		answer := agentAnswer{c, ssh.FrameAgent(attempt.AskAgent(c.ctx, c.conn, request))}
		f.mu.Lock()
		f.answers = append(f.answers, answer)
		wake := f.wake
		f.mu.Unlock()
		if wake != nil {
			wake()
		}
	})
}

// deliver queues the answers that have come, as much as the windows hold, and reports whether it
// queued anything. Only the driver calls it.
func (f *agentForward) deliver() bool {
	if f == nil {
		return false
	}
	f.mu.Lock()
	answers := f.answers
	f.answers = nil
	f.mu.Unlock()
	if len(answers) == 0 || f.session.end != nil {
		return false
	}
	before := len(f.session.link.client.Output())
	for _, n := range slices.Sorted(maps.Keys(f.chans)) {
		c := f.chans[n]
		for _, a := range answers {
			if a.to == c {
				c.asking, c.pending = false, a.frame
				f.send(n, c)
			}
		}
	}
	return len(f.session.link.client.Output()) > before
}

// send queues what waits for the window, and then takes the next request.
func (f *agentForward) send(n wire.Channel, c *agentChan) {
	c.pending = c.pending[f.session.link.client.Send(n, c.pending):]
	f.ask(n, c)
}

// end ends all requests, and closes the channels of a connection that is kept. Nothing more is
// accepted.
func (f *agentForward) end(kept bool) {
	if f == nil {
		return
	}
	for n, c := range f.chans {
		c.close()
		if kept {
			f.session.link.client.CloseChannel(n)
		}
	}
	f.chans = nil
	if kept {
		f.session.link.client.WithdrawAgent()
	}
}
