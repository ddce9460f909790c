package browse

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"shoal/internal/ui"
)

// maxPiece is the number of bytes of a line that are drawn as one piece.
const maxPiece = 4 << 10

// A piece is a line of a text, or a part of one that is very long.
type piece struct {
	text   string // of a host, not yet visible, unless ours is set
	line   int    // the number of its line, from 1
	stream int    // two texts may be shown one below the other
	at     int64  // its place in the stream, in bytes
	style  ui.Style
	ours   bool // the text is our own
}

// visible returns the text as it is drawn, with tabs as spaces.
func (p *piece) visible() string {
	if p.ours {
		return p.text
	}
	text := string(ui.AppendVisible(nil, []byte(p.text), ui.KeepTab))
	if !strings.Contains(text, "\t") {
		return text
	}
	var b strings.Builder
	at := 0
	for part := range strings.SplitAfterSeq(text, "\t") {
		word, tab := strings.CutSuffix(part, "\t")
		b.WriteString(word)
		if at += ui.Width(word); tab {
			b.WriteString("        "[at%8:])
			at += 8 - at%8
		}
	}
	return b.String()
}

// appendPieces appends the lines of a text that begins at a place of a stream.
func appendPieces(all []piece, text []byte, stream int, at int64, line int) []piece {
	whole := string(text)
	for whole != "" {
		n := strings.IndexByte(whole, '\n')
		next := n + 1
		if n < 0 {
			n, next = len(whole), len(whole)
		}
		shown := strings.TrimSuffix(whole[:n], "\r")
		for len(shown) > maxPiece {
			cut := maxPiece
			for cut > maxPiece-4 && shown[cut]&0xc0 == 0x80 { // within a character
				cut--
			}
			all = append(all, piece{text: shown[:cut], line: line, stream: stream, at: at})
			shown, at, whole, n, next = shown[cut:], at+int64(cut), whole[cut:], n-cut, next-cut
		}
		all = append(all, piece{text: shown, line: line, stream: stream, at: at})
		whole, at, line = whole[next:], at+int64(next), line+1
	}
	return all
}

// A textView shows a text that is longer and wider than the screen, as less does.
type textView struct {
	pieces []piece
	top    int // the first piece on the screen
	row    int // its first row on the screen, if lines are wrapped
	chop   bool
	left   int  // columns that are left of the screen, if lines are chopped
	follow bool // stay at the end
	find   *regexp.Regexp
}

// rows returns the rows of a piece.
func (v *textView) rows(i, columns int) []string {
	text := v.pieces[i].visible()
	if v.chop {
		_, text = ui.Cut(text, v.left)
		text, _ = ui.Cut(text, columns)
		return []string{text}
	}
	lines := []string{text}
	if v.pieces[i].ours { // between words
		lines = strings.Split(ui.Wrap(text, columns), "\n")
	}
	var rows []string
	for _, text := range lines {
		for more := true; more; more = text != "" {
			var row string
			row, text = ui.Cut(text, columns)
			rows = append(rows, row)
		}
	}
	return rows
}

// set replaces the text, and stays where it is in it.
func (v *textView) set(pieces []piece) {
	if v.top < len(v.pieces) && len(v.pieces) > 0 {
		at := v.pieces[v.top]
		v.top = 0
		for i := range pieces {
			if p := &pieces[i]; p.stream < at.stream || p.stream == at.stream && p.at <= at.at {
				v.top = i
			}
		}
	}
	v.pieces = pieces
}

// move scrolls by rows, down if n is positive.
func (v *textView) move(n, columns, lines int) {
	for ; n > 0; n-- {
		if v.row+1 < v.height(v.top, columns) {
			v.row++
		} else if v.top+1 < len(v.pieces) {
			v.top, v.row = v.top+1, 0
		} else {
			break
		}
	}
	for ; n < 0; n++ {
		v.follow = false
		if v.row > 0 {
			v.row--
		} else if v.top > 0 {
			v.top--
			v.row = v.height(v.top, columns) - 1
		} else {
			break
		}
	}
	v.clamp(columns, lines)
}

func (v *textView) height(i, columns int) int {
	if i >= len(v.pieces) {
		return 0
	}
	return len(v.rows(i, columns))
}

// end returns the place of the last screen.
func (v *textView) end(columns, lines int) (top, row int) {
	left := lines
	for i := len(v.pieces) - 1; i >= 0; i-- {
		h := v.height(i, columns)
		if h >= left {
			return i, h - left
		}
		left -= h
	}
	return 0, 0
}

// clamp moves back from beyond the last screen, and there if the end is followed.
func (v *textView) clamp(columns, lines int) {
	top, row := v.end(columns, lines)
	if v.follow || v.top > top || v.top == top && v.row > row {
		v.top, v.row = top, row
	}
}

// atEnd reports whether the last screen is shown.
func (v *textView) atEnd(columns, lines int) bool {
	top, row := v.end(columns, lines)
	return v.top == top && v.row >= row
}

// search moves to the next piece that matches, or the one before; false: there is none.
func (v *textView) search(back bool) bool {
	if v.find == nil {
		return false
	}
	step := 1
	if back {
		step = -1
	}
	for i := v.top + step; i >= 0 && i < len(v.pieces); i += step {
		if v.find.MatchString(v.pieces[i].visible()) {
			v.top, v.row, v.follow = i, 0, false
			return true
		}
	}
	return false
}

// draw appends the rows of the screen.
func (v *textView) draw(b *bytes.Buffer, columns, lines int, colour bool) {
	v.clamp(columns, lines)
	row := v.row
	for i := v.top; lines > 0; i++ {
		if i >= len(v.pieces) {
			for ; lines > 0; lines-- {
				b.WriteString("~\n")
			}
			return
		}
		rows := v.rows(i, columns)
		for _, text := range rows[min(row, len(rows)):] {
			if lines == 0 {
				return
			}
			style := v.pieces[i].style
			if !colour {
				style = ui.Plain
			}
			b.Write(v.marked(text, style))
			b.WriteByte('\n')
			lines--
		}
		row = 0
	}
}

// marked returns a row with what was searched for in reverse.
func (v *textView) marked(text string, style ui.Style) []byte {
	if v.find == nil {
		return style.Append(nil, text)
	}
	var b []byte
	at := 0
	for _, m := range v.find.FindAllStringIndex(text, -1) {
		if m[0] == m[1] {
			continue
		}
		if m[0] > at {
			b = style.Append(b, text[at:m[0]])
		}
		b = reverse.Append(b, text[m[0]:m[1]])
		at = m[1]
	}
	return style.Append(b, text[at:])
}

// place says which lines are shown, as less does.
func (v *textView) place(columns, lines int) string {
	if len(v.pieces) == 0 {
		return "empty"
	}
	text := fmt.Sprintf("line %s", ui.Count(int64(v.pieces[v.top].line)))
	if v.atEnd(columns, lines) {
		text += " (END)"
	}
	return text
}

// pattern returns what a search looks for: a regular expression, or the text itself if it is
// none; capitals count if there is one.
func pattern(text string) *regexp.Regexp {
	if text == "" {
		return nil
	}
	flags := ""
	if strings.ToLower(text) == text {
		flags = "(?i)"
	}
	re, err := regexp.Compile(flags + text)
	if err != nil {
		re = regexp.MustCompile(flags + regexp.QuoteMeta(text))
	}
	return re
}
