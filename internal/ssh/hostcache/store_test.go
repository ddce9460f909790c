package hostcache

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestModesWhateverTheUmask(t *testing.T) {
	old := unix.Umask(0)
	defer unix.Umask(old)
	dir := filepath.Join(t.TempDir(), "state")
	// Repeat it to include the file that compaction creates.
	for day := range 4 {
		remember(t, dir, on(day0+10*day), sample, "web1:22")
		for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "recall"): 0o600} {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if got := info.Mode().Perm(); got != want {
				t.Errorf("%s has mode %o, want %o", path, got, want)
			}
		}
	}
}

// Each of these is refused by Open and, if it happens later, by Close; and is not changed.
func TestWhatOthersCouldWriteIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, want string
		spoil      func(dir, path string) error
	}{
		{"group may write to the directory", "(mode 0770)", func(dir, _ string) error { return os.Chmod(dir, 0o770) }},
		{"all may write to the directory", "(mode 0777)", func(dir, _ string) error { return os.Chmod(dir, 0o777) }},
		{"all may write to the file", "(mode 0606)", func(_, path string) error { return os.Chmod(path, 0o606) }},
		{"link", "symbolic link", func(dir, path string) error {
			return os.Symlink(filepath.Join(dir, "elsewhere"), remade(path))
		}},
		{"pipe", "not a plain file", func(_, path string) error { return unix.Mkfifo(remade(path), 0o600) }},
		{"directory", "recall", func(_, path string) error { return os.Mkdir(remade(path), 0o700) }},
		{"version to come", "another version", func(_, path string) error {
			return os.WriteFile(path, []byte("shoal-recall 2\nwhatever\n"), 0o600)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "recall")
			remember(t, dir, on(day0), sample, "web1:22")
			m := mustOpen(t, dir, on(day0))
			m.Put("web2:22", sample)
			if err := c.spoil(dir, path); err != nil {
				t.Fatal(err)
			}
			before, _ := os.Lstat(path)
			if err := m.Close(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Close says %v, want %q in it", err, c.want)
			}
			after, _ := os.Lstat(path)
			if !os.SameFile(before, after) || before.Mode() != after.Mode() || before.Size() != after.Size() {
				t.Errorf("the file was %v, is %v", before, after)
			}
			if m, err := Open(dir, on(day0)); m != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Open gives %v, %v, want %q in the error", m, err, c.want)
			}
		})
	}
}

func remade(path string) string {
	_ = os.Remove(path) // creating it anew fails then
	return path
}

// harms are what may happen to the file at any time.
var harms = []struct {
	name string
	do   func(path string) error
}{
	{"deleted", os.Remove},
	{"directory deleted", func(path string) error { return os.RemoveAll(filepath.Dir(path)) }},
	{"emptied", func(path string) error { return os.Truncate(path, 0) }},
	{"cut within the header", func(path string) error { return os.Truncate(path, 5) }},
	{"cut within a line", func(path string) error { return os.Truncate(path, 100) }},
	{"binary", func(path string) error {
		return os.WriteFile(path, []byte(strings.Repeat("\x00\xff\t\n\r", 50_000)), 0o600)
	}},
	{"one endless line", func(path string) error {
		return os.WriteFile(path, []byte(strings.Repeat("x", 1<<20)), 0o600)
	}},
}

func TestHarmBetweenRunsAndWithin(t *testing.T) {
	t.Parallel()
	for _, harm := range harms {
		for _, open := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s open=%v", harm.name, open), func(t *testing.T) {
				t.Parallel()
				dir := filepath.Join(t.TempDir(), "state")
				remember(t, dir, on(day0), sample, "web1:22", "web2:22")
				var m *Cache
				if open {
					m = mustOpen(t, dir, on(day0))
				}
				if err := harm.do(filepath.Join(dir, "recall")); err != nil {
					t.Fatal(err)
				}
				if !open {
					m = mustOpen(t, dir, on(day0))
					wantUnknown(t, m, "web2:22")
				}
				m.Put("web3:22", sample)
				mustClose(t, m)
				again := mustOpen(t, dir, on(day0))
				wantEntry(t, again, "web3:22", sample.seen(day0))
				mustClose(t, again)
				if text := content(t, dir); !strings.HasPrefix(text, header) || strings.Contains(text, "\x00") {
					t.Errorf("the file is not healed: %.200q", text)
				}
			})
		}
	}
}

// After truncation at any byte, the remaining entries are correct, and the next run continues.
func TestCutAtEveryByte(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	remember(t, dir, on(day0), sample, "a:22", "b:22")
	whole := content(t, dir)
	line := strings.LastIndex(strings.TrimSuffix(whole, "\n"), "\n") + 1 // where the second line begins
	for n := range len(whole) {
		if err := os.WriteFile(filepath.Join(dir, "recall"), []byte(whole[:n]), 0o600); err != nil {
			t.Fatal(err)
		}
		m := mustOpen(t, dir, on(day0))
		if n >= line {
			wantEntry(t, m, "a:22", sample.seen(day0))
		} else if n < line-1 {
			wantUnknown(t, m, "a:22")
		}
		if n < len(whole)-1 { // a line without only its newline is complete
			wantUnknown(t, m, "b:22")
		}
		m.Put("c:22", sample)
		mustClose(t, m)
		wantEntry(t, mustOpen(t, dir, on(day0)), "c:22", sample.seen(day0))
	}
}

// A flipped bit invalidates a line; it never changes the content that is read.
// faults.md: I13
func TestFlipOfEveryBit(t *testing.T) {
	t.Parallel()
	line := appendLine(nil, "a:22", day0, string(appendProfile(nil, &sample)))
	for bit := range 8 * (len(line) - 1) {
		line[bit/8] ^= 1 << (bit % 8)
		table := newTable()
		if err := table.read(strings.NewReader(string(line)), day0); err != nil {
			t.Fatal(err)
		}
		if len(table.hosts) != 0 {
			t.Errorf("bit %d: %q is believed", bit, line)
		}
		line[bit/8] ^= 1 << (bit % 8)
	}
}

func TestDeadLinesAreDropped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lines := func() int { return strings.Count(content(t, dir), "\n") - 1 }
	// Four of six lines in use, then four of eight: compaction is not needed yet.
	for run, want := range []int{4, 6, 8, 4} {
		e := sample
		e.User = fmt.Sprint("user", run)
		if run == 0 {
			remember(t, dir, on(day0), e, "a:22", "b:22", "c:22", "d:22")
		} else {
			remember(t, dir, on(day0), e, "a:22", "b:22")
		}
		if got := lines(); got != want {
			t.Errorf("after run %d the file has %d lines, want %d", run, got, want)
		}
	}
	m := mustOpen(t, dir, on(day0))
	for endpoint, user := range map[string]string{"a:22": "user3", "b:22": "user3", "c:22": "user0", "d:22": "user0"} {
		e := sample.seen(day0)
		e.User = user
		wantEntry(t, m, endpoint, e)
	}
}

func TestTheOldestLeaveFirst(t *testing.T) {
	t.Parallel()
	for name, bound := range map[string]Options{
		"hosts": {MaxHosts: 8},
		// Room for 15 lines and a part of one; the remaining ones fill half of it.
		"bytes": {MaxBytes: int64(len(header) + 15*len(appendLine(nil, "h00:22", day0, string(appendProfile(nil, &sample)))) + 100)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			const hosts = 20
			for i := range hosts {
				o := bound
				o.Now = on(day0 + i).Now
				remember(t, dir, o, sample, fmt.Sprintf("h%02d:22", i))
			}
			m := mustOpen(t, dir, on(day0+hosts))
			kept := 0
			for i := range hosts {
				if _, ok := m.Get(fmt.Sprintf("h%02d:22", i)); ok {
					kept++
					wantEntry(t, m, fmt.Sprintf("h%02d:22", i), sample.seen(day0+i))
				} else if kept > 0 {
					t.Errorf("h%02d is forgotten before an older one", i)
				}
			}
			if kept < 7 || kept > 15 {
				t.Errorf("%d hosts are kept, want 7 to 15", kept)
			}
			if size := int64(len(content(t, dir))); bound.MaxBytes > 0 && size > bound.MaxBytes {
				t.Errorf("the file has %d bytes, more than %d", size, bound.MaxBytes)
			}
		})
	}
}

// Several concurrent runs may together write more hosts than the limit.
func TestAFileBeyondTheBoundIsCompacted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	remember(t, dir, on(day0), sample, "a:22", "b:22", "c:22")
	remember(t, dir, on(day0+1), sample, "d:22", "e:22", "f:22")
	o := on(day0 + 1)
	o.MaxHosts = 4
	mustClose(t, mustOpen(t, dir, o))
	if n := strings.Count(content(t, dir), "\n") - 1; n != 4 {
		t.Errorf("the file has %d hosts, want 4", n)
	}
	m := mustOpen(t, dir, on(day0+1))
	wantEntry(t, m, "c:22", sample.seen(day0))
	wantEntry(t, m, "d:22", sample.seen(day0+1))
}

func TestOneRunIsBoundedToo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := on(day0)
	o.MaxHosts = 100
	m := mustOpen(t, dir, o)
	for i := range 1000 {
		m.Put(fmt.Sprintf("h%d:22", i), Entry{User: fmt.Sprint(i)})
		if hosts, profiles := len(m.table.hosts), len(m.table.profiles); hosts > 112 || profiles > 112 {
			t.Fatalf("%d hosts and %d profiles are held", hosts, profiles)
		}
	}
	mustClose(t, m)
	if n := len(mustOpen(t, dir, on(day0)).table.hosts); n != 100 {
		t.Errorf("%d hosts are written, want 100", n)
	}
}

// Runs over more hosts than are kept know the same ones again, however often they come.
func TestOfManyHostsTheFirstAreKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for run := range 3 {
		o := on(day0 + run)
		o.MaxHosts = 100
		m := mustOpen(t, dir, o)
		for i := range 1000 {
			endpoint := fmt.Sprintf("h%03d:22", i)
			if _, known := m.Get(endpoint); known != (run > 0 && i < 100) {
				t.Fatalf("run %d: %s is known: %t", run, endpoint, known)
			}
			m.Put(endpoint, sample)
		}
		mustClose(t, m)
	}
}

// A cache that serves many runs, as that of a process that holds connections, goes on to learn.
func TestEachRunHasItsOwnFirst(t *testing.T) {
	t.Parallel()
	o := on(day0)
	o.MaxHosts = 4
	m := mustOpen(t, t.TempDir(), o)
	for range 4 {
		m.Put("known:22", sample)
		mustClose(t, m)
	}
	m.Put("new:22", sample)
	if _, known := m.Get("new:22"); !known {
		t.Error("a host of the fifth run is not kept, though there is room")
	}
	mustClose(t, m)
}

// If the file is longer than the limit, its end is read.
func TestTheEndOfAHugeFileIsRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	remember(t, dir, on(day0), sample, "a:22", "b:22")
	o := on(day0)
	o.MaxBytes = int64(len(content(t, dir))) * 2 / 3
	m := mustOpen(t, dir, o)
	wantUnknown(t, m, "a:22")
	wantEntry(t, m, "b:22", sample.seen(day0))
}

func TestALockHeldByAnotherIsWaitedForAndTriedAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	remember(t, dir, on(day0), sample, "web1:22")
	f, err := os.Open(filepath.Join(dir, "recall"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	o := on(day0)
	o.Wait = time.Millisecond
	m := mustOpen(t, dir, o)
	m.Put("web2:22", sample)
	if err := m.Close(); err == nil || !strings.Contains(err.Error(), "stays locked") {
		t.Fatalf("Close under a held lock: %v", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	mustClose(t, m)
	wantEntry(t, mustOpen(t, dir, on(day0)), "web2:22", sample.seen(day0))
}

func TestWhatADeadProcessLeftIsNoHindrance(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "recall.new"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	for day := range 4 {
		remember(t, dir, on(day0+10*day), sample, "web1:22")
	}
	if text := content(t, dir); strings.Count(text, "\n") > 3 {
		t.Errorf("the file was not compacted:\n%s", text)
	}
	if _, err := os.Stat(filepath.Join(dir, "recall.new")); !os.IsNotExist(err) {
		t.Errorf("the leftover is there still (%v)", err)
	}
}

// A file system where a file does not keep its inode number costs what was to be written, and no more.
func TestNeverTheSameFile(t *testing.T) {
	s := newStore(t.TempDir(), Options{Wait: 1})
	s.same = func(_, _ os.FileInfo) bool { return false }
	if f, err := s.lock(); f != nil || err == nil {
		t.Errorf("%v, %v", f, err)
	}
}
