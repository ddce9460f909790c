package remote

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// secrets returns filled Secrets.
func secrets(t *testing.T, values ...string) *Secrets {
	t.Helper()
	var names []string
	var all [][]byte
	for i, v := range values {
		names, all = append(names, fmt.Sprint("S", i)), append(all, []byte(v))
	}
	s, err := NewSecrets(names)
	if err == nil {
		err = s.Fill(all)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func frameOf(t *testing.T, s *Secrets) string {
	t.Helper()
	text, err := io.ReadAll(io.NewSectionReader(s, 0, s.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every byte of the values reaches the command, and no command line, with every wrapper; the
// command's own input follows exactly. Where a part of the values is missing nothing runs.
func TestSecrets(t *testing.T) {
	t.Parallel()
	var every strings.Builder
	for b := 1; b < 256; b++ {
		every.WriteByte(byte(b))
	}
	values := []string{"Canary-4713", "", every.String() + "\n\n", "it's \\ $(id) ü\n"}
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(values[2])))
	const command = `sh -c 'printf %s "$S2" | sha256sum; printf "%s" "$S0|$S1|$S3|"; cat /proc/$PPID/cmdline /proc/$$/cmdline | grep -c Canary[-]4713; cat'`
	want := sum + "  -\n" + values[0] + "||" + values[3] + "|0\na\x00b"
	everyLoginShell(t, func(t *testing.T, f *far) {
		s := secrets(t, values...)
		for name, w := range map[string]Wrap{
			"alone":   {},
			"place":   {Place: &Place{Env: []string{"A=1"}, Umask: "077"}},
			"timeout": {Timeout: time.Hour},
			"marker":  {Marker: &Marker{Run: "run", Index: 1, Dir: filepath.Join(t.TempDir(), "marks")}, Group: true, Timeout: time.Hour},
		} {
			w.Nonce, w.Secrets = nonce, s
			text, before, err := w.Request(command)
			if err != nil || before != "" {
				t.Fatal(before, err)
			}
			if got := f.run(t, text, frameOf(t, s)+"a\x00b"); got.stdout != want || got.status != 0 {
				t.Errorf("%s: %q, want %q; %q, status %d", name, got.stdout, want, got.stderr, got.status)
			}
			if strings.Contains(text, values[0]) {
				t.Errorf("%s: the value is in %q", name, text)
			}
		}
		w := Wrap{Nonce: nonce, Secrets: s}
		text, before, err := w.Request(command + strings.Repeat("\n#", MaxLine))
		if err != nil || before == "" {
			t.Fatal(err)
		}
		if got := f.run(t, text, frameOf(t, s)+before); got.stdout != strings.TrimSuffix(want, "a\x00b") || got.status != 0 {
			t.Errorf("long: %q, want %q; %q, status %d", got.stdout, want, got.stderr, got.status)
		}
		text, _, err = w.Request("echo ran")
		if err != nil {
			t.Fatal(err)
		}
		frame := frameOf(t, s)
		for _, cut := range []string{"", frame[:3], frame[:len(frame)-2], "x" + frame} {
			got := f.run(t, text, cut)
			if word, ok := ParseRefusal(nonce, []byte(got.stderr)); !ok || word != RefusedInput || got.stdout != "" {
				t.Errorf("%d bytes: %q, %q", len(cut), got.stdout, got.stderr)
			}
		}
	})
}

func TestSecretNames(t *testing.T) {
	t.Parallel()
	for _, names := range [][]string{{"1A"}, {"A-B"}, {""}, {"A", "A"}, {"PATH"}, {"_A"}, {"LC_ALL"}, {"IFS"}, {"HOME"}, {"status"}} {
		if _, err := NewSecrets(names); err == nil {
			t.Errorf("%q is taken", names)
		}
	}
	s, err := NewSecrets([]string{"TOKEN", "http_proxy"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.Names(), []string{"TOKEN", "http_proxy"}) {
		t.Error(s.Names())
	}
	value := []byte("secret")
	if err := s.Fill([][]byte{value, bytes.Repeat([]byte("x"), MaxSecrets)}); err == nil || !bytes.Equal(value, make([]byte, 6)) {
		t.Errorf("%v; left %q", err, value)
	}
	if err := s.Fill([][]byte{[]byte("a\x00b"), nil}); err == nil {
		t.Error("a NUL byte is taken")
	}
	if err := (Wrap{Nonce: nonce, Secrets: s, Marker: &Marker{Run: "r"}, Detach: true}).Validate(); err == nil {
		t.Error("a detached command gets secrets")
	}
}
