package hostkeys_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh/hostkeys"
)

// nested returns a certificate whose authority is a certificate, and so on.
func nested(levels int) []byte {
	str := func(b []byte, s string) []byte {
		return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
	}
	head := str(nil, ssh.CertAlgoED25519v01)
	head = str(head, "nonce")
	head = str(head, strings.Repeat("k", ed25519.PublicKeySize))
	head = binary.BigEndian.AppendUint64(head, 1) // serial number
	head = binary.BigEndian.AppendUint32(head, ssh.HostCert)
	head = str(str(head, ""), "") // key id, principals
	head = binary.BigEndian.AppendUint64(head, 0)
	head = binary.BigEndian.AppendUint64(head, ssh.CertTimeInfinity)
	head = str(str(str(head, ""), ""), "") // critical options, extensions, reserved
	// Then the authority, with all further levels inside, and an empty signature.
	const signature = 4
	blob := make([]byte, levels*(len(head)+4+signature))
	at, size := 0, len(blob)
	for range levels {
		size -= len(head) + 4 + signature
		at += copy(blob[at:], head)
		binary.BigEndian.PutUint32(blob[at:], uint32(size))
		at += 4
	}
	return blob
}

// K05: nested certificates are refused everywhere, without exhausting stack or time.
// faults.md: K05
func TestNestedCertificates(t *testing.T) {
	t.Parallel()
	encode := func(levels int) string {
		return ssh.CertAlgoED25519v01 + " " + base64.StdEncoding.EncodeToString(nested(levels)) + "\n"
	}
	long, short := encode(20_000), encode(200) // longer than the longest line, and shorter
	s := open(t, hostkeys.Strict, file(t,
		line("a", edKey(1)), "h ", long, "h ", short, "@cert-authority * ", short, line("z", edKey(2))))
	for name, n := range map[string]uint64{"a": 1, "z": 2} {
		if err := s.Check(target(name, 22), nil, edKey(n)); err != nil {
			t.Error(err)
		}
	}
	if p := s.Problems(); len(p) != 3 || p[0].Line != 2 || p[1].Line != 3 || p[2].Line != 4 {
		t.Errorf("problems %v", p)
	}
	for _, list := range []string{long, short} {
		if _, err := hostkeys.Open(hostkeys.Options{Revoked: []string{file(t, list)}}); err == nil {
			t.Error("taken as a list of revoked keys")
		}
	}
	// On the wire, x/crypto/ssh parses it before we see it.
	if key, err := ssh.ParsePublicKey(nested(1_000_000)); err == nil {
		t.Errorf("a million levels are taken for a %s", key.Type())
	}
}

// Whatever a server presents, the check does not crash, and accepts only the known key.
func FuzzCertificate(f *testing.F) {
	ca, key := edSigner(100), edKey(1)
	for _, c := range []*ssh.Certificate{
		certify(f, key, ca),
		certify(f, key, ca, principals()),
		certify(f, rsaKey(2048), ca, principals("*")),
		certify(f, key, edSigner(2), func(c *ssh.Certificate) { c.CertType = ssh.UserCert }),
		certify(f, key, ca, func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"a": "b"} }),
	} {
		f.Add(c.Marshal())
	}
	f.Add(key.Marshal())
	f.Add(nested(3))
	good := certify(f, key, ca).Marshal()
	path := filepath.Join(f.TempDir(), "known_hosts")
	if err := os.WriteFile(path, []byte(line("@cert-authority *", ca.PublicKey())), 0o600); err != nil {
		f.Fatal(err)
	}
	s := openAtNoon(f, hostkeys.Options{Files: []string{path}})
	f.Fuzz(func(t *testing.T, blob []byte) {
		shown, err := ssh.ParsePublicKey(blob)
		if err != nil {
			return
		}
		err = s.Check(target("h", 22), nil, shown)
		if err == nil && !bytes.Equal(shown.Marshal(), good) {
			// Accept only what the authority signed: it also signed a wildcard and an RSA key.
			c, ok := shown.(*ssh.Certificate)
			if !ok || !bytes.Equal(c.SignatureKey.Marshal(), ca.PublicKey().Marshal()) {
				t.Fatalf("let in: %q", blob)
			}
		}
		if reason(t, err) == isTrusted && err != nil {
			t.Fatal(err)
		}
	})
}

// A file of revoked keys is read or refused, and each of its keys is revoked.
func FuzzRevoked(f *testing.F) {
	f.Add([]byte(strings.TrimPrefix(line("", edKey(1)), " ")))
	f.Add([]byte("# comment\n\nssh-ed25519\n"))
	f.Add([]byte("SSHKRL\n\x00\x00\x00\x00\x01"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(dir, "revoked")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := hostkeys.Open(hostkeys.Options{Revoked: []string{path}, Policy: hostkeys.Insecure})
		if err != nil {
			if s != nil || errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			return
		}
		lines, _, err := hostkeys.Lines(strings.NewReader(fmt.Sprintf("h %s", text)), path)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			if l.Number != 1 || bytes.HasPrefix(bytes.TrimLeft(text, " \t"), []byte("#")) || bytes.HasPrefix(text, []byte("SSHKRL\n\x00")) {
				continue
			}
			if err := s.Check(fleet.Target{Host: fleet.Host{Name: "h"}}, nil, l.Key); reason(t, err) != isRevoked {
				t.Fatalf("%q does not revoke its first line: %v", text, err)
			}
		}
	})
}
