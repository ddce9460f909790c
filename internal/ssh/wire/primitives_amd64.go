package wire

import (
	"crypto/fips140"
	"crypto/rand"
	"errors"
	"weak"

	"filippo.io/edwards25519"
	"github.com/cloudflare/circl/dh/x25519"
	"github.com/cloudflare/circl/kem/mlkem/mlkem768"
	"golang.org/x/sys/cpu"
)

// On amd64 the two key exchanges that nearly every server supports use CIRCL, whose field
// arithmetic is in assembly: compared with the standard library it takes a fifth less time for
// an X25519 shared secret, and half for ML-KEM-768. X25519 keys are generated on the equivalent
// Edwards curve (RFC 7748 §4.1), for which filippo.io/edwards25519 has tables of the base
// point: 12 us instead of CIRCL's 17 and the standard library's 31. In FIPS 140 mode only the
// standard library is used, because only it is validated.

var errSecretSize = errors.New("the secret of an ephemeral key has another size")

// dhFrom makes an X25519 key from dhSecretSize bytes.
func dhFrom(secret []byte) (dhKey, error) {
	if fips140.Enabled() {
		return stdDHFrom(secret)
	}
	scalar, err := new(edwards25519.Scalar).SetBytesWithClamping(secret)
	if err != nil { // the only possible error
		return nil, errSecretSize
	}
	public := new(edwards25519.Point).ScalarBaseMult(scalar).BytesMontgomery()
	return &fastDH{secret: x25519.Key(secret), public: public}, nil
}

type fastDH struct {
	secret x25519.Key
	public []byte
}

func (k *fastDH) share() []byte { return k.public }

func (k *fastDH) agree(peer []byte) ([]byte, error) {
	if len(peer) != x25519.Size {
		return nil, errors.New("invalid public key")
	}
	defer k.wipe()
	public, shared := x25519.Key(peer), new(x25519.Key)
	if !x25519.Shared(shared, &k.secret, &public) {
		return nil, errors.New("a point of low order")
	}
	return shared[:], nil
}

func (k *fastDH) wipe() { clear(k.secret[:]) }

// kemFrom makes an ML-KEM-768 key from kemSeedSize bytes.
func kemFrom(seed []byte) (kemKey, error) {
	if fips140.Enabled() {
		return stdKEMFrom(seed)
	}
	if len(seed) != kemSeedSize {
		return nil, errSecretSize
	}
	defer leaveAVX()
	k := &fastKEM{seed: [kemSeedSize]byte(seed)}
	public, private := mlkem768.NewKeyFromSeed(seed)
	k.private = weak.Make(private)
	k.public = make([]byte, mlkem768.PublicKeySize, mlkem768.PublicKeySize+x25519.Size) // X25519 follows
	public.Pack(k.public)
	return k, nil
}

// A fastKEM holds the seed. The private key takes 8 KiB, and a server may take its time: what
// was made of the seed stays only until the garbage collector comes, and is made again after
// that, which takes as long as the first time. Servers that answer at once need no second time.
type fastKEM struct {
	seed    [kemSeedSize]byte
	private weak.Pointer[mlkem768.PrivateKey]
	public  []byte
}

func (k *fastKEM) encapsulationKey() []byte { return k.public }

func (k *fastKEM) decapsulate(ciphertext []byte) ([]byte, error) {
	if len(ciphertext) != mlkem768.CiphertextSize {
		return nil, errors.New("invalid ciphertext length")
	}
	defer leaveAVX()
	private := k.private.Value()
	if private == nil {
		_, private = mlkem768.NewKeyFromSeed(k.seed[:])
	}
	shared := make([]byte, mlkem768.SharedKeySize, mlkem768.SharedKeySize+x25519.Size) // X25519 follows
	private.DecapsulateTo(shared, ciphertext)
	return shared, nil
}

func (k *fastKEM) wipe() { clear(k.seed[:]) }

func encapsulate(public []byte) (ciphertext, shared []byte, err error) {
	if fips140.Enabled() {
		return stdEncapsulate(public)
	}
	var key mlkem768.PublicKey
	if err := key.Unpack(public); err != nil {
		return nil, nil, err
	}
	defer leaveAVX()
	ciphertext = make([]byte, mlkem768.CiphertextSize, mlkem768.CiphertextSize+x25519.Size) // X25519 follows
	shared = make([]byte, mlkem768.SharedKeySize, mlkem768.SharedKeySize+x25519.Size)
	var seed [mlkem768.EncapsulationSeedSize]byte
	_, _ = rand.Read(seed[:]) // it does not fail
	key.EncapsulateTo(ciphertext, shared, seed[:])
	return ciphertext, shared, nil
}

// leaveAVX clears the upper halves of the vector registers, which CIRCL's ML-KEM does not do.
// While they are in use, every legacy SSE instruction waits for them: SHA-256, next in a key
// exchange, then takes a hundred times as long (Intel's optimization manual, "Mixing AVX
// code with SSE code").
func leaveAVX() {
	if cpu.X86.HasAVX {
		clearUpper()
	}
}

func clearUpper()
