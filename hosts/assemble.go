package hosts

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"shoal/fleet"
	"shoal/hosts/ansible"
	"shoal/hosts/expr"
	"shoal/hosts/groups"
	"shoal/hosts/internal/extcmd"
	"shoal/hosts/internal/problem"
	"shoal/hosts/limit"
	"shoal/internal/plainfile"
)

// load builds the list. Sources say which hosts exist, and Hosts choose from them. If something
// is chosen, or @groups are used, the sources are read before the expressions that refer to
// them; problems keep the order of the options.
func (l *loader) load() *List {
	var known sourced
	early := l.usesGroups() || len(l.opts.Hosts) > 0
	later := l.apart(func() {
		l.loadAnsible()
		if early {
			if l.ansibles != nil {
				l.universe = l.ansibles.inv.Universe()
			}
			l.parse = expr.NewResolver(l.opts.Groups).Parse
			l.files(known.add)
			l.configHosts(known.add)
			for _, f := range known.found {
				l.universe.AddHosts(f.host.Name)
			}
		}
	})
	all := l.groups()
	rules := newExclusions()
	c := newCollector(l.opts, rules, &l.problems)
	var named []found
	take := func(f found) { l.choose(c, &known, f) }
	// Patterns choose among all names, and wildcards of Exclude mean the hosts of Hosts too.
	first := slices.ContainsFunc(l.opts.Exclude, namesGroup)
	if first || len(l.opts.Patterns) > 0 {
		take = func(f found) { named = append(named, f) }
	}
	resolver := expr.NewResolver(all)
	read := func() {
		l.parse = resolver.Parse
		l.sources("-w", l.opts.Hosts, take)
	}
	if first {
		ofHosts := l.apart(read)
		idles := l.idles
		l.idles = nil
		l.exclude(all, rules, l.spelt(&known, named))
		l.idles = append(l.idles, idles...)
		l.problems.Join(ofHosts)
	} else {
		l.exclude(all, rules, nil)
		read()
	}
	if !early {
		l.parse = expr.NewResolver(l.opts.Groups).Parse
		add := func(f found) { c.add(f) }
		l.files(add)
		l.configHosts(add)
	}
	l.problems.Join(later)
	if l.problems.Total > 0 {
		return nil
	}
	chosen := l.chosen(&known, named)
	for _, f := range named {
		if chosen == nil || chosen.has(l.names(&known, f.host)...) {
			l.choose(c, &known, f)
		} else {
			c.limited = true
		}
	}
	if len(l.opts.Hosts) == 0 {
		for _, f := range known.found {
			if chosen == nil || chosen.has(f.host.Name) && !chosen.without(l.names(&known, f.host)...) {
				l.addSourced(c, f)
			}
		}
		l.addAnsible(c, chosen)
	}
	return l.finish(c)
}

// exclude reads Exclude. Its wildcards mean these names as well as those of the sources, and its files
// bring neither hosts nor groups: what is left out is no source.
func (l *loader) exclude(all expr.Groups, rules *exclusions, also []string) {
	sources := l.universe
	l.universe = new(limit.Universe)
	defer func() { l.universe = sources }()
	resolver := expr.NewResolver(all)
	resolver.AnyCase, resolver.Also = true, also
	l.parse = resolver.Parse
	l.sources("-x", l.opts.Exclude, func(f found) { rules.add(f.host) })
}

// spelt returns what wildcards may stand for beside the names of the sources: the names of Hosts, those of
// hosts that Hosts or sources write with a user or port, with both, and without, those of hosts whose name in an
// inventory has them.
func (l *loader) spelt(known *sourced, named []found) (names []string) {
	for _, f := range named {
		names = append(names, f.host.Name)
	}
	for _, all := range [][]found{known.found, named} {
		for _, f := range all {
			if f.host.User != "" || f.host.Port != 0 {
				names = append(names, f.host.String())
			}
		}
	}
	if l.ansibles == nil {
		return names
	}
	for _, known := range l.ansibles.inv.Hosts() {
		if h, err := ParseHost(known.Name); err == nil && h.Name != known.Name {
			names = append(names, h.Name)
		}
	}
	return names
}

// names returns the name of a host, and those by which the sources know it, in another case or with
// another user perhaps.
func (l *loader) names(known *sourced, h fleet.Host) (names []string) {
	own := h.Name
	if l.ansibles != nil {
		if about := l.ansibles.host(h); about != nil {
			names = append(names, about.Name)
			if canonical(about.Name) == canonical(h.User+"@"+h.Name) { // another host than that without user
				own = about.Name
			}
		}
	}
	for _, i := range known.byName[canonical(h.Name)] {
		names = append(names, known.found[i].host.Name)
	}
	return append(names, own)
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

// namesGroup reports whether text contains * or ?, or an @ without a user before it, or names
// a file, which may contain them.
func namesGroup(text string) bool {
	if text == "-" || strings.HasPrefix(text, "^") {
		return true
	}
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
	own := static(l.universe)
	if l.opts.Groups == nil {
		return own
	}
	return groups.Chain{First: own, Then: l.opts.Groups}
}

func static(u *limit.Universe) *groups.Static {
	return &groups.Static{Name: ownSource, Groups: u.Groups(), Members: u.Group}
}

// ownGroups returns the function behind [List.Groups].
func (l *loader) ownGroups(list *List) func() *groups.Static {
	return func() *groups.Static {
		all := new(limit.Universe)
		if l.ansibles != nil {
			all = l.ansibles.inv.Universe()
		}
		for _, name := range l.universe.Groups() {
			members, _ := l.universe.Group(name)
			all.AddGroup(name, members...)
		}
		for h := range list.Hosts() {
			all.AddHosts(h.Name)
		}
		return static(all)
	}
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
		if age := l.cache.Age(command); age > 0 {
			at.source += " (an answer of " + ago(age) + "; --cache 0 asks anew)"
		}
		l.lines(at, bytes.NewReader(out), add)
	}
}

// ago formats the age of an answer.
func ago(age time.Duration) string { return age.Truncate(time.Second).String() + " ago" }

// cached says whose answers came from the cache.
func (l *loader) cached() []string {
	if l.cache == nil {
		return nil
	}
	var notices []string
	for _, u := range l.cache.Used() {
		notices = append(notices, fmt.Sprintf("not asked, for its answer of %s was kept (--cache; --cache 0 asks anew): %s", ago(u.Age), problem.Bounded(u.Program)))
	}
	return notices
}

func (l *loader) limits() extcmd.Limits {
	return extcmd.Limits{Timeout: l.opts.CommandTimeout, Waiting: l.opts.Waiting, Cache: l.cache}
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
	inv := ansible.Load(l.ctx, ansible.Options{Sources: l.opts.Inventories, Dir: l.opts.VarsDir, Limits: l.limits()}, &l.problems)
	if inv == nil {
		return
	}
	l.ansibles = newAnsibles(inv)
}

// sourced are the entries of Files, Commands and ConfigHosts, from which Hosts and Patterns
// choose.
type sourced struct {
	found  []found
	byName map[string][]int // indexes in found, by canonical name
}

func (s *sourced) add(f found) {
	if s.byName == nil {
		s.byName = make(map[string][]int)
	}
	name := canonical(f.host.Name)
	s.byName[name] = append(s.byName[name], len(s.found))
	s.found = append(s.found, f)
}

// about returns the entries of a host, those with another user or port left out if h names
// one and some entry has it.
func (s *sourced) about(h fleet.Host) []found {
	var all, same []found
	for _, i := range s.byName[canonical(h.Name)] {
		f := s.found[i]
		f.known = true
		all = append(all, f)
		if (h.User == "" || h.User == f.host.User) && (h.Port == 0 || h.Port == f.host.Port) {
			same = append(same, f)
		}
	}
	if same != nil {
		return same
	}
	return all
}

// choose adds a host that Hosts name, with what the sources know about it. What the name itself
// says takes precedence.
func (l *loader) choose(c *collector, known *sourced, f found) {
	entries := known.about(f.host)
	if len(entries) == 0 {
		if !l.addSourced(c, f) && (known.found != nil || l.ansibles != nil) {
			c.unknown.add(f.host)
		}
		return
	}
	added := make(map[fleet.Host]bool, 1)
	for _, e := range entries {
		e.host.Name = f.host.Name
		if f.host.User != "" {
			e.host.User = f.host.User
		}
		if f.host.Port != 0 {
			e.host.Port = f.host.Port
		}
		first := !added[e.host]
		added[e.host] = true
		if first {
			g := f
			g.host = e.host
			l.addSourced(c, g)
		}
		l.addSourced(c, e)
	}
}

// addSourced adds a host and reports whether the inventories know it.
func (l *loader) addSourced(c *collector, f found) (known bool) {
	if l.ansibles == nil {
		c.add(f)
		return false
	}
	about, err := l.ansibles.about(f.host)
	switch {
	case err != nil:
		l.failed(f.at, f.host.String(), err)
	case about != nil:
		f.host = about.host
		c.add(f, about)
	default:
		c.add(f)
	}
	return err != nil || about != nil
}

// A choice is what Patterns choose by names; nil means all.
type choice struct{ chosen, left map[string]bool } // left, which they leave out, are folded

// has reports whether a host that has these names is chosen: by one of them, and left out by none.
func (c *choice) has(names ...string) bool {
	return !c.without(names...) && slices.ContainsFunc(names, func(name string) bool { return c.chosen[name] })
}

// without reports whether a host that has these names is left out.
func (c *choice) without(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return c.left[limit.Fold(name)] })
}

// chosen returns what Patterns choose of the sources and of what Hosts name.
func (l *loader) chosen(known *sourced, named []found) *choice {
	if len(l.opts.Patterns) == 0 {
		return nil
	}
	for _, f := range named {
		l.universe.AddHosts(l.names(known, f.host)...)
	}
	c := &choice{chosen: make(map[string]bool), left: make(map[string]bool)}
	var names, left []string
	patterns, err := l.patterns()
	if err == nil {
		names, left, err = l.universe.Split(patterns...)
	}
	if err != nil {
		l.failed(place{source: "--limit"}, strings.Join(l.opts.Patterns, " "), err)
		return c
	}
	for _, name := range names {
		c.chosen[name] = true
	}
	for _, name := range left {
		c.left[limit.Fold(name)] = true
	}
	return c
}

// patterns returns Patterns with the lines of the file in place of each @FILE.
func (l *loader) patterns() ([]string, error) {
	var patterns []string
	for _, text := range l.opts.Patterns {
		path, isFile := strings.CutPrefix(text, "@")
		if !isFile {
			patterns = append(patterns, text)
			continue
		}
		data, err := plainfile.ReadFile(path, MaxSource)
		if err != nil {
			return nil, fmt.Errorf("reading hosts: %w", err)
		}
		before := len(patterns)
		for line := range strings.Lines(string(data)) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				patterns = append(patterns, line)
			}
		}
		if len(patterns) == before {
			return nil, &fault{"the file names no hosts", "leave --limit out to choose all hosts"}
		}
	}
	return patterns, nil
}

// addAnsible adds the hosts of the inventories, those that are chosen if chosen is not nil.
func (l *loader) addAnsible(c *collector, chosen *choice) {
	if l.ansibles == nil {
		return
	}
	for _, h := range l.ansibles.inv.Hosts() {
		if chosen != nil && !chosen.has(h.Name) {
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
	if c.hosts.len() == 0 {
		if l.ansibles != nil {
			c.passedOver = l.ansibles.inv.PassedOver
		}
		l.problems.Add(c.empty())
		return nil
	}
	list := &List{hosts: c.hosts, details: c.details}
	list.groups = l.ownGroups(list)
	list.Notices = slices.Concat(l.includes.notices(), l.cached(), c.notices())
	if l.idle > 0 {
		shown, more := l.idles, ""
		if l.idle > shownIdle {
			shown, more = shown[:shownIdle], ", …"
		}
		list.Notices = append(list.Notices, "no host is meant by: "+strings.Join(shown, ", ")+more)
	}
	if l.ansibles != nil {
		list.Notices = append(list.Notices, l.ansibles.notices()...)
	}
	l.where(list)
	l.pick(list)
	return list
}
