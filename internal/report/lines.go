package report

import (
	"fmt"
	"strings"

	"shoal/fleet"
	"shoal/hosts/expr"
	"shoal/internal/groups"
	"shoal/internal/ui"
)

const (
	// fewGroups is the number of groups up to which diffs show how answers differ. Of more, it is
	// shown line by line.
	fewGroups = 50
	// maxLined is the number of groups, the largest, of which lines are compared, and maxLine the
	// size of an answer above which it is left out of that, in bytes.
	maxLined = 2000
	maxLine  = 64 << 10
	// maxVariants is the number of variants of a place that are shown, maxPlaceLines that of lines
	// in all, and namesColumns where names of hosts are cut.
	maxVariants   = 20
	maxPlaceLines = 400
	namesColumns  = 60
)

// lines returns the answers of many groups line by line: those that all have, and of the others
// each variant with the number and names of its hosts.
func (r *Report) lines(gs *groups.Groups, ref *groups.Group, answers []*groups.Group) (*Text, error) {
	var compared []*groups.Group
	hosts := 0
	for _, g := range answers[:min(len(answers), maxLined)] {
		if max(g.Sizes[fleet.Stdout], g.Sizes[fleet.Stderr]) <= maxLine {
			compared = append(compared, g)
			hosts += len(g.Members)
		}
	}
	if len(compared) < 2 {
		return nil, nil
	}
	if r.Reference == "" || max(ref.Sizes[fleet.Stdout], ref.Sizes[fleet.Stderr]) > maxLine {
		ref = nil // the most usual one
	}
	places, _, err := gs.Lines(ref, compared)
	if err != nil {
		return nil, err
	}
	t, shown, n := &Text{}, 0, len(ui.Count(int64(hosts)))
	under := strings.Repeat(" ", n+1)
	var b strings.Builder
	add := func(head, line string) {
		line = head + string(ui.AppendVisible(nil, []byte(strings.TrimSuffix(line, "\n")), ui.KeepTab)) + "\n"
		if shown++; shown > maxPlaceLines || b.Len()+len(line) > r.MaxText {
			t.Left += int64(len(line))
			return
		}
		b.WriteString(line)
	}
	stream := fleet.Stdout
	for _, p := range places {
		if p.Stream != stream {
			stream = p.Stream
			add("", "standard error:")
		}
		for _, line := range p.Common {
			add(under, line)
		}
		for i, v := range p.Variants {
			if i == maxVariants {
				add(under, fmt.Sprintf("… %s variants more", ui.Count(int64(len(p.Variants)-i))))
				break
			}
			head := fmt.Sprintf("%*s %s: ", n, ui.Count(int64(len(v.Members))), ui.Truncate(ui.Visible(expr.Fold(groups.Hosts(v.Members))), namesColumns))
			if len(v.Lines) == 0 {
				add(head, "(no such line)")
			}
			for _, line := range v.Lines {
				add(head, line)
				head = under + "  "
			}
		}
	}
	t.Text = b.String()
	r.Lined = hosts
	return t, nil
}
