package run

import (
	"context"
	"iter"
	"net/netip"
	"time"

	"shoal/fleet"
	"shoal/internal/journal"
	"shoal/internal/remote"
	"shoal/internal/ssh"
)

// A Resolution is what the markers of one target say.
type Resolution struct {
	// Result is the target's result; if it is not Known, its Err says why.
	Result fleet.Result
	// Known means that the end is certain, or that the command never started and never
	// will. It is recorded then.
	Known bool
	// Detached is the state of a detached command that has started, and of which
	// Collect will fetch the result and the output, whatever is recorded of it: running
	// or ended. "" means none of that.
	Detached remote.State
}

// Unresolved selects the targets with an unknown outcome and those with a detached
// command, which may never have started.
func Unresolved(e *journal.Entry) bool {
	return journal.Unknown(e) || e.Outcome == fleet.OutcomeDetached
}

// Resolve asks what became of the commands, and yields each answer once it is
// recorded. What has not started by now never will.
func (q *Inquiry) Resolve(ctx context.Context) iter.Seq2[Resolution, error] {
	return func(yield func(Resolution, error) bool) {
		if len(q.asked) == 0 { // nobody has said how to reach them
			return
		}
		all, ofTarget := q.questions()
		answers := make([][]Reply, len(q.asked)) // for each target, by session
		missing := make([]int, len(q.asked))
		for i := range q.asked {
			missing[i] = len(q.asked[i].sessions)
			answers[i] = make([]Reply, missing[i])
		}
		for answer, err := range QuerySettled(ctx, q.engine, 0, all, func(t fleet.Target, nonce string) (string, error) {
			i, session := ofTarget(t.Index)
			a := &q.asked[i]
			m := q.marker(a, a.sessions[session])
			if session == 0 && a.entry.Outcome == fleet.OutcomeDetached {
				return m.SettleClaimed(nonce)
			}
			return m.Settle(nonce)
		}, func(index int) (netip.AddrPort, error) {
			i, session := ofTarget(index)
			a := &q.asked[i]
			return dialledBy(ByWorkers(q.Info), a.entry.Target, q.Info.AddressOf(&a.entry, a.sessions[session]))
		}) {
			if err != nil {
				yield(Resolution{}, err)
				return
			}
			i, session := ofTarget(answer.Target.Index)
			answers[i][session] = brief(answer)
			if missing[i]--; missing[i] > 0 {
				continue
			}
			whole := q.asked[i]
			if err := q.journal.LoadOutput(ctx, &whole.entry); err != nil {
				yield(Resolution{}, err)
				return
			}
			r := q.resolved(&whole, answers[i])
			answers[i] = nil
			if r.Known {
				if err := q.record(r.Result); err != nil {
					yield(Resolution{}, err)
					return
				}
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

// brief returns the answer without output, of which a host may send much unasked: the
// answer stays in memory until those of the target's other sessions have come.
func brief(a Reply) Reply {
	a.Report.Stdout, a.Report.Stderr = remote.Chunk{}, remote.Chunk{}
	return a
}

// questions returns one target for each session that sent a command, and a
// function that maps the target's index to its query and session.
func (q *Inquiry) questions() (iter.Seq[ssh.Target], func(index int) (asked, session int)) {
	type place struct{ asked, session int }
	var places []place
	for i := range q.asked {
		for s := range q.asked[i].sessions {
			places = append(places, place{i, s})
		}
	}
	return func(yield func(ssh.Target) bool) {
			for i, p := range places {
				t := q.asked[p.asked].target
				t.Index = i
				if !yield(t) {
					return
				}
			}
		}, func(index int) (int, int) {
			return places[index].asked, places[index].session
		}
}

// resolved combines what the markers of one target say, newest session first.
// The command never started only if all markers say so.
func (q *Inquiry) resolved(a *query, answers []Reply) (r Resolution) {
	for i, answer := range answers {
		r.Result = a.entry.Result
		r.Result.Target = a.entry.Target
		if answer.Err != nil {
			r.Result.Err, r.Known = answer.Err, false
			break
		}
		// The result is of the newest session, which may have been refused since an earlier one had started.
		own := i == 0 && (len(answers) == 1 || r.Result.Reason != fleet.ReasonAlreadyStarted)
		if r.Result, r.Known = ApplyReport(r.Result, answer.Report, a.since(q.Info, time.Now()), own && begun(&r.Result, q.mayWait(a))); !r.Known || r.Result.Outcome.Ran() {
			break
		}
	}
	if r.Detached = q.detached(answers); r.Detached != "" {
		r.Known = false
	}
	return r
}

// mayWait reports whether a host that has accepted the command may have waited for bytes of
// standard input before it started it.
func (q *Inquiry) mayWait(a *query) bool {
	o := q.Info.Options
	return q.Info.NoCommand || o[optionScript] != "" || o[optionSecrets] != "" || q.remote.Detach && o[optionInput] != "" || long(a.entry.Target.Command)
}

// detached returns the state of a detached command whose result Collect will fetch. To
// record its end would leave its output behind: Collect takes no target that is done.
func (q *Inquiry) detached(answers []Reply) remote.State {
	if !q.remote.Detach {
		return ""
	}
	for _, a := range answers {
		if s := a.Report.State; a.Err == nil && (s == remote.StateRunning || s == remote.StateEnded) {
			return s
		}
	}
	return ""
}
