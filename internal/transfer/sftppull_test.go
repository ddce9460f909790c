package transfer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/needs"
	"shoal/internal/ssh"
)

// pulling returns one attempt to pull.
func pulling(t *testing.T, p *Pull, paths ...string) (s *sftpPull, stdout *bytes.Buffer) {
	t.Helper()
	stdout = new(bytes.Buffer)
	a := &ssh.Attempt{Progress: new(ssh.Progress), Stdout: stdout, Target: ssh.Target{Target: fleet.Target{Host: fleet.Host{Name: "h"}, Command: Sources(paths)}}}
	j, err := p.begin(a, nonce, true)
	if err != nil {
		t.Fatal(err)
	}
	return j.(*sftpPull), stdout //nolint:forcetypeassert // it is one
}

// pulledBySFTP pulls from OpenSSH's server.
func pulledBySFTP(t *testing.T, p *Pull, paths ...string) (fleet.End, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), needs.Program(t, "/usr/lib/openssh/sftp-server"))
	s, stdout := pulling(t, p, paths...)
	s.start(t.Context())
	cmd.Stdout = s
	input, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	f := &fed{x: s, left: 1 << 40, wake: make(chan struct{}, 1), over: make(chan struct{})}
	var feeding sync.WaitGroup
	feeding.Go(func() {
		_, _ = io.Copy(input, struct{ io.Reader }{f})
		_ = input.Close()
	})
	_ = cmd.Wait()
	close(f.over)
	feeding.Wait()
	return s.judge(fleet.Exited(fleet.PhaseRun, uint32(cmd.ProcessState.ExitCode()), "", true)), stdout.String() //nolint:gosec // it is 0 to 255
}

// By SFTP comes what the shell would send.
func TestSFTPPull(t *testing.T) {
	t.Parallel()
	far := t.TempDir()
	write(t, far+"/log/a.log", "A", 0o644)
	write(t, far+"/log/b.log", "", 0o600)
	write(t, far+"/log/[c].log", "c", 0o600)
	write(t, far+"/log/.hidden.log", "no", 0o600)
	write(t, far+"/conf/it's\n a\\\x1b$x*", strings.Repeat("x", 3_000_001), 0o6777)
	write(t, far+"/conf/.dot/sub/-f", "f", 0o600)
	if err := errorsOf(syscall.Mkfifo(far+"/conf/pipe", 0o600), os.Symlink(".dot/sub", far+"/conf/in"), os.Symlink("/etc", far+"/conf/out"), os.Symlink("conf", far+"/linked")); err != nil {
		t.Fatal(err)
	}
	then := time.Unix(1_000_000_000, 0)
	if err := os.Chtimes(far+"/log/a.log", then, then); err != nil {
		t.Fatal(err)
	}
	conf := func(dir string) []string {
		return []string{dir + "/", dir + "/.dot/", dir + "/.dot/sub/", dir + `/.dot/sub/-f 600 "f"`, dir + "/in -> .dot/sub", dir + `/it's%0a a\%1b$x* 755 "xxxxxxxxxxxxxxxxxxxx"`}
	}
	for name, c := range map[string]struct {
		options PullOptions
		paths   []string
		reason  fleet.Reason
		text    string
		want    []string
	}{
		"tree":                              {PullOptions{Times: true}, []string{"conf/", "lo[g]/a*"}, "", "3 files, 3000003 bytes, 1 links, 1 names with control characters, which are % and digits here, 1 links left out, 1 left out: no files", append(conf("conf"), "log/", `log/a.log 644 "A"`)},
		"verified":                          {PullOptions{RequireVerified: true}, []string{"log/[!b].log", "log/[[:alpha:]].log"}, "", ": 2 files, 1 bytes", []string{"log/", `log/a.log 644 "A"`, `log/b.log 600 ""`}},
		"bracket":                           {PullOptions{}, []string{"log/[[]c].log"}, "", ": 1 bytes", []string{"log/", `log/[c].log 600 "c"`}},
		"linked":                            {PullOptions{}, []string{"linked"}, "", ": 2 files", conf("linked")},
		"no link to a directory by pattern": {PullOptions{}, []string{"link*", "log/b*"}, "", "1 files, 0 bytes, 1 links left out", []string{"log/", `log/b.log 600 ""`}},
		"directories by pattern":            {PullOptions{}, []string{"l[!i]*/", "log/b*"}, "", ": 4 files", []string{"log/", `log/.hidden.log 600 "no"`, `log/[c].log 600 "c"`, `log/a.log 644 "A"`, `log/b.log 600 ""`}},
		"pattern in the middle":             {PullOptions{}, []string{"*/b.log"}, "", "b.log: 0 bytes", []string{"log/", `log/b.log 600 ""`}},
		"dots":                              {PullOptions{}, []string{"log/../log/./a.log"}, "", "a.log: 1 bytes", []string{"log/", `log/a.log 644 "A"`}},
		"no match":                          {PullOptions{}, []string{"x*", "*/x"}, fleet.ReasonNoFile, "not pulled: ", nil},
		"none":                              {PullOptions{}, []string{"x", "log/b.log"}, fleet.ReasonNoFile, "not pulled: ", []string{"log/", `log/b.log 600 ""`}},
		"pipe":                              {PullOptions{}, []string{"conf/pipe"}, fleet.ReasonNotRegular, "", nil},
		"too large":                         {PullOptions{MaxSize: 1000}, []string{"conf"}, fleet.ReasonTooLarge, "too_large", []string{"conf/", "conf/.dot/", "conf/.dot/sub/", `conf/.dot/sub/-f 600 "f"`, "conf/in -> .dot/sub"}},
		"too many":                          {PullOptions{MaxFiles: 3}, []string{"log"}, fleet.ReasonTooManyFiles, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, outside := openPull(t, len(c.paths), c.options)
			for i := range c.paths {
				c.paths[i] = far + "/" + c.paths[i]
			}
			for range 2 { // the second time into what is there
				end, out := pulledBySFTP(t, p, c.paths...)
				verified := c.options.RequireVerified || c.reason != "" || strings.Contains(out, ": 0 files")
				if end.Reason != c.reason || (end.Outcome == fleet.OutcomeOK) != (c.reason == "") || !strings.Contains(out, c.text) || end.Flags&fleet.FlagUnverified != 0 == verified && c.want != nil && c.reason == "" {
					t.Errorf("%v, %s, %v, %v\n%s", end.Outcome, end.Reason, end.Flags, end.Err, out)
				}
			}
			if info, err := os.Stat(outside + "/in/h" + far + "/log/a.log"); c.options.Times && (err != nil || !info.ModTime().Equal(then)) {
				t.Errorf("%v, %v", info, err)
			}
			if c.want == nil {
				wantPulled(t, name, p, outside+"/in")
			} else {
				wantPulled(t, name, p, outside+"/in/h"+far, c.want...)
			}
		})
	}
}

// A hostile is a server that plays one. It answers each request with what answer returns, without
// length and number: the first byte is the type; nil means that it is answered after the next one.
type hostile struct {
	answer func(kind byte, f fields) []byte
	out    []byte // requests that are not whole
	late   [][]byte
}

// A session is what a server talks to.
type session interface {
	io.Writer
	ssh.Stream
}

var version3 = []byte("\x00\x00\x00\x05\x02\x00\x00\x00\x03")

// serve plays the server until s has no more to say, or for so many requests.
func (h *hostile) serve(s session, requests int) {
	s.Notify(func() {})
	_, _ = s.Write(version3)
	buf := make([]byte, 1<<16)
	for at := int64(0); requests > 0; {
		n, err := s.Next(buf, at)
		at += int64(n)
		if h.out = append(h.out, buf[:n]...); err != nil || n == 0 {
			if errors.Is(err, io.EOF) || len(h.late) == 0 {
				return
			}
			h.flush(s)
			continue
		}
		for len(h.out) >= 4 && len(h.out) >= 4+int(binary.BigEndian.Uint32(h.out)) {
			size := int(binary.BigEndian.Uint32(h.out))
			packet := bytes.Clone(h.out[4 : 4+size])
			h.out = h.out[4+size:]
			if packet[0] == fxInit {
				continue
			}
			requests--
			f := fields(packet[5:])
			if a := h.answer(packet[0], f); a != nil {
				h.say(s, packet, a)
				h.flush(s)
			} else {
				h.late = append(h.late, packet)
			}
		}
	}
}

func (h *hostile) say(s session, request, answer []byte) {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(answer)+4)) //nolint:gosec // small
	_, _ = s.Write(append(append(append(b, answer[0]), request[1:5]...), answer[1:]...))
}

func (h *hostile) flush(s session) {
	late := h.late
	h.late = nil
	for _, packet := range late {
		if a := h.answer(packet[0], fields(packet[5:])); a != nil {
			h.say(s, packet, a)
		} else {
			h.late = append(h.late, packet)
		}
	}
}

func packed(kind byte, f ...any) []byte { return appendFields([]byte{kind}, f) }

func attrsOf(mode, size int64) []any {
	return []any{uint32(attrSize | attrPerm), size, uint32(mode)} //nolint:gosec // small
}

var eof = packed(fxStatus, uint32(statusEOF), "", "")

// Whatever a server says, nothing is written outside its directory, and the pull ends.
// faults.md: S24
func TestSFTPPullHostile(t *testing.T) {
	t.Parallel()
	const file, directory, link = modeFile | 0o6777, modeDir | 0o777, modeLink | 0o777
	var deep []string
	for i := range maxDepth {
		deep = append(deep, "d"+strings.Repeat("/d", i)+"/")
	}
	// listing answers the one directory with names, again and again if it is endless.
	type listing struct {
		names   []string
		mode    int64
		endless bool
	}
	for name, c := range map[string]struct {
		list   listing
		play   func(kind byte, f fields) []byte // before the usual
		reason fleet.Reason
		want   []string
	}{
		"good":          {listing{[]string{"f"}, file, false}, nil, "", []string{"d/", `d/f 755 "data"`}},
		"up":            {listing{[]string{"../f"}, file, false}, nil, fleet.ReasonBadAnswer, nil},
		"absolute":      {listing{[]string{"/tmp/f"}, file, false}, nil, fleet.ReasonBadAnswer, nil},
		"slash":         {listing{[]string{"a/f"}, file, false}, nil, fleet.ReasonBadAnswer, nil},
		"no name":       {listing{[]string{""}, file, false}, nil, fleet.ReasonBadAnswer, nil},
		"nul":           {listing{[]string{"a\x00b\nc"}, file, false}, nil, "", []string{"d/", `d/a%00b%0ac 755 "data"`}},
		"dots":          {listing{[]string{".", "..", "f"}, file, false}, nil, "", []string{"d/", `d/f 755 "data"`}},
		"twice":         {listing{[]string{"f", "f"}, file, false}, nil, fleet.ReasonNameCollision, []string{"d/", `d/f 755 "data"`}},
		"long":          {listing{[]string{strings.Repeat("n", 5000)}, file, false}, nil, fleet.ReasonBadAnswer, nil},
		"too long here": {listing{[]string{strings.Repeat("n", 300)}, file, false}, nil, fleet.ReasonBadName, []string{"d/"}},
		"endless":       {listing{[]string{"a", "b"}, file, true}, nil, fleet.ReasonTooManyFiles, nil},
		"long handle": {listing{[]string{"f"}, file, false}, func(kind byte, _ fields) []byte {
			if kind == fxOpen {
				return packed(fxHandle, strings.Repeat("h", maxHandle+1))
			}
			return nil
		}, fleet.ReasonReadFailed, []string{"d/"}},
		"endless nothing": {listing{}, func(kind byte, _ fields) []byte {
			if kind == fxReaddir {
				return packed(fxName, uint32(0))
			}
			return nil
		}, fleet.ReasonReadFailed, nil},
		"endless dots": {listing{[]string{".", ".."}, file, true}, nil, fleet.ReasonTooManyFiles, nil},
		"deep":         {listing{[]string{"d"}, directory, false}, nil, fleet.ReasonTooManyFiles, deep},
		"device":       {listing{[]string{"null"}, 0o020666, false}, nil, "", []string{"d/"}},
		"link out":     {listing{[]string{"l"}, link, false}, nil, "", []string{"d/"}},
		"no kind":      {listing{[]string{"f"}, 0o777, false}, nil, "", []string{"d/"}},
		"directory opened": {listing{[]string{"f"}, file, false}, func(kind byte, _ fields) []byte {
			if kind == fxFstat {
				return packed(fxAttrs, attrsOf(directory, 4)...)
			}
			return nil
		}, fleet.ReasonNotRegular, []string{"d/"}},
		"large": {listing{[]string{"f"}, file, false}, func(kind byte, _ fields) []byte {
			if kind == fxFstat {
				return packed(fxAttrs, attrsOf(file, -1)...)
			}
			return nil
		}, fleet.ReasonTooLarge, []string{"d/"}},
		"larger than it is": {listing{[]string{"f"}, file, false}, func(kind byte, _ fields) []byte {
			if kind == fxFstat {
				return packed(fxAttrs, attrsOf(file, 90_000)...)
			}
			return nil
		}, fleet.ReasonChangedWhileRead, []string{"d/"}},
		"no size": {listing{[]string{"f"}, file, false}, func(kind byte, _ fields) []byte {
			if kind == fxFstat {
				return packed(fxAttrs, uint32(0))
			}
			return nil
		}, "", []string{"d/", `d/f 600 "data"`}},
		"more than asked for": {listing{[]string{"f"}, file, false}, func(kind byte, _ fields) []byte {
			if kind == fxRead {
				return packed(fxData, "data and more")
			}
			return nil
		}, fleet.ReasonChangedWhileRead, []string{"d/"}},
		"nothing": {listing{[]string{"f"}, file, false}, func(kind byte, _ fields) []byte {
			if kind == fxRead {
				return packed(fxData, "")
			}
			return nil
		}, fleet.ReasonChangedWhileRead, []string{"d/"}},
		"a byte at a time": {listing{[]string{"f"}, file, false}, func(kind byte, f fields) []byte {
			if kind == fxRead {
				f.text()
				return packed(fxData, "data"[f.uint64():][:1])
			}
			return nil
		}, "", []string{"d/", `d/f 755 "data"`}},
		"huge packet": {listing{[]string{"f"}, file, false}, func(kind byte, _ fields) []byte {
			if kind == fxRead {
				return packed(fxData, strings.Repeat("x", 100_000))
			}
			return nil
		}, fleet.ReasonNoReceipt, nil},
		"wrong kind": {listing{[]string{"f"}, file, false}, func(kind byte, _ fields) []byte {
			if kind == fxOpen {
				return packed(fxData, "handle")
			}
			return nil
		}, fleet.ReasonReadFailed, []string{"d/"}},
		"denied": {listing{[]string{"f"}, file, false}, func(kind byte, _ fields) []byte {
			if kind == fxOpen {
				return packed(fxStatus, uint32(statusDenied), "no", "")
			}
			return nil
		}, fleet.ReasonPermissionDenied, []string{"d/"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, outside := openPull(t, 1, PullOptions{MaxSize: 100_000, MaxFiles: 200})
			listed := make(map[string]bool)
			h := &hostile{answer: func(kind byte, f fields) []byte {
				if c.play != nil {
					if a := c.play(kind, f); a != nil {
						return a
					}
				}
				switch kind {
				case fxStat:
					return packed(fxAttrs, attrsOf(directory, 0)...)
				case fxLstat:
					return packed(fxAttrs, attrsOf(c.list.mode, 4)...)
				case fxOpendir:
					return packed(fxHandle, fmt.Sprint("d", len(listed)))
				case fxReaddir:
					if handle := f.text(); !listed[handle] || c.list.endless {
						listed[handle] = true
						names := c.list.names
						if c.list.endless {
							names = slices.Repeat(names, 500)
						}
						fields := []any{uint32(len(names))} //nolint:gosec // few
						for _, n := range names {
							fields = append(append(fields, n, "ls"), attrsOf(c.list.mode, 4)...)
						}
						return packed(fxName, fields...)
					}
					return eof
				case fxReadlink:
					return packed(fxName, uint32(1), "../../../out", "", uint32(0))
				case fxOpen:
					return packed(fxHandle, "f")
				case fxFstat:
					return packed(fxAttrs, attrsOf(c.list.mode, 4)...)
				case fxRead:
					f.text()
					at, n := f.uint64(), f.uint32()
					if at >= 4 {
						return eof
					}
					return packed(fxData, "data"[at:min(at+uint64(n), 4)])
				}
				return packed(fxStatus, uint32(0), "", "")
			}}
			s, out := pulling(t, p, "/d")
			s.start(t.Context())
			h.serve(s, 2_000_000)
			end := s.judge(fleet.Exited(fleet.PhaseRun, 0, "", true))
			if end.Reason != c.reason || (end.Outcome == fleet.OutcomeOK) != (c.reason == "") {
				t.Errorf("%v, %s, %v\n%s", end.Outcome, end.Reason, end.Err, out)
			}
			if c.want == nil {
				wantPulled(t, name, p, outside, "in/")
			} else {
				wantPulled(t, name, p, outside+"/in/h", c.want...)
			}
		})
	}
}

// Answers may come short and in any order, and a file may change while it is read.
func TestSFTPPullReads(t *testing.T) {
	t.Parallel()
	text := make([]byte, 3_000_000)
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // any bytes do
	for i := range text {
		text[i] = byte(random.IntN(256)) //nolint:gosec // a byte
	}
	for name, c := range map[string]struct {
		options  PullOptions
		grows    bool
		changes  bool
		reason   fleet.Reason
		verified bool
	}{
		"short and out of order": {},
		"verified":               {options: PullOptions{RequireVerified: true}, verified: true},
		"grows":                  {grows: true, verified: true},
		"changes":                {grows: true, changes: true, reason: fleet.ReasonChangedWhileRead},
		"changes unseen":         {options: PullOptions{RequireVerified: true}, changes: true, reason: fleet.ReasonChangedWhileRead},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, outside := openPull(t, 1, c.options)
			random := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // any order does
			size, reads, stats := int64(len(text)), 0, 0
			h := &hostile{answer: func(kind byte, f fields) []byte {
				switch kind {
				case fxStat:
					return packed(fxAttrs, attrsOf(modeFile|0o644, size)...)
				case fxFstat:
					if stats++; stats > 1 && c.grows {
						size += 10
					}
					return packed(fxAttrs, attrsOf(modeFile|0o644, size)...)
				case fxOpen:
					return packed(fxHandle, "f")
				case fxRead:
					if random.IntN(4) == 0 {
						return nil // later
					}
					f.text()
					at, n := int64(f.uint64()), int64(f.uint32()) //nolint:gosec // small
					if at >= int64(len(text)) {
						return eof
					}
					b := bytes.Clone(text[at:min(at+n, int64(len(text)))])
					if reads++; reads > 150 && c.changes {
						b[0]++
					}
					return packed(fxData, string(b[:1+random.IntN(len(b))]))
				}
				return packed(fxStatus, uint32(0), "", "")
			}}
			s, _ := pulling(t, p, "/f")
			s.start(t.Context())
			h.serve(s, 1_000_000)
			end := s.judge(fleet.Exited(fleet.PhaseRun, 0, "", true))
			if end.Reason != c.reason || c.reason == "" && end.Flags&fleet.FlagUnverified == 0 != c.verified {
				t.Errorf("%v, %s, %v, %v", end.Outcome, end.Reason, end.Err, end.Flags)
			}
			got, err := os.ReadFile(filepath.Join(outside, "in/h/f"))
			if c.reason == "" && !bytes.Equal(got, text) || c.reason != "" && err == nil {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
}
