// Package hosts implements shoal hosts, which evaluates host expressions and
// prints the result. It connects to nothing. Parsing is in package hosts/expr.
package hosts

import (
	"bufio"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"shoal/hosts/expr"
	"shoal/hosts/groups"
	"shoal/internal/cli/console"
	"shoal/internal/cli/flags"
	"shoal/internal/hint"
)

// hostsFlags are the flags of shoal hosts.
type hostsFlags struct {
	operands operands
	groups   expr.Groups
	// hostfiles and inventories are sources of hosts and groups.
	hostfiles, inventories []string

	expand, fold, count bool
	list                int
	all, rangeset       bool
	source              string
	separator           string
	slice               string
	places              map[int]bool // the numbers that --slice names
	split, pick         int
}

// New returns shoal hosts.
func New(stdio console.Stdio) *cobra.Command {
	return newHostsWith(stdio, flags.ClusterShellGroups(context.Background(), groups.Limits{}))
}

func newHostsWith(stdio console.Stdio, groups expr.Groups) *cobra.Command {
	f := &hostsFlags{groups: groups}
	cmd := &cobra.Command{
		Use:   "hosts [flags] EXPR... [-x|-i|-X EXPR...]",
		Short: "Expand, fold and count host expressions, as nodeset does",
		Long: `Work on host expressions, as ClusterShell's nodeset does. Expressions are united
from left to right; -x, -i and -X apply to what stands before them. "-" reads
standard input, as does a line without expressions: expressions separated by
blanks, and comments after #. A blank expression stands for no hosts.

With --inventory or --hostfile, expressions know the hosts and groups there;
without expressions all hosts are meant, and without any of the commands they
are listed with their groups and attributes.`,
		Example: `  shoal hosts node7 node3 node9 node8              node[3,7-9]
  shoal hosts -e -S '\n' 'node[08-10]'             a name a line
  shoal hosts -c 'rack[1-3]node[1-20]!rack2node7'  59
  shoal hosts 'web[1-9]' -x web3 -i 'web[2-6]'     web[2,4-6]
  shoal hosts --split 3 'node[1-100]'              three lines
  shoal hosts -c --hostfile hosts                  hosts in a file
  shoal hosts -i inventory/                        hosts, groups, attributes
  shoal hosts -e --inventory inventory/ @web       the hosts of a group`,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args, stdio) },
	}
	// The order of flags and operands matters, so they are parsed one by one.
	cmd.Flags().SetInterspersed(false)
	flags.AddInGroups(cmd, f.commands(), f.operations(), f.options())
	return cmd
}

func (f *hostsFlags) commands() flags.FlagGroup {
	g := flags.NewGroup("Commands (one of them)")
	g.BoolVarP(&f.fold, "fold", "f", false, "print the shortest expression for the hosts (the default)")
	g.BoolVarP(&f.expand, "expand", "e", false, "print every name")
	g.BoolVarP(&f.count, "count", "c", false, "print how many hosts there are")
	g.CountVarP(&f.list, "list", "l", "list all groups, or those of the hosts; -ll with their hosts, -lll also counted")
	return g
}

func (f *hostsFlags) operations() flags.FlagGroup {
	g := flags.NewGroup("Operations, from left to right")
	g.VarP(operandFlag{to: &f.operands, op: exclude}, "exclude", "x", "leave out the hosts of `EXPR`")
	g.VarP(operandFlag{to: &f.operands, op: intersect, inventories: &f.inventories}, "intersection", "i", "keep only the hosts that are in `EXPR` too; a file or path without hosts before it is an --inventory")
	g.VarP(operandFlag{to: &f.operands, op: xor}, "xor", "X", "keep the hosts that are on one side only, here or in `EXPR`")
	return g
}

func (f *hostsFlags) options() flags.FlagGroup {
	g := flags.NewGroup("Options")
	g.StringArrayVar(&f.inventories, "inventory", nil, "hosts and groups of the Ansible inventory at `PATH`")
	g.StringArrayVar(&f.hostfiles, "hostfile", nil, "hosts and groups of a host `FILE`")
	g.BoolVarP(&f.all, "all", "a", false, "begin with all hosts of the group source")
	g.StringVarP(&f.source, "groupsource", "s", "", "take groups from `SOURCE` where an expression names none")
	g.BoolVarP(&f.rangeset, "rangeset", "R", false, "work on bare ranges, such as 1-5,8, in place of names")
	g.StringVarP(&f.separator, "separator", "S", " ", `put `+"`TEXT`"+` between names with -e; \n and \t are known`)
	g.StringVarP(&f.slice, "slice", "I", "", "keep the hosts at these places, from 0: `RANGES` such as 0-9,15")
	g.IntVar(&f.pick, "pick", 0, "keep `N` hosts at random")
	g.IntVar(&f.split, "split", 0, "print up to `N` parts of equal size, a line each")
	return g
}

// run implements shoal hosts.
func (f *hostsFlags) run(cmd *cobra.Command, args []string, stdio console.Stdio) error {
	help, err := f.operands.read(cmd, args)
	if err != nil {
		return err
	}
	if help {
		return cmd.Help()
	}
	if err := f.validate(cmd); err != nil {
		return err
	}
	list, err := f.sources(cmd.Context(), stdio)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(stdio.Out)
	if list != nil && len(f.operands) == 0 && !f.expand && !f.fold && !f.count && f.list == 0 {
		printList(out, list)
		return flush(out)
	}
	c := newCalculator(f, stdio.In)
	set, err := c.calculate()
	if err != nil {
		return err
	}
	if f.list > 0 {
		err = c.printGroups(out, set)
	} else {
		f.print(out, f.chosen(set))
	}
	if err != nil {
		return err
	}
	return flush(out)
}

func flush(w *bufio.Writer) error {
	if err := w.Flush(); err != nil {
		return fmt.Errorf("printing hosts: %w", err)
	}
	return nil
}

func (f *hostsFlags) validate(cmd *cobra.Command) error {
	commands := 0
	for _, chosen := range []bool{f.fold, f.expand, f.count, f.list > 0} {
		if chosen {
			commands++
		}
	}
	switch flags := cmd.Flags(); {
	case commands > 1:
		return hint.New("more than one of -e, -f, -c and -l", "ask one after the other")
	case flags.Changed("split") && f.split < 1:
		return fmt.Errorf("--split %d: there is at least one part", f.split)
	case flags.Changed("pick") && f.pick < 1:
		return fmt.Errorf("--pick %d: pick at least one host", f.pick)
	case f.rangeset && (f.all || f.list > 0 || f.source != ""):
		return hint.New("-R works on numbers, which have no groups", "leave out -a, -l and -s")
	case strings.ContainsAny(f.source, ":,!&^@*? \t"):
		return fmt.Errorf("-s %q is no name of a group source", f.source)
	case f.slice != "":
		return f.readSlice()
	}
	return nil
}

// readSlice parses --slice.
func (f *hostsFlags) readSlice() error {
	places, err := expr.Expand("[" + f.slice + "]")
	if err != nil {
		return fmt.Errorf("reading --slice: %w", err)
	}
	f.places = make(map[int]bool, len(places))
	for _, place := range places {
		i, err := strconv.Atoi(place)
		if err != nil {
			return hint.Wrap(fmt.Errorf("reading --slice: %w", err), "write places from 0 on, such as 0-9,15")
		}
		f.places[i] = true
	}
	return nil
}
