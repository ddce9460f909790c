package hosts

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"shoal/fleet"
	"shoal/hosts/internal/attr"
	"shoal/hosts/internal/problem"
)

// A key identifies a login at a server: entries with equal keys are duplicates.
type key struct {
	user, name string
	port       uint16
}

// A collector keeps the hosts that are neither excluded nor duplicates, and merges
// what several entries say about one host.
type collector struct {
	opts     Options
	rules    *exclusions
	problems *problem.Problems
	hosts    table
	details  []detail // as in List
	builder  attr.Builder
	seen     keys
	sections map[int]string // the section in which a host was last found, if any
	doubled  sample
	unknown  sample // named by Hosts, in no source
	excluded int
	limited  bool // Patterns left out a host of Hosts

	passedOver []string // files of inventories
}

func newCollector(opts Options, rules *exclusions, problems *problem.Problems) *collector {
	return &collector{opts: opts, rules: rules, problems: problems, sections: make(map[int]string)}
}

// add adds an entry, with what other sources know about its host.
func (c *collector) add(f found, others ...*found) {
	at, kept := c.place(f)
	if !kept {
		return
	}
	if f.facts != nil {
		c.join(at, f)
	}
	for _, other := range others {
		c.join(at, *other)
	}
}

// place returns the index of an entry's host in the list, unless the host is excluded.
func (c *collector) place(f found) (at int, kept bool) {
	h := f.host
	if h.Port == 0 {
		h.Port = c.opts.Port
	}
	k := c.key(h)
	if c.rules.match(k) {
		c.excluded++
		return 0, false
	}
	at, doubled := c.seen.find(k, c.hosts.len(), func(i int) key { return c.key(c.hosts.at(i)) })
	if !doubled {
		c.hosts.append(h)
	} else if !f.known && f.section == c.sections[at] {
		// A host may be in several groups of a host file: no duplicate.
		c.doubled.add(h)
	}
	if f.section != "" {
		c.sections[at] = f.section
	}
	return at, true
}

// key returns the key of a host with the defaults.
func (c *collector) key(h fleet.Host) key {
	return key{user: cmp.Or(h.User, c.opts.User), name: canonical(h.Name), port: cmp.Or(h.Port, fleet.DefaultPort)}
}

// join merges an entry into what is known about a host. Sources that contradict
// each other are a problem: either may be wrong.
func (c *collector) join(at int, f found) {
	for len(c.details) <= at {
		c.details = append(c.details, detail{})
	}
	d := &c.details[at]
	c.agree(f, "address", &d.address, f.facts.address)
	c.agree(f, "key file", &d.identity, f.facts.identity)
	switch says := f.facts.options; {
	case len(says) == 0 || slices.Equal(says, d.options):
	case len(d.options) == 0:
		d.options = says
	default:
		c.contradiction(f, "the list of ssh options", strings.Join(d.options, " "), strings.Join(says, " "))
	}
	if d.attrs.Len() == 0 {
		d.attrs = c.builder.Set(f.facts.each)
		return
	}
	fresh := false
	for name, value := range f.facts.each {
		before, there := d.attrs.Attr(name)
		fresh = fresh || !there
		if there && before != value {
			c.contradiction(f, name, before, value)
		}
	}
	if fresh {
		before := d.attrs
		d.attrs = c.builder.Set(func(yield func(string, string) bool) {
			for name, value := range before.All() {
				if !yield(name, value) {
					return
				}
			}
			f.facts.each(yield)
		})
	}
}

func (c *collector) agree(f found, what string, has *string, says string) {
	switch {
	case says == "" || says == *has:
	case *has == "":
		*has = says
	default:
		c.contradiction(f, what, *has, says)
	}
}

func (c *collector) contradiction(f found, what, has, says string) {
	c.problems.Add(problem.Problem{
		Source: f.at.source, Line: f.at.line, Text: f.host.String(),
		Reason: fmt.Sprintf("%s is %q here and %q before", what, problem.Bounded(says), problem.Bounded(has)),
		Hint:   "correct one of them: no source counts more than another",
	})
}

// empty returns the reason why there is no host.
func (c *collector) empty() Problem {
	if c.excluded > 0 {
		return Problem{
			Reason: fmt.Sprintf("no hosts left: all %d are excluded", c.excluded),
			Hint:   "check -x against -w and --hostfile",
		}
	}
	if c.limited {
		return Problem{
			Source: "--limit", Text: strings.Join(c.opts.Patterns, " "), Reason: "no hosts left: the pattern chooses none of those that -w names",
			Hint: "the hosts of -w are chosen by --limit too",
		}
	}
	if len(c.passedOver) > 0 {
		return Problem{
			Reason: "no hosts: the inventories hold none, and these files were passed over for their names, as Ansible does: " +
				problem.Bounded(strings.Join(c.passedOver, ", ")),
			Hint: "name the file itself: -i " + problem.Bounded(c.passedOver[0]),
		}
	}
	o := c.opts
	if len(o.Hosts)+len(o.Files)+len(o.Commands)+len(o.ConfigHosts)+len(o.Inventories) > 0 {
		return Problem{Reason: "no hosts: the sources hold none", Hint: "write one host expression to a line, such as node[1-9]"}
	}
	return Problem{Reason: "no hosts were named", Hint: "use -w node[1-9] or --hostfile FILE"}
}

func (c *collector) notices() []string {
	var notices []string
	if n := c.doubled.total; n > 0 {
		notices = append(notices, fmt.Sprintf("%s removed: %s", plural(n, "duplicate", "duplicates"), c.doubled))
	}
	if n := c.unknown.total; n > 0 {
		notices = append(notices, fmt.Sprintf("%s of -w not in the sources: %s", plural(n, "host", "hosts"), c.unknown))
	}
	if idle := c.rules.idle(); idle.total > 0 {
		notices = append(notices, fmt.Sprintf("%s not in the list: %s",
			plural(idle.total, "excluded host is", "excluded hosts are"), idle))
	}
	return notices
}
