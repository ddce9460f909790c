package simfleet

import (
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"shoal/internal/ssh/wire"
)

// serverVersion names an implementation that takes commands early, as this one does (RFC 4253
// §4.2).
const serverVersion = "SSH-2.0-OpenSSH_10.1 simfleet"

// A wireServer serves a connection by package wire. Its goroutine, the reader, processes what the
// client sends; commands that wait for something have goroutines of their own. What a batch of
// messages is answered with leaves in one write.
type wireServer struct {
	conn      *conn
	behaviour behaviour
	login     func(*wireServer, wire.AuthRequest) // answers it now or later; mu is held
	commands  sync.WaitGroup                      // goroutines of commands, forwarded channels and late answers

	// turn is held while events are processed, which goes on where mu is released. It is taken before mu.
	turn sync.Mutex

	mu       sync.Mutex
	changed  sync.Cond // on mu: a window, a channel's input, what is written, or err has changed
	server   *wire.Server
	user     string         // who has logged in; "" before
	loggedIn time.Time      // zero before
	channels []*wireChannel // by number; nil: none
	corked   int            // those who write soon: whoever has the turn, and who called wireChannel.together
	writing  bool           // somebody writes, without mu
	memory   []byte         // for what is written next
	answers  int            // to what floods asked
	err      error          // the connection has ended
}

// Sizes of the reader's buffer: at first, and once that was filled.
const (
	smallRead = 4 << 10
	largeRead = 32 << 10
)

// A setup is how a host begins SSH. Faults change it: see behaviour.configure.
type setup struct {
	config *wire.Config
	key    ssh.Signer
	login  func(*wireServer, wire.AuthRequest)
}

// lateVersion is the version line of hosts with faults. A client that knows what it names waits with
// its command for the login, so that what it may report does not depend on what it knew of the host.
const lateVersion = goVersion

// serveWire serves a connection by package wire.
func (c *conn) serveWire(b behaviour) {
	s := setup{config: c.fleet.wireConfig, key: c.fleet.keys.host(c.host), login: (*wireServer).authenticate}
	if d := c.fleet.options.AuthDelay; d > 0 {
		s.delayLogin(d)
	}
	if b.faulty() {
		config := *s.config
		config.Version, s.config = lateVersion, &config
	}
	if b.configure != nil {
		b.configure(c, &s)
	}
	w := &wireServer{conn: c, behaviour: b, login: s.login}
	w.changed.L = &w.mu
	w.server = wire.NewServer(s.config, s.key)
	c.ssh = w
	w.read()
	w.mu.Lock()
	loggedIn := w.loggedIn
	w.mu.Unlock()
	if loggedIn.IsZero() {
		c.fleet.gate.leave(c.host)
	}
	if now := time.Now(); c.fleet.options.Penalties && (loggedIn.IsZero() || now.Sub(loggedIn) < noticeTime) {
		c.fleet.penalties.add(now)
	}
	c.cancel()
	w.commands.Wait()
}

// read processes what comes until the connection ends.
func (w *wireServer) read() {
	buf := make([]byte, smallRead)
	w.mu.Lock()
	w.flushLocked() // some clients wait for the version line
	w.mu.Unlock()
	for {
		n, err := w.conn.Read(buf)
		if n > 0 && !w.take(buf[:n]) {
			return
		}
		if err != nil {
			w.mu.Lock()
			w.end(err)
			w.mu.Unlock()
			return
		}
		if n == smallRead && len(buf) == smallRead {
			buf = make([]byte, largeRead)
		}
	}
}

// take processes a piece and reports whether the connection goes on.
func (w *wireServer) take(p []byte) bool {
	w.turn.Lock()
	defer w.turn.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.server.Receive(p)
	return w.process()
}

// process processes what was received, and reports whether the connection goes on. turn and mu are
// held.
func (w *wireServer) process() bool {
	w.corked++
	defer w.changed.Broadcast() // to settle
	for {
		ev, err := w.server.Next()
		if err != nil {
			w.corked--
			w.flushLocked() // it may tell the client why
			w.end(err)
			return false
		}
		if ev == nil {
			break
		}
		w.handle(ev)
	}
	w.corked--
	w.flushLocked()
	return w.err == nil
}

// handle processes an event. mu is held, and released while something else of the fleet is asked.
func (w *wireServer) handle(ev wire.Event) {
	switch ev := ev.(type) {
	case wire.AuthRequest:
		w.login(w, ev)
	case wire.AuthAnswers:
		w.login(w, wire.AuthRequest{Method: wire.MethodInteractive})
	case wire.ChannelRequested:
		w.open(ev)
	case wire.ChannelRequest:
		w.request(ev)
	case wire.Data:
		if ch := w.channel(ev.Channel); ch != nil {
			ch.input = append(ch.input, ev.Bytes...)
			w.changed.Broadcast()
		}
	case wire.EOF:
		if ch := w.channel(ev.Channel); ch != nil {
			ch.gotEOF = true
			w.changed.Broadcast()
		}
	case wire.Closed:
		if ch := w.channel(ev.Channel); ch != nil {
			ch.gone()
		}
	case wire.Writable:
		w.changed.Broadcast()
	case wire.Alive, wire.ChannelRefused:
		w.answers++
	case wire.ChannelOpened: // a flood's
		w.answers++
		w.server.CloseChannel(ev.Channel)
	case wire.Rekeyed:
		w.conn.fleet.count(func(s *Stats) { s.Rekeys++ })
	}
}

// channel returns an open channel, or nil if a write has failed meanwhile.
func (w *wireServer) channel(n wire.Channel) *wireChannel {
	if int(n) >= len(w.channels) {
		return nil
	}
	return w.channels[n]
}

func (w *wireServer) authenticate(ev wire.AuthRequest) {
	f, accepted := w.conn.fleet, false
	switch {
	case ev.Method == wire.MethodPublicKey:
		accepted = f.allows(w.conn.host, ev.User, ev.Key) && (!ev.Signed || w.server.Verify())
	case ev.Method == wire.MethodPassword && f.options.Password != "":
		accepted = string(ev.Password) == f.options.Password && ev.NewPassword == nil
	}
	if !accepted {
		methods := []string{wire.MethodPublicKey}
		if f.options.Password != "" {
			methods = append(methods, wire.MethodPassword)
		}
		w.server.Reject(false, methods...)
		return
	}
	w.server.Accept()
	if ev.Method == wire.MethodPublicKey && !ev.Signed {
		return
	}
	w.user, w.loggedIn = ev.User, time.Now()
	f.gate.leave(w.conn.host)
	f.count(func(s *Stats) { s.Authenticated++ })
}

// open answers the request for a channel.
func (w *wireServer) open(ev wire.ChannelRequested) {
	n := &wireOpening{server: w, number: ev.Channel, kind: ev.Kind, extra: append([]byte(nil), ev.Extra...)}
	switch {
	case ev.Kind == "direct-tcpip" && w.conn.fleet.options.Forward:
		w.commands.Go(func() { w.conn.forward(n) })
	case ev.Kind == "session" && w.behaviour.open != nil:
		w.behaviour.open(w, ev.Channel)
	case ev.Kind != "session":
		w.server.Refuse(ev.Channel, uint32(ssh.UnknownChannelType), "only sessions here")
	default:
		ch := w.confirm(ev.Channel)
		ch.session = newSession(w.conn, w.behaviour, ch, &w.commands)
	}
}

// confirm opens a channel.
func (w *wireServer) confirm(n wire.Channel) *wireChannel {
	w.server.Confirm(n)
	return w.keep(n)
}

// keep returns the new channel of a number.
func (w *wireServer) keep(n wire.Channel) *wireChannel {
	for int(n) >= len(w.channels) {
		w.channels = append(w.channels, nil)
	}
	ch := &wireChannel{server: w, number: n}
	w.channels[n] = ch
	return ch
}

// request passes a request on to its session.
func (w *wireServer) request(ev wire.ChannelRequest) {
	ch := w.channel(ev.Channel)
	if ch == nil || ch.session == nil {
		if ev.WantReply {
			w.server.Reply(ev.Channel, false)
		}
		return
	}
	r := request{kind: ev.Kind, wantReply: ev.WantReply, payload: ev.Payload}
	if w.handleQuickly(ch, r) {
		return
	}
	r.answer = func(ok bool) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if !ch.closed {
			w.server.Reply(ch.number, ok)
		}
	}
	w.mu.Unlock()
	ch.session.handle(r)
	w.mu.Lock()
}

// handleQuickly runs a command that waits for nothing on the reader, under mu, if the client takes
// its output. It reports whether it has.
func (w *wireServer) handleQuickly(ch *wireChannel, r request) bool {
	if r.kind != wire.KindExec || w.behaviour.faulty() || !ch.session.quick(r) || w.server.Room(ch.number) < quickOutput {
		return false
	}
	r.answer = func(ok bool) { w.server.Reply(ch.number, ok) }
	ch.session.Channel = heldChannel{ch}
	ch.session.handle(r)
	return true
}

// User is the one who has logged in.
func (w *wireServer) User() string { return w.user }

// settleLocked returns once everything is written. mu is held, and released meanwhile.
func (w *wireServer) settleLocked() {
	for w.flushLocked(); w.err == nil && (w.corked > 0 || w.writing); w.flushLocked() {
		w.changed.Wait()
	}
}

// settle is settleLocked, for who has neither turn nor mu.
func (w *wireServer) settle() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settleLocked()
}

// closeWrite sends EOF after what was written. It may be called by whoever has not the turn.
func (w *wireServer) closeWrite() {
	w.settle()
	_ = w.conn.CloseWrite()
}

// flushLocked writes what the server has to send. It returns when that is done, by whomever, or
// the reader will do so. mu is held, and released meanwhile: flushed tells whether it was.
func (w *wireServer) flushLocked() (flushed bool) {
	for w.err == nil && w.corked == 0 && len(w.server.Output()) > 0 {
		flushed = true
		if w.writing {
			w.changed.Wait()
			continue
		}
		p := w.server.Take(w.memory)
		w.memory, w.writing = nil, true
		w.mu.Unlock()
		_, err := w.conn.Write(p)
		w.mu.Lock()
		w.writing = false
		if cap(p) <= largeRead {
			w.memory = p[:0]
		}
		if err != nil {
			w.end(err)
		}
		w.changed.Broadcast()
	}
	return flushed
}

// end records that the connection has ended. mu is held.
func (w *wireServer) end(err error) {
	if w.err != nil {
		return
	}
	w.err = err
	for _, ch := range w.channels {
		if ch != nil {
			ch.gone()
		}
	}
	w.changed.Broadcast()
}

// A wireOpening is a channel that the client has requested.
type wireOpening struct {
	server *wireServer
	number wire.Channel
	kind   string
	extra  []byte
}

func (n *wireOpening) ChannelType() string { return n.kind }
func (n *wireOpening) ExtraData() []byte   { return n.extra }

// Accept opens the channel. It has no requests: they are refused.
func (n *wireOpening) Accept() (ssh.Channel, <-chan *ssh.Request, error) {
	w := n.server
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return nil, nil, w.err
	}
	ch := w.confirm(n.number)
	w.flushLocked()
	none := make(chan *ssh.Request)
	close(none)
	return ch, none, nil
}

// Reject refuses the channel.
func (n *wireOpening) Reject(reason ssh.RejectionReason, message string) error {
	w := n.server
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	w.server.Refuse(n.number, uint32(reason), message)
	w.flushLocked()
	return w.err
}
