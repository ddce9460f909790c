package manual

import "strings"

// A roff is a text in the man(7) macros.
type roff struct{ strings.Builder }

// escape returns text that is printed as it is.
func escape(text string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`).Replace(text)
}

// macro adds a line for man: a name and its arguments, which are escaped here.
func (r *roff) macro(name string, args ...string) {
	r.WriteString("." + name)
	for _, a := range args {
		r.WriteString(` "` + strings.ReplaceAll(escape(a), `"`, `\(dq`) + `"`)
	}
	r.WriteByte('\n')
}

// line adds a line of text; one that begins like a request is none.
func (r *roff) line(text string) {
	if strings.HasPrefix(text, ".") {
		r.WriteString(`\&`)
	}
	r.WriteString(escape(text) + "\n")
}

// text adds paragraphs as help has them: those with an indented line keep their lines, others
// are filled.
func (r *roff) text(text string) {
	for i, paragraph := range strings.Split(strings.Trim(text, "\n"), "\n\n") {
		if i > 0 {
			r.macro("PP")
		}
		indented := strings.HasPrefix(paragraph, " ") || strings.Contains(paragraph, "\n ")
		if indented {
			r.macro("nf")
		}
		for line := range strings.SplitSeq(paragraph, "\n") {
			r.line(line)
		}
		if indented {
			r.macro("fi")
		}
	}
}

// entry adds a term and what it means.
func (r *roff) entry(term, text string) {
	r.macro("TP")
	r.macro("B", term)
	r.line(text)
}

// head begins a page: its name, its section, and what it belongs to.
func (r *roff) head(name, section, version string) {
	// Without a date the same sources make the same bytes.
	r.WriteString(".\\\" Made from the commands, by docs man.\n")
	r.macro("TH", strings.ToUpper(name), section, "", version, "shoal manual")
	r.WriteString(".nh\n.ad l\n")
}
