package limiter

import (
	"testing"
	"time"

	"shoal/fleet"
)

// askAll starts all jobs that may start, on connections that are open.
func askAll(l *Limiter, now time.Time) (started []*Job) {
	for j := l.Next(now); j != nil; j = l.Next(now) {
		j.Timeline = new(fleet.Timeline)
		j.Timeline.Enter(fleet.PhaseExec)
		l.Asks(j, now)
		started = append(started, j)
	}
	return started
}

// Servers that answer at the same speed get three times as many commands each round; those that
// become slower get no more.
func TestAskingGrowsUnlessSlow(t *testing.T) {
	for slower, want := range map[bool][]int{false: {firstAsking, 3 * firstAsking, 9 * firstAsking}, true: {firstAsking, firstAsking, firstAsking}} {
		limits := wide()
		limits.Fanout = 100_000
		l := New(limits)
		fill(l, 50_000, each)
		now, took := epoch, 50*time.Millisecond
		for round, n := range want {
			asked := askAll(l, now)
			if len(asked) != n {
				t.Fatalf("slower %v, round %d: %d started, want %d", slower, round, len(asked), n)
			}
			if again := askAll(l, now.Add(took/2)); len(again) != 0 {
				t.Fatalf("slower %v, round %d: %d more without an answer", slower, round, len(again))
			}
			if at, ok := l.NextWake(now.Add(took / 2)); !ok || at.After(now.Add(took)) {
				t.Errorf("slower %v, round %d: nothing looks for answers: %v, %v", slower, round, at, ok)
			}
			if slower && round == 0 {
				l.asking.window.minConnect = took / 3
			}
			now = now.Add(took)
			for i, j := range asked {
				if j.Timeline.Enter(fleet.PhaseRun); i%2 == 0 { // some end at once, others are seen running
					l.Answered(j, now)
				}
			}
		}
		if slower {
			for _, j := range askAll(l, now) {
				l.Answered(j, now) // it ended in another way
			}
			if n := l.asking.jobs.n; n != 0 {
				t.Errorf("%d are left", n)
			}
		}
	}
}

// Servers that do not answer at all do not delay the others for as long as their deadlines take.
func TestAskingTheSilent(t *testing.T) {
	limits := wide()
	limits.Fanout = 100_000
	l := New(limits)
	fill(l, 5000, each)
	silent := askAll(l, epoch)
	if more := askAll(l, epoch.Add(minLate)); len(silent) != firstAsking || len(more) != 0 {
		t.Fatalf("%d, and %d more", len(silent), len(more))
	}
	if more := askAll(l, epoch.Add(minLate+time.Millisecond)); len(more) != 0 { // polled just before
		t.Fatalf("%d more", len(more))
	}
	more := askAll(l, epoch.Add(minLate+pollInterval))
	if len(more) != firstAsking {
		t.Errorf("%d after %v", len(more), minLate)
	}
	for _, j := range silent {
		l.Answered(j, epoch.Add(time.Minute))
	}
	if n := l.asking.jobs.n; n != len(more) {
		t.Errorf("%d are asking, want %d", n, len(more))
	}
}
