package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// writeTable writes the results as Markdown.
func (b *bencher) writeTable() error {
	var text strings.Builder
	b.markdown(&text)
	if err := os.WriteFile(b.results.table, []byte(text.String()), 0o644); err != nil { // readable by all
		return fmt.Errorf("writing the table: %w", err)
	}
	b.say("written: %s", b.results.table)
	return nil
}

// markdown writes the whole document.
func (b *bencher) markdown(w *strings.Builder) {
	h, m := b.header, b.header.Machine
	fmt.Fprintf(w, "# shoal beside its peers, %s\n\n", h.Started.Format(time.DateOnly))
	fmt.Fprintf(w, "%s on %d cores of %s, %.1f GiB, %s %s; targets and tools on the same machine.\n",
		h.Program, m.Cores, orUnknown(m.CPU), float64(m.Memory)/(1<<30), m.OS, m.Kernel)
	fmt.Fprintf(w, "Load average at the start: %s. ", orUnknown(h.Load))
	fmt.Fprintf(w, "Up to %d repeats taken in turns, medians; %d hosts at once for tools that take a number; limit %v per run.\n"+
		"internal/bench/tools/README.md says how each column is measured and what differs between the tools.\n",
		b.settings.Repeats, b.settings.Fanout, b.settings.Limit)
	for _, t := range b.targets {
		for _, size := range t.sizes {
			b.section(w, t, size)
		}
	}
	b.probeTable(w)
}

func orUnknown(text string) string {
	if text == "" {
		return "unknown"
	}
	return text
}

// section writes the table of one target at one size.
func (b *bencher) section(w *strings.Builder, t *target, size int) {
	rows, missing := b.rows(t, size)
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(w, "\n## %s: %d hosts\n\n", t.title, size)
	fmt.Fprintln(w, "| tool | key exchange | correct | wall (s) | × shoal | client CPU per host (ms) | × shoal | server CPU per host (ms) | largest process (MiB) | all processes (MiB) | exit | runs |")
	fmt.Fprintln(w, "|:---|:---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
	var failures []string
	for _, r := range rows {
		fmt.Fprintln(w, r.markdown())
		if r.failure != "" {
			failures = append(failures, r.explain())
		}
	}
	if len(failures) > 0 {
		fmt.Fprintf(w, "\nFailing here:\n\n%s\n", strings.Join(failures, "\n"))
	}
	if len(missing) > 0 {
		fmt.Fprintf(w, "\nNot run, because the time for all of it was spent: %s.\n", strings.Join(missing, ", "))
	}
}

// rows returns the tools in order, and the names of those without a run.
func (b *bencher) rows(t *target, size int) (rows []row, missing []string) {
	byTool := make(map[string][]Point)
	ours := make(map[int]Point)
	for _, p := range b.points {
		if p.Target != t.name || p.Size != size {
			continue
		}
		byTool[p.Tool] = append(byTool[p.Tool], p)
		if p.Tool == base {
			ours[p.Repeat] = p
		}
	}
	for _, tl := range b.tools {
		switch points := byTool[tl.name]; {
		case len(points) > 0:
			r := newRow(points, ours)
			r.kex = shortKex(b.kex(t, tl.name))
			rows = append(rows, r)
		case !b.leavesOut(t, tl):
			missing = append(missing, tl.name)
		}
	}
	return rows, missing
}

func (r row) markdown() string {
	if r.wall == 0 { // it was never run
		return fmt.Sprintf("| %s | %s | **fails** | | | | | | | | | |", r.tool, r.kex)
	}
	correct := fmt.Sprintf("%d/%d", r.correct, r.size)
	if r.failure != "" {
		correct = "**fails** " + correct
	}
	return fmt.Sprintf("| %s | %s | %s | %.2f | %s | %.2f | %s | %.2f | %.1f (%s) | %.1f | %d | %d |",
		r.tool, r.kex, correct, r.wall, times(r.wallTimes), r.cpu, times(r.cpuTimes), r.server,
		mib(r.largest), r.process, mib(r.tree), r.exit, r.runs)
}

func (r row) explain() string {
	text := fmt.Sprintf("- %s: %s", r.tool, r.failure)
	if r.error != "" {
		text += fmt.Sprintf(": `%s`", strings.ReplaceAll(r.error, "`", "'"))
	}
	return text
}

// shortKex returns the name without hash and domain (RFC 4251 §6), which add
// nothing in a table.
func shortKex(name string) string {
	name, _, _ = strings.Cut(name, "@")
	for _, hash := range []string{"-sha256", "-sha512"} {
		name = strings.TrimSuffix(name, hash)
	}
	return name
}

func times(x float64) string {
	if x == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f", x)
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// probeTable writes the results of the probes, one line per tool.
func (b *bencher) probeTable(w *strings.Builder) {
	if len(b.probes) == 0 {
		return
	}
	head, rule := "| tool | version | refuses a wrong host key |", "|:---|:---|:---|"
	var probed []*target
	for _, t := range b.targets {
		if t.like == "" {
			probed = append(probed, t)
			head += " key exchange on " + t.name + " |"
			rule += ":---|"
		}
	}
	fmt.Fprintf(w, "\n## The tools\n\nThe key exchange is the one seen on the wire; a tool refuses a wrong host key when it gave no output\n"+
		"of a host whose key is not the one in known_hosts.\n\n%s\n%s\n", head, rule)
	for _, tl := range b.tools {
		version, refuses := "", "yes"
		for _, p := range b.probes {
			if p.Tool != tl.name {
				continue
			}
			version = p.Version
			if !p.RefusesWrongKey {
				refuses = "**no**"
			}
		}
		if version == "" {
			continue // the run ended before its probe
		}
		fmt.Fprintf(w, "| %s | %s | %s |", tl.name, version, refuses)
		for _, t := range probed {
			fmt.Fprintf(w, " %s |", b.kex(t, tl.name))
		}
		w.WriteByte('\n')
	}
}
