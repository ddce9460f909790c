package bench

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"shoal/fleet"
	"shoal/internal/bench/benchrecord"
	"shoal/internal/connect"
	"shoal/internal/placeholder"
)

// Options describe what to measure. They must not be changed after use.
type Options struct {
	// Connect has the options to reach the targets. Each strategy sets its own
	// Fanout, Dials and Starts.
	Connect connect.Options
	// Targets lists n targets, the same ones in every call. Required; see
	// Cycle.
	Targets func(n int) iter.Seq[fleet.Target]
	// Command is the command, with placeholders as in connect.Run.
	Command string
	// Expect is the correct standard output, with the same placeholders;
	// standard error must be empty. "" disables the comparison: every OK then
	// counts as correct. See Expected.
	Expect string

	// Sizes are the numbers of targets. They are run in ascending order.
	Sizes []int
	// Strategies are run in this order at each size; each repeat starts with
	// the next one.
	Strategies []benchrecord.Strategy
	// Repeats is how often everything is measured. 0 means once.
	Repeats int
	// Warmup is how often each strategy runs the smallest size first. These
	// points are marked and not counted. 0 means never.
	Warmup int
	// Workers is the pool size of that strategy. 0 means DefaultWorkers.
	Workers int
	// SerialMax is the largest size that Serial runs. 0 means all.
	SerialMax int
	// Limit is the time limit of one point. A point that reaches it is cut, and
	// its strategy runs neither that size nor a larger one again. 0 means no
	// limit.
	Limit time.Duration

	// Step is called before each point. nil disables it.
	Step func(Progress)
	// Result is called for each result of a point; its cost is part of the
	// measurement. nil disables it.
	Result func(fleet.Result)
	// Notice is called with messages for the user, such as sizes that are not
	// run. nil disables it.
	Notice func(string)
}

// Validate returns an error for missing or invalid options.
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
	if _, err := placeholder.Parse(o.Command, placeholder.Unquoted); err != nil {
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

// Settings returns o as it is recorded. f is nil for an inventory's targets.
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

// Cycle returns a function that lists hosts as targets, and starts again when
// there are more targets than hosts. hosts must not be empty.
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

// ReferenceCommand is the command of the reference experiment: 200 connections
// to one server, each printing a line of its own.
const ReferenceCommand = "echo hello world {index}"
