package auth_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/internal/ssh/auth"
)

func TestASecretShowsNowhere(t *testing.T) {
	t.Parallel()
	given := []byte(canary)
	s := auth.NewSecret(given)
	if !bytes.Equal(given, make([]byte, len(canary))) {
		t.Errorf("what it was made from is %q", given)
	}
	type holder struct {
		Name   string
		Secret auth.Secret
		Many   map[string]auth.Secret
		Ptr    *auth.Secret
	}
	h := holder{"h", s, map[string]auth.Secret{"a": s}, &s}
	for _, value := range []any{s, &s, h, &h, []auth.Secret{s}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%t", "%10.3s", "%p"} {
			text := fmt.Sprintf(verb, value)
			wantNoCanary(t, text)
			if strings.Contains(text, fmt.Sprintf("%x", canary)) || strings.Contains(text, strings.Trim(fmt.Sprintf("%d", []byte(canary)), "[]")) {
				t.Errorf("%s shows it: %q", verb, text)
			}
		}
		if j, err := json.Marshal(value); err != nil || !bytes.Contains(j, []byte(`"[secret]"`)) {
			t.Errorf("%s, %v", j, err)
		} else {
			wantNoCanary(t, string(j))
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", value)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", value)
		wantNoCanary(t, log.String())
		wantNoCanary(t, fmt.Errorf("with %v: %s", value, s).Error())
	}
	for _, text := range []string{s.String(), s.GoString(), fmt.Sprintf("%s", s), fmt.Sprintf("%x", s), s.LogValue().String()} {
		if text != "[secret]" {
			t.Errorf("%q, want [secret]", text)
		}
	}
}

func TestASecretIsCopiedAndOverwritten(t *testing.T) {
	t.Parallel()
	s := auth.NewSecret([]byte(canary))
	copied := s
	revealed := s.Reveal()
	if string(revealed) != canary || s.Empty() {
		t.Fatalf("%q", revealed)
	}
	clear(revealed)
	if string(s.Reveal()) != canary {
		t.Error("overwriting what was revealed overwrites the secret")
	}
	s.Wipe()
	if !copied.Empty() || len(copied.Reveal()) != 0 {
		t.Error("a copy outlives it")
	}
	var zero auth.Secret
	zero.Wipe()
	if !zero.Empty() || zero.Reveal() != nil {
		t.Error("the zero value is not empty")
	}
}

func fdOf(t testing.TB, content string) int {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	if _, err := w.WriteString(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return int(r.Fd())
}

func TestSources(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1024)
	for _, c := range []struct{ content, want, cause string }{
		{canary, canary, ""},
		{canary + "\n", canary, ""},
		{canary + "\r\n", canary, ""},
		{canary + "\nmore\n", canary, ""},
		{" a b \n", " a b ", ""},
		{long + "\r\n", long, ""},
		{"", "", "its first line is empty"},
		{"\n" + canary, "", "its first line is empty"},
		{long + "x\n", "", "its line is longer than 1024 bytes"},
		{canary + strings.Repeat("x", 40000), "", "its line is longer than 1024 bytes"},
	} {
		for name, source := range map[string]auth.Source{
			"file": auth.FromFile(plainFile(t, []byte(c.content))),
			"fd":   auth.FromFD(fdOf(t, c.content)),
		} {
			got, err := source(t.Context())
			if string(got) != c.want || (err == nil) != (c.cause == "") || err != nil && !strings.Contains(err.Error(), c.cause) {
				t.Errorf("%s with %.30q: %.30q, %v; want %.30q, %q", name, c.content, got, err, c.want, c.cause)
			}
			if err != nil {
				wantNoCanary(t, err.Error())
			}
		}
	}
}

// The text after the line is left for another reader.
func TestADescriptorIsReadNoFurther(t *testing.T) {
	t.Parallel()
	fd := fdOf(t, "one\ntwo\n")
	for _, want := range []string{"one", "two"} {
		if got, err := auth.FromFD(fd)(t.Context()); err != nil || string(got) != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	if _, err := auth.FromFD(1 << 20)(t.Context()); err == nil || !strings.Contains(err.Error(), "file descriptor 1048576") {
		t.Error(err)
	}
}

func TestPasswordFilesThatAreRefused(t *testing.T) {
	t.Parallel()
	open := plainFile(t, []byte(canary))
	if err := os.Chmod(open, 0o640); err != nil {
		t.Fatal(err)
	}
	for path, cause := range map[string]string{
		open:                               "its mode 0640 lets others at it\nhint: chmod 600",
		t.TempDir():                        "it is not a regular file",
		filepath.Join(t.TempDir(), "none"): "no such file",
	} {
		_, err := auth.FromFile(path)(t.Context())
		if err == nil || !strings.Contains(err.Error(), cause) {
			t.Errorf("%v, want %q", err, cause)
		}
		wantNoCanary(t, fmt.Sprint(err))
	}
}

// One passphrase from a descriptor opens every file that needs one.
func TestAPassphraseFromADescriptor(t *testing.T) {
	t.Parallel()
	ask := auth.FromFD(fdOf(t, canary+"\n")).Passphrase(t.Context())
	s := load(t, auth.Options{
		Files:      []string{keyFile(t, edKey(t), canary), keyFile(t, ecdsaKey(t), canary), pemFile(t, encryptedPEM(t, canary))},
		Passphrase: ask,
	})
	if len(s.Keys()) != 3 || len(s.Notices()) != 0 {
		t.Errorf("%d keys, notices %q", len(s.Keys()), s.Notices())
	}
}
