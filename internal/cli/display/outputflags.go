package display

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/spf13/pflag"

	"shoal/fleet"
	"shoal/internal/cli/flags"
	"shoal/internal/engine"
	"shoal/internal/groups"
	"shoal/internal/hint"
	"shoal/internal/output"
	"shoal/internal/spool"
	"shoal/internal/ui"
)

// OutputFlags are the flags that decide how results are shown and saved.
type OutputFlags struct {
	gathered, gatheredApart bool
	groupFlags
	noPrefix, Ordered, json bool
	outdir                  string
	maxOutput               flags.Size
	Progress                flags.Choice
	timestamps              bool
	// lines gathers equal lines (-bL), set by Validate.
	lines bool
	// Follow shows output as it comes for as long as a person wants to see it.
	Follow        bool
	spoolBudget   flags.Size
	maxOutputFlag *pflag.Flag // nil unless WithSpool was called
	// Named, if not nil, are all targets, after which --outdir names files and by whose
	// names lines are aligned.
	Named iter.Seq[fleet.Target]
	Brief bool // no flag: what is left out of a flood of failures is in a journal
	// Again is the command that shows the results again, without the flags of this group; ""
	// means that there is none. Then groups and diffs are not cut.
	Again string
	// Some means that not all targets of the run are shown.
	Some bool
	// Selects means that the masks also select targets.
	Selects bool
	// Sink, if not nil, shows the results in place of what the flags say, and messages go to
	// Aside in place of standard error, for a browser that has the terminal. The progress
	// line is hidden.
	Sink  output.Sink
	Aside io.Writer
}

// Output returns the flags as a group.
func (f *OutputFlags) Output() flags.FlagGroup {
	g := flags.NewGroup("Output")
	g.BoolVarP(&f.gathered, "gather", "b", false, "show equal output once, under the folded names of its hosts, when all have ended")
	g.BoolVarP(&f.gatheredApart, "gather-apart", "B", false, "as -b, with standard error apart")
	g.BoolVarP(&f.noPrefix, "no-prefix", "N", false, "no host name before each line")
	g.BoolVarP(&f.Ordered, "in-order", "L", false, "show results in the order of the input, each when its host and those before it have ended; with -b gather equal lines, and show each when all its hosts have sent it")
	f.register(g)
	g.StringVar(&f.outdir, "outdir", "", "write each target's output to HOST.out and HOST.err in the new directory `DIR`, with user, port or number where hosts share a name")
	g.BoolVar(&f.json, "json", false, "write JSON lines, one per target when it has ended")
	f.maxOutput = engine.DefaultMaxOutput
	g.Var(&f.maxOutput, "max-output", "keep this much of each stream of each target; 0 for all")
	AddProgress(g, &f.Progress)
	return g
}

// AddProgress adds --progress to a group.
func AddProgress(g flags.FlagGroup, value *flags.Choice) {
	*value = flags.Choice{Value: "auto", Words: []string{"auto", "always", "never", "json"}}
	g.VarP(value, "progress", "P", "the progress line; auto: on a terminal unless stdout is a pipe, and a line every 10 s where stderr is no terminal; json: a line of JSON on stderr every second")
}

// progressMode returns how progress is shown on standard error.
func (f *OutputFlags) progressMode(out, errs ui.Outlet) output.ProgressMode {
	switch f.Progress.Value {
	case "always":
		return output.ProgressLine
	case "never":
		return output.ProgressNone
	case "json":
		return output.ProgressJSON
	}
	switch {
	case errs.Terminal && out.Pipe:
		// What reads the pipe usually writes to the same terminal, over any line of ours.
		return output.ProgressNone
	case errs.Moves:
		return output.ProgressLine
	}
	return output.ProgressLog
}

// WithTimestamps adds --timestamps to a group, for commands that show output while
// commands run.
func (f *OutputFlags) WithTimestamps(g flags.FlagGroup) flags.FlagGroup {
	g.BoolVar(&f.timestamps, "timestamps", false, "before each line, the local time at which it is shown: RFC 3339 with milliseconds")
	return g
}

// WithFollow adds --follow to a group.
func (f *OutputFlags) WithFollow(g flags.FlagGroup) flags.FlagGroup {
	g.BoolVar(&f.Follow, "follow", false, "for tail -f and the like: show all output as it comes until q is pressed, which lets go of the commands and is no failure; with -b also the groups at the end")
	return g
}

// defaultSpool is the default of --spool-budget: 4 GiB.
const defaultSpool = 4 << 30

// WithSpool adds --spool-budget to a group that has --max-output.
func (f *OutputFlags) WithSpool(g flags.FlagGroup) flags.FlagGroup {
	f.spoolBudget, f.maxOutputFlag = defaultSpool, g.Lookup("max-output")
	f.maxOutputFlag.Usage = "keep this much of each stream of each target, and cut the rest; 0 for all (default: all that --spool-budget has room for)"
	f.maxOutputFlag.DefValue = "0"
	g.Var(&f.spoolBudget, "spool-budget", "keep this much output in a file without a name in $TMPDIR or /var/tmp, beyond 1M of each stream; what has no room is cut, and the exit code is 4; 0 for no file")
	return g
}

// Spool sets up where e keeps output. The file is nil if there is none; it is closed after the
// last use of a result.
func (f *OutputFlags) Spool(e *engine.Options) *spool.Outputs {
	e.FollowAll = f.Follow
	if f.maxOutputFlag == nil || f.spoolBudget == 0 {
		return nil
	}
	if !flags.Given(f.maxOutputFlag) {
		e.MaxOutput = -1
	}
	out := spool.NewOutputs(int64(f.spoolBudget))
	e.Spool = spooled{out}
	return out
}

// spooled is a spool as the engine wants it.
type spooled struct{ *spool.Outputs }

// Stream implements engine.Spool.
func (s spooled) Stream() engine.SpoolStream { return s.New() }

// Kept returns --max-output as the library's MaxOutput.
func (f *OutputFlags) Kept() int64 {
	if f.maxOutput == 0 {
		return -1
	}
	return int64(f.maxOutput)
}

// JSON reports whether a program reads the output (--json).
func (f *OutputFlags) JSON() bool { return f.json }

// Gathers reports whether equal output is shown once (-b, -B, --groups, --diff, --diff-to).
func (f *OutputFlags) Gathers() bool { return f.grouped() || f.diffTo != "" }

// Files reports whether output is written into files (--outdir).
func (f *OutputFlags) Files() bool { return f.outdir != "" }

// Check returns an error if --outdir cannot be used, or --diff-to is none of the targets,
// before a run is recorded.
func (f *OutputFlags) Check() error {
	if f.diffTo != "" && f.Named != nil {
		if err := f.checkReference(); err != nil {
			return err
		}
	}
	if f.outdir == "" {
		return nil
	}
	if err := output.CheckOutdir(f.outdir); err != nil {
		return fmt.Errorf("opening --outdir: %w", err)
	}
	return nil
}

// validateFollow returns an error for flags that do not go with --follow.
func (f *OutputFlags) validateFollow() error {
	switch {
	case f.json:
		return hint.New("--follow and --json cannot go together: JSON has a result only once its host has ended", "shoal show last --json has the results afterwards")
	case f.Ordered:
		return fmt.Errorf("--follow and -L cannot go together: -L waits for the end of each host")
	}
	return nil
}

// checkReference returns an error if --diff-to is none of the targets.
func (f *OutputFlags) checkReference() error {
	for t := range f.Named {
		if t.Host.Name == f.diffTo || t.Host.String() == f.diffTo {
			return nil
		}
	}
	return hint.Wrap(fmt.Errorf("--diff-to: %.80q is none of the hosts", f.diffTo), "write it as the list of hosts has it")
}

// NamesReference reports whether Check needs the names of the targets.
func (f *OutputFlags) NamesReference() bool { return f.diffTo != "" }

// GroupOptions returns which answers are equal. Validate must have returned nil.
func (f *OutputFlags) GroupOptions() groups.Options { return f.options }

// Validate returns an error for flags that exclude each other, or have no effect.
func (f *OutputFlags) Validate() error {
	if err := f.parse(); err != nil {
		return err
	}
	var shapes []string
	for _, s := range []struct {
		set  bool
		flag string
	}{{f.gathered, "-b"}, {f.gatheredApart, "-B"}, {f.json, "--json"}} {
		if s.set {
			shapes = append(shapes, s.flag)
		}
	}
	if len(shapes) > 1 {
		return hint.Wrap(fmt.Errorf("%s cannot go together", strings.Join(shapes, " and ")), "choose one of them")
	}
	given := f.given(f.Selects)
	switch {
	case len(given) == 0:
	case f.json:
		return hint.Wrap(fmt.Errorf("--json and %s cannot go together", given[0]), "shoal show groups the results of a run at any later time")
	case f.Ordered:
		return hint.Wrap(fmt.Errorf("%s and -L cannot go together: lines are gathered as they are", given[0]), "leave out -L")
	case !f.grouped():
		return hint.Wrap(fmt.Errorf("%s groups equal answers, and nothing is grouped", given[0]), "add -b, --groups or --diff")
	}
	if f.Follow {
		if err := f.validateFollow(); err != nil {
			return err
		}
	}
	if f.timestamps && !f.Follow {
		for _, s := range []struct {
			set  bool
			flag string
		}{{f.gathered, "-b"}, {f.gatheredApart, "-B"}, {f.oneLine, "--groups"}, {f.diff, "--diff"}, {f.json, "--json"}, {f.Ordered, "-L"}} {
			if s.set {
				return fmt.Errorf("--timestamps and %s cannot go together: it shows output only once a host has ended", s.flag)
			}
		}
	}
	if f.Progress.Value == "json" && (f.noPrefix && !f.json && !f.grouped() || f.gatheredApart) {
		return hint.New("--progress json cannot go with -N and -B: the standard error of hosts would stand between its lines, and look like them",
			"-b, --json or names before the lines keep them apart")
	}
	f.lines = f.Ordered && f.grouped()
	if f.noPrefix && f.grouped() && !f.lines {
		return errors.New("-N has no effect where equal answers are shown once: their names are beside them")
	}
	return nil
}

// grouped reports whether equal answers, or lines, are shown once.
func (f *OutputFlags) grouped() bool { return f.gathered || f.gatheredApart || f.oneLine || f.diff }

// expected returns the number of targets of which results come, or 0 if it is unknown.
func (f *OutputFlags) expected(targets int) int {
	if f.Some {
		return 0
	}
	return targets
}

// gatheredOptions returns how groups are shown.
func (f *OutputFlags) gatheredOptions(targets int, to, toErr output.Out) output.GatheredOptions {
	o := output.GatheredOptions{
		Stdout: to, Stderr: toErr, Apart: f.gatheredApart, Groups: f.options, View: f.view(), Reference: f.diffTo, Targets: f.expected(targets),
	}
	if again := to.Escape && f.Again != ""; again { // a terminal
		words := f.words()
		if f.gatheredApart {
			words = "-B " + words
		} else if f.view() == output.Blocks {
			words = "-b " + words
		}
		o.Rest = f.Again + " " + strings.TrimSpace(words) + " | less"
	}
	o.Max = f.shown(o.Rest != "")
	return o
}
