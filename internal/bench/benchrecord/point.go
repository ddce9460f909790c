package benchrecord

import (
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
