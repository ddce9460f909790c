package output

import "bytes"

// A follower tracks one stream of one target: what is printed, and the current incomplete
// line. The zero value is at the beginning of the stream.
type follower struct {
	// taken is the number of bytes from the beginning that are printed or in partial.
	taken   int64
	partial []byte // at most maxLine
	// waiting is set when a line has grown beyond maxLine and bytes must stay exact. The
	// line is then not buffered a second time: everything from taken on is printed from
	// the result, which has the output up to its limit.
	waiting bool
}

// follow appends to dst the lines that fresh completes.
func (f *follower) follow(dst []byte, out Out, prefix, fresh []byte) []byte {
	if f.waiting {
		return dst
	}
	f.taken += int64(len(fresh))
	if len(f.partial) > 0 {
		i := bytes.IndexByte(fresh, '\n')
		if i < 0 {
			f.partial = append(f.partial, fresh...)
			return f.bound(dst, out, prefix)
		}
		f.partial = append(f.partial, fresh[:i+1]...)
		dst = out.appendLines(dst, prefix, f.partial)
		f.partial = f.partial[:0]
		fresh = fresh[i+1:]
	}
	whole := bytes.LastIndexByte(fresh, '\n') + 1
	dst = out.appendLines(dst, prefix, fresh[:whole])
	f.partial = append(f.partial, fresh[whole:]...)
	return f.bound(dst, out, prefix)
}

// bound limits partial to maxLine bytes.
func (f *follower) bound(dst []byte, out Out, prefix []byte) []byte {
	if len(f.partial) <= maxLine {
		return dst
	}
	if !out.Escape {
		f.taken -= int64(len(f.partial))
		f.partial, f.waiting = nil, true
		return dst
	}
	rest := f.partial
	for len(rest) > maxLine {
		n := breakAt(rest)
		dst = out.appendPiece(dst, prefix, rest[:n])
		rest = rest[n:]
	}
	f.partial = append(f.partial[:0], rest...)
	return dst
}

// finish appends the part of the whole output that is not printed yet.
func (f *follower) finish(dst []byte, out Out, prefix, output []byte) []byte {
	rest := output[min(f.taken, int64(len(output))):]
	if len(f.partial) > 0 {
		rest = append(f.partial, rest...)
	}
	return out.appendLines(dst, prefix, rest)
}
