package wire

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// faults.md: S02
func TestS02OpenRefused(t *testing.T) {
	s := newScripted(t, Config{})
	s.login()
	ch := s.client.OpenSession()
	s.send(refusal(ch, 1, "\x1bno"+strings.Repeat("x", 1000)))
	s.deliver()
	s.has(ChannelRefused{ch, 1, "\x1bno" + strings.Repeat("x", maxDisconnectText-3)})
	if again := s.client.OpenSession(); again != ch {
		t.Errorf("the number is not free: %d", again)
	}
}

// TestS02EarlyCommandRefused refuses the channel that a command was sent to.
// faults.md: S22
func TestS02EarlyCommandRefused(t *testing.T) {
	s := early(t)
	s.send(serviceAccept(), []byte{msgUserAuthSuccess}, refusal(0, 4, "no room"))
	s.deliver()
	s.healthy()
	s.has(ServiceAccepted{}, AuthSuccess{}, ChannelRefused{0, 4, "no room"})
	s.send(unimplemented(6)) // the command, to a server that minds
	s.deliver()
	s.healthy()
}

// early returns a connection that has sent a password, a channel and a command,
// and heard nothing yet.
func early(t *testing.T) *scripted {
	s := newScripted(t, Config{})
	s.handshake()
	s.client.AuthPassword("u", []byte("secret"))
	s.client.Exec(s.client.OpenSession(), "true")
	s.client.SendEOF(0)
	s.pump()
	var numbers []byte
	for _, p := range s.got {
		numbers = append(numbers, p[0])
	}
	want := []byte{msgKexInit, msgKexInitMethod, msgNewKeys, msgServiceRequest, msgUserAuthRequest, msgChannelOpen, msgChannelRequest, msgChannelEOF}
	if !bytes.Equal(numbers, want) {
		t.Fatalf("the client sent %v, want %v", numbers, want)
	}
	return s
}

func TestEarlyCommandRuns(t *testing.T) {
	s := early(t)
	s.send(serviceAccept(), []byte{msgUserAuthSuccess}, confirm(0, 0, 1<<20), about(msgChannelSuccess, 0),
		data(0, "out"), exitStatus(0, 0), about(msgChannelEOF, 0), about(msgChannelClose, 0))
	s.deliver()
	s.healthy()
	s.has(ServiceAccepted{}, AuthSuccess{}, ChannelOpened{0}, RequestAnswered{0, RequestExec, true},
		Data{0, false, []byte("out")}, ExitStatus{0, 0}, EOF{0}, Closed{0})
	if got := s.got[len(s.got)-1]; !bytes.Equal(got, about(msgChannelClose, 0)) {
		t.Errorf("the last message is %x", got)
	}
}

// TestEarlyCommandIgnored lets a server that refuses the key not know the
// channel, and the next key open it.
// faults.md: S22
func TestEarlyCommandIgnored(t *testing.T) {
	for _, strict := range []bool{true, false} {
		s := newScripted(t, Config{Ciphers: []string{gcm128}})
		first := uint32(2) // SERVICE_REQUEST 0, USERAUTH_REQUEST 1
		if !strict {
			s.init.kex = KexAlgorithms()
			first += 3 // KEXINIT, KEX_INIT, NEWKEYS
		}
		s.handshake()
		s.client.AuthPassword("u", []byte("wrong"))
		s.client.Exec(s.client.OpenSession(), "true")
		s.pump()
		s.send(serviceAccept(), failure(false, "password"), unimplemented(first), unimplemented(first+1))
		s.deliver()
		s.healthy()
		s.has(AuthFailure{Methods: []string{"password"}}, ChannelIgnored{0})
		s.client.AuthPassword("u", []byte("right"))
		s.client.Exec(s.client.OpenSession(), "true") // may be guessed again: there was no channel
		s.pump()
		s.send([]byte{msgUserAuthSuccess}, confirm(0, 0, 1), about(msgChannelSuccess, 0))
		s.deliver()
		s.healthy()
		s.has(AuthSuccess{}, ChannelOpened{0}, RequestAnswered{0, RequestExec, true})
	}
}

// TestPlainUnimplemented has somebody on the path say, before the server's NEWKEYS,
// that it did not know the early channel: nobody but the server knows that, and a
// command that is sent again runs twice.
func TestPlainUnimplemented(t *testing.T) {
	s := newScripted(t, Config{Ciphers: []string{gcm128}}) // whose nonce is no sequence number
	s.init.kex = KexAlgorithms()
	s.pump()
	s.sendVersion()
	s.sendKexInit()
	s.deliver()
	s.send(s.reply())
	s.deliver()
	s.client.AuthPassword("u", []byte("right"))
	s.client.Exec(s.client.OpenSession(), "true")
	s.pump()
	s.events = nil
	for seq := range uint32(8) {
		s.send(unimplemented(seq))
	}
	s.sendNewKeys()
	s.send(serviceAccept(), []byte{msgUserAuthSuccess}, confirm(0, 0, 1), about(msgChannelSuccess, 0))
	s.deliver()
	s.healthy()
	s.has(ServiceAccepted{}, AuthSuccess{}, ChannelOpened{0}, RequestAnswered{0, RequestExec, true})
}

// TestEarlyChannelDuringRekey holds early messages while keys are exchanged: the
// number that UNIMPLEMENTED names is the one they got in the end.
func TestEarlyChannelDuringRekey(t *testing.T) {
	for strict, number := range map[bool]uint32{true: 1, false: 8} {
		s := newScripted(t, Config{Ciphers: []string{gcm128}})
		if !strict {
			s.init.kex = KexAlgorithms()
		}
		s.handshake()
		s.client.RequestService()
		s.pump()
		s.send(serviceAccept())
		s.deliver()
		s.sendKexInit()
		s.deliver()
		s.client.AuthPassword("u", []byte("wrong"))
		s.client.Exec(s.client.OpenSession(), "true")
		s.pump()
		if n := count(s.got, msgUserAuthRequest); n != 0 {
			t.Fatal("a request left during the key exchange")
		}
		s.send(s.reply())
		s.sendNewKeys()
		s.deliver()
		s.send(failure(false, "password"), unimplemented(number+7), unimplemented(number))
		s.deliver()
		s.healthy()
		s.has(Rekeyed{}, AuthFailure{Methods: []string{"password"}}, ChannelIgnored{0})
	}
}

// TestEarlyChannelBeforeRekey exchanges keys between the early messages and
// their answer, so that the numbers begin anew.
func TestEarlyChannelBeforeRekey(t *testing.T) {
	s := early(t) // CHANNEL_OPEN was number 2
	s.rekey()
	s.send(serviceAccept(), unimplemented(2)) // about something else by now
	s.deliver()
	s.healthy()
	s.has(Rekeyed{}, ServiceAccepted{})
	s.send([]byte{msgUserAuthSuccess}, confirm(0, 0, 1))
	s.deliver()
	s.has(AuthSuccess{}, ChannelOpened{0})
}

// A channel that is opened after all others have ended is expected to have the number of the last.
func TestLaterGuess(t *testing.T) {
	s := newScripted(t, Config{})
	s.login()
	s.send(about(msgChannelClose, s.running()))
	s.deliver()
	for range 3 {
		ch := s.client.OpenSession()
		s.client.Exec(ch, "next")
		s.pump()
		want := appendString(appendBool(appendString(about(msgChannelRequest, 7), "exec"), true), "next")
		if got := s.got[len(s.got)-1]; !bytes.Equal(got, want) {
			t.Errorf("sent %q, want %q", got, want)
		}
		s.send(confirm(ch, 7, 1), about(msgChannelSuccess, ch), about(msgChannelClose, ch))
		s.deliver()
		s.has(ChannelOpened{ch}, RequestAnswered{ch, RequestExec, true}, Closed{ch})
	}
}

// A server that was late to free the number of a channel gives the next one a higher number, and the one
// behind it either: which is not known before two have had the same, or a lower one.
func TestLateNumbers(t *testing.T) {
	s := newScripted(t, Config{})
	s.login()
	for i, c := range []struct {
		idle   bool
		remote uint32
	}{{true, 0}, {true, 0}, {true, 1}, {false, 0}, {true, 0}, {true, 1}, {false, 1}, {true, 1}, {true, 0}, {true, 0}} {
		if idle := s.client.Idle(); idle != c.idle {
			t.Errorf("before channel %d: idle is %v", i, idle)
		}
		ch := s.client.OpenSession()
		s.pump()
		s.send(confirm(ch, c.remote, 1), about(msgChannelClose, ch))
		s.deliver()
		s.has(ChannelOpened{ch}, Closed{ch})
	}
}

func TestWrongGuesses(t *testing.T) {
	s := early(t)
	s.send(serviceAccept(), []byte{msgUserAuthSuccess}, confirm(0, 5, 1<<20))
	s.deliver()
	s.fails(KindWrongGuess, "the early command went to channel 0, the server opened 5")

	s = newScripted(t, Config{}) // of a later channel
	s.login()
	s.send(about(msgChannelClose, s.running()))
	s.deliver()
	s.client.Exec(s.client.OpenSession(), "true")
	s.pump()
	s.send(confirm(0, 8, 1<<20))
	s.deliver()
	s.fails(KindWrongGuess, "the early command went to channel 7, the server opened 8")

	s = newScripted(t, Config{}) // the number goes to another channel
	s.login()
	a, b := s.client.OpenSession(), s.client.OpenSession()
	s.client.Exec(a, "true")
	s.pump()
	s.send(confirm(b, 0, 1<<20))
	s.deliver()
	s.fails(KindProtocol, "another channel's")

	s = newScripted(t, Config{Kex: []string{kexP256, kexCurve25519}, EarlyKex: true})
	s.init.kex = []string{kexCurve25519, strictServer}
	toKexInit(s)
	s.fails(KindWrongGuess, "the early key exchange was ecdh-sha2-nistp256, the server chose curve25519-sha256")
	s.has(VersionReceived{s.version}, Negotiated{
		Kex: kexCurve25519, HostKey: "ssh-ed25519", CipherOut: gcm128, CipherIn: gcm128, Strict: true,
		ServerKex: s.init.kex, ServerHostKeys: s.init.hostKeys,
	})
}

// faults.md: S03
func TestS03ExecRefused(t *testing.T) {
	s := newScripted(t, Config{})
	s.login()
	ch := s.opened(7, 1)
	s.client.Env(ch, "LANG", "C")
	s.client.Exec(ch, "true")
	s.client.Subsystem(ch, "sftp")
	s.send(about(msgChannelFailure, ch), about(msgChannelFailure, ch), about(msgChannelSuccess, ch))
	s.deliver()
	s.has(RequestAnswered{ch, RequestEnv, false}, RequestAnswered{ch, RequestExec, false}, RequestAnswered{ch, RequestSubsystem, true})
}

// TestS07Windows sends under windows that the server opens late, little by
// little, and never beyond.
// faults.md: S07
func TestS07Windows(t *testing.T) {
	s := newScripted(t, Config{})
	s.login()
	ch := s.client.OpenSession()
	if n := s.client.Send(ch, []byte("early")); n != 0 {
		t.Fatalf("%d bytes were sent before the channel was open", n)
	}
	p := appendUint32(appendUint32(appendUint32(about(msgChannelOpenConfirm, ch), 7), 0), 10)
	s.send(p)
	s.deliver()
	input := bytes.Repeat([]byte("0123456789abcdef"), 8)
	if n := s.client.Send(ch, input); n != 0 {
		t.Fatalf("%d bytes were sent into a closed window", n)
	}
	var sent []byte
	for _, window := range []int{1, 25, 100, 2} {
		s.send(adjust(ch, uint32(window)))
		s.deliver()
		s.has(Writable{ch})
		n := s.client.Send(ch, input[len(sent):])
		if want := min(window, len(input)-len(sent)); n != want {
			t.Fatalf("%d bytes went into a window of %d", n, window)
		}
		sent = append(sent, input[len(sent):len(sent)+n]...)
	}
	s.pump()
	var got []byte
	for _, p := range s.got {
		if p[0] == msgChannelData {
			r := read(p[1:])
			to, text := r.uint32(), r.string()
			if to != 7 || len(text) > 10 || len(text) == 0 || !r.done() {
				t.Fatalf("data %x", p)
			}
			got = append(got, text...)
		}
	}
	if !bytes.Equal(got, input[:len(sent)]) || len(sent) != 128 {
		t.Errorf("%d bytes were said to be sent, %q arrived", len(sent), got)
	}
}

// faults.md: S09
func TestS09Data(t *testing.T) {
	const window = 100
	begin := func() (*scripted, Channel) {
		s := newScripted(t, Config{Window: window})
		s.login()
		return s, s.running()
	}
	s, ch := begin()
	for range window {
		s.send(data(ch, "x"))
	}
	s.deliver()
	s.healthy()
	s.send(data(ch, ""))
	s.deliver()
	s.healthy()
	s.send(data(ch, "x"))
	s.deliver()
	s.fails(KindProtocol, "1 bytes of data came, the window is 0")

	s, ch = begin()
	s.send(stderrData(ch, 1, strings.Repeat("x", window+1)))
	s.deliver()
	s.fails(KindProtocol, "101 bytes of data came, the window is 100")

	s, ch = begin() // of an unknown type: dropped, and the window given back
	adjusts := len(s.got)
	for range 3 {
		s.send(stderrData(ch, 2, strings.Repeat("x", window/2)))
		s.deliver()
	}
	s.healthy()
	if got := s.got[adjusts:]; len(got) != 3 || !bytes.Equal(got[2], adjust(7, window/2)) {
		t.Errorf("for three halves of a window the client sent %x, want three times the half", got)
	}
	s.send(stderrData(ch, 1, "err"))
	s.deliver()
	if ev := s.events[len(s.events)-1]; fmt.Sprint(ev) != fmt.Sprint(Data{ch, true, []byte("err")}) {
		t.Errorf("after it came %v", ev)
	}
	s.send(stderrData(ch, 2, strings.Repeat("x", window+1)))
	s.deliver()
	s.fails(KindProtocol, "101 bytes of data came")

	s, ch = begin()
	s.send(data(ch, strings.Repeat("x", MaxData+1)))
	s.deliver()
	s.fails(KindProtocol, "in one message")

	s, ch = begin()
	for range freeNoise - 10 {
		s.send(data(ch, ""))
	}
	s.deliver()
	s.healthy()
	for range 20 {
		s.send(data(ch, ""))
	}
	s.deliver()
	s.fails(KindAbuse, "floods")
}

// TestWindowNeverGrows consumes more than came, and in odd pieces: what the
// server may send stays within the window.
// faults.md: S09
func TestWindowNeverGrows(t *testing.T) {
	const window = 1000
	s := newScripted(t, Config{Window: window})
	s.login()
	ch := s.running()
	allowed := uint32(window)
	for i := range 300 {
		n := min(uint32(1+i*7%400), allowed)
		s.send(data(ch, strings.Repeat("x", int(n))))
		s.deliver()
		allowed -= n
		before := len(s.got)
		s.client.Consumed(ch, int(n))
		s.client.Consumed(ch, 1<<20) // a driver that counts wrong
		s.client.Consumed(ch, -5)
		s.pump()
		for _, p := range s.got[before:] {
			r := read(p[5:])
			allowed += r.uint32()
		}
		if allowed > window {
			t.Fatalf("the server may send %d bytes", allowed)
		}
		if allowed == 0 {
			t.Fatal("the window stays closed")
		}
	}
	s.healthy()
}

// faults.md: S13
func TestS13ExitSignal(t *testing.T) {
	s := newScripted(t, Config{})
	s.login()
	ch := s.running()
	s.send(channelRequest(ch, "exit-signal", false, ssh2Signal("SEGV", true, "core\x1b")...),
		channelRequest(ch, "exit-signal", false, ssh2Signal(strings.Repeat("N", 100000), false, strings.Repeat("t", 100000))...))
	s.deliver()
	s.healthy()
	s.has(ExitSignal{ch, "SEGV", true, "core\x1b"},
		ExitSignal{ch, strings.Repeat("N", maxSignalName), false, strings.Repeat("t", maxDisconnectText)})
}

// faults.md: S14
func TestS14ExitStatus(t *testing.T) {
	for _, body := range [][]byte{{}, {0, 0, 1}, {0, 0, 0, 1, 0}} {
		s := newScripted(t, Config{})
		s.login()
		ch := s.running()
		s.send(channelRequest(ch, "exit-status", false, body...))
		s.deliver()
		s.fails(KindProtocol, "RFC 4254 §6.10")
	}
	s := newScripted(t, Config{})
	s.login()
	ch := s.running()
	s.send(exitStatus(ch, 0xC0000005), exitStatus(ch, 1))
	s.deliver()
	s.has(ExitStatus{ch, 0xC0000005}, ExitStatus{ch, 1}) // which one counts is the driver's
	for range freeNoise {
		s.send(channelRequest(ch, "noise@example.com", false))
	}
	s.deliver()
	s.fails(KindAbuse, "floods")
}

// faults.md: S16
func TestS16CloseWithoutEOF(t *testing.T) {
	s := newScripted(t, Config{})
	s.login()
	ch := s.running()
	s.send(data(ch, "a"), about(msgChannelEOF, ch), stderrData(ch, 1, "b"), data(ch, "c"), about(msgChannelClose, ch))
	s.deliver()
	s.healthy()
	s.has(Data{ch, false, []byte("a")}, EOF{ch}, Data{ch, true, []byte("b")}, Data{ch, false, []byte("c")}, Closed{ch})
	ch = s.running()
	s.send(data(ch, "a"), about(msgChannelClose, ch))
	s.deliver()
	s.healthy()
	s.has(Data{ch, false, []byte("a")}, Closed{ch})
}

// faults.md: S18
func TestS18GlobalRequests(t *testing.T) {
	s := newScripted(t, Config{})
	s.login()
	s.send(append(globalRequest("hostkeys-00@openssh.com", false), bytes.Repeat([]byte{0, 0, 0, 1, 7}, 10000)...),
		globalRequest("keepalive@openssh.com", true), globalRequest("tcpip-forward", true))
	s.deliver()
	s.healthy()
	if n := count(s.got, msgRequestFailure); n != 2 {
		t.Errorf("%d refusals, want 2", n)
	}
	for s.err == nil {
		s.send(globalRequest("keepalive@openssh.com", true))
		s.deliver()
	}
	s.fails(KindAbuse, "floods")
	if n := count(s.got, msgRequestFailure); n > freeNoise {
		t.Errorf("%d refusals", n)
	}
}

// TestAnswersAreBounded asks for long answers and reads none.
// faults.md: S18
func TestAnswersAreBounded(t *testing.T) {
	s := newScripted(t, Config{})
	s.login()
	ping := appendString([]byte{msgPing}, strings.Repeat("x", 250<<10))
	for s.err == nil {
		s.send(ping)
		s.client.Receive(s.out.buf)
		s.out.buf = nil
		for ev, err := s.client.Next(); ev != nil || err != nil; ev, err = s.client.Next() {
			if s.err = err; err != nil {
				break
			}
		}
	}
	s.fails(KindAbuse, "does not read the answers")
	if n := len(s.client.Output()); n > maxQueued+4096 {
		t.Errorf("%d bytes wait to be sent", n)
	}
}

// faults.md: S19
func TestS19ServerOpensChannels(t *testing.T) {
	s := newScripted(t, Config{})
	s.login()
	kinds := []string{"x11", "auth-agent@openssh.com", "forwarded-tcpip", "direct-tcpip", "session"}
	for i, kind := range kinds {
		s.send(channelOpen(kind, uint32(40+i)))
	}
	s.deliver()
	s.healthy()
	for i, p := range s.got[len(s.got)-len(kinds):] {
		if want := refusal(Channel(40+i), openProhibited, "not offered"); !bytes.Equal(p, want) {
			t.Errorf("%s is answered %x, want %x", kinds[i], p, want)
		}
	}
	for s.err == nil {
		s.send(channelOpen("x11", 1))
		s.deliver()
	}
	s.fails(KindAbuse, "floods")
	if n := count(s.got, msgChannelOpenFailure); n > freeNoise {
		t.Errorf("%d refusals", n)
	}
}

// faults.md: S20
func TestS20WindowOverflow(t *testing.T) {
	s := newScripted(t, Config{})
	s.login()
	ch := s.opened(7, 1)
	s.send(adjust(ch, 1<<32-2))
	s.deliver()
	s.has(Writable{ch})
	s.send(adjust(ch, 1))
	s.deliver()
	s.fails(KindProtocol, "beyond 2^32-1")
}

// faults.md: S21
func TestS21CompressionIsNeverOffered(t *testing.T) {
	s := newScripted(t, Config{})
	s.pump()
	k, err := parseKexInit(s.clientRaw, "server")
	if err != nil || fmt.Sprint(k.compIn, k.compOut) != "[none] [none]" {
		t.Errorf("%v %v, %v", k.compIn, k.compOut, err)
	}
	s.init.compIn = []string{"zlib@openssh.com", "none"}
	s.init.compOut = s.init.compIn
	s.login() // goes on without
}

// TestSmallAdjusts restores a window byte by byte, which servers do, and then
// opens it without use.
func TestSmallAdjusts(t *testing.T) {
	s := newScripted(t, Config{})
	s.login()
	ch := s.opened(7, 5000)
	if n := s.client.Send(ch, make([]byte, 3*freeNoise)); n != 3*freeNoise {
		t.Fatalf("%d bytes were sent", n)
	}
	for range 3 * freeNoise {
		s.send(adjust(ch, 1))
		s.deliver()
	}
	s.healthy()
	if n := s.client.Send(ch, make([]byte, 6000)); n != 5000 {
		t.Errorf("%d bytes went into a window of 5000", n)
	}
	for range 5000 + freeNoise + 1 {
		s.send(adjust(ch, 1))
	}
	s.deliver()
	s.fails(KindAbuse, "the last one was CHANNEL_WINDOW_ADJUST")
}

// TestCloseFirst closes a channel while the server still sends on it.
func TestCloseFirst(t *testing.T) {
	s := newScripted(t, Config{})
	s.login()
	ch := s.running()
	s.client.Signal(ch, "TERM")
	s.client.CloseChannel(ch)
	s.client.CloseChannel(ch)
	s.client.SendEOF(ch)
	s.client.Exec(ch, "true")
	s.client.Signal(ch, "TERM")
	if n := s.client.Send(ch, []byte("x")); n != 0 {
		t.Errorf("%d bytes were sent after CLOSE", n)
	}
	s.pump()
	if last := s.got[len(s.got)-1]; !bytes.Equal(last, about(msgChannelClose, 7)) || count(s.got, msgChannelClose) != 1 {
		t.Fatalf("the last message is %x", last)
	}
	before := len(s.got)
	s.send(data(ch, "late"), adjust(ch, 100), channelRequest(ch, "x", true), exitStatus(ch, 0), about(msgChannelEOF, ch), about(msgChannelClose, ch))
	s.deliver()
	s.healthy()
	s.has(Data{ch, false, []byte("late")}, ExitStatus{ch, 0}, EOF{ch}, Closed{ch})
	s.client.Consumed(ch, 4)
	s.pump()
	if len(s.got) != before {
		t.Errorf("after CLOSE the client sent %x", s.got[before:])
	}
}

// TestCloseBeforeOpen closes a channel that the server has not opened yet: CLOSE
// waits for its number.
func TestCloseBeforeOpen(t *testing.T) {
	s := newScripted(t, Config{})
	s.login()
	ch := s.client.OpenSession()
	s.client.CloseChannel(ch)
	s.pump()
	if n := count(s.got, msgChannelClose); n != 0 {
		t.Fatal("CLOSE went to a number that nobody knows")
	}
	s.send(confirm(ch, 9, 1))
	s.deliver()
	if last := s.got[len(s.got)-1]; !bytes.Equal(last, about(msgChannelClose, 9)) {
		t.Fatalf("the last message is %x", last)
	}
	s.send(about(msgChannelClose, ch))
	s.deliver()
	s.has(ChannelOpened{ch}, Closed{ch})
}

func TestManyChannels(t *testing.T) {
	const n = 2000
	s := newScripted(t, Config{})
	s.login()
	for i := range n {
		if ch := s.client.OpenDirect("h", 22); ch != Channel(i) {
			t.Fatalf("channel %d is the %dth", ch, i)
		}
	}
	s.pump()
	r := read(s.last(msgChannelOpen)[1:])
	kind, number, _, _ := r.string(), r.uint32(), r.uint32(), r.uint32()
	host, port := r.string(), r.uint32()
	if string(kind) != "direct-tcpip" || number != n-1 || string(host) != "h" || port != 22 {
		t.Errorf("%s %d %s %d", kind, number, host, port)
	}
	for i := n - 1; i >= 0; i-- {
		s.send(confirm(Channel(i), uint32(i)+5, 1000))
	}
	s.deliver()
	s.healthy()
	for i := range Channel(n) {
		if i%3 == 0 {
			s.send(about(msgChannelClose, i))
		} else {
			s.send(data(i, fmt.Sprint(i)))
		}
	}
	for i, ev := range s.deliver() {
		var want Event = Closed{Channel(i)}
		if i%3 != 0 {
			want = Data{Channel(i), false, []byte(fmt.Sprint(i))}
		}
		if fmt.Sprint(ev) != fmt.Sprint(want) {
			t.Fatalf("event %d is %v, want %v", i, ev, want)
		}
	}
	var again []Channel
	for range n / 3 {
		again = append(again, s.client.OpenDirect("h", 22))
	}
	slices.Sort(again)
	if again = slices.Compact(again); len(again) != n/3 || again[len(again)-1] >= n {
		t.Errorf("%d different numbers are used again, up to %d", len(again), again[len(again)-1])
	}
	s.healthy()
}

func TestKeepalive(t *testing.T) {
	s := newScripted(t, Config{})
	s.login()
	s.client.Keepalive()
	s.client.Keepalive()
	s.pump()
	if want := globalRequest("keepalive@openssh.com", true); !bytes.Equal(s.got[len(s.got)-1], want) {
		t.Errorf("the client sent %x", s.got[len(s.got)-1])
	}
	s.send([]byte{msgRequestFailure}, []byte{msgRequestSuccess})
	s.deliver()
	s.has(Alive{}, Alive{})
}

// The number of a channel that was closed with an unanswered request is not used again: the
// answer, if it comes late, would count for the next channel's command.
func TestLateAnswersCountForNoOtherChannel(t *testing.T) {
	s := newScripted(t, Config{})
	s.login()
	first := s.opened(7, 1<<20)
	s.client.Env(first, "A", "b")
	s.client.Exec(first, "one")
	s.send(about(msgChannelSuccess, first), exitStatus(first, 0), about(msgChannelClose, first))
	second := s.opened(7, 1<<20)
	if second == first {
		t.Fatal("the number is used again")
	}
	s.client.Exec(second, "two")
	if events := s.deliver(); len(events) > 0 {
		t.Errorf("events %v", events)
	}
	s.send(about(msgChannelFailure, first))
	s.deliver()
	s.healthy()
	s.send(about(msgChannelSuccess, second), about(msgChannelClose, second))
	s.deliver()
	s.has(RequestAnswered{second, RequestExec, true}, Closed{second})
	if third := s.opened(7, 1<<20); third != second {
		t.Errorf("the third channel is %d, want %d", third, second)
	}
}
