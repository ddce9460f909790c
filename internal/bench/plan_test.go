package bench

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"shoal/internal/bench/benchrecord"
)

func TestSteps(t *testing.T) {
	o := Options{
		Sizes: []int{20, 10, 20}, Strategies: []benchrecord.Strategy{benchrecord.Serial, benchrecord.Concurrent, benchrecord.Auto},
		Repeats: 2, Warmup: 1, SerialMax: 10,
	}
	want := []Step{
		{benchrecord.Serial, 10, 1, true},
		{benchrecord.Concurrent, 10, 1, true},
		{benchrecord.Auto, 10, 1, true},
		{benchrecord.Serial, 10, 1, false},
		{benchrecord.Concurrent, 10, 1, false},
		{benchrecord.Auto, 10, 1, false},
		{benchrecord.Concurrent, 20, 1, false},
		{benchrecord.Auto, 20, 1, false},
		{benchrecord.Concurrent, 10, 2, false},
		{benchrecord.Auto, 10, 2, false},
		{benchrecord.Serial, 10, 2, false},
		{benchrecord.Concurrent, 20, 2, false},
		{benchrecord.Auto, 20, 2, false},
	}
	if diff := cmp.Diff(want, o.Steps()); diff != "" {
		t.Error(diff)
	}
}

func TestPlanSkipsWhatWouldBeCut(t *testing.T) {
	p := newPlan(Options{Sizes: []int{1, 2, 3}, Strategies: []benchrecord.Strategy{benchrecord.Serial, benchrecord.Auto}, Repeats: 2})
	var ran []Step
	dropped := 0
	for now, ok := p.next(); ok; now, ok = p.next() {
		ran = append(ran, now.Step)
		dropped += p.ran(now.Step, time.Second, now.Step != Step{benchrecord.Serial, 2, 1, false})
		if left := len(p.left) + len(ran); now.Of-dropped != left && dropped == 0 {
			t.Errorf("%+v of %d, and there are %d", now, now.Of, left)
		}
	}
	want := []Step{
		{benchrecord.Serial, 1, 1, false},
		{benchrecord.Auto, 1, 1, false},
		{benchrecord.Serial, 2, 1, false},
		{benchrecord.Auto, 2, 1, false},
		{benchrecord.Auto, 3, 1, false},
		{benchrecord.Auto, 1, 2, false},
		{benchrecord.Serial, 1, 2, false},
		{benchrecord.Auto, 2, 2, false},
		{benchrecord.Auto, 3, 2, false},
	}
	if diff := cmp.Diff(want, ran); diff != "" {
		t.Error(diff)
	}
	if dropped != 3 {
		t.Errorf("%d dropped, want serial at 3, 2 and 3", dropped)
	}
}

func TestEstimate(t *testing.T) {
	p := newPlan(Options{Sizes: []int{10, 20, 40}, Strategies: []benchrecord.Strategy{benchrecord.Serial, benchrecord.Auto}, Limit: 3 * time.Second})
	for _, c := range []struct {
		left  time.Duration
		known bool
		took  time.Duration
	}{
		{0, false, time.Second},                        // serial 10; no estimate yet
		{2*time.Second + 3*time.Second, false, 100e6},  // auto 10; serial 20 takes twice as long, 40 is cut
		{5*time.Second + 200e6 + 400e6, true, 2e9},     // serial 20
		{3*time.Second + 600e6, true, 100e6},           // auto 20, which took no longer than 10
		{3*time.Second + 200e6, true, 3 * time.Second}, // serial 40
		{200e6, true, 100e6},                           // auto 40
	} {
		now, ok := p.next()
		if !ok || now.Left != c.left || now.Known != c.known {
			t.Errorf("%+v: %v left, known %v; want %v, %v", now.Step, now.Left, now.Known, c.left, c.known)
		}
		p.ran(now.Step, c.took, true)
	}
	if now, ok := p.next(); ok {
		t.Errorf("there is more: %+v", now)
	}
}

func TestGuessIsTheMeanOfTheSameSize(t *testing.T) {
	p := newPlan(Options{})
	p.ran(Step{benchrecord.Auto, 10, 1, false}, time.Second, true)
	p.ran(Step{benchrecord.Auto, 10, 2, false}, 3*time.Second, true)
	p.ran(Step{benchrecord.Auto, 20, 1, false}, 30*time.Second, true)
	if d, ok := p.guess(Step{benchrecord.Auto, 10, 3, false}); !ok || d != 2*time.Second {
		t.Errorf("%v, %v", d, ok)
	}
	if d, ok := p.guess(Step{benchrecord.Auto, 5, 1, false}); !ok || d != 500*time.Millisecond {
		t.Errorf("smaller than all that ran: %v, %v", d, ok)
	}
}
