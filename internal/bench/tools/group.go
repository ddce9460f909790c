package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"shoal/internal/hint"
)

// A group is a control group (cgroup v2, Linux 5.14 and later). It counts the
// CPU time of every process that was ever in it, reaped or not, and can kill
// exactly these.
type group struct{ path string }

// cpuTime is user and system CPU time.
type cpuTime struct{ user, system time.Duration }

func (a cpuTime) sub(b cpuTime) cpuTime { return cpuTime{a.user - b.user, a.system - b.system} }

func (a cpuTime) sum() time.Duration { return a.user + a.system }

// newRoot creates a group below that of this process.
func newRoot() (*group, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("finding the control groups: %w", err)
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("finding the control groups: %w", err)
	}
	at, err := groupPath(mounts, own)
	if err != nil {
		return nil, err
	}
	path, err := os.MkdirTemp(at, "shoal-peers-")
	if err != nil {
		return nil, hint.Wrap(fmt.Errorf("making a control group: %w", err),
			"cgroup v2 must be writable; in a container, run it privileged")
	}
	return &group{path}, nil
}

// groupPath finds the group's directory from proc(5)'s mountinfo, where the
// file system type follows a lone "-", and the v2 line of /proc/self/cgroup,
// "0::/path".
func groupPath(mounts, own []byte) (string, error) {
	var at string
	for line := range lines(mounts) {
		head, tail, _ := strings.Cut(line, " - ")
		if fields := strings.Fields(head); strings.HasPrefix(tail, "cgroup2 ") && len(fields) > 4 {
			at = fields[4]
		}
	}
	if at == "" {
		return "", errors.New("cgroup v2 is not mounted")
	}
	for line := range lines(own) {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			return filepath.Join(at, path), nil
		}
	}
	return "", errors.New("this process is in no control group of v2")
}

// child creates a group inside g.
func (g *group) child(name string) (*group, error) {
	c := &group{filepath.Join(g.path, name)}
	if err := os.Mkdir(c.path, 0o755); err != nil {
		return nil, fmt.Errorf("making a control group: %w", err)
	}
	return c, nil
}

func (g *group) pids() []int {
	text, err := os.ReadFile(filepath.Join(g.path, "cgroup.procs"))
	if err != nil {
		return nil // it was removed
	}
	var pids []int
	for _, field := range bytes.Fields(text) {
		if pid, err := strconv.Atoi(string(field)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// cpu returns the CPU time of all processes that were ever in the group.
func (g *group) cpu() (cpuTime, error) {
	text, err := os.ReadFile(filepath.Join(g.path, "cpu.stat"))
	if err != nil {
		return cpuTime{}, fmt.Errorf("reading CPU times: %w", err)
	}
	return parseCPU(text)
}

func parseCPU(text []byte) (cpuTime, error) {
	found := make(map[string]time.Duration)
	for line := range lines(text) {
		name, value, _ := strings.Cut(line, " ")
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			found[name] = time.Duration(n) * time.Microsecond
		}
	}
	user, ok := found["user_usec"]
	system, also := found["system_usec"]
	if !ok || !also {
		return cpuTime{}, fmt.Errorf("reading CPU times: cpu.stat has %.200q", text)
	}
	return cpuTime{user, system}, nil
}

// endLimit is how long killed processes may take to exit.
const endLimit = 10 * time.Second

// end kills every process of the group and waits until none is left.
func (g *group) end() error {
	if err := os.WriteFile(filepath.Join(g.path, "cgroup.kill"), []byte("1"), 0o600); err != nil {
		return fmt.Errorf("ending the processes of a control group: %w", err)
	}
	for deadline := time.Now().Add(endLimit); len(g.pids()) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v do not end", g.pids())
		}
	}
	return nil
}

// remove kills the group's processes and removes the group.
func (g *group) remove() error {
	if err := g.end(); err != nil {
		return err
	}
	if err := os.Remove(g.path); err != nil {
		return fmt.Errorf("removing a control group: %w", err)
	}
	return nil
}

// account is the user that the tools log in as on real sshd. It exists only in
// our mount namespace: its shell is /bin/sh, without rc files.
const account = "shoal-peer"

const accountID = 61799

// makeAccount mounts a password file with the account over the system's, and
// returns the account's home directory.
func makeAccount(dir string) (home string, err error) {
	home = filepath.Join(dir, "account")
	if err := os.Mkdir(home, 0o700); err != nil {
		return "", fmt.Errorf("making the account's home directory: %w", err)
	}
	if err := os.Chown(home, accountID, accountID); err != nil {
		return "", fmt.Errorf("giving the account its home directory: %w", err)
	}
	// The account needs access to its home.
	if err := os.Chmod(dir, 0o711); err != nil { // can be traversed but not listed
		return "", fmt.Errorf("opening the way to the account's home directory: %w", err)
	}
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return "", fmt.Errorf("reading the password file: %w", err)
	}
	// "*" is no password but does not lock the account, as "!" would.
	passwd = fmt.Appendf(passwd, "%s:*:%d:%d::%s:/bin/sh\n", account, accountID, accountID, home)
	path := filepath.Join(dir, "passwd")
	if err := os.WriteFile(path, passwd, 0o644); err != nil { // password files are readable by all
		return "", fmt.Errorf("writing a password file: %w", err)
	}
	if said, err := exec.Command("mount", "--bind", path, "/etc/passwd").CombinedOutput(); err != nil {
		return "", fmt.Errorf("mounting a password file: %w: %.200q", err, said)
	}
	return home, nil
}
