package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
)

// sound checks what holds for a Client whatever a server sends.
func (s *scripted) sound() {
	s.tb.Helper()
	c := s.client
	closed := 0
	for i, ch := range c.mux.channels {
		if ch == nil {
			closed++
			continue
		}
		if ch.number != Channel(i) || uint64(ch.recvLeft)+uint64(ch.consumed) > uint64(c.config.window()) {
			s.tb.Fatalf("channel %d has number %d and a window of %d+%d", i, ch.number, ch.recvLeft, ch.consumed)
		}
	}
	if closed < len(c.mux.free) || slices.ContainsFunc(c.mux.free, func(n Channel) bool { return c.mux.channels[n] != nil }) {
		s.tb.Fatalf("%d channels are closed, the numbers %v are free", closed, c.mux.free)
	}
	if n := cap(c.in.early); n > 3*MaxPreAuth {
		s.tb.Fatalf("%d bytes of input are held", n)
	}
	if b := c.out.held; b != nil && b.size > maxQueued+MaxPacket {
		s.tb.Fatalf("%d bytes of messages are held", b.size)
	}
	if s.err == nil {
		return
	}
	if _, ok := errors.AsType[*Error](s.err); !ok || len(s.err.Error()) > 2000 {
		s.tb.Fatalf("the end is %T, %d bytes long", s.err, len(s.err.Error()))
	}
	c.Receive([]byte{0, 0, 0, 12})
	if ev, err := c.Next(); ev != nil || !errors.Is(err, s.err) {
		s.tb.Fatalf("after the end: %v, %v", ev, err)
	}
}

// FuzzStream feeds any bytes, before there are keys, in pieces.
func FuzzStream(f *testing.F) {
	s := newScripted(f, Config{})
	s.pump()
	s.sendVersion()
	s.sendKexInit()
	f.Add([]byte(strings.Repeat("hello\r\n", 3)+"SSH-2.0-x\r\n"), uint16(7))
	f.Add(bytes.Clone(s.out.buf), uint16(100))
	s.deliver()
	hello := append([]byte(s.version+"\r\n"), plainSealer{}.seal(nil, s.initRaw, nil, 0)...)
	f.Add(plainSealer{}.seal(hello, s.reply(), nil, 0), uint16(1000))
	f.Add([]byte("SSH-2.0-x\r\n\x00\x00\x00\x0c\x0a\x14"), uint16(1))
	f.Fuzz(func(t *testing.T, stream []byte, piece uint16) {
		s := newScripted(t, Config{EarlyKex: piece%2 == 0})
		s.pump()
		var whole []byte
		for n := int(piece)%4096 + 1; len(stream) > 0; {
			n = min(n, len(stream))
			whole = append(whole, stream[:n]...)
			s.feed(stream[:n])
			stream = stream[n:]
			s.sound()
			if greeting := s.client.Greeting(); s.client.greeting != nil && s.err == nil && !bytes.HasPrefix(whole, greeting) {
				t.Fatalf("the greeting %q is not the beginning of %q", greeting, whole)
			}
		}
	})
}

// FuzzMessages is a server that sends any messages, encrypted, to a driver that
// does anything it may. The script is a sequence of steps: below 0x80 a message
// with two bytes of length, above an action of the driver or a part of a key
// exchange.
func FuzzMessages(f *testing.F) {
	message := func(script []byte, p ...[]byte) []byte {
		for _, m := range p {
			script = append(binary.BigEndian.AppendUint16(append(script, 0), uint16(len(m))), m...)
		}
		return script
	}
	f.Add(message(message([]byte{0x80 + doPassword, 0x80 + doOpen, 0x80 + doExec}, serviceAccept(), []byte{msgUserAuthSuccess},
		confirm(0, 0, 1<<20), about(msgChannelSuccess, 0), data(0, "out"), exitStatus(0, 1), about(msgChannelEOF, 0), about(msgChannelClose, 0)),
		globalRequest("x", true)))
	f.Add(message([]byte{0x80 + doNone}, serviceAccept(), failure(false, "password"), unimplemented(2), banner("x")))
	f.Add(message([]byte{0x80 + doInteractive}, serviceAccept(), prompts(2)))
	f.Add(append(message([]byte{0x80 + doQuery}, serviceAccept(), appendString(appendString([]byte{msgUserAuthMethod}, "alg"), "key")),
		0x80+doPublicKey, 0x80+doKexInit, 0x80+doReply, 0x80+doNewKeys, 0x80+doOpen))
	f.Add(append(message([]byte{0x80 + doPassword, 0x80 + doOpen}, serviceAccept(), []byte{msgUserAuthSuccess}, confirm(0, 3, 100)),
		0x80+doRekey, 0x80+doSend, 0x80+doClose, 0x80+doKexInit, 0x80+doReply, 0x80+doNewKeys, 0x80+doKeepalive))
	f.Add(message([]byte{0x80 + doPassword}, extInfo("server-sig-algs", "a,b"), disconnect(1, "x"), stderrData(0, 1, "x"), channelOpen("x11", 1)))
	f.Fuzz(func(t *testing.T, script []byte) {
		s := newScripted(t, Config{Window: 1000})
		s.secure(direction{cipher: gcm128})
		for steps := 0; len(script) > 0 && steps < 300; steps++ {
			op := script[0]
			script = script[1:]
			if op >= 0x80 {
				s.act(int(op-0x80), len(script))
			} else if len(script) >= 2 {
				n := min(int(binary.BigEndian.Uint16(script)), len(script)-2)
				if p := script[2 : 2+n]; n > 0 && p[0] != msgKexInit {
					s.send(p)
				}
				script = script[2+n:]
			}
			s.deliver()
			s.sound()
		}
	})
}

// The actions of FuzzMessages.
const (
	doPassword = iota
	doNone
	doQuery
	doPublicKey
	doInteractive
	doAnswer
	doOpen
	doExec
	doSend
	doEOF
	doClose
	doConsumed
	doKeepalive
	doRekey
	doKexInit
	doReply
	doNewKeys
	doShrink
	doPass
)

// act does something if it is allowed now.
func (s *scripted) act(action, argument int) {
	c := s.client
	if s.err != nil {
		return
	}
	switch action {
	case doKexInit:
		s.sendKexInit()
	case doReply:
		if k := c.kex; k != nil && k.agreed != nil && k.next == nil && s.initRaw != nil {
			s.send(s.reply())
		}
	case doNewKeys:
		if s.nextOut != nil {
			s.sendNewKeys()
		}
	case doShrink:
		c.Shrink()
	case doPass:
		c.Pass(1e9)
	default:
		if c.auth != nil {
			s.authenticate(action)
		} else {
			s.connection(action)
		}
		s.channelAction(action, Channel(argument%4))
	}
}

func (s *scripted) authenticate(action int) {
	c := s.client
	if action == doAnswer && c.auth.asking {
		c.Answer(make([][]byte, c.auth.prompts))
	}
	if c.auth.pending != methodNone {
		return
	}
	switch action {
	case doPassword:
		c.AuthPassword("u", []byte("secret"))
	case doNone:
		c.AuthNone("u")
	case doQuery:
		c.QueryPublicKey("u", "alg", []byte("key"))
	case doPublicKey:
		c.AuthPublicKey("u", "alg", []byte("key"), []byte("sig"))
	case doInteractive:
		c.AuthInteractive("u")
	}
}

func (s *scripted) connection(action int) {
	switch c := s.client; action {
	case doKeepalive:
		c.Keepalive()
	case doRekey:
		if c.kex == nil {
			c.startKex()
		}
	}
}

func (s *scripted) channelAction(action int, n Channel) {
	c := s.client
	if action == doOpen && len(c.mux.channels) < 4 {
		c.OpenSession()
	}
	if action == doConsumed {
		c.Consumed(n, 700)
	}
	ch := c.mux.find(n)
	if ch == nil || !ch.opened && c.mux.guess != ch {
		return
	}
	switch action {
	case doExec:
		c.Exec(n, "true")
	case doSend:
		c.Send(n, make([]byte, 5000))
	case doEOF:
		c.SendEOF(n)
	case doClose:
		c.CloseChannel(n)
	}
}

// FuzzDetail describes any message.
func FuzzDetail(f *testing.F) {
	for _, m := range samples() {
		if p := m.make(newScripted(f, Config{})); len(p) < 4096 {
			f.Add(p)
		}
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) == 0 {
			return
		}
		text := detail(p)
		if len(text) > 2000 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 }) {
			t.Fatalf("%d bytes: %q", len(text), text)
		}
	})
}
