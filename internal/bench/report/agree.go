package report

import (
	"errors"
	"fmt"

	"shoal/internal/bench/benchrecord"
	"shoal/internal/hint"
)

// ErrDisagree means that records were measured under different conditions.
var ErrDisagree = errors.New("the records were not measured alike")

// A DisagreeError says in what two files differ.
type DisagreeError struct {
	First, Second string // names of the files
	What          string
	Has, Had      string // what Second has, what First had
}

// Error implements error.
func (e *DisagreeError) Error() string {
	return fmt.Sprintf("%v: %s: %.120q in %s, %.120q in %s", ErrDisagree, e.What, e.Had, e.First, e.Has, e.Second)
}

// Unwrap returns ErrDisagree.
func (e *DisagreeError) Unwrap() error { return ErrDisagree }

// Hint returns advice for the user.
func (e *DisagreeError) Hint() string { return "plot them one by one" }

// agree refuses to combine two different experiments. Sizes, strategies,
// repeats and limits may differ: adding those is the purpose of merging files.
// The machine must have the same processor; its name and kernel do not matter.
func agree(a, b File) error {
	x, y := a.Header, b.Header
	if x.Started.Equal(y.Started) && x.Machine.Host == y.Machine.Host {
		return hint.Wrap(fmt.Errorf("%s and %s are the same bench", a.Name, b.Name), "give each record once")
	}
	for _, c := range []struct{ what, had, has string }{
		{"program", x.Program, y.Program},
		{"commit", x.Commit, y.Commit},
		{"Go version", x.Go, y.Go},
		{"machine", machine(x.Machine), machine(y.Machine)},
		{"command", x.Settings.Command, y.Settings.Command},
		{"expected output", x.Settings.Expect, y.Settings.Expect},
		{"number of workers", Count(x.Settings.Workers), Count(y.Settings.Workers)},
		{"servers", fleetText(x.Settings.Fleet), fleetText(y.Settings.Fleet)},
	} {
		if c.had != c.has {
			return &DisagreeError{First: a.Name, Second: b.Name, What: c.what, Had: c.had, Has: c.has}
		}
	}
	return nil
}

func machine(m benchrecord.Machine) string {
	return fmt.Sprintf("%s, %d cores, %s/%s", m.CPU, m.Cores, m.OS, m.Arch)
}

// fleetText describes the servers. The number of hosts is left out unless it is
// one: a larger fleet does not answer more slowly.
func fleetText(f *benchrecord.FleetSettings) string {
	if f == nil {
		return "those of an inventory"
	}
	text := "a simulated fleet"
	if f.Hosts == 1 {
		text = "one simulated server for all"
	}
	text += fmt.Sprintf(", %v in each direction", f.Latency)
	if f.Jitter > 0 {
		text += fmt.Sprintf(", jitter up to %v", f.Jitter)
	}
	if f.MaxStartups != "" {
		text += ", MaxStartups " + f.MaxStartups
	}
	return text
}

// Servers describes the servers in a few words.
func Servers(h benchrecord.Header) string { return fleetText(h.Settings.Fleet) }

// MachineText describes the client's machine in a few words.
func MachineText(h benchrecord.Header) string {
	return fmt.Sprintf("%s, %d cores", h.Machine.CPU, h.Machine.Cores)
}
