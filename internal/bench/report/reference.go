package report

import "time"

// ReferenceName says whose figures the published ones are.
const ReferenceName = "published reference (Python, asyncio and AsyncSSH, one server at 6 ms)"

// A Published is a figure of the reference as it was published, on another
// machine and server: it is there for the order of magnitude.
type Published struct {
	Hosts     int
	Strategy  string
	Wall      time.Duration
	RunsADay  int // as published; 0: it is not
	Projected bool
}

// Reference gives the published figures.
func Reference() []Published {
	return []Published{
		{Hosts: 200, Strategy: Serial, Wall: 41200 * time.Millisecond},
		{Hosts: 200, Strategy: Concurrent, Wall: 14800 * time.Millisecond},
		{Hosts: 10000, Strategy: Serial, Wall: 40 * time.Minute, RunsADay: 36, Projected: true},
		{Hosts: 10000, Strategy: Concurrent, Wall: 7 * time.Minute, RunsADay: 205, Projected: true},
	}
}
