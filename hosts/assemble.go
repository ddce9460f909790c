package hosts

import (
	"bytes"
	"slices"
	"strings"

	"shoal/hosts/ansible"
	"shoal/hosts/expr"
	"shoal/hosts/groups"
	"shoal/hosts/internal/extcmd"
	"shoal/hosts/internal/problem"
	"shoal/hosts/limit"
)

// load builds the list. If @groups or patterns are used, the sources that have groups are read
// before the expressions that use them; problems keep the order of the options.
func (l *loader) load() *List {
	early := l.usesGroups()
	var sourced []found
	later := l.apart(func() {
		l.loadAnsible()
		if early {
			if l.ansibles != nil {
				l.universe = l.ansibles.inv.Universe()
			}
			l.parse = expr.NewResolver(l.opts.Groups).Parse
			l.files(func(f found) { sourced = append(sourced, f) })
			for _, f := range sourced {
				l.universe.AddHosts(f.host.Name)
			}
		}
	})
	l.parse = expr.NewResolver(l.groups()).Parse
	rules := newExclusions()
	l.sources("-x", l.opts.Exclude, func(f found) { rules.add(f.host) })
	c := newCollector(l.opts, rules, &l.problems)
	meant := l.adder(c)
	l.sources("-w", l.opts.Hosts, meant)
	if !early {
		l.parse = expr.NewResolver(l.opts.Groups).Parse
		l.files(meant)
	}
	l.problems.Join(later)
	l.configHosts(meant)
	if l.problems.Total > 0 {
		return nil
	}
	chosen := l.chosen()
	for _, f := range sourced {
		if chosen == nil || chosen[f.host.Name] {
			meant(f)
		}
	}
	l.addAnsible(c, chosen)
	return l.finish(c)
}

// apart runs read and returns its problems separately from the others.
func (l *loader) apart(read func()) *Problems {
	before := l.problems
	l.problems = Problems{}
	read()
	apart := l.problems
	l.problems = before
	return &apart
}

// usesGroups reports whether the options contain something that is resolved by other sources:
// a pattern, a group or a wildcard.
func (l *loader) usesGroups() bool {
	return len(l.opts.Patterns) > 0 || slices.ContainsFunc(l.opts.Hosts, namesGroup) || slices.ContainsFunc(l.opts.Exclude, namesGroup)
}

// namesGroup reports whether text contains * or ?, or an @ without a user before it.
func namesGroup(text string) bool {
	for i := range len(text) {
		switch text[i] {
		case '*', '?':
			return true
		case '@':
			if i == 0 || strings.IndexByte(",!&^ \t", text[i-1]) >= 0 {
				return true
			}
		}
	}
	return false
}

// ownSource is the name of the groups of Files and Inventories.
const ownSource = "inventory"

// groups resolves @group: first from the sources read here, then from Options.Groups.
func (l *loader) groups() expr.Groups {
	all, _ := l.universe.Group(limit.All)
	if len(all) == 0 {
		return l.opts.Groups
	}
	own := &groups.Static{Name: ownSource, Groups: l.universe.Groups(), Members: l.universe.Group}
	if l.opts.Groups == nil {
		return own
	}
	return groups.Chain{First: own, Then: l.opts.Groups}
}

// files reads the host files and the output of commands.
func (l *loader) files(add func(found)) {
	for _, path := range l.opts.Files {
		l.file(path, add)
	}
	for _, command := range l.opts.Commands {
		at := place{source: "--hosts-from " + problem.Bounded(command)}
		out, err := extcmd.Shell(l.ctx, command, "", l.limits())
		if err != nil {
			l.failed(at, "", err)
			continue
		}
		l.lines(at, bytes.NewReader(out), add)
	}
}

func (l *loader) limits() extcmd.Limits {
	return extcmd.Limits{Timeout: l.opts.CommandTimeout, Waiting: l.opts.Waiting}
}

func (l *loader) configHosts(add func(found)) {
	at := place{source: "ssh_config"}
	for _, name := range l.opts.ConfigHosts {
		h, err := ParseHost(name)
		if err == nil && (h.User != "" || h.Port != 0) {
			err = &fault{"a user or port in a Host line", "write User and Port below it"}
		}
		if err != nil {
			l.failed(at, name, err)
			continue
		}
		if !l.count(at, name, 1) {
			return
		}
		add(found{host: h, at: at})
	}
}

func (l *loader) loadAnsible() {
	if len(l.opts.Inventories) == 0 {
		return
	}
	inv := ansible.Load(l.ctx, ansible.Options{Sources: l.opts.Inventories, Limits: l.limits()}, &l.problems)
	if inv == nil {
		return
	}
	l.ansibles = newAnsibles(inv)
}

// adder returns the function that adds selected hosts, with what the inventories know
// about them.
func (l *loader) adder(c *collector) func(found) {
	if l.ansibles == nil {
		return func(f found) { c.add(f) }
	}
	return func(f found) {
		known, err := l.ansibles.about(f.host)
		if err != nil {
			l.failed(f.at, f.host.String(), err)
			return
		}
		if known == nil {
			c.add(f)
			return
		}
		f.host = known.host
		c.add(f, known)
	}
}

// chosen returns the names that Patterns choose; nil means all.
func (l *loader) chosen() map[string]bool {
	if len(l.opts.Patterns) == 0 {
		return nil
	}
	names, err := l.universe.Select(l.opts.Patterns...)
	if err != nil {
		l.failed(place{source: "--limit"}, strings.Join(l.opts.Patterns, " "), err)
		return map[string]bool{}
	}
	chosen := make(map[string]bool, len(names))
	for _, name := range names {
		chosen[name] = true
	}
	return chosen
}

// addAnsible adds the hosts of the inventories, unless these only describe other hosts.
func (l *loader) addAnsible(c *collector, chosen map[string]bool) {
	if l.ansibles == nil || chosen == nil && len(l.opts.Hosts) > 0 {
		return
	}
	for _, h := range l.ansibles.inv.Hosts() {
		if chosen != nil && !chosen[h.Name] {
			continue
		}
		at := place{h.Source, h.Line}
		if !l.count(at, h.Name, 1) {
			return
		}
		f, err := l.ansibles.judge(h)
		if err != nil {
			if !l.excluded(c, h.Name) {
				l.failed(at, h.Name, err)
			}
			continue
		}
		c.add(*f)
	}
}

// excluded reports whether a host that cannot be used is excluded anyway.
func (l *loader) excluded(c *collector, name string) bool {
	if !c.rules.match(key{name: canonical(name)}) {
		return false
	}
	c.excluded++
	return true
}

// finish builds the list from the collected hosts.
func (l *loader) finish(c *collector) *List {
	if l.problems.Total > 0 {
		return nil
	}
	if len(c.hosts) == 0 {
		l.problems.Add(c.empty())
		return nil
	}
	list := &List{Hosts: c.hosts, details: c.details}
	list.Notices = append(l.includes.notices(), c.notices()...)
	if l.ansibles != nil {
		list.Notices = append(list.Notices, l.ansibles.notices()...)
	}
	l.where(list)
	l.pick(list)
	return list
}
