package auth_test

import (
	"crypto"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"shoal/fleet"
	"shoal/internal/ssh/auth"
	"shoal/internal/sshdtest"
)

// login offers the Set's keys to a real server.
func login(t testing.TB, server *sshdtest.Server, s *auth.Set) error {
	t.Helper()
	list := signers(t, s)
	client, err := ssh.Dial("tcp", fleet.Target{Host: server.Host}.Address(), &ssh.ClientConfig{
		User: server.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(list...)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), // the server belongs to this test
	})
	if err != nil {
		return err
	}
	return client.Close()
}

// OpenSSH accepts our certificates, from files and from the agent, although it knows only the
// authority and allows only two keys.
func TestOpenSSHTakesCertificates(t *testing.T) {
	t.Parallel()
	authority, err := ssh.NewSignerFromKey(edKey(t))
	if err != nil {
		t.Fatal(err)
	}
	trusted := filepath.Join(t.TempDir(), "ca.pub")
	if err := os.WriteFile(trusted, ssh.MarshalAuthorizedKey(authority.PublicKey()), 0o644); err != nil {
		t.Fatal(err)
	}
	server := sshdtest.OpenSSH(t, sshdtest.WithConfig(
		"TrustedUserCAKeys "+trusted, "AuthorizedKeysFile none", "MaxAuthTries 2",
	))
	for name, key := range map[string]crypto.PrivateKey{"Ed25519": edKey(t), "ECDSA": ecdsaKey(t), "RSA": rsaKey()} {
		cert := certificate(t, key, func(c *ssh.Certificate) { c.ValidPrincipals = []string{server.User} })
		if err := cert.SignCert(rand.Reader, authority); err != nil {
			t.Fatal(err)
		}
		path := keyFile(t, key, "")
		if err := login(t, server, load(t, auth.Options{Files: []string{path}})); err == nil {
			t.Errorf("%s: let in without a certificate", name)
		}
		elsewhere := filepath.Join(t.TempDir(), "cert")
		certFile(t, elsewhere, cert)
		plain, _ := sshAgent(t, key)
		withCert, keyring := goAgent(t, key)
		if err := keyring.Add(agent.AddedKey{PrivateKey: key, Certificate: cert}); err != nil {
			t.Fatal(err)
		}
		for how, o := range map[string]auth.Options{
			"file":               {Files: []string{path}, Certificates: []string{elsewhere}},
			"file, key in agent": {AgentSocket: plain, Certificates: []string{elsewhere}, Only: true},
			"agent":              {AgentSocket: withCert},
		} {
			if err := login(t, server, load(t, o)); err != nil {
				t.Errorf("%s, %s: %v", name, how, err)
			}
		}
	}
}
