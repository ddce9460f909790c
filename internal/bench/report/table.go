package report

import (
	"strings"

	"shoal/internal/ui"
)

// A Table is text in rows and columns, safe for a terminal.
type Table struct {
	Name  string     // title
	Head  []string   // all "" means no head
	Left  int        // number of left-aligned columns; the others are right-aligned
	Rows  [][]string // each as long as Head
	Notes []string   // explanations of columns whose head is not enough
}

// gap separates two columns.
const gap = "  "

// Text formats the table for a terminal of the given width; 0 means 80. If the
// table is too wide, each row becomes a block of lines.
func (t Table) Text(columns int) string {
	if columns <= 0 {
		columns = 80
	}
	var b strings.Builder
	b.WriteString(wrap(t.Name, columns) + "\n")
	widths := t.widths()
	total := (len(widths) - 1) * len(gap)
	for _, w := range widths {
		total += w
	}
	if total <= columns {
		t.writeRows(&b, widths)
	} else {
		t.writeBlocks(&b, columns)
	}
	for _, n := range t.Notes {
		b.WriteString(wrap(n, columns) + "\n")
	}
	return b.String()
}

// Headless reports whether the columns have no names.
func (t Table) Headless() bool { return strings.Join(t.Head, "") == "" }

func (t Table) widths() []int {
	widths := make([]int, len(t.Head))
	for _, row := range append([][]string{t.Head}, t.Rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], ui.Width(cell))
		}
	}
	return widths
}

func (t Table) writeRows(b *strings.Builder, widths []int) {
	rules := make([]string, len(widths))
	for i, w := range widths {
		rules[i] = strings.Repeat("─", w)
	}
	rows := append([][]string{t.Head, rules}, t.Rows...)
	if t.Headless() {
		rows = t.Rows
	}
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			if i > 0 {
				line += gap
			}
			pad := strings.Repeat(" ", widths[i]-ui.Width(cell))
			if i < t.Left {
				line += cell + pad
			} else {
				line += pad + cell
			}
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

// writeBlocks writes each row as a block: the left columns in one line, then
// one line for each other column.
func (t Table) writeBlocks(b *strings.Builder, columns int) {
	name := 0
	for _, head := range t.Head[t.Left:] {
		name = max(name, ui.Width(head))
	}
	for _, row := range t.Rows {
		b.WriteString(wrap(strings.Join(row[:t.Left], gap), columns) + "\n")
		for i, cell := range row[t.Left:] {
			head := t.Head[t.Left+i]
			line := gap + head + strings.Repeat(" ", name-ui.Width(head)) + gap + cell
			b.WriteString(ui.Truncate(line, columns) + "\n")
		}
	}
}

// wrap breaks text between words.
func wrap(text string, columns int) string {
	var b strings.Builder
	used := 0
	for i, word := range strings.Fields(text) {
		w := ui.Width(word)
		switch {
		case i == 0:
		case used+1+w > columns:
			b.WriteByte('\n')
			used = 0
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += w
	}
	return b.String()
}

// Markdown formats the table for GitHub, under a level-3 heading.
func (t Table) Markdown() string {
	var b strings.Builder
	b.WriteString("### " + escape(t.Name) + "\n\n")
	rules := make([]string, len(t.Head))
	for i := range rules {
		rules[i] = "---:"
		if i < t.Left {
			rules[i] = ":---"
		}
	}
	writeMarkdownRow(&b, t.Head)
	b.WriteString("| " + strings.Join(rules, " | ") + " |\n")
	for _, row := range t.Rows {
		writeMarkdownRow(&b, row)
	}
	for _, n := range t.Notes {
		b.WriteString("\n" + escape(n) + "\n")
	}
	return b.String()
}

func writeMarkdownRow(b *strings.Builder, cells []string) {
	for _, cell := range cells {
		b.WriteString("| " + escape(cell) + " ")
	}
	b.WriteString("|\n")
}

// escape escapes text from a record for Markdown.
func escape(text string) string {
	return strings.NewReplacer(
		`\`, `\\`, `|`, `\|`, `<`, `&lt;`, `&`, `&amp;`, "`", "\\`", `*`, `\*`, `_`, `\_`, `[`, `\[`,
	).Replace(ui.Visible(text))
}
