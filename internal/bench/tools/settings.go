package main

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"shoal/internal/bench/program"
)

// Settings are the command line's settings.
type Settings struct {
	Sizes      []int         `json:"sizes"`       // on real sshd; ascending
	FleetSizes []int         `json:"fleet_sizes"` // on the simulated fleet; ascending
	Repeats    int           `json:"repeats"`
	Fanout     int           `json:"fanout"`     // for each tool that has one
	Latency    time.Duration `json:"latency_ns"` // of the fleet, per direction
	Limit      time.Duration `json:"limit_ns"`   // of one run of one tool
	Budget     time.Duration `json:"budget_ns"`  // no run starts after this time
	Tools      string        `json:"tools"`      // regular expression for names; "" means all
	Quick      bool          `json:"quick"`
	// Files measures copies too: of 1 MiB to FileSizes[0] hosts on real sshd and FileSizes[1] of the
	// fleet, of 100 bytes to FileSizes[2] of the fleet, and of Large MiB to one host.
	Files     bool  `json:"files"`
	FileSizes []int `json:"file_sizes"`
	Large     int   `json:"large_mib"`

	shoal, out string
	only       *regexp.Regexp
}

// quick has the values of --quick; explicit flags take precedence.
var quick = map[string]string{
	"sizes": "20", "fleet-sizes": "50", "file-sizes": "20,50,100", "large": "32", "repeats": "1", "limit": "20s", "budget": "4m",
}

func parseSettings(args []string) (Settings, error) {
	var s Settings
	flags := pflag.NewFlagSet("peers", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.IntSliceVar(&s.Sizes, "sizes", []int{50, 200}, "numbers of hosts on real sshd")
	flags.IntSliceVar(&s.FleetSizes, "fleet-sizes", []int{200, 1000}, "numbers of hosts on the simulated fleet")
	flags.IntVar(&s.Repeats, "repeats", 3, "how often each tool runs at each size")
	flags.IntVar(&s.Fanout, "fanout", 32, "hosts at once, for the tools that take a number")
	flags.DurationVar(&s.Latency, "latency", 0, "of the simulated fleet in each direction")
	flags.DurationVar(&s.Limit, "limit", 90*time.Second, "end a tool that takes longer")
	flags.BoolVar(&s.Files, "files", true, "copy files too")
	flags.IntSliceVar(&s.FileSizes, "file-sizes", []int{200, 1000, 10_000}, "numbers of hosts for 1 MiB on real sshd, for 1 MiB on the fleet, and for 100 bytes there")
	flags.IntVar(&s.Large, "large", 1024, "MiB that go to one host")
	flags.DurationVar(&s.Budget, "budget", 35*time.Minute, "start no run after this time")
	flags.StringVar(&s.Tools, "tools", "", "only shoal and the tools whose names match this `REGEXP`")
	flags.BoolVar(&s.Quick, "quick", false, "small sizes, once each, under 5 minutes")
	flags.StringVar(&s.shoal, "shoal", "bin/shoal", "the program to compare with")
	flags.StringVar(&s.out, "out", "bench/results", "write the results into this `DIR`")
	if err := program.Parse(flags, args, &s.Quick, quick); err != nil {
		return s, err
	}
	return s, s.complete()
}

// complete checks the settings.
func (s *Settings) complete() error {
	if s.Files && (len(s.FileSizes) != 3 || slices.Min(s.FileSizes) < 1 || slices.Max(s.FileSizes) > maxHosts || s.Large < 1) {
		return fmt.Errorf("--file-sizes %v, --large %d: want three numbers and one", s.FileSizes, s.Large)
	}
	for _, sizes := range [][]int{s.Sizes, s.FleetSizes} {
		slices.Sort(sizes)
		if len(sizes) > 0 && (sizes[0] < 1 || sizes[len(sizes)-1] > maxHosts) {
			return fmt.Errorf("sizes %v: want 1 to %d", sizes, maxHosts)
		}
	}
	switch {
	case len(s.Sizes)+len(s.FleetSizes) == 0 && !s.Files:
		return fmt.Errorf("no sizes at all")
	case s.Repeats < 1 || s.Fanout < 1:
		return fmt.Errorf("--repeats %d, --fanout %d: want 1 or more", s.Repeats, s.Fanout)
	case s.Limit <= 0 || s.Budget <= 0:
		return fmt.Errorf("--limit %v, --budget %v: want more than 0", s.Limit, s.Budget)
	}
	var err error
	if s.only, err = regexp.Compile(s.Tools); err != nil {
		return fmt.Errorf("reading --tools: %w", err)
	}
	s.shoal, err = program.Shoal(s.shoal)
	return err
}
