// Package shoal runs a command on many machines over SSH and tells what
// happened on each: it ran, it did not run, or it cannot be known.
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
// Every target gives exactly one result, whatever happens, and nothing is run
// twice. Memory follows Options.Fanout and not the number of targets. Host keys
// are checked against known_hosts, and an unknown host is refused unless
// Options say otherwise. The package prints nothing, and keeps no state unless
// Options.StateDir names a place for it.
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

// The words of package fleet, for callers that need no more than these.
type (
	Host    = fleet.Host
	Target  = fleet.Target
	Result  = fleet.Result
	Outcome = fleet.Outcome
)

// Hosts gives the targets that the expressions name, in their order and without
// duplicates: names, user@host:port, [v6]:port, node[001-100], comma lists. All
// bad expressions are reported at once in an *hosts.Problems.
func Hosts(expressions ...string) (iter.Seq[Target], error) {
	list, err := hosts.Load(hosts.Options{Hosts: expressions})
	if err != nil {
		return nil, err
	}
	return list.Targets(1), nil
}

// Run runs text on every target and gives the results as they come. Placeholders
// such as {host} and {index} are replaced per target; see package internal/placeholder. The
// errors are the run's own, such as options that do not validate; they come
// before any target is tried. Ending ctx abandons what runs: those results are
// unknown, and every target still has one. Leaving the loop stops the run.
func Run(ctx context.Context, opts Options, targets iter.Seq[Target], text string) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		if err := opts.Validate(); err != nil { // before a file is read or a passphrase asked for
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

// keepAwake makes a clock for the run where it has none, and gives what ends it.
func (o *Options) keepAwake() (end func()) {
	if o.Engine.Clock != nil {
		return func() {}
	}
	o.Engine.Clock = clock.New()
	return o.Engine.Clock.Close
}

// RunPlanned is Run for targets that [Options.Plan] has given, each with its
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
		for res, err := range engine.Run(ctx, opts.engine(dialer), planned) {
			if !yield(res, err) {
				return
			}
		}
	}
}
