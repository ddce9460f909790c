package config

import "context"

// An evaluation evaluates the configuration for one host.
type evaluation struct {
	ctx      context.Context
	config   *Config
	options  *Options
	original string // the host as passed to Resolve
	host     string // initially the same, then changed by HostName and canonicalization
	final    bool   // in the second pass
	values   values
}

// pass evaluates all files once.
func (e *evaluation) pass() error {
	for _, f := range e.config.files {
		active := true
		if err := e.file(f, &active, false); err != nil {
			return err
		}
	}
	return nil
}

// file evaluates a file. active says whether lines apply, and is set by the file's Host and
// Match lines; with never, no line applies.
func (e *evaluation) file(f *file, active *bool, never bool) error {
	for i := 0; i < len(f.nodes); i++ {
		n := &f.nodes[i]
		switch n.kind {
		case nodeSettings:
			if !*active {
				i = n.next - 1
			}
			for _, s := range n.settings {
				if err := e.values.apply(s, *active); err != nil {
					return err
				}
			}
		case nodeHost:
			*active = !never && n.patterns.match(e.host)
		case nodeMatch:
			matches, err := e.match(n, never)
			if err != nil {
				return &Problem{*n.source, "match", err}
			}
			*active = matches
		case nodeInclude:
			if err := e.include(n, active, never); err != nil {
				return err
			}
		case nodeUnknown:
			s := e.values.first[opIgnoreUnknown]
			if s == nil || !matchListFold(n.keyword, s.text) {
				return &Problem{*n.source, n.keyword, errUnknownKeyword}
			}
		}
	}
	return nil
}

// include evaluates included files. The effect of a Host or Match line ends with its file.
func (e *evaluation) include(n *node, active *bool, never bool) error {
	for _, f := range n.files {
		inside := *active
		if !inside && f.plain {
			continue
		}
		if err := e.file(f, &inside, never || !inside); err != nil {
			return err
		}
	}
	return nil
}
