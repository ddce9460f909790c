package transfer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"shoal/fleet"
	"shoal/internal/ssh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const nonce = "N0nceN0nceN0nceN0nceN0nce0"

// shells are how to start sh.
var shells = map[string][]string{"dash": {"dash"}, "bash": {"bash"}, "busybox": {"busybox", "sh"}, "mksh": {"mksh"}, "zsh": {"zsh", "--emulate", "sh"}}

// eachShell runs f with every shell that this machine has.
func eachShell(t *testing.T, f func(t *testing.T, shell string)) {
	for name, words := range shells {
		path, err := exec.LookPath(words[0])
		if err != nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, strings.Join(append([]string{path}, words[1:]...), " "))
		})
	}
}

// pushed runs the script of a push here, as sshd would, with the first cut bytes of its input;
// negative means all.
func pushed(t *testing.T, shell string, p *Push, dest string, cut int64) (v verdict, ok bool, stderr string) {
	t.Helper()
	return pushedWith(t, os.Environ(), shell, p, dest, cut)
}

func pushedWith(t *testing.T, env []string, shell string, p *Push, dest string, cut int64) (v verdict, ok bool, stderr string) {
	t.Helper()
	_, v, ok, stderr = exchanged(t, env, shell, p, dest, cut)
	return v, ok, stderr
}

// exchanged is pushedWith, which also returns the exchange, if there was a question.
func exchanged(t *testing.T, env []string, shell string, p *Push, dest string, cut int64) (x *exchange, v verdict, ok bool, stderr string) {
	t.Helper()
	return exchangedAs(t, nonce, env, shell, p, dest, cut)
}

// exchangedAs is exchanged with a nonce of its own.
func exchangedAs(t *testing.T, nonce string, env []string, shell string, p *Push, dest string, cut int64) (x *exchange, v verdict, ok bool, stderr string) {
	t.Helper()
	line, before, err := p.request(dest, nonce)
	if err != nil {
		t.Fatal(err)
	}
	line = strings.Replace(line, "exec /bin/sh", "exec "+shell, 1)
	in := ssh.JoinInputs(strings.NewReader(before), p.payload)
	if cut < 0 {
		cut = in.Size() + 1
	}
	a, e := newAnswer(nonce), new(bytes.Buffer)
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", "echo noise; "+line)
	cmd.Env, cmd.Stderr = env, e
	if !p.asks() {
		cmd.Stdin, cmd.Stdout = struct{ io.Reader }{io.NewSectionReader(in, 0, min(cut, in.Size()))}, a
		_ = cmd.Run()
		v, ok = a.parse(len(p.Entries))
		return nil, v, ok, e.String()
	}
	x = p.exchange(nonce, ssh.Target{Target: fleet.Target{Command: dest}}, new(bytes.Buffer))
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = x
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f := &fed{x: x, left: cut, wake: make(chan struct{}, 1), over: make(chan struct{})}
	var feeding sync.WaitGroup
	feeding.Go(func() {
		_, _ = io.Copy(input, struct{ io.Reader }{f})
		_ = input.Close()
	})
	_ = cmd.Wait()
	close(f.over)
	feeding.Wait()
	x.end()
	v, ok = x.line.parse(len(p.Entries))
	return x, v, ok, e.String()
}

// fed reads what an exchange sends, up to a number of bytes.
type fed struct {
	x    ssh.Stream
	at   int64
	left int64
	wake chan struct{} // sent by the exchange; one stands for all
	over chan struct{} // closed when the shell has ended
}

func (f *fed) Read(p []byte) (int, error) {
	if f.at == 0 {
		f.x.Notify(func() {
			select {
			case f.wake <- struct{}{}:
			default:
			}
		})
	}
	for {
		if p = p[:min(int64(len(p)), f.left)]; len(p) == 0 {
			return 0, io.EOF
		}
		n, err := f.x.Next(p, f.at)
		if f.at, f.left = f.at+int64(n), f.left-int64(n); n > 0 || err != nil {
			return n, err
		}
		select {
		case <-f.wake:
		case <-f.over:
			return 0, io.EOF
		}
	}
}

func read(t *testing.T, o PushOptions, sources ...string) *Push {
	t.Helper()
	m, err := Read(context.Background(), sources, o.CopyLinks)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return &Push{Manifest: m, Options: o}
}

func write(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// tree lists what is below dir: paths, modes and contents.
func tree(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		if err != nil || at == dir {
			return err
		}
		rel, _ := filepath.Rel(dir, at)
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			list = append(list, rel+"/")
		case info.Mode()&fs.ModeSymlink != 0:
			target, _ := os.Readlink(at)
			list = append(list, rel+" -> "+target)
		default:
			text, err := os.ReadFile(at)
			if err != nil {
				return err
			}
			list = append(list, fmt.Sprintf("%s %o %.20q", rel, info.Mode().Perm(), text))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func wantTree(t *testing.T, what, dir string, want ...string) {
	t.Helper()
	if got := tree(t, dir); !slices.Equal(got, want) {
		t.Errorf("%s: there is\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Where a file goes is one rule, and what cannot be written is refused with its reason and
// leaves all as it was.
func TestPushDest(t *testing.T) {
	t.Parallel()
	eachShell(t, func(t *testing.T, shell string) {
		src := filepath.Join(t.TempDir(), "it's a file")
		write(t, src, "new\n", 0o644)
		for name, c := range map[string]struct {
			before  []string // of dir: name, name/, name -> target
			dest    string
			options PushOptions
			word    string // "" if it is written
			after   []string
		}{
			"new":               {nil, "f", PushOptions{}, "", []string{`f 644 "new\n"`}},
			"odd name":          {nil, "a\n'$x\\! ", PushOptions{}, "", []string{"a\n'$x\\!  644 \"new\\n\""}},
			"replaced":          {[]string{"f"}, "f", PushOptions{}, "", []string{`f 640 "new\n"`}},
			"mode":              {[]string{"f"}, "f", PushOptions{Mode: "0751"}, "", []string{`f 751 "new\n"`}},
			"in a directory":    {[]string{"d/"}, "d", PushOptions{}, "", []string{"d/", `d/it's a file 644 "new\n"`}},
			"with slash":        {[]string{"d/"}, "d/", PushOptions{}, "", []string{"d/", `d/it's a file 644 "new\n"`}},
			"link to directory": {[]string{"d/", "l -> d"}, "l", PushOptions{}, "", []string{"d/", `d/it's a file 644 "new\n"`, "l -> d"}},
			"link":              {[]string{"f", "l -> f"}, "l", PushOptions{}, "", []string{`f 640 "new\n"`, "l -> f"}},
			"dangling link":     {[]string{"l -> f"}, "l", PushOptions{}, "", []string{`f 644 "new\n"`, "l -> f"}},
			"no follow":         {[]string{"f", "l -> f"}, "l", PushOptions{NoFollow: true}, "", []string{`f 640 "old"`, `l 644 "new\n"`}},
			"circle":            {[]string{"l -> l"}, "l", PushOptions{}, "not_regular", []string{"l -> l"}},
			"directory":         {[]string{"d/", "d/it's a file/"}, "d", PushOptions{}, "is_directory", []string{"d/", "d/it's a file/"}},
			"no parent":         {nil, "a/b/f", PushOptions{}, "no_parent", nil},
			"no directory":      {nil, "a/", PushOptions{}, "no_parent", nil},
			"parents":           {nil, "a/b/f", PushOptions{Parents: true}, "", []string{"a/", "a/b/", `a/b/f 644 "new\n"`}},
			"parents, slash":    {nil, "a/b/", PushOptions{Parents: true}, "", []string{"a/", "a/b/", `a/b/it's a file 644 "new\n"`}},
			"file as directory": {[]string{"f"}, "f/", PushOptions{Parents: true}, "not_directory", []string{`f 640 "old"`}},
			"backup":            {[]string{"f"}, "f", PushOptions{Backup: true}, "", []string{`f 640 "new\n"`, `f~ 640 "old"`}},
			"in place":          {[]string{"f"}, "f", PushOptions{InPlace: true}, "", []string{`f 640 "new\n"`}},
		} {
			dir := t.TempDir()
			for _, b := range c.before {
				if from, to, ok := strings.Cut(b, " -> "); ok {
					if err := os.Symlink(to, filepath.Join(dir, from)); err != nil {
						t.Fatal(err)
					}
				} else if strings.HasSuffix(b, "/") {
					if err := os.MkdirAll(filepath.Join(dir, b), 0o755); err != nil {
						t.Fatal(err)
					}
				} else {
					write(t, filepath.Join(dir, b), "old", 0o640)
				}
			}
			p := read(t, c.options, src)
			for again := range 2 { // the same a second time changes nothing more
				v, ok, stderr := pushed(t, shell, p, dir+"/"+c.dest, -1)
				if !ok || v.word != c.word || v.done != (c.word == "") || v.done && (!v.verified || v.same != again || v.written != 1-again) {
					t.Errorf("%s, time %d: %+v, %v, stderr %q", name, again+1, v, ok, stderr)
				}
			}
			wantTree(t, name, dir, c.after...)
		}
	})
}

// A file keeps its name, also if that is a word of the script's templates.
func TestPushNames(t *testing.T) {
	t.Parallel()
	eachShell(t, func(t *testing.T, shell string) {
		for _, name := range []string{"PARENTS", "BASE", "a PARENTS", "OWNER", "LIST", "SIZE"} {
			src, dir := filepath.Join(t.TempDir(), name), t.TempDir()
			write(t, src, "new\n", 0o644)
			for _, o := range []PushOptions{{}, {Parents: true}} {
				if v, ok, stderr := pushed(t, shell, read(t, o, src), dir+"/", -1); !ok || !v.done {
					t.Errorf("%s, %+v: %+v, stderr %q", name, o, v, stderr)
				}
				wantTree(t, name, dir, name+` 644 "new\n"`)
			}
		}
	})
}

// A push that is tried again, after it has replaced the file or while it wrote into it, does not take
// its own new file for the old one.
func TestPushBackupOnce(t *testing.T) {
	t.Parallel()
	eachShell(t, func(t *testing.T, shell string) {
		src := filepath.Join(t.TempDir(), "src")
		text := strings.Repeat("new\n", 10_000)
		write(t, src, text, 0o644)
		for name, c := range map[string]struct {
			options PushOptions
			there   string // in place of the old file when it is tried again
			backup  string // afterwards
		}{
			"replaced, asked":       {PushOptions{Checksum: "always"}, text, "old"},
			"replaced, not asked":   {PushOptions{Checksum: "never"}, text, "old"},
			"in place, cut":         {PushOptions{InPlace: true}, text[:20_000], "old"},
			"in place, truncated":   {PushOptions{InPlace: true, Checksum: "never"}, "", "old"},
			"in place, by somebody": {PushOptions{InPlace: true}, "other", "other"},
		} {
			dir := t.TempDir()
			write(t, dir+"/f", "old", 0o640)
			c.options.Backup = true
			p := read(t, c.options, src)
			for again, there := range []string{"old", c.there} {
				if again > 0 {
					write(t, dir+"/f", there, 0o640)
				}
				if v, ok, stderr := pushed(t, shell, p, dir+"/f", -1); !ok || !v.done {
					t.Errorf("%s, time %d: %+v, %q", name, again+1, v, stderr)
				}
			}
			wantTree(t, name, dir, `f 640 "new\nnew\nnew\nnew\nnew\n"`, fmt.Sprintf("f~ 640 %q", c.backup))
		}
	})
}

// Whatever part of the input arrives, nothing but whole files are there under their names, and
// nothing else.
func TestPushCut(t *testing.T) {
	t.Parallel()
	eachShell(t, func(t *testing.T, shell string) {
		src := t.TempDir()
		write(t, src+"/one", strings.Repeat("1", 70_000), 0o600)
		write(t, src+"/two", strings.Repeat("2", 70_000), 0o600)
		one := read(t, PushOptions{}, src+"/one")
		for _, cut := range []int64{0, 1, 65536, 69_999} {
			dir := t.TempDir()
			write(t, dir+"/one", "old", 0o600)
			if v, ok, _ := pushed(t, shell, one, dir, cut); !ok || v.word != "digest_mismatch" {
				t.Errorf("cut at %d: %+v, %v", cut, v, ok)
			}
			wantTree(t, "cut", dir, `one 600 "old"`)
		}
		dir := t.TempDir()
		if v, ok, e := pushed(t, shell, read(t, PushOptions{}, src+"/"), dir, 70_001); !ok || v.word != "digest_mismatch" || v.entry != 1 {
			t.Errorf("the second is cut: %+v, %v, %q", v, ok, e)
		}
		wantTree(t, "the second is cut", dir, `one 600 "11111111111111111111"`)
	})
}

// Free space is compared right by shells that compute in 32 bits (mksh), where 4 GiB are 0 bytes.
func TestPushRoom(t *testing.T) {
	t.Parallel()
	eachShell(t, func(t *testing.T, shell string) {
		src, bin := t.TempDir(), t.TempDir()
		write(t, src+"/f", strings.Repeat("1", 2<<20), 0o600)
		p := read(t, PushOptions{}, src+"/f")
		for kib, want := range map[string]bool{"100": false, "2048": false, "2049": true, "4194304": true, "999999999": true, "4294967296": true, "-": true, "no blocks": true} {
			line := "fs 1 1 " + kib + " 1% /"
			if kib == "no blocks" {
				line = "sysfs 0 0 0 - /sys"
			}
			write(t, bin+"/df", "#!/bin/sh\necho head\necho "+line+"\n", 0o755)
			v, ok, e := pushedWith(t, append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH")), shell, p, t.TempDir(), -1)
			if !ok || v.done != want || !want && v.word != "no_space" {
				t.Errorf("%s KiB: %+v, %v, %q", kib, v, ok, e)
			}
		}
	})
}

// A tree arrives as it is, with a list that fits into the line and with one that does not.
func TestPushTree(t *testing.T) {
	t.Parallel()
	eachShell(t, func(t *testing.T, shell string) {
		src := filepath.Join(t.TempDir(), "tree")
		write(t, src+"/a\nb/it's", "x", 0o755)
		write(t, src+"/empty", "", 0o644)
		write(t, src+"/big", strings.Repeat("b", 200_001), 0o644)
		if err := os.Symlink("../no where", src+"/link"); err != nil {
			t.Fatal(err)
		}
		want := []string{"tree/", "tree/a\nb/", "tree/a\nb/it's 755 \"x\"", `tree/big 644 "bbbbbbbbbbbbbbbbbbbb"`, `tree/empty 644 ""`, "tree/link -> ../no where"}
		for _, many := range []int{0, 110} {
			if many > 0 && !strings.Contains(shell, "dash") { // some thousand processes
				continue
			}
			for i := range many {
				name := fmt.Sprintf("tree/n%03d%s", i, strings.Repeat("'", 240)) // 5 bytes each in the list
				write(t, filepath.Dir(src)+"/"+name, "n", 0o644)
				want = append(want, name+` 644 "n"`)
			}
			p := read(t, PushOptions{Times: true}, src)
			dir := t.TempDir()
			for again := range 2 {
				v, ok, stderr := pushed(t, shell, p, dir, -1)
				if !ok || !v.done || v.written == 0 != (again == 1) {
					t.Errorf("%d files, time %d: %+v, %v, %.500q", many, again+1, v, ok, stderr)
				}
				wantTree(t, fmt.Sprint(many), dir, want...)
			}
			here, _ := os.Stat(src + "/big")
			there, err := os.Stat(dir + "/tree/big")
			if err != nil || !there.ModTime().Equal(here.ModTime().Truncate(time.Second)) {
				t.Errorf("time %v, want %v", there.ModTime(), here.ModTime())
			}
		}
	})
}

// A push removes what others left a day ago, and nothing that is newer, is still written to or has
// another name.
func TestPushRemovesStrangers(t *testing.T) {
	t.Parallel()
	eachShell(t, func(t *testing.T, shell string) {
		src, dir := filepath.Join(t.TempDir(), "f"), t.TempDir()
		write(t, src, "f", 0o644)
		for name, age := range map[string]time.Duration{".shoal-push.old": 49 * time.Hour, ".shoal-push.new": time.Hour, ".shoal-push.still": 49 * time.Hour, "other": 49 * time.Hour} {
			write(t, filepath.Join(dir, name, "f"), "part", 0o600)
			then := time.Now().Add(-age)
			if err := errorsOf(os.Chtimes(filepath.Join(dir, name, "f"), then, then), os.Chtimes(filepath.Join(dir, name), then, then)); err != nil {
				t.Fatal(err)
			}
		}
		write(t, dir+"/.shoal-push.still/f", "more", 0o600)
		if v, ok, stderr := pushed(t, shell, read(t, PushOptions{}, src), dir, -1); !ok || !v.done {
			t.Errorf("%+v, %v, %q", v, ok, stderr)
		}
		wantTree(t, "strangers", dir, ".shoal-push.new/", `.shoal-push.new/f 600 "part"`, ".shoal-push.still/", `.shoal-push.still/f 600 "more"`, `f 644 "f"`, "other/", `other/f 600 "part"`)
	})
}

// A program that runs can be replaced, and not written into; owner and mode are set before the
// file has its name.
func TestPushBusyAndOwner(t *testing.T) {
	t.Parallel()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip(err)
	}
	program, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	eachShell(t, func(t *testing.T, shell string) {
		src, dir := filepath.Join(t.TempDir(), "f"), t.TempDir()
		write(t, src, "new", 0o644)
		write(t, dir+"/f", string(program), 0o755)
		running := exec.CommandContext(t.Context(), dir+"/f", "1000")
		if err := running.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = running.Process.Kill(); _ = running.Wait() }()
		if v, ok, stderr := pushed(t, shell, read(t, PushOptions{InPlace: true}, src), dir+"/f", -1); !ok || v.word != "busy" {
			t.Errorf("in place: %+v, %v, %q", v, ok, stderr)
		}
		p := PushOptions{}
		if os.Getuid() == 0 {
			p.Owner = "65534:65534"
		}
		if v, ok, stderr := pushed(t, shell, read(t, p, src), dir+"/f", -1); !ok || !v.done {
			t.Errorf("replaced: %+v, %v, %q", v, ok, stderr)
		}
		wantTree(t, "replaced", dir, `f 755 "new"`)
		if info, err := os.Stat(dir + "/f"); os.Getuid() == 0 && (err != nil || owner(info) != "65534:65534") {
			t.Errorf("owner %q, %v", owner(info), err)
		}
		// Other files in its place keep owner and mode.
		for text, push := range map[string]func(p *Push) (verdict, string){
			"by sh": func(p *Push) (verdict, string) {
				v, _, stderr := pushed(t, shell, p, dir+"/f", -1)
				return v, stderr
			},
			"by SFTP": func(p *Push) (verdict, string) { return bySFTP(t, p, dir+"/f") },
		} {
			write(t, src, text, 0o644)
			if v, said := push(read(t, PushOptions{}, src)); !v.done {
				t.Errorf("%s: %+v, %q", text, v, said)
			}
			wantTree(t, text, dir, fmt.Sprintf("f 755 %q", text))
			if info, err := os.Stat(dir + "/f"); os.Getuid() == 0 && (err != nil || owner(info) != "65534:65534") {
				t.Errorf("%s: owner %q, %v", text, owner(info), err)
			}
		}
	})
}

// Two pushes to one place at a time do not mix: one of the two files is there, whole.
func TestPushTwoAtATime(t *testing.T) {
	t.Parallel()
	eachShell(t, func(t *testing.T, shell string) {
		dir := t.TempDir()
		texts := []string{strings.Repeat("one\n", 700_000), strings.Repeat("two\n", 700_000)} // parts of these are kept
		var pushing sync.WaitGroup
		for i, text := range texts {
			src := filepath.Join(t.TempDir(), "f")
			write(t, src, text, 0o644)
			p := read(t, PushOptions{}, src)
			pushing.Go(func() {
				own := nonce[1:] + strconv.Itoa(i)
				if _, v, ok, stderr := exchangedAs(t, own, os.Environ(), shell, p, dir+"/f", -1); !ok || !v.done || !v.verified {
					t.Errorf("%+v, %v, %q", v, ok, stderr)
				}
			})
		}
		pushing.Wait()
		if got, err := os.ReadFile(dir + "/f"); err != nil || !slices.Contains(texts, string(got)) {
			t.Errorf("%d bytes, %v: neither of the files", len(got), err)
		}
		if names := tree(t, dir); len(names) != 1 {
			t.Errorf("left: %q", names)
		}
	})
}

func owner(info fs.FileInfo) string {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%d:%d", s.Uid, s.Gid)
}
