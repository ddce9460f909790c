package hosts

import (
	"fmt"

	"shoal/fleet"
	"shoal/hosts/internal/attr"
	"shoal/hosts/internal/problem"
)

// A found is an entry that was read from a source and is not yet in the list.
type found struct {
	host fleet.Host
	at   place
	// section is the group header of the host file above the entry, "" for none.
	section string
	// facts are what the source says besides the name; nil for most entries.
	facts *facts
	// known marks an entry that only describes a host named by another source, so that
	// it is no duplicate.
	known bool
}

// facts are what a source says about a host. Hosts of one line share them.
type facts struct {
	address, identity string
	options           []string // of ssh, as -o takes them
	attrs             []attribute
	groups            []string
}

type attribute struct{ name, value string }

func (f *facts) each(yield func(string, string) bool) {
	for _, a := range f.attrs {
		if !yield(a.name, a.value) {
			return
		}
	}
}

// set adds an attribute; setting one twice in an entry is an error.
func (f *facts) set(name, value string) error {
	if err := attr.Check(name, value); err != nil {
		return err
	}
	for _, a := range f.attrs {
		if a.name == name {
			return &fault{fmt.Sprintf("attribute %s stands twice", name), "keep one of them"}
		}
	}
	if len(f.attrs) == attr.MaxSet {
		return &fault{fmt.Sprintf("more than %d attributes", attr.MaxSet), "write fewer"}
	}
	f.attrs = append(f.attrs, attribute{name, value})
	return nil
}

// checkAddressee checks that a dial address is a valid host name or address.
func checkAddressee(address string) error {
	h, err := ParseHost(address)
	if err == nil && (h.User != "" || h.Port != 0) {
		err = &fault{"an address with a user or port in it", "name them apart"}
	}
	if err != nil {
		return fmt.Errorf("address %q: %w", problem.Bounded(address), err)
	}
	return nil
}

// checkIdentity checks the path of a key file.
func checkIdentity(path string) error {
	if f := checkBytes(path); f != nil {
		return fmt.Errorf("key file %q: %w", problem.Bounded(path), f)
	}
	return nil
}
