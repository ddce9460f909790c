package hosts

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
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

// header is a line of a host file that begins a group. The name has no colon and does
// not begin with a digit, because [::1] is an address and [1-9] a range.
var header = regexp.MustCompile(`^\[\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*\]$`)

// ansibleHeader is a section header that only Ansible has.
var ansibleHeader = regexp.MustCompile(`^\[[^\]\s]+:(vars|children)\]`)

// section begins a group if the line is a header, and reports whether no host is on the line.
func (l *loader) section(at place, text string) bool {
	if text[0] != '[' {
		return false
	}
	if m := header.FindStringSubmatch(text); m != nil {
		l.group = m[1]
		l.universe.AddGroup(l.group)
		return true
	}
	if ansibleHeader.MatchString(text) {
		l.problem(at, text, "a section of an Ansible inventory", "read the file with --inventory")
		return true
	}
	return false
}

// cutAttributes cuts name=value words from the end of a line: the expression itself contains
// no =. The rest may have blanks around its commas.
func cutAttributes(text string) (expression string, f *facts, err error) {
	equals := strings.IndexByte(text, '=')
	if equals < 0 {
		return text, nil, nil
	}
	start := strings.LastIndexAny(text[:equals], " \t") + 1
	if start == 0 {
		return text, nil, nil // package expr reports what is wrong with a host that contains =
	}
	f = new(facts)
	rest := text[start:]
	for rest != "" {
		var name, value string
		if name, value, rest, err = cutAttribute(rest); err != nil {
			return "", nil, err
		}
		if err = f.set(name, value); err != nil {
			return "", nil, err
		}
	}
	return strings.TrimRight(text[:start], " \t"), f, nil
}

// cutAttribute reads name=value, name="va lue" or name='va lue' and returns the rest
// too.
func cutAttribute(text string) (name, value, rest string, err error) {
	const hint = "write attributes behind the host as name=value or name=\"two words\""
	name, text, found := strings.Cut(text, "=")
	if !found {
		return "", "", "", &fault{"a word without = behind attributes", hint}
	}
	if text != "" && (text[0] == '"' || text[0] == '\'') {
		end := strings.IndexByte(text[1:], text[0])
		if end < 0 {
			return "", "", "", &fault{"a quote that is not closed", hint}
		}
		value, rest = text[1:1+end], text[end+2:]
		if rest != "" && rest[0] != ' ' && rest[0] != '\t' {
			return "", "", "", &fault{"text right behind a closing quote", hint}
		}
	} else if end := strings.IndexAny(text, " \t"); end >= 0 {
		value, rest = text[:end], text[end:]
	} else {
		value = text
	}
	return name, value, strings.TrimLeft(rest, " \t"), nil
}
