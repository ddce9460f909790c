package xcrypto

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/sshreason"
)

// replay is a connection that replays a server's bytes and discards what is written.
type replay struct {
	net.Conn
	io.Reader
}

func (r replay) Read(p []byte) (int, error) { return r.Reader.Read(p) }

func wireOver(r io.Reader) (*transport, *ssh.Attempt) {
	a := &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: fleet.Target{Host: fleet.Host{Name: "h"}}}}
	a.Timeline.Enter(fleet.PhaseBanner)
	return newWire(replay{Reader: r}, a, nil), a
}

func TestVersionIsFound(t *testing.T) {
	notice := strings.Repeat("a legal notice of some length\r\n", 40)
	for name, in := range map[string]string{
		"at once":             "SSH-2.0-x\r\nbinary",
		"without CR":          "SSH-2.0-x\nbinary",
		"1.99 means 2.0":      "SSH-1.99-x\r\nbinary",
		"after a long notice": notice + "SSH-2.0-x\r\nbinary",
		"after empty lines":   "\r\n\r\n\nSSH-2.0-x\r\nbinary",
		"after 1,024 lines":   strings.Repeat("\n", 1024) + "SSH-2.0-x\r\nbinary",
		"255 bytes":           "SSH-2.0-" + strings.Repeat("v", 247) + "\nbinary",
	} {
		for how, r := range map[string]io.Reader{
			"whole":        strings.NewReader(in),
			"byte by byte": iotest.OneByteReader(strings.NewReader(in)),
		} {
			w, a := wireOver(r)
			got, err := io.ReadAll(w)
			if want := in[strings.Index(in, "SSH-"):]; string(got) != want {
				t.Errorf("%s, %s: got %q, want %q", name, how, got, want)
			}
			if !errors.Is(err, sshreason.ErrClosed) {
				t.Errorf("%s, %s: end = %v, want cause.ErrClosed", name, how, err)
			}
			if got := a.Timeline.Phase(); got != fleet.PhaseKex {
				t.Errorf("%s, %s: phase = %v, want kex", name, how, got)
			}
		}
	}
}

func TestVersionIsRefused(t *testing.T) {
	for name, in := range map[string]string{
		"protocol 1.5":     "SSH-1.5-x\r\n",
		"256 bytes":        "SSH-2.0-" + strings.Repeat("v", 248) + "\n",
		"endless version":  "SSH-2.0-" + strings.Repeat("v", 5000),
		"NUL":              "SSH-2.0-\x00\n",
		"TLS hello":        "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03",
		"too many lines":   strings.Repeat("x\n", 1025) + "SSH-2.0-x\n",
		"too long a line":  strings.Repeat("x", 8<<10+1),
		"endless one line": strings.Repeat("x", 1<<21),
	} {
		w, _ := wireOver(strings.NewReader(in))
		n, err := w.Read(make([]byte, 100))
		fe, ok := errors.AsType[*fleet.Error](err)
		if n != 0 || !ok || fe.Reason != fleet.ReasonProtocolError || fe.Phase != fleet.PhaseBanner {
			t.Errorf("%s: %d bytes and %v, want none and protocol_error in banner", name, n, err)
		}
		if !ok {
			continue
		}
		if text := fe.Err.Error(); len(text) > 500 || strings.ContainsAny(text, "\x00\x16") {
			t.Errorf("%s: error text not bounded or not quoted: %q", name, text)
		}
	}
}

// faults.md: K09
func TestByteBudgetBeforeAuthentication(t *testing.T) {
	flood := func() io.Reader {
		return io.MultiReader(strings.NewReader("SSH-2.0-x\n"), bytes.NewReader(make([]byte, 2<<20)))
	}
	w, _ := wireOver(flood())
	n, err := io.Copy(io.Discard, w)
	fe, ok := errors.AsType[*fleet.Error](err)
	if !ok || fe.Reason != fleet.ReasonProtocolAbuse || n > 1<<20 {
		t.Errorf("%d bytes and %v, want protocol_abuse within 1 MiB", n, err)
	}

	w, _ = wireOver(flood())
	w.authed.Store(true)
	if n, err := io.Copy(io.Discard, w); n != 2<<20+10 || !errors.Is(err, sshreason.ErrClosed) {
		t.Errorf("after authentication: %d bytes and %v, want all", n, err)
	}
}

func FuzzReadVersion(f *testing.F) {
	f.Add([]byte("SSH-2.0-OpenSSH_9.2\r\n\x00\x00\x01"))
	f.Add([]byte("Exceeded MaxStartups\r\n"))
	f.Add([]byte("notice\r\nSSH-1.99-x\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		w, _ := wireOver(bytes.NewReader(in))
		got, err := io.ReadAll(w)
		if err == nil {
			t.Fatal("reading ended without an error")
		}
		if len(got) > 0 && (!bytes.HasPrefix(got, []byte("SSH-")) || !bytes.HasSuffix(in, got)) {
			t.Fatalf("gave %q of %q", got, in)
		}
		if len(w.greeting) > greetingKept {
			t.Fatalf("kept %d bytes of greeting", len(w.greeting))
		}
	})
}

// late is a connection whose deadline passes while it is removed.
type late struct {
	net.Conn
	remove func()
}

func (l *late) SetDeadline(time.Time) error { return nil }

func (l *late) Read(p []byte) (int, error) {
	if l.remove != nil {
		l.remove()
		l.remove = nil
		return 0, os.ErrDeadlineExceeded
	}
	return copy(p, "x"), nil
}

// A process that was stopped while a phase ended reads and removes the phase's deadline at once.
func TestDeadlineRemovedMeanwhile(t *testing.T) {
	a := &ssh.Attempt{Progress: new(ssh.Progress)}
	l := new(late)
	w := newWire(l, a, nil)
	w.versioned = true
	w.until(time.Minute)
	l.remove = func() { w.set(time.Time{}) }
	if n, err := w.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// The kernel says once that it has given a connection up: after a write has been told so, reading only finds
// its end.
func TestGivenUp(t *testing.T) {
	w, _ := wireOver(strings.NewReader(""))
	w.writeFailed(&net.OpError{Op: "write", Err: os.NewSyscallError("write", syscall.ETIMEDOUT)})
	w.versioned = true
	_, err := w.Read(make([]byte, 1))
	if reason, named := classify(err, w.ended()); reason != fleet.ReasonVanished {
		t.Errorf("%s: %v", reason, named)
	}
}

// A phase that begins or ends while a write waits neither takes the write's own time limit away nor extends it.
func TestWriteEndsWhateverThePhase(t *testing.T) {
	for name, next := range map[string]func(*transport){
		"a phase without a limit": func(w *transport) { w.set(time.Time{}) },
		"a longer phase":          func(w *transport) { w.until(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe() // which nobody reads
				defer func() { _, _ = ours.Close(), theirs.Close() }()
				w := newWire(ours, &ssh.Attempt{Progress: new(ssh.Progress)}, nil)
				w.until(time.Minute)
				w.authenticated()
				began, ended := time.Now(), make(chan error, 1)
				go func() {
					_, err := w.Write([]byte("x"))
					ended <- err
				}()
				synctest.Wait()
				next(w)
				select {
				case err := <-ended:
					if took := time.Since(began); !sshreason.TimedOut(err) || took != sshreason.WriteTimeout {
						t.Errorf("%v after %v, want a timeout after %v", err, took, sshreason.WriteTimeout)
					}
				case <-time.After(2 * time.Hour):
					t.Error("the write has not ended")
				}
			})
		})
	}
}
