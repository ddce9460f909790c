package engine

import (
	"math/rand/v2"

	"shoal/internal/engine/limiter"
)

const (
	// throughJump is how many connections may be started through one jump host
	// at first. They cost it a channel each, no authentication.
	throughJump = 32
	// minAhead is how many targets are taken from the iterator ahead of their
	// turn, at the least, so that targets of busy servers do not stand in the
	// way of others.
	minAhead = 1024
)

// limits returns the limiter's bounds. o has its defaults filled in.
func (o Options) limits() limiter.Limits {
	l := limiter.Limits{
		Fanout:        o.Fanout,
		Dials:         o.Dials,
		Slow:          o.slow(o.Fanout),
		InitialStarts: o.Starts,
		MaxStarts:     o.Starts,
		ThroughJump:   throughJump,
		Lookups:       max(o.Lookups, 0),
		KeyExchanges:  o.KeyExchanges,
		Rate:          o.Rate,
		Jitter:        rand.Float64,
	}
	switch {
	case o.Starts == 0:
		l.InitialStarts, l.MaxStarts = DefaultStarts, o.Dials
	case o.Starts < 0:
		l.InitialStarts, l.MaxStarts = limiter.Unbounded, limiter.Unbounded
	}
	return l
}

// slow bounds the slow connects in a width: the good ones keep room for as many
// as may be started at once.
func (o Options) slow(width int) int { return max(width-o.Dials, width/2) }

// ahead bounds the targets that wait. Retries are let in beyond it: there are
// never more of these than were in flight.
func (o Options) ahead() int { return max(o.Fanout, minAhead) }
