package admission

import "math"

// Limits are the bounds of a Desk.
type Limits struct {
	// Width bounds the targets in flight, from Next to Landed.
	Width int
	// Dials bounds the connects going on that are not slow. At least 1.
	Dials int
	// Slow bounds the connects going on that are slow; beyond it they count
	// among Dials again. See Patience.
	Slow int
	// FirstStarts and MostStarts bound the connects going on to one server: it
	// begins with the first and ends at the second. At least 1.
	FirstStarts, MostStarts int
	// ThroughJump is how many connects may go on at once through one jump host
	// to begin with. At least 1.
	ThroughJump int
	// Lookups bounds the connects that are looking their name up. 0 means no
	// bound.
	Lookups int
	// KeyExchanges withholds starts while that many connects exchange keys. It
	// does not stop those that are on their way. 0 means that it never does.
	KeyExchanges int
	// Rate bounds the starts in a second. 0 means no bound.
	Rate float64
	// Jitter gives random numbers in [0, 1).
	Jitter func() float64
}

// Unbounded as MostStarts is no bound at all.
const Unbounded = math.MaxInt32
