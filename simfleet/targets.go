package simfleet

import (
	"fmt"
	"iter"
	"net/netip"
	"strings"

	"shoal/fleet"
)

// Targets yields every host as a target, in order.
func (f *Fleet) Targets() iter.Seq[fleet.Target] {
	return func(yield func(fleet.Target) bool) {
		for i := range f.options.Hosts {
			if !yield(fleet.Target{Host: f.Host(i), Index: i}) {
				return
			}
		}
	}
}

// Index returns the number of the host with this address, as WriteHosts writes
// it; a port counts for nothing.
func Index(text string) (int, error) {
	name, _, _ := strings.Cut(text, ":")
	addr, err := netip.ParseAddr(name)
	if err != nil || !addr.Is4() {
		return 0, fmt.Errorf("%.60q is not the address of a simulated host", text)
	}
	i, ok := indexOf(addr.As4(), MaxHosts)
	if first := address(0); !ok {
		return 0, fmt.Errorf("%s is not the address of a simulated host: they begin at %s", addr, first)
	}
	return i, nil
}
