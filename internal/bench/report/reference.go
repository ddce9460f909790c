package report

import "time"

// ReferenceName is the source of the published figures.
const ReferenceName = "published reference (Python, asyncio and AsyncSSH, one server at 6 ms)"

// A Published is a published figure of the reference. It comes from another
// machine and server, so it only shows the order of magnitude.
type Published struct {
	Hosts     int
	Strategy  string
	Wall      time.Duration
	RunsADay  int // as published; 0: not published
	Projected bool
}

// Reference returns the published figures.
func Reference() []Published {
	return []Published{
		{Hosts: 200, Strategy: Serial, Wall: 41200 * time.Millisecond},
		{Hosts: 200, Strategy: Concurrent, Wall: 14800 * time.Millisecond},
		{Hosts: 10000, Strategy: Serial, Wall: 40 * time.Minute, RunsADay: 36, Projected: true},
		{Hosts: 10000, Strategy: Concurrent, Wall: 7 * time.Minute, RunsADay: 205, Projected: true},
	}
}
