package output

import (
	"strings"
	"time"

	"shoal/fleet"
	"shoal/internal/ui"
	"shoal/internal/watch"
)

// Changes prints what changed between two ticks of a watch, each change once under the folded
// names of its hosts: another answer as a diff, the rest as a line. First answers are left out.
// rest is the command that shows whole answers; "" means that there is none.
func (o Out) Changes(changes []watch.Change, now time.Time, rest string) error {
	for i := range changes {
		var text []byte
		switch c := &changes[i]; c.Kind {
		case watch.Changed:
			text = o.changed(c, rest)
		case watch.Stopped:
			notes := "stopped answering"
			if end := toldEnd(&c.End); end != "" {
				notes += ": " + end
			}
			if cause := toldCause(&c.End); cause != "" {
				if len(c.Members) > 1 {
					cause = "for example " + ui.Visible(c.Host.Host) + ": " + cause
				}
				notes += ": " + cause
			}
			text = append(o.label(memberNames(c.Members)+":", ui.Red), " "+notes+"\n"...)
		case watch.Back:
			notes := "answers again, as before"
			if len(c.Members) > 1 {
				notes = "answer again, as before"
			}
			if !c.Since.IsZero() {
				notes += "; the answer before was " + ui.Duration(max(0, now.Sub(c.Since))) + " ago"
			}
			text = append(o.label(memberNames(c.Members)+":", ui.Green), " "+notes+"\n"...)
		default:
			continue
		}
		if err := wrap(fleet.Stdout, o.write(text)); err != nil {
			return err
		}
	}
	return nil
}

// changed returns the block of another answer.
func (o Out) changed(c *watch.Change, rest string) []byte {
	var notes []string
	now, before := toldEnd(&c.Now.End), toldEnd(&c.Before.End)
	switch {
	case now == before:
	case now == "":
		notes = append(notes, "ok, before: "+before)
	case before == "":
		notes = append(notes, now+", before: ok")
	default:
		notes = append(notes, now+", before: "+before)
	}
	switch {
	case c.How == nil:
		notes = append(notes, "another answer; there was no room to keep both")
	case c.How.None():
		notes = append(notes, "the output is as before")
	}
	if c.Various {
		notes = append(notes, "text of "+ui.Visible(c.Host.Host)+", the others differ in masked text")
	}
	heading := memberNames(c.Members)
	if len(notes) > 0 {
		heading += ": " + strings.Join(notes, "; ")
	}
	text := block(o, heading, ui.Cyan)
	if c.How == nil {
		return text
	}
	for s, hunks := range c.How.Streams {
		if fleet.Stream(s) == fleet.Stderr && (c.How.Large[s] || len(hunks) > 0) {
			text = append(append(text, o.label("standard error", ui.Cyan)...), '\n')
		}
		if c.How.Large[s] {
			text = append(append(text, o.label("too large to be compared line by line", ui.Yellow)...), '\n')
		}
		text = o.appendHunks(text, hunks, rest)
	}
	return text
}
