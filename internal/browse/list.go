package browse

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"shoal/fleet"
	"shoal/internal/runstate"
	"shoal/internal/ui"
)

// A target is a row with what only the browser knows of it.
type target struct {
	Row
	text   string    // a line of its output, made visible
	read   time.Time // LastByte when text was read
	loaded bool      // text is that of the whole output
	marked bool
	found  *regexp.Regexp // what hit is about; nil: it has changed since
	hit    bool           // it matches found
}

// A kind is what targets are counted by: in flight, waiting, or an outcome.
type kind uint8

const (
	kindInFlight = kind(fleet.NumOutcomes) + iota
	kindWaiting
	numKinds
)

func (t *target) kind() kind {
	switch t.State {
	case InFlight:
		return kindInFlight
	case Waiting:
		return kindWaiting
	}
	return kind(t.Outcome)
}

func (k kind) String() string {
	switch k {
	case kindInFlight:
		return "in flight"
	case kindWaiting:
		return "waiting"
	}
	return strings.ReplaceAll(fleet.Outcome(k).String(), "_", " ")
}

// order is that in which kinds are listed.
var order = []kind{
	kindInFlight, kindWaiting, kind(fleet.OutcomeFailed), kind(fleet.OutcomeSignalled), kind(fleet.OutcomeNeverStarted),
	kind(fleet.OutcomeRefused), kind(fleet.OutcomeUnknown), kind(fleet.OutcomeCancelled), kind(fleet.OutcomeDetached), kind(fleet.OutcomeOK),
}

// style is the colour of a kind.
func (k kind) style() ui.Style {
	switch fleet.Outcome(k) {
	case fleet.OutcomeFailed, fleet.OutcomeSignalled, fleet.OutcomeNeverStarted, fleet.OutcomeRefused, fleet.OutcomeUnknown:
		return ui.Red
	case fleet.OutcomeCancelled:
		return ui.Yellow
	case fleet.OutcomeOK, fleet.OutcomeDetached:
		return ui.Green
	}
	if k == kindInFlight {
		return ui.Cyan
	}
	return ui.Plain
}

// A cause is why targets ended as they did, or what they do.
type cause struct {
	kind     kind
	reason   fleet.Reason
	status   uint32
	signal   string
	activity runstate.Activity
}

func (t *target) cause() cause {
	c := cause{kind: t.kind()}
	switch t.State {
	case InFlight:
		c.activity = t.Activity
	case Done:
		c.reason, c.signal = t.Reason, t.Signal
		if t.Flags.Has(fleet.FlagExitKnown) && t.Outcome == fleet.OutcomeFailed {
			c.status = t.Status
		}
	}
	return c
}

// text names what tells it from others of its kind; "" if nothing does.
func (c cause) text() string {
	switch {
	case c.kind == kindInFlight:
		return c.activity.String()
	case c.signal != "":
		return "SIG" + ui.Visible(c.signal)
	case c.reason != fleet.ReasonNone:
		return strings.ReplaceAll(string(c.reason), "_", " ")
	case c.status != 0:
		return fmt.Sprintf("exit status %d", c.status)
	}
	return ""
}

// A filter says which targets are listed. The zero value lists all.
type filter struct {
	kind  *kind
	cause *cause
	group map[int]bool // indexes of targets; nil: any
	named string       // of group
	find  *regexp.Regexp
	typed string // of find
}

func (f *filter) has(t *target) bool {
	return (f.kind == nil || *f.kind == t.kind()) && (f.cause == nil || *f.cause == t.cause()) &&
		(f.group == nil || f.group[t.Index]) && (f.find == nil || t.hits(f.find))
}

// hits is matches, and remembers the answer: of thousands of targets few change at once.
func (t *target) hits(re *regexp.Regexp) bool {
	if t.found != re {
		t.found, t.hit = re, t.matches(re)
	}
	return t.hit
}

// matches reports whether what a person sees of a target matches.
func (t *target) matches(re *regexp.Regexp) bool {
	return re.MatchString(ui.Visible(t.Host)) || re.MatchString(t.state()) || re.MatchString(t.says())
}

func (f *filter) text() string {
	var parts []string
	if f.kind != nil {
		parts = append(parts, f.kind.String())
	}
	if f.cause != nil {
		parts = append(parts, strings.TrimSuffix(f.cause.kind.String()+", "+f.cause.text(), ", "))
	}
	if f.group != nil {
		parts = append(parts, f.named)
	}
	if f.find != nil {
		parts = append(parts, "&"+ui.Visible(f.typed))
	}
	return strings.Join(parts, "; ")
}

// list is the list of the targets: all, those that are listed, and a cursor that stays on its
// target when rows move.
type list struct {
	all    []target
	byID   map[int]int // position in all by Row.Index
	counts [numKinds]int
	wide   int // columns of the widest name
	moved  int // changes of what order and filters go by

	filter
	listed []int // positions in all
	cursor int   // in listed
	top    int   // the first on the screen
}

// apply takes changes, and reports whether the list has to be made anew.
func (l *list) apply(rows []Row) {
	if l.byID == nil {
		l.byID = make(map[int]int, len(rows))
	}
	for i := range rows {
		r := &rows[i]
		at, known := l.byID[r.Index]
		if !known {
			at = len(l.all)
			l.byID[r.Index] = at
			l.all = append(l.all, target{Row: *r})
			l.wide = max(l.wide, ui.Width(ui.Visible(r.Host)))
			l.counts[l.all[at].kind()]++
			l.moved++
			continue
		}
		t := &l.all[at]
		before := t.cause()
		l.counts[t.kind()]--
		if t.State != r.State || t.Attempt != r.Attempt {
			t.text, t.loaded, t.read = "", false, time.Time{}
		}
		t.Row, t.found = *r, nil
		l.counts[t.kind()]++
		if before != t.cause() || l.find != nil {
			l.moved++
		}
	}
}

// current returns the target under the cursor, or nil.
func (l *list) current() *target {
	if l.cursor >= len(l.listed) {
		return nil
	}
	return &l.all[l.listed[l.cursor]]
}

// arrange makes the list of what the filter has. The cursor stays on its target, and the target
// on its line of the screen; if it is listed no more, the one in its place has the cursor.
func (l *list) arrange() {
	on, line := -1, l.cursor-l.top
	if l.cursor < len(l.listed) {
		on = l.listed[l.cursor]
	}
	l.listed = l.listed[:0]
	for i := range l.all {
		if l.has(&l.all[i]) {
			l.listed = append(l.listed, i)
		}
	}
	slices.SortFunc(l.listed, func(a, b int) int {
		s, t := &l.all[a], &l.all[b]
		if l.kind != nil && *l.kind == kindInFlight { // the oldest first
			if c := s.Since.Compare(t.Since); c != 0 {
				return c
			}
		}
		return cmp.Compare(s.Index, t.Index)
	})
	if at := slices.Index(l.listed, on); at >= 0 {
		l.cursor = at
	}
	l.cursor = max(min(l.cursor, len(l.listed)-1), 0)
	l.top = max(l.cursor-line, 0)
	l.moved = 0
}

// scroll keeps the cursor on a screen of some lines.
func (l *list) scroll(lines int) {
	l.cursor = max(min(l.cursor, len(l.listed)-1), 0)
	l.top = min(l.top, l.cursor, max(len(l.listed)-lines, 0))
	l.top = max(l.top, l.cursor-lines+1, 0)
}

// search moves the cursor to the next target that matches, around the end; false: there is none.
func (l *list) search(re *regexp.Regexp, back bool) bool {
	n := len(l.listed)
	for i := 1; i <= n; i++ {
		at := (l.cursor + i) % n
		if back {
			at = (l.cursor - i + n) % n
		}
		if l.all[l.listed[at]].matches(re) {
			l.cursor = at
			return true
		}
	}
	return false
}

// chosen returns the marked targets, or the one under the cursor.
func (l *list) chosen() (targets []*target) {
	for i := range l.all {
		if l.all[i].marked {
			targets = append(targets, &l.all[i])
		}
	}
	if t := l.current(); targets == nil && t != nil {
		targets = append(targets, t)
	}
	return targets
}

// state says how far a target is, in a word or two.
func (t *target) state() string {
	switch t.State {
	case Waiting:
		return "waiting"
	case InFlight:
		text := t.Activity.String()
		if t.Activity == runstate.Connecting {
			text = t.Phase.String()
		}
		if t.Attempt > 1 {
			text += fmt.Sprintf(" #%d", t.Attempt)
		}
		return text
	}
	switch {
	case t.Outcome == fleet.OutcomeFailed && t.Flags.Has(fleet.FlagExitKnown):
		return fmt.Sprintf("failed %d", t.Status)
	case t.Signal != "":
		return "SIG" + ui.Visible(t.Signal)
	}
	return t.kind().String()
}

// says is the line about a target: why it failed, or a line of its output.
func (t *target) says() string {
	if t.State != Done || t.Outcome.Ran() || t.Outcome == fleet.OutcomeDetached {
		if t.text == "" && t.Reason != fleet.ReasonNone {
			return cause{kind: kindWaiting, reason: t.Reason}.text()
		}
		return t.text
	}
	text := strings.ReplaceAll(string(t.Reason), "_", " ")
	if t.Err != nil {
		text = strings.TrimPrefix(text+": "+ui.Visible(firstLine(t.Err.Error())), ": ")
	}
	return text
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line[:min(len(line), 400)]
}

// age is a time in at most 5 columns.
func age(d time.Duration) string {
	switch d = max(d, 0); {
	case d < 9950*time.Millisecond:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < 100*time.Second:
		return fmt.Sprintf("%.0fs", d.Seconds())
	case d < 100*time.Minute:
		return fmt.Sprintf("%.0fm", d.Minutes())
	case d < 100*time.Hour:
		return fmt.Sprintf("%.0fh", d.Hours())
	}
	return fmt.Sprintf("%.0fd", d.Hours()/24)
}

// since is the time that a target takes or took; "" if it has not begun.
func (t *target) since(now time.Time) string {
	switch {
	case t.State == InFlight:
		return age(now.Sub(t.Since))
	case t.State == Done && t.Took > 0:
		return age(t.Took)
	}
	return ""
}

// quiet is the age of the last byte of what is in flight.
func (t *target) quiet(now time.Time) string {
	switch {
	case t.State != InFlight || t.Activity < runstate.Running:
		return ""
	case t.LastByte.IsZero():
		return "-"
	}
	return age(now.Sub(t.LastByte))
}
