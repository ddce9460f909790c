package sshdtest_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/sshdtest"
)

// One server of each kind, with everything that it supports, accepts the ssh
// client and our library, and supports the algorithms listed for its kind.
func TestKinds(t *testing.T) {
	t.Parallel()
	for _, kind := range sshdtest.Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			var public []ssh.PublicKey
			var signers []ssh.Signer
			for _, keyType := range kind.UserKeys {
				signer := newSigner(t, keyType)
				public, signers = append(public, signer.PublicKey()), append(signers, signer)
			}
			s := kind.Start(t, sshdtest.WithHostKeys(kind.HostKeys...), sshdtest.WithAuthorized(public...))
			if len(s.HostKeys) != len(kind.HostKeys) {
				t.Fatalf("%d host keys, want %d", len(s.HostKeys), len(kind.HostKeys))
			}
			t.Run("ssh client", func(t *testing.T) { testSSHClient(t, s) })
			t.Run("host keys", func(t *testing.T) { testHostKeys(t, kind, s) })
			t.Run("user keys", func(t *testing.T) {
				for _, signer := range append(signers, s.Signer) {
					client := dial(t, s, s.HostKey, func(c *ssh.ClientConfig) { c.Auth = []ssh.AuthMethod{ssh.PublicKeys(signer)} })
					wantRun(t, s, client, "echo ok", "ok\n", "", 0)
				}
			})
			t.Run("algorithms", func(t *testing.T) { testAlgorithms(t, kind, s) })
			if !kind.NoStdin {
				t.Run("input", func(t *testing.T) { testInput(t, s) })
			}
		})
	}
}

func testSSHClient(t *testing.T, s *sshdtest.Server) {
	out, err := overSSH(t, s, "echo $((6*7)); exit 5")
	if out != "42\n" {
		t.Errorf("output %q, want %q", out, "42\n")
	}
	if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 5 {
		t.Errorf("ssh ended with %v, want exit status 5", err)
	}
}

func testHostKeys(t *testing.T, kind sshdtest.Kind, s *sshdtest.Server) {
	types := map[sshdtest.KeyType]string{
		sshdtest.Ed25519: ssh.KeyAlgoED25519, sshdtest.ECDSA: ssh.KeyAlgoECDSA256, sshdtest.RSA: ssh.KeyAlgoRSA,
	}
	for i, key := range s.HostKeys {
		if want := types[kind.HostKeys[i]]; key.Type() != want {
			t.Fatalf("host key %d is %s, want %s", i, key.Type(), want)
		}
		wantRun(t, s, dial(t, s, key), "echo ok; echo no >&2; exit 3", "ok\n", "no\n", 3)
	}
}

func testAlgorithms(t *testing.T, kind sshdtest.Kind, s *sshdtest.Server) {
	for _, kex := range kind.Kex {
		client := dial(t, s, s.HostKey, func(c *ssh.ClientConfig) { c.KeyExchanges = []string{kex} })
		if got := negotiated(t, client).KeyExchange; got != kex {
			t.Errorf("the key exchange is %s, want %s", got, kex)
		}
	}
	for _, cipher := range kind.Ciphers {
		client := dial(t, s, s.HostKey, func(c *ssh.ClientConfig) { c.Ciphers = []string{cipher} })
		if got := negotiated(t, client).Read.Cipher; got != cipher {
			t.Errorf("the cipher is %s, want %s", got, cipher)
		}
	}
	for _, mac := range kind.MACs {
		client := dial(t, s, s.HostKey, func(c *ssh.ClientConfig) {
			c.Ciphers, c.MACs = []string{ssh.CipherAES128CTR}, []string{mac}
		})
		if got := negotiated(t, client).Read.MAC; got != mac {
			t.Errorf("the MAC is %s, want %s", got, mac)
		}
	}
}

// testInput sends input and asserts that the command receives all of it.
func testInput(t *testing.T, s *sshdtest.Server) {
	session, err := dial(t, s, s.HostKey).NewSession()
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
	session.Stdin = bytes.NewReader(want)
	got, err := session.Output("cat; echo .")
	if err != nil || !bytes.Equal(got, append(want, ".\n"...)) {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}
}

// All settings that a kind supports, on one server. It uses only the configured
// algorithms even if the client prefers others.
func TestSettingsAreInForce(t *testing.T) {
	t.Parallel()
	const banner = "authorised use only\n"
	for _, kind := range sshdtest.Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			var opts []sshdtest.Option
			for setting, opt := range map[sshdtest.Setting]sshdtest.Option{
				sshdtest.Kex:          sshdtest.WithKex(last(kind.Kex)),
				sshdtest.Ciphers:      sshdtest.WithCiphers(last(kind.Ciphers)),
				sshdtest.MACs:         sshdtest.WithMACs(last(kind.MACs)),
				sshdtest.Banner:       sshdtest.WithBanner(banner),
				sshdtest.ForceCommand: sshdtest.WithForceCommand("echo forced; exit 4"),
			} {
				if kind.Has(setting) {
					opts = append(opts, opt)
				}
			}
			if len(opts) == 0 {
				return // TinySSH supports none of them
			}
			s := kind.Start(t, opts...)
			var greeted string
			client := dial(t, s, s.HostKey, func(c *ssh.ClientConfig) {
				c.KeyExchanges, c.Ciphers, c.MACs = kind.Kex, kind.Ciphers, kind.MACs
				c.BannerCallback = func(text string) error {
					greeted += text
					return nil
				}
			})
			got := negotiated(t, client)
			if kind.Has(sshdtest.Kex) && got.KeyExchange != last(kind.Kex) ||
				kind.Has(sshdtest.Ciphers) && got.Read.Cipher != last(kind.Ciphers) ||
				kind.Has(sshdtest.MACs) && got.Write.MAC != last(kind.MACs) {
				t.Errorf("%+v was agreed on, want the last of %v, %v and %v", got, kind.Kex, kind.Ciphers, kind.MACs)
			}
			if kind.Has(sshdtest.Banner) && strings.ReplaceAll(greeted, "\r", "") != banner {
				t.Errorf("the banner is %q, want %q", greeted, banner)
			}
			wantRun(t, s, client, "echo hello", "forced\n", "", 4)
		})
	}
}

func last(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[len(names)-1]
}

func TestMaxAuthTriesIsInForce(t *testing.T) {
	t.Parallel()
	forEach(t, sshdtest.MaxAuthTries, func(t *testing.T, kind sshdtest.Kind) {
		s := kind.Start(t, sshdtest.WithMaxAuthTries(2))
		signed := 0
		forged := forger{s.Signer, &signed}
		client, err := ssh.Dial("tcp", fleet.Target{Host: s.Host}.Address(), &ssh.ClientConfig{
			User:              s.User,
			Auth:              []ssh.AuthMethod{ssh.PublicKeys(forged, forged, forged, s.Signer)},
			HostKeyCallback:   ssh.FixedHostKey(s.HostKey),
			HostKeyAlgorithms: algorithms(s.HostKey),
		})
		if err == nil {
			_ = client.Close()
			t.Fatal("what came after three failures was let in")
		}
		if signed == 0 || signed > 2 {
			t.Errorf("the client signed %d times, want 1 or 2; it ended with %v\nserver: %s", signed, err, s.Log())
		}
	})
}

// A forger has a key that the server accepts, and signs with another one.
type forger struct {
	known  ssh.Signer
	signed *int
}

func (f forger) PublicKey() ssh.PublicKey { return f.known.PublicKey() }

func (f forger) Sign(r io.Reader, data []byte) (*ssh.Signature, error) {
	*f.signed++
	return f.known.Sign(r, append([]byte("forged"), data...))
}

// The server starts key re-exchanges, and its output is complete nevertheless.
// The test uses the ssh client: AsyncSSH 2.10 continues to send output between
// its KEXINIT and its NEWKEYS, which RFC 4253 section 7.1 forbids; OpenSSH
// tolerates it, golang.org/x/crypto/ssh does not.
func TestRekeyLimitIsInForce(t *testing.T) {
	t.Parallel()
	forEach(t, sshdtest.RekeyLimit, func(t *testing.T, kind sshdtest.Kind) {
		const mebibytes = 8
		s := kind.Start(t, sshdtest.WithRekeyLimit(1<<20))
		out, messages, err := overSSHVerbosely(t, s, "-v", fmt.Sprintf("head -c %d /dev/zero", mebibytes<<20))
		if err != nil {
			t.Fatalf("%v\n%s\nserver: %s", err, messages, s.Log())
		}
		if out != string(make([]byte, mebibytes<<20)) {
			t.Errorf("%d bytes came, and not those that were sent", len(out))
		}
		if n := strings.Count(messages, "SSH2_MSG_KEXINIT received"); n < mebibytes/2 {
			t.Errorf("keys were exchanged %d times", n)
		}
	})
}

func TestKindsAreDistinct(t *testing.T) {
	t.Parallel()
	names := make(map[string]bool)
	for _, kind := range sshdtest.Kinds() {
		if names[kind.Name] || kind.Start == nil ||
			!slices.Contains(kind.HostKeys, sshdtest.Ed25519) || !slices.Contains(kind.UserKeys, sshdtest.Ed25519) {
			t.Errorf("%+v is not a kind of its own", kind)
		}
		names[kind.Name] = true
	}
}

// forEach runs a test for each kind that supports the setting.
func forEach(t *testing.T, setting sshdtest.Setting, test func(*testing.T, sshdtest.Kind)) {
	t.Helper()
	for _, kind := range sshdtest.Kinds() {
		if kind.Has(setting) {
			t.Run(kind.Name, func(t *testing.T) {
				t.Parallel()
				test(t, kind)
			})
		}
	}
}
