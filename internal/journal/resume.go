package journal

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"
)

var (
	// ErrGoing means that a process is working on the run.
	ErrGoing = errors.New("the run still goes on")
	// ErrNeverBegan means that the program died before all targets were written; no
	// command was started.
	ErrNeverBegan = errors.New("the run never began\nhint: run it anew")
)

// resumeWait is long enough for processes that take the lock only to ask whether the run
// is running.
const resumeWait = time.Second

// Resume continues a crashed or interrupted run in a new session. Once it has returned, no
// other process works on the run, and Select with [Resumable] returns the remaining
// targets. Targets keep their indexes, and their results until newer ones arrive. The
// errors are ErrGoing, ErrNeverBegan, ErrNoRun, and ErrDamaged for a run that does not
// match its checksums.
//
// Resume continues the same run instead of beginning a new one, so that nothing runs twice
// however often it is called: a new run would not know what other sessions have done with
// the old one.
func (j *Journal) Resume(ctx context.Context, run string) (*Run, error) {
	r, err := j.resume(ctx, run)
	if err != nil {
		return nil, fmt.Errorf("resuming run %s: %w", run, err)
	}
	return r, nil
}

func (j *Journal) resume(ctx context.Context, run string) (_ *Run, err error) {
	if j.write == nil {
		return nil, errReadOnly
	}
	if _, err := j.run(ctx, run); err != nil {
		return nil, err // before creating a lock file for a run that does not exist
	}
	l, err := takeLock(j.dir, run, time.Now().Add(resumeWait))
	if errors.Is(err, errLocked) {
		return nil, ErrGoing
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.release())
		}
	}()
	info, err := j.run(ctx, run)
	if err != nil {
		return nil, err
	}
	if len(info.Sessions) == 0 {
		return nil, ErrNeverBegan
	}
	var indexes bitset
	if err := j.walk(ctx, run, func(_ *snapshot, e *Entry) (bool, error) {
		indexes.add(e.Target.Index)
		return true, nil
	}); err != nil {
		return nil, err
	}
	last := info.Sessions[len(info.Sessions)-1]
	s := Session{PID: os.Getpid(), Boot: bootID(), Started: j.opts.Now(), n: last.n + 1, seq: last.seq}
	if err := j.transact(ctx, func(tx *sql.Tx) error {
		return insertSession(ctx, tx, info.n, info.binding, &s)
	}); err != nil {
		return nil, err
	}
	info.Sessions = append(info.Sessions, s)
	return j.start(l, *info, indexes), nil
}

// isCommand reports whether hash is the stored hash of the command.
func (i *RunInfo) isCommand(hash []byte, command string) bool {
	want := sha256.Sum256([]byte(command))
	if i.NoCommand {
		want = saltedHash(i.salt, command)
	}
	return subtle.ConstantTimeCompare(hash, want[:]) == 1
}
