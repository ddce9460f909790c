package record

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// roundTrip checks the promise of the format: any bytes are read back unchanged.
func roundTrip(t interface{ Fatalf(string, ...any) }, in []byte) {
	line := append(appendText([]byte(`{"type":"x"`), "stdout", in), '}')
	var l struct {
		Stdout   string `json:"stdout"`
		Encoding string `json:"stdout_encoding"`
	}
	if err := json.Unmarshal(line, &l); err != nil {
		t.Fatalf("%q: %v in %s", in, err, line)
	}
	if err := checkUnicode(line); err != nil {
		t.Fatalf("%q: %v in %s", in, err, line)
	}
	out, err := decodeText("stdout", l.Stdout, l.Encoding)
	if err != nil || out != string(in) {
		t.Fatalf("%q came back as %q, %v", in, out, err)
	}
	if (l.Encoding == "") != utf8.Valid(in) {
		t.Fatalf("%q: encoding %q", in, l.Encoding)
	}
	if asString := append(appendText([]byte(`{"type":"x"`), "stdout", string(in)), '}'); !bytes.Equal(line, asString) {
		t.Fatalf("%q: from bytes %s, from string %s", in, line, asString)
	}
	if bytes.ContainsFunc(line, func(r rune) bool { return r < ' ' || r >= 0x7f && r <= 0x9f }) {
		t.Fatalf("%q: control character in %q", in, line)
	}
}

var hardTexts = []string{
	"", "plain", "\x00", "\ufffd", "\xff\xfe", "\u2028\u2029", "\xed\xa0\x80", "\xed\xa0\xbd\xed\xb8\x80",
	"\\ud800", `\"`, "😀\U0010ffff", "\x7f\u0080\u009f\u00a0", "\xe6\x97", "<script>&amp;", "a\r\nb\tc",
	"\xc0\x80", "\U000e0001", strings.Repeat("é", 1000),
}

func TestTextRoundTrip(t *testing.T) {
	for _, text := range hardTexts {
		roundTrip(t, []byte(text))
	}
	for r := rune(0); r < 0x3000; r++ {
		roundTrip(t, []byte(string(r)))
	}
	rapid.Check(t, func(t *rapid.T) {
		roundTrip(t, rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		roundTrip(t, []byte(rapid.String().Draw(t, "text")))
	})
}

func FuzzText(f *testing.F) {
	for _, text := range hardTexts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, in []byte) { roundTrip(t, in) })
}

func TestCheckUnicode(t *testing.T) {
	for line, ok := range map[string]bool{
		`{"a":"\ud83d\ude00"}`:  true,
		`{"a":"\uD83D\uDE00x"}`: true,
		`{"a":"\\ud83d"}`:       true,
		`{"a":"\\\\ud83d\n"}`:   true,
		`{"a":"\u00e9\ufffd"}`:  true,
		`{"a":"\ud83d"}`:        false,
		`{"a":"\ud83dx\ude00"}`: false,
		`{"a":"\ude00\ud83d"}`:  false,
		`{"a":"\ud83d\ud83d"}`:  false,
		`{"a":"\\\ud83d"}`:      false,
		`{"a":"\ud83d\u00e9"}`:  false,
		"{\"a\":\"\xff\"}":      false,
		`\`:                     true, // invalid JSON, which other code reports
		`\ud8`:                  true,
		`\ud83d`:                false,
		`\ud83d\`:               false,
	} {
		if err := checkUnicode([]byte(line)); (err == nil) != ok {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestDecodeTextErrors(t *testing.T) {
	for _, c := range []struct{ text, encoding, want string }{
		{"x", "base32", `decoding stdout: unknown encoding "base32"`},
		{"!", "base64", `decoding stdout: illegal base64 data at input byte 0`},
		{"QR==", "base64", `decoding stdout: illegal base64 data at input byte 2`},
	} {
		if _, err := decodeText("stdout", c.text, c.encoding); err == nil || err.Error() != c.want {
			t.Errorf("%q as %s: %v", c.text, c.encoding, err)
		}
	}
}
