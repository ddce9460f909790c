package cli

import (
	"fmt"
	"io"

	"shoal/hostset"
)

// groupSource gives the groups that expressions may name. It is the one place
// that decides where they come from, and is asked only where a group, a
// wildcard or -a is used.
func groupSource() (hostset.Groups, error) {
	return nil, hostset.ErrNoGroups
}

// lateGroups open their groups when the first is asked for.
type lateGroups struct {
	open   func() (hostset.Groups, error)
	opened hostset.Groups
	err    error
}

func (l *lateGroups) groups() (hostset.Groups, error) {
	if l.opened == nil && l.err == nil {
		l.opened, l.err = l.open()
	}
	return l.opened, l.err
}

func (l *lateGroups) Group(source, name string) (string, error) {
	g, err := l.groups()
	if err != nil {
		return "", err
	}
	return g.Group(source, name)
}

func (l *lateGroups) Names(source string) ([]string, error) {
	g, err := l.groups()
	if err != nil {
		return nil, err
	}
	return g.Names(source)
}

func (l *lateGroups) All(source string) (string, error) {
	g, err := l.groups()
	if err != nil {
		return "", err
	}
	return g.All(source)
}

// printGroups lists the groups of the source or, where hosts are given, those
// that hold some of them.
func (c *calculator) printGroups(w io.Writer, hosts hostset.Set) error {
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

func (c *calculator) printGroup(w io.Writer, title string, hosts hostset.Set) error {
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
