package console

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"shoal/internal/hint"
)

// VersionText returns the version and what is known of the build: commit, date,
// Go release and platform.
func VersionText() string {
	commit, date, changed := "unknown", "unknown", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				commit = s.Value[:min(len(s.Value), 12)]
			case s.Key == "vcs.time":
				date = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				changed = " with changes"
			}
		}
	}
	return fmt.Sprintf("%s\ncommit %s%s, of %s\n%s %s/%s", Version, commit, changed, date, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// UnknownCommand returns the error for a word that is no command below cmd, with
// the command that may be meant, or else hint.
func UnknownCommand(cmd *cobra.Command, word, advice string) error {
	if similar := meant(cmd, word); len(similar) > 0 {
		for i, s := range similar {
			similar[i] = cmd.CommandPath() + " " + s
		}
		advice = "did you mean " + strings.Join(similar, " or ") + "?"
	}
	return hint.Wrap(fmt.Errorf("unknown command %q", word), advice)
}

// meant returns the commands below cmd that word may stand for: those that have it as a name in
// other tools (SuggestFor), or else those that are spelt alike.
func meant(cmd *cobra.Command, word string) []string {
	var elsewhere []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() && slices.Contains(c.SuggestFor, strings.ToLower(word)) {
			elsewhere = append(elsewhere, c.Name())
		}
	}
	if elsewhere != nil {
		return elsewhere
	}
	// Two letters of two are no likeness.
	cmd.SuggestionsMinimumDistance = min(2, max(1, len(word)-1))
	return cmd.SuggestionsFor(word)
}

// checkOperands has cmd and the commands below it say which operands they take
// when they are given others.
func checkOperands(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if check(cmd, args) == nil {
				return nil
			}
			if cmd.HasAvailableSubCommands() {
				return UnknownCommand(cmd, args[0], cmd.CommandPath()+" --help lists the commands")
			}
			_, takes, _ := strings.Cut(cmd.Use, " ")
			takes = strings.TrimSpace(strings.TrimPrefix(takes, "[flags]"))
			given := "nothing"
			if len(args) > 0 {
				given = fmt.Sprintf("%.200q", args)
				given = given[1 : len(given)-1]
			}
			return hint.Wrap(fmt.Errorf("%s takes %s, and was given %s", cmd.Name(), cmp.Or(takes, "flags only"), given),
				cmd.CommandPath()+" --help tells more")
		}
	}
	for _, c := range cmd.Commands() {
		checkOperands(c)
	}
}

// flagError says what is wrong with a flag and what may be meant.
func flagError(cmd *cobra.Command, isRoot bool, err error, badFlag string) error {
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return fmt.Errorf("--%s: %w", invalid.GetFlag().Name, plainValue(invalid))
	}
	advice := cmd.CommandPath() + " --help lists the flags"
	if isRoot {
		advice = badFlag
	}
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		advice = cmp.Or(meantFlag(cmd, unknown), advice)
	}
	return hint.Wrap(err, advice)
}

// plainValue returns what is wrong with a flag's value, in words of our own where
// the library's are those of a Go program.
func plainValue(invalid *pflag.InvalidValueError) error {
	kind := invalid.GetFlag().Value.Type()
	number := strings.HasPrefix(kind, "int") || strings.HasPrefix(kind, "uint")
	is := ""
	switch cause := invalid.Unwrap(); {
	case number && errors.Is(cause, strconv.ErrRange):
		is = "out of range"
	case number:
		is = "not a whole number"
	case kind == "bool":
		is = "neither true nor false"
	case strings.HasPrefix(cause.Error(), "time: "):
		is = "not a time: write a duration (500ms, 2m)"
	default:
		return cause
	}
	return fmt.Errorf("%.200q is %s", invalid.GetValue(), is)
}

// flagHabits are the flags of other tools that fingers type, and what they are
// here, for commands that have that flag.
var flagHabits = map[string]struct{ flag, hint string }{
	"H": {"hosts", "-w names hosts, and --hostfile a file of them"},
}

// meantFlag returns a hint to the flag of cmd that is meant by an unknown one; ""
// if there is no telling.
func meantFlag(cmd *cobra.Command, unknown *pflag.NotExistError) string {
	name := unknown.GetSpecifiedName()
	if habit, ok := flagHabits[name]; ok && cmd.Flags().Lookup(habit.flag) != nil {
		return habit.hint
	}
	if unknown.GetSpecifiedShortnames() != "" {
		return ""
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			known = append(known, f.Name)
		}
	})
	if best := hint.Nearest(name, known); best != "" {
		return "did you mean --" + best + "?"
	}
	return ""
}
