package display

import (
	"errors"
	"fmt"
	"iter"
	"strings"

	"shoal/fleet"
	"shoal/internal/cli/flags"
	"shoal/internal/engine"
	"shoal/internal/groups"
	"shoal/internal/hint"
	"shoal/internal/output"
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
	f.Progress = flags.Choice{Value: "auto", Words: []string{"auto", "always", "never"}}
	g.VarP(&f.Progress, "progress", "P", "the progress line; auto shows it on a terminal unless stdout is a pipe")
	g.Lookup("progress").NoOptDefVal = "always"
	return g
}

// WithTimestamps adds --timestamps to a group, for commands that show output while
// commands run.
func (f *OutputFlags) WithTimestamps(g flags.FlagGroup) flags.FlagGroup {
	g.BoolVar(&f.timestamps, "timestamps", false, "before each line, the local time at which it is shown: RFC 3339 with milliseconds")
	return g
}

// Kept returns --max-output as the library's MaxOutput.
func (f *OutputFlags) Kept() int64 {
	if f.maxOutput == 0 {
		return -1
	}
	return int64(f.maxOutput)
}

// JSON reports whether a program reads the output (--json).
func (f *OutputFlags) JSON() bool { return f.json }

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
	if f.timestamps {
		for _, s := range []struct {
			set  bool
			flag string
		}{{f.gathered, "-b"}, {f.gatheredApart, "-B"}, {f.oneLine, "--groups"}, {f.diff, "--diff"}, {f.json, "--json"}, {f.Ordered, "-L"}} {
			if s.set {
				return fmt.Errorf("--timestamps and %s cannot go together: it shows output only once a host has ended", s.flag)
			}
		}
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
