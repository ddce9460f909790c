package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/needs"
	"shoal/internal/ssh"
)

// startSSHAgent starts OpenSSH's agent and returns its socket.
func startSSHAgent(t *testing.T) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "agent")
	cmd := exec.CommandContext(t.Context(), needs.Program(t, "ssh-agent"), "-D", "-a", socket)
	out, err := cmd.StdoutPipe() // the agent prints where it listens
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return socket
}

// addKey adds a new key to an agent by ssh-add with these arguments, and returns it.
func addKey(t *testing.T, socket string, args ...string) xssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := xssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), needs.Program(t, "ssh-add"), append(args, path)...)
	cmd.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ssh-add %q: %v\n%s", args, err, out)
	}
	signer, err := xssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func newHostKey(t *testing.T) xssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := xssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// bindingOf returns a binding of a connection to the host with this key.
func bindingOf(t *testing.T, key xssh.Signer) *ssh.AgentBinding {
	t.Helper()
	session := make([]byte, 32)
	_, _ = rand.Read(session)
	signature, err := key.Sign(rand.Reader, session)
	if err != nil {
		t.Fatal(err)
	}
	return &ssh.AgentBinding{HostKey: key.PublicKey(), SessionID: session, Signature: xssh.Marshal(signature)}
}

func forwardingAttempt(name, socket string) *ssh.Attempt {
	return &ssh.Attempt{
		Progress: new(ssh.Progress), Agent: true,
		Target: ssh.Target{
			Target:   fleet.Target{Host: fleet.Host{Name: name}},
			Endpoint: &ssh.Endpoint{Settings: &ssh.Settings{Agent: ssh.AgentSpec{Socket: socket}}},
		},
	}
}

func newForwarder(t *testing.T, o ForwardOptions) *Forwarder {
	t.Helper()
	f, err := NewForwarder(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// blobsOf returns the keys that a host sees.
func blobsOf(t *testing.T, c ssh.AgentConn) []string {
	t.Helper()
	keys, err := parseList(c.Ask(t.Context(), []byte{msgRequestIdentities}))
	if err != nil {
		t.Fatal(err)
	}
	var blobs []string
	for _, k := range keys {
		blobs = append(blobs, string(k.blob))
	}
	return blobs
}

func wantKeys(t *testing.T, c ssh.AgentConn, want ...xssh.Signer) {
	t.Helper()
	var blobs []string
	for _, s := range want {
		blobs = append(blobs, string(s.PublicKey().Marshal()))
	}
	got := blobsOf(t, c)
	slices.Sort(blobs)
	if slices.Sort(got); !slices.Equal(got, blobs) {
		t.Errorf("the host sees %d keys, want %d certain ones", len(got), len(blobs))
	}
}

// signs asks for a signature of data and reports whether there was one, which is right.
func signs(t *testing.T, c ssh.AgentConn, key xssh.Signer, data []byte) bool {
	t.Helper()
	signature, err := parseSignature(c.Ask(t.Context(), xssh.Marshal(signRequest{Key: key.PublicKey().Marshal(), Data: data})))
	if err != nil {
		return false
	}
	if err := key.PublicKey().Verify(data, signature); err != nil {
		t.Error(err)
	}
	return true
}

// loginData is what is signed for a login at a host (RFC 4252 §7, OpenSSH's PROTOCOL §3.1).
func loginData(session []byte, user string, key, at xssh.PublicKey) []byte {
	return xssh.Marshal(struct {
		Session               []byte
		Message               byte
		User, Service, Method string
		Signed                bool
		Algorithm             string
		Key, HostKey          []byte
	}{session, 50, user, "ssh-connection", "publickey-hostbound-v00@openssh.com", true, key.Type(), key.Marshal(), at.Marshal()})
}

// A host gets signatures up to the limit, over all its connections; another has its own.
// faults.md: A13
func TestForwardedSignatures(t *testing.T) {
	socket := startSSHAgent(t)
	key := addKey(t, socket)
	f := newForwarder(t, ForwardOptions{Signatures: 2})
	if err := f.Check(t.Context(), socket); err != nil {
		t.Fatal(err)
	}
	a, b := forwardingAttempt("a", socket), forwardingAttempt("b", socket)
	first, second, other := f.Open(a, nil), f.Open(a, nil), f.Open(b, nil)
	wantKeys(t, first, key)
	for i, c := range []ssh.AgentConn{first, second, first} {
		if got := signs(t, c, key, []byte("data")); got != (i < 2) {
			t.Errorf("signature %d: %t", i+1, got)
		}
	}
	if !signs(t, other, key, []byte("data")) {
		t.Error("the other host got none")
	}
	if a.AgentUse.Signatures() != 2 || b.AgentUse.Signatures() != 1 {
		t.Errorf("%d and %d signatures are counted, want 2 and 1", a.AgentUse.Signatures(), b.AgentUse.Signatures())
	}
	if signs(t, other, newHostKey(t), []byte("data")) || b.AgentUse.Signatures() != 1 {
		t.Error("a key that the agent does not have")
	}
}

// Each signature is confirmed, with the host, the key and what is known of its purpose.
func TestForwardedConfirmation(t *testing.T) {
	socket := startSSHAgent(t)
	key, at := addKey(t, socket), newHostKey(t)
	var asked []string
	allow := true
	f := newForwarder(t, ForwardOptions{Confirm: func(_ context.Context, question string) bool {
		asked = append(asked, question)
		return allow
	}})
	a := forwardingAttempt("web1", socket)
	c := f.Open(a, nil)
	data := loginData(make([]byte, 32), "git\x1b", key.PublicKey(), at.PublicKey())
	if !signs(t, c, key, data) {
		t.Error("not signed although it was confirmed")
	}
	allow = false
	if signs(t, c, key, data) || a.AgentUse.Signatures() != 1 {
		t.Error("signed although it was not confirmed")
	}
	want := `May "web1" have a signature by ` + xssh.FingerprintSHA256(key.PublicKey()) + ` to log in as "git\x1b" at the host with key ` +
		xssh.FingerprintSHA256(at.PublicKey()) + "?"
	if !slices.Equal(asked, []string{want, want}) {
		t.Errorf("asked %q, want %q twice", asked, want)
	}
}

// Keys that are constrained to destinations (ssh-add -h) go to no host but those that they are
// for, and for no other purpose.
// faults.md: A13
func TestForwardedConstraints(t *testing.T) {
	socket := startSSHAgent(t)
	hop, dest, stranger := newHostKey(t), newHostKey(t), newHostKey(t)
	known := filepath.Join(t.TempDir(), "known")
	lines := ""
	for name, key := range map[string]xssh.Signer{"hop": hop, "dest": dest} {
		lines += name + " " + string(xssh.MarshalAuthorizedKey(key.PublicKey()))
	}
	if err := os.WriteFile(known, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	plain := addKey(t, socket)
	bound := addKey(t, socket, "-H", known, "-h", "hop", "-h", "hop>dest")
	f := newForwarder(t, ForwardOptions{})

	a := forwardingAttempt("hop", socket)
	c := f.Open(a, bindingOf(t, hop))
	defer c.Close()
	wantKeys(t, c, plain, bound)
	if !signs(t, c, plain, []byte("anything")) || signs(t, c, bound, []byte("anything")) {
		t.Error("the constrained key signs for logins alone, the other one for all")
	}
	b := bindingOf(t, dest) // a program on the hop logs in at dest
	if got := c.Ask(t.Context(), bindRequest(b.HostKey, b.SessionID, b.Signature, false)); got[0] != msgSuccess {
		t.Errorf("the binding was answered %d", got[0])
	}
	if !signs(t, c, bound, loginData(b.SessionID, "", bound.PublicKey(), dest.PublicKey())) {
		t.Error("no signature for the destination")
	}
	s := bindingOf(t, stranger)
	elsewhere := f.Open(a, bindingOf(t, hop))
	defer elsewhere.Close()
	_ = elsewhere.Ask(t.Context(), bindRequest(s.HostKey, s.SessionID, s.Signature, false))
	if signs(t, elsewhere, bound, loginData(s.SessionID, "", bound.PublicKey(), stranger.PublicKey())) {
		t.Error("a signature for another destination")
	}
	for name, b := range map[string]*ssh.AgentBinding{"stranger": bindingOf(t, stranger), "unknown": nil} {
		c := f.Open(forwardingAttempt(name, socket), b)
		h := bindingOf(t, hop) // which such a host can have made
		_ = c.Ask(t.Context(), bindRequest(h.HostKey, h.SessionID, h.Signature, true))
		wantKeys(t, c, plain)
		if signs(t, c, bound, loginData(h.SessionID, "", bound.PublicKey(), hop.PublicKey())) {
			t.Errorf("%s: it got a signature", name)
		}
		c.Close()
	}
	bad := bindRequest(dest.PublicKey(), make([]byte, 32), b.Signature, false)
	if got := c.Ask(t.Context(), bad); got[0] != msgFailure {
		t.Error("a binding with a wrong signature was taken")
	}
}

// An agent that is not there is an error before a run, and a refusal in it.
func TestForwardedAgentIsMissing(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "none")
	f := newForwarder(t, ForwardOptions{})
	if err := f.Check(t.Context(), socket); err == nil || !strings.Contains(err.Error(), "which is to be forwarded") {
		t.Errorf("%v", err)
	}
	c := f.Open(forwardingAttempt("a", socket), nil)
	if got := c.Ask(t.Context(), []byte{msgRequestIdentities}); got[0] != msgFailure {
		t.Errorf("message %d", got[0])
	}
}

// The next run of a Pool asks an agent that was given up again, if it answers, and has signatures for each host.
func TestForwarderRenewed(t *testing.T) {
	socket := startSSHAgent(t)
	f := newForwarder(t, ForwardOptions{Signatures: 1})
	if err := f.Check(t.Context(), socket); err != nil {
		t.Fatal(err)
	}
	host := fleet.Host{Name: "h"}
	if !f.take(host) || f.take(host) {
		t.Error("the limit is not one")
	}
	f.agents[socket].link.hung.Store(true)
	if err := f.Check(t.Context(), socket); err == nil {
		t.Fatal("an agent that hung is asked")
	}
	f.Renew(t.Context())
	if err := f.Check(t.Context(), socket); err != nil {
		t.Error(err)
	}
	if !f.take(host) {
		t.Error("a host has no signature in the next run")
	}
	f.agents[socket].link.hung.Store(true)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	f.Renew(gone) // it has no time to answer
	if err := f.Check(t.Context(), socket); err == nil {
		t.Error("an agent that does not answer is asked")
	}
}
