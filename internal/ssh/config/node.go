package config

import "errors"

// A file is a configuration file as it was read. It is shared by all hosts and
// never changed.
type file struct {
	path  string
	nodes []node
	// weight is the number of lines that a walk through the file and what it
	// includes comes by.
	weight int
	// height is how many levels of files it includes below itself.
	height int
	// plain says that nothing in it acts where it does not apply, so that an
	// Include that does not apply may be skipped.
	plain bool
}

type nodeKind uint8

const (
	nodeSettings nodeKind = iota
	nodeHost
	nodeMatch
	nodeInclude
	nodeUnknown // a keyword that only IgnoreUnknown can save
)

// A node is a line of a file.
type node struct {
	kind     nodeKind
	next     int // where to go on when lines do not apply
	source   *Source
	settings []*setting
	patterns patterns // of a Host line
	criteria []criterion
	files    []*file
	keyword  string // of nodeUnknown
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
