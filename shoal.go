// Package shoal runs a command on many machines over SSH and reports for each
// whether the command ran, did not run, or may have run.
//
// Name the targets with [Hosts], or make them yourself, then range over [Run]:
//
//	targets, err := shoal.Hosts("web[01-20]", "root@db1:2222")
//	if err != nil {
//		log.Fatal(err)
//	}
//	for res, err := range shoal.Run(ctx, shoal.Options{}, targets, "uptime") {
//		if err != nil {
//			log.Fatal(err) // the run's own failure; a host's failure is a result
//		}
//		fmt.Printf("%s: %s %s", res.Target.Host, res.Outcome, res.Stdout.Bytes)
//	}
//
// Every target has exactly one result, and no command runs twice unless
// Options.Engine.Idempotent allows it. Memory depends on Options.Engine.Fanout, not on the
// number of targets. Host keys are checked against known_hosts, and unknown hosts
// are refused unless Options say otherwise. The package prints nothing, and keeps
// no state unless Options.StateDir names a directory for it.
package shoal

import (
	"context"
	"fmt"
	"iter"

	"shoal/fleet"
	"shoal/hosts"
	"shoal/internal/clock"
	"shoal/internal/placeholder"
)

// Aliases of the types of package fleet that most callers need.
type (
	Host    = fleet.Host
	Target  = fleet.Target
	Result  = fleet.Result
	Outcome = fleet.Outcome
)

// Hosts returns the targets that the expressions name, in order and without
// duplicates: names, user@host:port, [v6]:port, node[001-100], comma-separated
// lists. An *hosts.Problems reports all bad expressions at once.
func Hosts(expressions ...string) (iter.Seq[Target], error) {
	list, err := hosts.Load(hosts.Options{Hosts: expressions})
	if err != nil {
		return nil, err
	}
	return list.Targets(1), nil
}

// Run runs the command text on every target and yields results as they complete.
// Placeholders such as {host} and {index} are replaced per target where they stand outside
// quotes, {host|sh} everywhere; see package internal/placeholder. An error is the run's own, such as invalid options, never a
// host's. Cancelling ctx abandons running commands, whose outcome is then unknown;
// every target still has a result. Leaving the loop stops the run.
func Run(ctx context.Context, opts Options, targets iter.Seq[Target], text string) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		if err := opts.Validate(); err != nil { // before reading files or asking for passphrases
			yield(Result{}, err)
			return
		}
		template, err := placeholder.Parse(text, placeholder.Unquoted)
		if err != nil {
			yield(Result{}, fmt.Errorf("reading the command: %w", err))
			return
		}
		for _, n := range template.Notices() {
			opts.notice(n)
		}
		planner, err := opts.Planner()
		if err != nil {
			yield(Result{}, err)
			return
		}
		control := opts.Engine
		if control.Clock == nil {
			control.Clock = clock.New()
			defer control.Clock.Close()
			opts.Engine.Clock = control.Clock
		}
		if control.Dialer == nil {
			open, err := opts.connect(ctx, nil)
			if err != nil {
				yield(Result{}, err)
				return
			}
			defer open.close()
			control.Dialer = open.dialer
		}
		runAll(ctx, control, opts.Remote, planner.Stream(ctx, targets, commandOf(template)))(yield)
	}
}
