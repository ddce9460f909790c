package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// played is a Dialer whose hosts say something to the command line.
type played struct {
	say func(line string) (stdout []byte, status uint32)
	one bool // a byte at a time
	cut int  // length of the first part; 0: all that fits
}

func (d played) Dial(_ context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	return playedConn{d, a}, nil
}

type playedConn struct {
	d played
	a *ssh.Attempt
}

func (c playedConn) Start(_ context.Context, done func(fleet.End)) {
	out, status := c.d.say(c.a.Line)
	_, _ = c.a.Stdout.Write(out[:c.d.cut])
	r := bytes.NewReader(out[c.d.cut:])
	for buf := make([]byte, 1<<15); ; {
		var n int
		if c.d.one {
			n, _ = iotest.OneByteReader(r).Read(buf)
		} else {
			n, _ = r.Read(buf)
		}
		if n == 0 {
			break
		}
		_, _ = c.a.Stdout.Write(buf[:n])
	}
	done(fleet.Exited(fleet.PhaseRun, status, "", true))
}

func (c playedConn) StartNext(context.Context, *ssh.Attempt, func(fleet.End)) { panic("not kept") }
func (c playedConn) Close() error                                             { return nil }

func pulled(t *testing.T, d ssh.Dialer, p *Pull, host, path string, index int) fleet.End {
	t.Helper()
	a := &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: fleet.Target{Host: fleet.Host{Name: host}, Command: path, Index: index}}}
	c, err := NewPullDialer(d, p).Dial(t.Context(), a)
	if err != nil {
		return err.(*fleet.Error).End() //nolint:errorlint // Dial's is always one
	}
	var end fleet.End
	c.Start(t.Context(), func(e fleet.End) { end = e })
	return end
}

func openPull(t *testing.T, maxSize int64) (p *Pull, outside string) {
	t.Helper()
	outside = t.TempDir()
	p, err := NewPull(filepath.Join(outside, "in"), maxSize)
	if err == nil {
		err = p.Open()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p, outside
}

// A file comes as it is, whatever the shell; what is none is refused with its reason.
func TestPull(t *testing.T) {
	t.Parallel()
	eachShell(t, func(t *testing.T, shell string) {
		far := t.TempDir()
		write(t, far+"/it's", "a\n\x00b", 0o666)
		write(t, far+"/empty", "", 0o4755)
		write(t, far+"/big", strings.Repeat("x", 1001), 0o600)
		for _, one := range []bool{false, true} {
			d := played{one: one, say: func(line string) ([]byte, uint32) {
				cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", "echo noise; printf more; "+strings.Replace(line, "exec /bin/sh", "exec "+shell, 1))
				out, _ := cmd.Output()
				return out, uint32(cmd.ProcessState.ExitCode()) //nolint:gosec // it is 0 to 255
			}}
			p, outside := openPull(t, 1000)
			for path, want := range map[string]fleet.Reason{"it's": "", "empty": "", "big": fleet.ReasonTooLarge, "none": fleet.ReasonNoFile, ".": fleet.ReasonIsDirectory} {
				if end := pulled(t, d, p, "web1", far+"/"+path, 0); end.Reason != want || (end.Outcome == fleet.OutcomeOK) != (want == "") {
					t.Errorf("%s: %v, %s, %v", path, end.Outcome, end.Reason, end.Err)
				}
			}
			wantTree(t, "pulled", filepath.Join(outside, "in/web1"+filepath.Dir(far)), filepath.Base(far)+"/", filepath.Base(far)+`/empty 755 ""`, filepath.Base(far)+`/it's 644 "a\n\x00b"`)
		}
	})
}

// A file that has the line's own mark in it comes as it is, wherever the output is cut.
func TestPullInParts(t *testing.T) {
	t.Parallel()
	p, outside := openPull(t, 1000)
	said, data := 1, ""
	for cut := 0; cut < said; cut++ {
		d := played{cut: cut, say: func(line string) ([]byte, uint32) {
			_, rest, _ := strings.Cut(line, "_n=")
			nonce, _, _ := strings.Cut(rest, ";")
			mark := "shoal/1 " + nonce + " "
			data = mark + "file 1 644\n" + mark
			text := fmt.Sprintf("noise%sfile %d 644 %x\n%s%send\n", mark, len(data), sha256.Sum256([]byte(data)), data, mark)
			said = len(text)
			return []byte(text), 0
		}}
		if end := pulled(t, d, p, "h", "/f", 0); end.Outcome != fleet.OutcomeOK {
			t.Fatalf("cut at %d: %v, %v", cut, end.Outcome, end.Err)
		}
		if got, err := os.ReadFile(filepath.Join(outside, "in/h/f")); err != nil || string(got) != data {
			t.Fatalf("cut at %d: %q, %v", cut, got, err)
		}
	}
}

// Whatever a host says, nothing is written outside the directory, and what is not whole is not
// there.
func TestPullHostile(t *testing.T) {
	t.Parallel()
	p, outside := openPull(t, 1000)
	write(t, outside+"/in/linked/keep", "k", 0o600)
	if err := os.Symlink("../..", outside+"/in/linked/up"); err != nil {
		t.Fatal(err)
	}
	good := fmt.Sprintf("%x", sha256.Sum256([]byte("data")))
	for name, c := range map[string]struct{ host, path, says string }{
		"nothing":       {"h", "/f", ""},
		"another nonce": {"h", "/f", "shoal/1 XXXXXXXXXXXX file 4 644 " + good + "\ndatashoal/1 XXXXXXXXXXXX end\n"},
		"too much":      {"h", "/f", "NONCEfile 4 644 " + good + "\ndata, and moreNONCEnothing\n"},
		"too little":    {"h", "/f", "NONCEfile 4 644 " + good + "\ndat"},
		"no end":        {"h", "/f", "NONCEfile 4 644 " + good + "\ndata"},
		"other bytes":   {"h", "/f", "NONCEfile 4 644 " + good + "\ndutaNONCEend\n"},
		"too large":     {"h", "/f", "NONCEfile 1001 644 " + good + "\n" + strings.Repeat("x", 1001) + "NONCEend\n"},
		"negative":      {"h", "/f", "NONCEfile -1 644 " + good + "\nNONCEend\n"},
		"huge":          {"h", "/f", "NONCEfile 99999999999999999999 644 " + good + "\nNONCEend\n"},
		"endless line":  {"h", "/f", "NONCEfile 4" + strings.Repeat(" ", 100_000) + "\n"},
		"through link":  {"linked", "/up/f", "NONCEfile 4 644 " + good + "\ndataNONCEend\n"},
		"no name":       {"h", "/..", "NONCEfile 4 644 " + good + "\ndataNONCEend\n"},
		"a directory":   {"linked", "/", "NONCEfile 4 644 " + good + "\ndataNONCEend\n"},
	} {
		d := played{say: func(line string) ([]byte, uint32) {
			_, rest, _ := strings.Cut(line, "_n=")
			nonce, _, _ := strings.Cut(rest, ";")
			return []byte(strings.ReplaceAll(c.says, "NONCE", "shoal/1 "+nonce+" ")), 0
		}}
		if end := pulled(t, d, p, c.host, c.path, 0); end.Outcome == fleet.OutcomeOK || end.Err == nil {
			t.Errorf("%s: %v, %v", name, end.Outcome, end.Err)
		}
	}
	// Names that are bad here are names of something else, and two of a name stay two.
	all := played{say: func(line string) ([]byte, uint32) {
		_, rest, _ := strings.Cut(line, "_n=")
		nonce, _, _ := strings.Cut(rest, ";")
		return []byte("shoal/1 " + nonce + " file 4 6777 " + good + "\ndatashoal/1 " + nonce + " end\n"), 0
	}}
	for i, host := range []string{"..", "a/b", "Web", "web"} {
		if end := pulled(t, all, p, host, "/../../f", i); end.Outcome != fleet.OutcomeOK {
			t.Errorf("%s: %v, %v", host, end.Outcome, end.Err)
		}
	}
	wantTree(t, "all", outside, "in/", "in/%2e./", `in/%2e./f 755 "data"`, "in/Web/", `in/Web/f 755 "data"`, "in/a%2fb/", `in/a%2fb/f 755 "data"`,
		"in/h/", "in/linked/", `in/linked/keep 600 "k"`, "in/linked/up -> ../..", "in/web%3/", `in/web%3/f 755 "data"`)
}
