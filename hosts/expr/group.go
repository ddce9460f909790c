package expr

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Groups are the named sets of hosts that expressions may use. A source is a
// namespace of groups; "" is the default one. An implementation may read files
// and run programs; a [Resolver] asks for each thing only once.
type Groups interface {
	// Group returns the definition of a group: an expression, in which groups
	// without a source belong to the same source. A blank one means no names.
	Group(source, name string) (string, error)
	// Names lists the groups of a source. Each may hold ranges, as in rack[1-3].
	Names(source string) ([]string, error)
	// All returns an expression for all hosts of a source. If the error is
	// errors.ErrUnsupported, they are the hosts of all its groups.
	All(source string) (string, error)
}

// ErrNoGroups is the error of a [Resolver] without Groups for a group or a wildcard; test for
// it with errors.Is.
var ErrNoGroups = errors.New("no group source is configured")

// Limits of groups, for one [Resolver].
const (
	// MaxGroupDepth bounds how deep groups are nested.
	MaxGroupDepth = 32
	// MaxGroups bounds how many references to groups are resolved.
	MaxGroups = 100_000
	// MaxGroupBytes bounds the length of all definitions together.
	MaxGroupBytes = 64 << 20
)

// A Resolver parses expressions that may name groups. It caches the definitions of groups, but
// not errors: create a new one to see a change. It must not be used concurrently.
type Resolver struct {
	// Source is the source of groups that are written without one; "" is the
	// default one.
	Source string
	// AnyCase has wildcards of the expression itself match in any case, for names that are
	// to be left out.
	AnyCase bool
	// Also are hosts that wildcards of the expression itself match as well as those of the
	// source. With them, wildcards need no Groups.
	Also []string

	groups Groups
	known  map[groupName]*Expr
	trail  []groupName // whose definitions are being read
	named  int
	bytes  int
}

// A groupName is a group, or all hosts of a source where the name is "*".
type groupName struct{ source, name string }

const allHosts = "*"

func (g groupName) String() string {
	if g.source == "" {
		return "@" + g.name
	}
	return "@" + g.source + ":" + g.name
}

// NewResolver returns a Resolver for expressions with these groups; nil is none.
func NewResolver(groups Groups) *Resolver { return &Resolver{groups: groups} }

// Parse reads an expression as [Parse] does, with groups and wildcards. Every
// error is a *[SyntaxError] and wraps what the Groups said.
func (r *Resolver) Parse(expr string) (Expr, error) {
	p := parser{expr: expr, resolver: r, source: r.Source, anyCase: r.AnyCase, also: r.Also}
	result, err := p.expression()
	if err != nil {
		return Expr{}, err
	}
	return result, nil
}

// All returns all hosts of a source, as @source:* does.
func (r *Resolver) All(source string) (Expr, error) {
	e, err := r.lookup(groupName{source, allHosts})
	if err != nil {
		return Expr{}, err
	}
	return *e, nil
}

// GroupNames lists the groups of a source as [Compare] orders them, with their
// ranges expanded.
func (r *Resolver) GroupNames(source string) ([]string, error) {
	if r.groups == nil {
		return nil, ErrNoGroups
	}
	listed, err := r.groups.Names(source)
	if err != nil {
		return nil, fmt.Errorf("listing groups: %w", err)
	}
	var names []string
	for _, text := range listed {
		expanded, err := Expand(text)
		if err != nil {
			return nil, fmt.Errorf("reading the name of a group: %w", err)
		}
		names = append(names, expanded...)
		if len(names) > MaxGroups {
			return nil, fmt.Errorf("more than %d groups", MaxGroups)
		}
	}
	slices.SortFunc(names, Compare)
	return slices.Compact(names), nil
}

// lookup returns a group's definition, parsed once.
func (r *Resolver) lookup(g groupName) (*Expr, error) {
	if e := r.known[g]; e != nil {
		return e, nil
	}
	if r.groups == nil {
		return nil, ErrNoGroups
	}
	if slices.Contains(r.trail, g) {
		return nil, fmt.Errorf("%v contains itself: %s", g, r.path(g))
	}
	if len(r.trail) == MaxGroupDepth {
		return nil, fmt.Errorf("more than %d groups inside each other: %s", MaxGroupDepth, r.path(g))
	}
	r.trail = append(r.trail, g)
	defer func() { r.trail = r.trail[:len(r.trail)-1] }()
	e, err := r.define(g)
	if err != nil {
		return nil, err
	}
	if r.known == nil {
		r.known = make(map[groupName]*Expr)
	}
	r.known[g] = e
	return e, nil
}

// path returns the chain of groups that led to a group.
func (r *Resolver) path(last groupName) string {
	var b strings.Builder
	for _, g := range r.trail {
		fmt.Fprintf(&b, "%.60s → ", g)
	}
	fmt.Fprintf(&b, "%.60s", last)
	return b.String()
}

func (r *Resolver) define(g groupName) (*Expr, error) {
	var text string
	var err error
	if g.name == allHosts {
		text, err = r.groups.All(g.source)
		if errors.Is(err, errors.ErrUnsupported) {
			return r.unite(g.source)
		}
	} else {
		text, err = r.groups.Group(g.source, g.name)
	}
	if err != nil {
		return nil, err
	}
	if r.bytes += len(text); r.bytes > MaxGroupBytes {
		return nil, fmt.Errorf("definitions of more than %d bytes", MaxGroupBytes)
	}
	if strings.Trim(text, blanks) == "" {
		return &Expr{}, nil
	}
	p := parser{expr: text, resolver: r, source: g.source}
	e, fault := p.expression()
	if fault != nil {
		return nil, fault
	}
	return &e, nil
}

// unite returns the hosts of all groups of a source, each once.
func (r *Resolver) unite(source string) (*Expr, error) {
	names, err := r.GroupNames(source)
	if err != nil {
		return nil, err
	}
	e := &Expr{}
	p := parser{expr: "@" + source + ":*", resolver: r, source: source}
	for _, name := range names {
		sub, err := r.lookup(groupName{source, name})
		if err != nil {
			return nil, fmt.Errorf("group %.60q: %w", name, err)
		}
		if err := p.add(e, term{op: union, sub: sub}, 0); err != nil {
			return nil, err
		}
	}
	set := e.Set()
	e.set, e.names = &set, set.Len()
	return e, nil
}
