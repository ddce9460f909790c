package expr

import (
	"errors"
	"fmt"
	"strings"
)

// group resolves a pattern that names groups and begins at start: @name, @source:name, with
// ranges, @*, @source:*, and the names of the groups themselves, @@ and @@source.
func (p *parser) group(pat pattern, start int) (*Expr, *SyntaxError) {
	if p.resolver.named += pat.names; p.resolver.named > MaxGroups {
		return nil, p.fail(start, "look for a digit too many", "more than %d groups are named", MaxGroups)
	}
	result := &Expr{}
	for name := range pat.all() {
		sub, err := p.oneGroup(name, start)
		if err != nil {
			return nil, err
		}
		if err := p.add(result, term{op: union, sub: sub}, start); err != nil {
			return nil, err
		}
	}
	return result, nil
}

func (p *parser) oneGroup(text string, start int) (*Expr, *SyntaxError) {
	if source, ok := strings.CutPrefix(text, "@@"); ok {
		e, err := p.resolver.namesOf(source)
		if err != nil {
			return nil, p.groupFault(text, start, err)
		}
		return e, nil
	}
	g := groupName{source: p.source, name: text[1:]}
	if source, name, ok := strings.Cut(g.name, ":"); ok {
		g = groupName{source, name}
	}
	if g.name == "" {
		return nil, p.fail(start, "write @name or @source:name", "no name of a group after %q", "@")
	}
	if g.name != allHosts && strings.ContainsAny(g.name, "*?") || strings.ContainsAny(g.source, "*?") {
		return nil, p.fail(start, "name the groups; @* is all hosts", "wildcard in the name of a group")
	}
	e, err := p.resolver.lookup(g)
	if err != nil {
		return nil, p.groupFault(g.String(), start, err)
	}
	return e, nil
}

// namesOf returns the names of a source's groups as if they were hosts.
func (r *Resolver) namesOf(source string) (*Expr, error) {
	names, err := r.GroupNames(source)
	if err != nil {
		return nil, err
	}
	e := &Expr{}
	for _, name := range names {
		e.terms = append(e.terms, term{op: union, pattern: literal(name)})
		e.names++
		e.bytes += len(name)
	}
	return e, nil
}

// groupFault reports why a group cannot be used.
func (p *parser) groupFault(group string, start int, err error) *SyntaxError {
	hint := "check the name of the group and its definition"
	var hinted interface{ Hint() string }
	switch {
	case errors.Is(err, ErrNoGroups):
		hint = "name the hosts, or put them into a file"
	case errors.As(err, &hinted) && hinted.Hint() != "":
		hint = hinted.Hint()
	}
	reason := fmt.Sprintf("group %.60q: %v", group, err)
	return &SyntaxError{Expr: p.expr, Offset: start, Reason: reason, hint: hint, cause: err}
}

// wildcard returns the known hosts that match a pattern, in any case if they are to be left
// out.
func (p *parser) wildcard(pat pattern, start int) (*Expr, *SyntaxError) {
	all, err := p.resolver.lookup(groupName{p.source, allHosts})
	if p.also != nil && noGroups(err) {
		all, err = &Expr{}, nil
	}
	if err != nil {
		fault := p.groupFault("@*", start, err)
		fault.Reason = fmt.Sprintf("a wildcard stands for known hosts: %v", err)
		return nil, fault
	}
	m := newMatcher(pat, p.anyCase || p.op == difference)
	var b Builder
	for name := range all.Names() {
		if m.match(name) {
			b.Add(name)
		}
	}
	result := &Expr{terms: []term{{op: union, sub: all}}, bytes: all.bytes}
	for _, name := range p.also {
		if m.match(name) {
			b.Add(name)
			result.terms = append(result.terms, term{op: union, pattern: literal(name)})
			result.bytes += len(name)
		}
	}
	set := b.Set()
	result.set, result.names = &set, set.Len()
	return result, nil
}

// noGroups reports whether an error of Groups means that there are none.
func noGroups(err error) bool {
	var none interface{ NoGroups() bool }
	return errors.Is(err, ErrNoGroups) || errors.As(err, &none) && none.NoGroups()
}

// literal returns the pattern of one name.
func literal(name string) pattern {
	return pattern{parts: []part{{literal: name}}, names: 1, bytes: len(name)}
}
