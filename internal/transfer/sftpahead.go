package transfer

import (
	"slices"
	"strings"
)

// A fetch is a small file of a directory whose requests are sent before its turn, so that a round trip
// is not waited for five times for each file. Whoever asks the same later gets these answers.
type fetch struct {
	at     string
	size   int64 // as the directory says; another one when it is open makes no harm
	open   uint32
	handle string      // once it is open
	read   readRequest // of all its bytes; not asked if there are none
	done   bool        // nothing more is asked ahead
}

// Limits of what is asked ahead.
const (
	maxFetches   = 16
	fetchedBytes = 1 << 20
)

// askAhead is ask for what will be asked later.
func (s *sftpSession) askAhead(kind byte, fields ...any) uint32 {
	id := s.ask(kind, part{}, fields...)
	key := requestKey(kind, fields)
	s.early[key] = append(s.early[key], id)
	return id
}

func requestKey(kind byte, fields []any) string { return string(appendFields([]byte{kind}, fields)) }

// asked returns the number of a request that was sent ahead.
func (s *sftpSession) asked(kind byte, fields []any) (id uint32, ok bool) {
	if len(s.early) == 0 {
		return 0, false
	}
	key := requestKey(kind, fields)
	ids := s.early[key]
	if len(ids) == 0 {
		return 0, false
	}
	if s.early[key] = ids[1:]; len(ids) == 1 {
		delete(s.early, key)
	}
	return ids[0], true
}

// drop has the answer to a request ignored, which must not have been waited for.
func (s *sftpSession) drop(id uint32) {
	r := s.replies[id]
	if r.packet != nil {
		delete(s.replies, id)
		return
	}
	r.dropped = true
	s.replies[id] = r
}

// fetchFrom asks for the files of a directory's entries, as many as the limits allow.
func (s *sftpPull) fetchFrom(dir string, entries []dirEntry) {
	total := int64(0)
	for _, f := range s.fetches {
		total += f.size
	}
	for _, e := range entries {
		if len(s.fetches) == maxFetches {
			return
		}
		size := int64(min(e.size, fetchedBytes)) //nolint:gosec // small
		at := strings.TrimSuffix(dir, "/") + "/" + e.name
		switch {
		case !e.is(modeFile) || e.has&attrSize == 0 || size > int64(s.piece), slices.ContainsFunc(s.fetches, func(f *fetch) bool { return f.at == at }):
			continue
		case total+size > fetchedBytes:
			return
		}
		total += size
		s.fetches = append(s.fetches, &fetch{at: at, size: size, open: s.askAhead(fxOpen, at, uint32(openRead), uint32(0))})
	}
}

// fetchMore asks what can be asked next of the files that are fetched.
func (s *sftpPull) fetchMore() {
	for _, f := range s.fetches {
		switch {
		case f.done:
		case f.handle == "":
			b := s.replies[f.open].packet
			if b == nil {
				continue
			}
			rest := fields(b[1:])
			if f.done = b[0] != fxHandle || len(rest) > 4+maxHandle; f.done {
				continue
			}
			f.handle = rest.text()
			s.askAhead(fxFstat, f.handle)
			if f.done = f.size == 0; !f.done {
				f.read = s.askReadAhead(f.handle, int(f.size))
			}
		case s.replies[f.read.id].packet != nil:
			s.askAhead(fxFstat, f.handle) // whether it has changed
			f.done = true
		}
	}
}

func (s *sftpSession) askReadAhead(handle string, n int) readRequest {
	r := readRequest{id: s.askAhead(fxRead, handle, int64(0), uint32(n)), n: n} //nolint:gosec // a piece
	s.replies[r.id] = reply{limit: readLimit(n)}
	return r
}

// fetchedAnother ends the fetch of a file whose size is another one than the directory said: its bytes
// are read anew, and what was asked ahead of whether they have changed would be older than they.
func (s *sftpPull) fetchedAnother(at, handle string, size uint64) {
	for _, f := range s.fetches {
		if f.at == at && uint64(f.size) != size { //nolint:gosec // small
			s.fetched(at, handle)
			return
		}
	}
}

// fetched ends the fetch of a file, if there is one.
func (s *sftpPull) fetched(at, handle string) {
	i := slices.IndexFunc(s.fetches, func(f *fetch) bool { return f.at == at })
	if i < 0 {
		return
	}
	f := s.fetches[i]
	s.fetches = slices.Delete(s.fetches, i, i+1)
	if handle == "" {
		return
	}
	for {
		id, left := s.asked(fxFstat, []any{handle})
		if !left {
			break
		}
		s.drop(id)
	}
	if id, left := s.asked(fxRead, []any{handle, int64(0), uint32(f.read.n)}); left { //nolint:gosec // a piece
		s.drop(id)
	}
}
