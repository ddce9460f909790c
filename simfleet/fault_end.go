package simfleet

import (
	"strings"

	"shoal/simfleet/internal/shell"
)

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
