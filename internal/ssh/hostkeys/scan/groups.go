package scan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/hosts/expr"
)

// A Group is the hosts of one state that present the same keys. Several hosts in a group are
// one machine with several names, or machines cloned with their keys.
type Group struct {
	State    State
	Keys     []ssh.PublicKey
	Findings []Finding // at least one, in the order of the scan
}

// Hosts returns the group's hosts as a folded host expression.
func (g Group) Hosts() string { return foldFindings(g.Findings) }

// Groups returns the report's groups, by state, and within a state the largest first.
func (r Report) Groups() []Group {
	places := make(map[string]int)
	var groups []Group
	for _, f := range r.Findings {
		id := f.identity()
		at, ok := places[id]
		if !ok {
			at = len(groups)
			places[id] = at
			groups = append(groups, Group{State: f.State, Keys: f.Keys})
		}
		groups[at].Findings = append(groups[at].Findings, f)
	}
	slices.SortStableFunc(groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(a.State, b.State), cmp.Compare(len(b.Findings), len(a.Findings)))
	})
	return groups
}

// identity returns the grouping key: findings with equal identity form a group.
func (f Finding) identity() string {
	var b strings.Builder
	b.WriteByte(byte(f.State))
	for _, key := range f.Keys {
		b.WriteString(ssh.FingerprintSHA256(key))
	}
	return b.String()
}

// Hosts returns all hosts of a state as a folded host expression; "" if there are none.
func (r Report) Hosts(s State) string {
	return foldFindings(slices.DeleteFunc(slices.Clone(r.Findings), func(f Finding) bool { return f.State != s }))
}

// Count returns the number of hosts in each state.
func (r Report) Count() [NumStates]int {
	var counts [NumStates]int
	for _, f := range r.Findings {
		counts[f.State]++
	}
	return counts
}

// foldFindings folds the names separately for each port: "n[1-9],db1" for port 22, "n[1-9]
// (port 2222)" for others, separated by semicolons.
func foldFindings(findings []Finding) string {
	names := make(map[uint16][]string)
	for _, f := range findings {
		port := portOf(f.Target.Target)
		names[port] = append(names[port], f.Target.Host.Name)
	}
	texts := make([]string, 0, len(names))
	for _, port := range slices.Sorted(maps.Keys(names)) {
		text := expr.Fold(names[port])
		if port != fleet.DefaultPort {
			text = fmt.Sprintf("%s (port %d)", text, port)
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, "; ")
}

func portOf(t fleet.Target) uint16 { return cmp.Or(t.Port, t.Host.Port, fleet.DefaultPort) }
