package spool

import (
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"shoal/internal/ui"
)

const (
	// firstExtent and lastExtent are the smallest and the largest part of the file that a
	// stream gets at once, in bytes. Each part of a stream is twice as large as the one before,
	// so that it has few. They are multiples of every page size.
	firstExtent = 1 << 20
	lastExtent  = 64 << 20
)

// Outputs are the outputs of a run that are too large for memory: one file without a name,
// which is made when the first byte comes. They implement engine.Spool. Nothing is freed
// before the end of the process: results may be used until then.
type Outputs struct {
	limit int64

	mu   sync.Mutex
	file *os.File
	used int64 // bytes
	end  int64 // of the extents that are given away
	full error // why bytes had no room; nil: none were turned away
}

// NewOutputs returns outputs for this many bytes.
func NewOutputs(limit int64) *Outputs { return &Outputs{limit: limit} }

// Full returns why bytes were turned away, or nil if none were.
func (o *Outputs) Full() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.full
}

// Used returns the number of bytes.
func (o *Outputs) Used() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.used
}

// Close frees the space on disk once nothing uses what Bytes has returned.
func (o *Outputs) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file == nil {
		return nil
	}
	return o.file.Close()
}

// An OutputStream is one stream. Its methods must not be called concurrently.
type OutputStream struct {
	all     *Outputs
	extents []extent
	size    int64
}

// An extent is a part of the file.
type extent struct{ at, size int64 }

// New returns an empty stream.
func (o *Outputs) New() *OutputStream { return &OutputStream{all: o} }

// Append appends as much of p as there is room for, and returns the number of bytes.
func (s *OutputStream) Append(p []byte) (done int) {
	for len(p) > 0 {
		e, from := s.last()
		n := int(min(int64(len(p)), e.size-from))
		if n == 0 {
			if !s.extend() {
				return done
			}
			continue
		}
		if n = s.all.take(n); n == 0 {
			return done
		}
		if _, err := s.all.file.WriteAt(p[:n], e.at+from); err != nil {
			s.all.fail(n, err)
			return done
		}
		s.size += int64(n)
		done += n
		p = p[n:]
	}
	return done
}

// last returns the last extent and how much of it is used.
func (s *OutputStream) last() (e extent, used int64) {
	before := int64(0)
	for _, x := range s.extents {
		before += e.size
		e = x
	}
	return e, s.size - before
}

func (s *OutputStream) extend() bool {
	size := int64(firstExtent)
	if n := len(s.extents); n > 0 {
		size = min(2*s.extents[n-1].size, lastExtent)
	}
	o := s.all
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.full != nil {
		return false
	}
	if o.file == nil {
		f, err := Unnamed("shoal-output-*")
		if err != nil {
			o.full = fmt.Errorf("making a file for output: %w", err)
			return false
		}
		o.file = f
	}
	s.extents = append(s.extents, extent{o.end, size})
	o.end += size
	return true
}

// take reserves up to n bytes.
func (o *Outputs) take(n int) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	room := int(min(int64(n), o.limit-o.used))
	if room < n && o.full == nil {
		o.full = fmt.Errorf("the %s for output on disk are used up", ui.Bytes(o.limit))
	}
	room = max(room, 0)
	o.used += int64(room)
	return room
}

// fail releases bytes that could not be written.
func (o *Outputs) fail(n int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.used -= int64(n)
	if o.full == nil {
		o.full = fmt.Errorf("writing output to disk: %w", err)
	}
}

// ReadAt implements io.ReaderAt.
func (s *OutputStream) ReadAt(p []byte, off int64) (done int, err error) {
	for _, e := range s.extents {
		if off >= e.size {
			off -= e.size
			continue
		}
		n, err := s.all.file.ReadAt(p[done:done+int(min(int64(len(p)-done), e.size-off))], e.at+off)
		done += n
		if err != nil || done == len(p) {
			return done, err //nolint:wrapcheck // io.ReaderAt's io.EOF has to stay as it is
		}
		off = 0
	}
	return done, io.EOF
}

// Bytes returns all that was appended: pages of the file, which the kernel reads when they are
// used and drops when memory is needed. It stays valid until the end of the process. Nothing
// may be appended after it.
func (s *OutputStream) Bytes() ([]byte, error) {
	if s.size == 0 {
		return nil, nil
	}
	if s.size > math.MaxInt {
		return nil, fmt.Errorf("mapping output: %d bytes are too many", s.size)
	}
	total := uintptr(0)
	for _, e := range s.extents {
		total += uintptr(e.size)
	}
	// Addresses for all of it, and then each part of the file in its place.
	base, err := unix.MmapPtr(-1, 0, nil, total, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("mapping output: %w", err)
	}
	at := uintptr(0)
	for _, e := range s.extents {
		if _, err := unix.MmapPtr(int(s.all.file.Fd()), e.at, unsafe.Add(base, at), uintptr(e.size), unix.PROT_READ, unix.MAP_SHARED|unix.MAP_FIXED); err != nil {
			_ = unix.MunmapPtr(base, total)
			return nil, fmt.Errorf("mapping output: %w", err)
		}
		at += uintptr(e.size)
	}
	return unsafe.Slice((*byte)(base), s.size), nil
}
