package shoal

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
	"shoal/internal/remote/wrap"
	"shoal/internal/ssh"
)

// A QueryFunc makes the text that asks a target's far end something, and that
// its answer carries nonce; see package internal/remote.
type QueryFunc func(t Target, nonce string) (string, error)

// An Reply is what came back from one target.
type Reply struct {
	// Target is the one that was asked, without a command.
	Target Target
	// Report is the answer, when Err is nil.
	Report remote.Report
	// Err says why there is none: the target was not reached, or something else
	// than an account's shell is there.
	Err error
}

// Query puts a question to planned targets, as Run would run a command on them,
// and gives the answers as they come: one for each target, whose Index must be
// its own. Questions may be put twice without harm, and are. Timeouts.Command is
// for each answer, and a minute where it is 0, even if Options.Dialer has others.
// Of Options.Engine only Rate and Clock count; Remote, MaxOutput, Follow and Drain
// do not.
func Query(ctx context.Context, opts Options, planned iter.Seq[Target], question QueryFunc) iter.Seq2[Reply, error] {
	return func(yield func(Reply, error) bool) {
		a := asking{question: question, nonces: make(map[int]string)}
		opts.Remote, opts.Follow, opts.Drain = wrap.Options{}, nil, nil
		opts.MaxOutput = maxAnswer
		opts.Engine = engine.Options{Rate: opts.Engine.Rate, Idempotent: true, Clock: opts.Engine.Clock}
		defer opts.keepAwake()()
		dialer, closer, err := opts.OpenDialer(ctx)
		if err != nil {
			yield(Reply{}, err)
			return
		}
		defer closer()
		opts.Dialer = limiting{dialer, cmp.Or(opts.Timeouts.Command, time.Minute)}
		for res, err := range RunPlanned(ctx, opts, a.lines(planned)) {
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

// limiting bounds the time that a far end may take for its answer.
type limiting struct {
	ssh.Dialer
	limit time.Duration
}

// Dial implements ssh.Dialer.
func (d limiting) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	a.Limit = d.limit
	return d.Dialer.Dial(ctx, a)
}

// maxAnswer is room for both outputs of a detached command and what is said
// beside.
const maxAnswer = 2*remote.MaxChunk + 1<<20

// asking knows what was asked of whom.
type asking struct {
	question QueryFunc

	mu     sync.Mutex // the engine takes targets on a goroutine of its own
	nonces map[int]string
}

// lines gives the targets with what is sent to them.
func (a *asking) lines(planned iter.Seq[Target]) iter.Seq[Target] {
	return func(yield func(Target) bool) {
		for t := range planned {
			nonce := remote.NewNonce()
			line, err := a.question(t, nonce)
			a.mu.Lock()
			a.nonces[t.Index] = nonce
			a.mu.Unlock()
			if t.Command = line; err != nil && (t.Route == nil || t.Route.Err == nil) {
				t.Route = &fleet.Route{Err: fmt.Errorf("asking: %w", err)}
			}
			if !yield(t) {
				return
			}
		}
	}
}

func (a *asking) answer(r Result) Reply {
	a.mu.Lock()
	nonce := a.nonces[r.Target.Index]
	delete(a.nonces, r.Target.Index)
	a.mu.Unlock()
	answer := Reply{Target: r.Target}
	answer.Target.Command = ""
	if !r.Outcome.Ran() {
		answer.Err = r.Err
		if answer.Err == nil {
			answer.Err = fmt.Errorf("%v: %s", r.Outcome, r.Reason)
		}
		return answer
	}
	answer.Report, answer.Err = remote.ParseReport(nonce, r.Stdout.Bytes)
	return answer
}
