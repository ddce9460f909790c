package markers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"shoal"
	"shoal/fleet"
	"shoal/internal/cli/console"
	"shoal/internal/cli/run"
	"shoal/internal/journal"
	"shoal/internal/remote"
	"shoal/internal/ssh"
	"shoal/internal/ui"
)

// NewResolve returns shoal resolve.
func NewResolve(stdio console.Stdio) *cobra.Command {
	var f markerFlags
	cmd := &cobra.Command{
		Use:   "resolve [flags] RUN",
		Short: "Ask the hosts what became of the commands of which nobody knows",
		Long: `Ask each host of which it is unknown whether its command ran what its marker says,
and write the answer into the journal: that it ended, and how; that it still
runs; or that it never started, and from now on never will. Of detached commands it
finds those that never started; shoal collect fetches the others. The run must have been
made with --once, --kill-on-cancel or --detach.`,
		Example: "  shoal resolve last\n  shoal resume last    # then goes on with those that never started",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return resolve(cmd.Context(), &f, args[0], stdio)
		},
	}
	f.register(cmd)
	return cmd
}

func resolve(ctx context.Context, f *markerFlags, name string, stdio console.Stdio) error {
	a, err := newRemoteQuery(ctx, f, name, unsettled, stdio)
	if err != nil {
		return err
	}
	if len(a.asked)+a.mute == 0 {
		console.Say(stdio.Err, "nothing is unknown")
		return a.end(console.ExitOK)
	}
	left, err := a.resolve(ctx, stdio.Out)
	left += a.mute
	code := console.ExitOK
	if left > 0 || err != nil {
		code = console.ExitUnknown
	}
	if err := errors.Join(err, a.end(code)); err != nil {
		return err
	}
	if code != console.ExitOK {
		console.Say(stdio.Err, "%s of %s are still unknown", ui.Count(int64(left)), ui.Count(int64(len(a.asked)+a.mute)))
		return console.ExitError(code)
	}
	return nil
}

// resolve asks the hosts, prints a line for each target, and returns the number
// of targets that stay unknown.
func (a *remoteQuery) resolve(ctx context.Context, out io.Writer) (left int, err error) {
	all, ofTarget := a.questions()
	answers := make([][]shoal.Reply, len(a.asked)) // for each target, by session
	missing := make([]int, len(a.asked))
	for i := range a.asked {
		missing[i] = len(a.asked[i].sessions)
		answers[i] = make([]shoal.Reply, missing[i])
	}
	for answer, err := range a.plan.Query(ctx, all, 0, func(t fleet.Target, nonce string) (string, error) {
		q, session := ofTarget(t.Index)
		m := a.marker(&a.asked[q], a.asked[q].sessions[session])
		if session == 0 && a.asked[q].entry.Outcome == fleet.OutcomeDetached {
			return m.SettleClaimed(nonce)
		}
		return m.Settle(nonce)
	}) {
		if err != nil {
			return left, err
		}
		q, session := ofTarget(answer.Target.Index)
		answers[q][session] = answer
		if missing[q]--; missing[q] > 0 {
			continue
		}
		res, known := resolved(a.info, &a.asked[q], answers[q])
		if text := collectable(&a.asked[q], answers[q][0]); text != "" {
			if _, err := fmt.Fprintf(out, "%s: %s\n", ui.Visible(res.Target.Host.String()), text); err != nil {
				return left, err
			}
			continue
		}
		if known {
			if err := a.kept.Result(res); err != nil {
				return left, err
			}
		} else {
			left++
		}
		if _, err := fmt.Fprintf(out, "%s: %s\n", ui.Visible(res.Target.Host.String()), resolvedWords(&res, known)); err != nil {
			return left, err
		}
	}
	return left, nil
}

// unsettled selects targets with an unknown outcome and those with a detached
// command, which may never have started.
func unsettled(e *journal.Entry) bool {
	return journal.Unknown(e) || e.Outcome == fleet.OutcomeDetached
}

// collectable describes a detached command whose result and output shoal
// collect will fetch; "" for all others.
func collectable(q *query, a shoal.Reply) string {
	switch {
	case q.entry.Outcome != fleet.OutcomeDetached || a.Err != nil:
	case a.Report.State == remote.StateRunning:
		return "detached: " + run.StateWords(remote.StateRunning)
	case a.Report.State == remote.StateEnded:
		return "detached: it has ended, and shoal collect fetches what came of it"
	}
	return ""
}

// questions returns one target for each session that sent a command, and a
// function that maps the target's index to its query and session.
func (a *remoteQuery) questions() (iter.Seq[ssh.Target], func(index int) (q, session int)) {
	type place struct{ q, session int }
	var places []place
	for i := range a.asked {
		for s := range a.asked[i].sessions {
			places = append(places, place{i, s})
		}
	}
	return func(yield func(ssh.Target) bool) {
			for i, p := range places {
				t := a.asked[p.q].target
				t.Index = i
				if !yield(t) {
					return
				}
			}
		}, func(index int) (int, int) {
			return places[index].q, places[index].session
		}
}

// resolved combines what the markers of one target say, newest session first.
// The command never started only if all markers say so.
func resolved(info *journal.RunInfo, q *query, answers []shoal.Reply) (res fleet.Result, known bool) {
	for _, a := range answers {
		res = q.entry.Result
		res.Target = q.entry.Target
		if a.Err != nil {
			res.Err, known = a.Err, false
			break
		}
		if res, known = run.ApplyReport(res, a.Report, q.since(info, time.Now())); !known || res.Outcome.Ran() {
			break
		}
	}
	return res, known
}

func resolvedWords(r *fleet.Result, known bool) string {
	if !known {
		text, _ := ui.SplitHint(r.Err.Error())
		return "unknown: " + ui.Visible(text)
	}
	switch r.Outcome {
	case fleet.OutcomeOK:
		return "ok: it ran and exited 0"
	case fleet.OutcomeFailed:
		return fmt.Sprintf("failed: it ran, exit status %d", r.Status)
	case fleet.OutcomeSignalled:
		return "signalled: it ran and was ended, " + string(r.Reason)
	}
	return "never started, and never will"
}
