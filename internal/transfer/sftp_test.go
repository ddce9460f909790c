package transfer

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/needs"
	"shoal/internal/ssh"
)

// bySFTP pushes to OpenSSH's server, started with these arguments.
func bySFTP(t *testing.T, p *Push, dest string, args ...string) (v verdict, told string) {
	t.Helper()
	v, told, _ = bySFTPCut(t, p, dest, 1<<40, args...)
	return v, told
}

// bySFTPCut is bySFTP with so many bytes at most, and returns how many were sent.
func bySFTPCut(t *testing.T, p *Push, dest string, cut int64, args ...string) (v verdict, told string, sent int64) {
	t.Helper()
	server := needs.Program(t, "/usr/lib/openssh/sftp-server")
	var stdout bytes.Buffer
	s := newSFTPPush(p, nonce, ssh.Target{Target: fleet.Target{Command: dest}}, &stdout)
	cmd := exec.CommandContext(t.Context(), server, args...)
	cmd.Stdout = s
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f := &fed{x: s, left: cut, wake: make(chan struct{}, 1), over: make(chan struct{})}
	var feeding sync.WaitGroup
	feeding.Go(func() {
		_, _ = io.Copy(input, struct{ io.Reader }{f})
		_ = input.Close()
	})
	_ = cmd.Wait()
	close(f.over)
	feeding.Wait()
	s.end()
	return s.verdict, stdout.String(), f.at
}

// SFTP writes what the shell would, and refuses what it would.
func TestSFTPPush(t *testing.T) {
	t.Parallel()
	src := filepath.Join(t.TempDir(), "it's a file")
	write(t, src, strings.Repeat("new\n", 100_000), 0o644)
	for name, c := range map[string]struct {
		before  []string
		dest    string
		options PushOptions
		word    string
		after   []string
	}{
		"new":               {nil, "f", PushOptions{}, "", []string{"f 644"}},
		"replaced":          {[]string{"f"}, "f", PushOptions{}, "", []string{"f 640"}},
		"mode":              {[]string{"f"}, "f", PushOptions{Mode: "0751"}, "", []string{"f 751"}},
		"in a directory":    {[]string{"d/"}, "d", PushOptions{}, "", []string{"d/", "d/it's a file 644"}},
		"with slash":        {[]string{"d/"}, "d/", PushOptions{}, "", []string{"d/", "d/it's a file 644"}},
		"link":              {[]string{"f", "l -> f"}, "l", PushOptions{}, "", []string{"f 640", "l -> f"}},
		"dangling link":     {[]string{"l -> f"}, "l", PushOptions{}, "", []string{"f 644", "l -> f"}},
		"no follow":         {[]string{"f", "l -> f"}, "l", PushOptions{NoFollow: true}, "", []string{`f 640 "old"`, "l 644"}},
		"circle":            {[]string{"l -> l"}, "l", PushOptions{}, "not_regular", []string{"l -> l"}},
		"directory":         {[]string{"d/", "d/it's a file/"}, "d", PushOptions{}, "is_directory", []string{"d/", "d/it's a file/"}},
		"no parent":         {nil, "a/b/f", PushOptions{}, "no_parent", nil},
		"no directory":      {nil, "a/", PushOptions{}, "no_parent", nil},
		"parents":           {nil, "a/b/f", PushOptions{Parents: true}, "", []string{"a/", "a/b/", "a/b/f 644"}},
		"parents, slash":    {nil, "a/b/", PushOptions{Parents: true}, "", []string{"a/", "a/b/", "a/b/it's a file 644"}},
		"file as directory": {[]string{"f"}, "f/", PushOptions{Parents: true}, "not_directory", []string{`f 640 "old"`}},
		"backup":            {[]string{"f"}, "f", PushOptions{Backup: true}, "", []string{"f 640", `f~ 640 "old"`}},
		"in place":          {[]string{"f"}, "f", PushOptions{InPlace: true}, "", []string{"f 640"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, b := range c.before {
				make1(t, dir, b)
			}
			for i, a := range c.after {
				if !strings.HasSuffix(a, "/") && !strings.Contains(a, " -> ") && !strings.HasSuffix(a, `"`) {
					c.after[i] += ` "new\nnew\nnew\nnew\nnew\n"`
				}
			}
			p := read(t, c.options, src)
			for again := range 2 {
				v, _ := bySFTP(t, p, dir+"/"+c.dest)
				if v.word != c.word && !v.done || v.done != (c.word == "") || v.done && (v.same != again || v.written != 1-again) {
					t.Errorf("time %d: %+v", again+1, v)
				}
			}
			wantTree(t, name, dir, c.after...)
		})
	}
}

func make1(t *testing.T, dir, what string) {
	t.Helper()
	from, to, link := strings.Cut(what, " -> ")
	switch {
	case link:
		if err := os.Symlink(to, filepath.Join(dir, from)); err != nil {
			t.Fatal(err)
		}
	case strings.HasSuffix(what, "/"):
		if err := os.MkdirAll(filepath.Join(dir, what), 0o755); err != nil {
			t.Fatal(err)
		}
	default:
		write(t, filepath.Join(dir, what), "old", 0o640)
	}
}

// A tree arrives as it is, a dry run changes nothing, and what a server cannot do is said.
func TestSFTPPushTree(t *testing.T) {
	t.Parallel()
	src, dir := filepath.Join(t.TempDir(), "tree"), t.TempDir()
	write(t, src+"/a\nb/it's", "x\n", 0o755)
	write(t, src+"/empty", "", 0o644)
	write(t, src+"/big", strings.Repeat("b", 3_000_001), 0o644)
	if err := os.Symlink("../no where", src+"/link"); err != nil {
		t.Fatal(err)
	}
	want := []string{"tree/", "tree/a\nb/", "tree/a\nb/it's 755 \"x\\n\"", `tree/big 644 "bbbbbbbbbbbbbbbbbbbb"`, `tree/empty 644 ""`, "tree/link -> ../no where"}
	p := read(t, PushOptions{Times: true}, src)
	for again := range 2 {
		if v, _ := bySFTP(t, p, dir); !v.done || v.written == 0 != (again == 1) {
			t.Errorf("%+v", v)
		}
		wantTree(t, "tree", dir, want...)
	}
	here, _ := os.Stat(src + "/big")
	there, err := os.Stat(dir + "/tree/big")
	if err != nil || !there.ModTime().Equal(here.ModTime().Truncate(time.Second)) {
		t.Errorf("time %v, want %v", there.ModTime(), here.ModTime())
	}
	write(t, dir+"/tree/a\nb/it's", "y\n", 0o755)
	before := tree(t, dir)
	v, told := bySFTP(t, read(t, PushOptions{Diff: true}, src), dir)
	if !v.done || v.written != 1 || !strings.Contains(told, "-y\n+x\n") {
		t.Errorf("%+v, %q", v, told)
	}
	wantTree(t, "diff", dir, before...)
	no := []string{"-P", "posix-rename"}
	if v, _ := bySFTP(t, p, dir, no...); v.word != "no_atomic_replace" {
		t.Errorf("without posix-rename: %+v", v)
	}
	wantTree(t, "not replaced", dir, before...)
	if v, _ := bySFTP(t, read(t, PushOptions{ReplaceUnsafe: true, Via: "sftp"}, src), dir, no...); !v.done || v.written != 1 {
		t.Errorf("unsafe: %+v", v)
	}
	wantTree(t, "replaced", dir, want...)
	if v, _ := bySFTP(t, p, dir, "-R"); v.word != "" && v.done {
		t.Errorf("read-only: %+v", v)
	}
	if v, _ := bySFTP(t, p, "/proc"); v.done || v.word == "" {
		t.Errorf("to /proc: %+v", v)
	}
}

// A push of the same run goes on where it was cut off and what is there is right, in a tree too, and
// removes what others left.
func TestSFTPPushGoesOn(t *testing.T) {
	t.Parallel()
	src := filepath.Join(t.TempDir(), "tree")
	text := strings.Repeat("0123456789abcdef", 5<<20/16) + "end"
	for name, text := range map[string]string{"a": "a", "b/a": "a", "b/big": text, "c": "c"} {
		write(t, filepath.Join(src, name), text, 0o644)
	}
	p := read(t, PushOptions{}, src)
	p.Run = "run"
	for _, spoil := range []int64{-1, 1 << 20} {
		dir := t.TempDir()
		for name, age := range map[string]time.Duration{"old": 49 * time.Hour, "new": time.Hour} {
			then := time.Now().Add(-age)
			stranger := dir + "/tree/b/.shoal-push." + name
			write(t, stranger+"/f", "part", 0o600)
			if err := errorsOf(os.Chtimes(stranger+"/f", then, then), os.Chtimes(stranger, then, then)); err != nil {
				t.Fatal(err)
			}
		}
		if v, _, _ := bySFTPCut(t, p, dir, 3<<20); v.done {
			t.Errorf("cut: %+v", v)
		}
		left, _ := filepath.Glob(dir + "/tree/b/.shoal-push.*" + "/f")
		if len(left) != 3 {
			t.Fatalf("left: %q", tree(t, dir))
		}
		want := int64(3 << 20)
		if spoil >= 0 {
			for _, name := range left {
				if f, err := os.OpenFile(name, os.O_WRONLY, 0); err == nil && !strings.Contains(name, "-push.old") && !strings.Contains(name, "-push.new") {
					_, _ = f.WriteAt([]byte("hole"), spoil)
					_ = f.Close()
				}
			}
			want = 5 << 20
		}
		if v, _, sent := bySFTPCut(t, p, dir, 1<<40); !v.done || sent > want || sent < want-1<<20 {
			t.Errorf("%+v, %d bytes sent, want %d", v, sent, want)
		}
		wantTree(t, "whole", dir, "tree/", `tree/a 644 "a"`, "tree/b/", "tree/b/.shoal-push.new/", `tree/b/.shoal-push.new/f 600 "part"`, `tree/b/a 644 "a"`, `tree/b/big 644 "0123456789abcdef0123"`, `tree/c 644 "c"`)
		if got, _ := os.ReadFile(dir + "/tree/b/big"); string(got) != text {
			t.Errorf("%d bytes differ", len(got))
		}
	}
}

// A file is read back while it is written, on every server: with short answers, in any order, with no handles
// for both, and where nothing that is written can be read before the file is closed. What is not as
// written is found, and so is what follows it.
func TestSFTPPushReadsBack(t *testing.T) {
	t.Parallel()
	text := make([]byte, backFrom+100_001)
	random := rand.New(rand.NewPCG(7, 8)) //nolint:gosec // any bytes do
	for i := range text {
		text[i] = byte(random.IntN(256)) //nolint:gosec // a byte
	}
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, string(text), 0o644)
	hashedAside := filepath.Join(t.TempDir(), "f")
	write(t, hashedAside, strings.Repeat("0123456789abcdef", alongFrom>>4)+"end", 0o644)
	for name, c := range map[string]struct {
		large   bool // it is hashed on a goroutine
		oneWay  bool // no file is read and written
		later   bool // nothing can be read before the file is closed
		spoil   bool // a byte is not stored as it was sent
		longer  bool // there is more than was written
		opened  int  // so often
		outcome string
	}{
		"both ways":   {opened: 1},
		"large":       {large: true, opened: 1},
		"large spoil": {large: true, spoil: true, opened: 2, outcome: "digest_mismatch"},
		"one way":     {oneWay: true, opened: 3},
		"late":        {later: true, opened: 2},
		"spoilt":      {spoil: true, opened: 2, outcome: "digest_mismatch"},
		"longer":      {longer: true, opened: 2, outcome: "digest_mismatch"},
		"spoilt, one": {oneWay: true, spoil: true, opened: 3, outcome: "digest_mismatch"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(9, 10)) //nolint:gosec // any order does
			src, text := src, text
			if c.large {
				src, text = hashedAside, []byte(strings.Repeat("0123456789abcdef", alongFrom>>4)+"end")
			}
			s := newSFTPPush(read(t, PushOptions{}, src), nonce, ssh.Target{Target: fleet.Target{Command: "/d/f"}}, nil)
			var stored []byte
			opened, closed := 0, false
			h := &hostile{answer: func(kind byte, f fields) []byte {
				switch at := f.text(); kind {
				case fxStat, fxLstat:
					if at == "/d" {
						return packed(fxAttrs, uint32(attrPerm), uint32(modeDir|0o755))
					}
					return packed(fxStatus, uint32(statusNoFile), "", "")
				case fxOpen:
					if opened++; c.oneWay && f.uint32()&(openRead|openWrite) == openRead|openWrite {
						return packed(fxStatus, uint32(4), "", "")
					}
					return packed(fxHandle, "h")
				case fxClose:
					closed = true
				case fxWrite:
					off := int(f.uint64()) //nolint:gosec // small
					b := f.bytes()
					stored = append(stored, make([]byte, max(0, off+len(b)-len(stored)))...)
					copy(stored[off:], b)
					if c.spoil && off == 0 {
						stored[7]++
					}
					if c.longer && off+len(b) == len(text) {
						stored = append(stored, 'x')
					}
				case fxRead:
					if random.IntN(4) == 0 {
						return nil // later
					}
					off, n := int(f.uint64()), int(f.uint32()) //nolint:gosec // small
					switch {
					case c.later && !closed:
						return packed(fxStatus, uint32(4), "", "")
					case off >= len(stored):
						return eof
					}
					b := stored[off:min(off+n, len(stored))]
					return packed(fxData, string(b[:1+random.IntN(len(b))]))
				}
				return packed(fxStatus, uint32(0), "", "")
			}}
			s.has[extRename] = true
			h.serve(s, 1_000_000)
			s.end()
			if v := s.verdict; v.done != (c.outcome == "") || !v.done && v.word != c.outcome || opened != c.opened {
				t.Errorf("%+v, opened %d times, want %d", v, opened, c.opened)
			}
		})
	}
}

// What a server does not say of a file is not 0: no owner is guessed, and no file without a kind is replaced.
func TestSFTPPushAttributes(t *testing.T) {
	t.Parallel()
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, "new", 0o644)
	const root, worker = 0, 1000
	attrs := func(has, owner uint32, mode uint32) []byte {
		f := []any{has}
		if has&attrSize != 0 {
			f = append(f, int64(3))
		}
		if has&attrOwner != 0 {
			f = append(f, owner, owner)
		}
		if has&attrPerm != 0 {
			f = append(f, mode)
		}
		return packed(fxAttrs, f...)
	}
	for name, c := range map[string]struct {
		old, written []byte // attributes of the file that is there, and of the new one
		word         string
		set          []uint32 // what is set of the new one
	}{
		"all":                     {attrs(attrSize|attrOwner|attrPerm, worker, modeFile|0o640), attrs(attrOwner|attrPerm, root, modeFile|0o600), "", []uint32{attrOwner, attrPerm}},
		"the same owner":          {attrs(attrOwner|attrPerm, root, modeFile|0o640), attrs(attrOwner|attrPerm, root, modeFile|0o600), "", []uint32{attrPerm}},
		"no owner":                {attrs(attrSize|attrPerm, 0, modeFile|0o640), attrs(attrPerm, 0, modeFile|0o600), "", []uint32{attrPerm}},
		"no owner of the new one": {attrs(attrOwner|attrPerm, root, modeFile|0o640), attrs(attrPerm, 0, modeFile|0o600), "", []uint32{attrOwner, attrPerm}},
		"no kind":                 {attrs(attrSize|attrOwner, root, 0), nil, "not_regular", nil},
		"nothing":                 {attrs(0, 0, 0), nil, "not_regular", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSFTPPush(read(t, PushOptions{}, src), nonce, ssh.Target{Target: fleet.Target{Command: "/d/f"}}, nil)
			var set []uint32
			var stored, renamed bool
			h := &hostile{answer: func(kind byte, f fields) []byte {
				at := f.text()
				switch kind {
				case fxStat, fxLstat:
					switch {
					case at == "/d":
						return packed(fxAttrs, uint32(attrPerm), uint32(modeDir|0o755))
					case at == "/d/f":
						return c.old
					case stored:
						return c.written
					}
					return packed(fxStatus, uint32(statusNoFile), "", "")
				case fxOpen:
					stored = stored || at != "/d/f"
					return packed(fxHandle, "h")
				case fxRead:
					text := map[bool]string{false: "old", true: "new"}[stored]
					if off := f.uint64(); off < 3 {
						return packed(fxData, text[off:])
					}
					return eof
				case fxSetstat:
					set = append(set, f.uint32())
				case fxRemove, fxRename:
					if at == "/d/f" {
						t.Errorf("request %d for what is there", kind)
					}
				case fxExtended:
					renamed = renamed || at == extRename
				}
				return packed(fxStatus, uint32(0), "", "")
			}}
			s.has[extRename] = true
			h.serve(s, 1000)
			s.end()
			if v := s.verdict; v.word != c.word && !v.done || v.done != (c.word == "") || renamed != v.done || !slices.Equal(set, c.set) {
				t.Errorf("%+v; set %v, want %v; renamed %v", v, set, c.set, renamed)
			}
		})
	}
}

// A hostile server ends the attempt, and no more.
// faults.md: S24
func TestSFTPHostile(t *testing.T) {
	t.Parallel()
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, "f", 0o644)
	p := read(t, PushOptions{}, src)
	version := "\x00\x00\x00\x05\x02\x00\x00\x00\x03"
	for name, text := range map[string]string{
		"noise":       "Welcome\n" + strings.Repeat("x", 1000),
		"huge":        "\xff\xff\xff\xff\x02",
		"empty":       "\x00\x00\x00\x00",
		"no question": version + "\x00\x00\x00\x09\x65\x00\x00\x00\x77\x00\x00\x00\x00",
		"twice":       version + strings.Repeat("\x00\x00\x00\x09\x65\x00\x00\x00\x01\x00\x00\x00\x04", 3),
		"short":       version + "\x00\x00\x00\x05\x69\x00\x00\x00\x01",
	} {
		s := newSFTPPush(p, nonce, ssh.Target{Target: fleet.Target{Command: "/tmp/f"}}, nil)
		s.Notify(func() {})
		for part := range strings.SplitSeq(text, "") { // a byte at a time
			_, _ = s.Write([]byte(part))
		}
		s.end()
		if s.verdict.done {
			t.Errorf("%s: done", name)
		}
		s = newSFTPPush(p, nonce, ssh.Target{Target: fleet.Target{Command: "/tmp/f"}}, nil) // before it was asked
		_, _ = s.Write([]byte(text))
		s.Notify(func() {})
		s.end()
	}
}

// The exit status of an SFTP server says nothing of files that were read back.
func TestSFTPPushStatus(t *testing.T) {
	t.Parallel()
	src := filepath.Join(t.TempDir(), "f")
	write(t, src, "f", 0o644)
	p := read(t, PushOptions{}, src)
	for _, c := range []struct {
		v    verdict
		want fleet.Outcome
	}{{verdict{done: true, written: 1, word: "write_failed"}, fleet.OutcomeOK}, {verdict{word: "no_space", entry: -1}, fleet.OutcomeFailed}, {verdict{}, fleet.OutcomeUnknown}} {
		s := newSFTPPush(p, nonce, ssh.Target{Target: fleet.Target{Command: "/tmp/f"}}, nil)
		s.runs.Progress, s.verdict = new(ssh.Progress), c.v
		for status := range uint32(2) {
			if end := s.judge(fleet.Exited(fleet.PhaseRun, status, "", true)); end.Outcome != c.want || c.want == fleet.OutcomeOK && end.Status != 0 {
				t.Errorf("%+v, status %d: %v(%s), status %d", c.v, status, end.Outcome, end.Reason, end.Status)
			}
		}
	}
}
