package wire

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net"
	"testing"

	"golang.org/x/crypto/ssh"
)

// TestAgainstXCrypto exchanges keys and packets of several sizes with
// golang.org/x/crypto/ssh's server, for each method and protection it has.
func TestAgainstXCrypto(t *testing.T) {
	for _, kex := range kexNames() {
		for _, d := range allDirections() {
			t.Run(kex+"/"+d.String(), func(t *testing.T) {
				ours, theirs := newConns(t)
				server := make(chan error, 1) // one result, taken once
				var id []byte
				go func() {
					var err error
					id, err = serveXCrypto(theirs, kex, d)
					server <- err
				}()
				w, c, err := handshake(ours, offer(kex, ssh.KeyAlgoED25519, d))
				if err == nil {
					err = w.talk()
				}
				err = errors.Join(err, ours.Close())
				if serr := <-server; err != nil || serr != nil {
					t.Fatalf("client: %v; server: %v", err, serr)
				}
				equal(t, "session id", c.SessionID, id)
			})
		}
	}
}

// newConns returns both ends of a connection with room for what nobody reads yet,
// which net.Pipe has not.
func newConns(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client, err = net.Dial("tcp", l.Addr().String())
	if err == nil {
		server, err = l.Accept()
	}
	if err := errors.Join(err, l.Close()); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// talk authenticates with none and sends requests of several sizes.
func (w *wire) talk() error {
	if err := w.send(appendString([]byte{msgServiceRequest}, "ssh-userauth")); err != nil {
		return err
	}
	if p, err := w.receive(); err != nil || p[0] != msgServiceAccept {
		return errors.Join(errors.New("no SERVICE_ACCEPT"), err)
	}
	if err := w.send(userAuthNone()); err != nil {
		return err
	}
	if p, err := w.receive(); err != nil || p[0] != msgUserAuthSuccess {
		return errors.Join(errors.New("no USERAUTH_SUCCESS"), err)
	}
	for _, n := range []int{0, 1, 2, 15, 16, 17, 1000, 30000} {
		p := appendString([]byte{msgGlobalRequest}, "shoal@test")
		p = append(appendBool(p, true), bytes.Repeat([]byte{byte(n)}, n)...)
		if err := w.send(p); err != nil {
			return err
		}
		if p, err := w.receive(); err != nil || p[0] != msgRequestSuccess || len(p) != 1+n {
			return errors.Join(errors.New("no echo"), err)
		}
	}
	return nil
}

func userAuthNone() []byte {
	p := []byte{msgUserAuthRequest}
	for _, s := range []string{"nobody", "ssh-connection", "none"} {
		p = appendString(p, s)
	}
	return p
}

// serveXCrypto serves one connection with x/crypto's server, which echoes global
// requests, and gives its session id.
func serveXCrypto(conn net.Conn, kex string, d direction) ([]byte, error) {
	defer func() { _ = conn.Close() }()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, err
	}
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.KeyExchanges, config.Ciphers = []string{kex}, []string{d.cipher}
	if d.mac != "" {
		config.MACs = []string{d.mac}
	}
	config.AddHostKey(signer)
	c, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return nil, err
	}
	for r := range requests {
		if err := r.Reply(true, r.Payload); err != nil {
			return nil, err
		}
	}
	for range channels {
		return nil, errors.New("a channel was opened")
	}
	return c.SessionID(), nil
}

// TestAgreeVectors takes the ECC CDH vectors of NIST's CAVS 14.1 (SP 800-56A) and
// that of RFC 7748 §6.1.
func TestAgreeVectors(t *testing.T) {
	for _, c := range []struct{ kex, private, public, peer, secret string }{
		{
			kexP256,
			"7d7dc5f71eb29ddaf80d6214632eeae03d9058af1fb6d22ed80badb62bc1a534",
			"04ead218590119e8876b29146ff89ca61770c4edbbf97d38ce385ed281d8a6b23028af61281fd35e2fa7002523acc85a" +
				"429cb06ee6648325389f59edfce1405141",
			"04700c48f77f56584c5cc632ca65640db91b6bacce3a4df6b42ce7cc838833d287db71e509e3fd9b060ddb20ba5c51dc" +
				"c5948d46fbf640dfe0441782cab85fa4ac",
			"46fc62106420ff012e54a434fbdd2d25ccc5852060561e68040dd7778997bd7b",
		},
		{
			kexP384,
			"3cc3122a68f0d95027ad38c067916ba0eb8c38894d22e1b15618b6818a661774ad463b205da88cf699ab4d43c9cf98a1",
			"049803807f2f6d2fd966cdd0290bd410c0190352fbec7ff6247de1302df86f25d34fe4a97bef60cff548355c015dbb3e" +
				"5fba26ca69ec2f5b5d9dad20cc9da711383a9dbe34ea3fa5a2af75b46502629ad54dd8b7d73a8abb06a3a3be47d650cc" +
				"99",
			"04a7c76b970c3b5fe8b05d2838ae04ab47697b9eaf52e764592efda27fe7513272734466b400091adbf2d68c58e0c500" +
				"66ac68f19f2e1cb879aed43a9969b91a0839c4c38a49749b661efedf243451915ed0905a32b060992b468c64766fc843" +
				"7a",
			"5f9d29dc5e31a163060356213669c8ce132e22f57c9a04f40ba7fcead493b457e5621e766c40a2e3d4d6a04b25e533f1",
		},
		{
			kexP521,
			"017eecc07ab4b329068fba65e56a1f8890aa935e57134ae0ffcce802735151f4eac6564f6ee9974c5e6887a1fefee574" +
				"3ae2241bfeb95d5ce31ddcb6f9edb4d6fc47",
			"0400602f9d0cf9e526b29e22381c203c48a886c2b0673033366314f1ffbcba240ba42f4ef38a76174635f91e6b4ed342" +
				"75eb01c8467d05ca80315bf1a7bbd945f550a501b7c85f26f5d4b2d7355cf6b02117659943762b6d1db5ab4f1dbc44ce" +
				"7b2946eb6c7de342962893fd387d1b73d7a8672d1f236961170b7eb3579953ee5cdc88cd2d",
			"0400685a48e86c79f0f0875f7bc18d25eb5fc8c0b07e5da4f4370f3a9490340854334b1e1b87fa395464c60626124a4e" +
				"70d0f785601d37c09870ebf176666877a2046d01ba52c56fc8776d9e8f5db4f0cc27636d0b741bbe05400697942e80b7" +
				"39884a83bde99e0f6716939e632bc8986fa18dccd443a348b6c3e522497955a4f3c302f676",
			"005fc70477c3e63bc3954bd0df3ea0d1f41ee21746ed95fc5e1fdf90930d5e136672d72cc770742d1711c3c3a4c334a0" +
				"ad9759436a4d3c5bf6e74b9578fac148c831",
		},
		{
			kexCurve25519,
			"77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
			"8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
			"de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
			"4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
		},
	} {
		t.Run(c.kex, func(t *testing.T) {
			key, err := (&transcript{Kex: c.kex, Private: unhex(t, c.private)}).ephemeral()
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "public key", key.public(), unhex(t, c.public))
			got, err := key.agree(unhex(t, c.peer))
			if err != nil {
				t.Fatal(err)
			}
			x := new(big.Int).SetBytes(unhex(t, c.secret))
			equal(t, "secret", got, ssh.Marshal(struct{ X *big.Int }{x}))
			if _, err := key.agree(unhex(t, c.peer)); !errors.Is(err, errSpent) {
				t.Errorf("a second time: got error %v, want %v", err, errSpent)
			}
		})
	}
}

// TestAgreeK03 is row K03 of the catalogue of faults: what a server may not send as
// its half.
// faults.md: K03
func TestAgreeK03(t *testing.T) {
	ciphertext := make([]byte, mlkem.CiphertextSize768)
	for _, c := range badHalves() {
		t.Run(c.kex+"/"+c.name, func(t *testing.T) {
			reject(t, c.kex, c.half)
			if c.kex == kexCurve25519 {
				reject(t, kexCurve25519Old, c.half)
				reject(t, kexMLKEM, append(bytes.Clone(ciphertext), c.half...))
			}
		})
	}
	good, err := newX25519("")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, mlkem.CiphertextSize768 - 1, mlkem.CiphertextSize768 + 1, mlkem.EncapsulationKeySize768} {
		reject(t, kexMLKEM, append(make([]byte, n), good.public()...))
	}
}

func reject(t *testing.T, kex string, half []byte) {
	t.Helper()
	key, err := newKeyAgreement(kex)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := key.agree(half)
	wantKind(t, err, KindProtocol)
	if secret != nil {
		t.Errorf("a secret came with the error: %x", secret)
	}
}

type badHalf struct {
	kex, name string
	half      []byte
}

func badHalves() []badHalf {
	var all []badHalf
	// The points of small order and their forms that are not reduced.
	for i, s := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	} {
		half, _ := hex.DecodeString(s)
		all = append(all, badHalf{kexCurve25519, fmt.Sprintf("small order %d", i), half})
		high := bytes.Clone(half)
		high[31] |= 0x80 // ignored, RFC 7748 §5
		all = append(all, badHalf{kexCurve25519, fmt.Sprintf("small order %d, high bit", i), high})
	}
	for _, n := range []int{0, 1, 31, 33, 64} {
		all = append(all, badHalf{kexCurve25519, fmt.Sprintf("%d bytes", n), bytes.Repeat([]byte{9}, n)})
	}
	for _, kex := range []string{kexP256, kexP384, kexP521} {
		key, err := newKeyAgreement(kex)
		if err != nil {
			panic(err)
		}
		good := key.public()
		off := bytes.Clone(good)
		off[len(off)-1] ^= 1
		compressed := append([]byte{2 + good[len(good)-1]&1}, good[1:len(good)/2+1]...)
		hybrid := bytes.Clone(good)
		hybrid[0] = 6 + good[len(good)-1]&1
		all = append(all,
			badHalf{kex, "empty", nil},
			badHalf{kex, "infinity", []byte{0}},
			badHalf{kex, "infinity, padded", make([]byte, len(good))},
			badHalf{kex, "off the curve", off},
			badHalf{kex, "compressed", compressed},
			badHalf{kex, "hybrid form", hybrid},
			badHalf{kex, "too long", append(bytes.Clone(good), 0)},
			badHalf{kex, "too short", good[:len(good)-1]},
			badHalf{kex, "coordinates too large", append([]byte{4}, bytes.Repeat([]byte{0xff}, len(good)-1)...)},
		)
	}
	return all
}

// TestHybridMadeUpCiphertext: ML-KEM refuses no ciphertext; the secret is then
// one that the server cannot know.
func TestHybridMadeUpCiphertext(t *testing.T) {
	key, err := newHybrid()
	if err != nil {
		t.Fatal(err)
	}
	encapsulation, err := mlkem.NewEncapsulationKey768(key.kem.encapsulationKey())
	if err != nil {
		t.Fatal(err)
	}
	shared, ciphertext := encapsulation.Encapsulate()
	ciphertext[0] ^= 1
	peer, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := ecdh.X25519().NewPublicKey(key.ecdh.public())
	if err != nil {
		t.Fatal(err)
	}
	x, err := peer.ECDH(ours)
	if err != nil {
		t.Fatal(err)
	}
	got, err := key.agree(append(ciphertext, peer.PublicKey().Bytes()...))
	if err != nil {
		t.Fatal(err)
	}
	known := sha256.Sum256(append(shared, x...))
	if len(got) != 36 || bytes.Equal(got[4:], known[:]) {
		t.Errorf("got %x", got)
	}
	if _, err := key.agree(append(ciphertext, peer.PublicKey().Bytes()...)); !errors.Is(err, errSpent) || key.kem != nil {
		t.Errorf("a second time: got error %v, want %v", err, errSpent)
	}
}

func TestNewKeyAgreementUnknown(t *testing.T) {
	for _, name := range []string{"", "diffie-hellman-group14-sha256", strictClient, "none"} {
		if _, err := newKeyAgreement(name); err == nil {
			t.Errorf("%q: no error", name)
		}
		if kexHash(name) != nil {
			t.Errorf("%q has a hash", name)
		}
	}
}

// BenchmarkKeyAgreement is the client's share of one exchange.
func BenchmarkKeyAgreement(b *testing.B) {
	for _, kex := range kexNames() {
		b.Run(kex, func(b *testing.B) {
			peer, err := newKeyAgreement(kex)
			if err != nil {
				b.Fatal(err)
			}
			half := peer.public()
			if kex == kexMLKEM {
				half = append(make([]byte, mlkem.CiphertextSize768), half[mlkem.EncapsulationKeySize768:]...)
			}
			b.ReportAllocs()
			for b.Loop() {
				key, err := newKeyAgreement(kex)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := key.agree(half); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
