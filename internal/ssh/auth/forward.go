package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// DefaultSignatures is how many signatures a host gets from a forwarded agent in a run.
const DefaultSignatures = 100

// Limits of what hosts ask a forwarded agent.
const (
	maxForwardRequests = 10_000           // of one attempt, of whatever kind
	maxBindings        = 16               // session-bind requests on a connection (AGENT_MAX_SESSION_IDS in ssh-agent.c)
	maxBound           = 32               // connections of their own at a time, for keys that need one
	forwardTimeout     = 2 * time.Minute  // for one answer, which may need a person
	confirmTimeout     = 60 * time.Second // for a person's consent
)

// ForwardOptions configure a Forwarder. The zero value is usable.
type ForwardOptions struct {
	// Signatures is how many signatures a host gets in the run; 0 means DefaultSignatures.
	Signatures int
	// Confirm, if not nil, asks a person before each signature, one at a time and for at most a
	// minute. question is one line and has no bytes of a peer that are not quoted.
	Confirm func(ctx context.Context, question string) bool
}

// A Forwarder passes on what programs on hosts ask our agents: to list keys and to sign with them.
// It refuses all else, such as adding, removing and locking keys. It implements ssh.Agents.
//
// All hosts share one connection to an agent. Only if it has keys that are constrained to certain
// destinations (ssh-add -h), connections of hosts get one of their own, because the agent has to
// be told whose they are.
type Forwarder struct {
	opts   ForwardOptions
	asking chan struct{} // held while a person is asked; capacity 1
	bound  chan struct{} // an element for each connection with bindings
	agents map[string]*forwarded
	given  map[fleet.Host]int // signatures by host
	closed bool
	mu     sync.Mutex // guards agents, given and closed
}

// NewForwarder returns a Forwarder. Close ends its connections.
func NewForwarder(o ForwardOptions) (*Forwarder, error) {
	if o.Signatures < 0 {
		return nil, fmt.Errorf("a limit of %d signatures is negative; 0 means the default", o.Signatures)
	}
	if o.Signatures == 0 {
		o.Signatures = DefaultSignatures
	}
	return &Forwarder{
		opts: o, asking: make(chan struct{}, 1), bound: make(chan struct{}, maxBound),
		agents: make(map[string]*forwarded), given: make(map[fleet.Host]int),
	}, nil
}

// Check returns why the agent at this socket cannot be forwarded, or nil.
func (f *Forwarder) Check(ctx context.Context, socket string) error {
	_, _, err := f.agent(socket).list(ctx)
	if err != nil {
		return fmt.Errorf("the agent at %q, which is to be forwarded: %w", socket, err)
	}
	return nil
}

// Renew begins another run: each host gets as many signatures as in the first, and an agent that was given up, because it did
// not answer in time, is asked again if it answers now. It waits for renewTimeout at most.
func (f *Forwarder) Renew(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	f.mu.Lock()
	clear(f.given)
	agents := maps.Clone(f.agents)
	f.mu.Unlock()
	for socket, a := range agents {
		if !a.link.hung.Load() {
			continue
		}
		now := newForwarded(socket)
		_, _, err := now.list(ctx)
		f.mu.Lock()
		taken := err == nil && !f.closed
		if taken {
			f.agents[socket] = now
		}
		f.mu.Unlock()
		if !taken {
			a = now
		}
		a.link.close()
	}
}

// Close ends all connections to agents.
func (f *Forwarder) Close() error {
	f.mu.Lock()
	f.closed = true
	agents := f.agents
	f.agents = nil
	f.mu.Unlock()
	for _, a := range agents {
		a.link.close()
	}
	return nil
}

// agent returns the agent at a socket.
func (f *Forwarder) agent(socket string) *forwarded {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.agents[socket]
	if a == nil {
		a = newForwarded(socket)
		if f.closed {
			a.link.close()
			return a
		}
		f.agents[socket] = a
	}
	return a
}

func newForwarded(socket string) *forwarded {
	return &forwarded{socket: socket, link: newAgentClient(socket, forwardTimeout, window), probing: make(chan struct{}, 1)}
}

// take counts a signature for a host, and reports whether it is within the limit.
func (f *Forwarder) take(h fleet.Host) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.given[h] >= f.opts.Signatures {
		return false
	}
	f.given[h]++
	return true
}

func (f *Forwarder) giveBack(h fleet.Host) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.given[h] > 0 { // otherwise Renew has forgotten it
		f.given[h]--
	}
}

// confirmed asks a person, if one is to be asked.
func (f *Forwarder) confirmed(ctx context.Context, question string) bool {
	if f.opts.Confirm == nil {
		return true
	}
	select {
	case f.asking <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	defer func() { <-f.asking }()
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	return f.opts.Confirm(ctx, question)
}

// Open implements ssh.Agents.
func (f *Forwarder) Open(a *ssh.Attempt, b *ssh.AgentBinding) ssh.AgentConn {
	c := &forwardedConn{forwarder: f, agent: f.agent(a.Target.Settings().Agent.Socket), attempt: a}
	switch {
	case b != nil && b.First:
		c.awaits = true
	case b != nil:
		c.bindings = append(c.bindings, bindRequest(b.HostKey, b.SessionID, b.Signature, true))
	}
	return c
}

// A forwarded is an agent that is forwarded.
type forwarded struct {
	socket string
	link   *agentClient

	probing chan struct{} // held while constrained is being found out; capacity 1
	probed  bool          // the fields below are known; guarded by probing, as they are
	seen    map[string]bool
	bound   map[string]bool
}

// list returns the agent's keys, and its answer.
func (a *forwarded) list(ctx context.Context) (keys []listed, answer []byte, err error) {
	request, err := frame([]byte{msgRequestIdentities})
	if err != nil {
		return nil, nil, err
	}
	got := a.link.do(ctx, request)
	if got.err != nil {
		return nil, nil, got.err
	}
	if keys, err = parseList(got.reply); err != nil {
		a.link.reset()
	}
	return keys, got.reply, err
}

// constrained returns those of keys, in wire form, that the agent lets go to certain destinations
// only. The agent does not say which these are, but it hides them from a connection that is bound
// to a host which nobody knows: one that is made up here. An agent without session-bind has none.
func (a *forwarded) constrained(ctx context.Context, keys []listed) (map[string]bool, error) {
	select {
	case a.probing <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-a.probing }()
	if a.probed && !slices.ContainsFunc(keys, func(k listed) bool { return !a.seen[string(k.blob)] }) {
		return a.bound, nil
	}
	bind, err := unknownHost()
	if err != nil {
		return nil, err
	}
	seen, bound := make(map[string]bool), make(map[string]bool)
	for _, k := range keys {
		seen[string(k.blob)], bound[string(k.blob)] = true, true
	}
	c, err := dialBound(ctx, a.socket, [][]byte{bind})
	switch {
	case errors.Is(err, ErrAgentRefused):
		bound = nil
	case err != nil:
		return nil, err
	default:
		defer c.close()
		reply, err := c.do(ctx, []byte{msgRequestIdentities})
		if err != nil {
			return nil, err
		}
		free, err := parseList(reply)
		if err != nil {
			return nil, err
		}
		for _, k := range free {
			delete(bound, string(k.blob))
		}
	}
	a.probed, a.seen, a.bound = true, seen, bound
	return bound, nil
}

// isBound reports whether a key is constrained. The error says that the agent does not have it.
func (a *forwarded) isBound(ctx context.Context, key []byte) (bool, error) {
	select {
	case a.probing <- struct{}{}:
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	seen, bound := a.seen[string(key)], a.bound[string(key)]
	<-a.probing
	if seen {
		return bound, nil
	}
	keys, _, err := a.list(ctx)
	if err != nil {
		return false, err
	}
	if !slices.ContainsFunc(keys, func(k listed) bool { return string(k.blob) == string(key) }) {
		return false, errors.New("it has no such key")
	}
	all, err := a.constrained(ctx, keys)
	return all[string(key)], err
}

// unknownHost returns the session-bind request for a host that was made up.
func unknownHost() ([]byte, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	signer, err := xssh.NewSignerFromKey(private)
	if err != nil {
		return nil, err
	}
	session := make([]byte, 32)
	_, _ = rand.Read(session)
	signature, err := signer.Sign(rand.Reader, session)
	if err != nil {
		return nil, err
	}
	return bindRequest(signer.PublicKey(), session, xssh.Marshal(signature), true), nil
}

// A boundConn is a connection to an agent with session bindings.
type boundConn struct{ conn net.Conn }

// dialBound connects and makes the bindings. The error is ErrAgentRefused if the agent does.
func dialBound(ctx context.Context, socket string, bindings [][]byte) (*boundConn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	c := &boundConn{conn}
	for _, bind := range bindings {
		reply, err := c.do(ctx, bind)
		if err == nil {
			err = expect(reply, msgSuccess)
		}
		if err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

func (c *boundConn) close() { _ = c.conn.Close() }

// do sends a request without its length. After an error the connection is of no use.
func (c *boundConn) do(ctx context.Context, request []byte) ([]byte, error) {
	framed, err := frame(request)
	if err != nil {
		return nil, err
	}
	_ = c.conn.SetDeadline(time.Now().Add(forwardTimeout))
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := c.conn.Write(framed); err != nil {
		return nil, err
	}
	return readMessage(c.conn)
}

// A forwardedConn implements ssh.AgentConn.
type forwardedConn struct {
	forwarder *Forwarder
	agent     *forwarded
	attempt   *ssh.Attempt
	bindings  [][]byte // session-bind requests, that of the host first
	awaits    bool     // the first request is that of the host: see ssh.AgentBinding.First
	mu        sync.Mutex
	own       *boundConn // guarded by mu; nil: not needed so far
	closed    bool       // guarded by mu
}

// Close implements ssh.AgentConn.
func (c *forwardedConn) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.dropLocked()
}

// dropLocked closes the connection of its own.
func (c *forwardedConn) dropLocked() {
	if c.own != nil {
		c.own.close()
		c.own = nil
		<-c.forwarder.bound
	}
}

func (c *forwardedConn) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropLocked()
}

var refusal = []byte{msgFailure}

// Ask implements ssh.AgentConn.
func (c *forwardedConn) Ask(ctx context.Context, request []byte) []byte {
	if len(request) == 0 || c.attempt.AgentUse.Request() > maxForwardRequests {
		return refusal
	}
	ctx, cancel := context.WithTimeoutCause(ctx, forwardTimeout+confirmTimeout, noAnswer{forwardTimeout})
	defer cancel()
	first := c.awaits
	c.awaits = false
	switch request[0] {
	case msgRequestIdentities:
		return c.list(ctx)
	case msgSignRequest:
		return c.sign(ctx, request)
	case msgExtension:
		return c.extend(request, first)
	}
	c.attempt.Tell("the host asked the forwarded agent for more than keys and signatures, message %d, and was refused", request[0])
	return refusal
}

func (c *forwardedConn) list(ctx context.Context) []byte {
	c.attempt.Tell("the host asked the forwarded agent for its keys")
	keys, answer, err := c.agent.list(ctx)
	if err == nil {
		var bound map[string]bool
		switch bound, err = c.agent.constrained(ctx, keys); {
		case err != nil || len(bound) == 0:
		case len(c.bindings) == 0:
			answer = listAnswer(slices.DeleteFunc(keys, func(k listed) bool { return bound[string(k.blob)] }))
		default:
			answer, err = c.onOwn(ctx, []byte{msgRequestIdentities})
		}
	}
	if err != nil {
		c.attempt.Tell("the forwarded agent: %s", ssh.Brief(err))
		return refusal
	}
	return answer
}

// listAnswer returns an agent's answer with these keys.
func listAnswer(keys []listed) []byte {
	answer := binary.BigEndian.AppendUint32([]byte{msgIdentitiesAnswer}, uint32(len(keys)))
	for _, k := range keys {
		answer = append(answer, xssh.Marshal(struct {
			Blob    []byte
			Comment string
		}{k.blob, k.comment})...)
	}
	return answer
}

// onOwn asks on a connection that is bound to the host.
func (c *forwardedConn) onOwn(ctx context.Context, request []byte) ([]byte, error) {
	own, err := c.ownConn(ctx)
	if err != nil {
		return nil, err
	}
	reply, err := own.do(ctx, request)
	if err != nil {
		c.drop()
	}
	return reply, err
}

var errUnbound = errors.New("this client cannot tell the agent whose connection it is, as keys that are constrained to destinations need")

func (c *forwardedConn) ownConn(ctx context.Context) (*boundConn, error) {
	if len(c.bindings) == 0 {
		return nil, errUnbound
	}
	c.mu.Lock()
	own := c.own
	c.mu.Unlock()
	if own != nil {
		return own, nil
	}
	select {
	case c.forwarder.bound <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	own, err := dialBound(ctx, c.agent.socket, c.bindings)
	if err != nil {
		<-c.forwarder.bound
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.own = own
	if c.closed {
		c.dropLocked()
		return nil, errClosed
	}
	return own, nil
}

func (c *forwardedConn) sign(ctx context.Context, request []byte) []byte {
	var r signRequest
	if err := xssh.Unmarshal(request, &r); err != nil {
		return refusal
	}
	what := describe(r, c.key(r.Key))
	host := c.attempt.Target.Host
	if !c.forwarder.take(host) {
		c.attempt.Tell("the host asked the forwarded agent for a signature %s, and has had %d: refused (--forward-agent-limit)", what, c.forwarder.opts.Signatures)
		return refusal
	}
	use := &c.attempt.AgentUse
	use.Sign()
	answer, err := c.signature(ctx, request, &r, fmt.Sprintf("May %.200q have a signature %s?", host.String(), what))
	switch {
	case err == nil:
		c.attempt.Tell("the forwarded agent gave the host a signature %s", what)
		return answer
	case ctx.Err() == nil: // otherwise it may still be made
		use.Refused()
		c.forwarder.giveBack(host)
	}
	c.attempt.Tell("the forwarded agent gave the host no signature %s: %s", what, ssh.Brief(err))
	return refusal
}

var errDeclined = errors.New("it was not confirmed")

// signature returns the agent's answer, which has a signature.
func (c *forwardedConn) signature(ctx context.Context, request []byte, r *signRequest, question string) ([]byte, error) {
	bound, err := c.agent.isBound(ctx, r.Key)
	if err != nil {
		return nil, err
	}
	if !c.forwarder.confirmed(ctx, question) {
		return nil, errDeclined
	}
	var answer []byte
	if bound {
		answer, err = c.onOwn(ctx, request)
	} else if framed, ferr := frame(request); ferr == nil {
		got := c.agent.link.do(ctx, framed)
		answer, err = got.reply, got.err
	} else {
		err = ferr
	}
	if err == nil {
		_, err = parseSignature(answer)
	}
	return answer, err
}

// key returns the public key in wire form, or nil if it is none.
func (c *forwardedConn) key(blob []byte) xssh.PublicKey {
	key, err := xssh.ParsePublicKey(blob)
	if err != nil {
		return nil
	}
	return key
}

// describe says for people what is to be signed. It holds nothing of the host that is not quoted.
func describe(r signRequest, key xssh.PublicKey) string {
	name := "with a key that it does not name"
	if key != nil {
		name = "by " + xssh.FingerprintSHA256(key)
	}
	// The data of a login, RFC 4252 §7; publickey-hostbound-v00@openssh.com also has the
	// server's host key (OpenSSH's PROTOCOL).
	var login struct {
		Session               []byte
		Message               byte
		User, Service, Method string
		Signed                bool
		Algorithm             string
		Key                   []byte
		Rest                  []byte `ssh:"rest"`
	}
	if err := xssh.Unmarshal(r.Data, &login); err != nil || login.Message != 50 {
		return name + ", not for a login"
	}
	text := fmt.Sprintf("%s to log in as %.64q", name, login.User)
	var at struct{ HostKey []byte }
	if xssh.Unmarshal(login.Rest, &at) == nil {
		if host, err := xssh.ParsePublicKey(at.HostKey); err == nil {
			text += " at the host with key " + xssh.FingerprintSHA256(host)
		}
	}
	return text
}

// extend answers an extension: session-bind@openssh.com, which a program on the host uses before
// it asks for a signature for a connection of its own. trusted means that the system's ssh has
// sent it, for the host.
func (c *forwardedConn) extend(request []byte, trusted bool) []byte {
	var r bindMessage
	if err := xssh.Unmarshal(request, &r); err != nil || r.Name != sessionBind || len(c.bindings) >= maxBindings {
		return refusal
	}
	key, err := xssh.ParsePublicKey(r.HostKey)
	if err != nil {
		return refusal
	}
	var signature xssh.Signature
	if err := xssh.Unmarshal(r.Signature, &signature); err != nil || key.Verify(r.SessionID, &signature) != nil {
		return refusal
	}
	if trusted && r.Forwarding || len(c.bindings) > 0 { // otherwise the agent is not told at all, and gives no key that is constrained
		c.bindings = append(c.bindings, request)
	}
	c.drop() // the next one has it too
	return []byte{msgSuccess}
}

const sessionBind = "session-bind@openssh.com"

// A bindMessage is an extension request (OpenSSH's PROTOCOL.agent).
type bindMessage struct {
	Name       string `sshtype:"27"`
	HostKey    []byte
	SessionID  []byte
	Signature  []byte
	Forwarding bool
}

func bindRequest(key xssh.PublicKey, session, signature []byte, forwarding bool) []byte {
	return xssh.Marshal(bindMessage{sessionBind, key.Marshal(), session, signature, forwarding})
}
