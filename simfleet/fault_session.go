package simfleet

import (
	"io"
	"net"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"shoal/simfleet/internal/shell"
)

// refuseSession is what sshd does for an account that may not have one.
func refuseSession(n ssh.NewChannel) {
	_ = n.Reject(ssh.Prohibited, "open failed")
}

func endlessOutput(s *session) shell.Exit { return s.shell("yes this never ends") }

// nasty is what no terminal should be shown as it is.
var nasty = strings.Join([]string{
	"\x1b[2J\x1b[H\x1b[31mcleared and red",                      // CSI: clear, home, colour
	"\x1b]0;title\x07\x1b]52;c;c3Rvcnk=\x07",                    // OSC: title, clipboard
	"\x1bP$q\"p\x1b\\\x1b_apc\x1b\\\x1b[21t\x1bc",               // DCS, APC, title report, reset
	"honest line\roverwritten",                                  // carriage return
	"bell\a back\b\b\b\bspace \x00 \x7f",                        // C0 and DEL
	"C1 \x9b31m as bytes, \u009b31m as UTF-8",                   // 8-bit CSI
	"bidi \u202egnp.exe\u202c \u2066isolate\u2069 \u200b\ufeff", // overrides, invisible characters
	"invalid \xff\xfe\xc0\x80 UTF-8",
	"127.1.0.1: a line that looks like another host's",
	"no newline at the end",
}, "\n")

func printEscapes(s *session) shell.Exit {
	for _, w := range []io.Writer{s.stdout, s.stderr} {
		if _, err := io.WriteString(w, nasty); err != nil {
			return shell.Exit{Broken: true}
		}
	}
	return shell.Exit{}
}

func dropMidOutput(s *session) shell.Exit {
	s.stdout.w, s.stderr.w = &half{s.stdout.w}, &half{s.stderr.w}
	runCommand(s)
	_ = s.conn.CloseWrite()
	return shell.Exit{Broken: true}
}

// half lets one half of the first piece through, and then nothing.
type half struct{ w io.Writer }

func (h *half) Write(p []byte) (int, error) {
	n, err := h.w.Write(p[:len(p)/2])
	if err == nil {
		err = net.ErrClosed
	}
	return n, err
}

func requestFlood(s *session) shell.Exit {
	_, err := s.SendRequest("exit-status", false, []byte{0, 0})
	for err == nil {
		if _, err = s.SendRequest("flood@simfleet", false, make([]byte, 1024)); err == nil {
			_, _, err = s.conn.ssh.SendRequest("hostkeys-00@openssh.com", false, make([]byte, 1024))
		}
	}
	return shell.Exit{Broken: true}
}

// openFlood keeps several openings in flight, since each waits for its answer.
func openFlood(s *session) shell.Exit {
	const inFlight = 16
	types := []string{"x11", "auth-agent@openssh.com", "forwarded-tcpip", "direct-tcpip", "session"}
	var openers sync.WaitGroup
	for i := range inFlight {
		openers.Go(func() {
			for n := i; s.ctx.Err() == nil; n++ {
				if channel, requests, err := s.conn.ssh.(*ssh.ServerConn).OpenChannel(types[n%len(types)], nil); err == nil {
					_ = channel.Close()
					ssh.DiscardRequests(requests) // until the client has closed it too
				}
			}
		})
	}
	openers.Wait()
	return shell.Exit{Broken: true}
}

func noExitStatus(s *session, _ shell.Exit) {
	_ = s.CloseWrite()
	_ = s.Close()
}

func noClose(s *session, exit shell.Exit) {
	s.sendExit(exit)
	_ = s.CloseWrite()
}

func dropAfterExit(s *session, exit shell.Exit) {
	s.sendExit(exit)
	_ = s.conn.CloseWrite()
}

func endBySignal(s *session, _ shell.Exit) {
	s.sendSignal(exitSignal{
		Name:       "SEGV",
		CoreDumped: true,
		Message:    "\x1b[31m" + strings.Repeat("stack smashed ", 1000),
		Language:   "en",
	})
	_ = s.CloseWrite()
	_ = s.Close()
}
