package display

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"shoal/internal/cli/flags"
	"shoal/internal/groups"
	"shoal/internal/hint"
	"shoal/internal/mask"
	"shoal/internal/output"
)

// EqualFlags are the flags that decide which answers are equal.
type EqualFlags struct {
	masks, patterns []string
	by              string
	byField         field

	options groups.Options // set by parse
}

// groupFlags are the flags that decide which answers are equal, and how groups are shown.
type groupFlags struct {
	EqualFlags
	oneLine bool
	diff    bool
	diffTo  string
	max     int // usualGroups: as the view has it
}

// usualGroups is --max-groups if it is not given.
const usualGroups = -1

// MaxGroups is the number of groups shown on a terminal, and of diffs.
const MaxGroups = 50

func (f *groupFlags) register(g flags.FlagGroup) {
	g.BoolVar(&f.oneLine, "groups", false, "one line for each group of equal answers: number, hosts, end, first line")
	g.BoolVar(&f.diff, "diff", false, "show the most frequent answer, and how the others differ from it")
	g.StringVar(&f.diffTo, "diff-to", "", "as --diff, from the answer of `HOST`")
	f.Register(g.FlagSet, nil)
	f.max = usualGroups
	g.IntVar(&f.max, "max-groups", usualGroups, fmt.Sprintf("show `N` groups, the largest, and count the others; 0 for all (default: %d on a terminal if a journal has the run); with more, --diff shows differences line by line", MaxGroups))
	g.Lookup("max-groups").DefValue = ""
}

// Register adds the flags; masks are the words of --mask if it is not given.
func (f *EqualFlags) Register(g *pflag.FlagSet, masks []string) {
	g.StringSliceVar(&f.masks, "mask", masks, "do not compare these `KINDS` of text: "+strings.Join(mask.Names(), ", ")+"; all; auto, those that are noise; or none")
	g.StringArrayVar(&f.patterns, "mask-regex", nil, "do not compare what `REGEX` matches within a line")
	g.StringVar(&f.by, "by", "", "compare and show of each line only what `REGEX` matches, or its first group in parentheses")
	g.Var(&f.byField, "by-field", "compare and show of each line only field `N`; -1 is the last")
}

// A field is the value of --by-field; 0 if it is not given.
type field int

func (f *field) String() string { return "" }

func (f *field) Type() string { return "N" }

func (f *field) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n == 0 {
		return errors.New("want the number of a field: 1 is the first, -1 the last")
	}
	*f = field(n)
	return nil
}

// given returns the flags of the group that are in use, without those that say what is
// equal if targets are selected by it.
func (f *groupFlags) given(selects bool) []string {
	var given []string
	for _, flag := range []struct {
		set  bool
		name string
	}{
		{f.oneLine, "--groups"},
		{f.diff, "--diff"},
		{f.diffTo != "", "--diff-to"},
		{f.masks != nil && !selects, "--mask"},
		{f.patterns != nil && !selects, "--mask-regex"},
		{f.by != "" && !selects, "--by"},
		{f.byField != 0 && !selects, "--by-field"},
		{f.max != usualGroups, "--max-groups"},
	} {
		if flag.set {
			given = append(given, flag.name)
		}
	}
	return given
}

// parse sets options.
func (f *groupFlags) parse() error {
	switch {
	case f.oneLine && (f.diff || f.diffTo != ""):
		return hint.New("--groups and --diff cannot go together", "choose one of them")
	case f.max < usualGroups:
		return fmt.Errorf("--max-groups %d is not a number of groups", f.max)
	}
	f.diff = f.diff || f.diffTo != ""
	_, err := f.Parse()
	return err
}

// Masks returns the words of --mask as they were given.
func (f *EqualFlags) Masks() string { return strings.Join(f.masks, ",") }

// SetMasks is --mask with these words, separated by commas; "" means none. If they are wrong nothing
// changes.
func (f *EqualFlags) SetMasks(words string) error {
	masks := strings.Split(words, ",")
	if words == "" {
		masks = nil
	}
	if _, _, err := parseMasks(masks, nil); err != nil {
		return err
	}
	f.masks = masks
	return nil
}

// Parse returns which answers are equal.
func (f *EqualFlags) Parse() (groups.Options, error) {
	switch {
	case f.by != "" && f.byField != 0:
		return f.options, hint.New("--by and --by-field cannot go together", "choose one of them")
	case f.by != "":
		re, err := regexp.Compile(f.by)
		if err != nil {
			return f.options, badRegexp("--by", err)
		}
		f.options.Part = groups.ByRegexp(re)
	case f.byField != 0:
		f.options.Part = groups.ByField(int(f.byField))
	}
	var err error
	f.options.Masker, f.options.Auto, err = parseMasks(f.masks, f.patterns)
	return f.options, err
}

// parseMasks returns a Masker, or nil if nothing is masked.
func parseMasks(words, patterns []string) (m *mask.Masker, auto bool, err error) {
	var kinds mask.Set
	for _, word := range words {
		switch word = strings.TrimSpace(word); word {
		case "auto", "all", "none":
			if len(words) > 1 {
				return nil, false, hint.New("--mask "+word+" goes with no other word", "--mask-regex adds a pattern to it")
			}
			if word == "none" {
				break
			}
			auto = word == "auto"
			kinds = mask.All
		default:
			k, err := mask.Parse(word)
			if err != nil {
				return nil, false, hint.Wrap(fmt.Errorf("--mask: %w", err),
					"there are "+strings.Join(mask.Names(), ", ")+", auto, all and none; --mask-regex takes a pattern")
			}
			kinds |= k
		}
	}
	var compiled []*regexp.Regexp
	for _, text := range patterns {
		re, err := regexp.Compile(text)
		if err != nil {
			return nil, false, badRegexp("--mask-regex", err)
		}
		if re.MatchString("") {
			return nil, false, fmt.Errorf("--mask-regex %.60q matches nothing at all as well, and so any place", text)
		}
		compiled = append(compiled, re)
	}
	if kinds == 0 && compiled == nil {
		return nil, false, nil
	}
	return mask.New(kinds, compiled...), auto, nil
}

func badRegexp(flag string, err error) error {
	if e, ok := errors.AsType[*syntax.Error](err); ok {
		err = fmt.Errorf("%s: %.60q", e.Code, e.Expr)
	}
	return hint.Wrap(fmt.Errorf("%s: %w", flag, err), "the syntax is that of RE2: https://golang.org/s/re2syntax")
}

// view returns how groups are shown.
func (f *groupFlags) view() output.GroupView {
	switch {
	case f.oneLine:
		return output.OneLine
	case f.diff:
		return output.Diffs
	}
	return output.Blocks
}

// shown returns the number of groups shown, or 0 for all. again means that a command shows
// the others.
func (f *groupFlags) shown(again bool) int {
	switch {
	case f.max != usualGroups:
		return f.max
	case f.diff || again:
		return MaxGroups
	}
	return 0
}

// words returns the flags as they were given, for a shell.
func (f *groupFlags) words() string {
	var words []string
	add := func(set bool, flag string, values ...string) {
		if set {
			words = append(words, flag)
			for _, v := range values {
				words = append(words, hint.ShellWord(v))
			}
		}
	}
	add(f.oneLine, "--groups")
	add(f.diff && f.diffTo == "", "--diff")
	add(f.diffTo != "", "--diff-to", f.diffTo)
	add(f.masks != nil, "--mask", strings.Join(f.masks, ","))
	for _, p := range f.patterns {
		add(true, "--mask-regex", p)
	}
	add(f.by != "", "--by", f.by)
	add(f.byField != 0, "--by-field", strconv.Itoa(int(f.byField)))
	return strings.Join(words, " ")
}

// ShowAgain returns OutputFlags.Again for a run in the journal of a state directory; "" is
// the usual one.
func ShowAgain(run, stateDir string) string {
	text := "shoal show " + hint.ShellWord(run)
	if stateDir != "" {
		text += " --state-dir " + hint.ShellWord(stateDir)
	}
	return text
}

// AddAgain adds to Again which targets are shown.
func (f *OutputFlags) AddAgain(only string, hosts []string) {
	for _, host := range hosts {
		f.Again += " " + hint.ShellWord(host)
	}
	if only != "" {
		f.Again += " --only " + hint.ShellWord(only)
	}
}
