package history

import (
	"context"
	"fmt"

	"shoal/hosts/expr"
	"shoal/hosts/groups"
	"shoal/internal/cli/flags"
	"shoal/internal/hint"
	"shoal/internal/journal"
)

// namedHosts selects the targets of a run that host expressions name; wildcards choose among
// the run's hosts. A host that the run never had is an error, unless a group brought it, and so is
// what names nothing at all.
func namedHosts(ctx context.Context, j *journal.Journal, run string, expressions []string) (journal.Selector, error) {
	known := make(map[string]bool)
	var names []string
	for e, err := range j.Show(ctx, run, journal.All) {
		if err != nil {
			return nil, err
		}
		if name := e.Target.Host.Name; !known[name] {
			known[name] = true
			names = append(names, name)
		}
		known[e.Target.Host.String()] = true
	}
	own := &groups.Static{Name: "run", Members: func(group string) ([]string, bool) { return names, group == "all" }}
	resolver := expr.NewResolver(groups.Chain{First: own, Then: flags.ClusterShellGroups(ctx, groups.Limits{})})
	all := "shoal show " + run + " shows all of them"
	var chosen, missing []string
	for _, text := range expressions {
		e, err := resolver.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("reading the hosts %.80q: %w", text, err)
		}
		before := len(chosen)
		own := make(map[string]bool)
		for name := range e.Own() {
			own[name] = true
		}
		for name := range e.Names() {
			if known[name] {
				chosen = append(chosen, name)
			} else if own[name] {
				missing = append(missing, name)
			}
		}
		if idle := e.Idle(); len(idle) > 0 {
			return nil, hint.Wrap(fmt.Errorf("the run %s had no host of %.80q in %.80q", run, idle[0], text), all)
		}
		if len(chosen) == before && len(missing) == 0 {
			return nil, hint.Wrap(fmt.Errorf("the run %s had no host of %.80q", run, text), all)
		}
	}
	if len(missing) > 0 {
		return nil, hint.Wrap(fmt.Errorf("the run %s had no host %.200s", run, expr.Fold(missing)), all)
	}
	return journal.Hosts(chosen...), nil
}
