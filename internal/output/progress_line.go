package output

import (
	"fmt"
	"strings"
	"time"

	"shoal/internal/ui"
)

// snapshot is the content of one frame of the progress line.
type snapshot struct {
	done, total, ok, failed, notStarted, unknown, detached int64 // total is 0 when unknown
	elapsed                                                time.Duration
	last                                                   time.Duration // of elapsed, until the last result
	stopping                                               bool

	flying              bool // the numbers below are known
	connecting, running int64
	names               string // of all targets that are left; "" if they are many
	stage               string
	pause               time.Duration // until the next stage; 0: none

	bytes, allBytes int64 // that were sent, and that are to be sent; 0: no files are
}

// A piece is a part of the line. If the line is too long, pieces of the highest rank are
// dropped first; a piece of rank 0 is never dropped.
type piece struct {
	text string
	rank int
}

const (
	pieceGap = "  "
	minBar   = 10
	maxBar   = 30
	maxNames = 40 // columns for the names of the targets that are left
)

// line returns the line in at most the given number of columns.
func (s snapshot) line(columns int) string {
	pieces := s.pieces()
	for width(pieces) > columns && dropLast(&pieces) {
	}
	if bar := s.bar(columns - width(pieces) - len(pieceGap)); bar != "" {
		pieces = append(pieces[:1], append([]piece{{text: bar}}, pieces[1:]...)...)
	}
	texts := make([]string, len(pieces))
	for i, p := range pieces {
		texts[i] = p.text
	}
	return ui.Truncate(strings.Join(texts, pieceGap), columns)
}

// pieces returns the parts of the line. The larger a number of results or targets, the
// later it is dropped; of those that are not the largest, failures stay longest.
func (s snapshot) pieces() []piece {
	pieces := []piece{{ui.Count(s.done), 0}}
	if s.total > 0 {
		pieces[0].text += "/" + ui.Count(s.total)
		if s.names == "" {
			pieces = append(pieces, piece{fmt.Sprintf("%d%%", min(100*s.done/s.total, 100)), 11})
		}
	} else {
		pieces[0].text += " done"
	}
	if s.stopping {
		pieces = append(pieces, piece{"stopping", 2})
	}
	if s.stage != "" {
		pieces = append(pieces, piece{s.stage, 3})
	}
	if s.pause > 0 {
		pieces = append(pieces, piece{fmt.Sprintf("next in %d s", int64((s.pause+time.Second-1)/time.Second)), 2})
	}
	pieces = append(pieces, s.results()...)
	pieces = append(pieces, s.flights()...)
	if s.names != "" {
		pieces = append(pieces, piece{ui.Truncate(s.names, maxNames), 4})
	}
	if s.allBytes > 0 {
		pieces = append(pieces, piece{ui.Bytes(s.bytes) + " of " + ui.Bytes(s.allBytes), 5})
		if left := s.elapsed.Seconds() * float64(s.allBytes-s.bytes) / float64(max(s.bytes, 1)); s.bytes > 0 && left >= 0.5 && s.elapsed > time.Second && !s.stopping && s.pause == 0 {
			pieces = append(pieces, piece{leftText(left), 6})
		}
		return pieces
	}
	if s.done == 0 || s.elapsed <= 0 || s.names != "" {
		return pieces
	}
	rate := float64(s.done) / s.elapsed.Seconds()
	pieces = append(pieces, piece{rateText(rate), 10})
	if left := float64(s.total-s.done) / rate; s.predictable(left) {
		pieces = append(pieces, piece{leftText(left), 9})
	}
	return pieces
}

// results returns the numbers of results by outcome.
func (s snapshot) results() (pieces []piece) {
	if s.ok > 0 || s.detached == 0 && !s.flying {
		pieces = append(pieces, piece{ui.Count(s.ok) + " ok", 8})
	}
	most, largest := s.ok, 0
	for _, other := range []struct {
		n    int64
		what string
		rank int
	}{
		{s.failed, " failed", 3},
		{s.notStarted, " never started", 6},
		{s.unknown, " unknown", 5},
		{s.detached, " detached", 7},
	} {
		if other.n == 0 {
			continue
		}
		if other.n > most {
			most, largest = other.n, len(pieces)
		}
		pieces = append(pieces, piece{ui.Count(other.n) + other.what, other.rank})
	}
	if len(pieces) > 0 {
		pieces[largest].rank = 1
	}
	return pieces
}

// flights returns the numbers of targets that have no result yet.
func (s snapshot) flights() (pieces []piece) {
	if !s.flying {
		return nil
	}
	waiting := int64(0)
	if s.total > 0 {
		waiting = max(s.total-s.done-s.connecting-s.running, 0)
	}
	most, largest := int64(0), 0 // the largest stays longest
	for _, part := range []struct {
		n    int64
		what string
	}{{s.connecting, " connecting"}, {s.running, " running"}, {waiting, " waiting"}} {
		if part.n == 0 {
			continue
		}
		if part.n > most {
			most, largest = part.n, len(pieces)
		}
		pieces = append(pieces, piece{ui.Count(part.n) + part.what, 8})
	}
	if len(pieces) > 0 {
		pieces[largest].rank = 7
	}
	return pieces
}

// predictable reports whether the time left, in seconds, is more than a guess: as many
// targets have run as are being worked on, results still come, and nothing stops the run.
func (s snapshot) predictable(left float64) bool {
	const least = 0.5 // less is 0 when rounded
	ran := s.done - s.notStarted
	return left >= least && !s.stopping && s.pause == 0 && ran > 0 && ran >= s.connecting+s.running &&
		(s.elapsed-s.last).Seconds() <= left
}

func rateText(perSecond float64) string {
	if perSecond < 9.95 {
		return fmt.Sprintf("%.1f/s", perSecond)
	}
	return ui.Count(int64(perSecond+0.5)) + "/s"
}

func leftText(seconds float64) string {
	if seconds < 59.5 {
		return fmt.Sprintf("%.0f s left", seconds)
	}
	const most = 1000 * time.Hour
	if seconds > most.Seconds() {
		return "a long time left"
	}
	return ui.Duration(time.Duration(seconds*float64(time.Second))) + " left"
}

// bar returns the bar, or "" if there is no room or no total.
func (s snapshot) bar(columns int) string {
	inner := int64(min(columns, maxBar) - 2)
	if s.total <= 0 || inner < minBar-2 {
		return ""
	}
	full := min(inner*s.done/s.total, inner)
	return "[" + strings.Repeat("=", int(full)) + strings.Repeat(" ", int(inner-full)) + "]"
}

func width(pieces []piece) int {
	sum := (len(pieces) - 1) * len(pieceGap)
	for _, p := range pieces {
		sum += ui.Width(p.text)
	}
	return sum
}

// dropLast removes the piece of the highest rank and reports whether there was one above
// rank 0.
func dropLast(pieces *[]piece) bool {
	last := 0
	for i, p := range *pieces {
		if p.rank > (*pieces)[last].rank {
			last = i
		}
	}
	if last == 0 {
		return false
	}
	*pieces = append((*pieces)[:last], (*pieces)[last+1:]...)
	return true
}
