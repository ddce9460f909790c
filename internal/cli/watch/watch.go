// Package watch is shoal watch: a command that is started on all hosts again and again, and what
// changed in their answers.
//
//	watch.Schedule → tick → run.Watch → engine, on held connections → watch.Comparer → view
package watch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"shoal/fleet"
	"shoal/internal/cli/config"
	"shoal/internal/cli/console"
	"shoal/internal/cli/display"
	"shoal/internal/cli/flags"
	"shoal/internal/cli/run"
	"shoal/internal/clock"
	"shoal/internal/collector"
	"shoal/internal/connect"
	"shoal/internal/groups"
	"shoal/internal/hint"
	"shoal/internal/journal"
	"shoal/internal/placeholder"
	shoalrun "shoal/internal/run"
	"shoal/internal/ssh/hold"
	"shoal/internal/ui"
	"shoal/internal/watch"
	"shoal/record"
)

type watchFlags struct {
	flags.HostFlags
	run.RemoteFlags
	run.JournalFlags
	equal display.EqualFlags

	every, jitter, spread, limit flags.Seconds
	cron                         string
	ticks                        int
	until                        flags.Choice
	overlap                      bool

	fanout, attempts int
	rate             float64
	timeout, maxAge  flags.Seconds
	hold             flags.Choice

	json              bool
	onChange, metrics string
	confirm           int

	interval time.Duration // between two ticks, the shortest

	given *pflag.FlagSet
	kept  []string
}

// New returns shoal watch.
func New(stdio console.Stdio) *cobra.Command {
	var f watchFlags
	cmd := &cobra.Command{
		Use:   "watch --every TIME|--cron FIELDS [flags] COMMAND...",
		Short: "Run a command again and again, and show what changed",
		Long: `Run a command on all hosts again and again, and show what changed in their answers
since the time before: by group, with a diff, under the folded names of the hosts.
Not answering is something else than another answer: a host that stops answering is
named, and one that comes back with its old answer has not changed. The first tick
is compared with the last answers of the last watch of the same command, if the
journal has one; otherwise all answers are shown once.

A tick that is due while the one before goes on begins late, or is missed, which is
said, if the next one is due too. No command is tried again once it may have run.

With --cron the first tick is at the first of its times, of this machine's time
zone (TZ); one that the change to summer time leaves out is left out.

Connections are held from one tick to the next where --every is at most 5m (--hold
auto): a tick then takes one round trip. Held logins see changed rights only after
--hold-max-age; host keys are checked again for each tick.

Ctrl-C or SIGTERM ends the watch after the tick that goes on; a second one aborts.
The exit code is that of shoal run for the last tick that ended, at least 1 if
--until was not met, 130 after an abort.`,
		Example: `  shoal watch --every 30s -w web[01-20] systemctl is-active nginx
  shoal watch --every 5s --mask auto --hostfile hosts 'uptime; df -h /'
  shoal watch --cron '0 3 * * 1-5' --hostfile hosts ./check   # on workdays
  shoal watch --every 10s --until same --for 10m -w web[01-20] cat VERSION
  shoal watch --every 5m --confirm 2 --on-change ./alert --metrics shoal.prom \
      -w web[01-20] ./check`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd.Context(), strings.Join(args, " "), stdio)
		},
	}
	f.register(cmd)
	return cmd
}

func (f *watchFlags) register(cmd *cobra.Command) {
	cmd.Flags().SetInterspersed(false)
	f.given = cmd.Flags()
	schedule := flags.NewGroup("Schedule")
	schedule.Var(&f.every, "every", "the time from the beginning of a tick to that of the next; this or --cron is required")
	schedule.StringVar(&f.cron, "cron", "", "the times of the ticks, in local time: minute, hour, day, month and day of the week as `FIELDS` of crontab(5), or @daily")
	schedule.Var(&f.jitter, "jitter", "delay each tick by a random time of up to this")
	schedule.Var(&f.spread, "spread", "start the hosts of a tick spread over this time, each at the same time in every tick but the first; 0 for none (default: a tenth of --every from 1m on, none with --cron)")
	schedule.IntVar(&f.ticks, "ticks", 0, "end after `N` ticks (default: never)")
	schedule.Var(&f.limit, "for", "end after this time (default: never)")
	f.until = flags.Choice{Words: []string{"ok", "same", "changed"}}
	schedule.Var(&f.until, "until", "end when all hosts are ok, when all give the same answer, or when something changed that --on-change would be told of")
	schedule.BoolVar(&f.overlap, "overlap", false, fmt.Sprintf("begin a tick though hosts of earlier ones have not ended, and leave these out; at most %d at once", overlapping))
	control := flags.NewGroup("Control")
	control.VarP((*flags.Count)(&f.fanout), "fanout", "f", "work on `N` hosts at once (default: what files and memory allow)")
	control.Float64Var(&f.rate, "rate", 0, "start `N` commands a second at the most (default: no limit)")
	control.IntVar(&f.attempts, "attempts", 2, "make `N` attempts at a host in a tick at the most; only what certainly did not run is tried again")
	control.Var(&f.timeout, "timeout", "give up on a command after this time (default: --every, or the shortest time between two ticks)")
	f.hold = flags.Choice{Value: "auto", Words: []string{"auto", "always", "never"}}
	control.Var(&f.hold, "hold", "hold connections from one tick to the next; auto: where --every is at most 5m")
	control.Var(&f.maxAge, "hold-max-age", "log in anew where a connection is older than this, or up to a tenth earlier: a login does not see later changes of rights (default 1h)")
	output := flags.NewGroup("Output")
	f.equal.Register(output.FlagSet, nil)
	output.BoolVar(&f.json, "json", false, "write JSON lines, one per tick, with what changed in it")
	change := flags.NewGroup("When something changed")
	change.StringVar(&f.onChange, "on-change", "", "have sh -c run `CMD` here: what changed is its standard input, in JSON")
	change.IntVar(&f.confirm, "confirm", 1, "only if it has held for `N` ticks in a row")
	change.StringVar(&f.metrics, "metrics", "", "after each tick write the numbers of the watch to `FILE`, for Prometheus' node exporter: it ends in .prom there")
	command, connection, become := f.Command(), f.Connection(), f.Become()
	f.kept = run.KeptFlags(command, connection, become)
	flags.AddInGroups(cmd, f.Targets(), schedule, command, connection, become, control, output, change, f.Journal(f.State))
	run.CompleteTargets(cmd, &f.HostFlags)
}

const (
	// holdUpTo is up to which interval connections are held by default: firewalls drop what is
	// idle for longer. The help says it too.
	holdUpTo = 5 * time.Minute
	// overlapping is the number of ticks that may go on at once with --overlap.
	overlapping = 8
	// spreadFrom is from which interval on the hosts of a tick are spread by default.
	spreadFrom = time.Minute
)

// schedule returns when ticks begin, and sets interval.
func (f *watchFlags) schedule() (watch.Schedule, error) {
	s := watch.Schedule{Every: f.every.Duration(), Jitter: f.jitter.Duration(), Ticks: f.ticks, For: f.limit.Duration()}
	if f.overlap {
		s.Overlap = overlapping
	}
	switch {
	case s.Every == 0 && f.cron == "":
		return s, hint.New("--every is missing", "it says how often the command runs: shoal watch --every 30s …, or --cron when")
	case s.Every != 0 && f.cron != "":
		return s, hint.New("--every and --cron exclude each other", "leave one of them out")
	case f.cron != "":
		var err error
		if s.Cron, err = watch.ParseCron(f.cron); err != nil {
			return s, hint.Wrap(fmt.Errorf("--cron: %w", err),
				"five fields as in crontab(5): minute, hour, day, month, day of the week, such as '0 3 * * 1-5', or @hourly, @daily, @weekly, @monthly")
		}
	}
	f.interval = s.Interval()
	return s, s.Validate()
}

func (f *watchFlags) validate(command string) error {
	if err := errors.Join(f.RemoteFlags.Validate(f.On(), &f.HostFlags, f.given.Changed), run.CheckMetrics(f.metrics)); err != nil {
		return err
	}
	switch {
	case strings.TrimSpace(command) == "":
		return hint.New("no command to run", "it stands after the flags: shoal watch --every 30s -w web[1-3] uptime")
	case f.confirm < 1:
		return fmt.Errorf("--confirm %d: one tick is the least", f.confirm)
	case f.confirm > 1 && f.onChange == "" && f.until.Value != "changed":
		return hint.New("--confirm has no effect", "it is for --on-change and --until changed")
	case f.attempts < 1:
		return fmt.Errorf("--attempts %d: one is the least", f.attempts)
	case f.spread.Duration() >= f.interval:
		return fmt.Errorf("--spread %v: want less than the %v between two ticks", f.spread.Duration(), f.interval)
	}
	return nil
}

// spreadOver returns the time over which the hosts of a tick are spread.
func (f *watchFlags) spreadOver() time.Duration {
	switch every := f.every.Duration(); {
	case flags.IsGiven(f.given, "spread"):
		return f.spread.Duration()
	case every >= spreadFrom:
		return every / 10
	}
	return 0
}

// holds reports whether connections are held.
func (f *watchFlags) holds() bool {
	return f.hold.Value == "always" || f.hold.Value == "auto" && f.interval <= holdUpTo
}

// options returns the library's options.
func (f *watchFlags) options() (connect.Options, error) {
	o, err := f.Options()
	if err != nil {
		return o, err
	}
	if o.Timeouts.Dial == 0 { // a host that is down must not delay the next tick by much
		o.Timeouts.Dial = min(max(f.interval/2, time.Second), o.Timeouts.WithDefaults().Dial)
	}
	o.Timeouts.Command = cmp.Or(f.timeout.Duration(), max(f.interval, time.Second))
	o.Engine.Rate, o.Engine.Attempts = f.rate, f.attempts
	return o, o.Validate()
}

// run implements shoal watch. All errors in flags and inventory are found before anything starts.
func (f *watchFlags) run(ctx context.Context, command string, stdio console.Stdio) error {
	schedule, err := f.schedule()
	if err == nil {
		err = f.validate(command)
	}
	if err != nil {
		return err
	}
	equal, err := f.equal.Parse()
	if err != nil {
		return err
	}
	opts, err := f.options()
	if err != nil {
		return err
	}
	template, err := placeholder.Parse(command, placeholder.Unquoted)
	if err != nil {
		return fmt.Errorf("reading the command: %w", err)
	}
	for _, n := range template.Notices() {
		console.Note(stdio.Err, n)
	}
	f.SetPTY(&opts, stdio)
	if err := f.SetAgent(&opts); err != nil {
		return err
	}
	verbose := display.NewVerbose(f.HostFlags.Verbose, stdio)
	defer verbose.Close()
	opts.Engine.Verbose = verbose.Func()
	list, err := f.Load(ctx, &opts, stdio)
	if err != nil {
		return err
	}
	if list.Len() == 0 {
		return hint.New("there are no hosts", "name some with -w or --hostfile")
	}
	if err := config.Confirm(ctx, command, list.Targets(1), true, stdio); err != nil {
		return err
	}
	if err := f.ReadBecomePassword(ctx, f.Wrapper.Become); err != nil {
		return err
	}
	input, err := f.OpenInput(ctx, stdio)
	if err != nil {
		return err
	}
	defer func() { _ = input.Close() }()
	flags.WarnInsecure(stdio.Err, opts)
	opts.Engine.Targets = list.Len()
	opts.Engine.Fanout = run.Fanout(f.fanout, list.Len(), stdio) // before connections use open files
	w := &watcher{
		flags: f, stdio: stdio, opts: opts, schedule: schedule, equal: equal, spread: f.spreadOver(),
		compare: watch.New(watch.Options{Groups: equal, Confirm: f.confirm}), total: list.Len(), stop: make(chan struct{}),
		header: record.Header{Program: "shoal " + console.Version, Started: time.Now(), Command: command, Targets: list.Len(), Fanout: opts.Engine.Fanout},
		kinds:  make(map[watch.Kind]int), busy: make(map[int]int),
	}
	w.view = newView(stdio, w.status)
	if f.holds() {
		if w.opts.Hold, err = connect.NewHold(hold.Options{MaxAge: f.maxAge.Duration()}); err != nil {
			return err
		}
		defer func() { _ = w.opts.Hold.Close() }()
	} else {
		c := clock.New()
		defer c.Close()
		w.opts.Engine.Clock = c
	}
	w.planOf = func(ctx context.Context) (*connect.Plan, error) { return w.opts.Plan(ctx, list.Targets(1), template) }
	return w.all(ctx)
}

// A watcher is a watch that goes on.
type watcher struct {
	flags    *watchFlags
	stdio    console.Stdio
	opts     connect.Options
	schedule watch.Schedule
	equal    groups.Options
	spread   time.Duration
	total    int // hosts
	header   record.Header
	view     *view
	planOf   func(context.Context) (*connect.Plan, error)

	run     *shoalrun.Watch
	offsets []turn // by the time of their turn; nil: hosts are not spread

	stop  chan struct{} // closed by end: no further tick begins
	ended sync.Once     // closes stop
	hook  sync.Mutex    // held while the command of --on-change runs
	// shows is held while a tick is shown, which lasts as long as the reader of our output wants: mu
	// is not, because results are taken and signals heard meanwhile. It is locked before mu.
	shows sync.Mutex

	mu      sync.Mutex // guards the following
	plan    *connect.Plan
	compare *watch.Comparer
	earlier *journal.RunInfo // the watch with which the first tick is compared; nil: none
	last    *round           // the last one that ended; nil: none
	met     bool             // --until
	failed  error            // of the watch itself, the first
	next    time.Time        // when the next tick is due
	missed  int
	ticks   int
	lastly  time.Time // of the last change
	oldest  time.Time // of the last answer of the host that has been silent for the longest; zero: none is silent
	kinds   map[watch.Kind]int
	busy    map[int]int // hosts whose command of a tick has not ended, with that tick; only with --overlap
}

// end ends the watch after the ticks that go on. The first error stays. Without one it does not
// block.
func (w *watcher) end(err error) {
	if err != nil {
		w.mu.Lock()
		w.failed = cmp.Or(w.failed, err)
		w.mu.Unlock()
	}
	w.ended.Do(func() { close(w.stop) })
}

// all does the whole watch.
func (w *watcher) all(ctx context.Context) (err error) {
	if w.plan, err = w.planOf(ctx); err != nil {
		return err
	}
	defer func() { w.plan.Close() }()
	if _, err := w.plan.Engine(ctx); err != nil { // may ask
		return err
	}
	if w.spread > 0 {
		w.offsets = turnsOf(w.plan, w.spread)
	}
	j, err := w.begin(ctx)
	if err != nil {
		return err
	}
	aborted := false
	ctx, endSignals := w.onSignals(ctx, func() { aborted = true })
	defer collector.FollowRun()()
	if w.schedule.Cron != nil {
		w.next = w.schedule.Next(time.Now(), 0)
		w.view.say("the first tick is at %s", w.next.Format(time.DateTime+" MST"))
	}
	w.view.start()
	w.schedule.Run(ctx, w.stop, func(d watch.Due) {
		if err := w.tick(ctx, d); err != nil {
			w.end(err)
		}
	})
	w.view.close()
	endSignals()
	code := w.exitCode(aborted)
	how := journal.Ending{ExitCode: code, Interrupted: aborted}
	if w.failed != nil {
		how.Failure = w.failed.Error()
	}
	if lost := errors.Join(w.run.End(how), closeJournal(j)); lost != nil && w.failed == nil {
		w.failed, code = lost, console.ExitUnknown
	}
	if w.failed != nil {
		console.Complain(w.stdio.Err, w.failed)
	}
	w.sayEnd()
	if code != console.ExitOK {
		return console.ExitError(code)
	}
	return nil
}

// exitCode returns the exit code of the watch.
func (w *watcher) exitCode(aborted bool) int {
	switch {
	case w.failed != nil:
		return console.ExitUnknown
	case aborted:
		return console.ExitInterrupted
	case w.last == nil:
		return console.ExitNotStarted
	}
	code := console.ExitCode(&w.last.summary, true)
	if w.flags.until.Value != "" && !w.met {
		code = max(code, console.ExitFailed)
	}
	return code
}

func (w *watcher) sayEnd() {
	text := fmt.Sprintf("%s in %s", ui.CountOf(w.ticks, "tick", "ticks"), ui.Duration(time.Since(w.header.Started)))
	if w.missed > 0 {
		text += fmt.Sprintf(", %s missed", ui.Count(int64(w.missed)))
	}
	if changes := counts(w.kinds); changes != "" {
		text += "; " + changes
	}
	if w.last != nil {
		text += "; last " + outcomes(&w.last.summary)
	}
	if w.flags.until.Value != "" && !w.met {
		text += "; --until " + w.flags.until.Value + " was not met"
	}
	console.Say(w.stdio.Err, "%s", text)
	if w.header.Run != "" {
		console.Say(w.stdio.Err, "%s has the last answers and the changes", w.rest())
	}
}

// rest is the command that shows the watch.
func (w *watcher) rest() string {
	if w.header.Run == "" {
		return ""
	}
	return display.ShowAgain(w.header.Run, w.flags.HostFlags.StateDir)
}

// outcomes counts outcomes.
func outcomes(s *record.Summary) string {
	var parts []string
	for o := fleet.OutcomeOK; o < fleet.NumOutcomes; o++ {
		if n := s.Outcomes[o]; n > 0 {
			parts = append(parts, ui.Count(int64(n))+" "+strings.ReplaceAll(o.String(), "_", " "))
		}
	}
	return strings.Join(parts, ", ")
}
