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

func (s snapshot) pieces() []piece {
	pieces := []piece{{ui.Count(s.done), 0}}
	if s.total > 0 {
		pieces[0].text += "/" + ui.Count(s.total)
		pieces = append(pieces, piece{fmt.Sprintf("%d%%", min(100*s.done/s.total, 100)), 7})
	} else {
		pieces[0].text += " done"
	}
	if s.ok > 0 || s.detached == 0 {
		pieces = append(pieces, piece{ui.Count(s.ok) + " ok", 6})
	}
	for _, other := range []struct {
		n    int64
		what string
		rank int
	}{
		{s.failed, " failed", 1},
		{s.notStarted, " never started", 3},
		{s.unknown, " unknown", 2},
		{s.detached, " detached", 6},
	} {
		if other.n > 0 {
			pieces = append(pieces, piece{ui.Count(other.n) + other.what, other.rank})
		}
	}
	if s.done == 0 || s.elapsed <= 0 {
		return pieces
	}
	rate := float64(s.done) / s.elapsed.Seconds()
	pieces = append(pieces, piece{rateText(rate), 5})
	if left := s.total - s.done; left > 0 {
		pieces = append(pieces, piece{leftText(float64(left) / rate), 4})
	}
	return pieces
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
