package hostkeys

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/maphash"
	"io"
	"math"
	"slices"
	"strings"

	"shoal/internal/hint"
	"shoal/internal/ssh/match"
)

// filedLines finds the lines that have names in the open and no marker, which are nearly all of
// a large file. It keeps where each of them is, 16 bytes, and a slot of 8 bytes for each name in
// a table that is at most three quarters full. A line is read again when its name is asked for.
//
// One goroutine adds lines before lookups; lookups are safe for concurrent use.
type filedLines struct {
	path  string
	text  io.ReaderAt
	lines []filedLine
	seed  maphash.Seed
	slots []uint64 // upper half: of the name's hash; lower half: 1 + index in lines; 0: free
	used  int
}

// A filedLine is where a line is in the file.
type filedLine struct {
	offset, length uint32 // in bytes, without the newline
	number         uint32 // from 1
	sum            uint32 // CRC-32C, by which a file is recognised that was changed in place
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func newFiledLines(path string, text io.ReaderAt) *filedLines {
	return &filedLines{path: path, text: text, seed: maphash.MakeSeed()}
}

// errTooLarge is the reason why a line cannot be found again.
var errTooLarge = errors.New("it is beyond the first 4 GiB of the file")

func (f *filedLines) add(e *entry) error {
	if e.place.offset+int64(e.place.length) > math.MaxUint32 || e.number > math.MaxInt32 {
		return errTooLarge
	}
	f.lines = append(f.lines, filedLine{uint32(e.place.offset), uint32(e.place.length), uint32(e.number), e.place.sum})
	for name := range strings.SplitSeq(match.Lower(e.names), ",") {
		if name != "" {
			f.insert(f.hash(name), uint32(len(f.lines)))
		}
	}
	return nil
}

// hash returns 32 bits, which choose the slot and are compared in it.
func (f *filedLines) hash(name string) uint32 { return uint32(maphash.String(f.seed, name)) }

func (f *filedLines) insert(hash, line uint32) {
	if 4*(f.used+1) > 3*len(f.slots) {
		old := f.slots
		f.slots, f.used = make([]uint64, max(64, 2*len(old))), 0
		for _, slot := range old {
			if slot != 0 {
				f.put(slot)
			}
		}
	}
	f.put(uint64(hash)<<32 | uint64(line))
}

func (f *filedLines) put(slot uint64) {
	mask := uint32(len(f.slots) - 1)
	at := uint32(slot>>32) & mask
	for f.slots[at] != 0 {
		at = (at + 1) & mask
	}
	f.slots[at] = slot
	f.used++
}

// lookup returns the lines that have a name, in their order.
func (f *filedLines) lookup(name string) []*entry {
	if f == nil || len(f.slots) == 0 {
		return nil
	}
	hash, mask := f.hash(name), uint32(len(f.slots)-1)
	var found []uint32
	for at := hash & mask; f.slots[at] != 0; at = (at + 1) & mask {
		if uint32(f.slots[at]>>32) == hash {
			found = append(found, uint32(f.slots[at])-1)
		}
	}
	if found == nil {
		return nil
	}
	slices.Sort(found) // a name may occur twice in a line
	entries := make([]*entry, 0, len(found))
	for _, line := range slices.Compact(found) {
		e := f.read(f.lines[line], name)
		if e.unread != nil || hasName(e.names, name) { // else another name has the same hash
			entries = append(entries, e)
		}
	}
	return entries
}

func hasName(names, name string) bool {
	for n := range strings.SplitSeq(match.Lower(names), ",") {
		if n == name {
			return true
		}
	}
	return false
}

// read reads a line again. One that is not what it was becomes an entry that refuses every key:
// what the file said of the name cannot be known any more.
func (f *filedLines) read(l filedLine, name string) *entry {
	var space [512]byte
	line := space[:]
	if int(l.length) > len(space) {
		line = make([]byte, l.length)
	}
	line = line[:l.length]
	n, err := f.text.ReadAt(line, int64(l.offset))
	if n == len(line) {
		err = nil
	}
	if err == nil && crc32.Checksum(line, castagnoli) != l.sum {
		err = errRewritten
	}
	var e *entry
	if err == nil {
		e, err = parseLine(line)
	}
	if err == nil && (e == nil || e.mark != markNone) {
		err = errRewritten
	}
	if err != nil {
		err = hint.Wrap(fmt.Errorf("the line for %q cannot be read again: %w", name, err), "leave the file alone while a run uses it, or replace it as a whole (mv); then run this again")
		e = &entry{mark: markRevoked, names: name, unread: err, lost: true}
	}
	e.file, e.number = f.path, int(l.number)
	return e
}

var errRewritten = errors.New("the file was changed in place since it was read")

// smallFile is the size up to which a file is kept in memory, in bytes. Lines of larger ones are
// read again from the open file, which stays what it is when a new one is put in its place.
const smallFile = 4 << 20

// reread returns a reader of all of r, and another one that reads from any place later: of what
// is kept in memory, if that is not more than limit bytes, or of r itself, which filed says.
func reread(r io.Reader, limit int64) (text io.Reader, again io.ReaderAt, filed bool, err error) {
	at, filed := r.(io.ReaderAt)
	if !filed {
		limit = math.MaxInt64 - 1
	}
	start, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, nil, false, err
	}
	if int64(len(start)) > limit {
		return io.MultiReader(bytes.NewReader(start), r), at, true, nil
	}
	return bytes.NewReader(start), bytes.NewReader(start), false, nil
}
