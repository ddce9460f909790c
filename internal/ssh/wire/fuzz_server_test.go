package wire

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"unique"
)

// A hostileClient sends what a test tells it to a Server, whose driver does what is right.
type hostileClient struct {
	tb     testing.TB
	server *Server
	out    outbound
	err    error
	execs  int
}

// secureServer returns a Server behind its first key exchange, with keys that are the same in
// every run, and the client that has them.
func secureServer(tb testing.TB, config Config) *hostileClient {
	tb.Helper()
	h := &hostileClient{tb: tb, server: NewServer(&config, testHost(tb))}
	id := bytes.Repeat([]byte{9}, 32)
	m := keyMaterial{sha256.New(), []byte("secret"), id, id}
	both := func(l letters) protection {
		p, err := newProtection(direction{cipher: gcm128}, m, l)
		if err != nil {
			tb.Fatal(err)
		}
		return p
	}
	s := h.server
	h.deliver([]byte("SSH-2.0-Hostile\r\n"))
	s.kex, s.out.held, s.ready, s.secured, s.strict = nil, nil, true, true, true
	s.sessionID, s.later = id, unique.Make(methods{kexCurve25519, "ssh-ed25519"})
	s.in.opener, s.out.sealer, h.out.sealer = both(toServer()), both(toClient()), both(toServer())
	s.in.seq, s.out.seq = 0, 0
	return h
}

func (h *hostileClient) send(payload []byte) {
	h.out.seal(payload, nil)
	h.deliver(h.out.swap(nil))
}

func (h *hostileClient) deliver(p []byte) {
	h.tb.Helper()
	s := h.server
	s.Receive(bytes.Clone(p))
	for {
		ev, err := s.Next()
		if err != nil {
			h.err = err
		}
		if ev == nil {
			break
		}
		switch ev := ev.(type) {
		case AuthRequest:
			if ev.Method == MethodInteractive {
				s.Ask("", "", Prompt{Text: []byte("?")})
			} else if ev.Method == MethodPassword || ev.Method == MethodPublicKey && ev.Signed && s.Verify() {
				s.Accept()
			} else {
				s.Reject(false, MethodPassword)
			}
		case AuthAnswers:
			s.Reject(true, MethodPassword)
		case ChannelRequested:
			if ev.Kind == "session" {
				s.Confirm(ev.Channel)
			} else {
				s.Refuse(ev.Channel, openProhibited, "no")
			}
		case ChannelRequest:
			if ev.WantReply {
				s.Reply(ev.Channel, ev.Kind == KindExec)
			}
			if ev.Kind == KindExec {
				h.execs++
				s.Send(ev.Channel, []byte("out"))
			}
		case Data:
			s.Consumed(ev.Channel, len(ev.Bytes))
		}
	}
	s.Take(nil)
	h.sound()
}

// sound checks what holds for a Server whatever a client sends.
func (h *hostileClient) sound() {
	h.tb.Helper()
	s := h.server
	if h.execs > 0 && s.auth != nil {
		h.tb.Fatal("a command before authentication")
	}
	if n := cap(s.in.early); n > 3*MaxPreAuth {
		h.tb.Fatalf("%d bytes of input are held", n)
	}
	if b := s.out.held; b != nil && b.size > maxQueued+MaxPacket {
		h.tb.Fatalf("%d bytes of messages are held", b.size)
	}
	if len(s.mux.channels)-len(s.mux.free) > MaxServerChannels {
		h.tb.Fatalf("%d channels", len(s.mux.channels))
	}
	if h.err == nil {
		return
	}
	if _, ok := errors.AsType[*Error](h.err); !ok || len(h.err.Error()) > 2000 {
		h.tb.Fatalf("the end is %T, %d bytes long", h.err, len(h.err.Error()))
	}
	if ev, err := s.Next(); ev != nil || !errors.Is(err, h.err) {
		h.tb.Fatalf("after the end: %v, %v", ev, err)
	}
}

// FuzzServerStream feeds any bytes to a server, before there are keys, in pieces.
func FuzzServerStream(f *testing.F) {
	for _, config := range []Config{{}, {EarlyKex: true}, {EarlyKex: true, Kex: []string{kexCurve25519, kexP256}}} {
		f.Add(bytes.Clone(New(&config).Output()), uint16(1000))
	}
	f.Add([]byte("hello\r\nSSH-2.0-x\r\n"), uint16(3))
	f.Add([]byte("SSH-2.0-x\r\n\x00\x00\x00\x0c\x0a\x14"), uint16(1))
	f.Fuzz(func(t *testing.T, stream []byte, piece uint16) {
		// No input has a point of this curve: after a key exchange, with its random numbers, the
		// fuzzer would take the same input for another.
		h := &hostileClient{tb: t, server: NewServer(&Config{Kex: []string{kexP256}}, testHost(t))}
		for n := int(piece)%4096 + 1; len(stream) > 0; {
			n = min(n, len(stream))
			h.deliver(stream[:n])
			stream = stream[n:]
		}
		if h.server.auth == nil {
			t.Error("in without keys")
		}
	})
}

// FuzzServerMessages is a client that sends any messages, encrypted: each with two bytes of length
// before it.
func FuzzServerMessages(f *testing.F) {
	script := func(messages ...[]byte) (all []byte) {
		for _, m := range messages {
			all = append(binary.BigEndian.AppendUint16(all, uint16(len(m))), m...)
		}
		return all
	}
	service := appendString([]byte{msgServiceRequest}, serviceAuth)
	password := appendString(appendBool(authRequest("u", MethodPassword), false), "secret")
	exec := channelRequest(0, KindExec, true, appendString(nil, "true")...)
	f.Add(script(service, password, channelOpen("session", 5), exec, about(msgChannelEOF, 0), data(0, "x"), about(msgChannelClose, 0)))
	f.Add(script(service, authRequest("u", MethodNone), channelOpen("session", 5), exec, password))
	f.Add(script(service, appendString(appendString(authRequest("u", MethodInteractive), ""), ""),
		appendString(appendUint32([]byte{msgUserAuthAnswer}, 1), "a")))
	f.Add(script(service, appendString(appendString(appendString(appendBool(authRequest("u", MethodPublicKey), true), "ssh-ed25519"), "key"), "sig")))
	f.Add(script(service, password, channelOpen("direct-tcpip", 1), globalRequest("x", true), adjust(0, 9), []byte{msgKexInit}, unimplemented(2)))
	f.Fuzz(func(t *testing.T, script []byte) {
		h := secureServer(t, Config{Window: 1000})
		for steps := 0; len(script) >= 2 && steps < 300; steps++ {
			n := min(int(binary.BigEndian.Uint16(script)), len(script)-2)
			if p := script[2 : 2+n]; n > 0 {
				h.send(p)
			}
			script = script[2+n:]
		}
	})
}

// FuzzBothSides has a client and a server do what the script says, until both are done: nobody
// breaks the protocol, and what one sends arrives at the other.
func FuzzBothSides(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7})
	f.Add([]byte("\x02\x02\x06\x02\x07\x02\x03\x03\x06\x07\x03\x02"))
	f.Add([]byte{1, 1, 1, 2, 2, 3, 3, 0, 4, 1, 2, 3})
	f.Fuzz(func(t *testing.T, script []byte) {
		p := newDialogue(t, Config{Kex: []string{kexCurve25519}, Window: 5000}, Config{Window: 7000})
		c, s := p.client, p.server
		var up, down, arrivedUp, arrivedDown strings.Builder
		var ours, theirs []Channel
		p.onClient = func(ev Event) {
			switch ev := ev.(type) {
			case HostKey:
				c.Trust()
				c.AuthPassword("u", []byte("secret"))
				c.Exec(c.OpenSession(), "cat")
			case ChannelOpened:
				ours = append(ours, ev.Channel)
			case Data:
				arrivedDown.Write(ev.Bytes)
				c.Consumed(ev.Channel, len(ev.Bytes))
			}
		}
		p.onServer = func(ev Event) {
			switch ev := ev.(type) {
			case AuthRequest:
				s.Accept()
			case ChannelRequested:
				s.Confirm(ev.Channel)
				theirs = append(theirs, ev.Channel)
			case ChannelRequest:
				s.Reply(ev.Channel, true)
			case Data:
				arrivedUp.Write(ev.Bytes)
				s.Consumed(ev.Channel, len(ev.Bytes))
			}
		}
		p.run()
		for i, b := range script[:min(len(script), 100)] {
			text := strings.Repeat(string(rune('a'+i%26)), 1+int(b)*9)
			ch := ours[int(b>>4)%len(ours)]
			remote := theirs[int(b>>4)%len(theirs)]
			switch b % 8 {
			case 0:
				if c.kex == nil && len(ours) < 8 {
					c.OpenSession()
				}
			case 1:
				c.Keepalive()
			case 2:
				up.WriteString(text[:c.Send(ch, []byte(text))])
			case 3:
				down.WriteString(text[:s.Send(remote, []byte(text))])
			case 4:
				if c.kex == nil {
					c.startKex()
				}
			case 5:
				if s.kex == nil {
					s.startKex()
				}
			case 6:
				s.SendStderr(remote, nil)
				s.Tell(remote, "x", nil)
			default:
				c.Pass(1e9)
				s.Pass(1e9)
				p.run()
			}
			if b%3 == 0 {
				p.run()
			}
		}
		p.run()
		p.healthy()
		if up.Len() != arrivedUp.Len() || down.Len() != arrivedDown.Len() {
			t.Errorf("%d of %d bytes arrived at the server, %d of %d at the client", arrivedUp.Len(), up.Len(), arrivedDown.Len(), down.Len())
		}
	})
}
