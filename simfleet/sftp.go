package simfleet

import (
	"errors"
	"io"

	"golang.org/x/crypto/ssh"

	"shoal/simfleet/internal/posix"
	"shoal/simfleet/internal/sftpd"
	"shoal/simfleet/internal/shell"
)

// subsystem starts the SFTP server (RFC 4254 §6.5), the only subsystem.
func (s *session) subsystem(r request) {
	var request struct{ Name string }
	ok := ssh.Unmarshal(r.payload, &request) == nil && request.Name == "sftp" && !s.conn.fleet.options.NoSFTP
	answer := yes
	if s.behaviour.answer != nil {
		answer = *s.behaviour.answer
	}
	if s.behaviour.fileFault().noSFTP || !ok {
		answer = no
	}
	if answer == never {
		return
	}
	r.reply(answer == yes)
	if answer == no {
		return
	}
	s.started = true
	s.conn.fleet.count(func(s *Stats) { s.Subsystems++ })
	s.start(s.serveFiles)
}

// serveFiles is an SFTP session, from its first packet to its end.
func (s *session) serveFiles() {
	if s.behaviour.fileFault().closesSFTP {
		endChannel(s, shell.Exit{Status: 127})
		return
	}
	h := s.conn.fleet.machine(s.conn.host)
	if s.behaviour.fileFault().noise != "" {
		if _, err := io.WriteString(s.Channel, s.behaviour.fileFault().noise); err != nil {
			return
		}
	}
	err := sftpd.Serve(s.Channel, h.FS, h.Login(s.conn.ssh.User()).Cred(), sftpd.Options{
		Data: func(size int) (int, error) { return s.data(h, size) },
		Name: h.UserName,
	})
	if errors.Is(err, errCut) {
		return
	}
	exit := shell.Exit{}
	if err != nil {
		exit.Status = 255
	}
	endChannel(s, exit)
}

var errCut = errors.New("the connection is cut")

// data is called for each piece of a file's content on its way by SFTP.
func (s *session) data(h *posix.Host, size int) (int, error) {
	if h.Pause > 0 && !s.conn.pause(h.Pause) {
		return 0, errCut
	}
	if s.behaviour.fileFault().cut {
		s.conn.abort()
		return size / 2, errCut
	}
	return size, nil
}
