package output

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"shoal/fleet"
)

// faults.md: I04
func TestFileNames(t *testing.T) {
	for _, c := range []struct {
		host   fleet.Host
		index  int
		digits int
		want   string
	}{
		{fleet.Host{Name: "node1"}, 3, 4, "0003_node1.out"},
		{fleet.Host{Name: "../../etc/passwd"}, 0, 1, "0_..%2F..%2Fetc%2Fpasswd.out"},
		{fleet.Host{Name: "CON"}, 12345678, 7, "12345678_CON.out"},
		{fleet.Host{Name: "a%b_c\x1b\x00é"}, 1, 1, "1_a%25b_c%1B%00%C3%A9.out"},
		{fleet.Host{Name: strings.Repeat("x", 300)}, 1, 7, "0000001_" + strings.Repeat("x", 188) + ".out"},
		{fleet.Host{Name: strings.Repeat("/", 300)}, 1, 7, "0000001_" + strings.Repeat("%2F", 62) + ".out"},
	} {
		tg := fleet.Target{Host: c.host, Index: c.index}
		if got := fileNames(&tg, c.digits)[fleet.Stdout]; got != c.want {
			t.Errorf("%q: %s, want %s", c.host, got, c.want)
		}
	}
	for targets, want := range map[int]int{0: 7, 1: 1, 10: 1, 11: 2, 10000: 4, 10001: 5, 100_000_000: 8} {
		if got := digitsFor(targets); got != want {
			t.Errorf("%d targets: %d digits, want %d", targets, got, want)
		}
	}
}

// Fault I04: no two targets share a name, even if the file system ignores case, and no
// name is that of the manifest.
// faults.md: I04
func TestFileNamesAreInjective(t *testing.T) {
	names := rapid.OneOf(rapid.String(), rapid.StringMatching(`[aA./\\:]{0,300}`),
		rapid.SampledFrom([]string{"", "results.jsonl", "CON", "0_a.out"}))
	rapid.Check(t, func(t *rapid.T) {
		digits := rapid.IntRange(1, 8).Draw(t, "digits")
		indexes := rapid.SliceOfNDistinct(rapid.IntRange(0, 200_000_000), 2, 20, rapid.ID).Draw(t, "indexes")
		seen := []string{Manifest}
		for _, index := range indexes {
			tg := fleet.Target{Index: index, Host: fleet.Host{
				Name: names.Draw(t, "name"), User: names.Draw(t, "user"), Port: rapid.Uint16().Draw(t, "port"),
			}}
			for _, name := range fileNames(&tg, digits) {
				folded := strings.ToLower(name)
				if slices.Contains(seen, folded) || len(name) > maxName || filepath.Base(name) != name || !fs.ValidPath(name) {
					t.Fatalf("%q among %q", name, seen)
				}
				seen = append(seen, folded)
			}
		}
	})
}

func TestNamesAfterHosts(t *testing.T) {
	hosts := []fleet.Host{
		{Name: "web01"},
		{Name: "DB", Port: 22},
		{Name: "db", Port: 2222},
		{Name: "x"},
		{Name: "x", User: "root"},
		{Name: "y_22"},
		{Name: "y", Port: 22},
		{Name: "y", Port: 23},
		{Name: "0_web01"},
		{Name: ".hidden"},
		{Name: "2001:db8::1"},
	}
	want := []string{
		"web01", "DB_22", "db_2222", "03_x", "root@x", "05_y_22", "06_y%3A22", "y_23", "08_0_web01", "09_.hidden", "2001%3Adb8%3A%3A1",
	}
	var targets []fleet.Target
	for i, h := range hosts {
		targets = append(targets, fleet.Target{Host: h, Index: i})
	}
	n := newNamer(slices.Values(targets))
	for i := range targets {
		if got := n.names(&targets[i], digitsFor(len(targets)))[fleet.Stdout]; got != want[i]+".out" {
			t.Errorf("%q: %s, want %s.out", hosts[i], got, want[i])
		}
	}
}

// No two targets share a name, whatever their hosts are called.
func TestNamesAfterHostsAreInjective(t *testing.T) {
	names := rapid.OneOf(rapid.SampledFrom([]string{"", "a", "A", "0_a", "a_1", "b@a", "results.jsonl", "a%3A1"}),
		rapid.StringMatching(`[aA._01@-]{0,4}`), rapid.StringMatching(`[aA]{190,199}`))
	users := rapid.SampledFrom([]string{"", "a", "b", "0_a"})
	rapid.Check(t, func(t *rapid.T) {
		var targets []fleet.Target
		for i := range rapid.IntRange(2, 12).Draw(t, "targets") {
			targets = append(targets, fleet.Target{Index: i, Host: fleet.Host{
				Name: names.Draw(t, "name"), User: users.Draw(t, "user"), Port: rapid.Uint16Range(0, 2).Draw(t, "port"),
			}})
		}
		n := newNamer(slices.Values(targets))
		seen := []string{Manifest}
		for i := range targets {
			for _, name := range n.names(&targets[i], digitsFor(len(targets))) {
				if folded := strings.ToLower(name); slices.Contains(seen, folded) || len(name) > maxName || filepath.Base(name) != name {
					t.Fatalf("%q among %q", name, seen)
				} else {
					seen = append(seen, folded)
				}
			}
		}
	})
}
