package simfleet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"shoal/internal/needs"
	"shoal/internal/remote"
)

// sftp runs OpenSSH's client with these commands on host i, in dir.
func sftp(t *testing.T, f *Fleet, i int, dir, commands string) (string, error) {
	t.Helper()
	program := needs.Program(t, "sftp")
	files := t.TempDir()
	for name, write := range map[string]func(io.Writer) error{"key": f.WriteKey, "known_hosts": f.WriteKnownHosts} {
		file, err := os.OpenFile(filepath.Join(files, name), os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if err := write(file); err != nil {
			t.Fatal(err)
		}
		_ = file.Close()
	}
	cmd := exec.Command(program, "-F", "none", "-b", "-", "-P", strconv.Itoa(int(f.Port())), "-i", filepath.Join(files, "key"),
		"-o", "UserKnownHostsFile="+filepath.Join(files, "known_hosts"), "-o", "IdentityAgent=none", "ada@"+f.Host(i).Name)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(commands)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestSFTPWithOpenSSH moves files with OpenSSH's sftp, which uses every request.
func TestSFTPWithOpenSSH(t *testing.T) {
	f := startFleet(t, Options{Hosts: 1})
	dir := t.TempDir()
	content := bytes.Repeat([]byte("0123456789abcdef\n"), 100_000)
	if err := os.WriteFile(filepath.Join(dir, "big"), content, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "tree/sub"), 0o750); err != nil {
		t.Fatal(err)
	}
	for i := range 250 {
		if err := os.WriteFile(filepath.Join(dir, "tree/sub", fmt.Sprint("f", i)), []byte(fmt.Sprint(i)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := sftp(t, f, 0, dir, strings.Join([]string{
		"pwd", "put -p big", "get big back", "put -r tree", "get -r tree tree2", "rename big moved", "ln -s moved soft", "ln moved hard", "chmod 600 hard",
		"mkdir d", "-rmdir tree", "-rm nope", "rm soft", "df", "ls -l moved", "-put big /etc/x", "-cd nope", "rmdir d", "",
	}, "\n"))
	if err != nil {
		t.Errorf("sftp: %v\n%s", err, out)
	}
	for _, want := range []string{"Remote working directory: /home/ada\n", "Permission denied", "No such file"} {
		if !strings.Contains(out, want) {
			t.Errorf("sftp does not say %q:\n%s", want, out)
		}
	}
	if back, err := os.ReadFile(filepath.Join(dir, "back")); err != nil || !bytes.Equal(back, content) {
		t.Errorf("what came back differs: %v", err)
	}
	if names, _ := os.ReadDir(filepath.Join(dir, "tree2/sub")); len(names) != 250 {
		t.Errorf("%d files came back, want 250", len(names))
	}
	out, _, _ = runOn(t, dialSSH(t, f, 0), "sha256sum <moved; stat -c '%a %h %F' hard; ls; ls tree/sub | wc -l; cat tree/sub/f249", "")
	want := fmt.Sprintf("%s  -\n600 2 regular file\nhard\nmoved\ntree\n250\n249", WrittenOf(content).SHA256)
	if out != want {
		t.Errorf("the host has\n%s\nwant\n%s", out, want)
	}
	if n := f.Stats().Subsystems; n != 1 {
		t.Errorf("%d subsystems are counted", n)
	}
}

// A raw is an SFTP session by hand.
type raw struct {
	t *testing.T
	ssh.Channel
	requests <-chan *ssh.Request
	id       uint32
}

func startSFTP(t *testing.T, client ssh.Conn) *raw {
	t.Helper()
	channel, requests, err := client.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := channel.SendRequest("subsystem", true, ssh.Marshal(struct{ Name string }{"sftp"})); !ok || err != nil {
		t.Fatalf("the subsystem: %v, %v", ok, err)
	}
	return &raw{t: t, Channel: channel, requests: requests}
}

func (r *raw) packet(body []byte) error {
	_, err := r.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
	return err
}

func (r *raw) answer() ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > 256<<10 {
		return nil, nil // no packet
	}
	body := make([]byte, n)
	_, err := io.ReadFull(r, body)
	return body, err
}

// call sends a request of these fields and returns the answer's type and body.
func (r *raw) call(kind byte, fields ...any) (byte, []byte, error) {
	r.t.Helper()
	r.id++
	body := binary.BigEndian.AppendUint32([]byte{kind}, r.id)
	for _, f := range fields {
		switch f := f.(type) {
		case string:
			body = append(binary.BigEndian.AppendUint32(body, uint32(len(f))), f...)
		case uint32:
			body = binary.BigEndian.AppendUint32(body, f)
		case uint64:
			body = binary.BigEndian.AppendUint64(body, f)
		}
	}
	if err := r.packet(body); err != nil {
		return 0, nil, err
	}
	answer, err := r.answer()
	if err != nil {
		return 0, nil, err
	}
	if len(answer) < 5 || binary.BigEndian.Uint32(answer[1:]) != r.id {
		r.t.Fatalf("the answer is %q", answer)
	}
	return answer[0], answer[5:], nil
}

// status is call for an answer that is a status.
func (r *raw) status(kind byte, fields ...any) (uint32, error) {
	r.t.Helper()
	got, body, err := r.call(kind, fields...)
	if err == nil && (got != 101 || len(body) < 4) {
		r.t.Fatalf("request %d: the answer is of type %d, want a status", kind, got)
	}
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint32(body), nil
}

func (r *raw) init() string {
	r.t.Helper()
	if err := r.packet([]byte{1, 0, 0, 0, 3}); err != nil {
		r.t.Fatal(err)
	}
	answer, err := r.answer()
	if err != nil {
		r.t.Fatal(err)
	}
	return string(answer)
}

// open opens a file and returns the handle.
func (r *raw) open(path string, flags uint32) string {
	r.t.Helper()
	kind, body, err := r.call(3, path, flags, uint32(0))
	if err != nil || kind != 102 {
		r.t.Fatalf("opening %s: type %d, %q, %v", path, kind, body, err)
	}
	return string(body[4:])
}

const (
	readFlag   = 1
	createFlag = 2 | 8 | 16
)

func TestSFTPExtensionsAndLimits(t *testing.T) {
	f := startFleet(t, Options{Hosts: 1})
	r := startSFTP(t, dialSSH(t, f, 0))
	version := r.init()
	for _, name := range []string{"posix-rename@openssh.com", "statvfs@openssh.com", "limits@openssh.com", "fsync@openssh.com"} {
		if !strings.Contains(version, name) {
			t.Errorf("%s is missing from %q", name, version)
		}
	}
	kind, body, err := r.call(200, "limits@openssh.com")
	if err != nil || kind != 201 || len(body) != 32 || binary.BigEndian.Uint64(body) != 256<<10 {
		t.Errorf("limits: %d, %x, %v", kind, body, err)
	}
	h := r.open("a", createFlag|readFlag)
	for _, c := range []struct {
		want   uint32
		kind   byte
		fields []any
	}{
		{0, 6, []any{h, uint64(0), "hello"}},
		{0, 200, []any{"fsync@openssh.com", h}},
		{0, 4, []any{h}},
		{2, 4, []any{h}},
		{4, 18, []any{"a", "a"}},                                // rename does not replace
		{0, 200, []any{"posix-rename@openssh.com", "a", "b"}},   //
		{2, 200, []any{"posix-rename@openssh.com", "a", "b"}},   //
		{8, 200, []any{"nonsense@example.com", "a"}},            //
		{8, 99, []any{"x"}},                                     //
		{5, 3, []any{"x"}},                                      // cut off
		{5, 13, nil},                                            //
		{3, 13, []any{"/etc/hostname"}},                         //
		{0, 10 - 1, []any{"b", uint32(4), uint32(0o4711)}},      // SETSTAT
		{2, 5, []any{"\x00\x00\x00\x63", uint64(0), uint32(1)}}, // no such handle
		{2, 12, []any{"short"}},                                 //
	} {
		if got, err := r.status(c.kind, c.fields...); got != c.want || err != nil {
			t.Errorf("request %d %q: status %d, %v, want %d", c.kind, c.fields, got, err, c.want)
		}
	}
	if got, err := r.status(5, r.open("b", readFlag), uint64(5), uint32(10)); got != 1 || err != nil {
		t.Errorf("reading at the end: status %d, %v, want 1", got, err)
	}
	kind, body, err = r.call(200, "statvfs@openssh.com", ".")
	if size, free := binary.BigEndian.Uint64(body[16:]), binary.BigEndian.Uint64(body[24:]); err != nil || kind != 201 || size != diskSize/4096 || free == 0 || free >= size {
		t.Errorf("statvfs: %d blocks, %d free, %v", size, free, err)
	}
	if out, _, _ := runOn(t, dialSSH(t, f, 0), "cat b; stat -c %a b", ""); out != "hello4711\n" {
		t.Errorf("the file is %q", out)
	}
	// What is no packet ends the session.
	if err := r.packet(nil); err != nil {
		t.Error(err)
	}
	if _, err := r.answer(); err != io.EOF { //nolint:errorlint // io.ReadFull's
		t.Errorf("an empty packet: %v", err)
	}
}

// put writes a file by SFTP and says how far that came.
func put(t *testing.T, client *ssh.Client, name, content string) string {
	t.Helper()
	channel, requests, err := client.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = channel.Close() }()
	if ok, err := channel.SendRequest("subsystem", true, ssh.Marshal(struct{ Name string }{"sftp"})); !ok || err != nil {
		return "refused"
	}
	r := &raw{t: t, Channel: channel, requests: requests}
	if err := r.packet([]byte{1, 0, 0, 0, 3}); err != nil {
		return "closed"
	}
	if version, err := r.answer(); err != nil {
		return "closed"
	} else if len(version) < 5 || version[0] != 2 {
		return "no version"
	}
	kind, body, err := r.call(3, name, uint32(createFlag), uint32(0))
	if err != nil || kind != 102 {
		return fmt.Sprintf("open %d", binary.BigEndian.Uint32(body))
	}
	h := string(body[4:])
	for off := 0; off < len(content); off += 32 << 10 {
		switch code, err := r.status(6, h, uint64(off), content[off:min(len(content), off+32<<10)]); {
		case err != nil:
			return "cut"
		case code != 0:
			return fmt.Sprint("write ", code)
		}
	}
	if code, err := r.status(4, h); err != nil || code != 0 {
		return fmt.Sprintf("close %d, %v", code, err)
	}
	return "close 0"
}

// TestFileFaults has a case for each fault of files.
// faults.md: S06 R19
func TestFileFaults(t *testing.T) {
	content := strings.Repeat("0123456789", 20_000)
	cases := map[Fault]struct {
		sftp   string // how far SFTP came
		left   string // the file's size afterwards; "" is not asked for
		shell  string // what a shell printed that stored the file and compared it
		status int    // its exit status; -1 means none
		once   int    // the exit status of a command with a marker
	}{
		FaultNone:             {sftp: "close 0", left: "200000\n", shell: "1\n"},
		FaultDiskFull:         {sftp: "write 4", shell: "", status: 1, once: remote.StatusNoMarker}, // the disk is full by then
		FaultPermissionDenied: {sftp: "open 3", shell: "", status: 2, once: remote.StatusNoMarker},
		FaultReadOnly:         {sftp: "open 4", shell: "", status: 2, once: remote.StatusNoMarker},
		FaultQuota:            {sftp: "write 4", shell: "", status: 1, once: remote.StatusNoMarker},
		FaultNoRename:         {sftp: "close 0", left: "200000\n", shell: "1\n"},
		FaultShortWrite:       {sftp: "close 0", left: "198304\n", shell: "0\n", status: 1},
		FaultSlowFiles:        {sftp: "close 0", left: "200000\n", shell: "1\n"},
		FaultDropMidTransfer:  {sftp: "cut", left: "16384\n", shell: "", status: -1},
		FaultNoSFTP:           {sftp: "refused", shell: "1\n"},
		FaultSFTPCloses:       {sftp: "closed", shell: "1\n"},
		FaultSFTPOnly:         {sftp: "close 0"}, // it runs nothing
		FaultNoisyLogin:       {sftp: "no version", shell: loginNoise + "1\n"},
	}
	for _, fault := range FileFaults() {
		if _, ok := cases[fault]; !ok {
			t.Errorf("fault %q has no case", fault)
		}
	}
	for fault, want := range cases {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			f := startFleet(t, Options{Hosts: 2, Fault: func(int) Fault { return fault }})
			if got := put(t, dialSSH(t, f, 0), "f", content); got != want.sftp {
				t.Errorf("by SFTP: %s, want %s", got, want.sftp)
			}
			if want.left != "" {
				if out, _, _ := runOn(t, dialSSH(t, f, 0), "wc -c <f", ""); out != want.left {
					t.Errorf("by SFTP: %q bytes are there, want %q", out, want.left)
				}
			}
			line := fmt.Sprintf("cat >f && sha256sum <f | grep -c %s", WrittenOf([]byte(content)).SHA256)
			out, _, err := runOn(t, dialSSH(t, f, 1), line, content)
			code := status(err)
			if e := new(ssh.ExitMissingError); errors.As(err, &e) {
				code = -1
			}
			if out != want.shell || code != want.status {
				t.Errorf("by the shell: %q and %v, want %q and status %d", out, err, want.shell, want.status)
			}
			_, _, err = wrapped(t, dialSSH(t, f, 1), remote.Wrap{Marker: &remote.Marker{Run: "r"}}, "exit 0")
			if got := status(err); got != want.once {
				t.Errorf("with a marker: status %d, want %d", got, want.once)
			}
		})
	}
}
