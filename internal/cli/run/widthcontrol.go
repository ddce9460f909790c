package run

import (
	"fmt"

	"shoal/internal/engine"
	"shoal/internal/ui"
)

// A widthControl is the width of a run (targets at once) under a person's
// control. Each change returns the width for the engine and a note to print.
type widthControl struct {
	width, least, most int
	bound              string // what limits most
	fixed              bool   // the width cannot be changed
	paused             bool
}

// newWidthControl starts at the run's fanout. The upper limit is what this
// machine can carry, or the fanout if that is larger.
func newWidthControl(e engine.Options, fanout, targets int, carried engine.Fanout) widthControl {
	c := widthControl{width: fanout, least: 1, most: max(fanout, carried.Fanout), bound: "this machine carries no more: " + carried.Bound}
	if fanout > carried.Fanout {
		c.bound = "no more were asked for (-f)"
	}
	if targets <= c.most {
		c.most, c.bound = targets, "these are all targets"
	}
	c.width = min(c.width, c.most)
	if e.Barrier {
		c.least, c.bound, c.fixed = targets, "a barrier holds all targets at once", true
	}
	return c
}

func (c *widthControl) wider() (width int, note string) {
	to := min(2*c.width, c.most)
	if to == c.width {
		note = "; " + c.bound
	}
	return c.set(to, note)
}

func (c *widthControl) narrower() (width int, note string) {
	to := max(c.width/2, c.least)
	switch {
	case to < c.width:
	case c.fixed:
		note = "; " + c.bound
	default:
		note = "; p pauses"
	}
	return c.set(to, note)
}

// pause toggles between width 0, where nothing starts, and the width before.
func (c *widthControl) pause() (width int, note string) {
	if c.fixed {
		return c.width, "; " + c.bound
	}
	c.paused = !c.paused
	if c.paused {
		return 0, "; p goes on"
	}
	return c.width, ""
}

func (c *widthControl) set(width int, note string) (int, string) {
	c.width = width
	if c.paused {
		return 0, fmt.Sprintf("; p goes on with a width of %s%s", ui.Count(int64(c.width)), note)
	}
	return c.width, note
}
