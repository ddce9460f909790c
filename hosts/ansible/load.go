package ansible

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"shoal/hosts/internal/attr"
	"shoal/hosts/internal/extcmd"
	"shoal/hosts/internal/ordered"
	"shoal/hosts/internal/problem"
)

// MaxHosts bounds the hosts of an inventory.
const MaxHosts = 1_000_000

// Options say what to read.
type Options struct {
	// Sources are paths, or host lists with a comma in them, read in order.
	Sources []string
	// Dir is a directory whose group_vars and host_vars are read after those beside the
	// sources, as Ansible reads those of its working directory; "" means none.
	Dir string
	// Limits bound a program: its time with all its --host calls, and what it
	// prints.
	Limits extcmd.Limits
}

// Load reads all sources. What is wrong is added to problems, and then the
// Inventory is nil.
func Load(ctx context.Context, opts Options, problems *problem.Problems) *Inventory {
	l := &loader{inv: newInventory(), opts: opts, problems: problems, read: make(map[string]bool), inside: make(map[string]bool)}
	before := problems.Total
	for _, source := range opts.Sources {
		if strings.ContainsRune(source, ',') && !exists(source) {
			l.hostList(source)
			continue
		}
		l.path(ctx, source, 0)
	}
	l.reconcile()
	for _, source := range opts.Sources {
		if !strings.ContainsRune(source, ',') || exists(source) {
			l.varsBeside(source)
		}
	}
	if opts.Dir != "" && !l.read[realPath(opts.Dir)] {
		l.varsBeside(opts.Dir)
	}
	if problems.Total > before {
		return nil
	}
	l.inv.PassedOver = l.passedOver
	if l.vaults > 0 {
		l.inv.Notices = append(l.inv.Notices, fmt.Sprintf("%d encrypted files not read, such as %s", l.vaults, problem.Printable(l.vault)))
	}
	if l.out > 0 {
		l.inv.Notices = append(l.inv.Notices, fmt.Sprintf("%d variables left out, such as %s", l.out, l.outFirst))
	}
	return l.inv
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// realPath returns one name for all names of a directory.
func realPath(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	return dir
}

// A loader fills an inventory.
type loader struct {
	inv      *Inventory
	opts     Options
	problems *problem.Problems
	vaults   int
	vault    string // the first of them
	out      int    // variables left out
	outFirst string // what the first of them is
	full     bool   // MaxHosts is reached, and said

	passedOver []string        // see Inventory
	read       map[string]bool // directories whose group_vars and host_vars were read
	inside     map[string]bool // directories that are being read, by realPath
}

func (l *loader) fault(source string, f *ordered.Fault) {
	l.problems.Failed(source, f.Line, "", f)
}

// host adds a host to a group; a port counts where the host is new.
func (l *loader) host(g *group, name string, port Value, source string, line int) *Host {
	h := l.inv.hosts[name]
	if h == nil {
		if len(l.inv.hostOrder) == MaxHosts {
			if !l.full {
				l.full = true
				l.problems.Add(problem.Problem{Source: source, Line: line, Reason: fmt.Sprintf("more than %d hosts", MaxHosts)})
			}
			return nil
		}
		h = &Host{Name: name, Source: source, Line: line}
		if port.Text != "" {
			h.vars.set("ansible_port", port)
		}
		l.inv.hosts[name] = h
		l.inv.hostOrder = append(l.inv.hostOrder, h)
	}
	g.take(h)
	return h
}

// value returns a node as a variable's. What no attribute can be is left out, and
// counted: the tags of a cloud come under any name.
func (l *loader) value(source string, line int, name string, n *ordered.Node) (Value, bool) {
	text, f := n.Flat()
	if f != nil {
		return Value{}, l.leaveOut(source, line, name, f)
	}
	return l.checked(source, line, name, Value{Text: text, Kind: n.Kind})
}

func (l *loader) checked(source string, line int, name string, v Value) (Value, bool) {
	if err := attr.Check(name, v.Text); err != nil {
		return Value{}, l.leaveOut(source, line, name, err)
	}
	return v, true
}

// leaveOut counts a variable that cannot be kept; one of Ansible's own may say how a
// host is reached, and is a problem. It gives false.
func (l *loader) leaveOut(source string, line int, name string, err error) bool {
	if strings.HasPrefix(name, "ansible_") {
		l.problems.Failed(source, line, "", err)
		return false
	}
	if l.out++; l.out == 1 {
		l.outFirst = fmt.Sprintf("%q: %v", problem.Bounded(name), err)
	}
	return false
}

func (l *loader) setHost(h *Host, source string, line int, name string, v Value) {
	if !h.vars.set(name, v) {
		l.tooMany(source, line)
	}
}

func (l *loader) tooMany(source string, line int) {
	l.problems.Add(problem.Problem{Source: source, Line: line, Reason: fmt.Sprintf("more than %d variables", maxVars)})
}

func (l *loader) setGroup(g *group, source string, line int, name string, v Value) {
	if name == "ansible_group_priority" {
		priority, err := strconv.Atoi(v.Text)
		if err != nil {
			l.problems.Add(problem.Problem{
				Source: source, Line: line, Text: v.Text,
				Reason: "ansible_group_priority is not a whole number", Hint: "write a number such as 10",
			})
			return
		}
		g.priority = priority
		return
	}
	if !g.vars.set(name, v) {
		l.tooMany(source, line)
	}
}

// hostList reads a,b,c with ranges.
func (l *loader) hostList(text string) {
	ungrouped := l.inv.group(groupUngrouped)
	for _, pattern := range strings.Split(text, ",") {
		if pattern = strings.TrimSpace(pattern); pattern != "" {
			l.hosts(ungrouped, pattern, "-i", 0)
		}
	}
}

// hosts adds what a pattern with ranges and a port stands for.
func (l *loader) hosts(g *group, pattern, source string, line int) []*Host {
	names, port, err := expandHosts(pattern)
	if err != nil {
		l.problems.Failed(source, line, pattern, err)
		return nil
	}
	var hosts []*Host
	for _, name := range names {
		h := l.host(g, name, Value{Text: port, Kind: ordered.Number}, source, line)
		if h == nil {
			return nil
		}
		hosts = append(hosts, h)
	}
	return hosts
}
