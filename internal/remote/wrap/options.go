package wrap

import (
	"time"

	"shoal/fleet"
	"shoal/internal/remote"
)

// Options say what is asked of the far end. The zero value asks for nothing.
type Options struct {
	// Run names the run in markers, as remote.Marker.Run does. It is needed for
	// Once, Killable and Detach.
	Run string
	// Session is 0 in a run's first process, and one more in each that goes on
	// with it. A target that is started again on purpose then has a marker of its
	// own, while attempts within one process are one start.
	Session int
	// Once makes a second start of a target's command impossible.
	Once bool
	// Rerun has, by their indexes, the targets that a session may start though an
	// earlier one has started them, or may have.
	Rerun map[int]bool
	// Killable runs the command in a process group of which its marker knows,
	// so that remote.Marker.Kill can prove its end.
	Killable bool
	// Detach lets the command run on without us.
	Detach bool
	// FileLimit bounds each file that a detached command writes, in bytes; see
	// remote.Wrap. 0 means no limit.
	FileLimit int64
	// Timeout ends the command's process group from there; 0 means never.
	Timeout time.Duration
	// Grace is how long after TERM what is left gets KILL; 0 means 5 s.
	Grace time.Duration
	// Dir is the run directory for markers; "" means remote.DefaultDir.
	Dir string
	// Shell is the far end's POSIX shell; "" means /bin/sh.
	Shell string
}

// Marked says that the far end keeps a marker.
func (o Options) Marked() bool { return o.Once || o.Killable || o.Detach }

// Wraps says that there is something to ask of the far end.
func (o Options) Wraps() bool { return o.Marked() || o.Timeout > 0 }

// Validate says what is out of range or does not go together.
func (o Options) Validate() error {
	if !o.Wraps() {
		return nil
	}
	return o.wrap(fleet.Target{}, remote.NewNonce()).Validate()
}

// Marker names where the far end writes down what becomes of the target's
// command.
func (o Options) Marker(t fleet.Target) remote.Marker {
	return remote.Marker{Run: o.Run, Index: t.Index, Attempt: o.Session, Dir: o.Dir, Shell: o.Shell}
}

func (o Options) wrap(t fleet.Target, nonce string) remote.Wrap {
	w := remote.Wrap{
		Nonce: nonce, Group: o.Killable, Timeout: o.Timeout, Grace: o.Grace,
		Detach: o.Detach, FileLimit: o.FileLimit, Shell: o.Shell,
	}
	if o.Marked() {
		m := o.Marker(t)
		w.Marker, w.Rerun = &m, o.Rerun[t.Index]
	}
	return w
}
