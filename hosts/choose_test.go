package hosts_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shoal/fleet"
	"shoal/hosts"
)

func fleetTarget(index int) fleet.Target { return fleet.Target{Index: index} }

const racks = "a1 rack=a env=prod\na2 rack=a\nb1 rack=b env=prod\nb2 rack=b env=test\nc1 rack=c\nx\n"

func TestWhere(t *testing.T) {
	file := write(t, racks)
	for _, c := range []struct{ where, want string }{
		{"env==prod", "a1 b1"},
		{"env!=prod", "a2 b2 c1 x"},
		{"rack==b && !(env==test)", "b1"},
		{"has(env)", "a1 b1 b2"},
		{"!rack", "x"},
	} {
		l := load(t, hosts.Options{Files: []string{file}, Where: c.where})
		if diff := cmp.Diff(strings.Fields(c.want), namesOf(l)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.where, diff)
		}
		if rack, _ := l.Entry(0).Attrs.Attr("rack"); rack != strings.Trim(strings.Fields(c.want)[0], "x12") {
			t.Errorf("%s: the first host has rack %q", c.where, rack)
		}
	}
	l := load(t, hosts.Options{Files: []string{file}, Where: "rak!=a"})
	if diff := cmp.Diff([]string{"no host has what --where asks for: rak"}, l.Notices); diff != "" {
		t.Errorf("notices (-want +got):\n%s", diff)
	}
	p := problems(t, hosts.Options{Files: []string{file}, Where: "rak==a"})
	if p.Total != 1 || p.List[0].Reason != "no hosts left: --where is true for none of 6, and none has rak" {
		t.Error(p)
	}
	p = problems(t, hosts.Options{Files: []string{file}, Where: "rack=a"})
	if p.Total != 1 || p.List[0].String() != `--where: "rack=a": position 5: a single =` || p.List[0].Hint != "write == to compare" {
		t.Error(p)
	}
}

// A wildcard or an exclusion that has no effect may be a typing error.
func TestIdleOperands(t *testing.T) {
	file := write(t, racks)
	l := load(t, hosts.Options{Files: []string{file}, Hosts: []string{"a*,q*,b1!b2", "c1"}, Exclude: []string{"A2,Z*"}})
	if diff := cmp.Diff(strings.Fields("a1 b1 c1"), namesOf(l)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"no host is meant by: Z* of -x, q* of -w, b2 of -w"}, l.Notices); diff != "" {
		t.Errorf("notices (-want +got):\n%s", diff)
	}
}

func TestPick(t *testing.T) {
	file := write(t, racks)
	all := strings.Fields("a1 a2 b1 b2 c1 x")
	l := load(t, hosts.Options{Files: []string{file}, Pick: "2", Seed: 1})
	first := namesOf(l)
	if len(first) != 2 || !slices.IsSortedFunc(first, func(a, b string) int { return slices.Index(all, a) - slices.Index(all, b) }) {
		t.Errorf("picked %q", first)
	}
	if diff := cmp.Diff([]string{"picked 2 of 6 hosts; seed 1 picks the same again"}, l.Notices); diff != "" {
		t.Errorf("notices (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(first, namesOf(load(t, hosts.Options{Files: []string{file}, Pick: "2", Seed: 1}))); diff != "" {
		t.Errorf("the same seed picks others:\n%s", diff)
	}
	seen := map[string]bool{}
	for seed := range uint64(60) {
		for _, h := range namesOf(load(t, hosts.Options{Files: []string{file}, Pick: "1", Seed: seed + 1})) {
			seen[h] = true
		}
	}
	if len(seen) != len(all) {
		t.Errorf("60 seeds pick only %v", seen)
	}
	l = load(t, hosts.Options{Files: []string{file}, Pick: "1/rack"})
	got := namesOf(l)
	if len(got) != 3 || got[0][0] != 'a' || got[1][0] != 'b' || got[2] != "c1" {
		t.Errorf("one of every rack: %q", got)
	}
	if rack, _ := l.Entry(2).Attrs.Attr("rack"); rack != "c" || !strings.HasSuffix(l.Notices[0], "; 1 without rack") {
		t.Errorf("rack %q, notices %q", rack, l.Notices)
	}
	if got := namesOf(load(t, hosts.Options{Files: []string{file}, Pick: "9"})); len(got) != 6 {
		t.Errorf("9 of 6: %q", got)
	}
	for pick, reason := range map[string]string{
		"0": `"0" is not a number of hosts`, "x": `"x" is not a number of hosts`, "1/": "attribute without a name", "1/none": "none of 6 hosts has the attribute",
	} {
		p := problems(t, hosts.Options{Files: []string{file}, Pick: pick})
		if p.Total != 1 || p.List[0].Source != "--pick" || p.List[0].Reason != reason {
			t.Errorf("%s: %v", pick, p)
		}
	}
}

// BenchmarkAttributes loads 60,000 hosts with five attributes each.
func BenchmarkAttributes(b *testing.B) {
	const n = 60_000
	var file, ini, yaml strings.Builder
	ini.WriteString("[all]\n")
	yaml.WriteString("all:\n  hosts:\n")
	for i := range n {
		rest := fmt.Sprintf("env=%s az=az%d rack=r%04d role=%s serial=SN%08d", []string{"prod", "test"}[i%2], i%3, i/40, []string{"web", "db", "cache"}[i%3], i*7919)
		fmt.Fprintf(&file, "node%05d.example.org %s\n", i, rest)
		fmt.Fprintf(&ini, "node%05d.example.org ansible_host=10.%d.%d.%d %s\n", i, i>>16, i>>8&255, i&255, rest)
		fmt.Fprintf(&yaml, "    node%05d.example.org: {%s}\n", i, strings.ReplaceAll(strings.ReplaceAll(rest, " ", ", "), "=", ": "))
	}
	for _, c := range []struct {
		name string
		opts hosts.Options
	}{
		{"hostfile", hosts.Options{Files: []string{write(b, file.String())}}},
		{"ini", hosts.Options{Inventories: []string{write(b, ini.String())}}},
		{"yaml", hosts.Options{Inventories: []string{put(b, "h.yml", yaml.String())}}},
		{"where", hosts.Options{Files: []string{write(b, file.String())}, Where: "env==prod && az!=az1 && role=~'web|db'"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l, err := hosts.Load(c.opts)
				if err != nil || l.Entry(0).Attrs.Len() < 5 {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkHeld measures what the list of 60,000 hosts with five attributes holds.
func BenchmarkHeld(b *testing.B) {
	const n = 60_000
	var file, ini strings.Builder
	for i := range n {
		rest := fmt.Sprintf("env=%s az=az%d rack=r%04d role=%s serial=SN%08d", []string{"prod", "test"}[i%2], i%3, i/40, []string{"web", "db", "cache"}[i%3], i*7919)
		fmt.Fprintf(&file, "node%05d.example.org %s\n", i, rest)
		fmt.Fprintf(&ini, "node%05d.example.org %s\n", i, rest)
	}
	for name, opts := range map[string]hosts.Options{
		"hostfile": {Files: []string{write(b, file.String())}},
		"ini":      {Inventories: []string{write(b, ini.String())}},
	} {
		b.Run(name, func(b *testing.B) {
			var before, after runtime.MemStats
			for b.Loop() {
				runtime.GC()
				runtime.ReadMemStats(&before)
				l, err := hosts.Load(opts)
				if err != nil {
					b.Fatal(err)
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				runtime.KeepAlive(l)
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "held-B/host")
		})
	}
}
