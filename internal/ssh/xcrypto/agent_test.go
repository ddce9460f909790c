package xcrypto

import (
	"bytes"
	"context"
	"io"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"shoal/internal/ssh"
)

// panicking is an agent that panics.
type panicking struct{}

func (panicking) Open(*ssh.Attempt, *ssh.AgentBinding) ssh.AgentConn { return panicking{} }
func (panicking) Ask(context.Context, []byte) []byte                 { panic("oops") }
func (panicking) Close()                                             {}

// An agentChannel is one that a server has opened to the agent.
type agentChannel struct {
	xssh.Channel
	io.Reader
	answers bytes.Buffer
}

func (c *agentChannel) Read(p []byte) (int, error)  { return c.Reader.Read(p) }
func (c *agentChannel) Write(p []byte) (int, error) { return c.answers.Write(p) }

// A request with which the agent panics is refused, and ends neither the program nor the channel; the next one is answered.
func TestAgentPanics(t *testing.T) {
	requests, host := io.Pipe()
	c := &agentChannel{Reader: requests}
	f := newForwarding(&ssh.Attempt{Progress: new(ssh.Progress)}, panicking{})
	f.serving.Go(func() {
		for range 2 {
			_, _ = host.Write(ssh.FrameAgent([]byte{11}))
		}
		_ = host.Close()
	})
	f.answer(c)
	f.end(true)
	if want := []byte{0, 0, 0, 1, 5, 0, 0, 0, 1, 5}; !bytes.Equal(c.answers.Bytes(), want) {
		t.Errorf("answers %v, want %v", c.answers.Bytes(), want)
	}
}
