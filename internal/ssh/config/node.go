package config

import (
	"errors"

	"shoal/internal/ssh/match"
)

// A file is a parsed configuration file. All hosts share it; it is never changed.
type file struct {
	path  string
	nodes []node
	// weight is the number of lines evaluated for the file and its includes.
	weight int
	// height is the number of include levels below the file.
	height int
	// plain means that no line has an effect where it does not apply, so that an Include that
	// does not apply may be skipped.
	plain bool
}

type nodeKind uint8

const (
	nodeSettings nodeKind = iota
	nodeHost
	nodeMatch
	nodeInclude
	nodeUnknown // an unknown keyword, an error unless IgnoreUnknown matches
)

// A node is a line of a file.
type node struct {
	kind     nodeKind
	next     int // the node to continue at if lines do not apply
	source   *Source
	settings []*setting
	patterns patterns // for a Host line
	criteria []criterion
	files    []*file
	keyword  string // for nodeUnknown
}

func readHost(l *line) error {
	if l.file == nil {
		return errNotOnCommandLine
	}
	words, err := l.all()
	if err != nil {
		return err
	}
	l.node.kind = nodeHost
	for _, w := range words {
		l.node.patterns = append(l.node.patterns, parsePattern(w))
	}
	return nil
}

var errNotOnCommandLine = errors.New("is not an option of the command line")

// name returns a keyword's first name.
func (c *Config) name(o op) string { return c.names[o] }

// Why returns the source of a keyword's value; for keywords with accumulated values, that of
// the first. For an unknown keyword it returns the source of a default.
func (r *Resolved) Why(keyword string) Source {
	k := r.config.keywords[match.Lower(keyword)]
	if k == nil {
		return Source{}
	}
	for _, list := range [][]*setting{r.several(k.op), {r.values.first[k.op]}} {
		if len(list) > 0 && list[0] != nil {
			return *list[0].source
		}
	}
	return Source{}
}

// several returns the values of a keyword whose values accumulate.
func (r *Resolved) several(o op) []*setting {
	switch o {
	case opIdentityFile:
		return r.values.identities
	case opCertificateFile:
		return r.values.certificates
	case opSendEnv:
		return r.values.sendEnv
	case opLocalForward, opDynamicForward:
		return r.values.local
	case opRemoteForward:
		return r.values.remote
	}
	return nil
}
