package textdiff

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"shoal/internal/needs"
)

func TestUnified(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{"", "", ""},
		{"x\n", "x\n", ""},
		{"", "x\n", "--- a\n+++ b\n@@ -0,0 +1 @@\n+x\n"},
		{"x\n", "", "--- a\n+++ b\n@@ -1 +0,0 @@\n-x\n"},
		{"1\n2\n3\n", "1\n3\n", "--- a\n+++ b\n@@ -1,3 +1,2 @@\n 1\n-2\n 3\n"},
		{"x", "x\n", "--- a\n+++ b\n@@ -1 +1 @@\n-x\n\\ No newline at end of file\n+x\n"},
		{"\x00", "x", "Binary files a and b differ\n"},
		{
			"1\n2\n3\n4\n5\n6\n7\n8\n9\n", "x\n2\n3\n4\n5\n6\n7\n8\ny\n",
			"--- a\n+++ b\n@@ -1,4 +1,4 @@\n-1\n+x\n 2\n 3\n 4\n@@ -6,4 +6,4 @@\n 6\n 7\n 8\n-9\n+y\n",
		},
	} {
		if got, truncated := Unified("a", []byte(c.a), "b", []byte(c.b)); got != c.want || truncated {
			t.Errorf("%q and %q:\n%s", c.a, c.b, got)
		}
	}
	long := strings.Repeat("line\n", MaxLines+10)
	got, truncated := Unified("a", nil, "b", []byte(long))
	if strings.Count(got, "\n+line") != MaxLines || !truncated {
		t.Errorf("%d lines, %t", strings.Count(got, "\n"), truncated)
	}
	if got, truncated := Unified("a", nil, "b", make([]byte, 1)); got != "Binary files a and b differ\n" || truncated {
		t.Error(got)
	}
	if got, truncated := Unified("a", nil, "b", []byte(strings.Repeat("x", MaxText+1))); got != "Files a and b differ\n" || !truncated {
		t.Error(got)
	}
}

// patch makes b of a with each diff.
func TestPatchTakesIt(t *testing.T) {
	patch := needs.Program(t, "patch")
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 20 {
		var a, b strings.Builder
		for range r.IntN(60) {
			line := fmt.Sprintf("line %d\n", r.IntN(10))
			if r.IntN(5) > 0 {
				a.WriteString(line)
			}
			if r.IntN(5) > 0 {
				b.WriteString(line)
			}
		}
		if i%3 == 0 {
			b.WriteString("no newline")
		}
		if a.Len() == 0 || b.Len() == 0 {
			continue
		}
		diff, _ := Unified("a", []byte(a.String()), "b", []byte(b.String()))
		if a.String() == b.String() {
			continue
		}
		file := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(file, []byte(a.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), patch, "--fuzz=0", "-s", file)
		cmd.Stdin = strings.NewReader(diff)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s\n%s", err, out, diff)
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != b.String() {
			t.Fatalf("%v\n%s\nmade %q of %q", err, diff, got, a.String())
		}
	}
}
