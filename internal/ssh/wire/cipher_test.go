package wire

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/poly1305" //nolint:staticcheck // see cipher_chacha.go
	"pgregory.net/rapid"
)

// allDirections lists every protection there is.
func allDirections() []direction {
	var all []direction
	for _, cipher := range cipherNames() {
		if authenticates(cipher) {
			all = append(all, direction{cipher: cipher})
			continue
		}
		for _, mac := range macNames() {
			all = append(all, direction{cipher: cipher, mac: mac})
		}
	}
	return all
}

func (d direction) String() string {
	switch {
	case d.cipher == "":
		return "plain"
	case d.mac == "":
		return d.cipher
	}
	return d.cipher + "+" + d.mac
}

func testMaterial() keyMaterial {
	return keyMaterial{
		hash:      sha256.New(),
		secret:    appendMPInt(nil, bytes.Repeat([]byte{0x91}, 32)),
		h:         bytes.Repeat([]byte{2}, 32),
		sessionID: bytes.Repeat([]byte{3}, 32),
	}
}

// newPair returns both ends of the way to the client; the sealer is the server's.
func newPair(t testing.TB, d direction) (sealer, opener) {
	t.Helper()
	if d.cipher == "" {
		return plainSealer{}, plainOpener{}
	}
	s, err := newProtection(d, testMaterial(), toClient())
	if err != nil {
		t.Fatal(err)
	}
	o, err := newProtection(d, testMaterial(), toClient())
	if err != nil {
		t.Fatal(err)
	}
	return s, o
}

// receive takes the packet at the front of b as the state machine does.
func receive(o opener, b []byte, seq uint32) (payload, rest []byte, err error) {
	if len(b) < o.head() {
		return nil, nil, errCut
	}
	n, err := o.size(b[:o.head()], seq)
	if err != nil {
		return nil, nil, err
	}
	if len(b) < n {
		return nil, nil, errCut
	}
	if payload, err = o.open(b[:n:n], seq); err != nil {
		return nil, nil, err
	}
	return payload, b[n:], nil
}

var errCut = errors.New("more bytes are needed")

// TestPacketRoundTrip: what one end seals the other opens, for payloads of all
// sizes, packets in a row, and ends that were shrunk in between.
func TestPacketRoundTrip(t *testing.T) {
	for _, d := range append(allDirections(), direction{}) {
		t.Run(d.String(), func(t *testing.T) {
			rapid.Check(t, func(r *rapid.T) {
				s, o := newPair(t, d)
				seq := rapid.Uint32().Draw(r, "seq")
				payloads := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 1, 300), 1, 5).Draw(r, "payloads")
				var sealed []byte
				for i, p := range payloads {
					if rapid.Bool().Draw(r, "shrink") {
						s.shrink()
					}
					before := len(sealed)
					sealed = s.seal(sealed, p, nil, seq+uint32(i))
					if n := len(sealed) - before; n > len(p)+4+1+4+32+64 {
						r.Fatalf("%d bytes became a packet of %d", len(p), n)
					}
				}
				for i, want := range payloads {
					if rapid.Bool().Draw(r, "shrink") {
						o.shrink()
					}
					var got []byte
					var err error
					got, sealed, err = receive(o, sealed, seq+uint32(i))
					if err != nil || !bytes.Equal(got, want) {
						r.Fatalf("packet %d: got %x, %v, want %x", i, got, err, want)
					}
				}
				if len(sealed) != 0 {
					r.Fatalf("%d bytes are left over", len(sealed))
				}
			})
		})
	}
}

// TestFrame checks the rules of RFC 4253 §6 on what is sent.
func TestFrame(t *testing.T) {
	for _, c := range []struct {
		align int
		aside bool
	}{{8, false}, {8, true}, {16, false}, {16, true}} {
		for n := 1; n < 70; n++ {
			payload := bytes.Repeat([]byte{7}, n)
			prefix := []byte("what was there")
			b := frame(bytes.Clone(prefix), payload[:n/2], payload[n/2:], c.align, c.aside, 0)
			if !bytes.HasPrefix(b, prefix) {
				t.Fatalf("dst was altered: %q", b)
			}
			packet := b[len(prefix):]
			counted := len(packet)
			if c.aside {
				counted -= 4
			}
			padding := int(packet[4])
			if counted%c.align != 0 || padding < 4 || padding >= 4+c.align {
				t.Errorf("%d bytes, %+v: packet of %d with %d of padding", n, c, len(packet), padding)
			}
			if size, err := packetSize(packet, c.align, c.aside, 0); err != nil || size != len(packet) {
				t.Errorf("%d bytes, %+v: size %d, %v", n, c, size, err)
			}
			if got, err := unframe(packet); err != nil || !bytes.Equal(got, payload) {
				t.Errorf("%d bytes, %+v: got %x, %v", n, c, got, err)
			}
		}
	}
}

// TestPacketLengthK01 is row K01 of the catalogue of faults, for each cipher: the
// length is what the server encrypted.
// faults.md: K01
func TestPacketLengthK01(t *testing.T) {
	lengths := []uint32{0, 1, 4, 5, 11, 13, 17, 31, MaxPacket + 1, MaxPacket + 12, MaxPacket, 1 << 31, 1<<31 - 1, 0xFFFFFFFC, 0xFFFFFFFF}
	for _, d := range append(allDirections(), direction{}) {
		for _, length := range lengths {
			t.Run(fmt.Sprintf("%v/%d", d, length), func(t *testing.T) {
				s, o := newPair(t, d)
				packet := appendUint32(nil, length)
				packet = append(packet, make([]byte, 28)...)
				packet = protect(s, packet, 3)
				_, err := o.size(packet[:o.head()], 3)
				wantKind(t, err, KindProtocol)
			})
		}
	}
}

// TestPaddingK01: padding that is too short, or leaves no message, in a packet
// whose tag is right.
// faults.md: K01
func TestPaddingK01(t *testing.T) {
	for _, d := range append(allDirections(), direction{}) {
		for _, padding := range []byte{0, 1, 3, 58, 59, 60, 62, 63, 64, 255} {
			t.Run(fmt.Sprintf("%v/%d", d, padding), func(t *testing.T) {
				s, o := newPair(t, d)
				// 64 bytes behind the length field, or with it.
				length := 64 - lengthOf(d)
				packet := append(appendUint32(nil, uint32(length)), make([]byte, length)...)
				packet[4] = padding
				if int(padding) >= minPadding && int(padding) < length-1 {
					return // leaves a message
				}
				_, _, err := receive(o, protect(s, packet, 0), 0)
				wantKind(t, err, KindProtocol)
			})
		}
	}
}

// TestBitFlipK02 is row K02: one bit of a packet turned, at each place, is an
// error and never a payload.
// faults.md: K02
func TestBitFlipK02(t *testing.T) {
	payload := []byte("\x5eexit 3 and some more")
	for _, d := range allDirections() {
		t.Run(d.String(), func(t *testing.T) {
			s, _ := newPair(t, d)
			sealed := s.seal(nil, payload, nil, 0)
			// Room for a packet that has become longer.
			b := make([]byte, len(sealed)+MaxPacket)
			for bit := range len(sealed) * 8 {
				_, o := newPair(t, d)
				copy(b, sealed)
				b[bit/8] ^= 1 << (bit % 8)
				got, _, err := receive(o, b, 0)
				var e *Error
				if !errors.As(err, &e) || got != nil {
					t.Fatalf("bit %d: got %q, %v", bit, got, err)
				}
				if bit >= 8*o.head() && e.Kind != KindIntegrity {
					t.Fatalf("bit %d: kind %d, %v", bit, e.Kind, err)
				}
			}
		})
	}
}

// TestPacketOutOfPlace: a packet repeated, left out or under another number is an
// error.
func TestPacketOutOfPlace(t *testing.T) {
	for _, d := range allDirections() {
		t.Run(d.String(), func(t *testing.T) {
			s, _ := newPair(t, d)
			packet := s.seal(nil, []byte("first"), nil, 0)
			second := s.seal(nil, []byte("second"), nil, 1)
			_, o := newPair(t, d)
			if _, _, err := receive(o, bytes.Clone(packet), 0); err != nil {
				t.Fatal(err)
			}
			if got, _, err := receive(o, append(packet, make([]byte, MaxPacket)...), 1); err == nil {
				t.Errorf("repeated: got %q", got)
			}
			_, o = newPair(t, d)
			if got, _, err := receive(o, append(second, make([]byte, MaxPacket)...), 0); err == nil {
				t.Errorf("first left out: got %q", got)
			}
		})
	}
}

// TestNoAllocations: a packet costs no memory once the buffer has grown.
func TestNoAllocations(t *testing.T) {
	payload := make([]byte, 1000)
	for _, d := range append(allDirections(), direction{}) {
		s, o := newPair(t, d)
		var buf []byte
		var seq uint32
		n := testing.AllocsPerRun(100, func() {
			buf = s.seal(buf[:0], payload, nil, seq)
			if _, _, err := receive(o, buf, seq); err != nil {
				t.Fatal(err)
			}
			seq++
		})
		if n != 0 {
			t.Errorf("%v: %v allocations per packet", d, n)
		}
	}
}

// TestCTRVectors takes F.5.1, F.5.3 and F.5.5 of NIST SP 800-38A, a block at a
// time with the state given up and made again in between.
func TestCTRVectors(t *testing.T) {
	plain := unhex(t, "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"+
		"30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710")
	for _, v := range []struct{ key, want string }{
		{
			"2b7e151628aed2a6abf7158809cf4f3c",
			"874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff" +
				"5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee",
		},
		{
			"8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
			"1abc932417521ca24f2b0459fe7e6e0b090339ec0aa6faefd5ccc2c6f4ce8e94" +
				"1e36b26bd1ebc670d1bd1d665620abf74f78a7f6d29809585a97daec58c6b050",
		},
		{
			"603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
			"601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5" +
				"2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6",
		},
	} {
		c := &ctrState{key: unhex(t, v.key), newHash: sha256.New}
		copy(c.counter[:], unhex(t, "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"))
		got := make([]byte, len(plain))
		for i := 0; i < len(got); i += 16 {
			c.shrink()
			c.ready()
			c.xor(got[i:i+16], plain[i:i+16])
		}
		equal(t, v.key, got, unhex(t, v.want))
	}
}

// TestCTRCounterCarries: the counter is one number of 128 bits (RFC 4344 §4).
func TestCTRCounterCarries(t *testing.T) {
	for _, counter := range []string{
		"00000000000000fffffffffffffffffe", "ffffffffffffffffffffffffffffffff", "000000000000000000000000000000ff",
	} {
		whole := &ctrState{key: make([]byte, 16), newHash: sha256.New}
		copy(whole.counter[:], unhex(t, counter))
		parts := &ctrState{key: whole.key, newHash: sha256.New, counter: whole.counter}
		want, got := make([]byte, 6*16), make([]byte, 6*16)
		whole.ready()
		whole.xor(want, want)
		for i := 0; i < len(got); i += 32 {
			parts.shrink()
			parts.ready()
			parts.xor(got[i:i+32], got[i:i+32])
		}
		equal(t, counter, got, want)
		equal(t, counter, parts.counter[:], whole.counter[:])
	}
}

// TestGCMNonce: a fixed field of four bytes, and a counter of eight that goes round
// within itself (RFC 5647 §7.1).
func TestGCMNonce(t *testing.T) {
	for _, c := range []struct{ before, after string }{
		{"0102030400000000000000ff", "010203040000000000000100"},
		{"01020304ffffffffffffffff", "010203040000000000000000"},
	} {
		var g gcmState
		copy(g.nonce[:], unhex(t, c.before))
		g.next()
		equal(t, c.before, g.nonce[:], unhex(t, c.after))
	}
}

// TestChaChaVectors takes RFC 8439 §2.4.2 for the bodies' stream, §2.6.2 for the
// tag's key and §2.5.2 for the tag.
func TestChaChaVectors(t *testing.T) {
	key := func(first byte) []byte {
		k := make([]byte, 32)
		for i := range k {
			k[i] = first + byte(i)
		}
		return k
	}
	bodies, err := chacha20poly1305.New(key(0))
	if err != nil {
		t.Fatal(err)
	}
	c := &chachaState{bodies: bodies}
	copy(c.nonce[:], unhex(t, "000000000000004a00000000"))
	text := "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it."
	got := c.bodies.Seal(nil, c.nonce[:], []byte(text), nil)[:len(text)]
	equal(t, "stream", got, unhex(t, "6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0b"+
		"f91b65c5524733ab8f593dabcd62b3571639d624e65152ab8f530c359f0861d8"+
		"07ca0dbf500d6a6156a38e088a22b65e52bc514d16ccf806818ce91ab7793736"+
		"5af90bbf74a35be6b40b8eedf2785e42874d"))

	copy(c.main[:], key(0x80))
	copy(c.nonce[:], unhex(t, "000000000001020304050607"))
	c.sum(nil)
	equal(t, "tag key", c.once[:], unhex(t, "8ad5a08b905f81cc815040274ab29471a833b637e3fd0da508dbb8e2fdd1a646"))

	copy(c.once[:], unhex(t, "85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b"))
	poly1305.Sum(&c.tag, []byte("Cryptographic Forum Research Group"), &c.once)
	equal(t, "tag", c.tag[:], unhex(t, "a8061dc1305136c6c22b8baf0c0127a9"))
}

// FuzzOpener gives each opener bytes that no server sealed. The first byte
// chooses the opener.
func FuzzOpener(f *testing.F) {
	all := append(allDirections(), direction{})
	for i, d := range all {
		s, _ := newPair(f, d)
		f.Add(append([]byte{byte(i)}, s.seal(nil, []byte("payload"), nil, 0)...))
		f.Add(append([]byte{byte(i)}, make([]byte, 64)...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 {
			return
		}
		d := all[int(b[0])%len(all)]
		_, o := newPair(t, d)
		whole := bytes.Clone(b[1:])
		payload, rest, err := receive(o, whole, 0)
		if err != nil {
			if payload != nil {
				t.Fatalf("%v: a payload came with %v", d, err)
			}
			return
		}
		if len(payload) == 0 || len(payload)+len(rest) > len(b)-1-lengthSize-1-minPadding {
			t.Fatalf("%v: payload of %d and rest of %d from %d bytes", d, len(payload), len(rest), len(b)-1)
		}
	})
}

func wantKind(t *testing.T, err error, want Kind) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Kind != want {
		t.Fatalf("got error %v, want one of kind %d", err, want)
	}
}

// lengthOf is how many bytes of the length field count for the alignment.
func lengthOf(d direction) int {
	if authenticates(d.cipher) || strings.HasSuffix(d.mac, etmSuffix) {
		return 0
	}
	return lengthSize
}

// protect encrypts a copy of a packet that frame, or a test, has made.
func protect(s sealer, packet []byte, seq uint32) []byte {
	packet = slices.Grow(bytes.Clone(packet), 64)
	switch s := s.(type) {
	case *gcmState:
		return s.protect(packet)
	case *chachaState:
		return s.protect(packet, seq)
	case *ctrState:
		s.ready()
		return s.protect(packet, seq)
	}
	return packet
}
