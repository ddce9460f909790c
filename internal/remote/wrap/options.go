package wrap

import (
	"time"

	"shoal/fleet"
	"shoal/internal/remote"
	"shoal/internal/ssh"
)

// Options configure the wrapper. The zero value wraps only commands longer than
// remote.MaxLine.
type Options struct {
	// Run is the run's name in markers; see remote.Marker.Run. It is required for Once,
	// Killable and Detach.
	Run string
	// Session is 0 in a run's first process, and one more after each resume. A target that
	// is deliberately started again then has a new marker, while attempts within one
	// process share one.
	Session int
	// Once prevents a second start of a target's command.
	Once bool
	// Rerun has the indexes of the targets that a session may start even if an earlier
	// session has started them or may have.
	Rerun map[int]bool
	// Killable runs the command in a process group recorded in its marker, so that
	// remote.Marker.Kill can prove its end.
	Killable bool
	// Detach lets the command run on after we disconnect.
	Detach bool
	// FileLimit is the maximum size in bytes of each file that a detached command writes;
	// see remote.Wrap. 0 means no limit.
	FileLimit int64
	// Timeout is the time after which the far end ends the command's process group; 0
	// means never.
	Timeout time.Duration
	// Grace is the time from TERM to KILL; 0 means 5 s.
	Grace time.Duration
	// Input is the standard input of every command, in place of that of the attempt. nil
	// leaves the attempt's.
	Input ssh.Input
	// PTY is the pseudo-terminal of commands whose target's Settings ask for one. They
	// must not be wrapped and have no input but ends of file.
	PTY ssh.PTY
	// InputDigest is the SHA-256 of Input in hexadecimal; "" if unknown.
	InputDigest string
	// Script is run in place of the command, whose text has its arguments; see
	// remote.Script. nil runs the command.
	Script *remote.Script
	// Secrets are variables whose values go through standard input, and only to hosts that
	// ssh.Attempt.AllowSecret allows; nil means none.
	Secrets *remote.Secrets
	// Place is where and with what commands run; nil means as the host has it.
	Place *remote.Place
	// Recorded, if not nil, is called for each command that has ended and whose end the
	// far end has recorded in the marker, before done is. It is called from many
	// goroutines and must not block.
	Recorded func(t fleet.Target)
	// Becomes means that the inner Dialer puts the command into a remote.Become.
	Becomes bool
	// Dir is the run directory for markers; "" means remote.DefaultDir.
	Dir string
	// Shell is the far end's POSIX shell; "" means /bin/sh.
	Shell string
}

// Marked reports whether the far end keeps a marker.
func (o Options) Marked() bool { return o.Once || o.Killable || o.Detach }

// Wraps reports whether all commands are wrapped.
func (o Options) Wraps() bool {
	return o.Marked() || o.Timeout > 0 || o.Place != nil || o.Secrets != nil || o.Script != nil
}

// Validate returns an error if a value is out of range or values contradict each other.
func (o Options) Validate() error {
	if !o.Wraps() {
		return nil
	}
	return o.wrap(fleet.Target{}, remote.NewNonce()).Validate()
}

// Marker returns the marker of the target's command.
func (o Options) Marker(t fleet.Target) remote.Marker {
	return remote.Marker{Run: o.Run, Index: t.Index, Attempt: o.Session, Dir: o.Dir, Shell: o.Shell}
}

func (o Options) wrap(t fleet.Target, nonce string) remote.Wrap {
	w := remote.Wrap{
		Nonce: nonce, Group: o.Killable, Timeout: o.Timeout, Grace: o.Grace,
		Detach: o.Detach, FileLimit: o.FileLimit, Shell: o.Shell, InputDigest: o.InputDigest, Place: o.Place, Secrets: o.Secrets, Script: o.Script, Room: o.Becomes,
	}
	if o.Marked() {
		m := o.Marker(t)
		w.Marker, w.Rerun, w.Confirm = &m, o.Rerun[t.Index], o.Recorded != nil
	}
	return w
}
