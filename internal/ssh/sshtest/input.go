package sshtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/sshdtest"
	"shoal/simfleet"
)

// window is the initial window of a channel of golang.org/x/crypto/ssh, in bytes.
const window = 2 << 20

// bytesOf returns n reproducible random bytes.
func bytesOf(n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(p)
	return p
}

func digest(p []byte) string { return fmt.Sprintf("%d %x\n", len(p), sha256.Sum256(p)) }

// An input records how it was read.
type input struct {
	*bytes.Reader
	read   atomic.Int64 // the end of what was read, in bytes
	broken int64        // reading fails beyond this offset; 0: never
}

func inputOf(p []byte) *input { return &input{Reader: bytes.NewReader(p)} }

var errBroken = errors.New("broken input")

func (i *input) ReadAt(p []byte, at int64) (int, error) {
	i.read.Store(max(i.read.Load(), at+int64(len(p))))
	if i.broken > 0 && at+int64(len(p)) > i.broken {
		return 0, errBroken
	}
	return i.Reader.ReadAt(p, at)
}

// own starts a server with serve for its commands, and returns an attempt there and a
// Dialer.
func own(t testing.TB, newDialer Factory, c xssh.Config, serve func(xssh.Channel)) (ssh.Dialer, func(in ssh.Input) *ssh.Attempt) {
	t.Helper()
	key := newKey(t)
	config := &xssh.ServerConfig{Config: c}
	config.AddHostKey(key)
	target := ownServer(t, config, serve)
	d := newDialer(t, Config{
		HostKeys: &exact{trusted: []xssh.PublicKey{key.PublicKey()}}, Identities: keys{newKey(t)}, Timeouts: patient(),
	})
	return d, func(in ssh.Input) *ssh.Attempt {
		return &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: target}, Input: in}
	}
}

// sum answers with size and digest of the input.
func sum(ch xssh.Channel) {
	p, err := io.ReadAll(ch)
	if err != nil {
		p = nil
	}
	_, _ = io.WriteString(ch, digest(p))
}

// testInput sends standard input to commands that read it, or do not.
func testInput(t *testing.T, newDialer Factory) {
	t.Run("sizes", func(t *testing.T) {
		d, attempt := own(t, newDialer, xssh.Config{}, sum)
		for _, size := range []int{0, 1, 32 << 10, 32<<10 + 1, window, window + 1, 10 << 20} {
			text := bytesOf(size)
			r := runAttempt(t.Context(), t, d, attempt(bytes.NewReader(text)))
			r.ok(t)
			if string(r.stdout) != digest(text) {
				t.Errorf("of %d bytes came %q, want %q", size, r.stdout, digest(text))
			}
		}
	})
	t.Run("rekeying", func(t *testing.T) {
		d, attempt := own(t, newDialer, xssh.Config{RekeyThreshold: 64 << 10}, sum)
		text := bytesOf(4 << 20)
		for _, ours := range []uint64{0, 256 << 10} {
			a := attempt(bytes.NewReader(text))
			a.Target.Endpoint = &ssh.Endpoint{Settings: &ssh.Settings{RekeyBytes: ours}}
			r := runAttempt(t.Context(), t, d, a)
			r.ok(t)
			if string(r.stdout) != digest(text) {
				t.Errorf("came %q, want %q", r.stdout, digest(text))
			}
		}
	})
	t.Run("echo", func(t *testing.T) { testEcho(t, newDialer) })
	t.Run("does not read", func(t *testing.T) { testDoesNotRead(t, newDialer) })
	t.Run("ends early", func(t *testing.T) {
		d, attempt := own(t, newDialer, xssh.Config{}, func(ch xssh.Channel) { _, _ = ch.Write([]byte("early")) })
		in := inputOf(bytesOf(10 << 20))
		r := runAttempt(t.Context(), t, d, attempt(in))
		r.ok(t)
		if string(r.stdout) != "early" || in.read.Load() >= in.Size() {
			t.Errorf("output %q, %d bytes of input read", r.stdout, in.read.Load())
		}
	})
	t.Run("ends its output", func(t *testing.T) {
		var got atomic.Value
		d, attempt := own(t, newDialer, xssh.Config{}, func(ch xssh.Channel) {
			_ = ch.CloseWrite()
			p, _ := io.ReadAll(ch)
			got.Store(digest(p))
		})
		text := bytesOf(window + 1)
		runAttempt(t.Context(), t, d, attempt(bytes.NewReader(text))).ok(t)
		if got.Load() != digest(text) {
			t.Errorf("came %q, want %q", got.Load(), digest(text))
		}
	})
	t.Run("closes the channel", func(t *testing.T) {
		d, attempt := own(t, newDialer, xssh.Config{}, func(ch xssh.Channel) {
			_, _ = io.CopyN(io.Discard, ch, 1000)
			_ = ch.Close()
		})
		runAttempt(t.Context(), t, d, attempt(bytes.NewReader(bytesOf(10<<20)))).
			want(t, fleet.OutcomeUnknown, fleet.ReasonExitMissing, fleet.PhaseRun, 0)
	})
	t.Run("cannot be read", func(t *testing.T) {
		d, attempt := own(t, newDialer, xssh.Config{}, sum)
		in := inputOf(bytesOf(1 << 20))
		in.broken = 100 << 10
		r := runAttempt(t.Context(), t, d, attempt(in))
		r.want(t, fleet.OutcomeUnknown, fleet.ReasonInternal, fleet.PhaseRun, 0)
		if !errors.Is(r.Err, errBroken) || len(r.stdout) != 0 {
			t.Errorf("cause %v, output %q", r.Err, r.stdout)
		}
	})
	t.Run("it panics", func(t *testing.T) {
		d, attempt := own(t, newDialer, xssh.Config{}, sum)
		runAttempt(t.Context(), t, d, attempt(panickingInput{})).
			want(t, fleet.OutcomeUnknown, fleet.ReasonInternal, fleet.PhaseRun, 0)
	})
	t.Run("a writer panics", func(t *testing.T) {
		d, attemptWith := own(t, newDialer, xssh.Config{}, func(ch xssh.Channel) {
			_, _ = ch.Write([]byte("x"))
			_, _ = io.Copy(io.Discard, ch.Stderr()) // until the channel ends; the input is not read
		})
		a := attemptWith(bytes.NewReader(bytesOf(10 << 20)))
		a.Stdout = panicking{}
		report{End: attempt(t.Context(), d, a)}.want(t, fleet.OutcomeUnknown, fleet.ReasonInternal, fleet.PhaseRun, 0)
	})
	t.Run("stopped", func(t *testing.T) { testStopInput(t, newDialer) })
	t.Run("refused", func(t *testing.T) {
		f := startFleet(t, simfleet.Options{Hosts: 1, Fault: func(int) simfleet.Fault { return simfleet.FaultExecRefused }})
		a := &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: simulated(f, 0).target("cat")}}
		in := inputOf(bytesOf(100))
		a.Input = in
		r := runAttempt(t.Context(), t, simulated(f, 0).dialer(t, newDialer, patient()), a)
		r.want(t, fleet.OutcomeRefused, fleet.ReasonExecRefused, fleet.PhaseExec, 0)
		if in.read.Load() != 0 {
			t.Errorf("%d bytes of input were read", in.read.Load())
		}
	})
	testRealInput(t, newDialer)
}

type panickingInput struct{}

func (panickingInput) Size() int64                       { return 100 }
func (panickingInput) ReadAt([]byte, int64) (int, error) { panic("oops") }

type panicking struct{}

func (panicking) Write([]byte) (int, error) { panic("oops") }

// testEcho has input and output at the same time, each larger than all buffers together.
func testEcho(t *testing.T, newDialer Factory) {
	d, attempt := own(t, newDialer, xssh.Config{RekeyThreshold: 1 << 20}, func(ch xssh.Channel) { _, _ = io.Copy(ch, ch) })
	text := bytesOf(16 << 20)
	r := runAttempt(t.Context(), t, d, attempt(bytes.NewReader(text)))
	r.ok(t)
	if !bytes.Equal(r.stdout, text) {
		t.Errorf("%d bytes came back, and not the %d that were sent", len(r.stdout), len(text))
	}
}

// testDoesNotRead: a command that reads nothing makes the client hold back what its window
// does not take, delays no other attempt, and gets the rest when it reads again.
// faults.md: S07
func testDoesNotRead(t *testing.T, newDialer Factory) {
	release, stuck := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	d, attempt := own(t, newDialer, xssh.Config{}, func(ch xssh.Channel) {
		if first.CompareAndSwap(false, true) {
			close(stuck)
			<-release
		}
		sum(ch)
	})
	text := bytesOf(10 << 20)
	in := inputOf(text)
	ended := make(chan report, 1)
	go func() { ended <- runAttempt(t.Context(), t, d, attempt(in)) }()
	<-stuck
	for in.read.Load() < window {
		pause()
	}
	for range 3 {
		r := runAttempt(t.Context(), t, d, attempt(bytes.NewReader(text)))
		r.ok(t)
		if string(r.stdout) != digest(text) {
			t.Errorf("came %q, want %q", r.stdout, digest(text))
		}
	}
	if read := in.read.Load(); read > window+64<<10 {
		t.Errorf("%d bytes were read for a window of %d", read, window)
	}
	close(release)
	r := <-ended
	r.ok(t)
	if string(r.stdout) != digest(text) {
		t.Errorf("came %q, want %q", r.stdout, digest(text))
	}
}

// testStopInput ends the context, or the connection from either side, while input is being sent.
func testStopInput(t *testing.T, newDialer Factory) {
	for _, how := range []string{"context", "close", "lost"} {
		t.Run(how, func(t *testing.T) {
			d, attempt := own(t, newDialer, xssh.Config{}, func(ch xssh.Channel) {
				_, _ = io.CopyN(io.Discard, ch, 1000)
				_, _ = io.Copy(io.Discard, ch.Stderr()) // until the channel ends
			})
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			in := inputOf(bytesOf(10 << 20))
			a := attempt(in)
			middle := newRelay(t, a.Target.Address())
			a.Target.Port = middle.listener.Addr().(*net.TCPAddr).AddrPort().Port()
			conn, err := d.Dial(ctx, a)
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan fleet.End, 1)
			conn.Start(ctx, func(end fleet.End) { done <- end })
			for in.read.Load() < 1000 {
				pause()
			}
			switch how {
			case "context":
				cancel(errStop)
			case "close":
				_ = conn.Close()
			default:
				middle.cut()
			}
			if end := <-done; end.Outcome != fleet.OutcomeUnknown || end.Phase != fleet.PhaseRun || in.read.Load() == in.Size() {
				t.Errorf("ended %v in %v after %d bytes: %v", end.Outcome, end.Phase, in.read.Load(), end.Err)
			}
			_ = conn.Close()
		})
	}
}

// testRealInput sends input to real servers.
func testRealInput(t *testing.T, newDialer Factory) {
	for name, start := range map[string]func(testing.TB) *sshdtest.Server{
		"openssh":            func(t testing.TB) *sshdtest.Server { return sshdtest.OpenSSH(t) },
		"openssh, rekeying":  func(t testing.TB) *sshdtest.Server { return sshdtest.OpenSSH(t, sshdtest.WithRekeyLimit(1<<20)) },
		"dropbear":           func(t testing.TB) *sshdtest.Server { return sshdtest.Dropbear(t) },
		"dropbear, window 1": func(t testing.TB) *sshdtest.Server { return sshdtest.Dropbear(t, sshdtest.WithArgs("-W", "1")) },
		"asyncssh":           func(t testing.TB) *sshdtest.Server { return sshdtest.AsyncSSH(t) },
	} {
		t.Run(name, func(t *testing.T) {
			s := realOne(name, start(t))
			d := s.dialer(t, newDialer, patient())
			size := window + 1<<20
			switch name {
			case "openssh":
				size = 10 << 20
			case "dropbear, window 1": // a packet for each byte
				size = 1000
			}
			text := bytesOf(size)
			for command, want := range map[string]string{
				"sha256sum":                   fmt.Sprintf("%x  -\n", sha256.Sum256(text)),
				"wc -c":                       fmt.Sprintf("%d\n", size),
				"head -c 5 | wc -c; echo end": "5\nend\n",
				"exec <&-; echo closed":       "closed\n",
				"true":                        "",
			} {
				r := runAttempt(t.Context(), t, d, &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: s.target(command)}, Input: bytes.NewReader(text)})
				r.ok(t)
				if string(r.stdout) != want {
					t.Errorf("%s: %q, want %q", command, r.stdout, want)
				}
			}
			for _, small := range []int{0, 1} {
				r := runAttempt(t.Context(), t, d, &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: s.target("wc -c")}, Input: bytes.NewReader(text[:small])})
				if r.ok(t); string(r.stdout) != fmt.Sprintln(small) {
					t.Errorf("of %d bytes came %q", small, r.stdout)
				}
			}
		})
	}
}
