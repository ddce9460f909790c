package simfleet

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"

	"golang.org/x/crypto/ssh"

	"shoal/simfleet/internal/shell"
)

// A session is one session channel with at most one command (RFC 4254 §6).
type session struct {
	ssh.Channel
	conn      *conn
	behaviour behaviour
	ctx       context.Context    // of what start began: ends with the channel, or by a signal
	cancel    context.CancelFunc // nil before start

	command *sync.WaitGroup // the goroutine that runs it
	pty     bool            // the command gets a terminal
	started bool            // a command or a subsystem
	entry   Exec            // what the oracle knows of it
	stdout  *counted
	stderr  *counted
	shells  *shells    // that the command starts; nil if it has no POSIX shell
	process process    // of a line that needs a POSIX shell
	signals sync.Mutex // guards the next two and the setting of process and cancel
	early   []string   // signals that came before the process
	left    bool
	told    bool // the exit status or signal was sent already; for the command's goroutine

	finishing sync.Once
}

// newSession returns the session of a channel. commands has the goroutine of its command.
func newSession(c *conn, b behaviour, channel ssh.Channel, commands *sync.WaitGroup) *session {
	return &session{Channel: channel, conn: c, behaviour: b, ctx: c.ctx, command: commands}
}

// leave ends the session, and waits for nothing.
func (s *session) leave() {
	s.signals.Lock()
	defer s.signals.Unlock()
	s.left = true
	if s.cancel != nil {
		s.cancel()
	}
}

// A request is a channel request, from either server.
type request struct {
	kind      string
	wantReply bool
	payload   []byte
	answer    func(ok bool) // called if wantReply is set
}

func (r request) reply(ok bool) {
	if r.wantReply {
		r.answer(ok)
	}
}

// handle answers a request.
func (s *session) handle(r request) {
	switch {
	case r.kind == "pty-req" && !s.started:
		s.pty = wellFormedPTY(r.payload)
		r.reply(s.pty)
	case r.kind == "exec" && !s.started:
		s.exec(r)
	case r.kind == "subsystem" && !s.started:
		s.subsystem(r)
	case r.kind == "signal" && s.started:
		s.signal(r)
	default:
		r.reply(false)
	}
}

// start begins something that waits for the client, on a goroutine of its own.
func (s *session) start(run func()) {
	s.signals.Lock()
	s.ctx, s.cancel = context.WithCancel(s.conn.ctx)
	if s.left {
		s.cancel()
	}
	s.signals.Unlock()
	s.command.Go(run)
}

// quick reports whether a request is for a command that waits for nothing, not even for its
// outputs, if they have room for its line and an answer.
func (s *session) quick(r request) bool {
	o := &s.conn.fleet.options
	if s.started || s.pty || o.Play != nil || o.Answer != nil || len(r.payload) > maxQuickLine {
		return false
	}
	command, ok := commandOf(r)
	script, parsed := shell.Parse(command)
	return ok && parsed && script.Quick()
}

// maxQuickLine bounds the command of a quick request, in bytes.
const maxQuickLine = 4 << 10

// commandOf returns the command of an exec request (RFC 4254 §6.5).
func commandOf(r request) (command string, ok bool) {
	var request struct{ Command string }
	err := ssh.Unmarshal(r.payload, &request)
	return request.Command, err == nil
}

// exec runs the command of an exec request (RFC 4254 §6.5).
func (s *session) exec(r request) {
	command, ok := commandOf(r)
	if !ok {
		r.reply(false)
		return
	}
	s.started = true
	answer := yes
	if s.behaviour.answer != nil {
		answer = *s.behaviour.answer
	}
	if s.behaviour.fileFault().noExec {
		answer = no
	}
	s.entry = s.conn.fleet.oracle.start(s.conn, command, answer == yes)
	if answer != yes {
		s.conn.fleet.oracle.end(&s.entry, nil, nil, nil)
	}
	if answer != never {
		r.reply(answer == yes)
	}
	if answer != yes {
		return
	}
	s.stdout, s.stderr = s.conn.fleet.oracle.streams(s.Channel, s.Stderr())
	if s.pty {
		s.Channel = &terminal{Channel: s.Channel}
		s.stdout.terminal, s.stderr = true, s.stdout
	}
	if _, quick := s.Channel.(heldChannel); quick {
		s.run()
		return
	}
	s.start(s.run)
}

// An answer is what becomes of an exec request.
type answer uint8

const (
	yes   answer = iota // it runs
	no                  // SSH_MSG_CHANNEL_FAILURE
	never               // nothing
)

func (s *session) run() {
	run := runCommand
	if s.behaviour.run != nil {
		run = s.behaviour.run
		s.wire().settle() // the answer to exec has left, whatever happens to the connection now
	}
	s.finish(run(s))
	if p := s.process.Load(); p != nil {
		p.Flush()
	}
	stderr := s.stderr
	if s.pty {
		stderr = nil // it is in stdout
	}
	s.conn.fleet.oracle.end(&s.entry, s.stdout, stderr, s.shells)
}

// wire is who serves a host with a fault.
func (s *session) wire() *wireServer { return s.conn.ssh.(*wireServer) }

func runCommand(s *session) shell.Exit {
	if noise := s.behaviour.fileFault().noise; noise != "" {
		if _, err := io.WriteString(s.stdout, noise); err != nil {
			return shell.Exit{Broken: true}
		}
	}
	if play := s.conn.fleet.options.Play; play != nil {
		if status, played := play(s.conn.host, s.entry.Command, s.Channel, s.stdout, s.stderr); played {
			return shell.Exit{Status: status}
		}
	}
	if answer := s.conn.fleet.options.Answer; answer != nil {
		if a := answer(s.conn.host); a != nil {
			return a.run(s)
		}
	}
	return s.shell(s.entry.Command)
}

// shell runs a command line with the session's streams. A line that the small
// shell understands needs neither files nor processes; it is what makes ten
// thousand hosts cheap.
func (s *session) shell(line string) shell.Exit {
	script, ok := shell.Parse(line)
	if !ok {
		return s.onMachine(line)
	}
	return script.Run(s.ctx, shell.Process{
		Host:   s.entry.Host,
		User:   s.conn.ssh.User(),
		PID:    strconv.Itoa(pid(s.entry.ID)),
		Stdin:  s.Channel,
		Stdout: s.stdout,
		Stderr: s.stderr,
		Random: func() io.Reader { return s.conn.fleet.keys.random("random " + s.entry.Host) },
	})
}

// signal ends the command by a signal (RFC 4254 §6.9). It does so for a command
// that waits for the client, too. What a fault runs instead does not listen.
func (s *session) signal(r request) {
	if s.behaviour.run != nil {
		return
	}
	var request struct{ Name string }
	if err := ssh.Unmarshal(r.payload, &request); err != nil {
		return
	}
	s.signals.Lock()
	p := s.process.Load()
	if p == nil {
		s.early = append(s.early, request.Name)
	}
	s.signals.Unlock()
	if p != nil {
		p.Signal(request.Name)
		return
	}
	if shell.Fatal(request.Name) {
		s.finishing.Do(func() { endChannel(s, shell.Exit{Signal: request.Name}) })
		s.leave()
	}
}

// finish tells the client how the command ended; the first one counts.
func (s *session) finish(exit shell.Exit) {
	s.finishing.Do(func() {
		end := endChannel
		if s.behaviour.end != nil {
			end = s.behaviour.end
		}
		end(s, exit)
	})
}

// endChannel is the end in order: status or signal, EOF, close. They leave together, as they do from sshd.
func endChannel(s *session, exit shell.Exit) {
	if ch, ok := s.Channel.(*wireChannel); ok {
		defer ch.together()()
	}
	if !s.told {
		s.sendExit(exit)
	}
	// Not while the command may still write, which a signal does not wait for.
	if p := s.process.Load(); exit.Signal == "" && (p == nil || p.Idle()) {
		_ = s.CloseWrite()
	}
	_ = s.Close()
}

// sendExit sends the exit status or signal (RFC 4254 §6.10) and notes what left.
func (s *session) sendExit(exit shell.Exit) {
	switch {
	case exit.Broken:
	case exit.Signal != "":
		s.sendSignal(exitSignal{Name: exit.Signal})
	default:
		payload := ssh.Marshal(struct{ Status uint32 }{exit.Status})
		if _, err := s.SendRequest("exit-status", false, payload); err == nil {
			s.entry.HasStatus, s.entry.Status = true, exit.Status
		}
	}
}

// exitSignal is the payload of an exit-signal request.
type exitSignal struct {
	Name       string
	CoreDumped bool
	Message    string
	Language   string
}

func (s *session) sendSignal(e exitSignal) {
	if _, err := s.SendRequest("exit-signal", false, ssh.Marshal(e)); err == nil {
		s.entry.Signal = e.Name
	}
}

// forward serves a direct-tcpip channel (RFC 4254 §7.2) to another host of the
// fleet, as a jump host does.
func (c *conn) forward(n ssh.NewChannel) {
	var to struct {
		Host     string
		Port     uint32
		From     string
		FromPort uint32
	}
	if err := ssh.Unmarshal(n.ExtraData(), &to); err != nil {
		_ = n.Reject(ssh.ConnectionFailed, "not an address")
		return
	}
	i, err := Index(to.Host)
	if err != nil || i >= c.fleet.options.Hosts || to.Port != uint32(c.fleet.Port()) {
		_ = n.Reject(ssh.Prohibited, "not a host of this fleet")
		return
	}
	out, err := net.Dial("tcp", net.JoinHostPort(to.Host, fmt.Sprint(to.Port)))
	if err != nil {
		_ = n.Reject(ssh.ConnectionFailed, "connect failed")
		return
	}
	channel, requests, err := n.Accept()
	if err != nil {
		_ = out.Close()
		return
	}
	go ssh.DiscardRequests(requests) // ends with the channel
	done := make(chan struct{})      // closed by the goroutine below
	go func() {
		defer close(done)
		_, _ = io.Copy(out, channel)
		_ = out.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(channel, out)
	_ = channel.Close() // ends the other copy
	<-done
	_ = out.Close()
}
