package transfer

import (
	"bytes"
	"strings"
)

// A record is one of the records of a pull; see pullScript.
type record struct {
	kind         string
	fields       []string // behind the kind
	path, target string
}

// names returns how many names follow the line of a record; -1: there is no such record.
func (r *record) names() int {
	switch r.kind {
	case "s", "end", "no":
		return 0
	case "f", "d", "o", "x":
		return 1
	case "l":
		return 2
	}
	return -1
}

// A recordReader splits the answer to a pull into records and the bytes between them. It holds
// no more than a line and two names.
type recordReader struct {
	mark   string // before each record; its first byte is in it once
	record func(record)
	data   func([]byte)
	broken func() // for what is no record; nothing more is read then

	matched int // bytes of mark that came last
	now     record
	left    int // names of it that have not come
	state   recordState
	held    []byte
}

type recordState byte

const (
	inData recordState = iota
	inLine
	inName
	recordsEnded
)

func newRecordReader(nonce string) *recordReader {
	return &recordReader{mark: "shoal/1 " + nonce + " "}
}

// stop drops what follows.
func (r *recordReader) stop() { r.state, r.held = recordsEnded, nil }

// Write implements io.Writer.
func (r *recordReader) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && r.state != recordsEnded {
		switch r.state {
		case inData:
			p = r.search(p)
		case inLine:
			p = r.take(p, '\n', maxLine, r.line)
		case inName:
			p = r.take(p, 0, maxPath+1, r.name)
		}
	}
	return n, nil
}

// search passes on what is before the next mark. It returns what is behind it.
func (r *recordReader) search(p []byte) []byte {
	if r.matched > 0 {
		n := 0
		for n < len(p) && r.matched+n < len(r.mark) && p[n] == r.mark[r.matched+n] {
			n++
		}
		r.matched += n
		switch {
		case r.matched == len(r.mark):
			r.matched, r.state = 0, inLine
		case n < len(p): // no suffix of this begins a mark: its first byte is in it once
			r.data([]byte(r.mark[:r.matched]))
			r.matched = 0
		}
		return p[n:]
	}
	if at := bytes.Index(p, []byte(r.mark)); at >= 0 {
		r.data(p[:at])
		r.state = inLine
		return p[at+len(r.mark):]
	}
	end := len(p)
	if at := bytes.LastIndexByte(p[max(0, end-len(r.mark)+1):], r.mark[0]); at >= 0 {
		at += max(0, end-len(r.mark)+1)
		if strings.HasPrefix(r.mark, string(p[at:])) {
			r.matched, end = len(p)-at, at
		}
	}
	r.data(p[:end])
	return nil
}

// take adds p to what is held, up to the end, which is given to then. It returns what is behind.
func (r *recordReader) take(p []byte, end byte, limit int, then func(string)) []byte {
	part, rest, ended := bytes.Cut(p, []byte{end})
	if len(r.held)+len(part) >= limit {
		r.fail()
		return nil
	}
	r.held = append(r.held, part...)
	if ended {
		text := string(r.held)
		r.held = r.held[:0]
		then(text)
	}
	return rest
}

func (r *recordReader) fail() {
	r.stop()
	r.broken()
}

func (r *recordReader) line(text string) {
	f := strings.Fields(text)
	if len(f) == 0 {
		r.fail()
		return
	}
	r.now = record{kind: f[0], fields: f[1:]}
	switch r.left = r.now.names(); r.left {
	case -1:
		r.fail()
	case 0:
		r.complete()
	default:
		r.state = inName
	}
}

func (r *recordReader) name(text string) {
	switch r.left--; {
	case r.now.kind == "l" && r.left == 0: // "" if the host cannot tell
		r.now.target = text
	case text == "":
		r.fail()
		return
	default:
		r.now.path = text
	}
	if r.left == 0 {
		r.complete()
	}
}

func (r *recordReader) complete() {
	r.state = inData
	r.record(r.now)
}
