package run

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/remote"
	"shoal/internal/ssh"
)

// A QueryFunc returns the shell text that queries the target's far end. The answer
// must carry nonce; see package internal/remote.
type QueryFunc func(t fleet.Target, nonce string) (string, error)

// A Reply is the answer of one target.
type Reply struct {
	// Target is the queried target, without a command.
	Target fleet.Target
	// Report is the parsed answer; valid if Err is nil.
	Report remote.Report
	// Err is why there is no answer: the target was not reached, or its account has no
	// ordinary shell.
	Err error
	// Late means that the answer had not come whole in time.
	Late bool

	planned ssh.Target // as it was given to Query
}

// Query sends a query to planned targets and yields the answers as they arrive, one
// per target. Each target's Index must be unique. Queries must be idempotent: they
// may be sent twice. answer limits the wait for each answer; 0 means 1 min. Only
// those of o are used that are about connecting.
func Query(ctx context.Context, o engine.Options, answer time.Duration, planned iter.Seq[ssh.Target], question QueryFunc) iter.Seq2[Reply, error] {
	return func(yield func(Reply, error) bool) {
		a := asking{question: question, asked: make(map[int]asked)}
		o := engine.Options{
			Dialer: o.Dialer, CommandTimeout: cmp.Or(answer, time.Minute), Clock: o.Clock, Notice: o.Notice, Verbose: o.Verbose,
			Fanout: o.Fanout, Dials: o.Dials, Starts: o.Starts, Rate: o.Rate,
			MaxHeld: o.MaxHeld, MaxOutput: maxAnswer, Idempotent: true,
		}
		for res, err := range engine.Run(ctx, o, a.lines(planned)) {
			if err != nil {
				yield(Reply{}, err)
				return
			}
			if !yield(a.answer(res), nil) {
				return
			}
		}
	}
}

// maxAnswer has room for both outputs of a detached command and the rest of the
// report.
const maxAnswer = 2*remote.MaxChunk + 1<<20

// asking holds the targets that have not answered.
type asking struct {
	question QueryFunc

	mu    sync.Mutex // the engine iterates over the targets on another goroutine
	asked map[int]asked
}

type asked struct {
	target ssh.Target
	nonce  string
}

// lines returns the targets with their query as the command.
func (a *asking) lines(planned iter.Seq[ssh.Target]) iter.Seq[ssh.Target] {
	return func(yield func(ssh.Target) bool) {
		for t := range planned {
			nonce := remote.NewNonce()
			line, err := a.question(t.Target, nonce)
			a.mu.Lock()
			a.asked[t.Index] = asked{t, nonce}
			a.mu.Unlock()
			if t.Command = line; err != nil && t.Err() == nil {
				t.Endpoint = &ssh.Endpoint{User: t.User, Port: t.Port, Err: fmt.Errorf("asking: %w", err)}
			}
			if !yield(t) {
				return
			}
		}
	}
}

func (a *asking) answer(r fleet.Result) Reply {
	a.mu.Lock()
	q := a.asked[r.Target.Index]
	delete(a.asked, r.Target.Index)
	a.mu.Unlock()
	answer := Reply{Target: r.Target, planned: q.target}
	answer.Target.Command = ""
	answer.Late = r.Reason == fleet.ReasonTimeout
	if !r.Outcome.Ran() {
		answer.Err = r.Err
		if answer.Err == nil {
			answer.Err = fmt.Errorf("%v: %s", r.Outcome, r.Reason)
		}
		return answer
	}
	answer.Report, answer.Err = remote.ParseReport(q.nonce, r.Stdout.Bytes)
	return answer
}
