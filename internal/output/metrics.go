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
	// Name is a label of each series; "" is none. The node exporter refuses all files of a
	// directory in which two have a series in common.
	Name string
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
	b := metricsText{name: m.Name}
	b.one("shoal_run_start_time_seconds", "When the last run began.", unixSeconds(started))
	b.one("shoal_run_end_time_seconds", "When the last run ended.", unixSeconds(ended))
	b.one("shoal_run_duration_seconds", "How long the last run took.", s.Elapsed.Seconds())
	b.one("shoal_run_exit_code", "The exit code of shoal.", float64(exitCode))
	interrupted := 0.0
	if s.Interrupted {
		interrupted = 1
	}
	b.one("shoal_run_interrupted", "1 if the last run was stopped before its end.", interrupted)
	b.gauge("shoal_run_targets", "Targets of the last run, by outcome.")
	for o := fleet.OutcomeOK; o < fleet.NumOutcomes; o++ {
		b.value(fmt.Sprintf("shoal_run_targets{outcome=%q}", o), float64(s.Outcomes[o]))
	}
	b.gauge("shoal_run_reasons", "Targets of the last run that have a reason, by reason.")
	for _, reason := range slices.Sorted(maps.Keys(s.Reasons)) {
		b.value("shoal_run_reasons{reason="+label(string(reason))+"}", float64(s.Reasons[reason]))
	}
	b.gauge("shoal_run_phase_seconds_mean", "Mean time of the last run's targets in each phase.")
	for p, n := range m.timed {
		if n > 0 {
			mean := (m.took[p] / time.Duration(n)).Round(time.Microsecond)
			b.value(fmt.Sprintf("shoal_run_phase_seconds_mean{phase=%q}", fleet.Phase(p)), mean.Seconds())
		}
	}
	b.one("shoal_run_output_truncated_targets", "Targets of which output was dropped.", float64(s.Truncated))
	b.one("shoal_run_output_incomplete_targets", "Targets of which output may be missing.", float64(s.Incomplete))
	b.one("shoal_run_agent_signatures", "Signatures of a forwarded agent.", float64(s.AgentSignatures))
	if m.EachHost {
		b.gauge("shoal_host_outcome", "1 for the outcome of each host in the last run.")
		for _, host := range slices.Sorted(maps.Keys(m.hosts)) {
			b.value(fmt.Sprintf("shoal_host_outcome{host=%s,outcome=%q}", label(host), m.hosts[host]), 1)
		}
	}
	return b.Bytes()
}

// metricsText is a text in Prometheus' format.
type metricsText struct {
	bytes.Buffer
	name string // a label of each series; "": none
}

func (b *metricsText) gauge(name, help string) { b.family(name, "gauge", help) }

func (b *metricsText) family(name, kind, help string) {
	b.WriteString("# HELP " + name + " " + help + "\n# TYPE " + name + " " + kind + "\n")
}

// one writes a gauge without labels.
func (b *metricsText) one(name, help string, value float64) {
	b.gauge(name, help)
	b.value(name, value)
}

// value writes the value of a series.
func (b *metricsText) value(series string, value float64) {
	if b.name != "" {
		name, labels, _ := strings.Cut(strings.TrimSuffix(series, "}"), "{")
		if labels != "" {
			labels = "," + labels
		}
		series = name + "{name=" + label(b.name) + labels + "}"
	}
	b.WriteString(series + " " + strconv.FormatFloat(value, 'f', -1, 64) + "\n")
}

func unixSeconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

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
