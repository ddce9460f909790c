package run

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"sync"
	"time"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/remote"
	"shoal/internal/remote/wrap"
	"shoal/internal/ssh"
)

// A killer kills, on their hosts, the commands that the run gave up, while the
// run continues.
type killer struct {
	opts    engine.Options // of the run, with the Dialer for questions
	workers bool           // have sent the commands
	plan    Plan
	marker  wrap.Options
	waiting map[int]fleet.Result // by index: results whose commands are being killed
	// doomed carries targets to ask: sent and closed by results, unbuffered.
	// answers carries the replies: sent and closed by ask, unbuffered.
	doomed   chan fleet.Target
	answers  chan Reply
	unproven []fleet.Host
	failed   error // the error of Query as a whole; owned by ask until answers is closed

	mu      sync.Mutex
	address map[int]netip.AddrPort // by index: where commands were sent to hosts with a name
}

// sent records the address to which a command is about to be sent.
func (k *killer) sent(index int, address netip.AddrPort) {
	if address.IsValid() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.address[index] = address
	}
}

func (k *killer) dialled(index int) (netip.AddrPort, error) {
	k.mu.Lock()
	at := k.address[index]
	k.mu.Unlock()
	return dialledBy(k.workers, k.plan.Planned(fleet.Target{Index: index}).Target, at)
}

func newKiller(opts engine.Options, plan Plan, marker wrap.Options) *killer {
	return &killer{
		opts: opts, plan: plan, marker: marker, waiting: make(map[int]fleet.Result),
		doomed: make(chan fleet.Target), answers: make(chan Reply), address: make(map[int]netip.AddrPort),
	}
}

// results passes results on. The result of a command that was given up is
// delayed until its end is known or cannot be known. Ending ctx stops the
// killing.
func (k *killer) results(ctx context.Context, in iter.Seq2[fleet.Result, error]) iter.Seq2[fleet.Result, error] {
	return func(yield func(fleet.Result, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		noMore := sync.OnceFunc(func() { close(k.doomed) })
		go k.ask(ctx)
		defer func() {
			cancel()
			noMore() // a panic of the consumer has left pass
			for range k.answers {
			}
		}()
		open := k.pass(in, yield)
		noMore()
		if !open {
			cancel()
		}
		for a := range k.answers {
			open = open && yield(k.judge(a), nil)
		}
		for _, res := range k.waiting { // Query failed as a whole
			k.unproven = append(k.unproven, res.Target.Host)
			open = open && yield(res, nil)
		}
		if open && k.failed != nil {
			yield(fleet.Result{}, k.failed)
		}
	}
}

// pass passes on the results of commands that were not given up, and reports
// whether the consumer wants more.
func (k *killer) pass(in iter.Seq2[fleet.Result, error], yield func(fleet.Result, error) bool) bool {
	over := false // nobody is asked any more
	for res, err := range in {
		if err != nil || !givenUp(&res) {
			if !yield(res, err) {
				return false
			}
			continue
		}
		k.waiting[res.Target.Index] = res
		for sent := over; !sent; {
			select {
			case k.doomed <- res.Target:
				sent = true
			case a, ok := <-k.answers:
				if !ok { // Query failed as a whole
					sent, over = true, true
				} else if !yield(k.judge(a), nil) {
					return false
				}
			}
		}
	}
	return true
}

// givenUp reports whether the command may still run although we stopped
// waiting.
func givenUp(r *fleet.Result) bool {
	return r.Outcome == fleet.OutcomeUnknown && (r.Reason == fleet.ReasonInterrupted || r.Reason == fleet.ReasonTimeout)
}

func (k *killer) ask(ctx context.Context) {
	defer close(k.answers)
	targets := func(yield func(ssh.Target) bool) {
		for t := range k.doomed {
			if !yield(k.plan.Planned(t)) {
				return
			}
		}
	}
	for a, err := range QuerySettled(ctx, k.opts, grace+20*time.Second, targets, func(t fleet.Target, nonce string) (string, error) {
		return k.marker.Marker(t).Kill(nonce, grace)
	}, k.dialled) {
		if err != nil {
			k.failed = err
			return
		}
		k.answers <- a
	}
}

// judge applies a reply to the result it belongs to.
func (k *killer) judge(a Reply) fleet.Result {
	res := k.waiting[a.Target.Index]
	delete(k.waiting, a.Target.Index)
	if a.Err != nil || a.Report.Kill == remote.KillAlive || a.Report.Kill == remote.KillUnclear {
		k.unproven = append(k.unproven, res.Target.Host)
		return res
	}
	sent := res.Started // of the first attempt that may have run: all have one marker
	for _, t := range res.Earlier {
		if !t.Outcome.DidNotRun() && t.Started.Before(sent) {
			sent = t.Started
		}
	}
	end, known := ApplyReport(res, a.Report, longest(sent, time.Now()),
		begun(&res, k.marker.Script != nil || k.marker.Secrets != nil || k.marker.Detach && k.marker.Input != nil || long(res.Target.Command)))
	if a.Report.Kill == remote.KillEnded {
		end.Reason, end.Err = fleet.ReasonKilled, fmt.Errorf("it was given up (%s), and killed there", res.Reason)
		end.Outcome, end.Status, end.Flags = fleet.OutcomeSignalled, 0, res.Flags|fleet.FlagExitKnown|fleet.FlagOutputIncomplete
		if end.Signal == "" {
			end.Signal = "TERM"
		}
	} else if !known {
		if a.Report.State == remote.StateNever { // on another machine, or before another boot
			k.unproven = append(k.unproven, res.Target.Host)
		}
		return res // nothing of it runs any more, but its end is not known
	}
	return end
}
