package posix

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"shoal/simfleet/internal/memfs"
)

// errKilled is what a process gets that died while it waited.
var errKilled = errors.New("killed")

// A stream is what an open file reads from and writes to. Its calls return
// errKilled when p dies.
type stream interface {
	read(p *proc, b []byte) (int, error)
	write(p *proc, b []byte) (int, error)
	close()
}

// A file is an open file description: descriptors of several processes share
// it, and the last one closes it.
type file struct {
	stream
	refs atomic.Int32
}

func newFile(s stream) *file {
	f := &file{stream: s}
	f.refs.Store(1)
	return f
}

func (f *file) dup() *file {
	f.refs.Add(1)
	return f
}

func (f *file) release() {
	if f.refs.Add(-1) == 0 {
		f.close()
	}
}

// A device without state.
type device string

func (d device) read(_ *proc, b []byte) (int, error) {
	switch d {
	case "null":
		return 0, io.EOF
	case "zero", "full":
		clear(b)
		return len(b), nil
	}
	return 0, memfs.ENXIO
}

func (d device) write(_ *proc, b []byte) (int, error) {
	if d == "full" {
		return 0, memfs.ENOSPC
	}
	return len(b), nil
}

func (device) close() {}

// random is /dev/urandom, from its beginning at each open.
type random struct {
	mu sync.Mutex
	r  io.Reader
}

func (r *random) read(_ *proc, b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.r.Read(b)
}
func (*random) write(_ *proc, b []byte) (int, error) { return len(b), nil }
func (*random) close()                               {}

// A text is the content of a here-document.
type text struct {
	mu   sync.Mutex
	rest string
}

func (t *text) read(_ *proc, b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rest == "" {
		return 0, io.EOF
	}
	n := copy(b, t.rest)
	t.rest = t.rest[n:]
	return n, nil
}
func (*text) write(*proc, []byte) (int, error) { return 0, memfs.EBADF }
func (*text) close()                           {}

// A regular file.
type regular struct{ *memfs.File }

func (r regular) read(p *proc, b []byte) (int, error) {
	if len(b) > 1 { // not for the shell's read, which takes byte by byte
		p.pause()
	}
	return r.Read(b)
}

func (r regular) write(p *proc, b []byte) (int, error) {
	p.pause()
	if p.fileLimit > 0 {
		switch room := p.fileLimit - r.Stat().Size(); {
		case room <= 0:
			p.signal(sigXFSZ)
			return 0, memfs.EFBIG
		case room < int64(len(b)):
			b = b[:room]
		}
	}
	return r.Write(b)
}
func (r regular) close() { _ = r.Close() }

// pipeSize is the number of bytes that a pipe holds, as on Linux.
const pipeSize = 64 << 10

// A pipe has two files: its ends.
type pipe struct {
	capture bool // of a command substitution

	mu      sync.Mutex
	buf     []byte
	done    [2]bool       // the reading and the writing end are closed
	changed chan struct{} // closed at the next change; nil if nobody waits
}

type (
	readEnd  struct{ *pipe }
	writeEnd struct{ *pipe }
)

func newPipe() (r, w *file) {
	q := new(pipe)
	return newFile(readEnd{q}), newFile(writeEnd{q})
}

// newCapture is newPipe for the output of a command substitution: a write never waits. What is beyond maxText fails.
func newCapture() (q *pipe, r, w *file) {
	q = &pipe{capture: true}
	return q, newFile(readEnd{q}), newFile(writeEnd{q})
}

// all waits until nobody can write any more, or there are more than maxText bytes, and returns what was written.
func (q *pipe) all(cancel <-chan struct{}) ([]byte, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.done[1] && len(q.buf) <= maxText {
		if err := q.wait(cancel); err != nil {
			return q.buf, err
		}
	}
	return q.buf, nil
}

// size is the number of bytes that the pipe holds.
func (q *pipe) size() int {
	if q.capture {
		return maxText + 1
	}
	return pipeSize
}

// notify wakes those who wait; mu must be held.
func (q *pipe) notify() {
	if q.changed != nil {
		close(q.changed)
		q.changed = nil
	}
}

// wait waits for a change; mu must be held, and is while it returns. cancel is
// the death of the process that waits.
func (q *pipe) wait(cancel <-chan struct{}) error {
	if q.changed == nil {
		q.changed = make(chan struct{})
	}
	changed := q.changed
	q.mu.Unlock()
	defer q.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-cancel:
		return errKilled
	}
}

func (q *pipe) end(i int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.done[i] = true
	if i == 0 {
		q.buf = nil
	}
	q.notify()
}

func (q *pipe) take(cancel <-chan struct{}, b []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.buf) == 0 {
		if q.done[1] {
			return 0, io.EOF
		}
		if err := q.wait(cancel); err != nil {
			return 0, err
		}
	}
	n := copy(b, q.buf)
	if q.buf = q.buf[n:]; len(q.buf) == 0 {
		q.buf = nil
	}
	q.notify()
	return n, nil
}

func (q *pipe) put(cancel <-chan struct{}, b []byte) (n int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(b) > 0 {
		if q.done[0] {
			return n, memfs.EPIPE
		}
		room := min(q.size()-len(q.buf), len(b))
		if room == 0 && q.capture {
			return n, memfs.EPIPE
		}
		if room == 0 {
			if err := q.wait(cancel); err != nil {
				return n, err
			}
			continue
		}
		q.buf = append(q.buf, b[:room]...)
		b, n = b[room:], n+room
		q.notify()
	}
	return n, nil
}

func (r readEnd) read(p *proc, b []byte) (int, error)   { return r.take(p.done, b) }
func (r readEnd) write(*proc, []byte) (int, error)      { return 0, memfs.EBADF }
func (r readEnd) close()                                { r.end(0) }
func (w writeEnd) read(*proc, []byte) (int, error)      { return 0, memfs.EBADF }
func (w writeEnd) write(p *proc, b []byte) (int, error) { return w.put(p.done, b) }
func (w writeEnd) close()                               { w.end(1) }

// An input is a session's standard input. What comes is read ahead into a pipe,
// as sshd does, but not before somebody wants it.
type input struct {
	pipe
	from  io.Reader
	start sync.Once
	work  *sync.WaitGroup
}

func (i *input) read(p *proc, b []byte) (int, error) {
	i.start.Do(func() { i.work.Go(i.pump) })
	return i.take(p.done, b)
}

// buffers are of programs that read bytes; they hold nothing that is needed.
var buffers = sync.Pool{New: func() any { return new([chunk]byte) }}

func takeBuffer() *[chunk]byte { return buffers.Get().(*[chunk]byte) }

func (i *input) pump() {
	defer i.end(1)
	buf := takeBuffer()
	defer buffers.Put(buf)
	for {
		n, err := i.from.Read(buf[:])
		if err != nil {
			_, _ = i.put(nil, buf[:n])
			return
		}
		if _, err := i.put(nil, buf[:n]); err != nil {
			i.discard()
			return
		}
	}
}

// discard takes what still comes when nobody can read it any more, so that the
// client does not wait.
func (i *input) discard()                       { _, _ = io.Copy(io.Discard, i.from) }
func (*input) write(*proc, []byte) (int, error) { return 0, memfs.EBADF }
func (i *input) close() {
	i.end(0)
	i.start.Do(func() { i.work.Go(i.discard) })
}

// An output is one of a session's two outputs.
type output struct {
	mu     sync.Mutex // held during a write: writers take turns
	to     io.Writer
	gone   atomic.Bool   // the session has ended
	closed chan struct{} // closed by the last process that has it
}

func (*output) read(*proc, []byte) (int, error) { return 0, memfs.EBADF }

func (o *output) write(_ *proc, b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.gone.Load() {
		return 0, memfs.EPIPE
	}
	n, err := o.to.Write(b)
	if err != nil {
		return n, memfs.EPIPE
	}
	return n, nil
}
func (o *output) close() { close(o.closed) }
