package output

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"shoal/fleet"
	"shoal/hosts/expr"
	"shoal/internal/groups"
	"shoal/internal/ui"
)

// GatheredLinesOptions configure GatheredLines.
type GatheredLinesOptions struct {
	// Stdout gets the lines of standard output. Stderr gets those of standard error and, at
	// the end, how targets ended that are not ok.
	Stdout, Stderr Out
	// Apart gathers standard error too. Without it its lines are printed as they come, each
	// behind the name of its host.
	Apart bool
	// NoPrefix omits the names.
	NoPrefix bool
	// Targets is the number of targets of which results come; 0 means that it is unknown:
	// then lines are printed by Close.
	Targets int
	// Memory limits the lines that wait for other hosts, in bytes; 0 means 64 MiB. Beyond it
	// the earliest line is printed of the hosts that have it.
	Memory int
}

// GatheredLines prints equal lines once, each behind the folded names of its hosts, as
// clush -bL does: the first lines of all hosts, then the second, and so on, each as soon as
// every target has sent it or has ended without it. It is safe for concurrent use.
type GatheredLines struct {
	opts GatheredLinesOptions

	mu      sync.Mutex
	columns [fleet.NumStreams]column
	seen    map[int]*sender // by Target.Index; no result yet
	memory  int             // bytes of lines that wait
	ends    map[string]*ending
	order   []*ending
	buf     []byte
	errs    [fleet.NumStreams]error // sticky: after EPIPE nothing more is written
}

// A column has the lines of one stream that are not yet printed.
type column struct {
	first   int         // the number of the first of them, from 0
	lines   []row       // from first on
	short   int         // targets that ended with fewer lines
	endedAt map[int]int // targets by the number of their lines
}

// A row is one line of all targets.
type row struct {
	texts map[string][]groups.Member
	have  int
}

// A sender is a target that is not yet at its end.
type sender struct {
	attempt int
	streams [fleet.NumStreams]sent
}

// sent is what has come of one stream.
type sent struct {
	lines   int
	taken   int64 // bytes in lines, and in partial
	printed int64 // bytes in lines that were printed
	partial []byte
	waiting bool // the line is too long to keep twice: the result has it
}

// An ending is a way in which targets ended.
type ending struct {
	notes   string
	example groups.Member
	cause   string
	members []groups.Member
}

// NewGatheredLines returns a GatheredLines that has printed nothing.
func NewGatheredLines(o GatheredLinesOptions) *GatheredLines {
	if o.Targets == 0 {
		o.Targets = math.MaxInt
	}
	o.Memory = cmp.Or(o.Memory, 64<<20)
	g := &GatheredLines{opts: o, seen: make(map[int]*sender), ends: make(map[string]*ending)}
	for s := range g.columns {
		g.columns[s].endedAt = make(map[int]int)
	}
	return g
}

// Follow takes output of a running command; see [Live.Follow].
func (g *GatheredLines) Follow(t fleet.Target, attempt int, s fleet.Stream, fresh []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	from := g.seen[t.Index]
	if from != nil && from.attempt != attempt {
		g.forget(&t, from)
		from = nil
	}
	if from == nil {
		from = &sender{attempt: attempt}
		g.seen[t.Index] = from
	}
	in := &from.streams[s]
	if in.waiting {
		return
	}
	in.taken += int64(len(fresh))
	for len(fresh) > 0 {
		line, rest, whole := bytes.Cut(fresh, []byte{'\n'})
		fresh = rest
		if !whole {
			in.partial = append(in.partial, line...)
			if len(in.partial) > maxLine {
				in.taken -= int64(len(in.partial))
				in.partial, in.waiting = nil, true
			}
			break
		}
		if len(in.partial) > 0 {
			line = append(in.partial, line...)
			in.partial = in.partial[:0]
		}
		g.line(&t, s, in, line)
	}
	g.print()
}

// Result takes what Follow has not, and how the target ended.
func (g *GatheredLines) Result(r fleet.Result) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	from := g.seen[r.Target.Index]
	delete(g.seen, r.Target.Index)
	if from != nil && !from.isOf(&r) {
		g.forget(&r.Target, from)
		from = nil
	}
	if from == nil {
		from = new(sender)
	}
	for s, out := range []fleet.Output{r.Stdout, r.Stderr} {
		s, in := fleet.Stream(s), &from.streams[s]
		rest := out.Bytes[min(in.taken, int64(len(out.Bytes))):]
		if len(in.partial) > 0 {
			rest = append(in.partial, rest...)
		}
		for line := range bytes.Lines(rest) {
			g.line(&r.Target, s, in, bytes.TrimSuffix(line, []byte{'\n'}))
		}
		column := &g.columns[s]
		if in.lines < column.first {
			column.short++
		} else {
			column.endedAt[in.lines]++
		}
	}
	for s := range g.columns {
		column := &g.columns[s]
		column.short += column.endedAt[column.first]
		delete(column.endedAt, column.first)
	}
	g.end(&r)
	g.print()
	return g.err()
}

// isOf reports whether r has the output that was followed; see followed.isOf.
func (f *sender) isOf(r *fleet.Result) bool {
	return f.attempt == r.Attempt && f.streams[fleet.Stdout].taken <= r.Stdout.Size && f.streams[fleet.Stderr].taken <= r.Stderr.Size
}

// line takes one line of a target, without its newline.
func (g *GatheredLines) line(t *fleet.Target, s fleet.Stream, in *sent, text []byte) {
	column, n := &g.columns[s], in.lines
	in.lines++
	member := groups.Member{Index: t.Index, Host: t.Host.String()}
	if n < column.first || s == fleet.Stderr && !g.opts.Apart {
		in.printed += int64(len(text)) + 1
		g.write(s, []groups.Member{member}, text)
		return
	}
	for n-column.first >= len(column.lines) {
		column.lines = append(column.lines, row{texts: make(map[string][]groups.Member)})
		g.memory += rowSize
	}
	r := &column.lines[n-column.first]
	members, known := r.texts[string(text)]
	if !known {
		g.memory += len(text)
	}
	g.memory += memberSize
	r.texts[string(text)] = append(members, member)
	r.have++
}

// memberSize is about what a name in a row costs, and rowSize a row of one text, in bytes.
const (
	memberSize = 32
	rowSize    = 448
)

// forget takes back the lines of an attempt that failed, and tells how much of it was
// printed.
func (g *GatheredLines) forget(t *fleet.Target, from *sender) {
	var printed int64
	for s := range g.columns {
		column, in := &g.columns[s], &from.streams[s]
		printed += in.printed
		for n := column.first; n < in.lines; n++ {
			if n-column.first >= len(column.lines) {
				break
			}
			r := &column.lines[n-column.first]
			for text, members := range r.texts {
				if i := slices.IndexFunc(members, func(m groups.Member) bool { return m.Index == t.Index }); i >= 0 {
					r.texts[text] = slices.Delete(members, i, i+1)
					r.have--
					g.memory -= memberSize
				}
			}
		}
	}
	if printed > 0 {
		g.tell("shoal: " + string(g.opts.Stderr.label(t.Host.String()+":", ui.Red)) + fmt.Sprintf(
			" attempt %d failed; %s bytes of its output were shown, which do not belong to the result", from.attempt, ui.Count(printed)))
	}
}

// end notes how a target ended, and what its output lacks.
func (g *GatheredLines) end(r *fleet.Result) {
	notes := strings.Join(endNotes(r), "; ")
	if notes == "" {
		return
	}
	member := groups.Member{Index: r.Target.Index, Host: r.Target.Host.String()}
	e := g.ends[notes]
	if e == nil {
		e = &ending{notes: notes, example: member, cause: toldCause(&r.End)}
		g.ends[notes] = e
		g.order = append(g.order, e)
	}
	e.members = append(e.members, member)
}

// print prints the lines that every target has sent, or has ended without; and earlier ones
// if too many wait.
func (g *GatheredLines) print() {
	for s := range g.columns {
		column := &g.columns[s]
		for len(column.lines) > 0 && (column.lines[0].have+column.short >= g.opts.Targets || g.memory > g.opts.Memory) {
			g.printRow(fleet.Stream(s))
		}
	}
}

// printRow prints the first row of a column.
func (g *GatheredLines) printRow(s fleet.Stream) {
	column := &g.columns[s]
	type group struct {
		text    string
		members []groups.Member
	}
	var all []group
	for text, members := range column.lines[0].texts {
		g.memory -= len(text) + memberSize*len(members)
		if len(members) == 0 { // forgotten
			continue
		}
		slices.SortFunc(members, func(a, b groups.Member) int { return cmp.Compare(a.Index, b.Index) })
		all = append(all, group{text, members})
		for _, m := range members {
			if from := g.seen[m.Index]; from != nil {
				from.streams[s].printed += int64(len(text)) + 1
			}
		}
	}
	slices.SortFunc(all, func(a, b group) int {
		return cmp.Or(cmp.Compare(len(b.members), len(a.members)), cmp.Compare(a.members[0].Index, b.members[0].Index))
	})
	for _, group := range all {
		g.write(s, group.members, []byte(group.text))
	}
	column.lines[0] = row{}
	column.lines = column.lines[1:]
	g.memory -= rowSize
	column.first++
	column.short += column.endedAt[column.first]
	delete(column.endedAt, column.first)
}

// write prints a line behind the names of its hosts.
func (g *GatheredLines) write(s fleet.Stream, members []groups.Member, line []byte) {
	out, style := g.opts.Stdout, ui.Cyan
	if s == fleet.Stderr {
		out, style = g.opts.Stderr, ui.Yellow
	}
	names := members[0].Host
	if len(members) > 1 {
		names = expr.Fold(groups.Hosts(members))
	}
	prefix := append(out.label(names+":", style), ' ')
	if g.opts.NoPrefix {
		prefix = nil
	}
	g.buf = out.appendLine(g.buf[:0], prefix, slices.Concat(line, []byte{'\n'}))
	g.flush(s, out)
}

func (g *GatheredLines) flush(s fleet.Stream, out Out) {
	if g.errs[s] == nil {
		g.errs[s] = wrap(s, out.write(g.buf))
	}
	if cap(g.buf) > 16*maxLine {
		g.buf = nil
	}
}

// tell prints a line of our own.
func (g *GatheredLines) tell(text string) {
	text += "\n"
	if columns := g.opts.Stderr.Columns; columns != nil {
		text = ui.Wrap(text, columns())
	}
	g.buf = append(g.buf[:0], text...)
	g.flush(fleet.Stderr, g.opts.Stderr)
}

// Close prints the lines that wait, and how targets ended that are not ok, each way once.
func (g *GatheredLines) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for s := range g.columns {
		for len(g.columns[s].lines) > 0 {
			g.printRow(fleet.Stream(s))
		}
	}
	slices.SortStableFunc(g.order, func(a, b *ending) int { return cmp.Compare(len(b.members), len(a.members)) })
	for _, e := range g.order {
		text := "shoal: " + string(g.opts.Stderr.label(memberNames(e.members)+":", ui.Red)) + " " + e.notes
		if e.cause != "" {
			if len(e.members) > 1 {
				text += ": for example " + ui.Visible(e.example.Host)
			}
			text += ": " + e.cause
		}
		g.tell(text)
	}
	return g.err()
}

func (g *GatheredLines) err() error { return errors.Join(g.errs[:]...) }
