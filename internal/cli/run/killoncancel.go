package run

import (
	"context"
	"fmt"
	"io"
	"iter"
	"time"

	"shoal"
	"shoal/fleet"
	"shoal/hosts/expr"
	"shoal/internal/cli/console"
	"shoal/internal/remote"
	"shoal/internal/remote/wrap"
	"shoal/internal/ui"
)

// A killer has commands that were given up ended where they run, while the run
// goes on.
type killer struct {
	opts    shoal.Options // with the Dialer of the run
	marker  wrap.Options
	waiting map[int]fleet.Result // by index: results whose commands are being killed
	// givenUpTargets carries targets to the questions: sent and closed by results,
	// unbuffered. answers carries what came of them: sent and closed by ask,
	// unbuffered.
	doomed   chan fleet.Target
	answers  chan shoal.Reply
	unproven []fleet.Host
	failed   error // of the questions as a whole; ask's until answers is closed
}

func newKiller(opts shoal.Options, marker wrap.Options) *killer {
	opts.Timeouts.Command = killGrace + 20*time.Second
	return &killer{
		opts: opts, marker: marker, waiting: make(map[int]fleet.Result),
		doomed: make(chan fleet.Target), answers: make(chan shoal.Reply),
	}
}

// Results passes results on. Those whose command was given up come when it is
// known what became of it, or nobody can tell. Ending ctx gives that up.
func (k *killer) results(ctx context.Context, in iter.Seq2[fleet.Result, error]) iter.Seq2[fleet.Result, error] {
	return func(yield func(fleet.Result, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		go k.ask(ctx)
		defer func() {
			cancel()
			for range k.answers {
			}
		}()
		open := k.pass(in, yield)
		close(k.doomed)
		if !open {
			cancel()
		}
		for a := range k.answers {
			open = open && yield(k.judge(a), nil)
		}
		for _, res := range k.waiting { // the questions failed as a whole
			k.unproven = append(k.unproven, res.Target.Host)
			open = open && yield(res, nil)
		}
		if open && k.failed != nil {
			yield(fleet.Result{}, k.failed)
		}
	}
}

// pass hands on what was not given up, and says whether more is wanted.
func (k *killer) pass(in iter.Seq2[fleet.Result, error], yield func(fleet.Result, error) bool) bool {
	for res, err := range in {
		if err != nil || !givenUp(&res) {
			if !yield(res, err) {
				return false
			}
			continue
		}
		k.waiting[res.Target.Index] = res
		for sent := false; !sent; {
			select {
			case k.doomed <- res.Target:
				sent = true
			case a, ok := <-k.answers:
				if !ok {
					return true // the questions failed as a whole
				}
				if !yield(k.judge(a), nil) {
					return false
				}
			}
		}
	}
	return true
}

// givenUp says that we left a command to itself.
func givenUp(r *fleet.Result) bool {
	return r.Outcome == fleet.OutcomeUnknown && (r.Reason == fleet.ReasonInterrupted || r.Reason == fleet.ReasonTimeout)
}

func (k *killer) ask(ctx context.Context) {
	defer close(k.answers)
	targets := func(yield func(fleet.Target) bool) {
		for t := range k.doomed {
			if !yield(t) {
				return
			}
		}
	}
	for a, err := range shoal.Query(ctx, k.opts, targets, func(t fleet.Target, nonce string) (string, error) {
		return k.marker.Marker(t).Kill(nonce, killGrace)
	}) {
		if err != nil {
			k.failed = err
			return
		}
		k.answers <- a
	}
}

// judge gives the result that an answer leads to.
func (k *killer) judge(a shoal.Reply) fleet.Result {
	res := k.waiting[a.Target.Index]
	delete(k.waiting, a.Target.Index)
	if a.Err != nil || a.Report.Kill == remote.KillAlive || a.Report.Kill == remote.KillUnclear {
		k.unproven = append(k.unproven, res.Target.Host)
		return res
	}
	end, known := ApplyReport(res, a.Report, longest(res.Started, time.Now()))
	if a.Report.Kill == remote.KillEnded {
		end.Reason, end.Err = fleet.ReasonKilled, fmt.Errorf("it was given up (%s), and killed there", res.Reason)
		end.Outcome, end.Status, end.Flags = fleet.OutcomeSignalled, 0, res.Flags|fleet.FlagExitKnown|fleet.FlagOutputIncomplete
		if end.Signal == "" {
			end.Signal = "TERM"
		}
	} else if !known {
		return res // nothing of it runs; how it ended nobody knows
	}
	return end
}

// tell lists where the end of a command is unproven.
func (k *killer) tell(w io.Writer) {
	if len(k.unproven) > 0 {
		console.Say(w, "given up, and may still run: %s", ui.Visible(expr.Fold(Names(k.unproven))))
	}
}
