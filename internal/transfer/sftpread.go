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
// if that comes first. A server may answer with less than was asked for, and in any order.
func (s *sftpSession) readHandle(handle string, w io.Writer, from, to int64) error {
	var flying []readRequest
	var err error
	for next := from; err == nil; {
		for len(flying) < s.flying() && next < to {
			r := s.askRead(handle, next, int(min(int64(s.piece), to-next)))
			flying = append(flying, r)
			next += int64(r.n)
		}
		if len(flying) == 0 {
			return nil
		}
		r := flying[0]
		flying = flying[1:]
		data, failed := s.answer(r.id, fxData)
		if code, ok := errors.AsType[status](failed); ok && code == statusEOF {
			to = min(to, r.off) // and what was asked behind it is dropped
			continue
		}
		if err = failed; err != nil || r.off >= to {
			continue
		}
		b := data.bytes()
		if len(b) == 0 || len(b) > r.n {
			err = status(5)
			continue
		}
		if _, err = w.Write(b); err == nil && len(b) < r.n {
			flying = append([]readRequest{s.askRead(handle, r.off+int64(len(b)), r.n-len(b))}, flying...)
		}
		s.spare = s.last[:0] // no writer keeps it
	}
	if errors.Is(err, errEnded) {
		return err
	}
	for _, r := range flying { // the answers are still to come
		if _, failed := s.answer(r.id, fxData); errors.Is(failed, errEnded) {
			return failed
		}
	}
	return err
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
