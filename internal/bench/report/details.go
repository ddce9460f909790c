package report

import (
	"fmt"
	"time"

	"shoal/internal/ui"
)

// each makes a table with a row for each strategy and size.
func (r *Report) each(name string, head []string, cells func(Strategy, Size) []string) Table {
	t := Table{Name: name, Head: append([]string{"strategy", "hosts"}, head...), Left: 1}
	for _, s := range r.Strategies {
		for _, z := range s.Sizes {
			t.Rows = append(t.Rows, append([]string{ui.Visible(s.Name), Count(z.Hosts)}, cells(s, z)...))
		}
	}
	return t
}

func (r *Report) spreadTable() Table {
	return r.each("Runs", []string{"runs", "median", "least", "most", "runs a day"}, func(_ Strategy, z Size) []string {
		runs := Count(z.Runs)
		if z.Cut > 0 {
			runs = fmt.Sprintf("%s, %s cut", runs, Count(z.Cut))
		}
		return []string{
			runs, orNone(z.Wall.Median), orNone(z.Wall.Min), orNone(z.Wall.Max),
			Often(RunsADay(z.Wall.Median)),
		}
	})
}

func (r *Report) trendTable() Table {
	t := Table{
		Name: "Trend: time = a + b × hosts (least squares)",
		Head: []string{"strategy", "sizes", "runs", "a", "b", "R²"}, Left: 1,
	}
	for _, s := range r.Strategies {
		if s.Trend == nil {
			continue
		}
		r2 := none
		if s.Trend.HasBand() && s.Trend.R2 == s.Trend.R2 { // not NaN
			r2 = fmt.Sprintf("%.4f", s.Trend.R2)
		}
		t.Rows = append(t.Rows, []string{
			ui.Visible(s.Name), Count(s.Trend.From) + " to " + Count(s.Trend.To), Count(s.Trend.Runs),
			signed(s.Trend.A), signed(s.Trend.B) + " a host", r2,
		})
	}
	return t
}

func signed(s float64) string {
	if s < 0 {
		return "-" + Time(seconds(-s))
	}
	return Time(seconds(s))
}

func (r *Report) projectionTable() Table {
	t := Table{
		Name: "Projection",
		Head: []string{"strategy", "hosts", "projected", "95 % band", "runs a day", "measured"}, Left: 1,
	}
	for _, s := range r.Strategies {
		for _, p := range s.Projections {
			band := none
			if p.High > 0 {
				band = "± " + Time(p.High-p.Wall)
			}
			t.Rows = append(t.Rows, []string{
				ui.Visible(s.Name), Count(p.Hosts), "~" + Time(p.Wall), band,
				Often(RunsADay(p.Wall)), orNone(p.Measured),
			})
		}
	}
	for _, p := range Reference() {
		if p.Projected {
			t.Rows = append(t.Rows, []string{
				"ref. " + p.Strategy, Count(p.Hosts), "~" + Time(p.Wall), none, Count(p.RunsADay), none,
			})
		}
	}
	t.Notes = []string{
		"The band says how well the line is known, not whether it goes on as it is. Each projection uses the smaller sizes only.",
		"ref.: " + ReferenceName + ", on another machine",
	}
	return t
}

func (r *Report) boundsTable() Table {
	t := r.each("What bounds it", []string{"latency", "CPU", "bound by", "model", "measured", "÷ model"}, func(_ Strategy, z Size) []string {
		b, by, ratio := z.Bounds, z.Bounds.By(), none
		if by == "" {
			by = none
		}
		if b.Model() > 0 && z.Measured() {
			ratio = fmt.Sprintf("%.2f", z.Wall.Median.Seconds()/b.Model().Seconds())
		}
		return []string{orNone(b.Latency), orNone(b.CPU), by, orNone(b.Model()), orNone(z.Wall.Median), ratio}
	})
	t.Notes = []string{
		r.Host.text(),
		fmt.Sprintf("latency: the time of one host × the turns it takes; CPU: the client's CPU time on %d cores (serial: on one). The servers' own CPU time is in neither: where they share the machine, measured ÷ model shows it.", r.Header().Machine.Cores),
	}
	return t
}

func (r *Report) costTable() Table {
	return r.each("What it costs the client", []string{"CPU a host", "cores used", "peak memory", "open files", "right"}, func(_ Strategy, z Size) []string {
		memory, files := none, none
		if z.PeakRSS > 0 {
			memory = ui.Bytes(z.PeakRSS)
		}
		if z.Files > 0 {
			files = Count(z.Files)
		}
		return []string{orNone(z.CPUPerHost), fmt.Sprintf("%.2f", z.CoresUsed), memory, files, share(z)}
	})
}

func share(z Size) string {
	if z.Correct == z.Hosts {
		return "all"
	}
	return Count(z.Correct)
}

func (r *Report) phaseTable() Table {
	t := Table{
		Name: "Phases of a host at each strategy's largest size",
		Head: []string{"strategy", "phase", "seen", "p50", "p90", "p99", "max"}, Left: 2,
	}
	for _, s := range r.Strategies {
		for _, p := range s.Phases {
			row := []string{ui.Visible(s.Name), p.Phase.String(), Count(p.Hosts)}
			for _, d := range []time.Duration{p.P50, p.P90, p.P99, p.Max} {
				row = append(row, Time(d))
			}
			t.Rows = append(t.Rows, row)
		}
	}
	return t
}

// causeTable lists only what did not end well.
func (r *Report) causeTable() Table {
	t := Table{
		Name: "What did not end well, over all runs",
		Head: []string{"strategy", "outcome or reason", "hosts", "count"}, Left: 2,
	}
	for _, s := range r.Strategies {
		for _, z := range s.Sizes {
			for _, from := range []map[string]int{z.Outcomes, z.Reasons} {
				for _, word := range sortedKeys(from) {
					if word != "ok" {
						t.Rows = append(t.Rows, []string{ui.Visible(s.Name), ui.Visible(word), Count(z.Hosts), Count(from[word])})
					}
				}
			}
		}
	}
	return t
}
