package simfleet

import (
	"bytes"
	"io"
	"net"
	"strings"

	"golang.org/x/crypto/ssh"

	"shoal/internal/ssh/wire"
	"shoal/simfleet/internal/shell"
)

// refuseSession is what sshd does for an account that may not have one.
func refuseSession(w *wireServer, n wire.Channel) {
	w.server.Refuse(n, uint32(ssh.Prohibited), "open failed")
}

func endlessOutput(s *session) shell.Exit {
	piece := bytes.Repeat([]byte("this never ends\n"), largeRead/16)
	for s.conn.link(len(piece)) {
		if _, err := s.stdout.Write(piece); err != nil {
			break
		}
	}
	return shell.Exit{Broken: true}
}

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
	s.wire().closeWrite()
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
	if _, err := s.SendRequest("exit-status", false, []byte{0, 0}); err != nil {
		return shell.Exit{Broken: true}
	}
	w, n, text := s.wire(), s.Channel.(*wireChannel).number, make([]byte, 1024)
	return w.flood(func() bool {
		if w.channel(n) == nil { // the client has closed it
			return false
		}
		w.server.Tell(n, "flood@simfleet", text)
		w.server.TellAll("hostkeys-00@openssh.com", text)
		return true
	})
}

// openFlood keeps many openings in flight; each of them is answered.
func openFlood(s *session) shell.Exit {
	types := []string{"x11", "auth-agent@openssh.com", "forwarded-tcpip", "direct-tcpip", "session"}
	w, opened := s.wire(), 0
	return w.flood(func() bool {
		if opened-w.answers >= inFlight {
			return false
		}
		w.server.OpenChannel(types[opened%len(types)], nil)
		opened++
		return true
	})
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
	s.wire().closeWrite()
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
