package auth

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

func listReply(count uint32, entries ...string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{msgIdentitiesAnswer}, count)
	for _, text := range entries {
		b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
		b = append(b, text...)
	}
	return b
}

func TestParseList(t *testing.T) {
	t.Parallel()
	keys, err := parseList(listReply(2, "blob1", "comment1", "blob2", ""))
	if err != nil || len(keys) != 2 || string(keys[0].blob) != "blob1" || keys[0].comment != "comment1" ||
		string(keys[1].blob) != "blob2" || keys[1].comment != "" {
		t.Errorf("%q, %v", keys, err)
	}
	for name, c := range map[string]struct {
		reply []byte
		want  string
	}{
		"cut short":      {listReply(2, "blob1", "comment1"), "the agent's list is cut short"},
		"without number": {[]byte{msgIdentitiesAnswer, 0, 0, 0}, "the agent's list is cut short"},
		"too long":       {listReply(1, "blob1", "comment1", "x"), "5 bytes follow the agent's list"},
		"too many":       {listReply(2049), "the agent lists 2049 keys, more than 2048"},
		"a huge number":  {listReply(1<<32 - 1), "the agent lists 4294967295 keys"},
		"another type":   {[]byte{msgSignResponse}, "the agent answers with message 14, want 12"},
		"refusal":        {[]byte{msgFailure}, "the agent refuses"},
		"old refusal":    {[]byte{msgFailureOpenSSH}, "the agent refuses"},
		"older refusal":  {[]byte{msgFailureSSHCom}, "the agent refuses"},
	} {
		_, err := parseList(c.reply)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if refusal := strings.HasSuffix(name, "refusal"); errors.Is(err, ErrAgentRefused) != refusal {
			t.Errorf("%s: %v is a refusal: %v", name, err, !refusal)
		}
	}
}

func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	if b, err := frame(make([]byte, maxMessage)); err != nil || len(b) != maxMessage+4 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if _, err := frame(make([]byte, maxMessage+1)); err == nil {
		t.Error("too much is framed")
	}
}

// A reply is parsed completely, and encodes to the same bytes.
func FuzzAgentReply(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		f.Fatal(err)
	}
	signature, err := signer.Sign(rand.Reader, []byte("data"))
	if err != nil {
		f.Fatal(err)
	}
	for _, reply := range [][]byte{
		listReply(1, string(signer.PublicKey().Marshal()), "me"),
		listReply(1<<31, "x"),
		ssh.Marshal(signResponse{ssh.Marshal(signature)}),
		{msgFailure},
		{},
	} {
		f.Add(append(binary.BigEndian.AppendUint32(nil, uint32(len(reply))), reply...))
	}
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		reply, err := readMessage(r)
		if err != nil {
			var v violation
			if !errors.As(err, &v) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatal(err)
			}
			return
		}
		if r.Len()+len(reply)+4 != len(b) {
			t.Fatalf("%d bytes left of %d after %d", r.Len(), len(b), len(reply))
		}
		if keys, err := parseList(reply); err == nil {
			var entries []string
			for _, k := range keys {
				entries = append(entries, string(k.blob), k.comment)
				_, _ = parsePublic(k.blob)
			}
			if again := listReply(uint32(len(keys)), entries...); !bytes.Equal(again, reply) {
				t.Fatalf("%q is read as %q", reply, again)
			}
		}
		if signature, err := parseSignature(reply); err == nil {
			if again := ssh.Marshal(signResponse{ssh.Marshal(signature)}); !bytes.Equal(again, reply) {
				t.Fatalf("%q is read as %q", reply, again)
			}
			_ = signer.PublicKey().Verify([]byte("data"), signature)
		}
	})
}

// An accepted certificate is a user certificate with a validity period; other keys are refused
// or plain.
func FuzzPublicKey(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signer.PublicKey().Marshal())
	for _, kind := range []uint32{ssh.UserCert, ssh.HostCert} {
		cert := &ssh.Certificate{
			Key: signer.PublicKey(), CertType: kind, KeyId: "me", ValidPrincipals: []string{"root"}, ValidBefore: 1 << 40,
		}
		cert.Permissions.CriticalOptions = map[string]string{"force-command": "true"}
		if err := cert.SignCert(rand.Reader, signer); err != nil {
			f.Fatal(err)
		}
		f.Add(cert.Marshal())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		key, err := parsePublic(b)
		if err != nil {
			return
		}
		if cert, ok := key.(*ssh.Certificate); ok {
			if cert.CertType != ssh.UserCert {
				t.Errorf("a certificate of type %d", cert.CertType)
			}
			if _, nested := cert.Key.(*ssh.Certificate); nested {
				t.Error("a certificate of a certificate")
			}
		}
		if len(algorithmsOf(key)) == 0 {
			t.Errorf("%s cannot sign", key.Type())
		}
	})
}
