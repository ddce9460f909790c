package groups

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"shoal/hosts/internal/extcmd"
	"shoal/hosts/internal/problem"
)

// Limits bound an upcall.
type Limits = extcmd.Limits

// Options say where groups come from.
type Options struct {
	// Files are configurations, of which those that exist are read in order; see
	// [Paths].
	Files []string
	// Limits bound every upcall; the zero value means 60 s and 64 MiB.
	Limits Limits
	// Now tells the time for the cache; nil means time.Now.
	Now func() time.Time
}

// A Resolver answers questions about groups. It is safe for concurrent use; one
// question is answered at a time. Errors have a method Hint() string where a
// person can do something.
type Resolver struct {
	ctx  context.Context //nolint:containedctx // its methods are those of a seam that knows no context
	opts Options

	mu      sync.Mutex
	read    bool
	err     error // of reading the configuration
	sources []*source
	byName  map[string]*source
	standby string // the default source
}

// New returns a Resolver. It reads nothing yet. When ctx ends, upcalls end.
func New(ctx context.Context, opts Options) *Resolver {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Resolver{ctx: ctx, opts: opts}
}

// A source is a namespace of groups.
type source struct {
	name string
	kind interface {
		group(r *Resolver, s *source, name string) (string, error)
		names(r *Resolver, s *source) ([]string, error)
		all(r *Resolver, s *source) (expression string, known bool, err error)
		reverse(r *Resolver, s *source, node string) ([]string, error)
	}
}

// Group returns the expression that a group stands for; groups inside of it name
// their source. An empty group is "".
func (r *Resolver) Group(source, name string) (string, error) {
	s, unlock, err := r.open(source)
	if err != nil {
		return "", err
	}
	defer unlock()
	text, err := s.kind.group(r, s, name)
	return qualify(text, s.name), err
}

// Names lists the groups of a source.
func (r *Resolver) Names(source string) ([]string, error) {
	s, unlock, err := r.open(source)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return s.kind.names(r, s)
}

// All returns the expression of all hosts of a source. For a source that does not tell them,
// the error is errors.ErrUnsupported: they are the hosts of all its groups, each of which is an
// expression of its own.
func (r *Resolver) All(source string) (string, error) {
	s, unlock, err := r.open(source)
	if err != nil {
		return "", err
	}
	defer unlock()
	text, known, err := s.kind.all(r, s)
	if err == nil && !known {
		err = fmt.Errorf("all hosts of the source %s: %w", problem.Bounded(s.name), errors.ErrUnsupported)
	}
	return qualify(text, s.name), err
}

// Reverse lists the groups that a source tells for a node. A source that cannot
// tell is an error that is ErrNoReverse; then groups are found by their members.
func (r *Resolver) Reverse(source, node string) ([]string, error) {
	s, unlock, err := r.open(source)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return s.kind.reverse(r, s, node)
}

// ErrNoReverse is the error of Reverse for a source without a reverse upcall.
var ErrNoReverse = errors.New("the source does not tell a node's groups")

// Sources lists the names of the sources, the default one first.
func (r *Resolver) Sources() ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.configure(); err != nil {
		return nil, err
	}
	var names []string
	for _, s := range r.sources {
		if s.name == r.standby {
			names = slices.Insert(names, 0, s.name)
		} else {
			names = append(names, s.name)
		}
	}
	return names, nil
}

// open locks the Resolver and finds a source.
// FileGroups lists the groups that are in files, and asks no program: those of the default
// source as NAME, others as SOURCE:NAME.
func (r *Resolver) FileGroups() ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.configure(); err != nil {
		return nil, err
	}
	var names []string
	for _, s := range r.sources {
		f, ok := s.kind.(*file)
		if !ok {
			continue
		}
		for _, name := range f.order {
			if s.name != r.standby {
				name = s.name + ":" + name
			}
			names = append(names, name)
		}
	}
	return names, nil
}

func (r *Resolver) open(name string) (*source, func(), error) {
	r.mu.Lock()
	s, err := r.find(name)
	if err != nil {
		r.mu.Unlock()
		return nil, nil, err
	}
	return s, r.mu.Unlock, nil
}

func (r *Resolver) find(name string) (*source, error) {
	if err := r.configure(); err != nil {
		return nil, err
	}
	if name == "" {
		name = r.standby
	}
	if s := r.byName[name]; s != nil {
		return s, nil
	}
	if len(r.sources) == 0 {
		return nil, noSources{problem.Faultf("write groups.conf or groups.d/NAME.yaml as for ClusterShell", "no source of groups is configured")}
	}
	known := make([]string, len(r.sources))
	for i, s := range r.sources {
		known[i] = s.name
	}
	return nil, problem.Faultf("known are "+problem.Bounded(strings.Join(known, ", ")), "no source of groups is called %q", problem.Bounded(name))
}

// noSources is the error for a configuration without sources.
type noSources struct{ *problem.Fault }

// NoGroups says that this is no mistake where groups are not needed; see expr.Resolver.Also.
func (noSources) NoGroups() bool { return true }

// Unwrap returns the fault.
func (n noSources) Unwrap() error { return n.Fault }

// configure reads the configuration once.
func (r *Resolver) configure() error {
	if !r.read {
		r.read = true
		r.byName = make(map[string]*source)
		r.err = r.load()
	}
	return r.err
}
