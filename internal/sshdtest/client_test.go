package sshdtest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"os/exec"
	"strconv"
	"testing"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/needs"
	"shoal/internal/sshdtest"
)

// overSSH runs a command with the ssh client, which checks host key and login
// independently of our own code.
func overSSH(t *testing.T, s *sshdtest.Server, command string) (string, error) {
	t.Helper()
	out, messages, err := overSSHVerbosely(t, s, "-oLogLevel=INFO", command)
	if err != nil {
		t.Logf("ssh: %v\n%s\nserver: %s", err, messages, s.Log())
	}
	return out, err
}

func overSSHVerbosely(t *testing.T, s *sshdtest.Server, verbosity, command string) (out, messages string, err error) {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), needs.Program(t, "ssh"), verbosity, "-F", "none",
		"-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "GlobalKnownHostsFile=none",
		"-o", "UserKnownHostsFile="+s.KnownHosts, "-o", "IdentitiesOnly=yes", "-i", s.KeyFile,
		"-p", strconv.Itoa(int(s.Host.Port)), s.User+"@"+s.Host.Name, command)
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	return string(stdout), stderr.String(), err
}

func dial(t *testing.T, s *sshdtest.Server, hostKey ssh.PublicKey, changes ...func(*ssh.ClientConfig)) *ssh.Client {
	t.Helper()
	config := &ssh.ClientConfig{
		User:              s.User,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(s.Signer)},
		HostKeyCallback:   ssh.FixedHostKey(hostKey),
		HostKeyAlgorithms: algorithms(hostKey),
	}
	for _, change := range changes {
		change(config)
	}
	client, err := ssh.Dial("tcp", fleet.Target{Host: s.Host}.Address(), config)
	if err != nil {
		t.Fatalf("dialling: %v\nserver: %s", err, s.Log())
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func algorithms(key ssh.PublicKey) []string {
	if key.Type() == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA256}
	}
	return []string{key.Type()}
}

// wantRun runs a command and asserts its output and exit status.
func wantRun(t *testing.T, s *sshdtest.Server, client *ssh.Client, command, stdout, stderr string, status int) {
	t.Helper()
	session, err := client.NewSession()
	if err != nil {
		t.Fatalf("opening a session: %v\nserver: %s", err, s.Log())
	}
	var out, errs bytes.Buffer
	session.Stdout, session.Stderr = &out, &errs
	got := 0
	if err = session.Run(command); err != nil {
		exit := new(ssh.ExitError)
		if !errors.As(err, &exit) {
			t.Fatalf("running %q: %v\nserver: %s", command, err, s.Log())
		}
		got = exit.ExitStatus()
	}
	if out.String() != stdout || errs.String() != stderr || got != status {
		t.Errorf("%q gave %q, %q and %d, want %q, %q and %d", command, &out, &errs, got, stdout, stderr, status)
	}
}

// negotiated returns the negotiated algorithms.
func negotiated(t *testing.T, client *ssh.Client) ssh.NegotiatedAlgorithms {
	t.Helper()
	conn, ok := client.Conn.(ssh.AlgorithmsConnMetadata)
	if !ok {
		t.Fatalf("%T does not tell the algorithms", client.Conn)
	}
	return conn.Algorithms()
}

func newSigner(t *testing.T, keyType sshdtest.KeyType) ssh.Signer {
	t.Helper()
	var key any
	var err error
	switch keyType {
	case sshdtest.RSA:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case sshdtest.ECDSA:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}
