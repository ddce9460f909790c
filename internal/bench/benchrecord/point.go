package benchrecord

import (
	"time"

	"shoal/fleet"
)

// A Header says where, when, with what and how the points were measured.
type Header struct {
	Program  string    `json:"program"`
	Commit   string    `json:"commit"` // "" when the program was built outside a repository
	Go       string    `json:"go"`
	Started  time.Time `json:"started"`
	Machine  Machine   `json:"machine"`
	Settings Settings  `json:"settings"`
}

// A Machine is where the client ran. Text that the system does not tell is "", a
// number 0.
type Machine struct {
	Host   string `json:"host"`
	OS     string `json:"os"`
	Arch   string `json:"arch"`
	Kernel string `json:"kernel"`
	CPU    string `json:"cpu"`    // the model's name
	Cores  int    `json:"cores"`  // that the process may use
	Memory int64  `json:"memory"` // bytes
}

// Settings are what was asked for.
type Settings struct {
	Sizes      []int          `json:"sizes"`
	Strategies []string       `json:"strategies"`
	Repeats    int            `json:"repeats"`
	Warmup     int            `json:"warmup"`
	Workers    int            `json:"workers"`
	SerialMax  int            `json:"serial_max,omitempty"` // the largest size that serial runs; 0 means all
	Command    string         `json:"command"`
	Expect     string         `json:"expect,omitempty"` // "": outputs were not compared, and Point.Correct counts ok
	Fleet      *FleetSettings `json:"fleet,omitempty"`  // nil: the targets of an inventory
	Limit      time.Duration  `json:"limit_ns"`         // of one point; 0 means none
}

// FleetSettings describe the simulated fleet.
type FleetSettings struct {
	Hosts       int           `json:"hosts"`      // 1: one server, reached as many times as there are targets
	Latency     time.Duration `json:"latency_ns"` // in each direction
	Jitter      time.Duration `json:"jitter_ns"`  // random time more in each direction, up to this
	MaxStartups string        `json:"max_startups,omitempty"`
}

// A Point is one run of one strategy at one size. CPU, memory and files are
// those of the client's process alone.
type Point struct {
	Strategy  string        `json:"strategy"`
	Size      int           `json:"size"`
	Repeat    int           `json:"repeat"` // from 1
	Warmup    bool          `json:"warmup"` // not to be counted
	Started   time.Time     `json:"started"`
	Wall      time.Duration `json:"wall_ns"`
	CPUUser   time.Duration `json:"cpu_user_ns"`
	CPUSystem time.Duration `json:"cpu_system_ns"`
	PeakRSS   int64         `json:"peak_rss"` // bytes; 0 where the system does not tell
	// PeakCumulative says that PeakRSS is the highest of the whole process so
	// far, because the system does not let it be reset.
	PeakCumulative bool           `json:"peak_cumulative,omitempty"`
	Outcomes       map[string]int `json:"outcomes"` // by fleet.Outcome
	Reasons        map[string]int `json:"reasons,omitempty"`
	Correct        int            `json:"correct"`  // outputs that are exactly right
	Complete       bool           `json:"complete"` // false: the time limit cut it
	Samples        []Sample       `json:"samples,omitempty"`
	Hosts          []HostTimes    `json:"hosts,omitempty"` // in the order in which they ended
}

// A Sample is what the client's process used at one moment.
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

// Phases are fleet.Durations that are written by the phases' names; a phase
// that took no time is left out.
type Phases fleet.Durations
