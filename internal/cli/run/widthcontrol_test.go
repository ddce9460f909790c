package run

import (
	"testing"

	"shoal/internal/engine"
)

func TestCourse(t *testing.T) {
	type step struct {
		key   byte
		width int
		note  string
	}
	carried := engine.Fanout{Fanout: 1000, Bound: "1,064 open files"}
	for name, c := range map[string]struct {
		fanout, targets int
		opts            engine.Options
		steps           []step
	}{
		"machine": {300, 5000, engine.Options{}, []step{
			{'+', 600, ""}, {'+', 1000, ""}, {'+', 1000, "; this machine carries no more: 1,064 open files"}, {'-', 500, ""},
		}},
		"all targets": {1000, 7, engine.Options{}, []step{
			{'+', 7, "; these are all targets"}, {'-', 3, ""}, {'-', 1, ""}, {'-', 1, "; p pauses"}, {'+', 2, ""},
		}},
		"asked for more": {3000, 5000, engine.Options{}, []step{
			{'+', 3000, "; no more were asked for (-f)"}, {'-', 1500, ""},
		}},
		"pause": {8, 100, engine.Options{}, []step{
			{'p', 0, "; p goes on"}, {'+', 0, "; p goes on with a width of 16"}, {'-', 0, "; p goes on with a width of 8"}, {'p', 8, ""},
		}},
		"barrier": {100, 100, engine.Options{Barrier: true}, []step{
			{'-', 100, "; a barrier holds all targets at once"},
			{'+', 100, "; a barrier holds all targets at once"},
			{'p', 100, "; a barrier holds all targets at once"},
		}},
		"barrier for one": {1, 1, engine.Options{Barrier: true}, []step{{'p', 1, "; a barrier holds all targets at once"}}},
	} {
		course := newWidthControl(c.opts, c.fanout, c.targets, carried)
		turn := map[byte]func() (int, string){'+': course.wider, '-': course.narrower, 'p': course.pause}
		for i, s := range c.steps {
			if width, note := turn[s.key](); width != s.width || note != s.note {
				t.Errorf("%s, step %d, %c: %d%q, want %d%q", name, i, s.key, width, note, s.width, s.note)
			}
		}
	}
}
