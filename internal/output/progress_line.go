package output

import (
	"fmt"
	"math"
	"strings"
	"time"

	"shoal/fleet"
	"shoal/internal/runstate"
	"shoal/internal/ui"
)

// A frame is the content of the progress line at one moment.
type frame struct {
	runstate.Snapshot
	left    []byActivity  // what is in flight, if nothing else is left and it is few
	longest time.Duration // the age of the oldest of left
}

// newFrame returns the frame of a run's state.
func newFrame(s *runstate.State, now time.Time) frame {
	f := frame{Snapshot: s.Now(now)}
	if left := f.Total - f.Done; left > 0 && left <= maxNamed && f.InFlight() == left {
		all := s.InFlight(now)
		f.left = groupByActivity(all)
		if len(all) > 0 {
			f.longest = all[0].Age
		}
	}
	return f
}

// A piece is a part of the line, in one or more lengths.
type piece struct {
	lengths []length // the longest first
	style   ui.Style
	number  int // of targets; of pieces with the same rank that with the least goes first
}

// A length is one text of a piece. If the line is too long, the text of the highest rank is
// replaced by the piece's next one, or dropped if it is the last. Rank 0 stays.
type length struct {
	text string
	rank int
}

func one(text string, rank int, style ui.Style) piece {
	return piece{lengths: []length{{text, rank}}, style: style}
}

func number(n int, what string, rank int, style ui.Style) piece {
	p := one(count(n)+" "+what, rank, style)
	p.number = n
	return p
}

// The ranks, from what is kept longest to what is dropped first.
const (
	rankDone = iota
	rankLargest
	rankStop     // stopping, the pause of a rollout
	rankNames    // only the names of what is left
	rankFailed   // and the stage
	rankUnknown  // results that are not known
	rankUnmade   // never started
	rankActive   // the largest number in flight, detached
	rankNumber   // other numbers
	rankDetails  // names with their phases
	rankLeft     // the time left
	rankSlow     // slow ones
	rankRate     //
	rankPercent  //
	rankElapsed  //
	rankLongForm // what has a shorter form
)

const (
	pieceGap = "  "
	minBar   = 10
	maxBar   = 30
	maxNamed = 10 // targets left whose names are shown
	maxNames = 40 // columns for one set of names
	fewNames = 18 // the same on a narrow terminal
)

// line returns the line in at most the given number of columns.
func (f frame) line(columns int, colour bool) string {
	pieces := f.pieces()
	for width(pieces) > columns && shorten(&pieces) {
	}
	if bar := f.bar(columns - width(pieces) - len(pieceGap)); bar != "" {
		pieces = append(pieces[:1], append([]piece{one(bar, 0, ui.Plain)}, pieces[1:]...)...)
	}
	if width(pieces) > columns {
		return ui.Truncate(pieces[0].lengths[0].text, columns)
	}
	return join(pieces, pieceGap, colour)
}

// text returns everything of the line, for a log.
func (f frame) text() string { return join(f.pieces(), ", ", false) }

func join(pieces []piece, gap string, colour bool) string {
	var b []byte
	for i, p := range pieces {
		if i > 0 {
			b = append(b, gap...)
		}
		if !colour {
			p.style = ui.Plain
		}
		b = p.style.Append(b, p.lengths[0].text)
	}
	return string(b)
}

// pieces returns the parts of the line. The larger a number of results or targets, the
// later it is dropped; of those that are not the largest, failures stay longest.
func (f *frame) pieces() []piece {
	var pieces []piece
	if f.Total > 0 {
		pieces = append(pieces, one(ui.Count(int64(f.Done))+"/"+ui.Count(int64(f.Total)), rankDone, ui.Plain))
		if f.left == nil {
			pieces = append(pieces, one(fmt.Sprintf("%d%%", min(100*int64(f.Done)/int64(f.Total), 100)), rankPercent, ui.Plain))
		}
	} else {
		pieces = append(pieces, one(ui.Count(int64(f.Done))+" done", rankDone, ui.Plain))
	}
	if f.Stopping {
		pieces = append(pieces, one("stopping", rankStop, ui.Yellow))
	}
	if f.Stage.Number > 0 {
		ended := ""
		if f.Pause > 0 {
			ended = " ended"
		}
		pieces = append(pieces, piece{lengths: []length{{StageText(f.Stage) + ended, rankNumber}, {shortStage(f.Stage) + ended, rankFailed}}})
	}
	if f.Pause > 0 {
		pieces = append(pieces, one(fmt.Sprintf("next in %d s", int64((f.Pause+time.Second-1)/time.Second)), rankStop, ui.Yellow))
	}
	pieces = append(pieces, f.results()...)
	if f.left != nil {
		pieces = append(pieces, f.lastOnes())
	} else {
		pieces = append(pieces, f.active()...)
	}
	pieces = append(pieces, f.slow()...)
	switch {
	case f.AllBytes > 0:
		pieces = append(pieces, one(ui.Bytes(f.Bytes)+" of "+ui.Bytes(f.AllBytes), rankRate, ui.Plain))
	case f.Done > 0 && f.left == nil:
		pieces = append(pieces, one(rateText(f.Rate()), rankRate, ui.Plain))
	}
	if left, known := f.Left(); known && (f.left == nil || f.AllBytes > 0) {
		pieces = append(pieces, one(leftText(left), rankLeft, ui.Plain))
	}
	if f.Elapsed >= time.Second {
		pieces = append(pieces, piece{lengths: []length{{seconds(f.Elapsed) + " elapsed", rankLongForm}, {seconds(f.Elapsed), rankElapsed}}})
	}
	return pieces
}

// StageText returns a stage of a rollout with the number of its targets.
func StageText(s runstate.Stage) string {
	text := fmt.Sprintf("stage %d", s.Number)
	if s.Stages > 0 {
		text += fmt.Sprintf(" of %d", s.Stages)
	}
	switch {
	case !s.Next.IsZero(), s.Targets == 0:
	case s.Targets == 1:
		text += ", 1 host"
	default:
		text += ", " + count(s.Targets) + " hosts"
	}
	return text
}

func shortStage(s runstate.Stage) string {
	if s.Stages == 0 {
		return fmt.Sprintf("stage %d", s.Number)
	}
	return fmt.Sprintf("stage %d/%d", s.Number, s.Stages)
}

// results returns the numbers of results by outcome.
func (f *frame) results() (pieces []piece) {
	n := func(outcomes ...fleet.Outcome) (sum int) {
		for _, o := range outcomes {
			sum += f.Outcomes[o]
		}
		return sum
	}
	ok, detached := n(fleet.OutcomeOK), n(fleet.OutcomeDetached)
	if ok > 0 || detached == 0 && !f.Watched {
		pieces = append(pieces, number(ok, "ok", rankNumber, ui.Plain))
	}
	most, largest := ok, 0
	for _, other := range []struct {
		n     int
		what  string
		rank  int
		style ui.Style
	}{
		{n(fleet.OutcomeFailed, fleet.OutcomeSignalled), "failed", rankFailed, ui.Red},
		{n(fleet.OutcomeNeverStarted, fleet.OutcomeRefused), "never started", rankUnmade, ui.Red},
		{n(fleet.OutcomeUnknown), "unknown", rankUnknown, ui.Red},
		{n(fleet.OutcomeCancelled), "cancelled", rankNumber, ui.Yellow},
		{detached, "detached", rankActive, ui.Plain},
	} {
		if other.n == 0 {
			continue
		}
		if other.n > most {
			most, largest = other.n, len(pieces)
		}
		pieces = append(pieces, number(other.n, other.what, other.rank, other.style))
	}
	if len(pieces) > 0 && f.left == nil {
		pieces[largest].lengths[0].rank = rankLargest
	}
	return pieces
}

// active returns the numbers of targets that have no result yet.
func (f *frame) active() (pieces []piece) {
	if !f.Watched {
		return nil
	}
	most, largest := 0, 0 // the largest stays longest
	add := func(n int, what string) {
		if n == 0 {
			return
		}
		if n > most {
			most, largest = n, len(pieces)
		}
		pieces = append(pieces, number(n, what, rankNumber, ui.Plain))
	}
	for a, n := range f.Active {
		add(n, runstate.Activity(a).String())
	}
	add(f.Waiting, "waiting")
	if len(pieces) > 0 {
		pieces[largest].lengths[0].rank = rankActive
	}
	return pieces
}

// lastOnes returns the names of what is left, with what they do.
func (f *frame) lastOnes() piece {
	var all []string
	var details []string
	for _, g := range f.left {
		all = append(all, g.names...)
		details = append(details, fmt.Sprintf("%s %s", foldNames(g.names, maxNames), g.activity))
	}
	names := []length{{"left: " + foldNames(all, maxNames), rankNames}, {"left: " + foldNames(all, fewNames), rankNames}}
	if len(f.left) == 1 {
		return piece{lengths: append([]length{{details[0], rankNames}}, names...)}
	}
	return piece{lengths: append([]length{{strings.Join(details, ", "), rankDetails}}, names...)}
}

// slow says how far what is slow is from the median.
func (f *frame) slow() []piece {
	switch {
	case f.left != nil && f.longest >= slowTold:
		text, style := "for "+seconds(f.longest), ui.Plain
		long := text
		if f.Median > 0 {
			long += fmt.Sprintf(" (median %s)", ui.Duration(f.Median))
		}
		if f.Slow > 0 {
			style = ui.Yellow
		}
		return []piece{{lengths: []length{{long, rankLongForm}, {text, rankSlow}}, style: style}}
	case f.left == nil && f.Slow > 0:
		text := count(f.Slow) + " slow"
		long := text + fmt.Sprintf(" (over %s, median %s)", ui.Duration(f.SlowAfter), ui.Duration(f.Median))
		return []piece{{lengths: []length{{long, rankLongForm}, {text, rankSlow}}, style: ui.Yellow}}
	}
	return nil
}

// slowTold is the age from which it is told how long the last ones have run.
const slowTold = 2 * time.Second

// seconds formats a time that grows while it is looked at.
func seconds(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%d s", int(d.Seconds()))
	}
	return ui.Duration(d)
}

func rateText(perSecond float64) string {
	if perSecond < 9.95 {
		return fmt.Sprintf("%.1f/s", perSecond)
	}
	return ui.Count(int64(math.Round(perSecond))) + "/s"
}

func leftText(left time.Duration) string {
	switch {
	case left < 59500*time.Millisecond:
		return fmt.Sprintf("%.0f s left", left.Seconds())
	case left >= 1000*time.Hour:
		return "a long time left"
	}
	return ui.Duration(left) + " left"
}

// bar returns the bar, or "" if there is no room or no total.
func (f *frame) bar(columns int) string {
	inner := min(columns, maxBar) - 2
	if f.Total <= 0 || inner < minBar-2 {
		return ""
	}
	full := int(min(int64(inner)*int64(f.Done)/int64(f.Total), int64(inner)))
	return "[" + strings.Repeat("=", full) + strings.Repeat(" ", inner-full) + "]"
}

func width(pieces []piece) int {
	sum := (len(pieces) - 1) * len(pieceGap)
	for _, p := range pieces {
		sum += ui.Width(p.lengths[0].text)
	}
	return sum
}

// shorten replaces or removes the text of the highest rank, and reports whether there was
// one above rank 0.
func shorten(pieces *[]piece) bool {
	last := 0
	for i, p := range *pieces {
		rank, most := p.lengths[0].rank, (*pieces)[last].lengths[0].rank
		if rank > most || rank == most && p.number < (*pieces)[last].number {
			last = i
		}
	}
	p := &(*pieces)[last]
	switch {
	case p.lengths[0].rank == rankDone:
		return false
	case len(p.lengths) > 1:
		p.lengths = p.lengths[1:]
	default:
		*pieces = append((*pieces)[:last], (*pieces)[last+1:]...)
	}
	return true
}
