package ui

import "strings"

// AlignTable formats rows as a table for a terminal: the first and the last column are
// left-aligned, all others right-aligned.
func AlignTable(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, text := range row {
			widths[i] = max(widths[i], Width(text))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, text := range row {
			gap := strings.Repeat(" ", widths[i]-Width(text))
			switch {
			case i == 0:
				line.WriteString(text + gap)
			case i == len(row)-1:
				line.WriteString("  " + text)
			default:
				line.WriteString("  " + gap + text)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}
