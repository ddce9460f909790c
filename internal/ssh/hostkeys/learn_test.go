package hostkeys_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"shoal/fleet"
	"shoal/internal/needs"
	"shoal/internal/ssh"
	"shoal/internal/ssh/hostkeys"
)

// learn makes the calls of a successful connection.
func learn(s *hostkeys.Store, name string, n uint64) error {
	to, key := target(name, 22), edKey(n)
	if err := s.Check(to, nil, key); err != nil {
		return err
	}
	return s.Accepted(context.Background(), to, key)
}

func TestAcceptNewWritesWhatWasAccepted(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "dir", "known_hosts")
	second := file(t, line("elsewhere", edKey(7)))
	s := open(t, hostkeys.AcceptNew, path, second)
	if err := s.Check(target("H", 2222), nil, edKey(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Fatalf("written before the host let us in: %v", err)
	}
	for range 2 {
		if err := s.Accepted(context.Background(), target("H", 2222), edKey(1)); err != nil {
			t.Fatal(err)
		}
	}
	for name, n := range map[string]uint64{"g": 2, "elsewhere": 7} {
		if err := learn(s, name, n); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := readFile(t, path), line("[h]:2222", edKey(1))+line("g", edKey(2)); got != want {
		t.Errorf("file:\n%swant:\n%s", got, want)
	}
	for p, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if info, err := os.Stat(p); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want mode %v", p, info.Mode(), err, want)
		}
	}
	// The next run knows the key.
	if err := open(t, hostkeys.Strict, path).Check(target("h", 2222), nil, edKey(1)); err != nil {
		t.Error(err)
	}
}

func TestOnlyAcceptNewWrites(t *testing.T) {
	t.Parallel()
	path := file(t, line("known", edKey(1)))
	before := readFile(t, path)
	for _, policy := range []hostkeys.Policy{hostkeys.Strict, hostkeys.Insecure} {
		s := open(t, policy, path)
		for name, n := range map[string]uint64{"known": 1, "new": 2} {
			if err := s.Accepted(context.Background(), target(name, 22), edKey(n)); err != nil {
				t.Error(err)
			}
		}
	}
	if got := readFile(t, path); got != before {
		t.Errorf("file is now %q", got)
	}
}

// Hashed names are found by this run, the next run and ssh-keygen.
func TestHashedNamesAreWritten(t *testing.T) {
	t.Parallel()
	path := file(t)
	s, err := hostkeys.Open(hostkeys.Options{Files: []string{path}, Policy: hostkeys.AcceptNew, HashNames: true})
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"a.example", "b.example", "a.example"} {
		if err := learn(s, name, uint64(i%2)); err != nil {
			t.Fatal(err)
		}
	}
	text := readFile(t, path)
	lines := slices.Collect(strings.Lines(text))
	if len(lines) != 2 || strings.Contains(text, "example") || !strings.HasPrefix(lines[0], "|1|") || !strings.HasPrefix(lines[1], "|1|") {
		t.Fatalf("file:\n%s", text)
	}
	if salt := func(s string) string { return strings.Split(s, "|")[2] }; salt(lines[0]) == salt(lines[1]) {
		t.Error("two names share a salt")
	}
	for i, name := range []string{"a.example", "b.example"} {
		if err := open(t, hostkeys.Strict, path).Check(target(name, 22), nil, edKey(uint64(i))); err != nil {
			t.Error(err)
		}
		out, err := exec.CommandContext(t.Context(), needs.Program(t, "ssh-keygen"), "-F", name, "-f", path).Output()
		if want := fmt.Sprintf("# Host %s found: line %d", name, i+1); err != nil || !strings.HasPrefix(string(out), want) {
			t.Errorf("ssh-keygen -F %s: %v\n%s", name, err, out)
		}
	}
}

func TestASecondKeyInOneRunIsRefused(t *testing.T) {
	t.Parallel()
	path := file(t)
	s := open(t, hostkeys.AcceptNew, path)
	if err := s.Check(target("h", 22), nil, edKey(1)); err != nil {
		t.Fatal(err)
	}
	err := s.Check(target("h", 22), nil, edKey(2))
	if got := reason(t, err); got != isChanged || !strings.Contains(err.Error(), "earlier in this run") {
		t.Errorf("%q: %v", got, err)
	}
	if got := reason(t, s.Accepted(context.Background(), target("h", 22), edKey(2))); got != isFailed {
		t.Errorf("learning the second key: %q, want %q", got, isFailed)
	}
	if got := readFile(t, path); got != "" {
		t.Errorf("file: %q", got)
	}
}

// A machine that answers first for a new host and disconnects does not become the host: the
// last release of a key removes its claim, unless the key was written.
func TestAKeyThatProvedNothingIsReleased(t *testing.T) {
	t.Parallel()
	path := file(t)
	to := ssh.Target{Target: target("h", 22), Endpoint: &ssh.Endpoint{Settings: &ssh.Settings{
		Known: ssh.HostKeySpec{Policy: hostkeys.AcceptNew, Files: []string{path}},
	}}}
	r := hostkeys.NewVerifier()
	var s interface {
		ssh.HostKeys
		ssh.KeyReleaser
	} = r
	check := func(n uint64, want fleet.Reason) {
		t.Helper()
		if got := reason(t, s.Check(to, nil, edKey(n))); got != want {
			t.Errorf("key %d: %q, want %q", n, got, want)
		}
	}
	check(1, isTrusted)
	check(1, isTrusted) // a second connection
	check(2, isChanged)
	s.Released(to, edKey(2)) // this key was refused
	s.Released(to, edKey(1))
	check(2, isChanged)
	s.Released(to, edKey(1))
	check(2, isTrusted)
	check(1, isChanged)
	if err := s.Accepted(context.Background(), to, edKey(2)); err != nil {
		t.Fatal(err)
	}
	s.Released(to, edKey(2)) // after the claim has been removed
	s.Released(to, edKey(2))
	check(1, isChanged)
	check(2, isTrusted)
	if got, want := readFile(t, path), line("h", edKey(2)); got != want {
		t.Errorf("file %q, want %q", got, want)
	}
}

func TestAppendingKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	path := file(t, line("a", edKey(1)), "# no newline at the end")
	s := open(t, hostkeys.AcceptNew, path)
	if err := learn(s, "b", 2); err != nil {
		t.Fatal(err)
	}
	want := line("a", edKey(1)) + "# no newline at the end\n" + line("b", edKey(2))
	if got := readFile(t, path); got != want {
		t.Errorf("file %q, want %q", got, want)
	}
}

func TestWhatOthersWriteMeanwhileCounts(t *testing.T) {
	t.Parallel()
	appendTo := func(path, text string) {
		if err := os.WriteFile(path, []byte(readFile(t, path)+text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	replace := func(path, text string) {
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	long := strings.Repeat("# a comment\n", 100)
	for _, c := range []struct {
		name  string
		other func(path, text string)
		text  string
		want  fleet.Reason
		file  string // the file's content afterwards, following text
	}{
		{"the same line", appendTo, line("h", edKey(1)), isTrusted, ""},
		{"the same, hashed", appendTo, line(hashed("h", 1), edKey(1)), isTrusted, ""},
		{"the same, without its newline", appendTo, strings.TrimSuffix(line("h", edKey(1)), "\n"), isTrusted, ""},
		{"another key", appendTo, line("h", edKey(2)), isChanged, ""},
		{"another key, hashed", appendTo, line(hashed("h", 1), edKey(2)), isChanged, ""},
		{"revoked", appendTo, line("@revoked *", edKey(1)), isRevoked, ""},
		{"another host", appendTo, line("g", edKey(2)), isTrusted, line("h", edKey(1))},
		{"rubbish", appendTo, "rubbish\n", isTrusted, line("h", edKey(1))},
		{"a new file with the line", replace, line("h", edKey(1)) + long, isTrusted, ""},
		{"a new file with another key", replace, line("h", edKey(2)), isChanged, ""},
		{"an empty new file", replace, "", isTrusted, line("h", edKey(1))},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := line("before", edKey(9))
			path := file(t, start)
			s := open(t, hostkeys.AcceptNew, path)
			if err := s.Check(target("h", 22), nil, edKey(1)); err != nil {
				t.Fatal(err)
			}
			c.other(path, c.text)
			between := readFile(t, path)
			if got := reason(t, s.Accepted(context.Background(), target("h", 22), edKey(1))); got != c.want {
				t.Errorf("reason %q, want %q", got, c.want)
			}
			if got := readFile(t, path); got != between+c.file {
				t.Errorf("file %q, want %q", got, between+c.file)
			}
		})
	}
}

// openLocked opens a file, which another descriptor has locked until f is closed.
func openLocked(t *testing.T, wait time.Duration) (s *hostkeys.Store, path string, f *os.File) {
	t.Helper()
	path = file(t)
	s, err := hostkeys.Open(hostkeys.Options{Files: []string{path}, Policy: hostkeys.AcceptNew, LockWait: wait})
	if err != nil {
		t.Fatal(err)
	}
	if f, err = os.Open(path); err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	return s, path, f
}

// faults.md: K15
func TestAFileThatStaysLockedEndsTheWait(t *testing.T) {
	t.Parallel()
	s, path, f := openLocked(t, time.Millisecond)
	err := learn(s, "h", 1)
	if got := reason(t, err); got != fleet.ReasonStoreFailed || !strings.Contains(err.Error(), "stays locked by another process") {
		t.Errorf("%q: %v", got, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	// The next attempt tries again.
	if err := learn(s, "h", 1); err != nil {
		t.Error(err)
	}
	if got, want := readFile(t, path), line("h", edKey(1)); got != want {
		t.Errorf("file %q, want %q", got, want)
	}
}

// Each attempt waits for a locked file by its own deadline, whoever of them waits for the others too.
func TestAttemptsGiveUpALockedFile(t *testing.T) {
	t.Parallel()
	s, path, f := openLocked(t, time.Hour)
	const hosts = 20
	late := errors.New("the time for logging in has passed")
	var contexts [hosts]context.Context
	var ends [hosts]context.CancelCauseFunc
	var ended [hosts]chan error
	for i := range hosts {
		if err := s.Check(target(hostName(i), 22), nil, edKey(uint64(i))); err != nil {
			t.Fatal(err)
		}
		contexts[i], ends[i] = context.WithCancelCause(t.Context())
		ended[i] = make(chan error, 1)
		go func() { ended[i] <- s.Accepted(contexts[i], target(hostName(i), 22), edKey(uint64(i))) }()
	}
	for i := range hosts - 1 { // the first of them leads, and each that follows it
		ends[i](late)
		if err := <-ended[i]; reason(t, err) != fleet.ReasonStoreFailed || !errors.Is(err, late) {
			t.Errorf("host %d: %v", i, err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended[hosts-1]; err != nil {
		t.Error(err)
	}
	if got, want := readFile(t, path), line(hostName(hosts-1), edKey(hosts-1)); got != want {
		t.Errorf("file %q, want %q", got, want)
	}
	ends[hosts-1](nil)
}

func TestAFileThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	path := file(t)
	s := open(t, hostkeys.AcceptNew, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", path); err != nil {
		t.Fatal(err)
	}
	err := learn(s, "h", 1)
	if got := reason(t, err); got != fleet.ReasonStoreFailed || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("%q: %v", got, err)
	}
}

// learnAll learns the hosts from..to with many goroutines that compete for all hosts, and
// returns the first error.
func learnAll(s *hostkeys.Store, from, to int) error {
	const workers = 128
	errs := make([]error, workers)
	var wg sync.WaitGroup
	var next atomic.Int64
	next.Store(int64(from))
	for w := range workers {
		wg.Go(func() {
			for errs[w] == nil {
				// Two goroutines learn each host.
				i := from + int(next.Add(1)-1-int64(from))/2
				if i >= to {
					return
				}
				errs[w] = learn(s, hostName(i), uint64(i))
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// wantOneLineEach asserts that the file has each host once and nothing else.
func wantOneLineEach(t *testing.T, path string, hosts int) {
	t.Helper()
	got := slices.Sorted(strings.Lines(readFile(t, path)))
	var want []string
	for i := range hosts {
		want = append(want, line(hostName(i), edKey(uint64(i))))
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d lines, want %d, each host once", len(got), len(want))
	}
}

func TestManyGoroutinesLearn(t *testing.T) {
	t.Parallel()
	const hosts = 500
	path := file(t)
	if err := learnAll(open(t, hostkeys.AcceptNew, path), 0, hosts); err != nil {
		t.Fatal(err)
	}
	wantOneLineEach(t, path, hosts)
}

const childEnv = "TRUST_TEST_LEARN_INTO"

// TestMain is also the child of TestManyProcessesLearn.
func TestMain(m *testing.M) {
	path := os.Getenv(childEnv)
	if path == "" {
		os.Exit(m.Run())
	}
	if err := learnInChild(path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const processHosts = 10_000

func learnInChild(path string) error {
	s, err := hostkeys.Open(hostkeys.Options{Files: []string{path}, Policy: hostkeys.AcceptNew})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	if _, err := fmt.Scanln(new(string)); err != nil { // the parent gives the signal to start
		return err
	}
	return learnAll(s, 0, processHosts)
}

func TestManyProcessesLearn(t *testing.T) {
	t.Parallel()
	path := file(t)
	var children []*exec.Cmd
	var starters []io.Writer
	for range 4 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+path)
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fscanln(out, new(string)); err != nil {
			t.Fatal(err)
		}
		children, starters = append(children, cmd), append(starters, in)
	}
	// All have read the empty file: a key that one learns now is new to the others.
	for _, start := range starters {
		if _, err := fmt.Fprintln(start, "go"); err != nil {
			t.Fatal(err)
		}
	}
	for _, cmd := range children {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	wantOneLineEach(t, path, processHosts)
}

// A writer waits while others take their turns, and not for ever for one that does nothing.
// faults.md: K15
func TestWaitWhileOthersWrite(t *testing.T) {
	for _, c := range []struct {
		turns, waited int
		learned       bool
	}{{0, 10, false}, {5, 54, true}, {1000, 130, false}} {
		synctest.Test(t, func(t *testing.T) {
			path := file(t)
			s := open(t, hostkeys.AcceptNew, path)
			other, err := os.OpenFile(path, os.O_APPEND|os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = other.Close() }()
			if err := syscall.Flock(int(other.Fd()), syscall.LOCK_EX); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			var learning sync.WaitGroup
			var learned error
			var waited time.Duration
			learning.Go(func() {
				learned = learn(s, "mine", 1)
				waited = time.Since(began).Truncate(time.Second)
			})
			for turn := range c.turns {
				time.Sleep(9 * time.Second)
				if _, err := other.WriteString(line(fmt.Sprint("h", turn), edKey(uint64(turn)+2))); err != nil {
					t.Error(err)
				}
			}
			if c.learned {
				time.Sleep(9 * time.Second)
				_ = syscall.Flock(int(other.Fd()), syscall.LOCK_UN)
			}
			learning.Wait()
			if (learned == nil) != c.learned || waited != time.Duration(c.waited)*time.Second {
				t.Errorf("%d turns: %v after %v", c.turns, learned, waited)
			}
		})
	}
}

// A file that replaced another is read from the beginning, even if it has the inode number of
// the previous file and is longer.
func TestAFileWithAnotherInItsPlaceIsReadWhole(t *testing.T) {
	t.Parallel()
	path := file(t, line("a", edKey(1)))
	s := open(t, hostkeys.AcceptNew, path)
	if err := learn(s, "b", 2); err != nil {
		t.Fatal(err)
	}
	// Only the modification time distinguishes this file from one that was appended to.
	if err := os.WriteFile(path, []byte(line("c", edKey(9))+line("a", edKey(1))+line("b", edKey(2))+line("d", edKey(4))), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := learn(s, "c", 3); err == nil || !strings.Contains(err.Error(), "c") {
		t.Errorf("another key was learned: %v", err)
	}
	if err := learn(s, "d", 4); err != nil {
		t.Error(err)
	}
	if got := readFile(t, path); strings.Count(got, "\n") != 4 {
		t.Errorf("file:\n%s", got)
	}
}
