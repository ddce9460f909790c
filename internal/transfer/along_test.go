package transfer

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tools returns an environment whose PATH has programs of our own, as text of sh, before all others.
func tools(t *testing.T, programs map[string]string) []string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range programs {
		write(t, filepath.Join(dir, name), "#!/bin/sh\nPATH="+os.Getenv("PATH")+"\n"+text, 0o755)
	}
	return append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
}

// large writes a file that is read back while it comes, of two parts and a bit.
func large(t *testing.T) (path, text string) {
	t.Helper()
	path, text = filepath.Join(t.TempDir(), "f"), strings.Repeat("0123456789abcdef", alongFrom>>4)+"end"
	write(t, path, text, 0o644)
	return path, text
}

func wantLarge(t *testing.T, path, text string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != text {
		t.Errorf("%d bytes are not what was pushed: %v", len(got), err)
	}
	wantTree(t, "nothing else", filepath.Dir(path), `f 644 "0123456789abcdef0123"`)
}

// The digest of a large file is computed once, of what is read back while it comes.
func TestLargeFileIsHashedAlong(t *testing.T) {
	t.Parallel()
	path, text := large(t)
	eachShell(t, func(t *testing.T, shell string) {
		log := filepath.Join(t.TempDir(), "log")
		env := tools(t, map[string]string{"openssl": `[ -p /dev/stdin ] && echo pipe >>` + log + ` || echo file >>` + log + `; openssl "$@"`})
		for name, options := range map[string]PushOptions{"asked": {}, "not asked": {Checksum: "never"}} {
			dir := t.TempDir()
			if v, ok, e := pushedWith(t, env, shell, read(t, options, path), dir, -1); !ok || !v.done || !v.verified {
				t.Errorf("%s: %+v %q", name, v, e)
			}
			wantLarge(t, dir+"/f", text)
		}
		if got, err := os.ReadFile(log); err != nil || strings.Count(string(got), "pipe") != 2 || strings.Count(string(got), "file") != 2 { // once whether it is there
			t.Errorf("digests of: %q, %v", got, err)
		}
	})
}

// What is read back is the file: a byte that changes on its way to the disk is found.
func TestLargeFileThatIsSpoilt(t *testing.T) {
	t.Parallel()
	path, _ := large(t)
	// The first part, before it is read back.
	spoil := tools(t, map[string]string{"dd": `dd "$@"; s=$?
case "$*" in *count=512*) for f in .shoal-push.*/N0nce*; do [ -s "$f" ] && printf x | dd of="$f" bs=1 seek=5 conv=notrunc 2>/dev/null; done;; esac
exit $s`})
	// The second part cannot be written.
	full := tools(t, map[string]string{"dd": `for f in .shoal-push.*/N0nce*; do case "$*" in *count=512*) [ -s "$f" ] && { cat >/dev/null; exit 1; };; esac; done
exec dd "$@"`})
	none := tools(t, map[string]string{"openssl": "exit 127", "sha256sum": "exit 127", "shasum": "exit 127", "sha256": "exit 127"})
	other := tools(t, map[string]string{"dd": `case "$*" in *skip=*) echo not this dd; exit 1;; esac; exec dd "$@"`})
	eachShell(t, func(t *testing.T, shell string) {
		if strings.Contains(shell, "busybox") {
			t.Skip("its dd is its own")
		}
		push := func(env []string) (v verdict, dir string) {
			dir = t.TempDir()
			env = slices.Concat(env, []string{"HOME=" + dir})
			v, _, _ = pushedWith(t, env, "/bin/sh -c 'cd; exec \"$0\" \"$@\"' "+shell, read(t, PushOptions{}, path), dir, -1)
			return v, dir
		}
		for name, c := range map[string]struct {
			env  []string
			word string
		}{"spoilt": {spoil, "digest_mismatch"}, "full": {full, "write_failed"}} {
			v, dir := push(c.env)
			if v.done || v.word != c.word {
				t.Errorf("%s: %+v", name, v)
			}
			if c.word == "write_failed" {
				if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
					t.Errorf("%s: left %v, %v", name, left, err)
				}
			}
		}
		if v, dir := push(none); !v.done || v.verified {
			t.Errorf("without a tool: %+v in %s", v, dir)
		}
		if v, _ := push(other); !v.done || !v.verified {
			t.Errorf("another dd: %+v", v)
		}
	})
}

// A large file that was cut off goes on, and is hashed from its beginning.
func TestLargeFileGoesOn(t *testing.T) {
	t.Parallel()
	path, text := large(t)
	text += text[:40<<20]
	write(t, path, text, 0o644)
	p := read(t, PushOptions{}, path)
	eachShell(t, func(t *testing.T, shell string) {
		if testing.Short() {
			t.Skip()
		}
		cuts := []int64{70<<20 + 1, 34 << 20}
		if !strings.Contains(shell, "dash") {
			cuts = cuts[:1]
		}
		for _, cut := range cuts {
			dir := t.TempDir()
			if v, _, _ := asked(t, shell, p, dir, cut); v.word != "digest_mismatch" {
				t.Errorf("cut: %+v", v)
			}
			step := p.Entries[0].step()
			if v, sent, _ := asked(t, shell, p, dir, -1); !v.done || !v.verified || sent != p.Size-cut>>20/step*step<<20+1 {
				t.Errorf("after %d: %+v, %d bytes sent", cut, v, sent)
			}
			wantLarge(t, dir+"/f", text)
		}
		dir := t.TempDir()
		if v, _, _ := asked(t, shell, read(t, PushOptions{}, filepath.Dir(path)+"/"), dir, -1); !v.done || !v.verified {
			t.Errorf("in a tree: %+v", v)
		}
		wantLarge(t, dir+"/f", text)
	})
}
