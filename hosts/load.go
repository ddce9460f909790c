package hosts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"shoal/hosts/expr"
	"shoal/hosts/internal/extcmd"
	"shoal/hosts/internal/problem"
	"shoal/hosts/limit"
	"shoal/internal/hint"
	"shoal/internal/plainfile"
)

// Load is [LoadContext] without cancellation.
func Load(opts Options) (*List, error) { return LoadContext(context.Background(), opts) }

// LoadContext reads all sources. The hosts keep the order in which they were
// written, those of opts.Hosts first, then those of Files, Commands, ConfigHosts and
// Inventories; of duplicates the first is kept. Two entries are duplicates when
// user (or opts.User), host name without regard to case, and port (or opts.Port, or
// fleet.DefaultPort) are the same; what they say of the host is joined.
//
// When ctx ends, programs are stopped, and each of them is a problem. Every error is a
// *[Problems], and then the List is nil.
func LoadContext(ctx context.Context, opts Options) (*List, error) {
	l := &loader{ctx: ctx, opts: opts, universe: new(limit.Universe)}
	if opts.Cache != nil {
		l.cache = &extcmd.Cache{Dir: opts.Cache.Dir, MaxAge: opts.Cache.MaxAge}
	}
	list := l.load()
	if l.problems.Total > 0 {
		return nil, &l.problems
	}
	return list, nil
}

// A loader reads sources and collects their problems.
type loader struct {
	ctx      context.Context //nolint:containedctx // a loader lives for one call of LoadContext
	opts     Options
	problems Problems
	includes includes
	total    int // names so far, including duplicates
	stdin    bool
	group    string // the current group of the host file being read, "" before the first
	universe *limit.Universe
	ansibles *ansibles // nil without Inventories
	parse    func(text string) (expr.Expr, error)
	cache    *extcmd.Cache // nil without Options.Cache
	idle     int           // operands of expressions that have no effect
	idles    []string      // the first of them
}

// shownIdle is how many operands without an effect are shown.
const shownIdle = 5

// A Problem is one entry that cannot be used.
type Problem = problem.Problem

// Problems holds all reasons why an inventory cannot be used. Load returns no
// other error.
type Problems = problem.Problems

// keptText bounds how much of an invalid text is kept, in bytes.
const keptText = problem.KeptText

// A fault is the reason why a text cannot be used, without its place.
type fault struct{ reason, hint string }

func (f *fault) Error() string { return f.reason }

// Hint returns advice for the user, in one line.
func (f *fault) Hint() string { return f.hint }

// A place is where a text was written.
type place struct {
	source string
	line   int
}

func (l *loader) problem(at place, text, reason, hint string) {
	l.problems.Add(Problem{Source: at.source, Line: at.line, Text: text, Reason: reason, Hint: hint})
}

// failed reports an error as a problem, with its hint if it has one.
func (l *loader) failed(at place, text string, err error) {
	l.problems.Failed(at.source, at.line, text, err)
}

// sources reads the values of flag, -w or -x.
func (l *loader) sources(flag string, values []string, add func(found)) {
	for _, value := range values {
		path, isFile := strings.CutPrefix(value, "^")
		switch {
		case value == "-":
			l.file("-", add)
		case isFile:
			l.file(path, add)
		default:
			l.argument(place{source: flag}, value, add)
		}
	}
}

func (l *loader) argument(at place, text string, add func(found)) {
	if f := checkBytes(text); f != nil {
		l.failed(at, text, f)
		return
	}
	l.expression(at, text, nil, add)
}

// file reads a host file; "-" is standard input.
func (l *loader) file(path string, add func(found)) {
	if path == "-" {
		at := place{source: "stdin"}
		switch {
		case l.opts.Stdin == nil:
			l.problem(at, "", "there is no standard input to read", "name the hosts, or a file")
		case l.stdin:
			l.problem(at, "", "standard input is named twice", "name it once")
		default:
			l.stdin = true
			l.lines(at, l.opts.Stdin, add)
		}
		return
	}
	at := place{source: path}
	if path == "" {
		l.problem(at, "", "no file name", "write -w ^FILE or --hostfile FILE")
		return
	}
	f, err := plainfile.Open(path)
	if err != nil {
		l.unreadable(at, err)
		return
	}
	defer func() { _ = f.Close() }() // nothing was written
	l.lines(at, f, add)
}

// unreadable reports a failed open or read of the file that at names.
func (l *loader) unreadable(at place, err error) {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		err = pathError.Err
	}
	l.problem(place{source: at.source}, "", "it cannot be read: "+err.Error(), "check the path and its permissions")
}

// lines reads a host file's text.
func (l *loader) lines(at place, r io.Reader, add func(found)) {
	l.group = ""
	defer func() { l.group = "" }()
	limited := &io.LimitedReader{R: r, N: MaxSource + 1}
	reader := newLineReader(limited)
	if err := reader.byteOrder(); err != nil {
		l.failed(at, "", err)
		return
	}
	for {
		text, tooLong, err := reader.next()
		if limited.N == 0 {
			l.problem(at, "", fmt.Sprintf("more than %d bytes", MaxSource), "is this a host file?")
			return
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			l.unreadable(at, err)
			return
		}
		at.line = reader.line
		if tooLong {
			l.problem(at, string(text), fmt.Sprintf("line of more than %d bytes", MaxLine), "write one expression to a line")
			continue
		}
		l.line(at, string(text), add)
	}
}

func (l *loader) line(at place, line string, add func(found)) {
	if f := checkBytes(line); f != nil {
		l.failed(at, line, f)
		return
	}
	if strings.HasPrefix(line, "#include ") {
		l.includes.add(at, line)
	}
	text := lineText(line)
	switch {
	case text == "" || l.section(at, text):
	case text[0] == '{':
		l.jsonLine(at, text, add)
	default:
		expression, facts, err := cutAttributes(text)
		if err != nil {
			l.failed(at, line, err)
			return
		}
		l.expression(at, expression, facts, add)
	}
}

// expression adds the hosts of an expression, up to the first invalid name, so that one
// mistake in a range is one problem.
func (l *loader) expression(at place, text string, about *facts, add func(found)) {
	if f := checkInvisible(text); f != nil {
		l.failed(at, text, f)
		return
	}
	e, err := l.parse(text)
	if err != nil {
		var syntax *expr.SyntaxError
		errors.As(err, &syntax)
		advice := cmp.Or(syntax.Hint(), hint.Of(syntax.Unwrap()))
		l.problem(at, text, fmt.Sprintf("position %d: %s", syntax.Offset+1, syntax.Reason), advice)
		return
	}
	for _, operand := range e.Idle() {
		if l.idle++; len(l.idles) < shownIdle {
			l.idles = append(l.idles, fmt.Sprintf("%s of %s", problem.Bounded(operand), problem.Printable(at.source)))
		}
	}
	if !l.count(at, text, e.Len()) {
		return
	}
	for name := range e.Names() {
		h, err := ParseHost(name)
		if err != nil {
			if name != text {
				err = &inName{name, err}
			}
			l.failed(at, text, err)
			return
		}
		if l.group != "" {
			l.universe.AddGroup(l.group, h.Name)
		}
		add(found{host: h, at: at, section: l.group, facts: about})
	}
}

// count reports whether that many hosts more can be held.
func (l *loader) count(at place, text string, n int) bool {
	if l.total > MaxHosts {
		return false
	}
	if l.total += n; l.total > MaxHosts {
		l.problem(at, text, fmt.Sprintf("more than %d hosts up to here", MaxHosts), "split the run")
		return false
	}
	return true
}

// inName is an error about one of an expression's names.
type inName struct {
	name string
	err  error
}

func (e *inName) Error() string { return fmt.Sprintf("%q: %v", problem.Bounded(e.name), e.err) }
func (e *inName) Unwrap() error { return e.err }
