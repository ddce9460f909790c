package keys

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"shoal/fleet"
	"shoal/hosts"
	"shoal/hosts/expr"
	"shoal/hosts/groups"
	"shoal/internal/cli/console"
	"shoal/internal/cli/flags"
	"shoal/internal/hint"
	"shoal/internal/ssh/hostkeys/scan"
	"shoal/internal/ui"
)

// approveFlags are the flags of shoal keys approve.
type approveFlags struct {
	keysFlags
	yesNew  bool
	replace []string
}

func newKeysApprove(stdio console.Stdio) *cobra.Command {
	var f approveFlags
	cmd := &cobra.Command{
		Use:   "approve [flags] [FILE]",
		Short: "Write host keys that you have looked at into known_hosts",
		Long: `Show host keys as shoal keys diff does, ask on the terminal about each group of
hosts that is new or shows more keys, and write what you say yes to into the first
of the known_hosts files of each host.

A file of scanned keys is the safer way: what is written is what you have looked
at, whatever the hosts show by now.

The keys of changed hosts are not asked for, since a change is also what an attack
looks like: --replace names the hosts whose old keys are to go. Weak and revoked
keys are never written. A file is locked, then appended to or, where keys go,
replaced whole; nothing is written to it when any key for it is refused.`,
		Example: `  shoal keys approve scan
  shoal keys approve --yes-new -w web[01-20]           as ssh does at first
  shoal keys approve --replace web7 scan               web7 was installed anew`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return keysApprove(cmd.Context(), &f, args, stdio) },
	}
	f.register(cmd, func(g flags.FlagGroup) {
		g.BoolVar(&f.yesNew, "yes-new", false, "ask nothing: approve hosts of which nothing is known, and no others")
		g.StringArrayVar(&f.replace, "replace", nil, "approve the keys of these changed hosts, and remove their old ones: `EXPR` as for -w")
	})
	return cmd
}

// keysApprove implements shoal keys approve.
func keysApprove(ctx context.Context, f *approveFlags, args []string, stdio console.Stdio) error {
	replace, err := f.replaced(ctx)
	if err != nil {
		return err
	}
	c, err := f.given(ctx, args, stdio)
	if err != nil {
		return err
	}
	r, err := c.review(stdio)
	if err != nil {
		return err
	}
	if c.code == console.ExitInterrupted {
		console.Say(stdio.Err, "the scan was stopped: nothing is written")
		return c.ended()
	}
	approved, err := r.decide(f.yesNew, replace)
	if err != nil {
		return hint.Wrap(err, "nothing is written; --yes-new approves the keys of new hosts without asking")
	}
	approvals := r.report.Approvals(func(f scan.Finding) bool { return approved[f.Target.Index] })
	if err := writeApprovals(approvals, stdio); err != nil {
		console.Complain(stdio.Err, err)
		return console.ExitError(console.ExitUnknown)
	}
	for _, text := range r.untouched(approved, f, replace) {
		console.Say(stdio.Err, "%s", ui.Visible(text))
	}
	left := len(r.report.Findings) - r.report.Count()[scan.Known] - len(approvals)
	if len(r.vain(replace)) > 0 {
		left++ // somebody expected a change where there is none
	}
	return c.endedWith(left)
}

// replaced parses --replace.
func (f *approveFlags) replaced(ctx context.Context) ([]fleet.Host, error) {
	if len(f.replace) == 0 {
		return nil, nil
	}
	list, err := hosts.LoadContext(ctx, hosts.Options{Hosts: f.replace, Groups: flags.ClusterShellGroups(ctx, groups.Limits{})})
	if err != nil {
		return nil, fmt.Errorf("reading --replace: %w", err)
	}
	return slices.Collect(list.Hosts()), nil
}

// stands reports whether hosts contains the target's host.
func stands(hosts []fleet.Host, t fleet.Target) bool {
	for _, h := range hosts {
		if strings.EqualFold(h.Name, t.Host.Name) && (h.Port == 0 || h.Port == t.Port) {
			return true
		}
	}
	return false
}

// decide returns the approved targets, by Index.
func (r *reviewed) decide(yesNew bool, replace []fleet.Host) (map[int]bool, error) {
	approved := make(map[int]bool)
	var q interview
	defer q.end()
	for _, g := range r.groups {
		yes, err := r.approves(g, yesNew, &q)
		if err != nil {
			return nil, err
		}
		for _, f := range g.Findings {
			if yes || g.State == scan.Changed && stands(replace, f.Target.Target) {
				approved[f.Target.Index] = true
			}
		}
	}
	return approved, nil
}

// approves reports whether a group that --replace does not decide is approved.
// --yes-new does not cover a new key of a host that already has a known one.
func (r *reviewed) approves(g scan.Group, yesNew bool, q *interview) (bool, error) {
	switch {
	case g.State != scan.New && g.State != scan.Added:
		return false, nil
	case yesNew:
		return g.State == scan.New, nil
	}
	return q.ask(r, g)
}

// untouched describes the hosts that were not asked about, and the names given
// to --replace without effect.
func (r *reviewed) untouched(approved map[int]bool, f *approveFlags, replace []fleet.Host) []string {
	left := make(map[scan.State][]string)
	for _, f := range r.report.Findings {
		if !approved[f.Target.Index] {
			left[f.State] = append(left[f.State], f.Target.Host.Name)
		}
	}
	var texts []string
	for _, t := range []struct {
		hosts  []string
		format string
	}{
		{left[scan.Changed], "changed keys, of which known_hosts keeps the old ones: %[1]s; --replace '%[1]s' approves the new ones"},
		{added(left, f.yesNew), "more keys than are known: %s; without --yes-new you are asked about them"},
		{r.vain(replace), "--replace: no changed keys here of %s"},
	} {
		if len(t.hosts) > 0 {
			texts = append(texts, fmt.Sprintf(t.format, expr.Fold(t.hosts)))
		}
	}
	return texts
}

// vain returns the names given to --replace that have no changed key.
func (r *reviewed) vain(replace []fleet.Host) []string {
	var names []string
	for _, h := range replace {
		if !r.changed(h) {
			names = append(names, h.Name)
		}
	}
	return names
}

// names returns the names of the hosts in a state.
func (r *reviewed) names(state scan.State) []string {
	var names []string
	for _, f := range r.report.Findings {
		if f.State == state {
			names = append(names, f.Target.Host.Name)
		}
	}
	return names
}

// added returns the hosts with additional keys that were not asked about.
func added(left map[scan.State][]string, yesNew bool) []string {
	if yesNew {
		return left[scan.Added]
	}
	return nil
}

// changed reports whether h stands for a host with a changed key.
func (r *reviewed) changed(h fleet.Host) bool {
	for _, f := range r.report.Findings {
		if f.State == scan.Changed && stands([]fleet.Host{h}, f.Target.Target) {
			return true
		}
	}
	return false
}
