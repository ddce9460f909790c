package run

import (
	"fmt"
	"iter"

	"shoal/fleet"
	"shoal/hosts/expr"
	"shoal/internal/engine"
)

// canaries are the names of the hosts that run first, in a stage of their own.
type canaries map[string]bool

// ParseCanaries parses --canary; nil means that it was not given. strict makes
// a name that is not among the hosts an error.
func ParseCanaries(expressions []string, hosts iter.Seq[fleet.Host], strict bool) (canaries, error) {
	if len(expressions) == 0 {
		return nil, nil
	}
	known := make(map[string]bool)
	for h := range hosts {
		known[h.Name], known[h.String()] = true, true
	}
	c := make(canaries)
	for _, e := range expressions {
		names, err := expr.Expand(e)
		if err != nil {
			return nil, fmt.Errorf("--canary: %w", err)
		}
		for _, n := range names {
			if !known[n] && strict {
				return nil, fmt.Errorf("--canary %.80q is not among the hosts of this run", n)
			}
			c[n] = true
		}
	}
	if len(c) == 0 {
		return nil, fmt.Errorf("--canary %.80q names no host", expressions)
	}
	return c, nil
}

func (c canaries) has(t fleet.Target) bool { return c[t.Host.Name] || c[t.Host.String()] }

// First returns the targets with the canaries first.
func (c canaries) First(targets iter.Seq[fleet.Target]) iter.Seq[fleet.Target] {
	if c == nil {
		return targets
	}
	return func(yield func(fleet.Target) bool) {
		for _, turn := range []bool{true, false} {
			for t := range targets {
				if c.has(t) == turn && !yield(t) {
					return
				}
			}
		}
	}
}

// Stage returns the stage that precedes those of --rollout.
func (c canaries) Stage(targets iter.Seq[fleet.Target]) []engine.Amount {
	n := 0
	for t := range targets {
		if c.has(t) {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return []engine.Amount{{Count: n}}
}
