package report

import (
	"errors"
	"fmt"

	"shoal/internal/bench/benchrecord"
)

// ErrDisagree says that records were not measured alike.
var ErrDisagree = errors.New("the records were not measured alike")

// A DisagreeError tells in what two files differ.
type DisagreeError struct {
	First, Second string // names of the files
	What          string
	Has, Had      string // what Second has, what First had
}

func (e *DisagreeError) Error() string {
	return fmt.Sprintf("%v: %s: %.120q in %s, %.120q in %s", ErrDisagree, e.What, e.Had, e.First, e.Has, e.Second)
}

// Unwrap gives ErrDisagree.
func (e *DisagreeError) Unwrap() error { return ErrDisagree }

// Hint says what to do about it.
func (e *DisagreeError) Hint() string { return "plot them one by one" }

// agree refuses to lay one line through two different experiments. Sizes,
// strategies, repeats and limits may differ: to add those is why files are
// merged. The machine's name and kernel do not decide a time, its processor
// does.
func agree(a, b File) error {
	x, y := a.Header, b.Header
	if x.Started.Equal(y.Started) && x.Machine.Host == y.Machine.Host {
		return fmt.Errorf("%s and %s are the same bench\nhint: give each record once", a.Name, b.Name)
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

// fleetText describes the servers. How many the fleet holds is left out, unless
// it is one alone: a larger one answers no slower.
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

// Servers describes in a few words what was connected to.
func Servers(h benchrecord.Header) string { return fleetText(h.Settings.Fleet) }

// MachineText describes in a few words what it was measured on.
func MachineText(h benchrecord.Header) string {
	return fmt.Sprintf("%s, %d cores", h.Machine.CPU, h.Machine.Cores)
}
