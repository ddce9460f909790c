package output_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/output"
	"shoal/record"
)

// The node exporter refuses a whole file with a time stamp, a series that is there twice, or a
// line that it cannot read; and a series for each host is one that Prometheus keeps.
// faults.md: I10
func TestMetricsKeepTheRules(t *testing.T) {
	sample := regexp.MustCompile(`^([a-z_]+(?:\{[a-z]+="(?:[^"\\\n]|\\[\\"n])*"(?:,[a-z]+="(?:[^"\\\n]|\\[\\"n])*")*\})?) [0-9.e+-]+$`)
	for hosts, series := range map[int]int{0: 16, 1: 23, 5000: 23} {
		for _, each := range []bool{false, true} {
			m, s := output.Metrics{Name: `a"\`, EachHost: each}, record.Summary{Elapsed: time.Second}
			for i := range hosts {
				r := fleet.Result{Target: fleet.Target{Index: i, Host: fleet.Host{Name: fmt.Sprintf("web%d", i), User: `a"\`}}, End: fleet.End{Outcome: fleet.OutcomeUnknown, Reason: "a\"\\\nb"}}
				for p := fleet.PhaseResolve; p <= fleet.PhaseAuth; p++ {
					r.Took[p] = time.Millisecond
				}
				m.Add(&r)
				s.Add(r)
			}
			text := m.Text(&s, time.Now(), time.Now(), 0)
			want := series
			if each {
				want += hosts
			}
			if got := output.MetricsSeries(text); got != want {
				t.Errorf("%d hosts, each %v: %d series, want %d", hosts, each, got, want)
			}
			typed, seen := make(map[string]bool), make(map[string]bool)
			for line := range strings.Lines(string(text)) {
				line = strings.TrimSuffix(line, "\n")
				if words := strings.Fields(line); words[0] == "#" {
					if words[1] == "TYPE" {
						typed[words[2]] = words[3] == "gauge" && !typed[words[2]]
					}
					continue
				}
				found := sample.FindStringSubmatch(line)
				if found == nil {
					t.Fatalf("not a sample without a time stamp: %q", line)
				}
				name, _, _ := strings.Cut(found[1], "{")
				if seen[found[1]] || !typed[name] {
					t.Errorf("twice, or without a type: %q", line)
				}
				seen[found[1]] = true
			}
			for name := range seen {
				if strings.Contains(name, "host=") && !each {
					t.Errorf("a series of a host: %s", name)
				}
				if !strings.Contains(name, `{name="a\"\\"`) {
					t.Errorf("two files of one directory would both have %s", name)
				}
			}
		}
	}
}
