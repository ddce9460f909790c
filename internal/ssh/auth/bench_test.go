package auth

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"
	sshagent "golang.org/x/crypto/ssh/agent"

	"shoal/internal/needs"
	"shoal/internal/ssh"
)

// realAgent starts ssh-agent with one key.
func realAgent(b *testing.B, key any) (socket string) {
	b.Helper()
	socket = filepath.Join(b.TempDir(), "agent")
	cmd := exec.Command(needs.Program(b, "ssh-agent"), "-D", "-a", socket)
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if _, err := out.Read(make([]byte, 1)); err != nil { // it prints its address once it listens
		b.Fatal(err)
	}
	l := newAgentClient(socket, time.Minute, 1)
	defer l.close()
	conn, err := l.dial(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := sshagent.NewClient(struct{ io.ReadWriter }{conn}).Add(sshagent.AddedKey{PrivateKey: key}); err != nil {
		b.Fatal(err)
	}
	return socket
}

// BenchmarkAgent10000 makes 10,000 signatures, 100 concurrently, through one connection. With a
// window of 1, each waits for the previous one.
func BenchmarkAgent10000(b *testing.B) {
	edwards := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	long, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		key       any
		algorithm string
	}{
		{"Ed25519", edwards, xssh.KeyAlgoED25519},
		{"RSA3072", long, xssh.KeyAlgoRSASHA512},
	} {
		signer, err := xssh.NewSignerFromKey(c.key)
		if err != nil {
			b.Fatal(err)
		}
		blob := signer.PublicKey().Marshal()
		for _, window := range []int{1, window} {
			b.Run(fmt.Sprintf("%s/window=%d", c.name, window), func(b *testing.B) {
				l := newAgentClient(realAgent(b, c.key), time.Minute, window)
				defer l.close()
				k := &agentKey{link: l, public: signer.PublicKey(), blob: string(blob)}
				for b.Loop() {
					signMany(b, k, c.algorithm, 10_000)
				}
			})
		}
	}
}

func signMany(b *testing.B, k *agentKey, algorithm string, n int) {
	b.Helper()
	data := bytes.Repeat([]byte("x"), 300) // about the size that a login signs
	work := make(chan struct{}, n)         // filled here, emptied by the workers
	for range n {
		work <- struct{}{}
	}
	close(work)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			for range work {
				if _, err := k.sign(b.Context(), data, algorithm); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkAgentFarAway makes 1,000 signatures with an agent that is 1 ms away in each
// direction, like a forwarded one.
func BenchmarkAgentFarAway(b *testing.B) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	signer, err := xssh.NewSignerFromKey(key)
	if err != nil {
		b.Fatal(err)
	}
	near := realAgent(b, key)
	far := filepath.Join(b.TempDir(), "far")
	var lc net.ListenConfig
	listener, err := lc.Listen(b.Context(), "unix", far)
	if err != nil {
		b.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			var d net.Dialer
			agent, err := d.DialContext(b.Context(), "unix", near)
			if err != nil {
				b.Error(err)
				return
			}
			served.Go(func() { carry(agent, c) })
			served.Go(func() { carry(c, agent) })
		}
	})
	defer served.Wait()
	defer func() { _ = listener.Close() }()
	for _, window := range []int{1, window} {
		b.Run(fmt.Sprintf("window=%d", window), func(b *testing.B) {
			l := newAgentClient(far, time.Minute, window)
			defer l.close()
			k := &agentKey{link: l, public: signer.PublicKey(), blob: string(signer.PublicKey().Marshal())}
			for b.Loop() {
				signMany(b, k, xssh.KeyAlgoED25519, 1000)
			}
		})
	}
}

// carry forwards what it reads 1 ms after it arrived.
func carry(to, from net.Conn) {
	type piece struct {
		due   time.Time
		bytes []byte
	}
	pieces := make(chan piece, 1000) // in transit; filled and closed here
	go func() {
		defer close(pieces)
		for {
			b := make([]byte, 4096)
			n, err := from.Read(b)
			if err != nil {
				return
			}
			pieces <- piece{time.Now().Add(time.Millisecond), b[:n]}
		}
	}()
	for p := range pieces {
		time.Sleep(time.Until(p.due))
		_, _ = to.Write(p.bytes)
	}
	_ = to.Close()
}

// BenchmarkSigners measures the cost per target without signatures.
func BenchmarkSigners(b *testing.B) {
	block, err := xssh.MarshalPrivateKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize)), "")
	if err != nil {
		b.Fatal(err)
	}
	path := writeKey(b, block)
	k, err := NewKeyring(KeyringOptions{})
	if err != nil {
		b.Fatal(err)
	}
	target := ssh.Target{Endpoint: &ssh.Endpoint{Settings: &ssh.Settings{Keys: KeySpec{Files: []string{path}}}}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Signers(context.Background(), target); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBcrypt measures the maximum number of rounds.
func BenchmarkBcrypt(b *testing.B) {
	block, err := xssh.MarshalPrivateKeyWithPassphrase(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize)), "", []byte("x"))
	if err != nil {
		b.Fatal(err)
	}
	setRounds(block.Bytes, maxRounds)
	path := writeKey(b, block)
	for b.Loop() {
		f, err := readKeyFile(path)
		if err != nil {
			b.Fatal(err)
		}
		// The passphrase is wrong, which is detected only after all rounds.
		if _, err := f.open(func(string) ([]byte, error) { return []byte("x"), nil }); err == nil {
			b.Fatal("opened")
		}
	}
}
