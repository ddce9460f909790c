package transfer

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/ssh"
)

// asked pushes with a question, and returns how many bytes were sent and what was told.
func asked(t *testing.T, shell string, p *Push, dest string, cut int64) (v verdict, sent int64, told string) {
	t.Helper()
	x, v, ok, stderr := exchanged(t, os.Environ(), shell, p, dest, cut)
	if !ok {
		t.Errorf("no answer; stderr %q", stderr)
	}
	return v, x.sent(), x.stdout.(*bytes.Buffer).String()
}

// Only the bytes of files that the host lacks are sent, whatever the list is sent with.
func TestPushAsks(t *testing.T) {
	t.Parallel()
	eachShell(t, func(t *testing.T, shell string) {
		src, dir := filepath.Join(t.TempDir(), "tree"), t.TempDir()
		for name, text := range map[string]string{"a": strings.Repeat("a", 70_001), "b": "b", "sub/c": strings.Repeat("c", 65_536), "sub/d": "d", "e": ""} {
			write(t, filepath.Join(src, name), text, 0o644)
		}
		p := read(t, PushOptions{Mode: "600"}, src)
		for _, step := range []struct {
			change func()
			sent   int64
			same   int
		}{
			{func() {}, p.Size, 0},
			{func() {}, 0, 5},
			{func() { write(t, dir+"/tree/a", "x", 0o600); write(t, dir+"/tree/sub/d", "x", 0o644) }, 70_002, 3},
			{func() { _ = os.Remove(dir + "/tree/sub/c") }, 65_536, 4},
		} {
			step.change()
			if v, sent, _ := asked(t, shell, p, dir, -1); !v.done || !v.verified || sent != step.sent || v.same != step.same {
				t.Errorf("%+v, %d bytes sent; want %d, %d same", v, sent, step.sent, step.same)
			}
			wantTree(t, "asked", dir, "tree/", `tree/a 600 "aaaaaaaaaaaaaaaaaaaa"`, `tree/b 600 "b"`, `tree/e 600 ""`,
				"tree/sub/", `tree/sub/c 600 "cccccccccccccccccccc"`, `tree/sub/d 600 "d"`)
		}
		// What cannot be is refused before anything changes, and before a byte is sent.
		if err := errorsOf(os.Remove(dir+"/tree/sub/d"), os.Mkdir(dir+"/tree/sub/d", 0o700), os.Remove(dir+"/tree/a")); err != nil {
			t.Fatal(err)
		}
		if v, sent, _ := asked(t, shell, p, dir, -1); v.word != "is_directory" || sent > 70_001 {
			t.Errorf("%+v, %d bytes sent", v, sent)
		}
		if _, err := os.Stat(dir + "/tree/a"); err == nil {
			t.Error("a part was written")
		}
	})
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// A push that was cut off goes on where its bytes are right, and from the beginning where not.
func TestPushGoesOn(t *testing.T) {
	t.Parallel()
	eachShell(t, func(t *testing.T, shell string) {
		if strings.Contains(shell, "busybox") && testing.Short() {
			t.Skip()
		}
		src := filepath.Join(t.TempDir(), "f")
		text := strings.Repeat("0123456789abcdef", 5<<20/16) + "end"
		write(t, src, text, 0o644)
		p := read(t, PushOptions{}, src)
		for _, spoil := range []bool{false, true} {
			dir := t.TempDir()
			if v, _, _ := asked(t, shell, p, dir, 3<<20+5000); v.word != "digest_mismatch" {
				t.Errorf("cut: %+v", v)
			}
			left, _ := filepath.Glob(dir + "/.shoal-push.*.part-*/f")
			if len(left) != 1 {
				t.Fatalf("left: %q", tree(t, dir))
			}
			want := p.Size - 3<<20 + 1 // and the answer
			if spoil {
				f, err := os.OpenFile(left[0], os.O_WRONLY, 0)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = f.WriteAt([]byte("hole"), 1<<20)
				_ = f.Close()
				want = p.Size + 1
			}
			if v, sent, _ := asked(t, shell, p, dir, -1); !v.done || sent != want {
				t.Errorf("%+v, %d bytes sent, want %d", v, sent, want)
			}
			wantTree(t, "whole", dir, `f 644 "0123456789abcdef0123"`)
			if got, _ := os.ReadFile(dir + "/f"); string(got) != text {
				t.Errorf("%d bytes differ", len(got))
			}
		}
	})
}

// A tree that was cut off goes on within its large file, whatever is missing before and behind it.
func TestPushTreeGoesOn(t *testing.T) {
	t.Parallel()
	eachShell(t, func(t *testing.T, shell string) {
		if strings.Contains(shell, "busybox") && testing.Short() {
			t.Skip()
		}
		src := filepath.Join(t.TempDir(), "tree")
		text := strings.Repeat("0123456789abcdef", 5<<20/16) + "end"
		for name, text := range map[string]string{"a": "a", "b/big": text, "b/later": strings.Repeat("l", 3<<20), "c": "c"} {
			write(t, filepath.Join(src, name), text, 0o644)
		}
		p := read(t, PushOptions{}, src)
		for _, spoil := range []bool{false, true} {
			dir := t.TempDir()
			if v, _, _ := asked(t, shell, p, dir, 1+3<<20+5000); v.word != "digest_mismatch" {
				t.Errorf("cut: %+v", v)
			}
			left, _ := filepath.Glob(dir + "/tree/b/.shoal-push.*.part-*/f")
			if err := os.Remove(dir + "/tree/a"); len(left) != 1 || err != nil {
				t.Fatalf("left: %q, %v", tree(t, dir), err)
			}
			want := p.Size - 3<<20 + 1 // and the answer
			if spoil {
				write(t, left[0], "hole"+text[4:3<<20], 0o600)
				want = p.Size + 1
			}
			if v, sent, _ := asked(t, shell, p, dir, -1); !v.done || v.written != 4 || sent != want {
				t.Errorf("%+v, %d bytes sent, want %d", v, sent, want)
			}
			wantTree(t, "whole", dir, "tree/", `tree/a 644 "a"`, "tree/b/", `tree/b/big 644 "0123456789abcdef0123"`, `tree/b/later 644 "llllllllllllllllllll"`, `tree/c 644 "c"`)
			if got, _ := os.ReadFile(dir + "/tree/b/big"); string(got) != text {
				t.Errorf("%d bytes differ", len(got))
			}
		}
	})
}

// A dry run tells what would change, shows how, and changes nothing.
func TestPushDryRun(t *testing.T) {
	t.Parallel()
	eachShell(t, func(t *testing.T, shell string) {
		src, dir := t.TempDir(), t.TempDir()
		for name, text := range map[string]string{"new": "n\n", "same": "s\n", "text": "one\ntwo\n", "bin": "a\x00", "mode": "m"} {
			write(t, filepath.Join(src, name), text, 0o644)
		}
		write(t, src+"/sub/f", "f", 0o644)
		if err := os.Symlink("x", src+"/link"); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"same": "s\n", "text": "one\nTWO", "bin": "b\x00", "mode": "m"} {
			write(t, filepath.Join(dir, name), text, 0o644)
		}
		write(t, dir+"/mode", "m", 0o640)
		if err := os.Symlink("y", dir+"/link"); err != nil {
			t.Fatal(err)
		}
		before := tree(t, dir)
		v, sent, told := asked(t, shell, read(t, PushOptions{Diff: true, Mode: "644", Parents: true}, src+"/"), dir, -1)
		want := strings.NewReplacer("DIR", dir).Replace(`changed: DIR/bin
changed: DIR/link
mode 640, would be 644: DIR/mode
new: DIR/new
new: DIR/sub
new: DIR/sub/f
changed: DIR/text
--- DIR/text
+++ DIR/text (pushed)
@@ -1,2 +1,2 @@
 one
-TWO
\ No newline at end of file
+two
`)
		if !v.done || v.written != 6 || v.same != 2 || sent != 0 || told != want {
			t.Errorf("%+v, %d bytes sent, told\n%s\nwant\n%s", v, sent, told, want)
		}
		wantTree(t, "dry run", dir, before...)
		if v, _, told = asked(t, shell, read(t, PushOptions{DryRun: true, Parents: true}, src+"/same"), dir+"/a/b", -1); !v.done || told != "new: "+dir+"/a/b\n" {
			t.Errorf("%+v, %q", v, told)
		}
		wantTree(t, "dry run with parents", dir, before...)
	})
}

// sent returns how many bytes were sent.
func (x *exchange) sent() int64 {
	n := x.at
	for _, p := range x.parts { // all of them, unless it was cut
		n += p.size()
	}
	return n
}

// A diff is bounded, and the command for all of it is told.
func TestPushDiffIsBounded(t *testing.T) {
	t.Parallel()
	src := filepath.Join(t.TempDir(), "it's")
	write(t, src, strings.Repeat("new\n", 3000), 0o644)
	p := read(t, PushOptions{Diff: true}, src)
	var told bytes.Buffer
	x := p.exchange(nonce, ssh.Target{Target: fleet.Target{Host: fleet.Host{Name: "web1"}, Command: "/etc/a b"}}, &told)
	defer x.end()
	x.tellDiff(&p.Entries[0], []byte(strings.Repeat("old\n", 3000)))
	lines := strings.Split(told.String(), "\n")
	want := "/etc/a b: no more than 2000 lines are shown; for all: shoal pull -w web1 '/etc/a b' DIR, and diff it with " + hint.ShellWord(src)
	if len(lines) != 2000+5 || lines[2003] != want {
		t.Errorf("%d lines, the last %q, want %q", len(lines), lines[len(lines)-2], want)
	}
}

// A host shows only what it has in place of files that can be compared: others are not read into memory.
func TestPushDiffOfLarge(t *testing.T) {
	t.Parallel()
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, strings.Repeat("x", maxDiff+1), 0o644)
	p := read(t, PushOptions{Diff: true}, src)
	var told bytes.Buffer
	x := p.exchange(nonce, ssh.Target{Target: fleet.Target{Command: "/f"}}, &told)
	defer x.end()
	mark := string(newAnswer(nonce).mark)
	_, _ = x.Write([]byte(mark + "changed 1\n" + mark + "old 1\nold\n" + mark + "done 1 0 1\n"))
	if !x.last || told.String() != "changed: /f\n" {
		t.Errorf("last: %t, told %.200q", x.last, told.String())
	}
}

// An attempt ends while another one computes the sums of a file, and new ones begin.
func TestPushWaitsForNoSums(t *testing.T) {
	t.Parallel()
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, strings.Repeat("x", 3<<20), 0o644)
	p := read(t, PushOptions{}, src)
	if !p.prefix(t.Context(), &p.Entries[0], 1, fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Repeat("x", 1<<20))))) {
		t.Error("the first MiB is not known")
	}
	p.sums = map[*Entry][]string{}
	p.summing <- struct{}{} // the other one
	x := p.exchange(nonce, ssh.Target{Target: fleet.Target{Command: "/f"}}, nil)
	_, _ = x.Write([]byte(string(newAnswer(nonce).mark) + "part 1 1 00\n"))
	x.end()
	<-p.summing
}
