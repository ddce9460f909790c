package hosts

import (
	"fmt"
	"io"

	"shoal/hosts/expr"
)

// printGroups lists the groups of the source; if hosts were given, only the
// groups that contain any of them.
func (c *calculator) printGroups(w io.Writer, hosts expr.Set) error {
	names, err := c.resolver.GroupNames(c.flags.source)
	if err != nil {
		return c.explained(err)
	}
	for _, name := range names {
		title := "@" + name
		if c.flags.source != "" {
			title = "@" + c.flags.source + ":" + name
		}
		if err := c.printGroup(w, title, hosts); err != nil {
			return err
		}
	}
	return nil
}

func (c *calculator) printGroup(w io.Writer, title string, hosts expr.Set) error {
	if c.flags.list == 1 && !c.asked() {
		_, err := fmt.Fprintln(w, title)
		return err
	}
	e, err := c.resolver.Parse(title)
	if err != nil {
		return err
	}
	members := e.Set()
	shown, count := members, fmt.Sprint(members.Len())
	if c.asked() {
		shown = hosts.Intersect(members)
		count = fmt.Sprintf("%d/%d", shown.Len(), members.Len())
		if shown.Len() == 0 {
			return nil
		}
	}
	line := []string{title, shown.Fold(), count}[:min(c.flags.list, 3)]
	for i, word := range line {
		if i > 0 {
			word = " " + word
		}
		if _, err := io.WriteString(w, word); err != nil {
			return err
		}
	}
	_, err = io.WriteString(w, "\n")
	return err
}
