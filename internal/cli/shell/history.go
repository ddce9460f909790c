package shell

import (
	"context"
	"strings"

	"shoal/internal/journal"
	"shoal/internal/ui"
)

// maxHistory is the number of earlier lines that the arrow keys find.
const maxHistory = 500

// earlier is a term.History: what was typed, the oldest first.
type earlier []string

// history returns the commands of earlier runs that the journal has.
func (s *shell) history(ctx context.Context) *earlier {
	h := new(earlier)
	if s.journal == nil {
		return h
	}
	var newest []string
	for info, err := range s.journal.Runs(ctx, journal.Filter{Limit: maxHistory}) {
		if err != nil { // lines that are missing here are no reason to have no shell
			break
		}
		text := info.Command
		if text == "" || ui.Visible(text) != text || info.Settings != nil && info.Settings.NotCommands {
			continue
		}
		newest = append(newest, text)
	}
	for i := len(newest) - 1; i >= 0; i-- {
		h.Add(newest[i])
	}
	return h
}

// Add implements term.History. Equal lines after each other are one.
func (h *earlier) Add(line string) {
	if line = strings.TrimSpace(line); line == "" || len(*h) > 0 && (*h)[len(*h)-1] == line {
		return
	}
	if *h = append(*h, line); len(*h) > maxHistory {
		*h = (*h)[1:]
	}
}

// Len implements term.History.
func (h *earlier) Len() int { return len(*h) }

// At implements term.History: 0 is the newest.
func (h *earlier) At(i int) string { return (*h)[len(*h)-1-i] }
