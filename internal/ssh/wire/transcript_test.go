package wire

import (
	"bytes"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// directions are all ciphers, and all MACs.
func directions() []direction {
	return []direction{
		{gcm128, ""},
		{gcm256, ""},
		{chachaPoly, ""},
		{ctr128, hmac256ETM},
		{ctr192, hmac256},
		{ctr256, hmac512ETM},
		{ctr256, hmac512},
	}
}

// A recording is all that a server sends after the handshake, up to the end of
// a command.
type recording struct {
	bytes []byte
	ends  []int // of each packet
}

func recordServer(t *testing.T, d direction) recording {
	s := newScripted(t, Config{})
	s.secure(d)
	var tr recording
	for _, p := range [][]byte{
		extInfo("server-sig-algs", "ssh-ed25519"), serviceAccept(), banner("hi"),
		{msgUserAuthSuccess},
		globalRequest("hostkeys-00@openssh.com", false), confirm(0, 0, 1<<20), about(msgChannelSuccess, 0),
		data(0, "some output"), stderrData(0, 1, "some error"), data(0, string(bytes.Repeat([]byte("long "), 9))),
		exitStatus(0, 3), about(msgChannelEOF, 0), about(msgChannelClose, 0),
	} {
		s.send(p)
		tr.ends = append(tr.ends, len(s.out.buf))
	}
	tr.bytes = s.out.buf
	return tr
}

// playBack feeds a transcript to a client in pieces.
func playBack(t testing.TB, d direction, pieces ...[]byte) (events []Event, end error) {
	s := newScripted(t, Config{HostKeys: []string{"ssh-ed25519"}, Ciphers: []string{gcm128}, MACs: []string{hmac256}})
	s.secure(d)
	s.client.AuthPassword("u", []byte("secret"))
	s.client.Exec(s.client.OpenSession(), "true")
	for _, p := range pieces {
		s.feed(p)
	}
	return s.events, s.err
}

func same(a, b []Event) bool { return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b) }

// TestK02FlipEveryBit flips each bit of a server's transcript. Events that come
// are those of the packets before; the end is an error, or waiting for more.
// faults.md: K02
func TestK02FlipEveryBit(t *testing.T) {
	for _, d := range directions() {
		tr := recordServer(t, d)
		whole, err := playBack(t, d, tr.bytes)
		if err != nil || len(whole) != 11 {
			t.Fatalf("%v: %d events, %v", d, len(whole), err)
		}
		var until []int // events after each packet
		for _, end := range tr.ends {
			events, _ := playBack(t, d, tr.bytes[:end])
			until = append(until, len(events))
		}
		ends := map[Kind]int{}
		for i := range tr.bytes {
			packet, _ := slices.BinarySearch(tr.ends, i+1)
			before := 0
			if packet > 0 {
				before = until[packet-1]
			}
			p := bytes.Clone(tr.bytes)
			p[i] ^= 1 << (i % 8)
			events, err := playBack(t, d, p)
			if !same(events, whole[:before]) {
				t.Fatalf("%v: byte %d flipped: %d events, want %d: %v", d, i, len(events), before, events)
			}
			kind := kindOf(err)
			ends[kind]++
			if kind != 0 && kind != KindIntegrity && kind != KindProtocol {
				t.Fatalf("%v: byte %d flipped: %v", d, i, err)
			}
		}
		// Only length fields can make the client wait or object to a size.
		if lengths := len(tr.ends) * 16; ends[0]+ends[KindProtocol] > lengths || ends[KindIntegrity] < len(tr.bytes)-lengths {
			t.Errorf("%v: ends %v", d, ends)
		}
	}
}

// TestK02CutEverywhere ends a server's transcript after each byte: what came
// whole counts, the rest is waited for.
// faults.md: K02 T12
func TestK02CutEverywhere(t *testing.T) {
	for _, d := range directions() {
		tr := recordServer(t, d)
		whole, _ := playBack(t, d, tr.bytes)
		last := 0
		for i := range tr.bytes {
			events, err := playBack(t, d, tr.bytes[:i])
			if err != nil || len(events) < last || !same(events, whole[:len(events)]) {
				t.Fatalf("%v: cut after %d bytes: %v, %v", d, i, events, err)
			}
			if len(events) > last && !slices.Contains(tr.ends, i) {
				t.Fatalf("%v: an event in the middle of a packet, after %d bytes", d, i)
			}
			last = len(events)
		}
	}
}

// TestSegmentation feeds the same transcript in random pieces.
func TestSegmentation(t *testing.T) {
	for _, d := range directions() {
		tr := recordServer(t, d)
		whole, _ := playBack(t, d, tr.bytes)
		rapid.Check(t, func(rt *rapid.T) {
			cuts := rapid.SliceOfN(rapid.IntRange(0, len(tr.bytes)), 0, 40).Draw(rt, "cuts")
			slices.Sort(cuts)
			var pieces [][]byte
			from := 0
			for _, to := range append(cuts, len(tr.bytes)) {
				pieces = append(pieces, tr.bytes[from:to])
				from = to
			}
			if events, err := playBack(t, d, pieces...); err != nil || !same(events, whole) {
				rt.Fatalf("%v: %v, %v", d, events, err)
			}
		})
	}
}

// TestK02FlipTheHandshake flips a bit of each byte of the server's side of the
// first key exchange. The key is shown only where the flip lies in padding, which
// nothing protects before NEWKEYS (RFC 4253 §6).
// faults.md: K02
func TestK02FlipTheHandshake(t *testing.T) {
	run := func(flip int) (s *scripted, free bool, size int) {
		s = newScripted(t, Config{})
		s.distrust = true
		s.init = kexInit{
			kex: []string{kexCurve25519, strictServer}, hostKeys: []string{"ssh-ed25519"},
			ciphersOut: []string{gcm128}, ciphersIn: []string{gcm128}, macsOut: []string{hmac256}, macsIn: []string{hmac256},
			compOut: []string{"none"}, compIn: []string{"none"},
		}
		s.wire = func(p []byte) {
			if i := flip - size; i >= 0 && i < len(p) {
				free = inPadding(p, i)
				p[i] ^= 1 << (flip % 8)
			}
			size += len(p)
		}
		s.pump()
		s.sendVersion()
		s.deliver()
		s.sendKexInit()
		s.deliver()
		if s.last(msgKexInitMethod) != nil {
			s.send(s.reply())
			s.deliver()
		}
		return s, free, size
	}
	good, _, total := run(-1)
	good.healthy()
	for i := range total {
		s, free, _ := run(i)
		shown := false
		for _, ev := range s.events {
			_, ok := ev.(HostKey)
			shown = shown || ok
		}
		if shown != free {
			t.Fatalf("byte %d flipped, in padding %t: the host key is shown %t; %v", i, free, shown, s.err)
		}
		if kindOf(s.err) == KindIntegrity {
			t.Fatalf("byte %d flipped: %v", i, s.err)
		}
	}
}

// inPadding reports whether byte i of a plain packet is padding.
func inPadding(p []byte, i int) bool {
	return !bytes.HasPrefix(p, []byte("SSH-")) && i >= len(p)-int(p[lengthSize])
}
