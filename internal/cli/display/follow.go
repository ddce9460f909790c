package display

import (
	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/output"
)

// A follower prints output while commands run, at the terminal's pace. It wraps
// output.Live as the run's sink, so that printing new output and printing the result
// never overlap for one target.
type follower struct {
	live *output.Live
	*engine.Follower
}

func newFollower(live *output.Live) *follower {
	return &follower{live, engine.NewFollower(live.Follow)}
}

// Result implements output.Sink.
func (f *follower) Result(r fleet.Result) (err error) {
	f.Exclude(func() { err = f.live.Result(r) })
	return err
}

// Close implements output.Sink.
func (f *follower) Close() error {
	f.Follower.Close()
	return f.live.Close()
}
