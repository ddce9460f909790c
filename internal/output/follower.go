package output

import "bytes"

// A follower keeps track of one stream of one target: what is printed and the
// line whose end has not come. The zero value is at the stream's beginning.
type follower struct {
	// taken counts the bytes from the beginning that need not be looked at
	// again: printed, or in partial.
	taken   int64
	partial []byte // at most maxLine
	// waiting says that a line grew beyond maxLine where bytes must stay
	// exact. It is not held twice: the result has it, up to its cap, and
	// everything from taken on is printed then.
	waiting bool
}

// follow appends the whole lines that fresh brings to dst.
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

// bound keeps partial within maxLine.
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

// finish appends what is not printed of the whole output.
func (f *follower) finish(dst []byte, out Out, prefix, output []byte) []byte {
	rest := output[min(f.taken, int64(len(output))):]
	if len(f.partial) > 0 {
		rest = append(f.partial, rest...)
	}
	return out.appendLines(dst, prefix, rest)
}
