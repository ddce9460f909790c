package output

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"shoal/fleet"
	"shoal/record"
)

// Metrics collects what Text writes beside the summary. The zero value is ready to use.
type Metrics struct {
	// EachHost also keeps the outcome of each host.
	EachHost bool

	hosts map[string]fleet.Outcome
	took  [fleet.NumPhases]time.Duration
	timed [fleet.NumPhases]int
}

// Add counts one result.
func (m *Metrics) Add(r *fleet.Result) {
	for p, d := range r.Took {
		if d > 0 {
			m.took[p] += d
			m.timed[p]++
		}
	}
	if !m.EachHost {
		return
	}
	if m.hosts == nil {
		m.hosts = make(map[string]fleet.Outcome)
	}
	if was, ok := m.hosts[r.Target.Host.String()]; !ok || was == fleet.OutcomeOK { // of several targets, one that is not ok
		m.hosts[r.Target.Host.String()] = r.Outcome
	}
}

// Text returns the metrics of a run that has ended, in Prometheus' text format. There are no time
// stamps, because the node exporter refuses a file that has one; shoal_run_end_time_seconds is for
// alarms about the age. The number of series is bounded by the outcomes, reasons and phases, and
// with EachHost by the hosts.
func (m *Metrics) Text(s *record.Summary, started, ended time.Time, exitCode int) []byte {
	var b bytes.Buffer
	gauge := func(name, help string) { fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name) }
	one := func(name, help string, value float64) {
		gauge(name, help)
		fmt.Fprintf(&b, "%s %s\n", name, strconv.FormatFloat(value, 'f', -1, 64))
	}
	seconds := func(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
	one("shoal_run_start_time_seconds", "When the last run began.", seconds(started))
	one("shoal_run_end_time_seconds", "When the last run ended.", seconds(ended))
	one("shoal_run_duration_seconds", "How long the last run took.", s.Elapsed.Seconds())
	one("shoal_run_exit_code", "The exit code of shoal.", float64(exitCode))
	interrupted := 0.0
	if s.Interrupted {
		interrupted = 1
	}
	one("shoal_run_interrupted", "1 if the last run was stopped before its end.", interrupted)
	gauge("shoal_run_targets", "Targets of the last run, by outcome.")
	for o := fleet.OutcomeOK; o < fleet.NumOutcomes; o++ {
		fmt.Fprintf(&b, "shoal_run_targets{outcome=%q} %d\n", o, s.Outcomes[o])
	}
	gauge("shoal_run_reasons", "Targets of the last run that have a reason, by reason.")
	for _, reason := range slices.Sorted(maps.Keys(s.Reasons)) {
		fmt.Fprintf(&b, "shoal_run_reasons{reason=%s} %d\n", label(string(reason)), s.Reasons[reason])
	}
	gauge("shoal_run_phase_seconds_mean", "Mean time of the last run's targets in each phase.")
	for p, n := range m.timed {
		if n > 0 {
			fmt.Fprintf(&b, "shoal_run_phase_seconds_mean{phase=%q} %.6f\n", fleet.Phase(p), m.took[p].Seconds()/float64(n))
		}
	}
	one("shoal_run_output_truncated_targets", "Targets of which output was dropped.", float64(s.Truncated))
	one("shoal_run_output_incomplete_targets", "Targets of which output may be missing.", float64(s.Incomplete))
	one("shoal_run_agent_signatures", "Signatures of a forwarded agent.", float64(s.AgentSignatures))
	if m.EachHost {
		gauge("shoal_host_outcome", "1 for the outcome of each host in the last run.")
		for _, host := range slices.Sorted(maps.Keys(m.hosts)) {
			fmt.Fprintf(&b, "shoal_host_outcome{host=%s,outcome=%q} 1\n", label(host), m.hosts[host])
		}
	}
	return b.Bytes()
}

// label returns a label's value in quotes.
func label(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(strings.ToValidUTF8(s, "\uFFFD")) + `"`
}

// MetricsSeries returns the number of series in metrics.
func MetricsSeries(text []byte) int {
	n := 0
	for line := range bytes.Lines(text) {
		if line[0] != '#' {
			n++
		}
	}
	return n
}
