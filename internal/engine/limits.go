package engine

import (
	"math/rand/v2"

	"shoal/internal/engine/limiter"
)

const (
	// throughJump is the initial limit on connections being started through one jump
	// host. Each costs the jump host a channel, but no authentication.
	throughJump = 32
	// minAhead is the minimum number of targets taken from the iterator ahead of their
	// turn, so that targets of busy servers do not block others.
	minAhead = 1024
)

// limits returns the limiter's bounds. o has its defaults filled in.
func (o Options) limits() limiter.Limits {
	l := limiter.Limits{
		Fanout:        o.Fanout,
		Dials:         o.Dials,
		MaxDials:      o.maxDials,
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

// slow returns the limit on slow connects for a fanout of width. It leaves room for
// o.Dials normal ones.
func (o Options) slow(width int) int { return max(width-o.Dials, width/2) }

// ahead returns the limit on waiting targets. Retries may exceed it by at most the
// number of targets in flight.
func (o Options) ahead() int { return max(o.Fanout, minAhead) }
