package record

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"
)

const (
	encodingSuffix = "_encoding"
	base64Encoding = "base64"
	hexDigits      = "0123456789abcdef"
)

// bytesOrText is the type of a text field's value. Outputs are not copied to strings
// first.
type bytesOrText interface{ ~string | ~[]byte }

// appendText appends the member key with text as its value, and a member for the encoding
// if it is base64.
func appendText[T bytesOrText](dst []byte, key string, text T) []byte {
	dst = appendKey(dst, key)
	if isUTF8(text) {
		return appendQuoted(dst, text)
	}
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, []byte(text))
	dst = append(dst, '"')
	dst = appendKey(dst, key+encodingSuffix)
	return append(dst, `"`+base64Encoding+`"`...)
}

func isUTF8[T bytesOrText](text T) bool {
	if b, ok := any(text).([]byte); ok {
		return utf8.Valid(b)
	}
	return utf8.ValidString(string(text))
}

// appendKey appends a comma and the key, which must not need escapes. Every object begins
// with a member that is written differently, so the comma is always correct.
func appendKey(dst []byte, key string) []byte {
	dst = append(dst, ',', '"')
	dst = append(dst, key...)
	return append(dst, '"', ':')
}

func appendInt(dst []byte, key string, n int64) []byte {
	return strconv.AppendInt(appendKey(dst, key), n, 10)
}

// appendQuoted appends valid UTF-8 as a JSON string (RFC 8259 §7). It also escapes
// unprintable characters: JSON does not require it, but terminals interpret them.
func appendQuoted[T bytesOrText](dst []byte, text T) []byte {
	// Room for a few escapes: growing step by step would cost more than the escaping.
	dst = append(slices.Grow(dst, len(text)+len(text)/16+2), '"')
	plain := 0 // text[plain:i] needs no escape and is not yet copied
	for i := 0; i < len(text); {
		c := text[i]
		if c >= ' ' && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		r, size := rune(c), 1
		if c >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(string(text[i:min(i+utf8.UTFMax, len(text))]))
			if strconv.IsPrint(r) {
				i += size
				continue
			}
		}
		dst = append(dst, text[plain:i]...)
		dst = appendEscaped(dst, r)
		i += size
		plain = i
	}
	dst = append(dst, text[plain:]...)
	return append(dst, '"')
}

func appendEscaped(dst []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(dst, '\\', byte(r))
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	if r >= 0x10000 {
		// RFC 8259 §7: characters beyond U+FFFF are written as a UTF-16 surrogate pair.
		r -= 0x10000
		dst = appendUnit(dst, 0xd800+r>>10)
		r = 0xdc00 + r&0x3ff
	}
	return appendUnit(dst, r)
}

func appendUnit(dst []byte, unit rune) []byte {
	return append(dst, '\\', 'u', hexDigits[unit>>12&0xf], hexDigits[unit>>8&0xf],
		hexDigits[unit>>4&0xf], hexDigits[unit&0xf])
}

// decodeText is the inverse of appendText.
func decodeText(key, text, encoding string) (string, error) {
	switch encoding {
	case "":
		return text, nil
	case base64Encoding:
		raw, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil {
			return "", fmt.Errorf("decoding %s: %w", key, err)
		}
		return string(raw), nil
	}
	return "", fmt.Errorf("decoding %s: unknown encoding %.40q", key, encoding)
}

var errNotUnicode = errors.New("not Unicode")

// checkUnicode refuses a line with strings that encoding/json would change silently: it
// replaces invalid UTF-8 and unpaired surrogate escapes with U+FFFD.
func checkUnicode(line []byte) error {
	if !utf8.Valid(line) {
		return errNotUnicode
	}
	for i := 0; i < len(line); i++ {
		if line[i] != '\\' {
			continue
		}
		i++ // consume the escaped character, which may be a backslash
		high, ok := escapedUnit(line, i)
		if !ok || high < 0xd800 || high > 0xdfff {
			continue
		}
		low, ok := escapedUnit(line, i+6)
		if high > 0xdbff || !ok || line[i+5] != '\\' || low < 0xdc00 || low > 0xdfff {
			return errNotUnicode
		}
		i += 6
	}
	return nil
}

// escapedUnit parses uXXXX at line[i:].
func escapedUnit(line []byte, i int) (rune, bool) {
	if i+5 > len(line) || line[i] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(line[i+1:i+5]), 16, 16)
	return rune(unit), err == nil
}
