package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"shoal/internal/bench/program"
	"shoal/internal/hint"
)

// settings are the command line's settings.
type settings struct {
	only        []string // names of parts
	repeats     int
	connections int // to the fleet, in each turn
	sshd        int // to sshd, in each turn
	open        int // at once, in the memory part
	gibibytes   int // of bulk output
	profiles    string
	shoal       string
	out         string
}

// quick has the values of --quick; explicit flags take precedence.
var quick = map[string]string{
	"repeats": "1", "connections": "1000", "sshd-connections": "300", "open": "2000",
}

func parseSettings(args []string) (settings, error) {
	var s settings
	flags := pflag.NewFlagSet("clients", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.StringSliceVar(&s.only, "only", partNames(), "these parts alone")
	flags.IntVar(&s.repeats, "repeats", 5, "how often each client has its turn")
	flags.IntVar(&s.connections, "connections", 4000, "to the simulated fleet, in each turn")
	flags.IntVar(&s.sshd, "sshd-connections", 2000, "to OpenSSH, in each turn")
	flags.IntVar(&s.open, "open", 10000, "connections that wait at once")
	flags.IntVar(&s.gibibytes, "gib", 1, "GiB of bulk output in each turn")
	isQuick := flags.Bool("quick", false, "small figures, once each, for a look")
	flags.StringVar(&s.profiles, "profiles", "", "write pprof profiles of the clients into this `DIR`; the figures then include taking them")
	flags.StringVar(&s.shoal, "shoal", "bin/shoal", "the program that makes the whole run; shoal-bench beside it serves the fleet")
	flags.StringVar(&s.out, "out", "", "write the tables into this `FILE` too")
	if err := program.Parse(flags, args, isQuick, quick); err != nil {
		return s, err
	}
	return s, s.complete()
}

func (s *settings) complete() (err error) {
	for _, name := range s.only {
		if !slices.Contains(partNames(), name) {
			return hint.Wrap(fmt.Errorf("there is no part %q", name),
				"they are "+strings.Join(partNames(), ", "))
		}
	}
	if min(s.repeats, s.connections, s.sshd, s.open, s.gibibytes) < 1 {
		return fmt.Errorf("every number has to be 1 or more")
	}
	s.shoal, err = program.Shoal(s.shoal)
	return err
}

// flags returns the flags that the figures depend on.
func (s settings) flags() string {
	return fmt.Sprintf(" --repeats %d --connections %d --sshd-connections %d --open %d --gib %d",
		s.repeats, s.connections, s.sshd, s.open, s.gibibytes)
}
