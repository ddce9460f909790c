package run

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shoal/fleet"
	"shoal/hosts"
	"shoal/hosts/groups"
	"shoal/hosts/limit"
	"shoal/internal/cli/config"
	"shoal/internal/cli/flags"
	"shoal/internal/journal"
	"shoal/internal/run"
	"shoal/internal/ui"
)

// completedRuns is how many runs completion offers, the last begun first.
const completedRuns = 20

// readJournal opens the journal that cmd names for reading; nil if there is none.
// Completion writes nothing and says nothing.
func readJournal(cmd *cobra.Command) *journal.Journal {
	config.Complete(cmd)
	flag := ""
	if f := cmd.Flags().Lookup("state-dir"); f != nil {
		flag = f.Value.String()
	}
	dir := flags.StateDir(flag)
	if dir == "" || !journal.Exists(dir) {
		return nil
	}
	j, err := journal.OpenReadOnly(cmd.Context(), dir, journal.Options{})
	if err != nil {
		return nil
	}
	return j
}

// CompleteRun offers the runs of the journal for a command's first operand, and then, if
// which is set, the words that select targets of that run.
func CompleteRun(which bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		switch {
		case len(args) == 0:
			return runWords(cmd), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
		case len(args) == 1 && which:
			return CompleteSelection(cmd, args, word)
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

func runWords(cmd *cobra.Command) []string {
	j := readJournal(cmd)
	if j == nil {
		return nil
	}
	defer func() { _ = j.Close() }()
	var last, ids []string
	for info, err := range j.Runs(cmd.Context(), journal.Filter{Limit: completedRuns}) {
		if err != nil {
			continue
		}
		command := "(command not kept)"
		if !info.NoCommand {
			command = ui.Truncate(ui.Visible(fmt.Sprintf("%.200s", info.Command)), 40)
		}
		about := fmt.Sprintf("%s, on %s: %s", info.Started.Local().Format("2006-01-02 15:04:05"), ui.Count(int64(info.Targets)), command)
		name := "last"
		if n := len(ids); n > 0 {
			name = fmt.Sprintf("last~%d", n)
		}
		last = append(last, name+"\t"+about)
		ids = append(ids, info.Run+"\t"+about)
	}
	return append(last[:min(3, len(last))], ids...)
}

// CompleteSelection offers the words of a selection, separated by commas: the last word of
// the list, with the causes that the run has which the first operand names, or the last
// one.
func CompleteSelection(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	before := word[:strings.LastIndexByte(word, ',')+1]
	var words []string
	for _, s := range journal.Selections {
		words = append(words, before+s.Name)
	}
	words = append(words, before+run.Differs)
	for _, cause := range causes(cmd, args) {
		words = append(words, before+"cause="+cause)
	}
	return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// causes returns the reasons and phases of what was not ok in a run.
func causes(cmd *cobra.Command, args []string) []string {
	j := readJournal(cmd)
	if j == nil {
		return nil
	}
	defer func() { _ = j.Close() }()
	name := "last"
	if len(args) > 0 {
		name = args[0]
	}
	id, err := j.Resolve(cmd.Context(), name)
	if err != nil {
		return nil
	}
	found := make(map[string]bool)
	for e, err := range j.Show(cmd.Context(), id, func(e *journal.Entry) bool {
		if e.Outcome != fleet.OutcomeOK && e.Outcome != fleet.OutcomeDetached {
			if e.Reason != fleet.ReasonNone {
				found[string(e.Reason)] = true
			}
			if e.Phase != fleet.PhaseNone {
				found[e.Phase.String()] = true
			}
		}
		return false // nothing of it is needed
	}) {
		_, _ = e, err // what cannot be read is not offered
	}
	return slices.Sorted(maps.Keys(found))
}

// completeWhere offers the attributes of the hosts in the files that the command line
// names so far, and after a comparison the values of that attribute. No program is run.
func completeWhere(f *flags.HostFlags) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
		const directive = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		attributes := attributesOf(cmd, f)
		start := strings.LastIndexAny(word, " &|(!") + 1
		// In "env!=", the mark is part of the comparison.
		if start > 0 && strings.HasPrefix(word[start:], "=") {
			start = strings.LastIndexAny(word[:start-1], " &|(!") + 1
		}
		name, _, compares := cutComparison(word[start:])
		var words []string
		if compares {
			for _, value := range slices.Sorted(maps.Keys(attributes[name])) {
				words = append(words, word[:start]+word[start:start+len(name)+2]+value)
			}
			return words, directive
		}
		for _, name := range slices.Sorted(maps.Keys(attributes)) {
			if harmless(name) {
				words = append(words, word[:start]+name)
			}
		}
		return words, directive
	}
}

// cutComparison cuts NAME==VALUE and NAME!=VALUE.
func cutComparison(text string) (name, value string, ok bool) {
	for _, operator := range []string{"==", "!="} {
		if name, value, ok = strings.Cut(text, operator); ok {
			return name, value, true
		}
	}
	return "", "", false
}

// CompleteTargets completes the flags of f that name hosts.
func CompleteTargets(cmd *cobra.Command, f *flags.HostFlags) {
	for name, complete := range map[string]cobra.CompletionFunc{
		"where": completeWhere(f), "limit": completeLimit(f), "group": completeGroups(f),
		"hosts": completeHosts(f), "exclude": completeHosts(f),
	} {
		_ = cmd.RegisterFlagCompletionFunc(name, complete) // it exists
	}
}

// completeHosts offers the hosts of the files that the command line names so far, and behind @
// their groups and those of groups.conf.
func completeHosts(f *flags.HostFlags) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
		at := strings.LastIndexByte(word, '@')
		start := strings.LastIndexAny(word, ",!&^ ") + 1 // behind an operator of an expression
		var words []string
		switch list := plainSources(cmd, f); {
		case at >= start && at >= 0:
			for _, name := range groupsOf(cmd, list) {
				words = append(words, word[:at+1]+name)
			}
		case list != nil:
			for _, name := range hostNames(list) {
				words = append(words, word[:start]+name)
			}
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeGroups offers the groups of those files and of groups.conf.
func completeGroups(f *flags.HostFlags) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return groupsOf(cmd, plainSources(cmd, f)), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeLimit offers the groups and hosts of those files for the last part of one of Ansible's
// patterns.
func completeLimit(f *flags.HostFlags) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
		list := plainSources(cmd, f)
		if list == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		start := strings.LastIndexAny(word, ",:&!") + 1
		var words []string
		for _, name := range append(append([]string{limit.All}, namesOf(list.Groups().Groups)...), hostNames(list)...) {
			words = append(words, word[:start]+name)
		}
		return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

// groupsOf returns the groups of a list, which may be nil, and those that groups.conf has in files. No
// program is run.
func groupsOf(cmd *cobra.Command, list *hosts.List) []string {
	var names []string
	if list != nil {
		names = namesOf(list.Groups().Groups)
	}
	inFiles, err := flags.ClusterShellGroups(cmd.Context(), groups.Limits{}).FileGroups()
	if err != nil {
		return names
	}
	return append(names, namesOf(inFiles)...)
}

// namesOf returns the names that may be offered, sorted.
func namesOf(names []string) []string {
	return slices.DeleteFunc(slices.Sorted(slices.Values(names)), func(n string) bool { return !harmless(n) })
}

// hostNames returns the first hosts of a list that may be offered.
func hostNames(list *hosts.List) (names []string) {
	for i := range min(list.Len(), maxHosts) {
		if name := list.Host(i).String(); harmless(name) {
			names = append(names, name)
		}
	}
	return names
}

// harmless reports whether a shell takes a word from a file as it is: one that it would interpret,
// or that has escape sequences, is not offered.
func harmless(word string) bool {
	return !strings.ContainsFunc(word, func(r rune) bool {
		letter := 'a' <= r|0x20 && r|0x20 <= 'z' || '0' <= r && r <= '9'
		return r < 0x80 && !letter && !strings.ContainsRune("._-@:%+,/~[]=", r)
	}) && ui.Visible(word) == word
}

// maxHosts bounds the hosts that completion offers.
const maxHosts = 1000

// patience is how long a person waits for words, though files are large.
const patience = 2 * time.Second

// maxValues bounds the values of an attribute that completion offers.
const maxValues = 50

// plainSources reads the host files and inventories that are plain files and no programs, which
// are typed or configured; nil if that fails.
func plainSources(cmd *cobra.Command, f *flags.HostFlags) *hosts.List {
	config.Complete(cmd)
	ctx, cancel := context.WithTimeout(cmd.Context(), patience)
	defer cancel()
	plain := func(paths []string) (files []string) {
		for _, path := range paths {
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 == fs.FileMode(0) {
				files = append(files, path)
			}
		}
		return files
	}
	list, err := hosts.LoadContext(ctx, hosts.Options{
		Files: plain(f.Hostfiles), Inventories: plain(f.Inventories), VarsDir: ".", Stdin: strings.NewReader(""),
	})
	if err != nil {
		return nil
	}
	return list
}

// attributesOf returns the attributes in those files, with their values.
func attributesOf(cmd *cobra.Command, f *flags.HostFlags) map[string]map[string]bool {
	list := plainSources(cmd, f)
	if list == nil {
		return nil
	}
	attributes := make(map[string]map[string]bool)
	for i := range list.Len() {
		for name, value := range list.Entry(i).Attrs.All() {
			if attributes[name] == nil {
				attributes[name] = make(map[string]bool)
			}
			if len(attributes[name]) < maxValues && harmless(value) {
				attributes[name][value] = true
			}
		}
	}
	return attributes
}
