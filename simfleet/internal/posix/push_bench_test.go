package posix

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shoal/internal/ssh"
	"shoal/internal/transfer"
)

// captured is a Dialer that keeps the last attempt.
type captured struct{ attempt *ssh.Attempt }

var errCaptured = errors.New("captured")

func (c *captured) Dial(_ context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	c.attempt = a
	return nil, errCaptured
}

// BenchmarkPush is a push of 100 bytes by sh to a new host each time.
func BenchmarkPush(b *testing.B) {
	src, text := filepath.Join(b.TempDir(), "f"), strings.Repeat("x", 100)
	if err := os.WriteFile(src, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	m, err := transfer.Read(b.Context(), []string{src}, false)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = m.Close() })
	inner := new(captured)
	d := transfer.NewDialer(inner, &transfer.Push{Manifest: m, Options: transfer.PushOptions{Via: transfer.ViaSh}})
	a := new(ssh.Attempt)
	a.Target.Command = "/tmp/pushed"
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Dial(b.Context(), a); !errors.Is(err, errCaptured) {
			b.Fatal(err)
		}
		h := New(Config{Name: "h", BootID: "id", Boot: time.Now(), Size: 1 << 20, Random: func() io.Reader { return strings.NewReader("") }})
		var stdout bytes.Buffer
		s := h.Start(h.Login("ada"), inner.attempt.Line, 0, Streams{Stdin: strings.NewReader(text), Stdout: &stdout, Stderr: io.Discard})
		<-s.Done()
		if !strings.Contains(stdout.String(), " done 1 0 1") {
			b.Fatalf("got %q", stdout.String())
		}
	}
}
