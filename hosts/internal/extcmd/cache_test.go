package extcmd_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/hosts/internal/extcmd"
	"shoal/internal/hint"
)

// asked runs a program that counts its calls, and returns what it printed: the number of the call.
func asked(t *testing.T, c *extcmd.Cache, dir, command string) string {
	t.Helper()
	out, err := extcmd.Shell(t.Context(), command, dir, extcmd.Limits{Cache: c})
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

const count = "echo x >> calls; wc -l < calls"

func cacheIn(t *testing.T) (c *extcmd.Cache, work string) {
	return &extcmd.Cache{Dir: filepath.Join(t.TempDir(), "state", "sources"), MaxAge: time.Minute}, t.TempDir()
}

// age makes the only answer older.
func age(t *testing.T, c *extcmd.Cache, d time.Duration) (path string) {
	t.Helper()
	entries, err := os.ReadDir(c.Dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("%v, %v", entries, err)
	}
	path = filepath.Join(c.Dir, entries[0].Name())
	at := time.Now().Add(-d)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAnAnswerIsUsedUntilItIsTooOld(t *testing.T) {
	c, work := cacheIn(t)
	for range 3 {
		if got := asked(t, c, work, count); got != "1" {
			t.Errorf("call %s, want the first one's answer", got)
		}
	}
	path := age(t, c, 50*time.Second)
	if got := asked(t, c, work, count); got != "1" {
		t.Errorf("call %s after 50 s", got)
	}
	if used := c.Used(); len(used) != 1 || used[0].Program != count || used[0].Age < 50*time.Second || c.Age(count) != used[0].Age {
		t.Errorf("used: %v", used)
	}
	for name, want := range map[string]os.FileMode{path: 0o600, c.Dir: 0o700} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	age(t, c, 2*time.Minute)
	if got := asked(t, c, work, count); got != "2" {
		t.Errorf("call %s after two minutes", got)
	}
	always := &extcmd.Cache{Dir: c.Dir}
	if got := asked(t, always, work, count); got != "3" {
		t.Errorf("call %s with an age of 0", got)
	}
	if got := asked(t, c, work, count); got != "3" {
		t.Errorf("an age of 0 did not keep the answer: call %s", got)
	}
}

// Another directory, environment or command is another question; another terminal is not.
func TestWhatBelongsToTheQuestion(t *testing.T) {
	c, work := cacheIn(t)
	asked(t, c, work, count)
	if got := asked(t, c, t.TempDir(), "echo y; "+count); got != "y\n1" {
		t.Error(got)
	}
	t.Setenv("TERM", "another")
	if got := asked(t, c, work, count); got != "1" {
		t.Errorf("another terminal: call %s", got)
	}
	t.Setenv("AWS_PROFILE", "staging")
	if got := asked(t, c, work, count); got != "2" {
		t.Errorf("another environment: call %s", got)
	}
}

// What is damaged, open to others, from the future or empty is not used.
func TestAnswersThatAreNotUsed(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"shorter":  func(path string) error { return os.Truncate(path, 65) },
		"writable": func(path string) error { return os.Chmod(path, 0o666) },
		"future":   func(path string) error { return os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)) },
	} {
		c, work := cacheIn(t)
		asked(t, c, work, count)
		if err := spoil(age(t, c, time.Second)); err != nil {
			t.Fatal(err)
		}
		if got := asked(t, c, work, count); got != "2" {
			t.Errorf("%s: call %s", name, got)
		}
	}
	c, work := cacheIn(t)
	const empty = "echo x >> calls; echo"
	asked(t, c, work, empty)
	asked(t, c, work, empty)
	if calls, err := os.ReadFile(filepath.Join(work, "calls")); err != nil || string(calls) != "x\nx\n" {
		t.Errorf("an empty answer was kept: %q, %v", calls, err)
	}
}

// A program that fails is an error, which names the older answer; one that is very old is removed.
func TestOldAnswers(t *testing.T) {
	c, work := cacheIn(t)
	const command = "cat list"
	list := filepath.Join(work, "list")
	if err := os.WriteFile(list, []byte("a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	asked(t, c, work, command)
	if err := os.Remove(list); err != nil {
		t.Fatal(err)
	}
	age(t, c, 90*time.Minute)
	_, err := extcmd.Shell(t.Context(), command, work, extcmd.Limits{Cache: c})
	if advice := hint.Of(err); !strings.HasPrefix(advice, "run it by hand; --cache 1h30m") || !strings.HasSuffix(advice, " takes its last answer") {
		t.Errorf("%v: %q", err, advice)
	}
	old := age(t, c, 31*24*time.Hour)
	asked(t, c, work, count)
	entries, err := os.ReadDir(c.Dir)
	if err != nil || len(entries) != 1 || slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == filepath.Base(old) }) {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestACacheThatCannotBeUsed(t *testing.T) {
	c, work := cacheIn(t)
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(c.Dir, 0o777); err != nil { //nolint:gosec // so that it is refused
		t.Fatal(err)
	}
	_, err := extcmd.Shell(t.Context(), count, work, extcmd.Limits{Cache: c})
	if err == nil || !strings.Contains(err.Error(), "can be written by others") || hint.Of(err) == "" {
		t.Errorf("%v", err)
	}
}
