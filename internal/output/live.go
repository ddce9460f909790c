package output

import (
	"fmt"
	"iter"
	"strings"
	"sync"
	"time"

	"shoal/fleet"
	"shoal/internal/ui"
)

// LiveOptions configure Live.
type LiveOptions struct {
	// Stdout gets the hosts' standard output. Stderr gets their standard error and one
	// line for each target that failed.
	Stdout, Stderr Out
	// NoPrefix omits the host's name before each line. Without Escape the output is then
	// exactly the bytes of the hosts, one after the other; with them stay the whole lines
	// that a failed attempt had written before its retry.
	NoPrefix bool
	// Align is the width to which names are padded on terminals (Out.Escape), in columns;
	// 0 pads none.
	Align int
	// Now returns the local time, which is written before each line: RFC 3339 with
	// milliseconds. nil writes none.
	Now func() time.Time
	// ByHost colours the names of different hosts differently, for commands that run for
	// long.
	ByHost bool
	// Brief prints the failures of only the first targets with each cause, and then once
	// that there are more. The caller must have another place for the others.
	Brief bool
}

// maxAlike is the number of failures with one cause that are printed if Brief is set.
const maxAlike = 3

// Live prints each line with the name of its host in front, and never mixes lines of
// different hosts. It is safe for concurrent use.
//
// Follow prints output while a command runs; Result prints the rest. The lock is held
// across writes on purpose: lines must be written one after the other, and a slow reader
// slows the callers down. A caller that must not block needs a queue.
type Live struct {
	opts LiveOptions

	mu   sync.Mutex
	seen map[int]*followed // by Target.Index
	buf  []byte
	told map[cause]int           // failures; used with Brief
	errs [fleet.NumStreams]error // sticky: after EPIPE nothing more is written
}

// A cause is what failures have in common.
type cause struct {
	outcome fleet.Outcome
	text    string
}

// NewLive returns a Live that has printed nothing.
func NewLive(o LiveOptions) *Live {
	return &Live{opts: o, seen: make(map[int]*followed), told: make(map[cause]int)}
}

// followed is the output of one attempt that Follow has taken.
type followed struct {
	attempt int
	streams [fleet.NumStreams]follower
}

// Follow prints the lines that fresh completes in one stream of a running command. Calls
// must pass the bytes of an attempt's stream from its beginning without gaps, and none
// after the target's Result. Another attempt begins anew: what the attempt before has
// printed stays, and a line says so. The next Result returns a write error. Follow does
// not keep fresh.
func (l *Live) Follow(t fleet.Target, attempt int, s fleet.Stream, fresh []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := l.seen[t.Index]
	if seen != nil && seen.attempt != attempt {
		l.giveUp(&t, seen)
		seen = nil
	}
	if seen == nil {
		seen = &followed{attempt: attempt}
		l.seen[t.Index] = seen
	}
	out := l.out(s)
	l.buf = seen.streams[s].follow(l.buf[:0], out, l.prefix(&t, s), fresh)
	l.flush(s)
}

// Result prints the output that Follow has not printed, and how the target ended unless it
// is ok.
func (l *Live) Result(r fleet.Result) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := l.seen[r.Target.Index]
	delete(l.seen, r.Target.Index)
	if seen != nil && !seen.isOf(&r) {
		l.giveUp(&r.Target, seen)
		seen = nil
	}
	if seen == nil {
		seen = new(followed)
	}
	for s, output := range []fleet.Output{r.Stdout, r.Stderr} {
		s := fleet.Stream(s)
		for f := &seen.streams[s]; !f.waiting && int64(len(output.Bytes))-f.taken > atOnce; { // a copy is made, and it may be large
			l.buf = f.follow(l.buf[:0], l.out(s), l.prefix(&r.Target, s), output.Bytes[f.taken:f.taken+atOnce])
			l.flush(s)
		}
		l.buf = seen.streams[s].finish(l.buf[:0], l.out(s), l.prefix(&r.Target, s), output.Bytes)
		l.flush(s)
	}
	if text := l.ending(&r); text != "" {
		l.tell(&r.Target, text)
	}
	return l.err()
}

// atOnce is how much of an output is printed at once, in bytes.
const atOnce = 1 << 20

// LeaveOut says that bytes of a running command are not shown after those that were passed to
// Follow.
func (l *Live) LeaveOut(t fleet.Target, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tell(&t, ui.Count(bytes)+" bytes of its output are left out here: they came faster than they are read")
}

// isOf reports whether r has the output that was followed. It has not if its attempt is
// another, or if an attempt that was to be repeated is the last: its output was dropped.
func (f *followed) isOf(r *fleet.Result) bool {
	return f.attempt == r.Attempt &&
		f.streams[fleet.Stdout].taken <= r.Stdout.Size && f.streams[fleet.Stderr].taken <= r.Stderr.Size
}

// giveUp ends the output of an attempt that failed and tells how much of it was printed.
// Incomplete lines are completed; where bytes must stay exact they are dropped instead, so
// that the next attempt's output begins on a line of its own.
func (l *Live) giveUp(t *fleet.Target, seen *followed) {
	var printed int64
	for s := range fleet.NumStreams {
		f, out, prefix := &seen.streams[s], l.out(s), l.prefix(t, s)
		printed += f.taken
		if len(prefix) == 0 && !out.Escape {
			printed -= int64(len(f.partial))
			continue
		}
		l.buf = out.appendLines(l.buf[:0], prefix, f.partial)
		l.flush(s)
	}
	if printed > 0 {
		l.tell(t, fmt.Sprintf("attempt %d failed; %s bytes of its output were shown, which do not belong to the result",
			seen.attempt, ui.Count(printed)))
	}
}

// tell prints a line of our own. Lines of hosts begin with the host's name, so none begins
// like this.
func (l *Live) tell(t *fleet.Target, text string) {
	l.buf = append(l.stamp(l.buf[:0]), "shoal: "...)
	l.buf = append(l.buf, l.opts.Stderr.label(t.Host.String()+":", ui.Red)...)
	l.buf = append(l.buf, ' ')
	l.buf = append(l.buf, text...)
	l.buf = append(l.buf, '\n')
	if columns := l.opts.Stderr.Columns; columns != nil {
		l.buf = []byte(ui.Wrap(string(l.buf), columns()))
	}
	l.flush(fleet.Stderr)
}

// ending returns what to print about a result in addition to its output. What an output lacks
// is told of each target: nothing else names these. mu must be held.
func (l *Live) ending(r *fleet.Result) string {
	if !l.opts.Brief || toldEnd(&r.End) == "" {
		return told(r)
	}
	alike := cause{r.Outcome, causeOf(&r.End)}
	l.told[alike]++
	switch n := l.told[alike]; {
	case n <= maxAlike:
		return told(r)
	case n == maxAlike+1:
		l.buf = append(l.stamp(l.buf[:0]), "shoal: … and more of "+alike.text+"\n"...)
		l.flush(fleet.Stderr)
	}
	return strings.Join(toldLoss(r), "; ")
}

// Close returns the first write error. It does not print incomplete lines of targets
// without a Result.
func (l *Live) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err()
}

func (l *Live) out(s fleet.Stream) Out {
	if s == fleet.Stderr {
		return l.opts.Stderr
	}
	return l.opts.Stdout
}

func (l *Live) prefix(t *fleet.Target, s fleet.Stream) []byte {
	stamp := l.stamp(nil)
	if l.opts.NoPrefix {
		return stamp
	}
	style := ui.Cyan
	switch {
	case s == fleet.Stderr:
		style = ui.Yellow
	case l.opts.ByHost:
		style = hostStyles[t.Index%len(hostStyles)]
	}
	name := t.Host.String() + ":"
	prefix := append(stamp, l.out(s).label(name, style)...)
	if l.out(s).Escape {
		for range l.opts.Align + len(":") - ui.Width(ui.Visible(name)) {
			prefix = append(prefix, ' ')
		}
	}
	return append(prefix, ' ')
}

// hostStyles tell hosts apart.
var hostStyles = [...]ui.Style{ui.Cyan, ui.Green, ui.Magenta, ui.Blue}

// stamp appends the time that is written before a line.
func (l *Live) stamp(dst []byte) []byte {
	if l.opts.Now == nil {
		return dst
	}
	return append(l.opts.Now().AppendFormat(dst, "2006-01-02T15:04:05.000Z07:00"), ' ')
}

// maxAlign is the widest name that others are aligned with.
const maxAlign = 24

// Align returns LiveOptions.Align for the targets: the width of the longest name, or 0 if
// that is too long.
func Align(targets iter.Seq[fleet.Target]) int {
	longest := 0
	for t := range targets {
		if longest = max(longest, ui.Width(ui.Visible(t.Host.String()))); longest > maxAlign {
			return 0
		}
	}
	return longest
}

// flush writes buf to the stream's writer.
func (l *Live) flush(s fleet.Stream) {
	if l.errs[s] == nil {
		l.errs[s] = wrap(s, l.out(s).write(l.buf))
	}
	if cap(l.buf) > 16*maxLine {
		l.buf = nil
	}
}

func (l *Live) err() error {
	if l.errs[fleet.Stdout] != nil {
		return l.errs[fleet.Stdout]
	}
	return l.errs[fleet.Stderr]
}
