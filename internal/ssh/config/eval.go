package config

import "context"

// An evaluation walks through the configuration for one host.
type evaluation struct {
	ctx      context.Context
	config   *Config
	options  *Options
	original string // the host as it was asked for
	host     string // the same, then what HostName and canonicalization made of it
	final    bool   // in the second pass
	values   values
}

// pass walks through all files once.
func (e *evaluation) pass() error {
	for _, f := range e.config.files {
		active := true
		if err := e.file(f, &active, false); err != nil {
			return err
		}
	}
	return nil
}

// file walks through a file. active says whether lines apply, and is left as the
// file's last Host or Match makes it; with never, none does.
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

// include walks through included files. What a Host or Match in them said ends
// with them.
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
