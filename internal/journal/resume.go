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
	// ErrGoing says that a process works on the run.
	ErrGoing = errors.New("the run still goes on")
	// ErrNeverBegan says that the run has not all of its targets, and that
	// nothing of it was started.
	ErrNeverBegan = errors.New("the run never began\nhint: run it anew")
)

// resumeWait covers those who look, for a moment, whether the run goes on.
const resumeWait = time.Second

// Resume goes on with a run whose process is gone, or that was interrupted: the
// same run, in a new session. Once it has returned, nobody else works on the run,
// and Select with [Resumable] gives the targets to go on with. Their indexes stay
// and so do their results, until newer ones come. The errors are ErrGoing,
// ErrNeverBegan, ErrNoRun, and ErrDamaged for a run that is not as it was written.
//
// It is the same run so that nothing runs twice however often it is resumed: a
// new run would not know of what others have made of the old one.
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
		return nil, err // before a lock file is made for a run that is not there
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

// isCommand says whether the hash of a target stands for the command.
func (i *RunInfo) isCommand(hash []byte, command string) bool {
	want := sha256.Sum256([]byte(command))
	if i.NoCommand {
		want = saltedHash(i.salt, command)
	}
	return subtle.ConstantTimeCompare(hash, want[:]) == 1
}
