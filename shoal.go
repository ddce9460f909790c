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
// Options.Engine.Idempotent allows it. Memory depends on Options.Fanout, not on the
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
	"shoal/internal/engine"
	"shoal/internal/placeholder"
	"shoal/internal/remote/wrap"
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
// Placeholders such as {host} and {index} are replaced per target; see package
// internal/placeholder. An error is the run's own, such as invalid options, never a
// host's. Cancelling ctx abandons running commands, whose outcome is then unknown;
// every target still has a result. Leaving the loop stops the run.
func Run(ctx context.Context, opts Options, targets iter.Seq[Target], text string) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		if err := opts.Validate(); err != nil { // before reading files or asking for passphrases
			yield(Result{}, err)
			return
		}
		template, err := placeholder.Parse(text)
		if err != nil {
			yield(Result{}, fmt.Errorf("reading the command: %w", err))
			return
		}
		planned, err := opts.Plan(ctx, targets, template)
		if err != nil {
			yield(Result{}, err)
			return
		}
		for res, err := range RunPlanned(ctx, opts, planned) {
			if !yield(res, err) {
				return
			}
		}
	}
}

// keepAwake sets Engine.Clock if it is nil and returns the function that closes
// that clock.
func (o *Options) keepAwake() (end func()) {
	if o.Engine.Clock != nil {
		return func() {}
	}
	o.Engine.Clock = clock.New()
	return o.Engine.Clock.Close
}

// RunPlanned is Run for targets that [Options.Plan] has returned, each with its
// command.
func RunPlanned(ctx context.Context, opts Options, planned iter.Seq[Target]) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		if err := opts.Validate(); err != nil {
			yield(Result{}, err)
			return
		}
		defer opts.keepAwake()()
		dialer, closer, err := opts.OpenDialer(ctx)
		if err != nil {
			yield(Result{}, err)
			return
		}
		defer closer()
		if opts.Remote.Wraps() {
			if dialer, err = wrap.New(dialer, opts.Remote); err != nil {
				yield(Result{}, err)
				return
			}
		}
		for res, err := range engine.Run(ctx, opts.EngineOptions(dialer), planned) {
			if !yield(res, err) {
				return
			}
		}
	}
}
