package shoal_test

import (
	"context"
	"fmt"
	"log"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"shoal"
	"shoal/fleet"
	"shoal/simfleet"
)

// Run a command again and again, and see what changed.
func ExampleWatch() {
	fl, opts := simulated(simfleet.Options{Hosts: 3})
	defer fl.close()

	command := "cat version 2>/dev/null || echo v1; test {index} != 1 || echo v2 >version"
	for tick, err := range shoal.Watch(context.Background(), fl.Targets(), command, shoal.WatchOptions{Every: 10 * time.Millisecond, Ticks: 3}, opts) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("tick %d, %d held: %d changes\n", tick.N, tick.Held, len(tick.Changes))
		for _, c := range tick.Changes {
			if c.Kind == shoal.ChangeAnswer {
				fmt.Printf("target %d: %q, before %q\n", c.Result.Target.Index, c.Result.Stdout.Bytes, c.Before[fleet.Stdout])
			}
		}
	}
	// Output:
	// tick 1, 0 held: 3 changes
	// tick 2, 3 held: 1 changes
	// target 1: "v2\n", before "v1\n"
	// tick 3, 3 held: 0 changes
}

// A host that stops answering and comes back as it was has not changed. The journal has one run with the
// last answers; Drain ends the watch, and leaving the loop too.
func TestWatch(t *testing.T) {
	t.Parallel()
	var wrong atomic.Bool
	fl, opts := simulatedFor(t, simfleet.Options{Hosts: 2, Fault: func(i int) simfleet.Fault {
		if i == 1 && wrong.Load() {
			return simfleet.FaultWrongHostkey
		}
		return simfleet.FaultNone
	}})
	j, err := shoal.OpenJournal(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	drain := make(chan struct{})
	opts.Journal, opts.Drain = j, drain
	var got []string
	for tick, err := range shoal.Watch(t.Context(), fl.Targets(), "echo {index}", shoal.WatchOptions{Every: time.Millisecond, Mask: true}, opts) {
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range tick.Changes {
			got = append(got, fmt.Sprintf("tick %d, target %d: %s %s, before %q, %t", tick.N, c.Result.Target.Index, c.Kind, c.Result.Reason, c.Before[fleet.Stdout], !c.Since.IsZero()))
		}
		slices.Sort(got)
		switch tick.N {
		case 1, 2:
			wrong.Store(tick.N == 1)
			fl.Disturb(1, simfleet.DisturbClose)
		case 3:
			close(drain)
		}
		if want := map[int]int{1: 0, 2: 1, 3: 0}[tick.N]; tick.Silent != want || tick.Summary.Targets() != 2 || tick.Ended.Before(tick.Began) || tick.Oldest.IsZero() {
			t.Errorf("%+v", tick)
		}
	}
	want := []string{
		`tick 1, target 0: first , before "", false`, `tick 1, target 1: first , before "", false`,
		`tick 2, target 1: stopped hostkey_changed, before "1\n", true`, `tick 3, target 1: back , before "1\n", true`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	opts.Drain = nil
	n := 0
	for _, err := range shoal.Watch(t.Context(), fl.Targets(), "echo {index}", shoal.WatchOptions{Every: time.Millisecond}, opts) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 2 {
			break
		}
	}
	runs := 0
	for info, err := range j.Runs(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if runs++; info.Running || info.Command != "echo {index}" || info.Interrupted != (runs == 1) {
			t.Errorf("run %d: %+v", runs, info)
		}
	}
	if runs != 2 {
		t.Errorf("%d runs", runs)
	}
	for _, w := range []shoal.WatchOptions{{}, {Every: time.Second, Jitter: time.Second}, {Every: time.Second, Confirm: -1}} {
		for _, err := range shoal.Watch(t.Context(), fl.Targets(), "true", w, opts) {
			if err == nil {
				t.Errorf("%+v is taken", w)
			}
		}
	}
}
