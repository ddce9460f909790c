package hostcache

import (
	"bytes"
	"hash/crc32"
	"strconv"
	"strings"
)

const (
	headerWord = "shoal-recall "
	header     = headerWord + "1\n"

	maxDayDigits = 7 // until the year 29348
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendLine appends the line of an endpoint, with its newline.
func appendLine(b []byte, endpoint string, day int, profile string) []byte {
	start := len(b)
	b = append(b, endpoint...)
	b = append(b, '\t')
	b = strconv.AppendInt(b, int64(day), 10)
	b = append(b, '\t')
	b = append(b, profile...)
	sum := crc32.Checksum(b[start:], castagnoli)
	b = append(b, '\t')
	for shift := 28; shift >= 0; shift -= 4 {
		b = append(b, "0123456789abcdef"[sum>>shift&0xf])
	}
	return append(b, '\n')
}

// cutLine splits a line without its newline. The results share its memory.
func cutLine(line []byte) (endpoint []byte, day int, profile []byte, ok bool) {
	tab := bytes.LastIndexByte(line, '\t')
	if tab < 0 || !sumIs(line[tab+1:], crc32.Checksum(line[:tab], castagnoli)) {
		return nil, 0, nil, false
	}
	endpoint, rest, ok := bytes.Cut(line[:tab], []byte{'\t'})
	if !ok || !validEndpoint(endpoint) {
		return nil, 0, nil, false
	}
	digits, profile, ok := bytes.Cut(rest, []byte{'\t'})
	if !ok {
		return nil, 0, nil, false
	}
	day, ok = parseDay(digits)
	return endpoint, day, profile, ok
}

// sumIs reports whether text is the checksum in canonical form.
func sumIs(text []byte, sum uint32) bool {
	if len(text) != 8 {
		return false
	}
	for i, c := range text {
		if c != "0123456789abcdef"[sum>>(28-4*i)&0xf] {
			return false
		}
	}
	return true
}

func parseDay(digits []byte) (day int, ok bool) {
	if len(digits) == 0 || len(digits) > maxDayDigits || digits[0] == '0' && len(digits) > 1 {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		day = 10*day + int(c-'0')
	}
	return day, true
}

// appendProfile appends all fields of an entry but the day, so that endpoints can share them.
// The encoding is canonical: equal texts are equal entries.
func appendProfile(b []byte, e *Entry) []byte {
	b = append(b, e.Client...)
	b = append(b, '\t')
	b = strconv.AppendQuoteToASCII(b, e.User)
	b = append(b, '\t')
	b = append(b, e.Key...)
	b = append(b, '\t')
	b = strconv.AppendQuoteToASCII(b, e.Identification)
	for _, list := range [...][]string{e.Kex, e.HostKeys, e.Marks} {
		b = append(b, '\t')
		for i, token := range list {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, token...)
		}
	}
	return b
}

// parseProfile parses exactly what appendProfile writes.
func parseProfile(text string) (e Entry, ok bool) {
	fields := strings.Split(text, "\t")
	if len(fields) != 7 {
		return Entry{}, false
	}
	user, errUser := strconv.Unquote(fields[1])
	ident, errIdent := strconv.Unquote(fields[3])
	if errUser != nil || errIdent != nil {
		return Entry{}, false
	}
	e = Entry{
		Client: fields[0], User: user, Key: fields[2], Identification: ident,
		Kex: split(fields[4]), HostKeys: split(fields[5]), Marks: split(fields[6]),
	}
	return e, e.valid() && string(appendProfile(nil, &e)) == text
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}
