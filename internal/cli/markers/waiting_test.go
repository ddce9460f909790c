package markers

import (
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/remote"
	"shoal/internal/run"
)

func TestWaitingNote(t *testing.T) {
	pending := func(name string, s remote.State) run.Pending {
		return run.Pending{Result: fleet.Result{Target: fleet.Target{Host: fleet.Host{Name: name}}}, State: s}
	}
	all := []run.Pending{pending("web1", remote.StateRunning), pending("web2", remote.StateRunning), pending("db", remote.StateClaimed)}
	now := time.Now()
	n := newWaitingNote(now)
	for _, step := range []struct {
		after time.Duration
		list  []run.Pending
		want  string
	}{
		{0, all, ""},
		{2 * time.Second, all, "waiting for web[1-2]: it still runs; db: " + run.StateWords(remote.StateClaimed)},
		{time.Minute, all, ""},
		{time.Minute, all[:1], "waiting for web1: it still runs"},
		{time.Minute + time.Second, all[:2], ""}, // too soon
		{2 * time.Minute, all[:2], "waiting for web[1-2]: it still runs"},
	} {
		if got := n.text(step.list, now.Add(step.after), 0); got != step.want {
			t.Errorf("after %v: %q, want %q", step.after, got, step.want)
		}
	}
}
