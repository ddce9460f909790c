package cli

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"shoal/internal/cli/console"
)

// passwordServer accepts a single password, and runs nothing: every exec ends
// with status 0. It returns its port, its known_hosts line and a function with
// the passwords that it received.
func passwordServer(t *testing.T, password string) (port int, known string, seen func() []string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var (
		mu   sync.Mutex
		sent []string
		all  sync.WaitGroup
	)
	config := &ssh.ServerConfig{PasswordCallback: func(_ ssh.ConnMetadata, p []byte) (*ssh.Permissions, error) {
		mu.Lock()
		defer mu.Unlock()
		sent = append(sent, string(p))
		if string(p) != password {
			return nil, fmt.Errorf("wrong password %s", p)
		}
		return nil, nil
	}}
	config.AddHostKey(signer)
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { serveExec(c, config) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	port = l.Addr().(*net.TCPAddr).Port
	key := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	return port, fmt.Sprintf("[127.0.0.1]:%d %s\n", port, key), func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), sent...)
	}
}

func serveExec(c net.Conn, config *ssh.ServerConfig) {
	defer func() { _ = c.Close() }()
	sc, channels, requests, err := ssh.NewServerConn(c, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for opened := range channels {
		ch, requests, err := opened.Accept()
		if err != nil {
			return
		}
		for r := range requests {
			_ = r.Reply(r.Type == "exec", nil)
			if r.Type == "exec" {
				_, _ = ch.SendRequest("exit-status", false, make([]byte, 4))
				_ = ch.Close()
			}
		}
	}
	_ = sc.Wait()
}

// No byte that a run writes contains the password, correct or wrong: not the
// results, messages or state files (faults.md I06).
// faults.md: I06
func TestPasswordIsNowhere(t *testing.T) {
	for name, right := range map[string]bool{"accepted": true, "rejected": false} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv("HOME", dir)
			t.Setenv("XDG_STATE_HOME", "")
			t.Setenv("SSH_AUTH_SOCK", "")
			canary := rand.Text()
			password := canary
			if !right {
				password = "another"
			}
			port, known, seen := passwordServer(t, password)
			secret := filepath.Join(dir, "secret")
			for path, text := range map[string]string{secret: canary + "\n", filepath.Join(dir, "kh"): known} {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var out, errs bytes.Buffer
			code := Main(context.Background(), []string{
				"run", "-F", "none", "--known-hosts", filepath.Join(dir, "kh"), "--password-file", secret,
				"--outdir", filepath.Join(dir, "out"), "--json", "-l", "u", "-w", fmt.Sprintf("127.0.0.1:%d", port), "echo hello",
			}, console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
			if want := map[bool]int{true: console.ExitOK, false: console.ExitNotStarted}[right]; code != want {
				t.Errorf("exit code %d, want %d\n%s%s", code, want, out.String(), errs.String())
			}
			if got := seen(); len(got) != 1 || got[0] != canary {
				t.Errorf("the server was sent %d passwords, want this one once", len(got))
			}
			written := map[string][]byte{"standard output": out.Bytes(), "standard error": errs.Bytes()}
			err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				if err != nil || !d.Type().IsRegular() || path == secret {
					return err
				}
				written[path], err = os.ReadFile(path)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(written) < 4 {
				t.Errorf("only %d places were looked at", len(written))
			}
			for place, text := range written {
				for _, form := range []string{canary, base64.StdEncoding.EncodeToString([]byte(canary))[:12]} {
					if bytes.Contains(text, []byte(form)) {
						t.Errorf("%s holds the password", place)
					}
				}
			}
		})
	}
}
