package markers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"shoal"
	"shoal/fleet"
	"shoal/internal/cli/console"
	"shoal/internal/cli/flags"
	"shoal/internal/cli/run"
	"shoal/internal/journal"
	"shoal/internal/remote"
	"shoal/internal/ssh"
)

// markerFlags are the flags of commands that ask the hosts about an earlier
// run.
type markerFlags struct {
	flags.HostFlags
	fanout int
	given  *pflag.FlagSet // the command's whole flag set
}

// register adds the flags to cmd, and more groups of the command's own.
func (f *markerFlags) register(cmd *cobra.Command, more ...flags.FlagGroup) {
	asking := flags.NewGroup("Asking")
	asking.IntVarP(&f.fanout, "fanout", "f", 0, "ask `N` hosts at once (default: what files and memory allow)")
	run.WithAliases(cmd)
	f.given = cmd.Flags()
	flags.AddInGroups(cmd, append([]flags.FlagGroup{f.Connection(), asking}, more...)...)
}

// A remoteQuery asks the hosts of an earlier run what became of its commands.
// It holds the run's lock.
type remoteQuery struct {
	kept  *run.Journaling
	info  *journal.RunInfo
	flags run.RemoteFlags
	opts  shoal.Options
	plan  *shoal.Plan // of the targets to ask; nil: there are none

	recalled run.Recalled // the settings of the run

	asked []query
	mute  int // targets without a recorded intent, and so without a marker
}

// A query is one target to ask about.
type query struct {
	entry  journal.Entry
	target ssh.Target // entry's, planned
	// sessions lists the sessions that sent its command, newest first.
	sessions []int
}

// newRemoteQuery locks the run and reads the targets that sel selects.
func newRemoteQuery(ctx context.Context, f *markerFlags, name string, sel journal.Selector, stdio console.Stdio) (_ *remoteQuery, err error) {
	j, err := run.OpenExisting(ctx, f.State())
	if err != nil {
		return nil, err
	}
	a := &remoteQuery{kept: &run.Journaling{Journal: j}}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.end(console.ExitUsage))
		}
	}()
	id, err := j.Resolve(ctx, name)
	if err != nil {
		return nil, err
	}
	if a.info, err = j.Run(ctx, id); err != nil {
		return nil, err
	}
	if err := run.Recall(a.info.Options, a.flags.Remote().FlagSet); err != nil {
		return nil, err
	}
	a.flags.Key = a.info.Options[run.OptionKey]
	if !a.flags.Marked() {
		return nil, fmt.Errorf("the run %s left no markers on its hosts, so that they cannot be asked\nhint: --once, --kill-on-cancel or --detach leave them", id)
	}
	if a.recalled, err = run.RecallSettings(a.info, f.given, false, stdio.Err); err != nil {
		return nil, err
	}
	if a.opts, err = f.Options(); err != nil {
		return nil, err
	}
	if a.info.State != journal.Running { // there may be nothing to write
		list, err := j.Select(ctx, id, sel)
		if err != nil || len(list) == 0 {
			return a, err
		}
	}
	// Results are written in a session: its row holds the number of the last record,
	// by which a torn or altered journal is detected.
	if a.kept.Run, err = j.Resume(ctx, id); err != nil {
		return nil, err
	}
	// Whoever had the run until now may have written to it since it was read. This
	// query's own session sends no command.
	if a.info, err = j.Run(ctx, id); err != nil {
		return nil, err
	}
	a.info.Sessions = a.info.Sessions[:min(len(a.info.Sessions), a.kept.Run.Session())]
	for e, err := range j.Show(ctx, id, sel) {
		if err != nil {
			return nil, err
		}
		if len(e.Intents) == 0 {
			a.mute++
			continue
		}
		a.asked = append(a.asked, query{entry: e, sessions: a.info.SessionsOf(&e)})
	}
	if len(a.asked) == 0 {
		return a, nil
	}
	return a, a.connect(ctx, f, stdio)
}

// connect plans the targets and opens what connecting needs.
func (a *remoteQuery) connect(ctx context.Context, f *markerFlags, stdio console.Stdio) error {
	targets := make([]fleet.Target, len(a.asked))
	for i := range a.asked {
		targets[i] = a.asked[i].entry.Target
	}
	a.opts.Engine.Fanout = run.Fanout(f.fanout, len(targets), stdio)
	a.recalled.Route(targets, &a.opts)
	flags.WarnInsecure(stdio.Err, a.opts)
	var err error
	if a.plan, err = a.opts.Plan(ctx, slices.Values(targets), nil); err != nil {
		return err
	}
	i := 0
	for t := range a.plan.Targets() {
		if err := a.recalled.CheckPlace(a.asked[i].entry.Target, t.Target); err != nil {
			return err
		}
		a.asked[i].target, a.asked[i].entry.Target = t, t.Target
		i++
	}
	_, err = a.plan.Open(ctx)
	return err
}

// marker returns the marker of q's command in a session.
func (a *remoteQuery) marker(q *query, session int) remote.Marker {
	o := a.flags.Wrap(a.info.Run, session)
	return o.Marker(q.entry.Target)
}

// since returns an upper bound of the time since q's command was sent, by the
// wall clock (the journal has no other). It is negative when the clock was set
// back behind a time that the run recorded.
func (q *query) since(info *journal.RunInfo, now time.Time) time.Duration {
	for _, s := range info.Sessions {
		if now.Before(s.Started) || now.Before(s.Ended) {
			return -1
		}
	}
	for _, i := range q.entry.Intents {
		if now.Before(i.At) {
			return -1
		}
	}
	return now.Sub(q.entry.Intents[0].At)
}

// end unlocks the run. The end that its last session recorded stays as it is.
func (a *remoteQuery) end(code int) error {
	if a.plan != nil {
		a.plan.Close()
	}
	if a.kept.Run == nil {
		return a.kept.Journal.Close()
	}
	last := a.info.Sessions[len(a.info.Sessions)-1]
	return a.kept.End(last.Interrupted || last.Ended.IsZero(), code, nil)
}
