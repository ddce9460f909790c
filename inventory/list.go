package inventory

import (
	"iter"

	"shoal/fleet"
)

// A List is an inventory: hosts in the order of the input, no duplicates.
type List struct {
	// Hosts is never empty.
	Hosts []fleet.Host
	// Notices are what a person should know and need not act on, one bounded
	// line each: duplicates removed, exclusions that met no host.
	Notices []string
}

// Targets yields every host repeat times, the whole list over and over, so that
// the repeats of one host are as far apart as they can be. The Index counts
// from 0; user, port and command are left for the run to fill in. A repeat
// below 1 counts as 1. Nothing is allocated per target.
func (l *List) Targets(repeat int) iter.Seq[fleet.Target] {
	return func(yield func(fleet.Target) bool) {
		index := 0
		for range max(repeat, 1) {
			for _, h := range l.Hosts {
				if !yield(fleet.Target{Host: h, Index: index}) {
					return
				}
				index++
			}
		}
	}
}
