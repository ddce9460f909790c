package wire

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// A hostSigner is a server's key for one algorithm.
type hostSigner struct {
	algorithm string
	signer    ssh.AlgorithmSigner
}

func (s hostSigner) sign(t testing.TB, h []byte) []byte {
	t.Helper()
	signature, err := s.signer.SignWithAlgorithm(rand.Reader, h, base(s))
	if err != nil {
		t.Fatal(err)
	}
	return ssh.Marshal(signature)
}

func base(s hostSigner) string { return strings.TrimSuffix(s.algorithm, certSuffix) }

func (s hostSigner) blob() []byte { return s.signer.PublicKey().Marshal() }

func newSigner(t testing.TB, key crypto.Signer, err error) ssh.AlgorithmSigner {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer.(ssh.AlgorithmSigner)
}

// newSigners returns a server's key for each algorithm, certificates included.
func newSigners(t testing.TB) []hostSigner {
	t.Helper()
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	all := []hostSigner{{ssh.KeyAlgoED25519, newSigner(t, edwards, err)}}
	for name, curve := range map[string]elliptic.Curve{
		ssh.KeyAlgoECDSA256: elliptic.P256(),
		ssh.KeyAlgoECDSA384: elliptic.P384(),
		ssh.KeyAlgoECDSA521: elliptic.P521(),
	} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		all = append(all, hostSigner{name, newSigner(t, key, err)})
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	signer := newSigner(t, key, err)
	all = append(all, hostSigner{ssh.KeyAlgoRSASHA256, signer}, hostSigner{ssh.KeyAlgoRSASHA512, signer})
	plain := all
	for i, s := range plain {
		ca := plain[(i+1)%len(plain)]
		all = append(all, hostSigner{s.algorithm + certSuffix, certify(t, s.signer, ca.signer)})
	}
	return all
}

func certify(t testing.TB, key, ca ssh.AlgorithmSigner) ssh.AlgorithmSigner {
	t.Helper()
	cert := &ssh.Certificate{
		Key: key.PublicKey(), CertType: ssh.HostCert, KeyId: "host",
		ValidPrincipals: []string{"host.example"}, ValidBefore: ssh.CertTimeInfinity,
	}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewCertSigner(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return signer.(ssh.AlgorithmSigner)
}

func testHash() []byte {
	h := sha256.Sum256([]byte("exchange hash"))
	return h[:]
}

func TestVerifyHostKey(t *testing.T) {
	for _, s := range newSigners(t) {
		t.Run(s.algorithm, func(t *testing.T) {
			h, blob := testHash(), s.blob()
			signature := s.sign(t, h)
			key, err := verifyHostKey(s.algorithm, blob, signature, h)
			if err != nil {
				t.Fatal(err)
			}
			clear(blob) // as the buffer that it lies in is used again
			equal(t, "key", key.Marshal(), s.blob())
			if _, ok := key.(*ssh.Certificate); ok != strings.HasSuffix(s.algorithm, certSuffix) {
				t.Errorf("got a %T", key)
			}
		})
	}
}

// TestVerifyHostKeyK04 is row K04 of the catalogue of faults, but for the sizes.
// faults.md: K04
func TestVerifyHostKeyK04(t *testing.T) {
	h := testHash()
	signers := newSigners(t)
	signatures := map[string][]byte{}
	for _, s := range signers {
		signatures[s.algorithm] = s.sign(t, h)
	}
	for _, s := range signers {
		t.Run(s.algorithm, func(t *testing.T) {
			blob, good := s.blob(), signatures[s.algorithm]
			other := sha256.Sum256(h)
			refused(t, "another hash", s.algorithm, blob, s.sign(t, other[:]), h)
			refused(t, "hash cut", s.algorithm, blob, good, h[:31])
			refused(t, "no key", s.algorithm, nil, good, h)
			refused(t, "no signature", s.algorithm, blob, nil, h)
			refused(t, "trailing byte in the key", s.algorithm, append(bytes.Clone(blob), 0), good, h)
			refused(t, "trailing byte in the signature", s.algorithm, blob, append(bytes.Clone(good), 0), h)
			for n := range blob {
				refused(t, "key cut", s.algorithm, blob[:n], good, h)
			}
			for n := range good {
				refused(t, "signature cut", s.algorithm, blob, good[:n], h)
			}
			for _, o := range signers {
				if o.algorithm == s.algorithm {
					continue
				}
				refused(t, "signature and key for "+o.algorithm, s.algorithm, o.blob(), signatures[o.algorithm], h)
				refused(t, "negotiated "+o.algorithm, o.algorithm, blob, good, h)
				if base(o) != base(s) { // a key and its certificate sign alike
					refused(t, "signature for "+o.algorithm, s.algorithm, blob, signatures[o.algorithm], h)
				}
			}
			for i := 0; i < len(good); i += 5 {
				bad := bytes.Clone(good)
				bad[i] ^= 0x10
				refused(t, fmt.Sprintf("signature, byte %d", i), s.algorithm, blob, bad, h)
			}
			format, value := parts(good)
			refused(t, "leading zero", s.algorithm, blob, signatureOf(format, append([]byte{0}, value...)), h)
			refused(t, "value empty", s.algorithm, blob, signatureOf(format, nil), h)
			refused(t, "value of zeros", s.algorithm, blob, signatureOf(format, make([]byte, len(value))), h)
			refused(t, "huge", s.algorithm, blob, signatureOf(format, make([]byte, 200<<10)), h)
		})
	}
}

func refused(t *testing.T, what, algorithm string, blob, signature, h []byte) {
	t.Helper()
	key, err := verifyHostKey(algorithm, blob, signature, h)
	if key != nil {
		t.Fatalf("%s: accepted", what)
	}
	wantKind(t, err, KindHostKey)
}

func parts(signature []byte) (format string, value []byte) {
	r := read(signature)
	format = string(r.string())
	return format, r.string()
}

func signatureOf(format string, value []byte) []byte {
	return appendString(appendString(nil, format), value)
}

// TestHostKeyTooLarge: a certificate may be in order and still too long.
func TestHostKeyTooLarge(t *testing.T) {
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	key, h := newSigner(t, edwards, err), testHash()
	for _, n := range []int{maxHostKey - 1000, maxHostKey} {
		cert := &ssh.Certificate{Key: key.PublicKey(), CertType: ssh.HostCert, KeyId: strings.Repeat("k", n)}
		if err := cert.SignCert(rand.Reader, key); err != nil {
			t.Fatal(err)
		}
		signature := hostSigner{ssh.KeyAlgoED25519, key}.sign(t, h)
		_, err := verifyHostKey(ssh.CertAlgoED25519v01, cert.Marshal(), signature, h)
		if n < maxHostKey && err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
		if n == maxHostKey {
			wantKind(t, err, KindHostKey)
		}
	}
}

// TestNeverSHA1: ssh-rsa is a type of keys, and no algorithm (RFC 8332 §3,
// RFC 9142 §3.1).
func TestNeverSHA1(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	signer := newSigner(t, key, err)
	h := testHash()
	sha1, err := signer.SignWithAlgorithm(rand.Reader, h, ssh.KeyAlgoRSA)
	if err != nil {
		t.Fatal(err)
	}
	blob := signer.PublicKey().Marshal()
	for _, algorithm := range []string{ssh.KeyAlgoRSA, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512, ssh.CertAlgoRSAv01} {
		refused(t, algorithm, algorithm, blob, ssh.Marshal(sha1), h)
		refused(t, algorithm, algorithm, blob, signatureOf(algorithm, sha1.Blob), h)
	}
}

// TestRSABoundsK04 has the sizes of row K04: each key is refused before it is
// parsed, or taken as far as the parser.
// faults.md: K04
func TestRSABoundsK04(t *testing.T) {
	odd := func(bits uint) *big.Int {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return n.SetBit(n, 0, 1)
	}
	f4 := big.NewInt(65537)
	for _, c := range []struct {
		name string
		e, n *big.Int
		fits bool
	}{
		{"1024 bits", f4, odd(1024), true},
		{"16384 bits", f4, odd(16384), true},
		{"1023 bits", f4, odd(1023), false},
		{"16385 bits", f4, odd(16385), false},
		{"100,000 bits", f4, odd(100000), false},
		{"modulus 0", f4, new(big.Int), false},
		{"modulus negative", f4, new(big.Int).Neg(odd(2048)), false},
		{"e 3", big.NewInt(3), odd(2048), true},
		{"e of 24 bits", odd(24), odd(2048), true},
		{"e of 25 bits", odd(25), odd(2048), false},
		{"e as long as n", odd(2048), odd(2048), false},
		{"e 0", new(big.Int), odd(2048), false},
		{"e negative", big.NewInt(-3), odd(2048), false},
		{"e 1", big.NewInt(1), odd(2048), false},
		{"e even", big.NewInt(65536), odd(2048), true}, // for the parser to refuse
	} {
		t.Run(c.name, func(t *testing.T) {
			blob := ssh.Marshal(struct {
				Type string
				E, N *big.Int
			}{ssh.KeyAlgoRSA, c.e, c.n})
			if got := fits(blob, ssh.KeyAlgoRSA, false); got != c.fits {
				t.Errorf("fits: got %v, want %v", got, c.fits)
			}
			signature := signatureOf(ssh.KeyAlgoRSASHA256, bytes.Repeat([]byte{1}, (c.n.BitLen()+7)/8))
			refused(t, "made up", ssh.KeyAlgoRSASHA256, blob, signature, testHash())
		})
	}
	for _, e := range []string{"\x01\x00\x01", "\x00\x01\x00\x01"} {
		blob := appendMPInt(appendString(appendString(nil, ssh.KeyAlgoRSA), e), odd(2048).Bytes())
		if got, want := fits(blob, ssh.KeyAlgoRSA, false), e[0] != 0; got != want {
			t.Errorf("exponent %q: fits is %v, want %v (RFC 4251 §5: no superfluous zeros)", e, got, want)
		}
	}
}

// TestOtherKeys: DSA, and points that are none of the key's curve.
func TestOtherKeys(t *testing.T) {
	h := testHash()
	one := big.NewInt(1)
	blob := ssh.Marshal(struct {
		Type       string
		P, Q, G, Y *big.Int
	}{"ssh-dss", one, one, one, one})
	for _, algorithm := range []string{"ssh-dss", ""} {
		refused(t, "DSA", algorithm, blob, signatureOf(algorithm, make([]byte, 40)), h)
	}

	for _, s := range newSigners(t) {
		if !strings.HasPrefix(s.algorithm, "ecdsa-") || strings.HasSuffix(s.algorithm, certSuffix) {
			continue
		}
		r := read(s.blob())
		r.string()
		curve, point := r.string(), r.string()
		good := s.sign(t, h)
		key := func(curve, point []byte) []byte {
			return appendString(appendString(appendString(nil, s.algorithm), curve), point)
		}
		if _, err := verifyHostKey(s.algorithm, key(curve, point), good, h); err != nil {
			t.Fatal(err)
		}
		off := bytes.Clone(point)
		off[len(off)-1] ^= 1
		refused(t, "off the curve", s.algorithm, key(curve, off), good, h)
		refused(t, "infinity", s.algorithm, key(curve, []byte{0}), good, h)
		refused(t, "another curve", s.algorithm, key([]byte("nistp192"), point), good, h)
		refused(t, "another curve's point", s.algorithm, key(curve, point[:len(point)-1]), good, h)
	}
}

// nest returns a certificate whose signature key is a certificate, and so on.
func nest(innermost []byte, levels int) []byte {
	blob := innermost
	for range levels {
		b := appendString(nil, ssh.CertAlgoED25519v01)
		b = appendString(b, "")
		b = appendString(b, make([]byte, ed25519.PublicKeySize))
		b = binary.BigEndian.AppendUint64(b, 0)
		b = appendUint32(b, ssh.HostCert)
		b = appendString(appendString(b, ""), "")
		b = append(b, make([]byte, 16)...)
		b = appendString(appendString(appendString(b, ""), ""), "")
		b = appendString(b, blob)
		blob = appendString(b, signatureOf(ssh.KeyAlgoED25519, make([]byte, 64)))
	}
	return blob
}

// TestNestedCertificatesK05 is row K05: certificates in certificates never reach
// the parser, however deep.
// faults.md: K05
func TestNestedCertificatesK05(t *testing.T) {
	plain := appendString(appendString(nil, ssh.KeyAlgoED25519), make([]byte, ed25519.PublicKeySize))
	if !fits(nest(plain, 1), ssh.KeyAlgoED25519, true) {
		t.Fatal("one level does not fit: the other cases say nothing")
	}
	signature := signatureOf(ssh.KeyAlgoED25519, make([]byte, 64))
	for _, levels := range []int{2, 3, 100, 1000} {
		blob := nest(plain, levels)
		if fits(blob, ssh.KeyAlgoED25519, true) {
			t.Errorf("%d levels fit", levels)
		}
		refused(t, fmt.Sprintf("%d levels", levels), ssh.CertAlgoED25519v01, blob, signature, testHash())
	}
	for _, signer := range [][]byte{nil, []byte("x"), appendString(nil, "ssh-dss"), append(bytes.Clone(plain), 0)} {
		refused(t, fmt.Sprintf("signature key %q", signer), ssh.CertAlgoED25519v01, nest(signer, 1), signature, testHash())
	}
}

// TestFIDOAuthority: a certificate may be signed by a FIDO key (OpenSSH's
// PROTOCOL.u2f).
func TestFIDOAuthority(t *testing.T) {
	ed := appendString(appendString(nil, ssh.KeyAlgoSKED25519), make([]byte, ed25519.PublicKeySize))
	if !signerFits(appendString(bytes.Clone(ed), "ssh:")) {
		t.Error("an Ed25519 key does not fit")
	}
	if signerFits(ed) {
		t.Error("a key without an application fits")
	}
	ec := appendString(appendString(appendString(nil, ssh.KeyAlgoSKECDSA256), "nistp256"), make([]byte, 65))
	if !signerFits(appendString(ec, "ssh:")) {
		t.Error("an ECDSA key does not fit")
	}
}

// FuzzVerifyHostKey: nothing makes it panic, and a plain key that was accepted is
// the key that came.
func FuzzVerifyHostKey(f *testing.F) {
	h := testHash()
	for _, s := range newSigners(f) {
		f.Add(s.algorithm, s.blob(), s.sign(f, h))
	}
	plain := appendString(appendString(nil, ssh.KeyAlgoED25519), make([]byte, ed25519.PublicKeySize))
	f.Add(ssh.CertAlgoED25519v01, nest(plain, 2), signatureOf(ssh.KeyAlgoED25519, make([]byte, 64)))
	f.Fuzz(func(t *testing.T, algorithm string, blob, signature []byte) {
		key, err := verifyHostKey(algorithm, blob, signature, h)
		if err != nil {
			if key != nil {
				t.Fatal("a key came with an error")
			}
			return
		}
		if _, ok := key.(*ssh.Certificate); !ok && !bytes.Equal(key.Marshal(), blob) {
			t.Fatalf("got %x, want %x", key.Marshal(), blob)
		}
	})
}

// BenchmarkVerifyHostKey has, besides good keys, the largest RSA key that is
// tried at all.
func BenchmarkVerifyHostKey(b *testing.B) {
	h := testHash()
	for _, s := range newSigners(b) {
		b.Run(s.algorithm, func(b *testing.B) {
			blob, signature := s.blob(), s.sign(b, h)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := verifyHostKey(s.algorithm, blob, signature, h); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("rsa of 16384 bits, e of 24", func(b *testing.B) {
		n := bytes.Repeat([]byte{0xfd}, 2048)
		blob := appendMPInt(appendMPInt(appendString(nil, ssh.KeyAlgoRSA), []byte{0xff, 0xff, 0xff}), n)
		signature := signatureOf(ssh.KeyAlgoRSASHA256, bytes.Repeat([]byte{0x77}, 2048))
		for b.Loop() {
			if _, err := verifyHostKey(ssh.KeyAlgoRSASHA256, blob, signature, h); err == nil {
				b.Fatal("accepted")
			}
		}
	})
}
