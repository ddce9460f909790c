package wire

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// The tests of this file carry the IDs of the catalogue of faults, as far as
// those are the wire's: T and K here, A in faultsauth_test.go, S in
// faultschannel_test.go.

// faults.md: T05
func TestT05GreetingByteByByte(t *testing.T) {
	s := newScripted(t, Config{})
	s.pump()
	text := "welcome\r\nSSH-2.0-Slow\r\n"
	for i := range len(text) {
		if events := s.feed([]byte{text[i]}); i < len(text)-1 && len(events) > 0 {
			t.Fatalf("event %#v after %d bytes", events[0], i+1)
		}
		if want := text[:i+1]; i < len("welcome\r\nSSH-2.0-") && string(s.client.Greeting()) != want {
			t.Fatalf("the greeting so far is %q, want %q", s.client.Greeting(), want)
		}
	}
	s.has(VersionReceived{"SSH-2.0-Slow"})
	if s.client.Greeting() != nil {
		t.Error("the greeting is kept after the version line")
	}
}

// faults.md: T06
func TestT06LinesWithoutEnd(t *testing.T) {
	s := newScripted(t, Config{})
	for range MaxGreetingLines {
		s.feed([]byte("x\n"))
	}
	s.healthy()
	s.feed([]byte("x\n"))
	s.fails(KindNotSSH, "1025 lines came and no version line")
	if got := len(s.client.Greeting()); got != 2*(MaxGreetingLines+1) {
		t.Errorf("%d bytes are kept of the greeting", got)
	}

	s = newScripted(t, Config{})
	line := strings.Repeat("y", 8000) + "\n"
	for s.err == nil {
		s.feed([]byte(line))
	}
	if taken := s.client.in.total; taken > MaxPreAuth || taken < MaxPreAuth-8001 {
		t.Errorf("%d bytes of lines were taken", taken)
	}
	if len(s.client.Greeting()) != MaxGreeting {
		t.Errorf("%d bytes are kept of the greeting, want %d", len(s.client.Greeting()), MaxGreeting)
	}
}

// faults.md: T07
func TestT07NotSSH(t *testing.T) {
	long := "SSH-2.0-" + strings.Repeat("x", MaxVersionLine)
	for _, c := range []struct{ text, want string }{
		{"SSH-2.0-" + strings.Repeat("x", 245) + "\r\n", ""},
		{"SSH-2.0-" + strings.Repeat("x", 246) + "\r\n", "longer than 255 bytes"},
		{long, "longer than 255 bytes"},
		{"SSH-1.99-Cisco\n", ""},
		{"SSH-1.5-old\r\n", `another version of the protocol; it began with "SSH-1.5-old\r\n"`},
		{"SSH-2.0-a\x00b\r\n", `not printable; it began with "SSH-2.0-a\x00b\r\n"`},
		{strings.Repeat("z", MaxGreetingLine), "longer than 8192 bytes"},
		{"\x16\x03\x01" + strings.Repeat("\x00", MaxGreetingLine), `it began with "\x16\x03\x01\x00`},
	} {
		s := newScripted(t, Config{})
		s.feed([]byte(c.text))
		if c.want == "" {
			s.healthy()
			s.has(VersionReceived{strings.TrimRight(c.text, "\r\n")})
			continue
		}
		s.fails(KindNotSSH, c.want)
		if len(s.err.Error()) > 400 {
			t.Errorf("the error has %d bytes", len(s.err.Error()))
		}
	}
	for _, text := range []string{"HTTP/1.1 400 Bad Request\r\n\r\n", "220 mail ESMTP\r\n"} {
		s := newScripted(t, Config{})
		s.feed([]byte(text))
		s.healthy() // text before the version line, until the server hangs up
		if string(s.client.Greeting()) != text {
			t.Errorf("the greeting is %q", s.client.Greeting())
		}
	}
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// faults.md: K01
func TestK01PacketLengths(t *testing.T) {
	for _, c := range []struct {
		length  uint32
		padding byte
		want    string
	}{
		{0, 4, "too short"},
		{1, 4, "too short"},
		{4, 4, "too short"},
		{13, 4, "does not fit blocks"},
		{MaxPacket - 4 + 8, 4, "more than 262144"},
		{1 << 31, 4, "more than 262144"},
		{1<<32 - 4, 4, "more than 262144"},
		{12, 3, "padding"},
		{12, 11, "no message"},
		{12, 255, "no message"},
	} {
		s := newScripted(t, Config{})
		s.sendVersion()
		s.deliver()
		packet := append(binary.BigEndian.AppendUint32(nil, c.length), c.padding)
		packet = append(packet, make([]byte, 11)...)
		if got := allocated(func() { s.feed(packet) }); got > 16<<10 {
			t.Errorf("length %d: %d bytes allocated for 16 that came", c.length, got)
		}
		s.fails(KindProtocol, c.want)
	}
}

// TestK01AllocationFollowsArrival announces the longest packet and sends a byte
// at a time of it.
// faults.md: K01
func TestK01AllocationFollowsArrival(t *testing.T) {
	c := New(&Config{})
	c.Sent(len(c.Output()))
	c.Receive([]byte("SSH-2.0-x\r\n"))
	if _, err := c.Next(); err != nil {
		t.Fatal(err)
	}
	c.Receive(binary.BigEndian.AppendUint32(nil, MaxPacket-4))
	for n := 4; n < 4000; n++ {
		if ev, err := c.Next(); ev != nil || err != nil {
			t.Fatal(ev, err)
		}
		if held := cap(c.in.early) + cap(c.in.rest); held > 2*n+64 {
			t.Fatalf("%d bytes are held of %d", held, n)
		}
		c.Receive([]byte{byte(n)})
	}
}

// faults.md: K02
func TestK02FlippedTag(t *testing.T) {
	for _, cipher := range Ciphers() {
		s := newScripted(t, Config{Ciphers: []string{cipher}})
		s.login()
		ch := s.running()
		s.send(data(ch, "truth"))
		s.out.buf[len(s.out.buf)-1] ^= 1
		before := len(s.events)
		s.deliver()
		s.fails(KindIntegrity, "altered")
		if len(s.events) != before {
			t.Errorf("%s: event %#v from an altered packet", cipher, s.events[before])
		}
		want := appendString(appendString(appendUint32([]byte{msgDisconnect}, disconnectMAC), ""), "")
		if got := s.got[len(s.got)-1]; !bytes.Equal(got, want) {
			t.Errorf("%s: the server is told %x, want %x", cipher, got, want)
		}
	}
}

// faults.md: K03
func TestK03BadEphemeralKeys(t *testing.T) {
	offCurve := append([]byte{4}, bytes.Repeat([]byte{1}, 64)...)
	for _, c := range []struct {
		kex    string
		public []byte
	}{
		{kexCurve25519, make([]byte, 32)},
		{kexCurve25519, append([]byte{1}, make([]byte, 31)...)},
		{kexCurve25519, make([]byte, 31)},
		{kexCurve25519, nil},
		{kexP256, offCurve},
		{kexP256, []byte{0}},
		{kexP256, make([]byte, 33)},
		{kexMLKEM, make([]byte, 1088)},
		{kexMLKEM, make([]byte, 1088+32)}, // X25519 part all zero
		{kexMLKEM, make([]byte, 1<<16)},
	} {
		s := newScripted(t, Config{Kex: []string{c.kex}})
		toKexInit(s)
		s.send(appendString(appendString(appendString([]byte{msgKexReplyMethod}, s.host.PublicKey().Marshal()), c.public), "sig"))
		s.deliver()
		s.fails(KindProtocol, "")
		if _, ok := s.events[len(s.events)-1].(HostKey); ok {
			t.Errorf("%s: a host key without a key exchange", c.kex)
		}
	}
}

// faults.md: K04
func TestK04BadHostKeySignatures(t *testing.T) {
	other := func(h []byte) []byte { return bytes.Repeat([]byte{7}, len(h)) }
	for name, mutate := range map[string]func(s *scripted) func(blob, public, sig *[]byte){
		"of another hash": func(s *scripted) func(_, _, sig *[]byte) {
			return func(_, _, sig *[]byte) { *sig = s.sign(other(s.sessionID), ssh.KeyAlgoED25519) }
		},
		"of another algorithm": func(*scripted) func(_, _, sig *[]byte) {
			return func(_, _, sig *[]byte) {
				r := read(*sig)
				r.string()
				*sig = appendString(appendString(nil, "ssh-rsa"), r.string())
			}
		},
		"with more behind it": func(*scripted) func(_, _, sig *[]byte) {
			return func(_, _, sig *[]byte) { *sig = append(*sig, 0) }
		},
		"by another type of key": func(*scripted) func(blob, _, sig *[]byte) {
			return func(blob, _, _ *[]byte) {
				key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
				pub, _ := ssh.NewPublicKey(&key.PublicKey)
				*blob = pub.Marshal()
			}
		},
	} {
		s := newScripted(t, Config{})
		toKexInit(s)
		s.mutate = mutate(s)
		s.send(s.reply())
		s.deliver()
		s.fails(KindHostKey, "")
		if s.client.ready || slices.ContainsFunc(s.events, func(e Event) bool { _, ok := e.(HostKey); return ok }) {
			t.Errorf("a signature %s: the key is shown", name)
		}
	}
}

// faults.md: K06
func TestK06ExtInfo(t *testing.T) {
	s := newScripted(t, Config{})
	s.handshake()
	s.send(extInfo("server-sig-algs", "ssh-ed25519,rsa-sha2-256", "other", "\x00"))
	s.deliver()
	if got := s.client.SignatureAlgorithms(); fmt.Sprint(got) != "[ssh-ed25519 rsa-sha2-256]" {
		t.Errorf("signature algorithms %v", got)
	}
	s.send(extInfo("server-sig-algs", "rsa-sha2-512")) // twice: RFC 8308 §2.4 replaces
	s.deliver()
	if got := s.client.SignatureAlgorithms(); fmt.Sprint(got) != "[rsa-sha2-512]" {
		t.Errorf("signature algorithms %v", got)
	}
	s.send(extInfo("server-sig-algs", strings.Repeat("a,", 1<<16)+"a"))
	if got := allocated(func() { s.deliver() }); got > 2<<20 {
		t.Errorf("%d bytes allocated for one message", got)
	}
	s.healthy()
	if got := s.client.SignatureAlgorithms(); fmt.Sprint(got) != "[rsa-sha2-512]" {
		t.Errorf("signature algorithms %v", got)
	}

	for _, n := range []uint32{maxExtensions + 1, 1024, 1<<32 - 1} {
		s := newScripted(t, Config{})
		s.handshake()
		s.send(appendUint32([]byte{msgExtInfo}, n))
		s.deliver()
		s.fails(KindAbuse, "announces")
	}
	s = newScripted(t, Config{})
	s.login()
	s.send(extInfo("server-sig-algs", "x")) // late
	s.deliver()
	s.healthy()
	if s.client.SignatureAlgorithms() != nil {
		t.Error("signature algorithms after authentication")
	}
}

// faults.md: K07
func TestK07NothingInCommon(t *testing.T) {
	s := newScripted(t, Config{})
	s.init.kex = []string{"diffie-hellman-group1-sha1"}
	toKexInit(s)
	s.fails(KindNoCommonAlgorithm, `the server has "diffie-hellman-group1-sha1"`)
	cause, ok := errors.AsType[*NegotiationError](s.err)
	if !ok || cause.What != "key exchange" || cause.Server[0] != "diffie-hellman-group1-sha1" ||
		!slices.Contains(cause.Client, kexCurve25519) {
		t.Errorf("cause %#v", cause)
	}
	for _, lists := range []func(k *kexInit){
		func(k *kexInit) { k.hostKeys = []string{"ssh-rsa"} },
		func(k *kexInit) { k.ciphersIn = []string{"3des-cbc"} },
		func(k *kexInit) { k.compOut = []string{"zlib"} },
	} {
		s := newScripted(t, Config{})
		lists(&s.init)
		toKexInit(s)
		s.fails(KindNoCommonAlgorithm, "in common")
	}
}

// faults.md: K08
func TestK08StrictKeyExchange(t *testing.T) {
	client, err := parseKexInit(func() []byte { s := newScripted(t, Config{}); s.pump(); return s.clientRaw }(), "server")
	if err != nil || !slices.Contains(client.kex, strictClient) {
		t.Fatalf("strict key exchange is not offered: %v %v", client.kex, err)
	}
	harmless := [][]byte{appendString([]byte{msgIgnore}, ""), {msgDebug}, unimplemented(0)}
	for _, p := range harmless {
		for _, strict := range []bool{true, false} {
			for place := range 4 {
				s := newScripted(t, Config{Ciphers: []string{gcm128}})
				if !strict {
					s.init.kex = KexAlgorithms()
				}
				s.pump()
				s.sendVersion()
				if place == 0 {
					s.send(p)
				}
				s.sendKexInit()
				if place == 1 {
					s.send(p)
				}
				s.deliver()
				if s.err == nil {
					s.send(s.reply())
					if place == 2 {
						s.send(p)
					}
					s.sendNewKeys()
					if place == 3 {
						s.send(p)
					}
					s.deliver()
				}
				if strict && place < 3 {
					s.fails(KindProtocol, "")
				} else {
					s.healthy()
				}
			}
		}
	}
}

// TestK08SequenceNumbers shows that strict key exchange begins to count anew, by
// the number that UNIMPLEMENTED answers with, and that otherwise counting goes on.
// faults.md: K08
func TestK08SequenceNumbers(t *testing.T) {
	for strict, want := range map[bool][2]uint32{true: {1, 0}, false: {4, 8}} {
		s := newScripted(t, Config{Ciphers: []string{gcm128}})
		if !strict {
			s.init.kex = KexAlgorithms()
		}
		s.handshake() // KEXINIT, KEX_REPLY, NEWKEYS
		s.send(appendString([]byte{msgIgnore}, ""), []byte{200})
		s.deliver()
		if got := s.last(msgUnimplemented); !bytes.Equal(got, unimplemented(want[0])) {
			t.Errorf("strict %t: %x, want the number %d", strict, got, want[0])
		}
		s.rekey()
		s.send([]byte{200})
		s.deliver()
		if got := s.last(msgUnimplemented); !bytes.Equal(got, unimplemented(want[1])) {
			t.Errorf("strict %t, after another key exchange: %x, want the number %d", strict, got, want[1])
		}
	}
}

// faults.md: K09
func TestK09EndlessBeforeAuthentication(t *testing.T) {
	long := appendString([]byte{msgIgnore}, strings.Repeat("x", 30000))
	for name, c := range map[string]struct {
		message []byte
		want    string
	}{
		"many":  {appendString([]byte{msgIgnore}, ""), "floods"},
		"bytes": {long, "more than 1048576 bytes"},
		"debug": {[]byte{msgDebug}, "floods"},
		"ping":  {appendString([]byte{msgPing}, "x"), "floods"},
	} {
		for _, secured := range []bool{false, true} {
			s := newScripted(t, Config{})
			if secured {
				s.handshake()
			} else if name != "ping" {
				s.pump()
				s.sendVersion()
			} else {
				continue
			}
			for n := 0; s.err == nil; n++ {
				if n > freeNoise+1 {
					t.Fatalf("%s: %d messages were taken", name, n)
				}
				s.send(c.message)
				s.deliver()
			}
			s.fails(KindAbuse, c.want)
		}
	}
}

// TestK09BytesOverAllExchanges spends the budget for what comes before
// authentication over several key exchanges.
// faults.md: K09
func TestK09BytesOverAllExchanges(t *testing.T) {
	s := newScripted(t, Config{})
	s.handshake()
	long := appendString([]byte{msgIgnore}, strings.Repeat("x", 30000))
	for range 3 {
		for range 10 {
			s.send(long)
			s.deliver()
		}
		s.rekey()
	}
	for range 10 {
		s.send(long)
		s.deliver()
	}
	s.fails(KindAbuse, "more than 1048576 bytes")
}

// TestK09FloodWhileTheKeyIsJudged sends without end before Trust.
// faults.md: K09 K15
func TestK09FloodWhileTheKeyIsJudged(t *testing.T) {
	s := newScripted(t, Config{})
	s.distrust = true
	toKexInit(s)
	s.send(s.reply())
	s.deliver()
	for range MaxPreAuth/4096 + 1 {
		s.feed(make([]byte, 4096))
	}
	s.fails(KindAbuse, "more than 1048576 bytes")
	s.client.Trust() // the verdict that comes too late does nothing
	s.pump()
}

// faults.md: K10
func TestK10RekeyStorm(t *testing.T) {
	s := newScripted(t, Config{})
	s.login()
	for range freeRekeys {
		s.rekey()
	}
	s.sendKexInit()
	s.deliver()
	s.fails(KindAbuse, "exchanges keys over and over")

	s = newScripted(t, Config{}) // once a minute, for hours
	s.login()
	for range 2 * freeRekeys {
		s.rekey()
		s.client.Pass(time.Minute / 50)
	}
	s.healthy()
}

// faults.md: K12
func TestK12HostKeyChanges(t *testing.T) {
	s := newScripted(t, Config{})
	s.login()
	ch := s.running()
	s.host = testKey(t)
	s.sendKexInit()
	s.deliver()
	s.send(s.reply())
	s.deliver()
	s.fails(KindHostKeyChanged, "another host key")
	want := appendString(appendString(appendUint32([]byte{msgDisconnect}, disconnectHostKey), ""), "")
	if got := s.got[len(s.got)-1]; !bytes.Equal(got, want) {
		t.Errorf("the server is told %x, want %x", got, want)
	}
	s.client.SendEOF(ch) // misses the connection, and does no harm
	if len(s.client.Output()) != 0 {
		t.Error("something is sent after the end")
	}
}
