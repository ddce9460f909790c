package extcmd

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"shoal/hosts/internal/problem"
	"shoal/internal/plainfile"
)

// A Cache keeps what programs printed in files of its directory, which only this user can read. Programs
// that differ in their command line, directory, environment or user have different answers.
type Cache struct {
	// Dir is made if it does not exist.
	Dir string
	// MaxAge is how old an answer may be that is used; 0 uses none, but keeps new ones.
	MaxAge time.Duration

	mu   sync.Mutex
	used []Used
}

// Used is a program that was not run.
type Used struct {
	// Program is its command line, or its path if it was asked several questions.
	Program string
	// Age is that of its oldest answer.
	Age time.Duration
}

// Used returns the programs whose answers were used.
func (c *Cache) Used() []Used {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.used)
}

// Age returns how old the answer of a program is, if it came from the cache; 0 otherwise, also for a nil Cache.
func (c *Cache) Age(program string) time.Duration {
	if c == nil {
		return 0
	}
	for _, u := range c.Used() {
		if u.Program == program {
			return u.Age
		}
	}
	return 0
}

// cacheMonth is how long an answer stays on disk after it was given.
const cacheMonth = 30 * 24 * time.Hour

// run answers from the cache, or runs the program and keeps its answer. A cache that cannot be used is an error: whoever
// asked for one would wait for the program again and again without knowing why.
func (c *Cache) run(argv []string, dir string, limit int, ask func() ([]byte, error)) ([]byte, error) {
	path, err := c.path(argv, dir)
	if err != nil {
		return nil, problem.Faultf("leave out --cache, or name another --state-dir", "the cache cannot be used: %v", err)
	}
	answer, age, ok := c.read(path, limit)
	if ok && age <= c.MaxAge {
		c.note(argv, age)
		return answer, nil
	}
	fresh, err := ask()
	if err != nil {
		return nil, withOld(err, ok, age)
	}
	if len(bytes.TrimSpace(fresh)) == 0 { // a list that is empty for a moment must not stay so
		return fresh, nil
	}
	sum := sha256.Sum256(fresh)
	err = plainfile.Replace(path, 0o600, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%x\n%s", sum, fresh)
		return err
	})
	if err != nil {
		return nil, problem.Faultf("leave out --cache, or name another --state-dir", "the answer cannot be kept: %v", err)
	}
	c.prune()
	return fresh, nil
}

// withOld adds to the error of a program that there is an older answer of it.
func withOld(err error, ok bool, age time.Duration) error {
	var fault *problem.Fault
	if !ok || !errors.As(err, &fault) {
		return err
	}
	age = age.Truncate(time.Second) + time.Second
	return problem.Faultf(fmt.Sprintf("%s; --cache %v takes its last answer", fault.Advice, age), "%s", fault.Reason)
}

// path returns where the answer of a program is kept.
func (c *Cache) path(argv []string, dir string) (string, error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return "", err
	}
	if err := plainfile.GuardDir(c.Dir); err != nil {
		return "", err
	}
	if err := os.Chmod(c.Dir, 0o700); err != nil { //nolint:gosec // a directory needs the x
		return "", err
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	parts := append([]string{dir, fmt.Sprint(os.Geteuid())}, argv...)
	if info, err := os.Stat(argv[0]); err == nil { // a script that was edited answers anew
		parts = append(parts, fmt.Sprint(info.ModTime().UnixNano(), info.Size()))
	}
	parts = append(parts, environment(os.Environ())...)
	hash := sha256.New()
	for _, part := range parts {
		_ = binary.Write(hash, binary.BigEndian, uint64(len(part))) // a hash takes everything
		_, _ = io.WriteString(hash, part)
	}
	return filepath.Join(c.Dir, hex.EncodeToString(hash.Sum(nil))), nil
}

// session are variables that are others in each terminal, and that tell no program which hosts to list. Every other
// variable belongs to the question: AWS_PROFILE, KUBECONFIG, a token.
var session = []string{
	"_", "SHLVL", "PWD", "OLDPWD", "COLUMNS", "LINES", "TERM", "COLORTERM", "WINDOWID", "DISPLAY", "WAYLAND_DISPLAY", "STY", "TMUX", "TMUX_PANE", "INVOCATION_ID",
	"JOURNAL_STREAM", "SSH_AGENT_PID", "SSH_AUTH_SOCK", "SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY", "DBUS_SESSION_BUS_ADDRESS", "GPG_TTY",
}

// environment returns what of an environment belongs to the question, sorted.
func environment(all []string) []string {
	kept := slices.DeleteFunc(slices.Clone(all), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(session, name) || strings.HasPrefix(name, "XDG_SESSION_") || strings.HasPrefix(name, "TERM_") || strings.HasPrefix(name, "VTE_")
	})
	slices.Sort(kept)
	return kept
}

// read returns a kept answer. One that is damaged, or from the future, is none.
func (c *Cache) read(path string, limit int) (answer []byte, age time.Duration, ok bool) {
	f, err := plainfile.Open(path)
	if err != nil {
		return nil, 0, false
	}
	defer func() { _ = f.Close() }() // nothing was written
	info, err := f.Stat()
	if err != nil || plainfile.Guard(path, info) != nil {
		return nil, 0, false
	}
	const head = 2*sha256.Size + 1
	text, err := io.ReadAll(io.LimitReader(f, int64(limit)+head))
	if err != nil || len(text) < head {
		return nil, 0, false
	}
	sum := sha256.Sum256(text[head:])
	age = time.Since(info.ModTime())
	return text[head:], age, age >= 0 && string(text[:head]) == hex.EncodeToString(sum[:])+"\n"
}

func (c *Cache) note(argv []string, age time.Duration) {
	program := argv[0]
	if len(argv) == 3 && argv[1] == "-c" {
		program = argv[2]
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.used, func(u Used) bool { return u.Program == program })
	if i < 0 {
		c.used = append(c.used, Used{program, age})
		return
	}
	c.used[i].Age = max(c.used[i].Age, age)
}

// prune removes old answers. Those that stay are no harm.
func (c *Cache) prune() {
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode()&fs.ModeType == 0 && time.Since(info.ModTime()) > cacheMonth {
			_ = os.Remove(filepath.Join(c.Dir, e.Name()))
		}
	}
}
