package client

import (
	"slices"

	"shoal/internal/ssh"
	"shoal/internal/ssh/hostcache"
)

// markSFTP is a mark in a hostcache.Entry of its own: the host takes files by SFTP only.
const markSFTP = "sftp"

// filesOf is the name of that entry.
func filesOf(t ssh.Target) string { return "files>" + endpoint(t.Target) }

// SFTP reports whether SetSFTP has said so of the target's host and user, since a week at most.
func (d *Dialer) SFTP(t ssh.Target) bool {
	e, known := d.opts.Memory.Get(filesOf(t))
	return known && e.User == t.User && slices.Contains(e.Marks, markSFTP) && today()-e.Day < recheck
}

// SetSFTP remembers that files can be copied by SFTP only, or that this is not so.
func (d *Dialer) SetSFTP(t ssh.Target, sftp bool) {
	e := hostcache.Entry{User: t.User}
	if sftp {
		e.Marks = []string{markSFTP}
	}
	d.opts.Memory.Put(filesOf(t), e)
}
