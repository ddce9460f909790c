package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	xssh "golang.org/x/crypto/ssh"

	"shoal/internal/ssh"
)

// An access has the keys that the bare clients log in with. Its checks are as
// cheap as possible, so that the measurement is about SSH; clients of a whole
// run use the real ones.
type access struct {
	signers []xssh.Signer
	keys    map[string][]byte // host keys in wire format by host:port
}

func (j job) access() (*access, error) {
	text, err := os.ReadFile(j.Key)
	if err != nil {
		return nil, fmt.Errorf("reading the key: %w", err)
	}
	signer, err := xssh.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("reading the key: %w", err)
	}
	a := &access{signers: []xssh.Signer{signer}, keys: make(map[string][]byte)}
	return a, a.readKnownHosts(j.KnownHosts)
}

// readKnownHosts reads lines with a single name each, the format that this
// program writes.
func (a *access) readKnownHosts(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading host keys: %w", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		name, rest, _ := strings.Cut(lines.Text(), " ")
		key, _, _, _, err := xssh.ParseAuthorizedKey([]byte(rest))
		if err != nil {
			return fmt.Errorf("reading host keys: %w", err)
		}
		host, port, found := strings.Cut(strings.TrimPrefix(name, "["), "]:")
		if !found {
			host, port = name, "22"
		}
		a.keys[net.JoinHostPort(host, port)] = key.Marshal()
	}
	return lines.Err()
}

// Algorithms implements xssh.HostKeys.
func (a *access) Algorithms(ssh.Target) []string { return []string{xssh.KeyAlgoED25519} }

// Check implements xssh.HostKeys.
func (a *access) Check(_ ssh.Target, remote net.Addr, key xssh.PublicKey) error {
	return a.check("", remote, key)
}

// check is an xssh.HostKeyCallback.
func (a *access) check(_ string, remote net.Addr, key xssh.PublicKey) error {
	if !bytes.Equal(a.keys[remote.String()], key.Marshal()) {
		return fmt.Errorf("%v shows another key", remote)
	}
	return nil
}

// Accepted implements xssh.HostKeys.
func (a *access) Accepted(context.Context, ssh.Target, xssh.PublicKey) error { return nil }

// AllowPassword implements ssh.PasswordGuard: the host cache learns of these keys.
func (a *access) AllowPassword(context.Context, ssh.Target, xssh.PublicKey) error { return nil }

// Signers implements ssh.Identities.
func (a *access) Signers(context.Context, ssh.Target) ([]xssh.Signer, error) { return a.signers, nil }

// A count is an io.Writer that counts bytes and drops them.
type count int64

var _ io.Writer = (*count)(nil)

// Write implements io.Writer.
func (n *count) Write(p []byte) (int, error) {
	*n += count(len(p))
	return len(p), nil
}
