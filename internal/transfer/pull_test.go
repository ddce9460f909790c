package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// played is a Dialer whose hosts say something to the command line and the nonce.
type played struct {
	say func(line, nonce string) (stdout []byte, status uint32)
	cut int // length of the first part; 0: all that fits
	one bool
}

func (d played) Dial(_ context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	return playedConn{d, a}, nil
}

type playedConn struct {
	d played
	a *ssh.Attempt
}

func (c playedConn) Start(ctx context.Context, done func(fleet.End)) {
	in, _ := io.ReadAll(io.NewSectionReader(c.a.Input, 0, c.a.Input.Size()))
	out, status := c.d.say(c.a.Line, strings.TrimSuffix(string(in), "\n"))
	step := 1 << 15
	if c.d.one {
		step = 1
	}
	_, _ = c.a.Stdout.Write(out[:c.d.cut])
	for out = out[c.d.cut:]; len(out) > 0 && ctx.Err() == nil; {
		n := min(step, len(out))
		_, _ = c.a.Stdout.Write(out[:n])
		out = out[n:]
	}
	if ctx.Err() != nil {
		done(fleet.End{Outcome: fleet.OutcomeUnknown, Phase: fleet.PhaseRun, Reason: fleet.ReasonInterrupted, Err: ctx.Err()})
		return
	}
	done(fleet.Exited(fleet.PhaseRun, status, "", true))
}

func (c playedConn) StartNext(context.Context, *ssh.Attempt, func(fleet.End)) { panic("not kept") }
func (c playedConn) Close() error                                             { return nil }

// inShell is what a host with this shell answers.
func inShell(t *testing.T, shell string, env ...string) played {
	return played{say: func(line, nonce string) ([]byte, uint32) {
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", "echo noise; printf more; "+strings.Replace(line, "exec /bin/sh", "exec "+shell, 1))
		cmd.Stdin, cmd.Env = strings.NewReader(nonce+"\n"), append(os.Environ(), env...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, _ := cmd.Output()
		if t.Failed() || testing.Verbose() {
			t.Logf("stderr: %.2000s", stderr.String())
		}
		return out, uint32(cmd.ProcessState.ExitCode()) //nolint:gosec // it is 0 to 255
	}}
}

// answers has hosts that say text, where @ is the mark.
func answers(text string) played {
	return played{say: func(_, nonce string) ([]byte, uint32) {
		return []byte(strings.ReplaceAll(text, "@", "shoal/1 "+nonce+" ")), 0
	}}
}

func pulled(t *testing.T, d ssh.Dialer, p *Pull, host string, index int, paths ...string) (fleet.End, string) {
	t.Helper()
	var out bytes.Buffer
	a := &ssh.Attempt{Progress: new(ssh.Progress), Stdout: &out, Target: ssh.Target{Target: fleet.Target{Host: fleet.Host{Name: host}, Command: Sources(paths), Index: index}}}
	c, err := NewPullDialer(d, p).Dial(t.Context(), a)
	if err != nil {
		return err.(*fleet.Error).End(), "" //nolint:errorlint // Dial's is always one
	}
	ended := make(chan fleet.End, 1) // done sends once
	c.Start(t.Context(), func(e fleet.End) { ended <- e })
	return <-ended, out.String()
}

func openPull(t *testing.T, paths int, o PullOptions) (p *Pull, outside string) {
	t.Helper()
	outside = t.TempDir()
	p, err := NewPull(filepath.Join(outside, "in"), paths, o)
	if err == nil {
		err = p.Open()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p, outside
}

// wantPulled closes p, after which nothing but what was pulled is there.
func wantPulled(t *testing.T, what string, p *Pull, dir string, want ...string) {
	t.Helper()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	p.store = nil
	wantTree(t, what, dir, want...)
}

// A file comes as it is, whatever the shell; what is none is refused with its reason.
func TestPull(t *testing.T) {
	t.Parallel()
	eachShell(t, func(t *testing.T, shell string) {
		far := t.TempDir()
		write(t, far+"/it's", "a\n\x00b", 0o666)
		write(t, far+"/empty", "", 0o4755)
		write(t, far+"/page", strings.Repeat("p", 4096), 0o640)
		write(t, far+"/big", strings.Repeat("x", 5001), 0o600)
		write(t, far+"/secret", "s", 0)
		write(t, far+"/closed/f", "s", 0o600)
		if err := os.Chmod(far+"/closed", 0); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(far+"/pipe", 0o600); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(far+"/closed", 0o700) }) //nolint:gosec // to be removed
		wants := map[string]fleet.Reason{"it's": "", "empty": "", "page": "", "big": fleet.ReasonTooLarge, "none": fleet.ReasonNoFile, "pipe": fleet.ReasonNotRegular}
		if os.Getuid() != 0 {
			wants["secret"], wants["closed/f"] = fleet.ReasonPermissionDenied, fleet.ReasonPermissionDenied
		}
		for _, one := range []bool{false, true} {
			d := inShell(t, shell)
			d.one = one
			p, outside := openPull(t, 1, PullOptions{MaxSize: 5000})
			for path, want := range wants {
				end, out := pulled(t, d, p, "web1", 0, far+"/"+path)
				if end.Reason != want || (end.Outcome == fleet.OutcomeOK) != (want == "") {
					t.Errorf("%s: %v, %s, %v", path, end.Outcome, end.Reason, end.Err)
				}
				if place := filepath.Join(outside, "in/web1", far, path); want == "" && !strings.HasPrefix(out, place+": ") {
					t.Errorf("%s: %q", path, out)
				}
			}
			wantPulled(t, "pulled", p, filepath.Join(outside, "in/web1"+filepath.Dir(far)), filepath.Base(far)+"/",
				filepath.Base(far)+`/empty 755 ""`, filepath.Base(far)+`/it's 644 "a\n\x00b"`, filepath.Base(far)+`/page 640 "pppppppppppppppppppp"`)
		}
	})
}

// Directories, patterns and several paths come with all that is in them.
func TestPullTree(t *testing.T) {
	t.Parallel()
	eachShell(t, func(t *testing.T, shell string) {
		far := t.TempDir()
		dir := filepath.Base(far)
		write(t, far+"/log/a.log", "A", 0o644)
		write(t, far+"/log/b.log", "", 0o600)
		write(t, far+"/log/c.txt", "no", 0o600)
		write(t, far+"/log/.hidden.log", "no", 0o600)
		write(t, far+"/conf/it's\n a\\\x1b$x*", strings.Repeat("x", 4096), 0o6777)
		write(t, far+"/conf/.dot/sub/-f", "f", 0o600)
		write(t, far+"/conf/a[b]", "brackets", 0o640)
		var want []string
		many, times := 5, 1
		if strings.HasSuffix(shell, "dash") { // more than are read together
			many, times = 70, 2
		}
		for i := range many {
			name := fmt.Sprintf("/many/f%03d", i)
			write(t, far+name, strings.Repeat("y", 1+i*17), 0o644)
			want = append(want, fmt.Sprintf("%s%s 644 %.20q", dir, name, strings.Repeat("y", 1+i*17)))
		}
		for link, target := range map[string]string{
			"conf/in": ".dot/sub", "conf/.dot/up": "../a[b]", "conf/dangling": "none", "conf/abs": far + "/conf", "conf/out": "../log", "conf/.dot/through": "sub/../..", "conf/self": ".",
		} {
			if err := os.Symlink(target, far+"/"+link); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Mkdir(far+"/conf/empty", 0o500); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("conf", far+"/linked"); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(far+"/conf/pipe", 0o600); err != nil {
			t.Fatal(err)
		}
		then := time.Unix(1_000_000_000, 0)
		if err := os.Chtimes(far+"/log/a.log", then, then); err != nil {
			t.Fatal(err)
		}
		conf := []string{
			"/conf/", "/conf/.dot/", "/conf/.dot/sub/", `/conf/.dot/sub/-f 600 "f"`, "/conf/.dot/up -> ../a[b]", `/conf/a[b] 640 "brackets"`,
			"/conf/dangling -> none", "/conf/empty/", "/conf/in -> .dot/sub", `/conf/it's%0a a\%1b$x* 755 "xxxxxxxxxxxxxxxxxxxx"`, "/conf/self -> .",
		}
		for i, c := range conf {
			conf[i] = dir + c
		}
		want = slices.Concat([]string{dir + "/"}, conf, []string{dir + "/log/", dir + `/log/a.log 644 "A"`, dir + `/log/b.log 600 ""`, dir + "/many/"}, want)
		p, outside := openPull(t, 4, PullOptions{Times: true})
		for range times { // the second time into what is there
			end, out := pulled(t, inShell(t, shell), p, "h", 0, far+"/conf/", far+"/log/*.log", far+"/many", far+"/lo[g]/a*")
			if end.Outcome != fleet.OutcomeOK {
				t.Fatalf("%v, %s, %v\n%s", end.Outcome, end.Reason, end.Err, out)
			}
			if !strings.Contains(out, fmt.Sprintf("/in/h: %d files, ", many+5)) || !strings.Contains(out, ", 4 links, 1 names with") || !strings.Contains(out, ", 3 links left out, 1 left out: no") {
				t.Errorf("%q", out)
			}
		}
		if info, err := os.Stat(outside + "/in/h" + far + "/log/a.log"); err != nil || !info.ModTime().Equal(then) {
			t.Errorf("%v, %v", info, err)
		}
		wantPulled(t, "pulled", p, filepath.Join(outside, "in/h"+filepath.Dir(far)), want...)
	})
}

// A link that is asked for is followed, and nothing is left out in silence.
func TestPullParts(t *testing.T) {
	t.Parallel()
	far := t.TempDir()
	write(t, far+"/dir/f", "f", 0o600)
	write(t, far+"/dir/big", strings.Repeat("b", 9000), 0o600)
	write(t, far+"/dir/small", "s", 0o600)
	for link, target := range map[string]string{"to-dir": "dir", "to-file": "dir/f", "nowhere": "none"} {
		if err := os.Symlink(target, far+"/"+link); err != nil {
			t.Fatal(err)
		}
	}
	eachShell(t, func(t *testing.T, shell string) {
		for name, c := range map[string]struct {
			options PullOptions
			paths   []string
			reason  fleet.Reason
			text    string
			want    []string
		}{
			"link to a file":                    {PullOptions{}, []string{"to-file"}, "", "to-file: 1 bytes", []string{`to-file 600 "f"`}},
			"link to a directory":               {PullOptions{}, []string{"to-dir"}, "", ": 3 files", []string{"to-dir/", `to-dir/big 600 "bbbbbbbbbbbbbbbbbbbb"`, `to-dir/f 600 "f"`, `to-dir/small 600 "s"`}},
			"links by pattern":                  {PullOptions{}, []string{"to-f*"}, "", "to-file: 1 bytes", []string{`to-file 600 "f"`}},
			"no link to a directory by pattern": {PullOptions{}, []string{"to-d*", "dir/f"}, "", "1 files, 1 bytes, 1 links left out", []string{"dir/", `dir/f 600 "f"`}},
			"no match":                          {PullOptions{}, []string{"x*"}, fleet.ReasonNoFile, `not pulled: "`, nil},
			"dangling":                          {PullOptions{}, []string{"nowhere"}, fleet.ReasonNoFile, `not pulled: "`, nil},
			"one of two":                        {PullOptions{}, []string{"none", "dir/f"}, fleet.ReasonNoFile, `not pulled: "`, []string{"dir/", `dir/f 600 "f"`}},
			"too large":                         {PullOptions{MaxSize: 8000}, []string{"dir"}, fleet.ReasonTooLarge, `dir/big": too_large`, []string{"dir/", `dir/f 600 "f"`, `dir/small 600 "s"`}},
			"too many":                          {PullOptions{MaxFiles: 3}, []string{"dir"}, fleet.ReasonTooManyFiles, "", nil},
			"just enough":                       {PullOptions{MaxFiles: 4}, []string{"dir"}, "", "3 files", []string{"dir/", `dir/big 600 "bbbbbbbbbbbbbbbbbbbb"`, `dir/f 600 "f"`, `dir/small 600 "s"`}},
			"dots":                              {PullOptions{}, []string{"dir/../dir/./f"}, "", "dir/f: 1 bytes", []string{"dir/", `dir/f 600 "f"`}},
		} {
			p, outside := openPull(t, len(c.paths), c.options)
			for i := range c.paths {
				c.paths[i] = far + "/" + c.paths[i]
			}
			end, out := pulled(t, inShell(t, shell), p, "h", 0, c.paths...)
			if end.Reason != c.reason || (end.Outcome == fleet.OutcomeOK) != (c.reason == "") || !strings.Contains(out, c.text) {
				t.Errorf("%s: %v, %s, %v\n%s", name, end.Outcome, end.Reason, end.Err, out)
			}
			if len(c.want) == 0 {
				wantPulled(t, name, p, outside+"/in")
			} else {
				wantPulled(t, name, p, outside+"/in/h"+far, c.want...)
			}
		}
	})
}

// toolsIn returns PATH of a directory with the tools of /bin but those named; others replace them.
func toolsIn(t *testing.T, without []string, others map[string]string) string {
	t.Helper()
	bin := t.TempDir()
	for _, name := range []string{"sh", "cat", "stat", "wc", "head", "readlink", "sha256sum", "shasum", "openssl", "printf", "env", "truncate", "echo"} {
		path, err := exec.LookPath(name)
		if err != nil || slices.Contains(without, name) || others[name] != "" {
			continue
		}
		if err := os.Symlink(path, bin+"/"+name); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range others {
		write(t, bin+"/"+name, "#!/bin/sh\nPATH=/usr/bin:/bin\n"+text+"\n", 0o755)
	}
	return "PATH=" + bin
}

// What a host lacks, and what changes under the reader, is noticed.
func TestPullTools(t *testing.T) {
	t.Parallel()
	eachShell(t, func(t *testing.T, shell string) {
		far := t.TempDir()
		write(t, far+"/d/b", strings.Repeat("b", 3000), 0o640)
		if err := os.Symlink("a", far+"/d/link"); err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			without []string
			others  map[string]string
			require bool
			reason  fleet.Reason
			flags   fleet.Flags
			want    []string // of d
		}{
			"all":         {nil, nil, true, "", 0, []string{"a 640", "b 640"}},
			"no sha256":   {[]string{"sha256sum", "shasum", "openssl"}, nil, false, "", fleet.FlagUnverified, []string{"a 640", "b 640"}},
			"required":    {[]string{"sha256sum", "shasum", "openssl"}, nil, true, fleet.ReasonUnverified, 0, nil},
			"no readlink": {[]string{"readlink"}, nil, false, "", 0, []string{"a 640", "b 640"}},
			"no stat":     {[]string{"stat"}, nil, false, "", 0, []string{"a 600", "b 600"}},
			"bsd stat":    {nil, map[string]string{"stat": `[ "$2" = -f ] || exit 1; shift 3; for f; do case $f in /) echo 755;; *) stat -L -c "%s %a %Y" "$f";; esac; done`}, false, "", 0, []string{"a 640", "b 640"}},
			"shasum":      {[]string{"sha256sum", "openssl"}, map[string]string{"shasum": `[ "$1 $2" = "-a 256" ] || exit 1; shift 2; exec sha256sum "$@"`}, false, "", 0, []string{"a 640", "b 640"}},
			"openssl":     {[]string{"sha256sum", "shasum"}, map[string]string{"openssl": `shift 3; sha256sum "$@" | sed "s/  / */"`}, false, "", 0, []string{"a 640", "b 640"}},
			"it grows":    {nil, map[string]string{"stat": `stat "$@"; s=$?; for f; do case $f in */a) echo more >>"$f";; esac; done; exit $s`}, false, "", 0, []string{"a 640", "b 640"}},
			"it shrinks":  {nil, map[string]string{"head": `case $3 in */a) head -c 100 "$3";; *) exec head "$@";; esac`}, false, fleet.ReasonChangedWhileRead, 0, []string{"b 640"}},
			"other bytes": {nil, map[string]string{"head": `case $3 in */b) head "$@" | tr b c;; *) exec head "$@";; esac`}, false, fleet.ReasonChangedWhileRead, 0, []string{"a 640"}},
		} {
			if !strings.HasSuffix(shell, "dash") && name != "all" && name != "it grows" || strings.Contains(shell, "busybox") && c.others != nil {
				continue // many processes, or its own tools come first
			}
			write(t, far+"/d/a", strings.Repeat("a", 3000), 0o640)
			p, outside := openPull(t, 1, PullOptions{RequireVerified: c.require})
			end, out := pulled(t, inShell(t, shell, toolsIn(t, c.without, c.others)), p, "h", 0, far+"/d")
			if end.Reason != c.reason || (end.Outcome == fleet.OutcomeOK) != (c.reason == "") || end.Flags&fleet.FlagUnverified != c.flags {
				t.Errorf("%s: %v, %s, %v, %v\n%s", name, end.Outcome, end.Reason, end.Flags, end.Err, out)
			}
			var want []string
			for _, w := range c.want {
				want = append(want, fmt.Sprintf("%s %.20q", w, strings.Repeat(w[:1], 20)))
			}
			if name != "no readlink" {
				want = append(want, "link -> a")
			}
			if c.want == nil {
				wantPulled(t, name, p, outside+"/in")
			} else {
				wantPulled(t, name, p, outside+"/in/h"+far+"/d", want...)
			}
		}
	})
}

const dataSum = "3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7" // of "data"

// A file that has the beginning of the mark in it comes as it is, wherever the answer is cut.
func TestPullInParts(t *testing.T) {
	t.Parallel()
	p, outside := openPull(t, 1, PullOptions{})
	said, data := 1, ""
	for cut := 0; cut < said; cut++ {
		d := played{cut: cut, say: func(_, nonce string) ([]byte, uint32) {
			mark := "shoal/1 " + nonce + " "
			data = "s" + mark[:len(mark)-1] + mark[:3] + "shoal/1 N" + mark[:len(mark)-1]
			text := fmt.Sprintf("noiseshoal/1 %ss 0\n%sf %d 644 0 %x\n/f\x00%s%send 2\nmore", mark, mark, len(data), sha256.Sum256([]byte(data)), data, mark)
			said = len(text)
			return []byte(text), 0
		}}
		if end, _ := pulled(t, d, p, "h", 0, "/f"); end.Outcome != fleet.OutcomeOK {
			t.Fatalf("cut at %d: %v, %v", cut, end.Outcome, end.Err)
		}
		if got, err := os.ReadFile(filepath.Join(outside, "in/h/f")); err != nil || string(got) != data {
			t.Fatalf("cut at %d: %q, %v", cut, got, err)
		}
	}
}

// Whatever a host says, nothing is written outside its directory, and what is not whole is not
// there.
// faults.md: S24
func TestPullHostile(t *testing.T) {
	t.Parallel()
	p, outside := openPull(t, 1, PullOptions{MaxSize: 1000, MaxFiles: 1000})
	write(t, outside+"/in/linked/keep", "k", 0o600)
	if err := os.Symlink("../..", outside+"/in/linked/up"); err != nil {
		t.Fatal(err)
	}
	file := func(path string) string { return "@f 4 6777 0 " + dataSum + "\n" + path + "\x00data" }
	for name, c := range map[string]struct {
		host, path, says string
		reason           fleet.Reason
	}{
		"nothing":           {"h", "/f", "", fleet.ReasonNoReceipt},
		"only noise":        {"h", "/f", strings.Repeat("noise", maxNoise/4), fleet.ReasonBadAnswer},
		"another nonce":     {"h", "/f", strings.ReplaceAll("@s 0\n"+file("/f")+"@end 2\n", "@", "shoal/1 XXXXXXXXXXXX "), fleet.ReasonNoReceipt},
		"too much":          {"h", "/f", "@s 0\n@f 4 644 0 " + dataSum + "\n/f\x00data, and more@end 2\n", fleet.ReasonChangedWhileRead},
		"endless file":      {"h", "/f", "@s 0\n@f 4 644 0 " + dataSum + "\n/f\x00data" + strings.Repeat("x", 2*maxNoise), fleet.ReasonBadAnswer},
		"too little":        {"h", "/f", "@s 0\n@f 4 644 0 " + dataSum + "\n/f\x00dat@end 2\n", fleet.ReasonChangedWhileRead},
		"no end":            {"h", "/f", "@s 0\n" + file("/f"), fleet.ReasonNoReceipt},
		"another count":     {"h", "/f", "@s 0\n" + file("/f") + "@end 3\n", fleet.ReasonBadAnswer},
		"other bytes":       {"h", "/f", "@s 0\n@f 4 644 0 " + dataSum + "\n/f\x00duta@end 2\n", fleet.ReasonChangedWhileRead},
		"too large":         {"h", "/f", "@s 0\n@f 1001 644 0 -\n/f\x00" + strings.Repeat("x", 1001) + "@end 2\n", fleet.ReasonTooLarge},
		"negative":          {"h", "/f", "@s 0\n@f -1 644 0 -\n/f\x00@end 2\n", fleet.ReasonBadAnswer},
		"huge":              {"h", "/f", "@s 0\n@f 99999999999999999999 644 0 -\n/f\x00@end 2\n", fleet.ReasonBadAnswer},
		"endless line":      {"h", "/f", "@s 0\n@f 4" + strings.Repeat(" ", 100_000) + "\n", fleet.ReasonBadAnswer},
		"endless name":      {"h", "/f", "@s 0\n@d 755\n/" + strings.Repeat("f", 100_000) + "\n", fleet.ReasonBadAnswer},
		"no record":         {"h", "/f", "@s 0\n@q 1\n@end 1\n", fleet.ReasonBadAnswer},
		"no source":         {"h", "/f", file("/f") + "@end 1\n", fleet.ReasonBadAnswer},
		"source too many":   {"h", "/f", "@s 0\n@s 1\n" + file("/f") + "@end 3\n", fleet.ReasonBadAnswer},
		"no name":           {"h", "/f", "@s 0\n" + file("") + "@end 2\n", fleet.ReasonBadAnswer},
		"another file":      {"h", "/f", "@s 0\n" + file("/g") + "@end 2\n", fleet.ReasonBadAnswer},
		"another parent":    {"h", "/f", "@s 0\n" + file("/g/f") + "@end 2\n", fleet.ReasonBadAnswer},
		"relative":          {"h", "/f", "@s 0\n" + file("f") + "@end 2\n", fleet.ReasonBadAnswer},
		"up":                {"h", "/d", "@s 0\n" + file("/d/../f") + "@end 2\n", fleet.ReasonBadAnswer},
		"up and up":         {"h", "/d", "@s 0\n" + file("/d/../../../f") + "@end 2\n", fleet.ReasonBadAnswer},
		"up by pattern":     {"h", "/d/*", "@s 0\n" + file("/d/..") + "@end 2\n", fleet.ReasonBadAnswer},
		"hidden by pattern": {"h", "/d/*", "@s 0\n" + file("/d/.bashrc") + "@end 2\n", fleet.ReasonBadAnswer},
		"unknown word":      {"h", "/f", "@s 0\n@x none\n/f\x00@end 2\n", fleet.ReasonBadAnswer},
		"unknown end":       {"h", "/f", "@no none\n", fleet.ReasonBadAnswer},
		"through a link":    {"linked", "/up/f", "@s 0\n" + file("/up/f") + "@end 2\n", fleet.ReasonStoreFailed},
		"a directory":       {"linked", "/keep", "@s 0\n@d 755\n/keep\x00@end 2\n", fleet.ReasonStoreFailed},
		"the whole":         {"h", "/", "@s 0\n" + file("/") + "@end 2\n", fleet.ReasonBadName},
		"twice":             {"h", "/d", "@s 0\n" + file("/d/f") + file("/d/f") + "@end 3\n", fleet.ReasonNameCollision},
		"one name here":     {"h", "/d", "@s 0\n" + file("/d/\x01") + file("/d/%01") + "@end 3\n", fleet.ReasonNameCollision},
		"dot is no name":    {"h", "/d", "@s 0\n" + file("/d/./g") + file("/d//g") + "@end 3\n", fleet.ReasonNameCollision},
		"file, then below":  {"h", "/d", "@s 0\n" + file("/d/x") + file("/d/x/y") + "@end 3\n", fleet.ReasonNameCollision},
		"directory as file": {"h", "/d", "@s 0\n" + file("/d/z/y") + file("/d/z") + "@end 3\n", fleet.ReasonNameCollision},
		"link, then file":   {"h", "/d", "@s 0\n@l\n/d/l\x00../../..\x00" + file("/d/l") + "@end 3\n", fleet.ReasonNameCollision},
		"through its link":  {"h", "/d", "@s 0\n@l\n/d/m\x00.\x00" + file("/d/m/f") + "@end 3\n", fleet.ReasonNameCollision},
		"a name too long":   {"h", "/d", "@s 0\n" + file("/d/"+strings.Repeat("n", 300)) + "@end 2\n", fleet.ReasonBadName},
		"too many":          {"h", "/d", "@s 0\n" + strings.Repeat("@o\n/d/o\x00", 1001) + "@end 1002\n", fleet.ReasonTooManyFiles},
		"endless list":      {"h", "/d", "@s 0\n" + strings.Repeat("@o\n/d/o\x00", 100_000), fleet.ReasonTooManyFiles},
		"it gives up":       {"h", "/d", "@s 0\n" + file("/d/f") + "@no too_many_files\n", fleet.ReasonTooManyFiles},
		"endless copy":      {"h", "/d", "@s 0\n" + file("/d/f") + "@f 4 644 0 -\n/d/f\x00" + strings.Repeat("x", 2*maxNoise), fleet.ReasonBadAnswer},
		"endless directory": {"h", "/d", "@s 0\n" + strings.Repeat("@d 755\n/d\x00", 100_000), fleet.ReasonTooManyFiles},
		"sources too long":  {"h", "/d", "@s 0\n" + strings.Repeat("@s 0\n", 100), fleet.ReasonBadAnswer},
	} {
		end, out := pulled(t, answers(c.says), p, c.host, 0, c.path)
		if end.Outcome != fleet.OutcomeFailed || end.Err == nil || end.Reason != c.reason || len(out) > 2000 || len(end.Err.Error()) > 2000 {
			t.Errorf("%s: %v, %s, %v", name, end.Outcome, end.Reason, end.Err)
		}
	}
	// Names that are bad here are names of something else, and two of a name stay two.
	for i, host := range []string{"..", "a/b", "Web", "web", ".shoal-pull.X"} {
		if end, _ := pulled(t, answers("@s 0\n"+file("/../../f")+"@end 2\n"), p, host, i, "/../../f"); end.Outcome != fleet.OutcomeOK {
			t.Errorf("%s: %v, %v", host, end.Outcome, end.Err)
		}
	}
	wantPulled(t, "all", p, outside, "in/", "in/%2e./", `in/%2e./f 755 "data"`, "in/%2eshoal-pull.X/", `in/%2eshoal-pull.X/f 755 "data"`, "in/Web/", `in/Web/f 755 "data"`, "in/a%2fb/", `in/a%2fb/f 755 "data"`,
		"in/h/", "in/h/d/", `in/h/d/%01 755 "data"`, `in/h/d/f 755 "data"`, `in/h/d/g 755 "data"`, "in/h/d/m -> .", `in/h/d/x 755 "data"`, "in/h/d/z/", `in/h/d/z/y 755 "data"`,
		"in/linked/", `in/linked/keep 600 "k"`, "in/linked/up -> ../..", "in/web%3/", `in/web%3/f 755 "data"`)
}

// Where names that differ only in case are one file, two of them are not both taken.
func TestPullFolds(t *testing.T) {
	t.Parallel()
	p, outside := openPull(t, 1, PullOptions{})
	p.store.folds = true
	file := func(path string) string { return "@f 4 644 0 " + dataSum + "\n" + path + "\x00data" }
	says := "@s 0\n" + file("/d/Straße") + file("/d/STRASSE") + file("/d/e\u0301") + file("/d/\u00c9") + file("/d/A/x") + file("/d/a/y") + "@end 7\n"
	end, out := pulled(t, answers(says), p, "h", 0, "/d")
	if end.Reason != fleet.ReasonNameCollision || !strings.Contains(out, `"/d/Straße" and "/d/STRASSE" would be one file`) || !strings.Contains(out, ": 4 files") {
		t.Errorf("%s, %v\n%s", end.Reason, end.Err, out)
	}
	wantPulled(t, "folded", p, outside+"/in/h/d", "A/", `A/x 644 "data"`, "Straße 644 \"data\"", "a/", `a/y 644 "data"`, "e\u0301 644 \"data\"")
}

// Of a file that is shown, nothing is stored.
func TestPullShown(t *testing.T) {
	t.Parallel()
	far := t.TempDir()
	write(t, far+"/f", "a\n\x00b", 0o600)
	write(t, far+"/g", "a\n\x00b", 0o600)
	for path, c := range map[string]struct {
		reason fleet.Reason
		out    string
	}{"f": {"", "a\n\x00b"}, "f*": {"", "a\n\x00b"}, ".": {fleet.ReasonIsDirectory, ""}, "none": {fleet.ReasonNoFile, ""}, "?": {fleet.ReasonTooManyFiles, ""}} {
		p, err := NewPull("", 1, PullOptions{MaxSize: 4})
		if err == nil {
			err = p.Open()
		}
		if err != nil {
			t.Fatal(err)
		}
		if end, out := pulled(t, inShell(t, "/bin/sh"), p, "h", 0, far+"/"+path); end.Reason != c.reason || out != c.out {
			t.Errorf("%s: %s, %v, %q", path, end.Reason, end.Err, out)
		}
	}
	if _, err := NewPull("", 2, PullOptions{}); err == nil {
		t.Error("two files are shown as one")
	}
}

// Zeros of a file take no room here.
func TestPullSparse(t *testing.T) {
	t.Parallel()
	far := t.TempDir()
	const size = 8 << 20
	f, err := os.Create(far + "/f")
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{5, 3 << 20, 3<<20 + 4095} {
		if _, err := f.WriteAt([]byte("x"), at); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		t.Fatal(err)
	}
	p, outside := openPull(t, 1, PullOptions{})
	if end, _ := pulled(t, inShell(t, "/bin/sh"), p, "h", 0, far+"/f"); end.Outcome != fleet.OutcomeOK {
		t.Fatal(end.Err)
	}
	there, _ := os.ReadFile(far + "/f")
	here, err := os.ReadFile(outside + "/in/h" + far + "/f")
	if err != nil || !bytes.Equal(there, here) {
		t.Fatalf("%d bytes, %v", len(here), err)
	}
	info, _ := os.Stat(outside + "/in/h" + far + "/f")
	if used := info.Sys().(*syscall.Stat_t).Blocks * 512; used > size/4 { // file systems allocate more than is written
		t.Errorf("it takes %d bytes", used)
	}
}

// What a pull left that was killed is removed by the next one; what one has that runs is not.
func TestPullSweeps(t *testing.T) {
	t.Parallel()
	p, outside := openPull(t, 1, PullOptions{})
	write(t, outside+"/in/.shoal-pull.OLD/1/f", "part", 0o600)
	write(t, outside+"/in/.shoal-pull.file", "a user's", 0o600)
	if err := syscall.Mkfifo(outside+"/in/.shoal-pull.pipe", 0o600); err != nil { // nobody writes to it
		t.Fatal(err)
	}
	again, err := NewPull(p.Dir, 1, PullOptions{})
	if err == nil {
		err = errors.Join(again.Open(), again.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if end, _ := pulled(t, answers("@s 0\n@f 4 644 0 "+dataSum+"\n/f\x00data@end 2\n"), p, "h", 0, "/f"); end.Outcome != fleet.OutcomeOK {
		t.Error(end.Err)
	}
	if err := os.Remove(outside + "/in/.shoal-pull.pipe"); err != nil {
		t.Error(err)
	}
	wantPulled(t, "swept", p, outside+"/in", `.shoal-pull.file 600 "a user's"`, "h/", `h/f 644 "data"`)
}

// What cannot be asked for is refused before anything is sent.
func TestCheckSources(t *testing.T) {
	t.Parallel()
	for text, bad := range map[string]bool{
		"": true, "a\nb": true, "a\x00": true, "~/f": true, "/a/*/../b": true, strings.Repeat("a", 5000): true,
		"/": false, "..": false, "/a/../b/*": false, "-f": false, "a[b": false,
	} {
		if err := CheckSources([]string{text}); (err != nil) != bad {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	if err := CheckSources([]string{"/a/b", "a//./b"}); err == nil {
		t.Error("two are one here")
	}
	if _, err := parseSources("a\nb", 1); err == nil {
		t.Error("a newline of a placeholder makes two paths")
	}
}

// The journal keeps what a pull is.
func TestPullRecorded(t *testing.T) {
	t.Parallel()
	for _, o := range []PullOptions{{}, {MaxSize: 7, MaxFiles: 8, Times: true, NoLinks: true, RequireVerified: true}} {
		p, err := NewPull("/dir", 3, o)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ReopenPull(p.Recorded())
		if err != nil || again.Dir != p.Dir || again.Paths != 3 || again.PullOptions != p.PullOptions {
			t.Errorf("%+v, %v", again, err)
		}
	}
}

// The line is read alike by login shells that are not all like sh.
func TestPullInEveryLoginShell(t *testing.T) {
	t.Parallel()
	far := t.TempDir()
	write(t, far+"/it's", "a\n\x00b", 0o600)
	for _, login := range []string{"dash", "bash", "ksh", "mksh", "zsh", "csh", "tcsh", "fish", "busybox"} {
		path, err := exec.LookPath(login)
		if err != nil {
			continue
		}
		words := []string{path, "-c"}
		if login == "busybox" {
			words = []string{path, "sh", "-c"}
		}
		t.Run(login, func(t *testing.T) {
			t.Parallel()
			p, outside := openPull(t, 1, PullOptions{})
			d := played{say: func(line, nonce string) ([]byte, uint32) {
				cmd := exec.CommandContext(t.Context(), words[0], append(words[1:], line)...)
				cmd.Stdin = strings.NewReader(nonce + "\n")
				out, _ := cmd.Output()
				return out, uint32(cmd.ProcessState.ExitCode()) //nolint:gosec // it is 0 to 255
			}}
			if end, out := pulled(t, d, p, "h", 0, far+"/i*'s"); end.Outcome != fleet.OutcomeOK {
				t.Errorf("%v, %s, %v\n%s", end.Outcome, end.Reason, end.Err, out)
			}
			wantPulled(t, login, p, outside+"/in/h"+far, `it's 600 "a\n\x00b"`)
		})
	}
}
