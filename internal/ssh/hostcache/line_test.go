package hostcache

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// The format is stable: files of earlier versions stay readable.
func TestTheFormOfALine(t *testing.T) {
	t.Parallel()
	const want = "web1:22\t20000\tsshwire\t\"deploy\"\tSHA256:uNiVztksCsDhcc0u9e8BrLtmjcCwMw8ywnyRzpJaBzA\t" +
		"\"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10\"\tmlkem768x25519-sha256,curve25519-sha256\t" +
		"ssh-ed25519,rsa-sha2-512,rsa-sha2-256\tstep-by-step\t51a83fa2\n"
	got := string(appendLine(nil, "web1:22", day0, string(appendProfile(nil, &sample))))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEveryValidEntryComesBack(t *testing.T) {
	t.Parallel()
	token := rapid.StringMatching(`[!-+.-~-]{1,64}`)
	tokens := rapid.SliceOfN(token, 0, 5)
	maybe := rapid.OneOf(rapid.Just(""), token)
	text := rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 255), func(b []byte) string { return string(b) })
	rapid.Check(t, func(t *rapid.T) {
		want := Entry{
			Identification: text.Draw(t, "identification"),
			Kex:            tokens.Draw(t, "kex"),
			HostKeys:       tokens.Draw(t, "host keys"),
			Key:            maybe.Draw(t, "key"),
			User:           text.Draw(t, "user"),
			Client:         maybe.Draw(t, "client"),
			Marks:          tokens.Draw(t, "marks"),
			Day:            rapid.IntRange(0, day0).Draw(t, "day"),
		}
		endpoint := rapid.StringMatching(`[a-z0-9.:%\[\]-]{1,320}`).Draw(t, "endpoint")
		if !want.valid() {
			t.Fatalf("%+v is not valid", want)
		}
		line := appendLine(nil, endpoint, want.Day, string(appendProfile(nil, &want)))
		table := newTable()
		if err := table.read(bytes.NewReader(line), day0); err != nil {
			t.Fatal(err)
		}
		h, ok := table.hosts[endpoint]
		if !ok {
			t.Fatalf("%q is not believed", line)
		}
		got := h.entry
		got.Day = int(h.day)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

// Whatever a file contains, accepted entries are within the limits and unchanged when written
// again. The fuzzer cannot guess checksums, so each line is also tried with a correct one.
func FuzzRead(f *testing.F) {
	line := appendLine(nil, "a:22", day0, string(appendProfile(nil, &sample)))
	f.Add(line)
	f.Add(bytes.Repeat(line, 3))
	f.Add(line[:len(line)-1])
	f.Add([]byte("a:22\t1\t\t\"\"\t\t\"\"\t\t\t"))
	f.Add([]byte("a:22\t01\tx\t`a`\t\t'\\x41'\ta,,b\t,\t"))
	f.Add([]byte("\xff:22\t9999999\tx\t\"\\xff\\u00e9\"\tk\t\"\\n\"\ta\tb\tc\n\n\r\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		for line := range bytes.SplitSeq(slices.Clone(file), []byte{'\n'}) {
			file = append(append(file, '\n'), withSum(line)...)
		}
		table := newTable()
		if err := table.read(bytes.NewReader(file), day0); err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		if _, err := table.writeTo(&text, 1<<30); err != nil {
			t.Fatal(err)
		}
		again := newTable()
		if err := again.read(bytes.NewReader(text.Bytes()[len(header):]), day0); err != nil {
			t.Fatal(err)
		}
		if len(again.hosts) != len(table.hosts) || again.lines != len(table.hosts) {
			t.Fatalf("%d hosts were written as %d, in %d lines", len(table.hosts), len(again.hosts), again.lines)
		}
		for endpoint, h := range table.hosts {
			if !validEndpoint(endpoint) || !h.entry.valid() || h.day < 0 || h.day > day0 {
				t.Errorf("%q with day %d is believed: %+v", endpoint, h.day, h.entry)
			}
			if b := again.hosts[endpoint]; b.text != h.text || b.day != h.day || !cmp.Equal(b.entry, h.entry) {
				t.Errorf("%q was %q, is %q", endpoint, h.text, b.text)
			}
		}
	})
}

// withSum returns the line with its checksum.
func withSum(line []byte) []byte {
	endpoint, rest, _ := bytes.Cut(line, []byte{'\t'})
	day, profile, _ := bytes.Cut(rest, []byte{'\t'})
	n, _ := parseDay(day)
	return appendLine(nil, string(endpoint), n, string(profile))
}
