package transfer

import (
	"errors"
	"io"
)

// read copies a file there to w, up to a limit.
func (s *sftpSession) read(at string, w io.Writer, limit int64) error {
	f, err := s.call(fxOpen, fxHandle, at, uint32(openRead), uint32(0))
	if err != nil {
		return err
	}
	handle := f.text()
	if err = s.readHandle(handle, w, 0, limit); errors.Is(err, errEnded) {
		return err
	}
	_, closed := s.call(fxClose, fxStatus, handle)
	return errors.Join(err, closed)
}

// A readRequest is one to read n bytes from off on.
type readRequest struct {
	id  uint32
	off int64
	n   int
}

func (s *sftpSession) askRead(handle string, off int64, n int) readRequest {
	if id, ok := s.asked(fxRead, []any{handle, off, uint32(n)}); ok { //nolint:gosec // a piece
		return readRequest{id, off, n}
	}
	r := readRequest{s.ask(fxRead, part{}, handle, off, uint32(n)), off, n} //nolint:gosec // a piece
	s.replies[r.id] = reply{limit: readLimit(n)}
	return r
}

// readLimit limits the answer to a request for n bytes.
func readLimit(n int) int { return max(n, minPiece) + 64 }

// readHandle copies the bytes from one offset to another of an open file to w, or to the file's end
// if that comes first.
func (s *sftpSession) readHandle(handle string, w io.Writer, from, to int64) error {
	r := rangeReader{session: s, handle: handle, w: w, next: from, to: to}
	for r.ask(); len(r.flying) > 0 && r.err == nil; r.ask() {
		r.take()
	}
	return r.end()
}

// A rangeReader copies a range of an open file to w. A server may answer with less than was asked for,
// and in any order.
type rangeReader struct {
	session  *sftpSession
	handle   string
	w        io.Writer
	next, to int64 // what is asked for next, and the end of the range, which may grow
	flying   []readRequest
	err      error
}

// ask asks for as much as may be without an answer.
func (r *rangeReader) ask() {
	for r.err == nil && len(r.flying) < r.session.flying() && r.next < r.to {
		q := r.session.askRead(r.handle, r.next, int(min(int64(r.session.piece), r.to-r.next)))
		r.flying = append(r.flying, q)
		r.next += int64(q.n)
	}
}

// ready reports whether take does not wait.
func (r *rangeReader) ready() bool {
	return r.err == nil && len(r.flying) > 0 && r.session.replies[r.flying[0].id].packet != nil
}

// take takes the answer to the first of what was asked for.
func (r *rangeReader) take() {
	q := r.flying[0]
	r.flying = r.flying[1:]
	data, failed := r.session.answer(q.id, fxData)
	if code, ok := errors.AsType[status](failed); ok && code == statusEOF {
		r.to = min(r.to, q.off) // and what was asked behind it is dropped
		return
	}
	if r.err = failed; r.err != nil || q.off >= r.to {
		return
	}
	b := data.bytes()
	if len(b) == 0 || len(b) > q.n {
		r.err = status(5)
		return
	}
	if _, r.err = r.w.Write(b); r.err == nil && len(b) < q.n {
		r.flying = append([]readRequest{r.session.askRead(r.handle, q.off+int64(len(b)), q.n-len(b))}, r.flying...)
	}
	r.session.spare = r.session.last[:0] // no writer keeps it
}

// end returns why the range was not read to its end. It waits for the answers that are still to come.
func (r *rangeReader) end() error {
	if errors.Is(r.err, errEnded) {
		return r.err
	}
	for _, q := range r.flying {
		if _, failed := r.session.answer(q.id, fxData); errors.Is(failed, errEnded) {
			return failed
		}
	}
	r.flying = nil
	return r.err
}

// A dirEntry is a name in a directory, with what the server says of it.
type dirEntry struct {
	name string
	attributes
}

// maxEmpty is how many answers without a name a listing of a directory may have.
const maxEmpty = 100

// readDir calls each with the names in a directory, until it returns an error. A server may say
// names without end.
func (s *sftpSession) readDir(dir string, each func(dirEntry) error) error {
	f, err := s.call(fxOpendir, fxHandle, dir)
	if err != nil {
		return err
	}
	handle := f.text()
	empty := 0
	for {
		f, err := s.call(fxReaddir, fxName, handle)
		if code, ok := errors.AsType[status](err); ok && code == statusEOF {
			break
		}
		if err != nil {
			return err
		}
		n := f.uint32()
		if n == 0 {
			if empty++; empty > maxEmpty {
				return status(5)
			}
		}
		for ; n > 0 && len(f) > 0; n-- {
			e := dirEntry{name: f.text()}
			f.text() // as ls -l shows it
			e.attributes = f.attributes()
			if err := each(e); err != nil {
				return err
			}
		}
	}
	_, err = s.call(fxClose, fxStatus, handle)
	return err
}
