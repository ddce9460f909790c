package hostkeys_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"shoal/internal/ssh"
	"shoal/internal/ssh/hostkeys"
)

func approve(name string, port uint16, replace bool, keys ...xssh.PublicKey) hostkeys.Approval {
	return hostkeys.Approval{Target: ssh.Target{Target: target(name, port)}, Keys: keys, Replace: replace}
}

func TestApprove(t *testing.T) {
	t.Parallel()
	a, b, c := edKey(1), edKey(2), ecdsaKey(t)
	for _, test := range []struct {
		name      string
		before    string
		approvals []hostkeys.Approval
		after     string
		err       string
	}{
		{"nothing", line("h", a), nil, line("h", a), ""},
		{"new", "# head\n", []hostkeys.Approval{approve("H", 22, false, a, c)}, "# head\n" + line("h", a) + line("h", c), ""},
		{"new on a port", "", []hostkeys.Approval{approve("h", 2222, false, a)}, line("[h]:2222", a), ""},
		{"new behind a torn line", "torn", []hostkeys.Approval{approve("h", 22, false, a)}, "torn\n" + line("h", a), ""},
		{"known", line("h", a), []hostkeys.Approval{approve("h", 22, true, a)}, line("h", a), ""},
		{"added", line("h", a), []hostkeys.Approval{approve("h", 22, false, a, b)}, line("h", a) + line("h", b), ""},
		{
			"replaced", "# head\n" + line("h", a) + "rubbish\n" + line("g", c),
			[]hostkeys.Approval{approve("h", 22, true, b)},
			"# head\nrubbish\n" + line("g", c) + line("h", b), "",
		},
		{"one of two replaced", line("h", a) + line("h", c), []hostkeys.Approval{approve("h", 22, true, a, b)}, line("h", a) + line("h", b), ""},
		{"one name of several", line("g,H,,i", a), []hostkeys.Approval{approve("h", 22, true, b)}, line("g,i", a) + line("h", b), ""},
		{
			"two names of one line", line("g,h", a),
			[]hostkeys.Approval{approve("h", 22, true, b), approve("g", 22, true, c)},
			line("h", b) + line("g", c), "",
		},
		{
			"hashed", line(hashed("h", 1), a) + line(hashed("g", 2), a),
			[]hostkeys.Approval{approve("h", 22, true, b)},
			line(hashed("g", 2), a) + line("h", b), "",
		},
		{
			"no newline at the end", line("h", a) + strings.TrimSuffix(line("g", c), "\n"),
			[]hostkeys.Approval{approve("h", 22, true, b)},
			line("g", c) + line("h", b), "",
		},
		{
			"authorities and revocations stay", line("@cert-authority h", a) + line("@revoked h", c),
			[]hostkeys.Approval{approve("h", 22, true, b)},
			line("@cert-authority h", a) + line("@revoked h", c) + line("h", b), "",
		},
		{
			"another key is revoked everywhere", line("@revoked *", c) + line("h", a),
			[]hostkeys.Approval{approve("h", 22, true, b)},
			line("@revoked *", c) + line("h", b), "",
		},
		{"all removed", line("h", a), []hostkeys.Approval{approve("h", 22, true)}, "", ""},

		{
			"a pattern in the way", line("h*", a),
			[]hostkeys.Approval{approve("g", 22, false, b), approve("h", 22, true, b)},
			line("h*", a), ":1 has another key under a pattern",
		},
		{"revoked", line("@revoked *", a), []hostkeys.Approval{approve("h", 22, false, a)}, line("@revoked *", a), ":1 revokes the key ssh-ed25519 SHA256:"},
		{"weak", "", []hostkeys.Approval{approve("h", 22, false, rsaKey(1024))}, "", "has 1024 bits"},
		{"a certificate", "", []hostkeys.Approval{approve("h", 22, false, certify(t, a, edSigner(1)))}, "", "a certificate cannot be approved"},
		{"no key", "", []hostkeys.Approval{approve("h", 22, false, nil)}, "", "no key"},
		{"a bad name", "", []hostkeys.Approval{approve("g", 22, false, a), approve("h,g", 22, false, a)}, "", "cannot stand in known_hosts"},
		{"twice", "", []hostkeys.Approval{approve("h", 22, false, a), approve("H", 0, false, b)}, "", `"h" is approved twice`},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := file(t, test.before)
			if err := os.Chmod(path, 0o640); err != nil {
				t.Fatal(err)
			}
			err := hostkeys.Approve(hostkeys.Options{Files: []string{path}}, test.approvals)
			if (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v, want %q", err, test.err)
			}
			if got := readFile(t, path); got != test.after {
				t.Errorf("file:\n%swant:\n%s", got, test.after)
			}
			wantAlone(t, path, 0o640)
		})
	}
}

// wantAlone asserts that a file has these permissions and is alone in its directory.
func wantAlone(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != mode {
		t.Errorf("%v, %v; want mode %v", info.Mode(), err, mode)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("beside it: %v, %v", entries, err)
	}
}

func TestApproveMakesTheFileAndFollowsLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real", "known_hosts"), filepath.Join(dir, "link")
	o := hostkeys.Options{Files: []string{real}, HashNames: true}
	if err := hostkeys.Approve(o, []hostkeys.Approval{approve("h", 22, false, edKey(1))}); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	o.Files = []string{link}
	if err := hostkeys.Approve(o, []hostkeys.Approval{approve("h", 22, true, edKey(2))}); err != nil {
		t.Fatal(err)
	}
	wantAlone(t, real, 0o600)
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("the link is %v, %v", info, err)
	}
	if got := readFile(t, real); strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, "|1|") {
		t.Errorf("file: %q", got)
	}
	if err := open(t, hostkeys.Strict, link).Check(target("h", 22), nil, edKey(2)); err != nil {
		t.Error(err)
	}
}

// A replaced file keeps its owner.
func TestApproveKeepsTheOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("takes root: nobody else can give a file away")
	}
	path := file(t, line("h", edKey(1)))
	const owner, group = 12345, 23456
	if err := errors.Join(os.Chown(path, owner, group), os.Chmod(path, 0o640)); err != nil {
		t.Fatal(err)
	}
	if err := hostkeys.Approve(hostkeys.Options{Files: []string{path}}, []hostkeys.Approval{approve("h", 22, true, edKey(2))}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if is := info.Sys().(*syscall.Stat_t); is.Uid != owner || is.Gid != group || info.Mode() != 0o640 {
		t.Errorf("it belongs to %d:%d with mode %v", is.Uid, is.Gid, info.Mode())
	}
	if got, want := readFile(t, path), line("h", edKey(2)); got != want {
		t.Errorf("it is %q, want %q", got, want)
	}
}

func TestApproveThatCannotWrite(t *testing.T) {
	t.Parallel()
	if err := hostkeys.Approve(hostkeys.Options{}, nil); err == nil {
		t.Error("no file, and no error")
	}
	path := filepath.Join(t.TempDir(), "full")
	if err := os.Symlink("/dev/full", path); err != nil {
		t.Fatal(err)
	}
	err := hostkeys.Approve(hostkeys.Options{Files: []string{path}}, []hostkeys.Approval{approve("h", 22, false, edKey(1))})
	if err == nil || !strings.Contains(err.Error(), "no space left on device") {
		t.Error(err)
	}
}

// A run that learns while lines are replaced loses nothing: it opens the new file after
// locking.
func TestApprovingAndLearningAtOnce(t *testing.T) {
	t.Parallel()
	const hosts = 200
	path := file(t, line("old", edKey(1)))
	learned := make(chan error, 1) // sent by the one goroutine
	go func() { learned <- learnAll(open(t, hostkeys.AcceptNew, path), 0, hosts) }()
	for i := range uint64(40) {
		if err := hostkeys.Approve(hostkeys.Options{Files: []string{path}}, []hostkeys.Approval{approve("old", 22, true, edKey(1000+i))}); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-learned; err != nil {
		t.Fatal(err)
	}
	want := []string{line("old", edKey(1039))}
	for i := range hosts {
		want = append(want, line(hostName(i), edKey(uint64(i))))
	}
	got := slices.Sorted(strings.Lines(readFile(t, path)))
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d lines, want %d", len(got), len(want))
	}
}
