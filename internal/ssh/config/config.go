package config

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"shoal/internal/hint"
)

// LoadOptions configure what to read and how the configuration may access anything outside its
// files. The zero value reads what ssh reads.
type LoadOptions struct {
	// File is the argument of -F: a file to read instead of the user's and the system's, or
	// "none" for no file; "" means the user's and the system's.
	File string
	// Set are -o options, "Key=Value" or "Key Value"; they override the files.
	Set []string
	// UserFile is read first if File is ""; "" means ~/.ssh/config. It may be missing.
	UserFile string
	// SystemFile is read after UserFile; "" means /etc/ssh/ssh_config. It may be missing.
	// Relative Includes in it start at its directory.
	SystemFile string
	// Algorithms are what the client supports; empty lists mean OpenSSH's.
	Algorithms Algorithms
	// Local describes this machine and user; zero fields are filled in.
	Local Local
	// Exec runs the command of a Match exec; nil means the user's shell, like ssh. NoExec
	// forbids it.
	Exec ExecFunc
	// ExecTimeout bounds each of these commands; 0 means 10 s.
	ExecTimeout time.Duration
	// Waiting is called once, from another goroutine, for each command that runs longer than 2
	// s; nil disables it.
	Waiting func(command string)
	// Lookup returns the canonical name of a host for CanonicalizeHostname; nil means the
	// system's resolver.
	Lookup LookupFunc
}

const (
	defaultExecTimeout = 10 * time.Second
	waitingAfter       = 2 * time.Second
)

// Validate returns an error if the options are invalid.
func (o *LoadOptions) Validate() error {
	if o.ExecTimeout < 0 {
		return errors.New("the timeout of Match exec is negative")
	}
	return nil
}

// A Config is a parsed configuration. It is safe for concurrent use.
type Config struct {
	local       *Local
	keywords    map[string]*keyword
	names       [numOps]string     // the first name of each
	algorithms  [numLists][]string // offered by default
	commandLine *file
	perHost     *perHost
	files       []*file // the user's, then the system's
	wantFinal   bool    // there is a Match final
	exec        *execCache
	lookup      LookupFunc
	environ     func() []string // this process's, read once
}

// Load reads the configuration. Errors in its lines are returned together as [Problems].
func Load(o LoadOptions) (*Config, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	local, err := o.Local.withDefaults()
	if err != nil {
		return nil, err
	}
	if o.UserFile == "" {
		o.UserFile = filepath.Join(local.Home, ".ssh", "config")
	}
	if o.SystemFile == "" {
		o.SystemFile = "/etc/ssh/ssh_config"
	}
	if o.Lookup == nil {
		o.Lookup = lookupSystem
	}
	l := &loader{
		local: local, algorithms: &o.Algorithms, systemDir: filepath.Dir(o.SystemFile),
		keywords: indexKeywords(), files: make(map[fileKey]*file),
	}
	c := &Config{local: local, keywords: l.keywords, exec: newExecCache(&o, local), lookup: o.Lookup}
	c.environ = sync.OnceValue(local.Environ)
	for i := range keywordTable {
		c.names[keywordTable[i].op] = keywordTable[i].name
	}
	for id := range numLists {
		c.algorithms[id] = o.Algorithms.get(id).Default
	}
	c.commandLine = l.readOptions(CommandLine, o.Set)
	c.perHost = &perHost{base: *l, parsed: make(map[string]*file)}
	if c.files, err = l.readAll(&o); err != nil {
		return nil, fmt.Errorf("reading the SSH configuration: %w", err)
	}
	l.checkUnknown(append([]*file{c.commandLine}, c.files...))
	if len(l.problems) > 0 {
		return nil, fmt.Errorf("reading the SSH configuration: %w", l.problems)
	}
	c.wantFinal = l.wantFinal
	return c, nil
}

func (l *loader) readAll(o *LoadOptions) ([]*file, error) {
	if strings.EqualFold(o.File, "none") {
		return nil, nil
	}
	if o.File != "" {
		f, err := l.readFile(o.File, true, fileNamed)
		return []*file{f}, err
	}
	user, err := l.readFile(o.UserFile, true, fileUser)
	if err != nil {
		return nil, err
	}
	system, err := l.readFile(o.SystemFile, false, fileSystem)
	return []*file{user, system}, err
}

// readOptions parses options in the form of -o.
func (l *loader) readOptions(path string, options []string) *file {
	f := &file{path: path, plain: true}
	for i, text := range options {
		in := &line{loader: l, source: &Source{path, i + 1}, user: true}
		used, err := in.read(text)
		if err == nil && used {
			err = f.add(in.node)
		}
		if err != nil {
			l.problems = append(l.problems, &Problem{*in.source, in.keyword, err})
		}
	}
	f.link()
	return f
}

// perHost parses the options of single hosts, equal ones once.
type perHost struct {
	base loader // as it was before anything was read

	mu     sync.Mutex
	parsed map[string]*file
}

// maxPerHost bounds how many different lists of options are remembered.
const maxPerHost = 4096

// read returns nil for no options.
func (p *perHost) read(options []string) (*file, error) {
	if len(options) == 0 {
		return nil, nil //nolint:nilnil // no options are no error
	}
	key := strings.Join(options, "\x00")
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.parsed[key]; f != nil {
		return f, nil
	}
	l := p.base
	l.problems = nil
	f := l.readOptions(hostOptions, options)
	l.checkUnknown([]*file{f})
	if len(l.problems) > 0 {
		return nil, l.problems
	}
	if len(p.parsed) >= maxPerHost {
		clear(p.parsed)
	}
	p.parsed[key] = f
	return f, nil
}

var errUnknownKeyword = hint.New("unknown keyword", "if a newer ssh knows it, name it in IgnoreUnknown, above this line")

// checkUnknown reports unknown keywords that no IgnoreUnknown line can match. Whether an
// IgnoreUnknown line applies depends on the host.
func (l *loader) checkUnknown(files []*file) {
	var ignored []string
	for n := range allNodes(files) {
		for _, s := range n.settings {
			if s.op == opIgnoreUnknown {
				ignored = append(ignored, s.text)
			}
		}
	}
	for n := range allNodes(files) {
		saves := func(list string) bool { return matchListFold(n.keyword, list) }
		if n.kind == nodeUnknown && !slices.ContainsFunc(ignored, saves) {
			l.problems = append(l.problems, &Problem{*n.source, n.keyword, errUnknownKeyword})
		}
	}
}

// allNodes iterates over the lines of the files and everything they include, each file once.
func allNodes(files []*file) func(yield func(*node) bool) {
	return func(yield func(*node) bool) {
		seen := make(map[*file]bool)
		var walk func([]*file) bool
		walk = func(files []*file) bool {
			for _, f := range files {
				if seen[f] {
					continue
				}
				seen[f] = true
				for i := range f.nodes {
					if !yield(&f.nodes[i]) || !walk(f.nodes[i].files) {
						return false
					}
				}
			}
			return true
		}
		walk(files)
	}
}

// A NamedHost is a literal host name from a Host line.
type NamedHost struct {
	Name   string
	Source Source
}

// Hosts returns the literal names in Host lines, without wildcards and negations, in the order
// of the files, each once.
func (c *Config) Hosts() []NamedHost {
	var list []NamedHost
	seen := make(map[string]bool)
	for n := range allNodes(c.files) {
		for _, p := range n.patterns {
			if !p.literal || p.negated || seen[p.text] {
				continue
			}
			seen[p.text] = true
			list = append(list, NamedHost{p.text, *n.source})
		}
	}
	return list
}

// Files returns the files that were read, in the order of reading.
func (c *Config) Files() []string {
	var paths []string
	add := func(f *file) {
		if !slices.Contains(paths, f.path) {
			paths = append(paths, f.path)
		}
	}
	for _, f := range c.files {
		add(f)
	}
	for n := range allNodes(c.files) {
		for _, f := range n.files {
			add(f)
		}
	}
	return paths
}

// A LookupFunc returns the canonical name of a host, without a trailing dot, following CNAMEs
// as getaddrinfo(3) does with AI_CANONNAME. If name has a trailing dot, search domains must not
// be appended. found is false if there is no such name; any other failure is an error.
type LookupFunc func(ctx context.Context, name string) (canonical string, found bool, err error)
