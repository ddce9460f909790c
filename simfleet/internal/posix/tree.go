package posix

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"shoal/simfleet/internal/memfs"
)

func mode(perm uint32) fs.FileMode { return fs.FileMode(perm) }

func sticky(is bool) fs.FileMode {
	if is {
		return fs.ModeSticky
	}
	return 0
}

// A fixed tree has its entries in a map.
type fixed map[string]memfs.Entry

func (t fixed) Lookup(_ memfs.Cred, name string) (memfs.Entry, bool) {
	e, ok := t[name]
	return e, ok
}

func (t fixed) Names(memfs.Cred) []string { return slices.Sorted(maps.Keys(t)) }

// bin has the programs. It is the same for all hosts.
var bin = fixed{}

// mounts are the read-only parts of a host, by path.
func mounts(h *Host) map[string]memfs.Entry {
	return map[string]memfs.Entry{
		"/usr":  {Tree: usr},
		"/bin":  {Link: "usr/bin"},
		"/sbin": {Link: "usr/sbin"},
		"/dev":  {Tree: dev},
		"/proc": {Tree: procTree{h}},
	}
}

var usr = fixed{
	"bin":  {Tree: bin},
	"sbin": {Tree: fixed{}},
	"lib":  {Tree: fixed{}},
}

var dev = fixed{
	"null": {Device: "null"}, "zero": {Device: "zero"}, "full": {Device: "full"},
	"urandom": {Device: "urandom"}, "random": {Device: "urandom"}, "tty": {Device: "tty"},
	"stdin": {Device: "fd/0"}, "stdout": {Device: "fd/1"}, "stderr": {Device: "fd/2"},
	"fd": {Tree: fixed{"0": {Device: "fd/0"}, "1": {Device: "fd/1"}, "2": {Device: "fd/2"}}},
}

// procTree is /proc, as far as scripts read it.
type procTree struct{ h *Host }

func (t procTree) Lookup(c memfs.Cred, name string) (memfs.Entry, bool) {
	switch name {
	case "self":
		return memfs.Entry{Link: strconv.Itoa(c.PID)}, c.PID > 0
	case "uptime":
		return memfs.Entry{Text: func() string {
			boot, _ := t.h.booted()
			up := time.Since(boot).Seconds()
			return fmt.Sprintf("%.2f %.2f\n", up, up)
		}}, true
	case "sys":
		return memfs.Entry{Tree: fixed{"kernel": {Tree: fixed{
			"hostname": {Text: func() string { return t.h.Name + "\n" }},
			"random": {Tree: fixed{"boot_id": {Text: func() string {
				_, id := t.h.booted()
				return id + "\n"
			}}}},
		}}}}, true
	}
	pid, err := strconv.Atoi(name)
	if err != nil || strconv.Itoa(pid) != name {
		return memfs.Entry{}, false
	}
	if pid == 1 {
		return memfs.Entry{Tree: fixed{
			"stat": {Text: func() string { return statLine(1, "init", 0, 1, 1, 0) }},
			"comm": {Text: func() string { return "init\n" }},
		}}, true
	}
	p := t.h.find(pid)
	if p == nil {
		return memfs.Entry{}, false
	}
	return memfs.Entry{Tree: fixed{
		"stat": {Text: func() string {
			p.mu.Lock()
			defer p.mu.Unlock()
			return statLine(p.pid, p.name(), p.ppid, p.pgid, p.sid, p.started)
		}},
		"comm": {Text: func() string {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.name() + "\n"
		}},
		"cmdline": {Text: func() string {
			p.mu.Lock()
			defer p.mu.Unlock()
			return strings.Join(p.args, "\x00") + "\x00"
		}},
		"ns": {Tree: fixed{"pid": {Link: "pid:[4026531836]"}}},
	}}, true
}

func (t procTree) Names(memfs.Cred) []string {
	names := []string{"1", "self", "sys", "uptime"}
	for _, p := range t.h.list() {
		names = append(names, strconv.Itoa(p.pid))
	}
	slices.Sort(names)
	return names
}

// name is what ps calls the process; mu must be held.
func (p *proc) name() string {
	if len(p.args) == 0 {
		return "sh"
	}
	name := p.args[0][strings.LastIndexByte(p.args[0], '/')+1:]
	return name[:min(len(name), 15)]
}

// statLine is /proc/PID/stat as in proc(5).
func statLine(pid int, name string, ppid, pgid, sid int, started int64) string {
	return fmt.Sprintf("%d (%s) S %d %d %d 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 %d 2654208 300 0\n", pid, name, ppid, pgid, sid, started)
}
