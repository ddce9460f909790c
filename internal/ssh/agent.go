package ssh

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// An AgentSpec is the agent of ours that programs on a host may use. The zero value is none.
type AgentSpec struct {
	// Socket is the path of its socket; "" means that none is forwarded.
	Socket string
	// Required means that the command must not run where the agent is withheld from the
	// host; see [Attempt.MayForwardAgent].
	Required bool
}

// Agents passes on what programs on hosts ask our agents. Implementations are safe for
// concurrent use; package internal/ssh/auth has one.
type Agents interface {
	// Open begins a connection of a program on the attempt's host to the agent that its
	// Settings name. b is what connects the host key to the SSH connection, or nil if the
	// client does not know that.
	Open(a *Attempt, b *AgentBinding) AgentConn
}

// An AgentConn is one connection to an agent. Its methods must not be called concurrently,
// except Close.
type AgentConn interface {
	// Ask returns the answer to a request, both without their length
	// (draft-ietf-sshm-ssh-agent §3). There is always one; once ctx ends it is a failure.
	Ask(ctx context.Context, request []byte) []byte
	Close()
}

// AskAgent is [AgentConn.Ask], whose answer is a failure if it panics: it is called on goroutines where a panic
// would end the program, because of what one host has asked.
func (a *Attempt) AskAgent(ctx context.Context, c AgentConn, request []byte) (answer []byte) {
	const failure = 5 // SSH_AGENT_FAILURE (draft-ietf-sshm-ssh-agent §6.1)
	defer func() {
		if p := recover(); p != nil {
			a.Tell("a request of the host to the agent: panic: %v\n%s", p, debug.Stack())
			answer = []byte{failure}
		}
	}()
	return c.Ask(ctx, request)
}

// An AgentBinding proves that an SSH connection is one to the holder of a host key
// (session-bind@openssh.com in OpenSSH's PROTOCOL.agent).
type AgentBinding struct {
	HostKey   xssh.PublicKey
	SessionID []byte // RFC 4253 §7.2
	Signature []byte // the host key's, of SessionID
	// First means that the first request has all that instead: the system's ssh sends it.
	First bool
}

// AgentUse counts what an attempt's host has asked our agent. It is safe for concurrent use.
type AgentUse struct {
	requests, signatures atomic.Uint32
}

// Request counts a request, and returns how many there were with it.
func (u *AgentUse) Request() uint32 { return u.requests.Add(1) }

// Sign counts a signature that is being asked for. Refused undoes it; one whose answer does not
// come counts as made.
func (u *AgentUse) Sign() { u.signatures.Add(1) }

// Refused says that the agent has not made a signature.
func (u *AgentUse) Refused() { u.signatures.Add(^uint32(0)) }

// Signatures returns the number of signatures that were made, or may have been.
func (u *AgentUse) Signatures() int { return int(u.signatures.Load()) }

// An AgentGuard is a HostKeys that decides which hosts may use our agent.
type AgentGuard interface {
	// AllowAgent returns nil if known_hosts had the key that Check accepted, or the CA of its
	// certificate, before the run: a key that was learned since proves nothing to a person.
	AllowAgent(t Target, key xssh.PublicKey) error
}

// WantsAgent reports whether the attempt asks for an agent to be forwarded.
func (a *Attempt) WantsAgent() bool { return a.Agent && a.Target.Settings().Agent.Socket != "" }

// MayForwardAgent reports whether the agent that the attempt wants goes to a host with this key,
// which keys.Check has accepted. The failure is that of an attempt which must not go on without.
func (a *Attempt) MayForwardAgent(keys HostKeys, key xssh.PublicKey) (bool, *fleet.Error) {
	if !a.WantsAgent() {
		return false, nil
	}
	why := errors.New("the agent was not forwarded: nothing tells whether the host key is known")
	if guard, ok := keys.(AgentGuard); ok && key != nil {
		why = guard.AllowAgent(a.Target, key)
	}
	if why == nil {
		return true, nil
	}
	if a.Target.Settings().Agent.Required {
		return false, a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonAgentWithheld, why)
	}
	a.Tell("%s", Brief(why))
	return false, nil
}

// ErrLearned is why a host whose key was learned in this run gets no agent.
var ErrLearned = errors.New("the agent was not forwarded: the host's key was not known before this run")

const (
	// MaxAgentRequest is the most bytes of a request to a forwarded agent. It and its length fit
	// into the window of the channel.
	MaxAgentRequest = 32<<10 - 4
	// MaxAgentChannels is how many connections to the agent a host may have at a time.
	MaxAgentChannels = 32
)

// AgentFrames splits what a host sends to an agent into requests. It holds at most one request
// that is complete, and as much as the caller adds beyond.
type AgentFrames struct{ buf []byte }

// Add appends bytes that were received.
func (f *AgentFrames) Add(p []byte) { f.buf = append(f.buf, p...) }

// Len returns the number of bytes that Next has not returned.
func (f *AgentFrames) Len() int { return len(f.buf) }

// Next returns the next request without its length, or nil if it has not arrived completely. The
// error is final: the host announces a request of no or too many bytes.
func (f *AgentFrames) Next() ([]byte, error) {
	if len(f.buf) < 4 {
		return nil, nil
	}
	n := binary.BigEndian.Uint32(f.buf)
	if n == 0 || n > MaxAgentRequest {
		return nil, fmt.Errorf("a request of %d bytes to the agent, want 1 to %d", n, MaxAgentRequest)
	}
	end := 4 + int(n)
	if len(f.buf) < end {
		return nil, nil
	}
	request := append([]byte(nil), f.buf[4:end]...)
	if f.buf = append(f.buf[:0], f.buf[end:]...); len(f.buf) == 0 {
		f.buf = nil
	}
	return request, nil
}

// FrameAgent returns an answer behind its length.
func FrameAgent(answer []byte) []byte {
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(answer)), uint32(len(answer))), answer...)
}
