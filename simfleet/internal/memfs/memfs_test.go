package memfs

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	root = Cred{Dir: "/"}
	ada  = Cred{UID: 1000, GID: 1000, Dir: "/home/ada", Umask: 0o022}
	bob  = Cred{UID: 1001, GID: 1001, Dir: "/home/ada", Umask: 0o022}
)

func newFS(t *testing.T) *FS {
	t.Helper()
	f := New(1 << 20)
	for _, dir := range []string{"/home", "/home/ada", "/tmp"} {
		want(t, f.Mkdir(root, dir, 0o755), nil)
	}
	want(t, f.Chown(root, "/home/ada", 1000, 1000, true), nil)
	want(t, f.Chmod(root, "/tmp", 0o777|fs.ModeSticky), nil)
	return f
}

func want(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func put(t *testing.T, f *FS, c Cred, path, content string) {
	t.Helper()
	o, err := f.Open(c, path, OpenWrite|OpenCreate|OpenTruncate, 0o666)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if _, err := io.WriteString(o, content); err != nil {
		t.Errorf("%s: %v", path, err)
	}
	want(t, o.Close(), nil)
}

func get(t *testing.T, f *FS, path string) string {
	t.Helper()
	o, err := f.Open(root, path, OpenRead, 0)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	defer func() { _ = o.Close() }()
	all, err := io.ReadAll(o)
	want(t, err, nil)
	return string(all)
}

func TestErrors(t *testing.T) {
	f := newFS(t)
	put(t, f, ada, "file", "x")
	want(t, f.Symlink(ada, "loop", "loop"), nil)
	want(t, f.Mkdir(ada, "dir", 0o777), nil)
	put(t, f, ada, "dir/in", "")
	open := func(c Cred, path string, flags int) error {
		o, err := f.Open(c, path, flags, 0o666)
		if err == nil {
			_ = o.Close()
		}
		return err
	}
	for i, c := range []struct{ got, want error }{
		{open(ada, "nope", OpenRead), ENOENT},
		{open(ada, "", OpenRead), ENOENT},
		{open(ada, "file/x", OpenRead), ENOTDIR},
		{open(ada, "file/", OpenRead), ENOTDIR},
		{open(ada, "loop", OpenRead), ELOOP},
		{open(ada, "dir", OpenWrite), EISDIR},
		{open(ada, "file", OpenWrite|OpenCreate|OpenExclusive), EEXIST},
		{open(ada, "loop", OpenWrite|OpenCreate|OpenExclusive), EEXIST},
		{open(bob, "file", OpenWrite), EACCES},
		{open(bob, "new", OpenWrite|OpenCreate), EACCES},
		{open(ada, string(make([]byte, 256)), OpenRead), ENAMETOOLONG},
		{f.Mkdir(ada, "dir", 0o777), EEXIST},
		{f.Mkdir(ada, "a/b", 0o777), ENOENT},
		{f.Rmdir(ada, "dir"), ENOTEMPTY},
		{f.Rmdir(ada, "file"), ENOTDIR},
		{f.Rmdir(ada, "."), EINVAL},
		{f.Unlink(ada, "dir"), EISDIR},
		{f.Unlink(bob, "file"), EACCES},
		{f.Chmod(bob, "file", 0), EPERM},
		{f.Chown(ada, "file", 0, -1, true), EPERM},
		{f.Rename(ada, "dir", "dir/in/x", false), ENOTDIR},
		{f.Rename(ada, "dir", "dir/x", false), EINVAL},
		{f.Rename(ada, "file", "dir", false), EISDIR},
		{f.Rename(ada, "dir", "file", false), ENOTDIR},
		{f.Rename(ada, "file", "loop", true), EEXIST},
		{f.Link(ada, "dir", "hard"), EPERM},
		{f.Truncate(ada, "file", 2<<20), EFBIG},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("case %d: got %v, want %v", i, c.got, c.want)
		}
	}
	put(t, f, ada, "/tmp/mine", "")
	want(t, f.Unlink(bob, "/tmp/mine"), EPERM)
	want(t, f.Unlink(ada, "/tmp/mine"), nil)
	for err, kind := range map[error]error{ENOENT: fs.ErrNotExist, EEXIST: fs.ErrExist, EACCES: fs.ErrPermission} {
		want(t, err, kind)
	}
}

func TestRenameReplaces(t *testing.T) {
	f := newFS(t)
	put(t, f, ada, "old", "old content")
	put(t, f, ada, "new", "new")
	want(t, f.Link(ada, "old", "also"), nil)
	want(t, f.Rename(ada, "new", "old", false), nil)
	if got := get(t, f, "/home/ada/old") + get(t, f, "/home/ada/also"); got != "newold content" {
		t.Errorf("got %q", got)
	}
	// An open file outlives its name, and its space is given back when it is closed.
	o, err := f.Open(ada, "old", OpenRead|OpenWrite, 0)
	want(t, err, nil)
	_, before := f.Usage()
	want(t, f.Unlink(ada, "old"), nil)
	buf := make([]byte, 8)
	if n, _ := o.ReadAt(buf, 0); string(buf[:n]) != "new" {
		t.Errorf("got %q", buf[:n])
	}
	want(t, o.Close(), nil)
	if _, used := f.Usage(); used != before-3 {
		t.Errorf("%d bytes are in use, want %d", used, before-3)
	}
	want(t, f.Symlink(ada, "also", "link"), nil)
	put(t, f, ada, "link", "through")
	if got := get(t, f, "/home/ada/also"); got != "through" {
		t.Errorf("got %q", got)
	}
	if path, err := f.RealPath(ada, "../ada/./link"); path != "/home/ada/also" || err != nil {
		t.Errorf("got %q, %v", path, err)
	}
}

// TestContent writes at random places and compares with a slice.
func TestContent(t *testing.T) {
	f := New(8 << 20)
	dice := rand.New(rand.NewPCG(1, 2))
	var model []byte
	o, err := f.Open(root, "/file", OpenRead|OpenWrite|OpenCreate, 0o600)
	want(t, err, nil)
	for range 300 {
		switch dice.IntN(6) {
		case 0:
			size := dice.IntN(300_000)
			want(t, o.Truncate(int64(size)), nil)
			model = append(model, make([]byte, max(0, size-len(model)))...)[:size]
		case 1:
			want(t, o.Close(), nil) // shares its blocks
			o, err = f.Open(root, "/file", OpenRead|OpenWrite, 0)
			want(t, err, nil)
		default:
			piece, off := make([]byte, dice.IntN(100_000)), dice.IntN(200_000)
			for i := range piece {
				piece[i] = byte(dice.Int())
			}
			if _, err := o.WriteAt(piece, int64(off)); err != nil {
				t.Fatal(err)
			}
			model = append(model, make([]byte, max(0, off+len(piece)-len(model)))...)
			copy(model[off:], piece)
		}
		got := make([]byte, len(model))
		if n, _ := o.ReadAt(got, 0); n != len(model) || !bytes.Equal(got, model) || o.Stat().Size() != int64(len(model)) {
			t.Fatal("the content differs")
		}
	}
	want(t, o.Close(), nil)
	f.Walk(new(Digests), func(path string, i Info, digest [32]byte) {
		if path != "/file" || digest != sha256.Sum256(model) {
			t.Errorf("%s has another digest", path)
		}
	})
	want(t, f.Truncate(root, "/file", 0), nil)
	if _, used := f.Usage(); used != 0 {
		t.Errorf("%d bytes are in use", used)
	}
}

func TestFull(t *testing.T) {
	f := New(100_000)
	o, err := f.Open(root, "/a", OpenWrite|OpenCreate, 0o600)
	want(t, err, nil)
	n, err := o.Write(make([]byte, 150_000))
	if want(t, err, ENOSPC); n != 100_000 {
		t.Errorf("%d bytes were written", n)
	}
	want(t, o.Close(), nil)
	want(t, f.Unlink(root, "/a"), nil)
	put(t, f, root, "/b", string(make([]byte, 100_000)))
}

func TestRefuseAndShort(t *testing.T) {
	f := newFS(t)
	f.Short = true
	put(t, f, ada, "small", string(make([]byte, 1024)))
	put(t, f, ada, "large", string(make([]byte, 4000)))
	if a, b := len(get(t, f, "/home/ada/small")), len(get(t, f, "/home/ada/large")); a != 1024 || b != 2000 {
		t.Errorf("the sizes are %d and %d", a, b)
	}
	f.Refuse = EROFS
	want(t, f.Mkdir(ada, "d", 0o777), EROFS)
	want(t, f.Unlink(ada, "small"), EROFS)
	want(t, f.Chmod(ada, "small", 0), EROFS)
	want(t, f.Access(ada, ".", Write), EROFS)
	_, err := f.Open(ada, "small", OpenWrite, 0)
	want(t, err, EROFS)
	if get(t, f, "/home/ada/small") == "" {
		t.Error("it cannot be read")
	}
}

func TestNames(t *testing.T) {
	f := newFS(t)
	var room atomic.Int64
	room.Store(1000)
	f.Record(&room)
	put(t, f, ada, ".tmp", "x")
	want(t, f.Rename(ada, ".tmp", "final", false), nil)
	want(t, f.Mkdir(ada, "d", 0o777), nil)
	put(t, f, ada, "d/in", "x")
	want(t, f.Rename(ada, "d", "e", false), nil)
	want(t, f.Unlink(ada, "e/in"), nil)
	names, whole := f.Names()
	if wanted := []string{"/home/ada/.tmp", "/home/ada/d", "/home/ada/d/in", "/home/ada/e", "/home/ada/e/in", "/home/ada/final"}; !whole || !reflect.DeepEqual(names, wanted) {
		t.Errorf("got %q, %v", names, whole)
	}
	for i := range 100 {
		put(t, f, ada, fmt.Sprint("more", i), "")
	}
	if names, whole := f.Names(); whole || len(names) > 20 {
		t.Errorf("%d names, %v", len(names), whole)
	}
}

type tree struct{}

func (tree) Lookup(c Cred, name string) (Entry, bool) {
	switch name {
	case "self":
		return Entry{Link: fmt.Sprint(c.PID)}, true
	case "7":
		return Entry{Text: func() string { return "seven" }}, true
	}
	return Entry{}, false
}
func (tree) Names(Cred) []string { return []string{"7", "self"} }

func TestTree(t *testing.T) {
	f := newFS(t)
	f.Mount("/proc", Entry{Tree: tree{}})
	c := ada
	c.PID = 7
	o, err := f.Open(c, "/proc/self", OpenRead, 0)
	want(t, err, nil)
	if all, _ := io.ReadAll(o); string(all) != "seven" {
		t.Errorf("got %q", all)
	}
	want(t, o.Close(), nil)
	list, err := f.ReadDir(c, "/proc")
	if err != nil || len(list) != 2 || list[1].Target != "7" {
		t.Errorf("got %+v, %v", list, err)
	}
	want(t, f.Mkdir(root, "/proc/x", 0o777), EROFS)
	want(t, f.Unlink(root, "/proc/7"), EROFS)
	_, err = f.Open(root, "/proc/7", OpenWrite, 0)
	want(t, err, EROFS)
	want(t, f.Rename(root, "/proc/7", "/x", false), EXDEV)
	want(t, f.Rename(root, "/proc", "/x", false), EXDEV)
	want(t, f.Rmdir(root, "/proc"), EROFS)
}

// TestConcurrent has many users of one file system, for the race detector.
func TestConcurrent(t *testing.T) {
	f := newFS(t)
	var users sync.WaitGroup
	for i := range 8 {
		users.Go(func() {
			for n := range 100 {
				name := fmt.Sprintf("/tmp/%d", (i+n)%4)
				if o, err := f.Open(root, name, OpenRead|OpenWrite|OpenCreate, 0o666); err == nil {
					_, _ = o.WriteAt(make([]byte, 5000), int64(n))
					_, _ = o.ReadAt(make([]byte, 100), 0)
					_ = o.Close()
				}
				_ = f.Rename(root, name, "/tmp/x", false)
				_ = f.Chtimes(root, "/tmp/x", time.Now())
				_ = f.Unlink(root, "/tmp/x")
				_, _ = f.ReadDir(root, "/tmp")
			}
		})
	}
	users.Wait()
	var left int64
	f.Walk(new(Digests), func(_ string, i Info, _ [32]byte) {
		if i.Mode().IsRegular() {
			left += i.Size()
		}
	})
	if _, used := f.Usage(); used != left {
		t.Errorf("%d bytes are in use, and the files have %d", used, left)
	}
	if list, _ := f.ReadDir(root, "/"); !slices.IsSortedFunc(list, func(a, b Info) int { return bytes.Compare([]byte(a.Name()), []byte(b.Name())) }) {
		t.Error("a directory is not sorted")
	}
}
