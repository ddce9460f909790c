package wrap

import (
	"bytes"
	"io"

	"shoal/fleet"
)

// maxNoise is how much login scripts may write before the wrapper's line, in bytes, and be skipped.
const maxNoise = 64 << 10

// An opening passes on a stream from behind the wrapper's line that says that a script starts. What comes
// before is the text of login scripts, if the line comes.
type opening struct {
	to    io.Writer
	mark  []byte
	held  []byte // what may be noise, or, behind the line, the beginning of another
	found bool
	over  bool // more came before the line than is skipped, and was passed on
	noisy bool // something was skipped
	twice bool // no second line follows the first: the other stream's, where a forced command joins them
}

// openings are those of both streams.
type openings [fleet.NumStreams]*opening

// open begins the streams behind a line of the wrapper.
func (w *wrapped) open(line string) *openings {
	all := new(openings)
	w.each(func(s fleet.Stream, to io.Writer) io.Writer {
		if to == nil {
			to = io.Discard
		}
		all[s] = &opening{to: to, mark: []byte(line)}
		return all[s]
	})
	return all
}

// close passes on the held bytes, and reports whether the line has come, and what was skipped before.
func (all *openings) close() (seen, noisy bool) {
	for _, o := range all {
		_, _ = o.to.Write(o.held) // as for every write: the command has ended
		o.held = nil
		seen, noisy = seen || o.found, noisy || o.noisy
	}
	return seen, noisy
}

// Write implements io.Writer.
func (o *opening) Write(p []byte) (n int, err error) {
	n = len(p)
	if o.found && o.twice {
		return o.to.Write(p)
	}
	o.held = append(o.held, p...)
	if !o.found {
		at := bytes.Index(o.held, o.mark)
		if o.found = at >= 0; !o.found {
			return n, o.bound()
		}
		if o.over || at > maxNoise {
			_, err = o.to.Write(o.held[:at])
		} else {
			o.noisy = len(bytes.TrimSpace(o.held[:at])) > 0
		}
		o.held = o.held[at+len(o.mark):]
	}
	if len(o.held) < len(o.mark) && bytes.HasPrefix(o.mark, o.held) {
		return n, err
	}
	rest := bytes.TrimPrefix(o.held, o.mark)
	o.twice, o.held = true, nil
	if len(rest) > 0 && err == nil {
		_, err = o.to.Write(rest)
	}
	return n, err
}

// bound passes on what is more than can be skipped, up to what may be the line.
func (o *opening) bound() error {
	k := len(o.held) - overlap(o.held, o.mark)
	if o.over = o.over || k > maxNoise; !o.over {
		return nil
	}
	_, err := o.to.Write(o.held[:k])
	o.held = append(o.held[:0], o.held[k:]...)
	return err
}
