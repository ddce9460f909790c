package benchrecord

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"shoal/fleet"
)

// A Header says where, when and how the points were measured.
type Header struct {
	Program  string    `json:"program"`
	Commit   string    `json:"commit"` // "" if built outside a repository
	Go       string    `json:"go"`
	Started  time.Time `json:"started"`
	Machine  Machine   `json:"machine"`
	Settings Settings  `json:"settings"`
}

// A Machine is the client's machine. What the system does not report is "" or
// 0.
type Machine struct {
	Host   string `json:"host"`
	OS     string `json:"os"`
	Arch   string `json:"arch"`
	Kernel string `json:"kernel"`
	CPU    string `json:"cpu"`    // model name
	Cores  int    `json:"cores"`  // usable by the process
	Memory int64  `json:"memory"` // bytes
}

// Settings are the settings of the bench.
type Settings struct {
	Sizes      []int          `json:"sizes"`
	Strategies []string       `json:"strategies"`
	Repeats    int            `json:"repeats"`
	Warmup     int            `json:"warmup"`
	Workers    int            `json:"workers"`
	SerialMax  int            `json:"serial_max,omitempty"` // largest size for serial; 0 means all
	Command    string         `json:"command"`
	Expect     string         `json:"expect,omitempty"` // "": outputs were not compared, and Point.Correct counts OK
	Fleet      *FleetSettings `json:"fleet,omitempty"`  // nil: targets from an inventory
	Limit      time.Duration  `json:"limit_ns"`         // of one point; 0 means none
}

// FleetSettings describe the simulated fleet.
type FleetSettings struct {
	Hosts       int           `json:"hosts"`      // 1: a single server, used for all targets
	Latency     time.Duration `json:"latency_ns"` // per direction
	Jitter      time.Duration `json:"jitter_ns"`  // maximum of the random extra delay per direction
	MaxStartups string        `json:"max_startups,omitempty"`
}

// A Point is one run of one strategy at one size. CPU, memory and files are
// those of the client's process only.
type Point struct {
	Strategy  string        `json:"strategy"`
	Size      int           `json:"size"`
	Repeat    int           `json:"repeat"` // from 1
	Warmup    bool          `json:"warmup"` // not to be counted
	Started   time.Time     `json:"started"`
	Wall      time.Duration `json:"wall_ns"`
	CPUUser   time.Duration `json:"cpu_user_ns"`
	CPUSystem time.Duration `json:"cpu_system_ns"`
	PeakRSS   int64         `json:"peak_rss"` // bytes; 0 if the system does not report it
	// PeakCumulative reports that PeakRSS is the peak of the process so far,
	// because the system cannot reset it.
	PeakCumulative bool           `json:"peak_cumulative,omitempty"`
	Outcomes       map[string]int `json:"outcomes"` // by fleet.Outcome
	Reasons        map[string]int `json:"reasons,omitempty"`
	Correct        int            `json:"correct"`  // outputs that are exactly as expected
	Complete       bool           `json:"complete"` // false: the time limit was reached
	Samples        []Sample       `json:"samples,omitempty"`
	Hosts          []HostTimes    `json:"hosts,omitempty"` // in order of completion
}

// A Sample is the client's resource usage at one moment.
type Sample struct {
	At         time.Duration `json:"at_ns"`      // since the point started
	CPU        time.Duration `json:"cpu_ns"`     // user and system since the point started
	RSS        int64         `json:"rss"`        // bytes
	Files      int           `json:"files"`      // open file descriptors
	Goroutines int           `json:"goroutines"` // all of the process
}

// HostTimes are the phases of one target.
type HostTimes struct {
	Index   int    `json:"i"`
	Outcome string `json:"outcome"`
	Phases  Phases `json:"phases_ns"`
}

// Phases are fleet.Durations in JSON by name of the phase. Phases of 0 are
// omitted.
type Phases fleet.Durations

// MarshalJSON writes {"dial":1200000,…} in the order of the phases.
func (p Phases) MarshalJSON() ([]byte, error) {
	text := append(make([]byte, 0, 160), '{')
	for phase, took := range p {
		if took == 0 {
			continue
		}
		if len(text) > 1 {
			text = append(text, ',')
		}
		text = append(text, '"')
		text = append(text, fleet.Phase(phase).String()...) // phase < NumPhases
		text = append(text, `":`...)
		text = strconv.AppendInt(text, took.Nanoseconds(), 10)
	}
	return append(text, '}'), nil
}

// UnmarshalJSON returns an error for phases that this version does not know.
func (p *Phases) UnmarshalJSON(text []byte) error {
	var named map[string]time.Duration
	if err := json.Unmarshal(text, &named); err != nil {
		return err
	}
	*p = Phases{}
	for name, took := range named {
		phase, err := fleet.ParsePhase(name)
		if err != nil {
			return err
		}
		p[phase] = took
	}
	return nil
}

// A Strategy is a way to go through the targets. Its text is part of the record
// format.
type Strategy string

// The strategies: those of the reference's two articles, then ours.
const (
	Serial     Strategy = "serial"     // one target after the other
	Workers    Strategy = "workers"    // a pool of fixed size: Options.Workers at once
	Concurrent Strategy = "concurrent" // all targets at once, without limits
	Auto       Strategy = "auto"       // the defaults of shoal.Options
	Held       Strategy = "held"       // as auto, on connections that an unmeasured run has left
)

// Strategies returns the strategies that connect.
func Strategies() []Strategy { return []Strategy{Serial, Workers, Concurrent, Auto} }

// ParseStrategy returns the strategy with that text.
func ParseStrategy(text string) (Strategy, error) {
	if s := Strategy(text); slices.Contains(append(Strategies(), Held), s) {
		return s, nil
	}
	var names []string
	for _, s := range append(Strategies(), Held) {
		names = append(names, string(s))
	}
	return "", fmt.Errorf("unknown strategy %.40q: there are %s", text, strings.Join(names, ", "))
}
