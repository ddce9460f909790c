package xcrypto

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/clock"
	"shoal/internal/ssh"
	"shoal/internal/ssh/sshreason"
)

const (
	greetingKept    = 4 << 10 // bytes kept of what the server says first
	maxNoticeLines  = 1024    // lines before the version line, as OpenSSH's kex_exchange_identification
	maxNoticeLine   = 8 << 10 // bytes in one of them, as OpenSSH's SSH_MAX_BANNER_LEN
	maxVersionLine  = 255     // RFC 4253 §4.2
	maxPreAuthBytes = 1 << 20 // bytes before authentication succeeds; a key exchange takes about 4 KiB
)

// A wire is the TCP connection under one SSH connection. It reads the lines up
// to the server's version itself, keeps the first bytes for the diagnosis,
// enforces the budget before authentication, and remembers how reading ended.
type transport struct {
	net.Conn
	attempt *ssh.Attempt

	clock     *clock.Clock
	begun     time.Duration // what it had lost when the connection was open
	connectBy time.Time     // by clock; no phase before authentication lasts longer; zero: no such limit

	greeting  []byte // the first greetingKept bytes from the server
	unread    []byte // read beyond the version line, not yet given to the library
	versioned bool   // the version line was found

	authed   atomic.Bool
	serving  atomic.Bool // a channel is open: see hold
	received atomic.Int64

	closing sync.Once
	done    chan struct{} // closed by shut

	mu      sync.Mutex
	readErr error
	fault   *fleet.Error   // what we found wrong ourselves; the first one stays
	hostKey xssh.PublicKey // the key that was trusted
	by      time.Time      // the deadline of reading and writing, by clock; zero: none
}

func newWire(nc net.Conn, a *ssh.Attempt, c *clock.Clock) *transport {
	a.Execution.Connected()
	return &transport{Conn: nc, attempt: a, clock: c, begun: c.Suspended(), done: make(chan struct{})}
}

// until sets the deadline of the phase that begins now.
func (w *transport) until(d time.Duration) {
	deadline := w.clock.Now().Add(d)
	if !w.connectBy.IsZero() && w.connectBy.Before(deadline) && !w.authed.Load() {
		deadline = w.connectBy
	}
	w.set(deadline)
}

// deadline is that of the present phase, by clock; zero: none.
func (w *transport) deadline() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.by
}

// set sets the deadline, an instant of clock; zero is none.
func (w *transport) set(by time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.by = by
	_ = w.SetDeadline(w.clock.Deadline(by))
}

// early says whether err is a deadline that passed only because this process was
// stopped, and sets it anew.
func (w *transport) early(err error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !sshreason.TimedOut(err) || w.by.IsZero() || !w.clock.Now().Before(w.by) {
		return false
	}
	_ = w.SetDeadline(w.clock.Deadline(w.by))
	return true
}

// stopped adds to the end of the connection that this process was stopped
// meanwhile.
func (w *transport) stopped(err error) error {
	return sshreason.Stopped(err, w.clock.Suspended()-w.begun)
}

// authenticated ends the handshake: no phase deadline, no byte budget.
func (w *transport) authenticated() {
	w.authed.Store(true)
	w.set(time.Time{})
}

// shut closes the connection and ends every wait on it. It gives true to the
// call that did it, and false when we, or the library, had done so before.
func (w *transport) shut() (first bool) {
	w.closing.Do(func() {
		first = true
		close(w.done)
		_ = w.Conn.Close()
	})
	return first
}

// Close implements net.Conn for the library.
func (w *transport) Close() error {
	w.shut()
	return nil
}

// abandon is shut for context.AfterFunc.
func (w *transport) abandon() { w.shut() }

// holdTime is how long the peer's end of the connection is kept from the
// library while a channel is open: 1 s.
const holdTime = time.Second

// hold keeps back that the peer has ended the connection. The library reads
// ahead and, once it has seen the end, closes its channels whether or not the
// peer closed them before; a channel that ends while the end is kept back was
// closed by the peer. Only a connection that ends without it waits the time out.
func (w *transport) hold(err error) error {
	if !w.serving.Load() || sshreason.TimedOut(err) || errors.Is(err, net.ErrClosed) {
		return err
	}
	timer := time.NewTimer(holdTime)
	defer timer.Stop()
	select {
	case <-w.done:
		return net.ErrClosed
	case <-timer.C:
		return err
	}
}

// Read is called by one goroutine at a time.
func (w *transport) Read(p []byte) (int, error) {
	n, err := w.read(p)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = sshreason.ErrClosed // the library gives io.EOF for other things too
		}
		err = w.hold(err)
		w.mu.Lock()
		if w.readErr == nil {
			w.readErr = err
		}
		w.mu.Unlock()
	}
	return n, err
}

func (w *transport) read(p []byte) (int, error) {
	if !w.versioned {
		if err := w.readVersion(); err != nil {
			return 0, err
		}
	}
	if len(w.unread) > 0 {
		n := copy(p, w.unread)
		if w.unread = w.unread[n:]; len(w.unread) == 0 {
			w.unread = nil
		}
		return n, nil
	}
	return w.receive(p)
}

// receive reads from the connection and charges the budget.
func (w *transport) receive(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	for n == 0 && w.early(err) {
		n, err = w.Conn.Read(p)
	}
	if total := w.received.Add(int64(n)); total > maxPreAuthBytes && !w.authed.Load() {
		return 0, w.blame(w.attempt.Timeline.Phase(), fleet.ReasonProtocolAbuse,
			errors.New("the server sent more than 1 MiB before authentication"))
	}
	return n, err
}

// readVersion passes over the lines that may precede the version line (RFC 4253
// §4.2) and leaves that line and what follows it in w.unread.
func (w *transport) readVersion() error {
	var line []byte
	chunk := make([]byte, 512)
	for lines := 0; ; {
		n, err := w.receive(chunk)
		w.greeting = append(w.greeting, chunk[:min(n, greetingKept-len(w.greeting))]...)
		for rest := chunk[:n]; len(rest) > 0; {
			head, tail, ended := bytes.Cut(rest, []byte{'\n'})
			line = append(line, head...)
			isVersion := bytes.HasPrefix(line, []byte("SSH-"))
			switch {
			case isVersion && len(line) > maxVersionLine:
				return w.notSSH("its version line is longer than 255 bytes")
			case len(line) > maxNoticeLine:
				return w.notSSH("a line before the version is longer than 8 KiB")
			case bytes.IndexByte(line, 0) >= 0:
				return w.notSSH("it sent a NUL byte before its version")
			case ended && isVersion:
				return w.version(line, tail)
			}
			if ended {
				line = line[:0]
				if lines++; lines > maxNoticeLines {
					return w.notSSH("it sent more than 1,024 lines before its version")
				}
			}
			rest = tail
		}
		if err != nil {
			return err
		}
	}
}

// version accepts protocol 2.0 and 1.99, which means 2.0 (RFC 4253 §5.1).
func (w *transport) version(line, tail []byte) error {
	if !bytes.HasPrefix(line, []byte("SSH-2.0-")) && !bytes.HasPrefix(line, []byte("SSH-1.99-")) {
		return w.notSSH("it speaks another version of SSH")
	}
	w.unread = append(append(append(w.unread, line...), '\n'), tail...)
	w.versioned = true
	w.attempt.Timeline.Enter(fleet.PhaseKex)
	return nil
}

// Write is called by one goroutine at a time.
func (w *transport) Write(p []byte) (int, error) {
	by := w.clock.Now().Add(sshreason.WriteTimeout)
	for sent := 0; ; {
		if w.authed.Load() {
			_ = w.SetWriteDeadline(w.clock.Deadline(by))
		}
		if !w.attempt.Execution.Writing() {
			return sent, net.ErrClosed
		}
		n, err := w.Conn.Write(p[sent:])
		w.attempt.Execution.Wrote(n)
		sent += n
		stopped := w.early(err) || w.authed.Load() && sshreason.TimedOut(err) && w.clock.Now().Before(by)
		if err == nil || !stopped {
			return sent, err
		}
	}
}

// blame records a fault that we found ourselves; the first one stays, because
// the rest follow from it.
func (w *transport) blame(p fleet.Phase, r fleet.Reason, err error) *fleet.Error {
	return w.raise(w.attempt.FailIn(p, fleet.OutcomeNeverStarted, r, err))
}

func (w *transport) notSSH(why string) *fleet.Error {
	return w.blame(fleet.PhaseBanner, fleet.ReasonProtocolError, sshreason.NotSSH(why, w.greeting))
}

func (w *transport) raise(f *fleet.Error) *fleet.Error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fault == nil {
		w.fault = f
	}
	return w.fault
}

func (w *transport) raised() *fleet.Error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fault
}

// ended gives the error that ended reading, or nil.
func (w *transport) ended() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.readErr
}

// pin keeps the trusted key; it gives false when another one was kept before.
func (w *transport) pin(key xssh.PublicKey) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hostKey == nil {
		w.hostKey = key
		return true
	}
	return bytes.Equal(w.hostKey.Marshal(), key.Marshal())
}

func (w *transport) pinnedKey() xssh.PublicKey {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hostKey
}
