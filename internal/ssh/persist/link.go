package persist

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"shoal/internal/ssh"
)

// maxQueued is how many bytes may wait to be written before output and input wait too.
const maxQueued = 1 << 20

// A link carries frames over a connection. Frames that are queued while another write is under way
// are written together.
type link struct {
	conn net.Conn

	mu      sync.Mutex
	changed *sync.Cond
	out     []byte // frames that wait
	marks   []mark // in out
	enc     enc    // of the frame that is queued
	err     error  // why nothing more is sent; nil: it is
	writer  sync.WaitGroup
}

// A mark is a frame in a link's queue that hands a command over.
type mark struct {
	exec       *ssh.Execution // nil: it was taken back
	start, end int
	instead    []byte // is sent if the command is withdrawn: the other side waits
}

var (
	errLinkClosed = errors.New("the connection between run and holder was closed")
	errLarge      = fmt.Errorf("it has more than the %d bytes that run and holder can tell each other at once", maxFrame)
)

func newLink(c net.Conn) *link {
	l := &link{conn: c}
	l.changed = sync.NewCond(&l.mu)
	l.writer.Go(l.write)
	return l
}

// send queues a frame. It reports false if nothing more is sent, or if the frame is larger than the
// other side takes.
func (l *link) send(k kind, id uint32, body func(*enc)) bool {
	return l.queue(k, id, body, nil, false)
}

// sendData is send for a frame of output or input, which waits while much is queued.
func (l *link) sendData(k kind, id uint32, body func(*enc)) bool {
	return l.queue(k, id, body, nil, true)
}

// hand queues a frame that hands a command over. exec is told when it may have been received, and
// may withdraw it before; then the frame instead is sent, or nothing if it is nil.
func (l *link) hand(k kind, id uint32, body func(*enc), exec *ssh.Execution, instead []byte) bool {
	return l.queue(k, id, body, &mark{exec: exec, instead: instead}, false)
}

// takeBack keeps frames that hand exec's command over from being sent, and reports whether none may have been
// received: the command may be handed to somebody else.
func (l *link) takeBack(exec *ssh.Execution) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.marks {
		if l.marks[i].exec == exec {
			l.marks[i].exec = nil
		}
	}
	return !exec.Left()
}

// frameOf returns a frame.
func frameOf(k kind, id uint32, body func(*enc)) []byte {
	var e enc
	e.frame(k, id, body)
	return e.b
}

// frame appends a frame.
func (e *enc) frame(k kind, id uint32, body func(*enc)) {
	start := len(e.b)
	e.b = append(e.b, 0, 0, 0, 0, byte(k))
	e.b = binary.BigEndian.AppendUint32(e.b, id)
	if body != nil {
		body(e)
	}
	binary.BigEndian.PutUint32(e.b[start:], uint32(len(e.b)-start-4))
}

func (l *link) queue(k kind, id uint32, body func(*enc), m *mark, wait bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for wait && l.err == nil && len(l.out) > maxQueued {
		l.changed.Wait()
	}
	if l.err != nil {
		return false
	}
	start := len(l.out)
	l.enc.b = l.out
	l.enc.frame(k, id, body)
	out := l.enc.b
	l.enc.b = nil
	if len(out)-start-4 > maxFrame {
		return false
	}
	l.out = out
	if m != nil {
		m.start, m.end = start, len(out)
		l.marks = append(l.marks, *m)
	}
	l.changed.Broadcast()
	return true
}

// write writes what is queued until close.
func (l *link) write() {
	var spare []byte
	for {
		l.mu.Lock()
		for len(l.out) == 0 && l.err == nil {
			l.changed.Wait()
		}
		if l.err != nil {
			l.mu.Unlock()
			return
		}
		out := l.out
		whole, marks := writing(out, l.marks) // before close can say that nothing is sent any more
		l.out, l.marks = spare[:0], nil
		l.changed.Broadcast()
		l.mu.Unlock()
		if err := l.pass(whole, marks); err != nil {
			l.close(fmt.Errorf("writing: %w", err))
			return
		}
		if spare = out; cap(spare) > 4*chunk {
			spare = nil
		}
	}
}

// writing returns the frames that are about to be written, with their marks. Those whose commands were
// withdrawn are replaced.
func writing(out []byte, marks []mark) ([]byte, []mark) {
	if len(marks) == 0 {
		return out, nil
	}
	whole, from := make([]byte, 0, len(out)), 0
	kept := marks[:0]
	for _, m := range marks {
		whole = append(whole, out[from:m.start]...)
		if from = m.end; m.exec != nil && m.exec.Writing() {
			whole = append(whole, out[m.start:m.end]...)
			kept = append(kept, mark{exec: m.exec, end: len(whole)})
		} else {
			whole = append(whole, m.instead...)
		}
	}
	return append(whole, out[from:]...), kept
}

// pass writes frames.
func (l *link) pass(out []byte, marks []mark) error {
	n, err := l.conn.Write(out)
	for _, m := range marks {
		if n >= m.end {
			m.exec.Wrote(1) // see Dialer.hand: its command is sent with one byte
		} else {
			m.exec.Wrote(0) // half a frame is none
		}
	}
	return err
}

// close ends the link. What is queued is not sent.
func (l *link) close(why error) {
	l.mu.Lock()
	if l.err == nil {
		l.err = why
		l.out, l.marks = nil, nil
		_ = l.conn.Close()
	}
	l.changed.Broadcast()
	l.mu.Unlock()
}

// A frame is one that was received. Its body is valid until the next read.
type frame struct {
	kind kind
	id   uint32
	body dec
}

// A reader reads frames.
type reader struct {
	from *bufio.Reader
	head [headSize]byte
	buf  []byte
}

func newReader(r io.Reader) *reader { return &reader{from: bufio.NewReaderSize(r, 64<<10)} }

func (r *reader) next() (frame, error) {
	head := r.head[:]
	if _, err := io.ReadFull(r.from, head); err != nil {
		return frame{}, err
	}
	n := binary.BigEndian.Uint32(head)
	if n < headSize-4 || n > maxFrame {
		return frame{}, fmt.Errorf("%w: %d bytes", errMalformed, n)
	}
	n -= headSize - 4
	if cap(r.buf) < int(n) || cap(r.buf) > 4*chunk {
		r.buf = make([]byte, n)
	}
	r.buf = r.buf[:n]
	if _, err := io.ReadFull(r.from, r.buf); err != nil {
		return frame{}, err
	}
	return frame{kind(head[4]), binary.BigEndian.Uint32(head[5:]), dec{b: r.buf}}, nil
}
