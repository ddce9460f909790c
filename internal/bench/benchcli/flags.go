package benchcli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"shoal/internal/bench"
	"shoal/internal/bench/benchrecord"
	"shoal/internal/cli/console"
	"shoal/internal/cli/flags"
	"shoal/internal/cli/fleet"
	"shoal/internal/hint"
	"shoal/simfleet"
)

// benchFlags are the flags of shoal-bench run.
type benchFlags struct {
	flags.HostFlags

	// what to measure
	sizes                               []int
	strategies                          []string
	repeats, warmup, workers, serialMax int
	limit                               flags.Seconds
	expect                              string

	// the simulated fleet
	latency, jitter time.Duration
	maxStartups     string
	oneHost         bool

	// output
	output                 string
	progress               flags.Choice
	cpuProfile, memProfile string

	set *pflag.FlagSet // the command's flag set
}

// onlyServers and onlyFleet are flags that apply to one kind of target only.
var (
	onlyServers = []string{"exclude", "user", "port", "identity", "no-agent", "host-key", "known-hosts"}
	onlyFleet   = []string{"latency", "jitter", "max-startups", "one-host"}
)

// groups returns the flags in the groups that help shows.
func (f *benchFlags) groups() []flags.FlagGroup {
	what := flags.NewGroup("Measurement")
	what.IntSliceVar(&f.sizes, "sizes", []int{10, 20, 50, 100, 150, 200}, "numbers of targets: `N,N,...`")
	var names []string
	for _, s := range benchrecord.Strategies() {
		names = append(names, string(s))
	}
	what.StringSliceVar(&f.strategies, "strategies", names, "`LIST` of serial: one after the other; workers: a fixed pool; concurrent: all at once; auto: as shoal run does; held: as auto, on connections of an earlier run")
	what.IntVar(&f.repeats, "repeats", 3, "measure everything `N` times")
	what.IntVar(&f.warmup, "warmup", 1, "run the smallest size `N` times first, not counted")
	what.IntVar(&f.workers, "workers", bench.DefaultWorkers, "width `N` of the fixed pool")
	what.IntVar(&f.serialMax, "serial-max", 200, "run serial up to `N` targets, what is beyond is projected; 0 for all sizes")
	f.limit = flags.Seconds(5 * time.Minute)
	what.Var(&f.limit, "limit", "cut a point after this time, and run no larger size of its strategy; 0 for never")
	what.StringVar(&f.expect, "expect", "", "the `TEXT` that each target has to print, placeholders replaced, last newline left out (default: known for a plain echo, else not compared)")

	sim := flags.NewGroup("Simulated fleet (without -w and --hostfile)")
	sim.DurationVar(&f.latency, "latency", 6*time.Millisecond, "time in each direction; a round trip takes twice as long")
	sim.DurationVar(&f.jitter, "jitter", 0, "random time more in each direction, up to this")
	sim.StringVar(&f.maxStartups, "max-startups", "", "drop connections as sshd's MaxStartups: `N` or start:rate:full, for each host")
	sim.BoolVar(&f.oneHost, "one-host", false, "make every target the same server, as the reference did")

	targets := f.Targets()
	targets.Lookup("hosts").Usage += "; used again from the first when a size is larger"

	output := flags.NewGroup("Output")
	output.StringVar(&f.output, "output", "", "write the raw records to the new `FILE` (default bench-TIME.jsonl)")
	f.progress = flags.Choice{Value: progressAuto, Words: []string{progressAuto, progressLines, progressNever}}
	output.VarP(&f.progress, "progress", "P", "a line for each point, or (auto, on a terminal) one line that changes")
	output.StringVar(&f.cpuProfile, "cpuprofile", "", "write a CPU profile of the client to `FILE`, for go tool pprof")
	output.StringVar(&f.memProfile, "memprofile", "", "write an allocation profile of the client to `FILE`, for go tool pprof")
	return []flags.FlagGroup{what, sim, targets, f.Connection(), output}
}

// completeStrategies offers what is not in the list yet that is being typed.
func completeStrategies(_ *cobra.Command, _ []string, word string) (words []string, _ cobra.ShellCompDirective) {
	before := word[:strings.LastIndexByte(word, ',')+1]
	for _, s := range benchrecord.Strategies() {
		if !strings.Contains(","+before, ","+string(s)+",") {
			words = append(words, before+string(s))
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

func (f *benchFlags) register(cmd *cobra.Command) {
	f.set = cmd.Flags()
	// Flags end at the command, so that the command may have its own.
	f.set.SetInterspersed(false)
	flags.AddInGroups(cmd, f.groups()...)
	_ = cmd.RegisterFlagCompletionFunc("strategies", completeStrategies) // it exists
}

// simulated reports whether the targets are the simulated fleet's.
func (f *benchFlags) simulated() bool { return len(f.Hosts) == 0 && len(f.Hostfiles) == 0 }

// validate returns an error for flags that exclude each other, or for an
// impossible fleet.
func (f *benchFlags) validate() error {
	wrong, advice := onlyFleet, "those targets are what they are; leave -w and --hostfile out to measure a simulated fleet"
	if f.simulated() {
		wrong, advice = onlyServers, "name the servers with -w or --hostfile; the simulated fleet needs none of these"
	}
	for _, name := range wrong {
		if f.set.Changed(name) {
			return hint.Wrap(fmt.Errorf("--%s does not go with these targets", name), advice)
		}
	}
	if f.latency < 0 || f.jitter < 0 {
		return errors.New("--latency and --jitter cannot be negative")
	}
	if f.maxStartups != "" {
		if _, err := simfleet.ParseStartups(f.maxStartups); err != nil {
			return err
		}
	}
	return nil
}

// options returns the library's options, without targets and how to reach them.
func (f *benchFlags) options(text string) (bench.Options, error) {
	o := bench.Options{
		Command:   text,
		Expect:    bench.Expected(text),
		Sizes:     f.sizes,
		Repeats:   f.repeats,
		Warmup:    f.warmup,
		Workers:   f.workers,
		SerialMax: f.serialMax,
		Limit:     f.limit.Duration(),
	}
	if f.set.Changed("expect") {
		o.Expect = ""
		if f.expect != "" {
			o.Expect = strings.TrimSuffix(f.expect, "\n") + "\n"
		}
	}
	for _, name := range f.strategies {
		s, err := benchrecord.ParseStrategy(name)
		if err != nil {
			return o, err
		}
		o.Strategies = append(o.Strategies, s)
	}
	return o, nil
}

// benchFleetName is the subcommand with which shoal-bench run starts itself.
const benchFleetName = "fleet"

// newFleet is shoal fleet for a parent process: it ends when its standard input
// does, which also happens when the parent is killed.
func newFleet(stdio console.Stdio) *cobra.Command {
	cmd := fleet.New(stdio)
	cmd.Use, cmd.Hidden = benchFleetName, true
	serve := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, cancel := context.WithCancel(cmd.Context())
		defer cancel()
		go func() { // ends with the input, or with the process
			defer cancel()
			_, _ = io.Copy(io.Discard, stdio.In)
		}()
		cmd.SetContext(ctx)
		return serve(cmd, args)
	}
	return cmd
}
