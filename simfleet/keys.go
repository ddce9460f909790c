package simfleet

import (
	"bufio"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// keyring derives every secret of the fleet from its seed with HKDF-SHA256
// (RFC 5869). Deriving a key costs about as much as one signature, so those of
// the first hosts are kept once they have been asked for.
type keyring struct {
	secret []byte
	client ed25519.PrivateKey
	hosts  []atomic.Pointer[ssh.Signer]
}

// maxKeptKeys bounds the memory for kept host keys to some 30 MB.
const maxKeptKeys = 1 << 16

func newKeyring(seed string, hosts int) (*keyring, error) {
	if seed == "" {
		seed = rand.Text()
	}
	secret, err := hkdf.Extract(sha256.New, []byte(seed), []byte("simfleet"))
	if err != nil {
		return nil, fmt.Errorf("deriving keys: %w", err)
	}
	k := &keyring{secret: secret, hosts: make([]atomic.Pointer[ssh.Signer], min(hosts, maxKeptKeys))}
	k.client = k.key("client key")
	return k, nil
}

// derive returns 32 bytes for one purpose.
func (k *keyring) derive(purpose string) [32]byte {
	b, err := hkdf.Expand(sha256.New, k.secret, purpose, 32)
	if err != nil {
		panic(err) // 32 bytes is far below HKDF's limit; nothing else can fail
	}
	return [32]byte(b)
}

func (k *keyring) key(purpose string) ed25519.PrivateKey {
	seed := k.derive(purpose)
	return ed25519.NewKeyFromSeed(seed[:])
}

func (k *keyring) signer(purpose string) ssh.Signer {
	s, err := ssh.NewSignerFromKey(k.key(purpose))
	if err != nil {
		panic(err) // it knows Ed25519 keys
	}
	return s
}

// host returns the key of host i.
func (k *keyring) host(i int) ssh.Signer {
	if i < len(k.hosts) {
		if kept := k.hosts[i].Load(); kept != nil {
			return *kept
		}
	}
	s := k.signer(fmt.Sprintf("host key %d", i))
	if i < len(k.hosts) {
		k.hosts[i].Store(&s)
	}
	return s
}

// changed returns the key that host i has under FaultWrongHostkey.
func (k *keyring) changed(i int) ssh.Signer { return k.signer(fmt.Sprintf("changed host key %d", i)) }

// random returns a stream of bytes for one purpose, the same each time.
func (k *keyring) random(purpose string) io.Reader {
	return mathrand.NewChaCha8(k.derive(purpose))
}

func (k *keyring) dice(purpose string) *mathrand.Rand {
	return mathrand.New(mathrand.NewChaCha8(k.derive(purpose))) // chance, not secrecy
}

// WriteKnownHosts writes every host's key as known_hosts of OpenSSH has it
// (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT), in the order of the hosts.
func (f *Fleet) WriteKnownHosts(w io.Writer) error {
	return f.writeLines(w, "known_hosts", func(line []byte, i int) []byte {
		key := f.HostKey(i)
		line = append(line, knownName(f.Host(i))...)
		if f.options.Names != nil { // the name is looked up where something else leads to the address
			line = append(append(line, ','), knownName(fleet.Host{Name: f.name(i), Port: f.Port()})...)
		}
		line = append(line, ' ')
		line = append(line, key.Type()...)
		line = append(line, ' ')
		return base64.StdEncoding.AppendEncode(line, key.Marshal())
	})
}

// knownName is the host in known_hosts: brackets only around a port of its own.
func knownName(h fleet.Host) string {
	if h.Port == fleet.DefaultPort {
		return h.Name
	}
	return fmt.Sprintf("[%s]:%d", h.Name, h.Port)
}

// WriteHosts writes one address:port per line, in the order of the hosts. With Options.Names it
// writes lines of JSON, as shoal's host files have them, with name, address and port; the group of a
// host is its name without the number at the end.
func (f *Fleet) WriteHosts(w io.Writer) error {
	return f.writeLines(w, "hosts", func(line []byte, i int) []byte {
		if f.options.Names == nil {
			return append(line, f.Host(i).String()...)
		}
		name := f.name(i)
		group := strings.TrimRight(name, "0123456789")
		return fmt.Appendf(line, `{"host":%q,"address":%q,"port":%d,"groups":[%q]}`, name, address(i), f.Port(), group)
	})
}

func (f *Fleet) writeLines(w io.Writer, what string, text func(line []byte, i int) []byte) error {
	out := bufio.NewWriterSize(w, 64<<10)
	var line []byte
	for i := range f.options.Hosts {
		line = append(text(line[:0], i), '\n')
		if _, err := out.Write(line); err != nil {
			return fmt.Errorf("writing %s: %w", what, err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing %s: %w", what, err)
	}
	return nil
}

// WriteKey writes the client's private key in OpenSSH's format, without a
// passphrase (OpenSSH PROTOCOL.key).
func (f *Fleet) WriteKey(w io.Writer) error {
	block, err := ssh.MarshalPrivateKey(f.keys.client, "simfleet")
	if err != nil {
		return fmt.Errorf("encoding the client key: %w", err)
	}
	if err := pem.Encode(w, block); err != nil {
		return fmt.Errorf("writing the client key: %w", err)
	}
	return nil
}
