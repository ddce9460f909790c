package bench

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"shoal"
	"shoal/fleet"
	"shoal/internal/bench/benchrecord"
	"shoal/internal/placeholder"
)

// Options say what to measure. They are not changed after use.
type Options struct {
	// Connect says how targets are reached. Its Fanout, Dials and Starts are
	// each strategy's own.
	Connect shoal.Options
	// Targets lists n targets, the same ones each time. Required; see Cycle.
	Targets func(n int) iter.Seq[fleet.Target]
	// Command is what runs, with placeholders as in shoal.Run.
	Command string
	// Expect is the standard output that is right, with the same placeholders;
	// standard error has to be empty. "" means that outputs are not compared
	// and every ok counts as correct. See Expected.
	Expect string

	// Sizes are the numbers of targets. They run in ascending order.
	Sizes []int
	// Strategies are run in this order at each size, and begin with another one
	// in each repeat.
	Strategies []benchrecord.Strategy
	// Repeats is how often everything is measured. 0 means once.
	Repeats int
	// Warmup is how often each strategy first runs the smallest size. These
	// points say that they are not to be counted. 0 means never.
	Warmup int
	// Workers is the width of the pool of that strategy. 0 means
	// DefaultWorkers.
	Workers int
	// SerialMax is the largest size that Serial runs. 0 means that it runs all.
	SerialMax int
	// Limit bounds the time of one point. One that takes longer is cut, and its
	// strategy runs neither that size again nor a larger one. 0 means no limit.
	Limit time.Duration

	// Step is told of each point before it is run. nil means that nobody is.
	Step func(Progress)
	// Result is told of each result while a point is measured, so that what it
	// costs is measured too. nil means that nobody is.
	Result func(fleet.Result)
	// Notice is told what a person should know, such as sizes that are not run.
	// nil means that nobody is.
	Notice func(string)
}

// Validate tells what is missing or out of range.
func (o Options) Validate() error {
	if o.Targets == nil {
		return errors.New("no targets: Options.Targets is nil")
	}
	if len(o.Sizes) == 0 || slices.Min(o.Sizes) < 1 {
		return fmt.Errorf("sizes %v: want one at least, each of 1 or more", o.Sizes)
	}
	if len(o.Strategies) == 0 {
		return errors.New("no strategy to measure")
	}
	for _, s := range o.Strategies {
		if _, err := benchrecord.ParseStrategy(string(s)); err != nil {
			return err
		}
	}
	if o.Repeats < 0 || o.Warmup < 0 || o.Workers < 0 || o.SerialMax < 0 || o.Limit < 0 {
		return errors.New("repeats, warm-ups, workers, the largest serial size and the limit cannot be negative")
	}
	if _, err := placeholder.Parse(o.Command); err != nil {
		return fmt.Errorf("reading the command: %w", err)
	}
	if _, err := o.expectation(); err != nil {
		return err
	}
	return o.Connect.Validate()
}

func (o Options) withDefaults() Options {
	o.Repeats = max(o.Repeats, 1)
	if o.Workers == 0 {
		o.Workers = DefaultWorkers
	}
	o.Sizes = slices.Compact(slices.Sorted(slices.Values(o.Sizes)))
	return o
}

// Settings are o as they are recorded; f is nil for the targets of an inventory.
func (o Options) Settings(f *benchrecord.FleetSettings) benchrecord.Settings {
	o = o.withDefaults()
	names := make([]string, len(o.Strategies))
	for i, s := range o.Strategies {
		names[i] = string(s)
	}
	return benchrecord.Settings{
		Sizes: o.Sizes, Strategies: names, Repeats: o.Repeats, Warmup: o.Warmup, Workers: o.Workers,
		SerialMax: o.SerialMax, Command: o.Command, Expect: o.Expect, Fleet: f, Limit: o.Limit,
	}
}

// Cycle lists hosts as targets, from the first again when there are more targets
// than hosts. There has to be one host at least.
func Cycle(hosts []fleet.Host) func(n int) iter.Seq[fleet.Target] {
	return func(n int) iter.Seq[fleet.Target] {
		return func(yield func(fleet.Target) bool) {
			for i := range n {
				if !yield(fleet.Target{Host: hosts[i%len(hosts)], Index: i}) {
					return
				}
			}
		}
	}
}
