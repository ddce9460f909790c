package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// An Epilogue is a further command on the connection of each target whose command has
// ended, for example to remove what only the command needed. It begins when the
// target's result was yielded and is stored, holds the target's slot until it has
// ended, and changes no result. The end of the run's context ends it; a drain does not.
type Epilogue struct {
	// Command returns the text of the exec request for a target, "" for none. It is
	// called by the goroutine that ranges over the results, after each. ended, which
	// may be nil, is called once with the standard output, at most MaxEpilogueOutput
	// bytes, or why it is not complete: on any goroutine, and it must not block.
	Command func(r *fleet.Result) (line string, ended func(stdout []byte, err error))
	// Stored returns when every result yielded so far is stored. Where it fails, no
	// command is sent.
	Stored func() error
	// Timeout limits each epilogue, without the wait for Stored.
	Timeout time.Duration
}

// MaxEpilogueOutput is the number of bytes that are kept of an epilogue's output.
const MaxEpilogueOutput = 64 << 10

// kept is a connection that waits for its target's epilogue.
type kept struct {
	conn   ssh.Conn
	target ssh.Target
	line   string
	ended  func(stdout []byte, err error)
}

// epilogues are the epilogues of a run. The run's mu guards waiting.
type epilogues struct {
	ctx     context.Context // of the run's caller, and ended by close
	stop    context.CancelFunc
	waiting []*kept
	news    chan struct{} // a flag, as those of run: something waits
	all     sync.WaitGroup
}

func newEpilogues(ctx context.Context) *epilogues {
	e := &epilogues{news: make(chan struct{}, 1)}
	e.ctx, e.stop = context.WithCancel(ctx)
	return e
}

var errLeft = errors.New("the run was left")

// keep returns the connection of an attempt that has ended, if it may have an epilogue;
// otherwise it closes conn, which may be nil.
func (f *attempt) keep(conn ssh.Conn, end fleet.End) *kept {
	switch {
	case conn == nil:
		return nil
	case !end.Outcome.Ran():
		hangUp(conn)
		return nil
	}
	return &kept{conn: conn, target: f.attempt.Target}
}

// afterwards gives a target whose result was yielded its epilogue, or releases it.
func (r *run) afterwards(l *delivery) {
	k := l.kept
	if k == nil {
		return
	}
	l.kept = nil
	if k.line, k.ended = r.opts.Epilogue.Command(&l.result); k.line == "" {
		r.free(k)
		return
	}
	r.epilogues.all.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.epilogues.waiting = append(r.epilogues.waiting, k)
	notify(r.epilogues.news)
}

// free closes the connection and releases its target's slot.
func (r *run) free(k *kept) {
	hangUp(k.conn)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limiter.Release()
	r.changed()
}

// runEpilogues begins what waits, all at once for each wait for the disk.
func (r *run) runEpilogues() {
	e := r.epilogues
	for {
		select {
		case <-e.news:
		case <-r.left:
			r.beginEpilogues(errLeft)
			return
		}
		r.beginEpilogues(nil)
	}
}

func (r *run) beginEpilogues(err error) {
	r.mu.Lock()
	all := r.epilogues.waiting
	r.epilogues.waiting = nil
	r.mu.Unlock()
	if len(all) == 0 {
		return
	}
	if err == nil {
		err = r.opts.Epilogue.Stored()
	}
	if err == nil {
		err = context.Cause(r.epilogues.ctx)
	}
	for _, k := range all {
		if err != nil {
			r.endEpilogue(k, nil, err)
			continue
		}
		r.beginEpilogue(k)
	}
}

func (r *run) beginEpilogue(k *kept) {
	limit := r.opts.Epilogue.Timeout
	ctx, cancel := r.opts.Clock.WithTimeout(r.epilogues.ctx, limit, fmt.Errorf("it took more than %v", limit))
	var (
		once   sync.Once
		output answer
	)
	ended := func(err error) {
		once.Do(func() {
			cancel()
			r.endEpilogue(k, output.Bytes(), err)
		})
	}
	defer func() {
		if p := recover(); p != nil {
			ended(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	k.conn.StartNext(ctx, &ssh.Attempt{
		Progress: new(ssh.Progress), Target: k.target, Line: k.line, Stdout: &output, Limit: -1,
	}, func(end fleet.End) {
		err := end.Err
		if err == nil && (end.Outcome != fleet.OutcomeOK || output.cut) {
			err = fmt.Errorf("it ended %v, with status %d", end.Outcome, end.Status)
		}
		ended(err)
	})
}

func (r *run) endEpilogue(k *kept, stdout []byte, err error) {
	defer r.epilogues.all.Done()
	if k.ended != nil {
		k.ended(stdout, err)
	}
	r.free(k)
}

// drop closes the connections of results that were not yielded.
func drop(all []delivery) {
	for _, l := range all {
		if l.kept != nil {
			hangUp(l.kept.conn)
		}
	}
}

// An answer keeps the first MaxEpilogueOutput bytes.
type answer struct {
	bytes.Buffer
	cut bool
}

func (a *answer) Write(p []byte) (int, error) {
	n := min(len(p), MaxEpilogueOutput-a.Len())
	a.cut = a.cut || n < len(p)
	_, _ = a.Buffer.Write(p[:n])
	return len(p), nil
}
