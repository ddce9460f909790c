package wire

import (
	"bytes"
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"runtime"
	"testing"

	"pgregory.net/rapid"
)

// TestX25519Agree holds the architecture's X25519 to the standard library's: the
// public key, the secret, and which halves of a peer's are refused.
func TestX25519Agree(t *testing.T) {
	odd := oddPoints()
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.SliceOfN(rapid.Byte(), dhSecretSize, dhSecretSize).Draw(t, "secret")
		peer := rapid.OneOf(
			rapid.SliceOfN(rapid.Byte(), dhSecretSize, dhSecretSize), // half of them on the twist
			rapid.SampledFrom(odd),
		).Draw(t, "peer")
		fast, err := dhFrom(secret)
		if err != nil {
			t.Fatal(err)
		}
		std, err := stdDHFrom(secret)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(fast.share(), std.share()) {
			t.Fatalf("public keys: %x and %x", fast.share(), std.share())
		}
		got, gotErr := fast.agree(peer)
		want, wantErr := std.agree(peer)
		if (gotErr == nil) != (wantErr == nil) || !bytes.Equal(got, want) {
			t.Fatalf("secrets: %x (%v) and %x (%v)", got, gotErr, want, wantErr)
		}
	})
}

// oddPoints are halves at which arithmetic goes wrong: small ones, those at and
// above the prime, both also with the bit that RFC 7748 §5 has ignored, and the
// points of order eight.
func oddPoints() [][]byte {
	var all [][]byte
	for b := range 32 {
		small := make([]byte, dhSecretSize)
		small[0] = byte(b)
		large := bytes.Repeat([]byte{0xff}, dhSecretSize)
		large[0], large[31] = byte(0xe0+b), 0x7f // 2²⁵⁵-19 is …ed
		all = append(all, small, large)
	}
	all = append(all,
		[]byte{
			0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
			0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
		},
		[]byte{
			0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b,
			0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
		})
	for _, p := range all[:len(all):len(all)] {
		high := bytes.Clone(p)
		high[31] |= 0x80
		all = append(all, high)
	}
	return all
}

// TestMLKEMAgree does so for ML-KEM-768, a ciphertext that was altered included
// (FIPS 203 §6.3).
func TestMLKEMAgree(t *testing.T) {
	for i := range 100 {
		seed := make([]byte, kemSeedSize)
		_, _ = rand.Read(seed)
		fast, err := kemFrom(seed)
		if err != nil {
			t.Fatal(err)
		}
		std, err := stdKEMFrom(seed)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "encapsulation key", fast.encapsulationKey(), std.encapsulationKey())
		public, err := mlkem.NewEncapsulationKey768(fast.encapsulationKey())
		if err != nil {
			t.Fatal(err)
		}
		secret, ciphertext := public.Encapsulate()
		if i%10 == 0 {
			runtime.GC() // takes what was made of the seed
		}
		got, err := fast.decapsulate(ciphertext)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "secret", got, secret)
		for i := 0; i < len(ciphertext); i += 97 {
			altered := bytes.Clone(ciphertext)
			altered[i] ^= 1 << (i % 8)
			got, err := fast.decapsulate(altered)
			if err != nil {
				t.Fatal(err)
			}
			want, err := std.decapsulate(altered)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "secret of an altered ciphertext", got, want)
		}
	}
}

// TestPrimitiveSizes has them refuse what has another size.
func TestPrimitiveSizes(t *testing.T) {
	if _, err := dhFrom(make([]byte, dhSecretSize-1)); err == nil {
		t.Error("a short X25519 secret was taken")
	}
	if _, err := kemFrom(make([]byte, kemSeedSize+1)); err == nil {
		t.Error("a long ML-KEM seed was taken")
	}
	kem, err := kemFrom(make([]byte, kemSeedSize))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kem.decapsulate(make([]byte, mlkem.CiphertextSize768-1)); err == nil {
		t.Error("a short ciphertext was taken")
	}
	peer, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	dh, err := dhFrom(make([]byte, dhSecretSize))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dh.agree(peer.PublicKey().Bytes()[1:]); err == nil {
		t.Error("a short half was taken")
	}
}
