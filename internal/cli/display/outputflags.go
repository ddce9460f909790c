package display

import (
	"fmt"
	"iter"
	"strings"

	"shoal/fleet"
	"shoal/internal/cli/flags"
	"shoal/internal/engine"
	"shoal/internal/hint"
	"shoal/internal/output"
)

// OutputFlags are the flags that decide how results are shown and saved.
type OutputFlags struct {
	gathered, gatheredApart bool
	noPrefix, Ordered, json bool
	outdir                  string
	maxOutput               flags.Size
	Progress                flags.Choice
	timestamps              bool
	// Named, if not nil, are all targets, after which --outdir names files and by whose
	// names lines are aligned.
	Named iter.Seq[fleet.Target]
	Brief bool // no flag: what is left out of a flood of failures is in a journal
}

// Output returns the flags as a group.
func (f *OutputFlags) Output() flags.FlagGroup {
	g := flags.NewGroup("Output")
	g.BoolVarP(&f.gathered, "gather", "b", false, "show equal output once, under the folded names of its hosts, when all have ended")
	g.BoolVarP(&f.gatheredApart, "gather-apart", "B", false, "as -b, with standard error apart")
	g.BoolVarP(&f.noPrefix, "no-prefix", "N", false, "no host name before each line")
	g.BoolVarP(&f.Ordered, "in-order", "L", false, "show results in the order of the input, each when its host and those before it have ended")
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

// Gathers reports whether equal output is shown once (-b, -B).
func (f *OutputFlags) Gathers() bool { return f.gathered || f.gatheredApart }

// Files reports whether output is written into files (--outdir).
func (f *OutputFlags) Files() bool { return f.outdir != "" }

// Check returns an error if --outdir cannot be used, before a run is recorded.
func (f *OutputFlags) Check() error {
	if f.outdir == "" {
		return nil
	}
	if err := output.CheckOutdir(f.outdir); err != nil {
		return fmt.Errorf("opening --outdir: %w", err)
	}
	return nil
}

// Validate returns an error for flags that exclude each other.
func (f *OutputFlags) Validate() error {
	var shapes []string
	for _, s := range []struct {
		set  bool
		flag string
	}{{f.gathered, "-b"}, {f.gatheredApart, "-B"}, {f.json, "--json"}} {
		if s.set {
			shapes = append(shapes, s.flag)
		}
	}
	if f.timestamps {
		for _, s := range []struct {
			set  bool
			flag string
		}{{f.gathered, "-b"}, {f.gatheredApart, "-B"}, {f.json, "--json"}, {f.Ordered, "-L"}} {
			if s.set {
				return fmt.Errorf("--timestamps and %s cannot go together: it shows output only once a host has ended", s.flag)
			}
		}
	}
	if len(shapes) > 1 {
		return hint.Wrap(fmt.Errorf("%s cannot go together", strings.Join(shapes, " and ")), "choose one of them")
	}
	return nil
}
