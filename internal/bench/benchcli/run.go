package benchcli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"shoal/fleet"
	"shoal/internal/bench"
	"shoal/internal/bench/benchrecord"
	"shoal/internal/cli/console"
	"shoal/internal/cli/flags"
	"shoal/internal/ui"
)

func newRun(stdio console.Stdio) *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "run [flags] [COMMAND...]",
		Short: "Measure a command on more and more hosts, one at a time and at once",
		Long: `Measure how long the same command takes on more and more targets, by several
strategies in turn, and keep every raw figure for "shoal-bench plot".

Without flags it is the reference experiment on a simulated fleet in a process
of its own: "` + bench.ReferenceCommand + `" on 10 to 200 hosts, 6 ms away in each
direction. CPU and memory are those of the client alone.`,
		Example: `  shoal-bench run
  shoal-bench run --sizes 10,100,1000,10000 --strategies workers,concurrent,auto
  shoal-bench run --one-host --max-startups 150
  shoal-bench run -w db1 --sizes 10,20,50 --output db1.jsonl hostname`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBench(cmd.Context(), &f, cmp.Or(strings.Join(args, " "), bench.ReferenceCommand), stdio)
		},
	}
	f.register(cmd)
	return cmd
}

// runBench implements shoal-bench run. All errors in flags and inventory are
// found before anything is measured.
func runBench(ctx context.Context, f *benchFlags, text string, stdio console.Stdio) (err error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := f.validate(); err != nil {
		return err
	}
	o, err := f.options(text)
	if err != nil {
		return err
	}
	b := &benchRun{flags: f, options: o, stdio: stdio}
	ctx, end, err := b.aim(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	if err := b.options.Validate(); err != nil {
		return err
	}
	if err := b.open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.file.Close()) }()
	profiles, err := startProfiles(f.cpuProfile, f.memProfile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, profiles.end()) }()
	return b.measure(ctx)
}

// A benchRun is the state of one shoal-bench run.
type benchRun struct {
	flags   *benchFlags
	options bench.Options
	fleet   *benchrecord.FleetSettings // nil for an inventory's targets
	stdio   console.Stdio
	file    *os.File
	points  []benchrecord.Point // without samples and hosts, which are only in the file
}

// aim loads the targets or starts the fleet. The returned context ends when the
// fleet does; end stops what was started.
func (b *benchRun) aim(ctx context.Context) (_ context.Context, end func() error, err error) {
	if b.flags.simulated() {
		return b.aimAtFleet(ctx)
	}
	opts, err := b.flags.HostFlags.Options()
	if err != nil {
		return nil, nil, err
	}
	list, err := b.flags.Load(ctx, &opts, b.stdio)
	if err != nil {
		return nil, nil, err
	}
	flags.WarnInsecure(b.stdio.Err, opts)
	opts.Engine.Notice = func(text string) { console.Say(b.stdio.Err, "%s", ui.Visible(text)) }
	b.options.Connect, b.options.Targets = opts, bench.Cycle(slices.Collect(list.Hosts()))
	return ctx, func() error { return nil }, nil
}

func (b *benchRun) aimAtFleet(ctx context.Context) (context.Context, func() error, error) {
	// Check the options before a process is started for them.
	b.options.Targets = bench.Cycle([]fleet.Host{{Name: "localhost"}})
	if err := b.options.Validate(); err != nil {
		return nil, nil, err
	}
	asked, err := b.flags.HostFlags.Options()
	if err != nil {
		return nil, nil, err
	}
	program, err := os.Executable()
	if err != nil {
		return nil, nil, fmt.Errorf("finding this program: %w", err)
	}
	fo := bench.FleetOptions{
		Program: []string{program, benchFleetName}, Hosts: slices.Max(b.options.Sizes),
		Latency: b.flags.latency, Jitter: b.flags.jitter, MaxStartups: b.flags.maxStartups,
	}
	if b.flags.oneHost {
		fo.Hosts = 1
	}
	fl, serving, err := bench.StartFleet(ctx, fo)
	if err != nil {
		return nil, nil, err
	}
	b.fleet = fo.Settings()
	b.options.Connect, b.options.Targets = fl.Connect(), fl.Targets
	b.options.Connect.Timeouts = b.flags.Timeouts()
	b.options.Connect.Pipeline, b.options.Connect.Classical, b.options.Connect.Client = asked.Pipeline, asked.Classical, asked.Client
	if b.flags.StateDir != "" { // the hosts are temporary: only if requested
		b.options.Connect.StateDir = asked.StateDir
	}
	return serving, fl.Close, nil
}

// open creates the record file; it never overwrites one.
func (b *benchRun) open() (err error) {
	path := cmp.Or(b.flags.output, "bench-"+time.Now().Format("20060102-150405")+".jsonl")
	b.file, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644) // figures are to be shared
	if err != nil {
		return fmt.Errorf("opening the file of the records: %w", err)
	}
	h := bench.NewHeader("shoal "+console.Version, b.options.Settings(b.fleet))
	if err := benchrecord.WriteHeader(b.file, h); err != nil {
		return errors.Join(err, b.file.Close())
	}
	return nil
}

// measure measures everything and prints the results, also when it is
// interrupted.
func (b *benchRun) measure(ctx context.Context) error {
	right := "correct"
	if b.options.Expect == "" {
		right = "ok" // outputs are not compared
	}
	progress := newBenchProgress(b.stdio.Err, b.flags.progress.Value, right)
	b.options.Step, b.options.Result, b.options.Notice = progress.step, progress.result, progress.notice
	failed := b.collect(ctx, progress)
	progress.close()
	if len(b.points) > 0 {
		if _, err := fmt.Fprint(b.stdio.Out, benchTable(b.points, right)); err != nil {
			return fmt.Errorf("printing the table: %w", err)
		}
		console.Say(b.stdio.Err, "the raw figures are in %s", ui.Visible(b.file.Name()))
		console.Hint(b.stdio.Err, "shoal-bench plot "+ui.Visible(b.file.Name())+" draws them")
	}
	switch {
	case failed == nil:
		return nil
	case errors.Is(failed, context.Canceled):
		console.Say(b.stdio.Err, "interrupted: the figures are those of the points that were finished")
		return console.ExitError(console.ExitInterrupted)
	case len(b.points) == 0:
		return failed
	}
	console.Complain(b.stdio.Err, failed)
	return console.ExitError(console.ExitUnknown)
}

// collect writes each point to the file at once.
func (b *benchRun) collect(ctx context.Context, progress *benchProgress) error {
	for p, err := range bench.Run(ctx, b.options) {
		if err != nil {
			return err
		}
		if err := benchrecord.WritePoint(b.file, p); err != nil {
			return err
		}
		progress.point(p)
		p.Samples, p.Hosts = nil, nil
		b.points = append(b.points, p)
	}
	return nil
}
