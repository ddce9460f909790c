package posix

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"shoal/simfleet/internal/memfs"
)

// A Config describes a host.
type Config struct {
	Name   string
	BootID string
	Boot   time.Time
	// Random gives the bytes of /dev/urandom, from their beginning at each call.
	Random func() io.Reader
	// Size is the size of the file system in bytes.
	Size int64
	// Pause is how long each access to the content of a file takes; 0 means no time.
	Pause time.Duration
	// Password is what sudo asks for; "" means nothing.
	Password string
	// Sudo is what is special about sudo; see simfleet.Sudo.
	Sudo string
}

// A Host is one machine: files, users and processes. Its methods are safe for
// concurrent use.
type Host struct {
	Config
	FS *memfs.FS

	work sync.WaitGroup // every process, and what reads ahead for it

	booting sync.Mutex // guards BootID and Boot; held by nothing that takes mu

	mu     sync.Mutex
	procs  map[int]*proc
	last   int // the pid given last
	users  []string
	closed bool
}

// firstUID is the number of the first user that logs in, unless that is root.
const firstUID = 1000

// New returns a host with its first files.
func New(c Config) *Host {
	h := &Host{Config: c, FS: memfs.New(c.Size), procs: make(map[int]*proc), last: childPIDs}
	root := memfs.Cred{Dir: "/", System: true}
	for _, dir := range []string{"/etc", "/home", "/run", "/var", "/var/lib", "/var/log"} {
		_ = h.FS.Mkdir(root, dir, 0o755)
	}
	for dir, perm := range map[string]uint32{"/root": 0o700, "/tmp": 0o777, "/var/tmp": 0o777} {
		_ = h.FS.Mkdir(root, dir, 0o700)
		_ = h.FS.Chmod(root, dir, mode(perm)|sticky(perm == 0o777))
	}
	for name, e := range mounts(h) {
		h.FS.Mount(name, e)
	}
	h.put("/etc/hostname", c.Name+"\n")
	h.put("/etc/os-release", "PRETTY_NAME=\"Simulated host\"\nNAME=simfleet\nID=simfleet\n")
	h.put("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
	return h
}

// put writes a file of root's, which nobody refuses.
func (h *Host) put(path, content string) {
	f, err := h.FS.Open(memfs.Cred{Dir: "/", System: true}, path, memfs.OpenWrite|memfs.OpenCreate|memfs.OpenAppend, 0o644)
	if err == nil {
		_, _ = io.WriteString(f, content)
		_ = f.Close()
	}
}

// A User is an account.
type User struct {
	Name string
	Home string
	UID  uint32
}

// Cred returns what the user's processes may do; they begin in the home directory.
func (u User) Cred() memfs.Cred {
	return memfs.Cred{UID: u.UID, GID: u.UID, Dir: u.Home, Umask: 0o022}
}

// Login returns the account of this name, which exists from the first login on.
func (h *Host) Login(name string) User {
	if name == "root" {
		return User{Name: name, Home: "/root"}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.Index(h.users, name)
	if u := h.account(name, i); i >= 0 {
		return u
	}
	h.users = append(h.users, name)
	u := h.account(name, len(h.users)-1)
	root := memfs.Cred{Dir: "/", System: true}
	_ = h.FS.Mkdir(root, u.Home, 0o755)
	_ = h.FS.Chown(root, u.Home, int64(u.UID), int64(u.UID), false)
	h.put("/etc/passwd", fmt.Sprintf("%s:x:%d:%d::%s:/bin/sh\n", name, u.UID, u.UID, u.Home))
	return u
}

func (h *Host) account(name string, i int) User {
	home := "/home/" + name
	if name == "" || name == "." || name == ".." || len(name) > 32 || strings.ContainsAny(name, "/:\n\x00") {
		home = fmt.Sprint("/home/user", i)
	}
	return User{Name: name, Home: home, UID: uint32(firstUID + i)}
}

// lookup returns an account that exists, by name or number.
func (h *Host) lookup(name string) (User, bool) {
	if name == "root" || name == "0" {
		return User{Name: "root", Home: "/root"}, true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, user := range h.users {
		if u := h.account(user, i); user == name || name == strconv.Itoa(int(u.UID)) {
			return u, true
		}
	}
	return User{}, false
}

// UserName returns the name of a user, or the number if there is none.
func (h *Host) UserName(uid uint32) string {
	if u, ok := h.lookup(strconv.Itoa(int(uid))); ok {
		return u.Name
	}
	return strconv.Itoa(int(uid))
}

// Process numbers: those of sessions are below childPIDs.
const (
	childPIDs = 2_100_000
	maxPID    = 4_194_303
)

// add gives the process a number, unless it has one, and enters it in the table.
func (h *Host) add(p *proc) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || len(h.procs) >= maxProcs {
		return false
	}
	if _, taken := h.procs[p.pid]; p.pid == 0 || taken {
		for taken = true; taken; _, taken = h.procs[h.last] {
			if h.last++; h.last > maxPID {
				h.last = childPIDs
			}
		}
		p.pid = h.last
	}
	p.cred.PID = p.pid
	p.started = h.ticks(time.Now())
	h.procs[p.pid] = p
	return true
}

func (h *Host) ticks(t time.Time) int64 {
	boot, _ := h.booted()
	return int64(t.Sub(boot) / (10 * time.Millisecond))
}

func (h *Host) remove(p *proc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.procs[p.pid] == p {
		delete(h.procs, p.pid)
	}
}

// list returns the processes, by number.
func (h *Host) list() []*proc {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]*proc, 0, len(h.procs))
	for _, p := range h.procs {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *proc) int { return a.pid - b.pid })
	return all
}

func (h *Host) find(pid int) *proc {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.procs[pid]
}

// Processes is the number of processes.
func (h *Host) Processes() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.procs)
}

// Kill ends every process, and lets no more begin. Wait waits until nothing of
// the host runs any more; the streams of its sessions must be closed for that.
func (h *Host) Kill() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	for _, p := range h.list() {
		p.signal(sigKILL)
	}
}

// Reboot kills every process, and gives the host another boot identifier.
func (h *Host) Reboot(id string, at time.Time) {
	h.booting.Lock()
	h.BootID, h.Boot = id, at
	h.booting.Unlock()
	for _, p := range h.list() {
		p.signal(sigKILL)
	}
}

// booted returns when the host booted, and the identifier of that.
func (h *Host) booted() (time.Time, string) {
	h.booting.Lock()
	defer h.booting.Unlock()
	return h.Boot, h.BootID
}

// Wait is for after Kill.
func (h *Host) Wait() { h.work.Wait() }

// Streams are those of a session.
type Streams struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Began, if not nil, is called for each text that a shell is started with (sh -c),
	// with its parameters, and what it returns, if not nil, when the shell has come to
	// its end.
	Began func(text string, args []string) (ended func(status int))
}

// A Session is a command line of a user with its processes.
type Session struct {
	main   *proc
	output [2]*output
	began  func(text string, args []string) (ended func(status int))
}

// shell notes that a shell of the session begins a text; the result, if not nil,
// is called when it ends.
func (s *Session) shell(text string, args []string) func(int) {
	if s.began == nil {
		return nil
	}
	return s.began(text, args)
}

// Start runs a command line as sshd does: by the user's shell, as the leader of
// a process group and session of its own, with this number if it is free.
func (h *Host) Start(u User, line string, pid int, s Streams) *Session {
	session := &Session{began: s.Began, output: [2]*output{
		{to: s.Stdout, closed: make(chan struct{})}, {to: s.Stderr, closed: make(chan struct{})},
	}}
	p := &proc{
		host: h, session: session, pid: pid, ppid: 1, done: make(chan struct{}), wake: make(chan struct{}, 1),
		cred: u.Cred(), user: u.Name, args: []string{"sh", "-c", line},
	}
	in := &input{from: s.Stdin, work: &h.work}
	p.fds = []*file{newFile(in), newFile(session.output[0]), newFile(session.output[1])}
	session.main = p
	if !h.add(p) {
		p.die(status{code: 254})
		return session
	}
	p.pgid, p.sid = p.pid, p.pid
	sh := newShell(p, environment(u))
	sh.arg0 = "sh"
	p.start(func() int { return sh.main(line) })
	return session
}

func environment(u User) map[string]string {
	return map[string]string{
		"HOME": u.Home, "USER": u.Name, "LOGNAME": u.Name, "SHELL": "/bin/sh", "PWD": u.Home,
		"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8",
	}
}

// Done is closed when the command has ended.
func (s *Session) Done() <-chan struct{} { return s.main.done }

// Closed is closed when no process has the standard output and error any more.
func (s *Session) Closed() (stdout, stderr <-chan struct{}) {
	return s.output[0].closed, s.output[1].closed
}

// Exit returns how the command ended: by a signal, unless that is "".
func (s *Session) Exit() (code uint8, signal string) {
	end := s.main.end // Done is closed after it
	if end.signal > 0 {
		return 0, signalNames[end.signal]
	}
	return end.code, ""
}

// Signal sends a signal to the command's process group (sshd does that for a
// "signal" request).
func (s *Session) Signal(name string) {
	if n := signalNumber(name); n > 0 {
		for _, p := range s.main.host.list() {
			if p.group() == s.main.pid {
				p.signal(n)
			}
		}
	}
}

// Leave is the end of the session's streams: what still runs gets EOF and EPIPE.
func (s *Session) Leave() {
	for _, o := range s.output {
		o.gone.Store(true)
	}
}

// Idle reports, after Leave, whether no write is under way: one of a process that was
// killed may be.
func (s *Session) Idle() bool {
	for _, o := range s.output {
		if !o.mu.TryLock() {
			return false
		}
		o.mu.Unlock()
	}
	return true
}

// Flush waits for writes under way, after Leave and the end of the streams.
func (s *Session) Flush() {
	for _, o := range s.output {
		o.mu.Lock()
		o.mu.Unlock() //nolint:staticcheck // it waits
	}
}

func (p *proc) uid() uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cred.UID
}

func (p *proc) group() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pgid
}

func signalNumber(name string) int {
	if n, err := strconv.Atoi(name); err == nil {
		if n < 0 || n >= len(signalNames) {
			return -1
		}
		return n
	}
	return slices.Index(signalNames, strings.TrimPrefix(strings.ToUpper(name), "SIG"))
}
