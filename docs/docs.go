// Package docs has the pages for users that the program itself shows.
package docs

import (
	_ "embed" // the pages
	"strings"
)

// Reasons is the page about reasons.
//
//go:embed reasons.md
var Reasons string

// Reason returns the entry of a reason in [Reasons], without its heading; "" if there is none.
func Reason(name string) string {
	_, after, ok := strings.Cut(Reasons, "\n### "+name+"\n")
	if !ok {
		return ""
	}
	entry, _, _ := strings.Cut(after, "\n#")
	return strings.TrimSpace(entry)
}

// ReasonNames returns the reasons that have an entry, in its order.
func ReasonNames() []string {
	var names []string
	for line := range strings.Lines(Reasons) {
		if name, ok := strings.CutPrefix(line, "### "); ok {
			names = append(names, strings.TrimSpace(name))
		}
	}
	return names
}
