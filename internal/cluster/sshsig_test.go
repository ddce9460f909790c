package cluster

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/internal/needs"
)

// ssh-keygen verifies what we sign, and we verify what it signs.
func TestSignatureOfSSHKeygen(t *testing.T) {
	keygen := needs.Program(t, "ssh-keygen")
	dir := t.TempDir()
	file := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	message := []byte("a shard\n")
	ed, _ := newSigner(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsaSigner, err := xssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, signer := range []xssh.Signer{ed, rsaSigner} {
		signature, err := Sign(signer, message)
		if err != nil {
			t.Fatal(err)
		}
		allowed := "ops@example.org namespaces=\"shoal-run\" " + string(xssh.MarshalAuthorizedKey(signer.PublicKey()))
		cmd := exec.Command(keygen, "-Y", "verify", "-n", Namespace, "-I", "ops@example.org", "-f", file("allowed", []byte(allowed)), "-s", file("sig", signature))
		cmd.Stdin = bytes.NewReader(message)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", signer.PublicKey().Type(), err, out)
		}
	}
	made := exec.Command(keygen, "-q", "-t", "ecdsa", "-N", "", "-f", filepath.Join(dir, "key"))
	if out, err := made.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.Command(keygen, "-q", "-Y", "sign", "-n", Namespace, "-f", filepath.Join(dir, "key"), file("message", message))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	signature, err := os.ReadFile(filepath.Join(dir, "message.sig"))
	if err != nil {
		t.Fatal(err)
	}
	public, err := os.ReadFile(filepath.Join(dir, "key.pub"))
	if err != nil {
		t.Fatal(err)
	}
	signers, err := parseSigners(strings.NewReader("who " + string(public)))
	if err != nil {
		t.Fatal(err)
	}
	if who, err := signers.Check(message, signature, time.Now()); err != nil || who != "who" {
		t.Errorf("%q, %v", who, err)
	}
}

func TestSigners(t *testing.T) {
	signer, public := newSigner(t)
	_, other := newSigner(t)
	message := []byte("a shard")
	signature, err := Sign(signer, message)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		file, message, want string // want: a part of the error; "" means none
	}{
		{"# ops\n\nops " + public, "a shard", ""},
		{"x " + other + "\nops " + public, "a shard", ""},
		{"ops " + public, "a shard!", "is not of what it says"},
		{"ops " + other, "a shard", "is not among the allowed signers"},
		{`ops namespaces="git,shoal-run" ` + public, "a shard", ""},
		{`ops namespaces="git" ` + public, "a shard", "is not among the allowed signers"},
		{`ops valid-before="20260601Z" ` + public, "a shard", "is not valid now"},
		{`ops valid-after="20260601Z",valid-before="202606011201Z" ` + public, "a shard", ""},
		{`ops valid-after="20260601120001Z" ` + public, "a shard", "is not valid now"},
		{"ops\t" + public, "a shard", ""},
		{"ops\tnamespaces=\"git\" " + public, "a shard", "is not among the allowed signers"},
		{"ops\tvalid-before=\"20260601Z\"\t" + public, "a shard", "is not valid now"},
	} {
		s, err := parseSigners(strings.NewReader(c.file))
		if err != nil {
			t.Fatalf("%q: %v", c.file, err)
		}
		_, err = s.Check([]byte(c.message), signature, now)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.file, err, c.want)
		}
	}
	for _, file := range []string{"ops", "ops nonsense", "ops cert-authority " + public, "ops\tcert-authority " + public, `ops valid-before="soon" ` + public} {
		if s, err := parseSigners(strings.NewReader(file)); err == nil {
			t.Errorf("%q: %d keys", file, len(s.keys))
		}
	}
	elsewhere := bytes.Replace(signature, []byte("BEGIN SSH"), []byte("BEGIN PGP"), 1)
	if _, err := verify(message, elsewhere); err == nil {
		t.Error("a signature of another kind is taken")
	}
}
