package simfleet

import (
	"encoding/hex"
	"io"
	"strconv"
	"sync/atomic"
	"time"

	"shoal/simfleet/internal/posix"
	"shoal/simfleet/internal/shell"
)

// diskSize is the size of a host's file system in bytes.
const diskSize = 256 << 20

// uptime is how long the hosts have been running when the fleet starts.
const uptime = 24 * time.Hour

// machine returns the files and processes of host i, which exist from the first
// call on.
func (f *Fleet) machine(i int) *posix.Host {
	f.machinesMu.Lock()
	defer f.machinesMu.Unlock()
	h := f.machines[i]
	if h == nil {
		h = f.newMachine(i)
		f.machines[i] = h
	}
	return h
}

func (f *Fleet) newMachine(i int) *posix.Host {
	name := f.name(i)
	fault := FaultNone
	if f.options.Fault != nil {
		fault = f.options.Fault(i)
	}
	files := fileFaults[fault].fileFault()
	config := posix.Config{
		Name:   name,
		BootID: f.bootID(i),
		Boot:   f.begun.Add(-uptime),
		Random: func() io.Reader { return f.keys.random("random " + name) },
		Size:   diskSize,

		Password: f.options.SudoPassword,
	}
	if f.options.Sudo != nil {
		config.Sudo = string(f.options.Sudo(i))
	}
	files.configure(&config)
	h := posix.New(config)
	files.apply(h)
	if f.options.RecordNames {
		h.FS.Record(&f.nameRoom)
	}
	return h
}

// A boot is how often a host was rebooted, and until when it is down.
type boot struct {
	count int
	until time.Time
}

// bootID returns the identifier of the current boot of host i.
func (f *Fleet) bootID(i int) string {
	f.mu.Lock()
	count := f.boots[i].count
	f.mu.Unlock()
	name := "boot id " + address(i).String()
	if count > 0 {
		name += " " + strconv.Itoa(count)
	}
	id := f.keys.derive(name)
	text := hex.EncodeToString(id[:16])
	return text[:8] + "-" + text[8:12] + "-4" + text[13:16] + "-a" + text[17:20] + "-" + text[20:]
}

// Reboot reboots host i. Its connections and processes end, further connections are reset
// until it has been down for this long, and it has another boot identifier. Files stay.
func (f *Fleet) Reboot(i int, down time.Duration) {
	f.mu.Lock()
	f.boots[i] = boot{count: f.boots[i].count + 1, until: time.Now().Add(down)}
	var open []*conn
	for c := range f.open {
		if c.host == i {
			open = append(open, c)
		}
	}
	f.mu.Unlock()
	for _, c := range open {
		c.abort()
	}
	f.machinesMu.Lock()
	defer f.machinesMu.Unlock()
	if h := f.machines[i]; h != nil {
		h.Reboot(f.bootID(i), time.Now())
	}
}

// stopMachines ends every process, and waits until none runs any more. No session
// may be left.
func (f *Fleet) stopMachines() {
	f.machinesMu.Lock()
	defer f.machinesMu.Unlock()
	for _, h := range f.machines {
		h.Kill()
	}
	for _, h := range f.machines {
		h.Wait()
	}
}

// onMachine runs a command line by the host's POSIX shell. It returns when the
// command has ended and its outputs are closed. When the session ends before that,
// the processes go on, without their streams.
func (s *session) onMachine(line string) shell.Exit {
	h := s.conn.fleet.machine(s.conn.host)
	s.shells = &shells{oracle: s.conn.fleet.oracle}
	streams := posix.Streams{Stdin: s.Channel, Stdout: s.stdout, Stderr: s.stderr, Began: s.shells.began}
	if s.behaviour.fileFault().cut {
		streams.Stdin = cutInput{s.Channel, s.conn}
	}
	user := h.Login(s.conn.ssh.User())
	s.signals.Lock() // before its first output: who has read that may send a signal at once
	p := h.Start(user, line, pid(s.entry.ID), streams)
	s.process.Store(p)
	early := s.early
	s.signals.Unlock()
	for _, name := range early {
		p.Signal(name)
	}
	select {
	case <-p.Done():
	case <-s.ctx.Done():
		p.Leave()
		return shell.Exit{Broken: true}
	}
	code, signal := p.Exit()
	exit := shell.Exit{Status: uint32(code), Signal: signal}
	stdout, stderr := p.Closed()
	for _, closed := range []<-chan struct{}{stdout, stderr} {
		select {
		case <-closed:
			continue
		default:
		}
		if s.behaviour.end == nil && !s.told {
			s.sendExit(exit) // sshd does not wait for the outputs either
			s.told = true
		}
		select {
		case <-closed:
		case <-s.ctx.Done():
		}
	}
	p.Leave()
	return exit
}

// pid is the process number of an exec.
func pid(id uint64) int { return int(1000 + id%2_000_000) }

// A process is the one that a session runs on its host, if any.
type process = atomic.Pointer[posix.Session]
