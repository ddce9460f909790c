package client

import (
	"slices"
	"strconv"
	"strings"

	"shoal/internal/ssh"
)

// notePrefix stands before the words of ssh.Notes among the marks, which have the day behind them.
const notePrefix = "note:"

// maxNotes limits the words kept for a host; beyond it the oldest are dropped.
const maxNotes = 16

// Noted implements ssh.Notes.
func (d *Dialer) Noted(t ssh.Target, word string) bool {
	e, _ := d.opts.Memory.Get(endpoint(t.Target))
	words, _ := notes(e.Marks)
	return slices.ContainsFunc(words, isNote(word))
}

// Note implements ssh.Notes.
func (d *Dialer) Note(t ssh.Target, word string, keep bool) {
	name := endpoint(t.Target)
	e, known := d.opts.Memory.Get(name)
	words, others := notes(e.Marks)
	if !known || slices.ContainsFunc(words, isNote(word)) == keep {
		return
	}
	words = slices.DeleteFunc(words, isNote(word))
	if keep {
		words = append(words, dated(notePrefix+word, today()))
	}
	e.Marks = append(others, words[max(0, len(words)-maxNotes):]...)
	d.opts.Memory.Put(name, e)
}

func isNote(word string) func(mark string) bool {
	return func(mark string) bool { return strings.HasPrefix(mark, notePrefix+word+"@") }
}

// notes separates the words of ssh.Notes that are not too old from the other marks, in lists of its
// own.
func notes(marks []string) (words, others []string) {
	for _, m := range marks {
		switch age, isNote := noteAge(m); {
		case !isNote:
			others = append(others, m)
		case 0 <= age && age < recheck:
			words = append(words, m)
		}
	}
	return words, others
}

// noteAge returns the age in days of a mark that is a note.
func noteAge(mark string) (days int, ok bool) {
	if !strings.HasPrefix(mark, notePrefix) {
		return 0, false
	}
	_, digits, _ := strings.Cut(mark, "@")
	day, err := strconv.Atoi(digits)
	if err != nil {
		return recheck, true
	}
	return today() - day, true
}
