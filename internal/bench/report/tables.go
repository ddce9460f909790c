package report

import (
	"fmt"
	"slices"
	"strings"

	"shoal/internal/ui"
)

// Tables returns all tables in reading order. Text from the records is made
// safe for a terminal.
func (r *Report) Tables() []Table {
	all := []Table{
		r.about(), r.timeTable(), r.speedUpTable(), r.spreadTable(), r.trendTable(), r.projectionTable(),
		r.boundsTable(), r.costTable(), r.phaseTable(), r.causeTable(),
	}
	return slices.DeleteFunc(all, func(t Table) bool { return len(t.Rows) == 0 })
}

// about is the table of the records' origin.
func (r *Report) about() Table {
	h := r.Header()
	t := Table{Name: "What was measured", Head: []string{"", ""}, Left: 2}
	add := func(what, text string) {
		if text != "" {
			t.Rows = append(t.Rows, []string{what, ui.Visible(text)})
		}
	}
	add("program", h.Program)
	add("commit", h.Commit)
	add("Go", h.Go)
	for _, f := range r.Files {
		add("record", fmt.Sprintf("%s, %s", f.Name, f.Header.Started.UTC().Format("2006-01-02 15:04 UTC")))
	}
	add("machine", fmt.Sprintf("%s, %s/%s, kernel %s", h.Machine.Host, h.Machine.OS, h.Machine.Arch, h.Machine.Kernel))
	add("processor", fmt.Sprintf("%s, %d cores", h.Machine.CPU, h.Machine.Cores))
	add("memory", ui.Bytes(h.Machine.Memory))
	add("command", h.Settings.Command)
	add("servers", fleetText(h.Settings.Fleet))
	add("workers", Count(h.Settings.Workers))
	if h.Settings.Limit > 0 {
		add("time limit", Time(h.Settings.Limit)+" for each run")
	}
	if h.Settings.Expect == "" {
		add("right", "outputs were not compared; every ok counts as right")
	}
	t.Notes = r.Notes
	return t
}

// perStrategy makes a table with a row for each number of hosts and a column
// for each strategy: measured values first, then the published ones.
func (r *Report) perStrategy(name string, cell func(Size) string, projected func(Projection) string, published func(Published) string) Table {
	t := Table{Name: name, Head: []string{"hosts", ""}, Left: 2}
	for _, s := range r.Strategies {
		t.Head = append(t.Head, ui.Visible(s.Name))
	}
	row := func(hosts int, kind string, text func(Strategy) string) {
		cells := []string{Count(hosts), kind}
		for _, s := range r.Strategies {
			cells = append(cells, text(s))
		}
		if slices.ContainsFunc(cells[2:], func(c string) bool { return c != none }) {
			t.Rows = append(t.Rows, cells)
		}
	}
	for _, n := range r.Sizes {
		row(n, "measured", func(s Strategy) string {
			if z, ok := s.At(n); ok && z.Measured() {
				return cell(z)
			}
			return none
		})
	}
	for _, n := range r.Projected {
		row(n, "projected", func(s Strategy) string {
			if p, ok := s.Projection(n); ok {
				return projected(p)
			}
			return none
		})
	}
	for _, n := range []int{200, Target} {
		row(n, "reference", func(s Strategy) string {
			for _, p := range Reference() {
				if p.Hosts != n || p.Strategy != s.Name {
					continue
				}
				if p.Projected {
					return "~" + published(p)
				}
				return published(p)
			}
			return none
		})
	}
	return t
}

const referenceNote = "reference: " + ReferenceName + ", on another machine"

func (r *Report) timeTable() Table {
	t := r.perStrategy("Execution time (median)",
		func(z Size) string { return Time(z.Wall.Median) + mark(z) },
		func(p Projection) string { return "~" + Time(p.Wall) },
		func(p Published) string { return Time(p.Wall) })
	t.Notes = []string{"~: projected from smaller sizes, not measured", referenceNote}
	if slices.ContainsFunc(t.Rows, func(row []string) bool { return strings.Contains(strings.Join(row, ""), "!") }) {
		t.Notes = append([]string{"!: runs were cut, or not every output was right"}, t.Notes...)
	}
	return t
}

func mark(z Size) string {
	if z.Right {
		return ""
	}
	return " !"
}

func (r *Report) speedUpTable() Table {
	if _, ok := r.Strategy(Serial); !ok {
		return Table{}
	}
	return r.perStrategy("Speed-up over serial",
		func(z Size) string { return Times(z.SpeedUp) },
		func(p Projection) string {
			if p.SpeedUp <= 0 {
				return none
			}
			return "~" + Times(p.SpeedUp)
		},
		func(p Published) string {
			for _, one := range Reference() {
				if one.Hosts == p.Hosts && one.Strategy == Serial {
					return Times(one.Wall.Seconds() / p.Wall.Seconds())
				}
			}
			return none
		})
}
