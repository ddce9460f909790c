package wire

import (
	"bufio"
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// hexBytes are bytes that stand as hexadecimal digits in JSON.
type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

func (h *hexBytes) UnmarshalText(p []byte) (err error) {
	*h, err = hex.DecodeString(string(p))
	return err
}

// A transcript is a connection to a real server up to the first answers behind
// NEWKEYS, with the client's secrets.
type transcript struct {
	Kex, HostKeyAlgorithm, Cipher, MAC string
	Strict                             bool
	ClientVersion, ServerVersion       string
	ClientInit, ServerInit             hexBytes
	Private                            hexBytes // X25519 or NIST scalar; for the hybrid behind the seed of ML-KEM
	ClientPublic, ServerPublic         hexBytes
	HostKey, Signature                 hexBytes
	Secret, SessionID                  hexBytes
	Keys                               map[string]hexBytes
	// Seq is the sequence number of the first packet of each direction.
	SentSeq, ReceivedSeq uint32
	Sent, Received       []recordedPacket
}

// A recordedPacket is a packet as it went over the wire. Plain is, of what was
// sent, the packet before encryption, padding included; of what came, the
// payload.
type recordedPacket struct{ Packet, Plain hexBytes }

// A wire drives sealers and openers over a connection, and records.
type wire struct {
	rw       io.ReadWriter
	d        direction
	s        sealer
	o        opener
	out, in  uint32
	sent     []recordedPacket
	received []recordedPacket
}

func (w *wire) send(payload []byte) error {
	align := 16
	if w.d.cipher == chachaPoly || w.d.cipher == "" {
		align = plainAlign
	}
	plain := frame(nil, payload, nil, align, lengthOf(w.d) == 0, 0)
	packet := protect(w.s, plain, w.out)
	w.sent = append(w.sent, recordedPacket{packet, plain})
	w.out++
	_, err := w.rw.Write(packet)
	return err
}

func (w *wire) receive() ([]byte, error) {
	packet := make([]byte, w.o.head(), MaxPacket)
	if _, err := io.ReadFull(w.rw, packet); err != nil {
		return nil, err
	}
	n, err := w.o.size(packet, w.in)
	if err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(w.rw, packet[len(packet):n]); err != nil {
		return nil, err
	}
	raw := bytes.Clone(packet[:n])
	payload, err := w.o.open(packet[:n], w.in)
	w.received = append(w.received, recordedPacket{raw, bytes.Clone(payload)})
	w.in++
	return payload, err
}

// offer is a KEXINIT for one method and one protection.
func offer(kex, hostKey string, d direction) *kexInit {
	k := &kexInit{
		kex:        []string{kex, strictClient},
		hostKeys:   []string{hostKey},
		ciphersOut: []string{d.cipher}, ciphersIn: []string{d.cipher},
		macsOut: macNames(), macsIn: macNames(),
		compOut: []string{"none"}, compIn: []string{"none"},
	}
	if d.mac != "" {
		k.macsOut, k.macsIn = []string{d.mac}, []string{d.mac}
	}
	_, _ = rand.Read(k.cookie[:])
	return k
}

// handshake exchanges keys step by step, waiting for the server each time.
func handshake(conn io.ReadWriter, ours *kexInit) (*wire, *transcript, error) {
	buffered := bufio.NewReader(conn)
	w := &wire{rw: struct {
		io.Reader
		io.Writer
	}{buffered, conn}, s: plainSealer{}, o: plainOpener{}}
	line, err := buffered.ReadString('\n')
	if err != nil {
		return nil, nil, err
	}
	t := &transcript{
		ClientVersion: "SSH-2.0-shoal", ServerVersion: strings.TrimRight(line, "\r\n"),
		ClientInit: ours.append(nil), Keys: map[string]hexBytes{},
	}
	if _, err := io.WriteString(conn, t.ClientVersion+"\r\n"); err != nil {
		return nil, nil, err
	}
	if err := w.send(t.ClientInit); err != nil {
		return nil, nil, err
	}
	p, err := w.receive()
	if err != nil {
		return nil, nil, err
	}
	t.ServerInit = bytes.Clone(p)
	theirs, err := parseKexInit(p, "server")
	if err != nil {
		return nil, nil, err
	}
	a, err := negotiate(ours, theirs, theirs)
	if err != nil {
		return nil, nil, err
	}
	t.Kex, t.HostKeyAlgorithm, t.Cipher, t.MAC, t.Strict = a.kex, a.hostKey, a.out.cipher, a.out.mac, a.strict
	return w, t, w.exchange(t, a)
}

// exchange does the rest of handshake, from our ephemeral key to NEWKEYS.
func (w *wire) exchange(t *transcript, a *agreement) error {
	size := map[string]int{kexMLKEM: kemSeedSize + dhSecretSize, kexCurve25519: dhSecretSize, kexCurve25519Old: dhSecretSize}[a.kex]
	t.Private = make([]byte, size)
	_, _ = rand.Read(t.Private)
	if curve := map[string]ecdh.Curve{kexP256: ecdh.P256(), kexP384: ecdh.P384(), kexP521: ecdh.P521()}[a.kex]; curve != nil {
		private, err := curve.GenerateKey(rand.Reader)
		if err != nil {
			return err
		}
		t.Private = private.Bytes()
	}
	key, err := t.ephemeral()
	if err != nil {
		return err
	}
	t.ClientPublic = bytes.Clone(key.public())
	if err := w.send(appendString([]byte{msgKexInitMethod}, key.public())); err != nil {
		return err
	}
	p, err := w.receive()
	if err != nil {
		return err
	}
	r := read(bytes.Clone(p[1:]))
	t.HostKey, t.ServerPublic, t.Signature = r.string(), r.string(), r.string()
	if p[0] != msgKexReplyMethod || !r.done() {
		return fmt.Errorf("bad reply %x", p)
	}
	if t.Secret, err = key.agree(t.ServerPublic); err != nil {
		return err
	}
	m := t.material()
	t.SessionID = m.h
	if _, err := verifyHostKey(a.hostKey, t.HostKey, t.Signature, m.h); err != nil {
		return err
	}
	if err := w.send([]byte{msgNewKeys}); err != nil {
		return err
	}
	if p, err = w.receive(); err != nil {
		return err
	}
	if !bytes.Equal(p, []byte{msgNewKeys}) {
		return fmt.Errorf("got %x, want NEWKEYS", p)
	}
	if a.strict {
		w.out, w.in = 0, 0
	}
	for letter := byte('A'); letter <= 'F'; letter++ {
		t.Keys[string(letter)] = m.derive(letter, 64)
	}
	t.SentSeq, t.ReceivedSeq = w.out, w.in
	w.sent, w.received, w.d = nil, nil, a.out
	if w.s, err = newProtection(a.out, m, toServer()); err != nil {
		return err
	}
	w.o, err = newProtection(a.in, m, toClient())
	return err
}

func (t *transcript) material() keyMaterial {
	hash := beginExchangeHash(kexHash(t.Kex), t.ClientVersion, t.ServerVersion, t.ClientInit, t.ServerInit)
	h := endExchangeHash(hash, t.HostKey, t.ClientPublic, t.ServerPublic, t.Secret)
	return keyMaterial{hash, t.Secret, h, h}
}

// ephemeral is the client's half of the exchange, from its recorded secrets.
func (t *transcript) ephemeral() (keyAgreement, error) {
	if t.Kex == kexMLKEM {
		kem, err := kemFrom(t.Private[:kemSeedSize])
		if err != nil {
			return nil, err
		}
		dh, err := dhFrom(t.Private[kemSeedSize:])
		if err != nil {
			return nil, err
		}
		return hybrid(kem, classic(dh, hybridSource)), nil
	}
	if t.Kex == kexCurve25519 || t.Kex == kexCurve25519Old {
		dh, err := dhFrom(t.Private)
		if err != nil {
			return nil, err
		}
		return classic(dh, "RFC"), nil
	}
	curve := map[string]ecdh.Curve{kexP256: ecdh.P256(), kexP384: ecdh.P384(), kexP521: ecdh.P521()}[t.Kex]
	if curve == nil {
		return nil, errors.New("no such curve")
	}
	private, err := curve.NewPrivateKey(t.Private)
	if err != nil {
		return nil, err
	}
	return classic(stdDH{private}, "RFC"), nil
}

// TestTranscripts replays connections recorded against OpenSSH 9.2 and, for the
// hybrid, x/crypto's server: what both ends computed once is computed again.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/transcripts/*.json")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var all []*transcript
		if err := json.Unmarshal(raw, &all); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, c := range all {
			name := c.Kex + "/" + direction{c.Cipher, c.MAC}.String()
			seen[name] = true
			t.Run(name, func(t *testing.T) { replay(t, c) })
		}
	}
	for _, kex := range kexNames() {
		for _, d := range allDirections() {
			if name := kex + "/" + d.String(); !seen[name] {
				t.Errorf("no transcript of %s", name)
			}
		}
	}
}

func replay(t *testing.T, c *transcript) {
	ours, err := parseKexInit(c.ClientInit, "server")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := parseKexInit(c.ServerInit, "server")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "KEXINIT again", theirs.append(nil), c.ServerInit)
	a, err := negotiate(ours, theirs, theirs)
	if err != nil {
		t.Fatal(err)
	}
	d := direction{c.Cipher, c.MAC}
	want := &agreement{kex: c.Kex, hostKey: c.HostKeyAlgorithm, out: d, in: d, strict: c.Strict}
	if diff := cmp.Diff(want, a, cmp.AllowUnexported(agreement{}, direction{})); diff != "" {
		t.Fatalf("agreement: %s", diff)
	}
	key, err := c.ephemeral()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "public key", key.public(), c.ClientPublic)
	secret, err := key.agree(c.ServerPublic)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "secret", secret, c.Secret)
	m := c.material()
	equal(t, "session id", m.h, c.SessionID)
	if _, err := verifyHostKey(c.HostKeyAlgorithm, c.HostKey, c.Signature, m.h); err != nil {
		t.Fatal(err)
	}
	for letter, want := range c.Keys {
		equal(t, "key "+letter, m.derive(letter[0], len(want)), want)
	}
	replayPackets(t, c, m)
}

func replayPackets(t *testing.T, c *transcript, m keyMaterial) {
	d := direction{c.Cipher, c.MAC}
	s, err := newProtection(d, m, toServer())
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range c.Sent {
		equal(t, fmt.Sprintf("packet %d sent", i), protect(s, p.Plain, c.SentSeq+uint32(i)), p.Packet)
	}
	o, err := newProtection(d, m, toClient())
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range c.Received {
		payload, rest, err := receive(o, bytes.Clone(p.Packet), c.ReceivedSeq+uint32(i))
		if err != nil || len(rest) != 0 {
			t.Fatalf("packet %d: %v, %d bytes left", i, err, len(rest))
		}
		equal(t, fmt.Sprintf("payload %d", i), payload, p.Plain)
	}
	if len(c.Sent) < 3 || len(c.Received) < 2 {
		t.Errorf("%d packets sent, %d received: too few to say something", len(c.Sent), len(c.Received))
	}
}

func equal(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got %x, want %x", what, got, want)
	}
}
