package xcrypto

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
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
	greetingKept    = 4 << 10 // how much of the server's first output is kept, in bytes
	maxNoticeLines  = 1024    // lines before the version line, as OpenSSH's kex_exchange_identification
	maxNoticeLine   = 8 << 10 // bytes per line, as OpenSSH's SSH_MAX_BANNER_LEN
	maxVersionLine  = 255     // RFC 4253 §4.2
	maxPreAuthBytes = 1 << 20 // bytes before authentication succeeds; a key exchange takes about 4 KiB
)

// A transport is the TCP connection under one SSH connection. It reads the lines up to the
// server's version itself, keeps the first bytes for diagnosis, enforces the byte budget before
// authentication, and records how reading ended.
type transport struct {
	net.Conn
	current atomic.Pointer[ssh.Attempt]

	clock     *clock.Clock
	begun     time.Duration // clock.Suspended() when the connection was opened
	connectBy time.Time     // by clock: limit for all phases before authentication; zero: none

	carrier bool // see Carrier: the writes are not the attempt's own

	greeting  []byte // the first greetingKept bytes from the server
	unread    []byte // read beyond the version line, not yet passed to the library
	versioned bool   // the version line was found

	authed   atomic.Bool
	serving  atomic.Bool   // a channel is open: see hold
	held     chan struct{} // closed by hold; nil: no attempt asks to keep the connection
	received atomic.Int64  // bytes
	sent     atomic.Int64

	closing sync.Once
	done    chan struct{} // closed by shut

	mu      sync.Mutex
	readErr error
	// writeErr ended writing. The library then closes the connection, so that reading ends
	// with net.ErrClosed, which tells nothing.
	writeErr error
	fault    *fleet.Error   // a fault that we detected; the first one counts
	hostKey  xssh.PublicKey // the accepted host key
	onShut   func()         // see whenShut; nil: nobody is told, or was
	by       time.Time      // the deadline for reading and writing, by clock; zero: none
}

func newWire(nc net.Conn, a *ssh.Attempt, c *clock.Clock) *transport {
	w := &transport{Conn: nc, clock: c, begun: c.Suspended(), done: make(chan struct{})}
	if a.Keep {
		w.held = make(chan struct{})
	}
	w.carry(a)
	return w
}

// carry makes a the attempt that is told of every byte that is sent from now on.
func (w *transport) carry(a *ssh.Attempt) {
	a.Execution.Connected()
	w.current.Store(a)
}

func (w *transport) attempt() *ssh.Attempt { return w.current.Load() }

// until sets the deadline of the phase that begins now.
func (w *transport) until(d time.Duration) {
	deadline := w.clock.Now().Add(d)
	if !w.connectBy.IsZero() && w.connectBy.Before(deadline) && !w.authed.Load() {
		deadline = w.connectBy
	}
	w.set(deadline)
}

// deadline returns the current phase's deadline, by clock; zero: none.
func (w *transport) deadline() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.by
}

// set sets the deadline, by clock; zero: none.
func (w *transport) set(by time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.by = by
	w.limit()
}

// limit applies the deadline of the phase: to reading, and before authentication to writing. After that each
// Write has a deadline of its own, which must stay while it waits. mu must be held.
func (w *transport) limit() {
	set := w.SetDeadline
	if w.authed.Load() {
		set = w.SetReadDeadline
	}
	_ = set(w.clock.Deadline(w.by))
}

// early reports whether err is a deadline that passed only because this process was stopped; if
// so, it sets the deadline anew.
func (w *transport) early(err error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !sshreason.TimedOut(err) || w.by.IsZero() || !w.clock.Now().Before(w.by) {
		return false
	}
	w.limit()
	return true
}

// lifted reports whether err is a deadline for reading that was removed while it passed: a process
// that was stopped meanwhile reads and removes it at the same time.
func (w *transport) lifted(err error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Is(err, os.ErrDeadlineExceeded) && w.by.IsZero()
}

// stopped adds to err that this process was stopped meanwhile, if it was.
func (w *transport) stopped(err error) error {
	return sshreason.Stopped(err, w.clock.Suspended()-w.begun)
}

// authenticated ends the handshake: it removes phase deadlines and the byte budget.
func (w *transport) authenticated() {
	w.authed.Store(true)
	w.set(time.Time{})
}

// shut closes the connection and ends every wait on it. It returns true for the first call
// only.
func (w *transport) shut() (first bool) {
	w.closing.Do(func() {
		first = true
		close(w.done)
		_ = w.Conn.Close()
		w.mu.Lock()
		f := w.onShut
		w.onShut = nil
		w.mu.Unlock()
		if f != nil {
			f()
		}
	})
	return first
}

// whenShut has shut call f, or calls it if shut was called already.
func (w *transport) whenShut(f func()) {
	w.mu.Lock()
	w.onShut = f
	w.mu.Unlock()
	select {
	case <-w.done:
	default:
		return
	}
	w.mu.Lock()
	f, w.onShut = w.onShut, nil
	w.mu.Unlock()
	if f != nil {
		f()
	}
}

// Close implements net.Conn for the library.
func (w *transport) Close() error {
	w.shut()
	return nil
}

// abandon is shut for context.AfterFunc.
func (w *transport) abandon() { w.shut() }

// holdTime is how long the end of the connection is hidden from the library while a channel is
// open.
const holdTime = time.Second

// hold delays the report that the peer ended the connection. The library reads ahead and, once
// it sees the end, closes its channels even if the peer did not. A channel that ends during the
// delay was closed by the peer. Only a connection that ends without closing its channel waits
// the full time.
func (w *transport) hold(err error) error {
	if !w.serving.Load() || sshreason.TimedOut(err) || errors.Is(err, net.ErrClosed) {
		return err
	}
	if w.held != nil {
		close(w.held) // once: nobody reads after an error
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
			err = sshreason.ErrClosed // the library returns io.EOF for other things too
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

// receive reads from the connection and charges the byte budget.
func (w *transport) receive(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	for n == 0 && (w.early(err) || w.lifted(err)) {
		n, err = w.Conn.Read(p)
	}
	if total := w.received.Add(int64(n)); total > maxPreAuthBytes && !w.authed.Load() {
		return 0, w.blame(w.attempt().Timeline.Phase(), fleet.ReasonProtocolAbuse,
			errors.New("the server sent more than 1 MiB before authentication"))
	}
	return n, err
}

// readVersion skips the lines that may precede the version line (RFC 4253 §4.2) and stores that
// line and what follows in w.unread.
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
	w.attempt().Timeline.Enter(fleet.PhaseKex)
	if f := sshreason.Unfit(w.attempt(), string(line)); f != nil {
		return w.raise(f)
	}
	return nil
}

// transferred returns the number of bytes in both directions.
func (w *transport) transferred() int64 { return w.received.Load() + w.sent.Load() }

// Write is called by one goroutine at a time.
func (w *transport) Write(p []byte) (int, error) {
	by := w.clock.Now().Add(sshreason.WriteTimeout)
	for sent := 0; ; {
		if w.authed.Load() {
			_ = w.SetWriteDeadline(w.clock.Deadline(by))
		}
		exec := &w.attempt().Execution
		if !w.carrier && !exec.Writing() {
			return sent, net.ErrClosed
		}
		n, err := w.Conn.Write(p[sent:])
		if !w.carrier {
			exec.Wrote(n)
		}
		w.sent.Add(int64(n))
		sent += n
		stopped := false
		if w.authed.Load() {
			stopped = sshreason.TimedOut(err) && w.clock.Now().Before(by)
		} else {
			stopped = w.early(err)
		}
		if err != nil && !stopped {
			w.writeFailed(err)
		}
		if err == nil || !stopped {
			return sent, err
		}
	}
}

// blame records a fault that we detected. The first one counts, because later ones follow from
// it.
func (w *transport) blame(p fleet.Phase, r fleet.Reason, err error) *fleet.Error {
	return w.raise(w.attempt().FailIn(p, fleet.OutcomeNeverStarted, r, err))
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

// ended returns the error that ended the connection, or nil.
func (w *transport) ended() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.writeErr != nil && (w.readErr == nil || errors.Is(w.readErr, net.ErrClosed)) {
		return w.writeErr
	}
	return sshreason.Ended(w.writeErr, w.readErr)
}

func (w *transport) writeFailed(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.writeErr == nil {
		w.writeErr = err
	}
}

// pin stores the accepted key; it returns false if another key is already pinned.
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
