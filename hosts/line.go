package hosts

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A lineReader splits a source into lines in bounded memory.
type lineReader struct {
	buf  *bufio.Reader
	line int // number of the last line read, from 1
}

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{buf: bufio.NewReaderSize(r, MaxLine+len("\r\n"))}
}

// byteOrder skips a UTF-8 byte-order mark and refuses UTF-16.
func (l *lineReader) byteOrder() error {
	start, _ := l.buf.Peek(3) // next returns the error again
	switch {
	case bytes.HasPrefix(start, []byte("\xef\xbb\xbf")):
		_, err := l.buf.Discard(3)
		return err
	case bytes.HasPrefix(start, []byte("\xff\xfe")), bytes.HasPrefix(start, []byte("\xfe\xff")):
		return &fault{"the text is UTF-16", "save it as UTF-8"}
	}
	return nil
}

// next returns the next line without its line end, valid until the following call, or only
// its beginning if it is too long. After the last line it returns io.EOF.
func (l *lineReader) next() (text []byte, tooLong bool, err error) {
	text, err = l.buf.ReadSlice('\n')
	l.line++
	if errors.Is(err, bufio.ErrBufferFull) {
		text = bytes.Clone(text[:2*keptText])
		return text, true, l.discardLine()
	}
	if len(text) > 0 && errors.Is(err, io.EOF) {
		err = nil // the next call returns it again
	}
	text = bytes.TrimSuffix(text, []byte("\n"))
	text = bytes.TrimSuffix(text, []byte("\r"))
	return text, len(text) > MaxLine, err
}

func (l *lineReader) discardLine() error {
	for {
		_, err := l.buf.ReadSlice('\n')
		switch {
		case err == nil, errors.Is(err, io.EOF):
			return nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}

// lineText returns a line without its comment and surrounding blanks.
func lineText(line string) string {
	for i := range len(line) {
		if line[i] == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			line = line[:i]
			break
		}
	}
	return strings.Trim(line, " \t")
}

// checkBytes refuses bytes that make a text look different from what it is, also in
// comments: a lone CR or a NUL there could hide hosts.
func checkBytes(text string) *fault {
	for i := range len(text) {
		if c := text[i]; c < ' ' && c != '\t' || c > '~' {
			return checkRunes(text)
		}
	}
	return nil
}

func checkRunes(text string) *fault {
	for i, r := range text {
		switch {
		case r == 0:
			return &fault{fmt.Sprintf("position %d: NUL byte", i+1), "this is not a text file, or not UTF-8"}
		case r == '\n':
			return &fault{fmt.Sprintf("position %d: line break", i+1), "separate hosts with commas, or read them with -w ^FILE"}
		case r == '\r':
			return &fault{fmt.Sprintf("position %d: carriage return inside a line", i+1), "end lines with LF or CRLF"}
		case r == utf8.RuneError && isBroken(text[i:]):
			return &fault{fmt.Sprintf("position %d: not valid UTF-8", i+1), "convert the text to UTF-8"}
		case r != '\t' && unicode.IsControl(r):
			return &fault{fmt.Sprintf("position %d: control character %q", i+1, r), "remove it"}
		}
	}
	return nil
}

// isBroken reports whether text begins with invalid UTF-8 and not with a real U+FFFD.
func isBroken(text string) bool {
	_, size := utf8.DecodeRuneInString(text)
	return size == 1
}

// checkInvisible refuses characters that look like a blank or are invisible. It is
// called after comments were removed.
func checkInvisible(text string) *fault {
	for i, r := range text {
		if r < utf8.RuneSelf {
			continue
		}
		if unicode.IsSpace(r) {
			return &fault{fmt.Sprintf("position %d: %U looks like a blank", i+1, r), "replace it with an ordinary blank or a comma"}
		}
		if unicode.Is(unicode.Cf, r) {
			return &fault{fmt.Sprintf("position %d: invisible character %U", i+1, r), "remove it"}
		}
	}
	return nil
}
