package wire

import (
	"crypto/sha256"
	"hash"
	"math/rand/v2"
	"testing"
	"time"
)

// A transfer moves bytes over one channel while keys are exchanged.
type transfer struct {
	*scripted
	ch      Channel
	random  *rand.ChaCha8
	allowed uint32 // what the server may send
	rekeys  int
	sent    hash.Hash
	arrived hash.Hash
	count   int // bytes that have arrived
}

func newTransfer(t *testing.T, config Config) *transfer {
	s := newScripted(t, config)
	s.login()
	tr := &transfer{scripted: s, random: rand.NewChaCha8([32]byte{1}), allowed: s.client.config.window(), sent: sha256.New(), arrived: sha256.New()}
	tr.ch = s.running()
	tr.forget()
	return tr
}

// forget takes in what the client sent, and drops it.
func (tr *transfer) forget() (asked bool) {
	for _, p := range tr.got {
		switch p[0] {
		case msgChannelWindowAdjust:
			r := read(p[5:])
			tr.allowed += r.uint32()
		case msgChannelData:
			r := read(p[5:])
			text := r.string()
			tr.arrived.Write(text)
			tr.count += len(text)
		case msgKexInit:
			asked = true
		}
	}
	tr.got = nil
	return asked
}

// exchange does a key exchange from the server's KEXINIT on.
func (tr *transfer) exchange() {
	tr.tb.Helper()
	tr.sendKexInit()
	tr.take()
	r := tr.reply()
	tr.send(r)
	tr.sendNewKeys()
	tr.take()
	tr.forget()
	tr.rekeys++
}

// take delivers, and consumes the data that comes out.
func (tr *transfer) take() {
	tr.tb.Helper()
	tr.events = nil
	for _, ev := range tr.deliver() {
		if d, ok := ev.(Data); ok {
			tr.arrived.Write(d.Bytes)
			tr.count += len(d.Bytes)
			tr.client.Consumed(d.Channel, len(d.Bytes))
		}
	}
	tr.pump()
	tr.healthy()
}

// chunk sends up to 32 KiB, as the window allows.
func (tr *transfer) chunk(left int) int {
	n := min(left, MaxData, int(tr.allowed))
	p := make([]byte, n)
	_, _ = tr.random.Read(p)
	tr.sent.Write(p)
	tr.send(data(tr.ch, string(p)))
	tr.allowed -= uint32(n)
	return n
}

func (tr *transfer) same(total int) {
	tr.tb.Helper()
	if tr.count != total || string(tr.sent.Sum(nil)) != string(tr.arrived.Sum(nil)) {
		tr.tb.Errorf("%d of %d bytes arrived, or others", tr.count, total)
	}
}

// TestK11OurRekeys has the client exchange keys every MiB of 64, with data in
// flight that left the server before its KEXINIT.
// faults.md: K11
func TestK11OurRekeys(t *testing.T) {
	const total = 64 << 20
	tr := newTransfer(t, Config{RekeyBytes: 1 << 20})
	for left := total; left > 0; {
		left -= tr.chunk(left)
		tr.take()
		if tr.last(msgKexInit) == nil {
			tr.forget()
			continue
		}
		for range 3 {
			left -= tr.chunk(left)
		}
		tr.take()
		tr.exchange()
	}
	tr.same(total)
	if tr.rekeys < 50 || tr.rekeys > 64 {
		t.Errorf("%d key exchanges", tr.rekeys)
	}
}

// Keys that have been used for RekeyAfter are exchanged at the next message.
func TestRekeyAfter(t *testing.T) {
	tr := newTransfer(t, Config{RekeyAfter: time.Hour})
	tr.client.Pass(0)
	tr.client.age = 0
	for i := range 3 {
		for _, c := range []struct {
			passed time.Duration
			want   bool
		}{{59 * time.Minute, false}, {time.Minute, true}} {
			tr.client.Pass(c.passed)
			tr.chunk(100)
			tr.take()
			if asked := tr.last(msgKexInit) != nil; asked != c.want {
				t.Fatalf("round %d, %v later: exchange %v, want %v", i, c.passed, asked, c.want)
			}
		}
		tr.exchange()
	}
	tr.same(600)
}

// Keys that are too old are exchanged without a message, once, and counted from then on.
func TestRekeyOfASilentConnection(t *testing.T) {
	s := newScripted(t, Config{RekeyAfter: time.Hour})
	s.handshake()
	if _, ok := s.client.KeysLast(); ok {
		t.Error("keys age before the login")
	}
	s.login()
	s.got = nil
	s.client.Pass(59 * time.Minute)
	s.client.Rekey()
	if left, ok := s.client.KeysLast(); !ok || left != time.Minute {
		t.Errorf("the keys last for %v, %v", left, ok)
	}
	s.client.Pass(time.Minute)
	s.client.Rekey()
	s.client.Rekey()
	s.pump()
	if len(s.got) != 1 || s.got[0][0] != msgKexInit {
		t.Fatalf("%d messages instead of KEXINIT", len(s.got))
	}
	if _, ok := s.client.KeysLast(); ok {
		t.Error("keys age while they are exchanged")
	}
	s.rekey()
	if left, ok := s.client.KeysLast(); !ok || left != time.Hour {
		t.Errorf("the new keys last for %v, %v", left, ok)
	}
}

// Later key exchanges use the method of the first one, although the server would take a weaker one, and
// send it as early as the server was seen to take it.
func TestRekeyIsAsStrong(t *testing.T) {
	for _, early := range []bool{false, true} {
		s := newScripted(t, Config{Kex: []string{kexP384, kexCurve25519}, EarlyKex: early})
		s.login()
		s.init.kex = []string{kexCurve25519, kexP384}
		for _, ours := range []bool{true, false} {
			s.got = nil
			if ours {
				s.client.startKex()
				s.pump()
			}
			if sent := len(s.got) == 2 && s.got[1][0] == msgKexInitMethod; sent != (early && ours) {
				t.Errorf("early %t, ours %t: %d messages", early, ours, len(s.got))
			}
			s.rekey()
			init, err := parseKexInit(s.clientRaw, "client")
			if err != nil || len(init.kex) != 1 || init.kex[0] != kexP384 {
				t.Errorf("early %t, ours %t: %v, %v", early, ours, init, err)
			}
		}
	}
	s := newScripted(t, Config{Kex: []string{kexP384, kexCurve25519}})
	s.login()
	s.init.kex = []string{kexCurve25519}
	s.sendKexInit()
	s.deliver()
	s.fails(KindNoCommonAlgorithm, "")
}

// TestK11TheirRekeys has the server exchange keys a hundred times and more, each
// third time while the client does too.
// faults.md: K11
func TestK11TheirRekeys(t *testing.T) {
	const total = 8 << 20
	for _, cipher := range Ciphers() {
		tr := newTransfer(t, Config{Ciphers: []string{cipher}})
		for left := total; left > 0; {
			left -= tr.chunk(left)
			if left/(total/128) != (left+MaxData)/(total/128) {
				if tr.rekeys%3 == 0 {
					tr.client.startKex()
				}
				tr.exchange()
				tr.client.Pass(time.Second)
			} else {
				tr.take()
			}
			tr.forget()
		}
		tr.same(total)
		if tr.rekeys < 100 {
			t.Errorf("%d key exchanges", tr.rekeys)
		}
	}
}

// TestK11Sending sends 64 MiB under a window, with a key exchange every MiB:
// Writable alone says when to go on.
func TestK11Sending(t *testing.T) {
	const total = 64 << 20
	tr := newTransfer(t, Config{RekeyBytes: 1 << 20, Ciphers: []string{gcm128}})
	buf := make([]byte, 48<<10)
	var rest []byte
	left, ready := total, true
	for tr.count < total {
		for ready && (left > 0 || len(rest) > 0) {
			if len(rest) == 0 {
				rest = buf[:min(left, len(buf))]
				_, _ = tr.random.Read(rest)
				tr.sent.Write(rest)
				left -= len(rest)
			}
			n := tr.client.Send(tr.ch, rest)
			rest = rest[n:]
			ready = len(rest) == 0
		}
		tr.pump()
		exchange := tr.last(msgKexInit) != nil
		if exchange {
			tr.send(adjust(tr.ch, 64)) // in flight
			tr.exchangeSending(&ready)
		}
		before := tr.count
		tr.forget()
		if tr.count > before {
			tr.send(adjust(tr.ch, uint32(tr.count-before)))
			tr.wake(&ready)
		} else if !exchange {
			t.Fatalf("stuck after %d bytes", tr.count)
		}
	}
	tr.same(total)
	if tr.rekeys < 60 {
		t.Errorf("%d key exchanges", tr.rekeys)
	}
}

// wake delivers, and notes whether Send goes on.
func (tr *transfer) wake(ready *bool) {
	tr.tb.Helper()
	for _, ev := range tr.deliver() {
		if _, ok := ev.(Writable); ok {
			*ready = true
		}
	}
	tr.healthy()
}

// TestRekeyWithAClosedWindow has the server use up the window, and either side ask
// for new keys then. What was consumed meanwhile opens the window behind the
// exchange, not in it (RFC 4253 §7.1), and the transfer goes on.
func TestRekeyWithAClosedWindow(t *testing.T) {
	const rounds, window = 20, 256 << 10
	for name, ours := range map[string]bool{"theirs": false, "ours": true} {
		tr := newTransfer(t, Config{Window: window})
		held := 0 // bytes that have arrived and are not consumed
		receive := func() {
			for _, ev := range tr.deliver() {
				if d, ok := ev.(Data); ok {
					tr.arrived.Write(d.Bytes)
					tr.count += len(d.Bytes)
					held += len(d.Bytes)
				}
			}
			tr.pump()
			tr.healthy()
		}
		for round := range rounds {
			for tr.allowed > 0 {
				tr.chunk(window)
			}
			receive()
			if ours {
				tr.client.startKex()
				tr.pump()
			}
			tr.got = nil
			tr.sendKexInit()
			receive()
			tr.client.Consumed(tr.ch, held) // now, with our KEXINIT sent and no NEWKEYS
			held = 0
			tr.pump()
			if tr.last(msgChannelWindowAdjust) != nil {
				t.Fatalf("%s, round %d: the window was opened in the exchange", name, round)
			}
			tr.send(tr.reply())
			tr.sendNewKeys()
			receive()
			if n := len(tr.got); n < 2 || tr.got[n-2][0] != msgNewKeys || tr.got[n-1][0] != msgChannelWindowAdjust {
				t.Fatalf("%s, round %d: %d messages, the last two are not NEWKEYS and WINDOW_ADJUST", name, round, n)
			}
			tr.forget()
			if tr.allowed != window {
				t.Fatalf("%s, round %d: the window is %d, want %d", name, round, tr.allowed, window)
			}
		}
		tr.same(rounds * window)
	}
}

func (tr *transfer) exchangeSending(ready *bool) {
	tr.tb.Helper()
	tr.sendKexInit()
	tr.wake(ready)
	if n := tr.client.Send(tr.ch, []byte("x")); n != 0 {
		tr.tb.Fatal("data was sent during a key exchange")
	}
	*ready = false
	tr.send(tr.reply())
	tr.sendNewKeys()
	tr.wake(ready)
	if !*ready && tr.client.mux.find(tr.ch).sendLeft > 0 {
		tr.tb.Fatal("nobody says that the key exchange is over")
	}
	tr.rekeys++
}

// TestHeldMessages holds what may not be sent during a key exchange, in order,
// and sends it after.
func TestHeldMessages(t *testing.T) {
	s := newScripted(t, Config{})
	s.login()
	ch := s.running()
	s.sendKexInit()
	s.deliver()
	before := len(s.got)
	s.client.Signal(ch, "TERM")
	s.client.SendEOF(ch)
	s.client.Keepalive()
	s.client.CloseChannel(ch)
	s.pump()
	if len(s.got) != before {
		t.Fatalf("%s left during the key exchange", messageName(s.got[before][0]))
	}
	s.send(s.reply())
	s.sendNewKeys()
	s.deliver()
	var numbers []byte
	for _, p := range s.got[before:] {
		numbers = append(numbers, p[0])
	}
	want := []byte{msgNewKeys, msgChannelRequest, msgChannelEOF, msgGlobalRequest, msgChannelClose}
	if string(numbers) != string(want) {
		t.Errorf("after the key exchange the client sent %v, want %v", numbers, want)
	}
	if b := s.client.out.held; b != nil {
		t.Errorf("%d bytes are still held in %d messages", b.size, len(b.messages))
	}
	s.healthy()
}

// TestSendStopsForKeys sends more at once than one set of keys is for.
func TestSendStopsForKeys(t *testing.T) {
	const limit = 100 << 10
	s := newScripted(t, Config{RekeyBytes: limit})
	s.login()
	ch := s.opened(7, 1<<30)
	n := s.client.Send(ch, make([]byte, 1<<20))
	if n < limit/2 || n > limit+MaxData {
		t.Fatalf("%d bytes were sent under one set of keys", n)
	}
	s.pump()
	if last := s.got[len(s.got)-1]; last[0] != msgKexInit {
		t.Fatalf("the last message is %s", messageName(last[0]))
	}
	s.rekey()
	s.has(Writable{ch}, Rekeyed{}) // from our NEWKEYS on, which comes first
}

// TestServersGuess ignores the packet after the KEXINIT of a server that has
// guessed wrong, and only that (RFC 4253 §7).
func TestServersGuess(t *testing.T) {
	garbage := appendString([]byte{msgKexReplyMethod}, "for another method")
	for _, wrong := range []bool{true, false} {
		s := newScripted(t, Config{})
		s.init.firstFollows = true
		s.init.kex = []string{kexCurve25519, strictServer}
		if wrong {
			s.init.kex = []string{kexP256, kexCurve25519, strictServer}
		}
		s.pump()
		s.sendVersion()
		s.sendKexInit()
		if wrong {
			s.send(garbage)
		}
		s.deliver()
		s.send(s.reply())
		s.sendNewKeys()
		s.deliver()
		s.healthy()
		if !s.client.secured {
			t.Errorf("wrong guess %t: the key exchange is not over", wrong)
		}
	}
	s := newScripted(t, Config{})
	s.init.firstFollows, s.init.kex = true, []string{kexP256, kexCurve25519, strictServer}
	s.pump()
	s.sendVersion()
	s.sendKexInit()
	s.send(garbage, garbage)
	s.deliver()
	s.fails(KindProtocol, "KEX_REPLY cannot be read")
}

// TestHeldMessagesAreBounded never finishes a key exchange that the client began
// and asks for answers meanwhile.
func TestHeldMessagesAreBounded(t *testing.T) {
	s := newScripted(t, Config{})
	s.login()
	s.client.startKex()
	ping := appendString([]byte{msgPing}, string(make([]byte, 200<<10)))
	for range 6 {
		s.send(ping)
		s.deliver()
	}
	s.fails(KindAbuse, "")
	if b := s.client.out.held; b.size > maxQueued+len(ping) {
		t.Errorf("%d bytes are held", b.size)
	}
}

// TestRekeyBeforeLogin exchanges keys in the middle of authentication.
func TestRekeyBeforeLogin(t *testing.T) {
	s := newScripted(t, Config{RekeyBytes: 1})
	s.handshake()
	s.rekey()
	s.client.AuthNone("u")
	s.rekey()
	s.send(serviceAccept(), failure(false, "password"))
	s.deliver()
	s.client.AuthPassword("u", []byte("secret"))
	s.pump()
	if s.client.kex != nil {
		t.Fatal("the client began a key exchange before authentication was over")
	}
	s.send([]byte{msgUserAuthSuccess})
	s.deliver()
	s.healthy()
	s.has(AuthFailure{Methods: []string{"password"}}, AuthSuccess{})
	if s.client.kex == nil { // the limit of one byte is long passed
		t.Error("no key exchange after authentication")
	}
	s.rekey()
}
