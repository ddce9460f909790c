package output

import (
	"bytes"
	"errors"
	"strings"
	"syscall"
	"testing"

	"shoal/fleet"
)

func gatherable() []fleet.Result {
	results := everyEnd()
	for i := 20; i < 30; i++ {
		results = append(results, ok(i, "Linux 6.1.0\n"))
	}
	return append(results,
		ok(30, "Linux 6.1.0"), // no newline at the end: different content
		ok(31, "Linux 5.10.0\n"),
		ok(32, ""), ok(33, ""),
		ended(34, exit(1), "", ""),
		ended(35, neverStarted(fleet.ReasonDialTimeout, fleet.PhaseDial, "no answer from 192.0.2.36:22 in 10 s"), "", ""),
		ok(36, hostile),
		ended(38, exit(3), "so far\n", "another complaint\n"),
		ok(37, "---------------\nnode1\n---------------\nforged\n"),
	)
}

func TestGatheredGolden(t *testing.T) {
	for _, c := range []struct {
		name   string
		escape bool
		apart  bool
	}{{"gathered", true, false}, {"gathered-apart", true, true}, {"gathered-raw", false, false}} {
		var stdout, stderr bytes.Buffer
		g := NewGathered(GatheredOptions{Stdout: Out{W: &stdout, Escape: c.escape}, Stderr: Out{W: &stderr, Escape: c.escape}, Apart: c.apart})
		for _, r := range gatherable() {
			if err := g.Result(r); err != nil {
				t.Fatal(err)
			}
		}
		if stdout.Len()+stderr.Len() > 0 {
			t.Error("printed before Close")
		}
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
		golden(t, c.name+".out", stdout.Bytes())
		golden(t, c.name+".err", stderr.Bytes())
	}
}

// Any difference between two results separates them, except names, times and error texts.
func TestContentOf(t *testing.T) {
	base := ended(0, exit(1), "ab", "c")
	same := base
	same.Target, same.Attempt, same.Err = target(7), 2, errors.New("other words")
	if contentOf(&base) != contentOf(&same) {
		t.Error("names, attempts or words of an error part results")
	}
	for name, change := range map[string]func(r *fleet.Result){
		"outcome":    func(r *fleet.Result) { r.Outcome = fleet.OutcomeUnknown },
		"status":     func(r *fleet.Result) { r.Status = 256 + 1 },
		"signal":     func(r *fleet.Result) { r.Signal = "TERM" },
		"reason":     func(r *fleet.Result) { r.Reason = fleet.ReasonTimeout },
		"phase":      func(r *fleet.Result) { r.Phase = fleet.PhaseRun },
		"flags":      func(r *fleet.Result) { r.Flags |= fleet.FlagOutputIncomplete },
		"stdout":     func(r *fleet.Result) { r.Stdout = output("aB") },
		"stderr":     func(r *fleet.Result) { r.Stderr = output("d") },
		"the border": func(r *fleet.Result) { r.Stdout, r.Stderr = output("a"), output("bc") },
		"size":       func(r *fleet.Result) { r.Stdout.Size++ },
	} {
		r := base
		change(&r)
		if contentOf(&r) == contentOf(&base) {
			t.Errorf("%s does not part results", name)
		}
	}
	signal, reason := base, base
	signal.Signal, signal.Reason = "a", "b"
	reason.Signal, reason.Reason = "ab", ""
	if contentOf(&signal) == contentOf(&reason) {
		t.Error("signal and reason run into each other")
	}
}

func TestGatheredHoldsOneCopy(t *testing.T) {
	g := NewGathered(GatheredOptions{})
	for i := range 1000 {
		r := ok(i, "same")
		r.Stdout.Bytes = append(make([]byte, 0, 1<<20), "same"...)
		if err := g.Result(r); err != nil {
			t.Fatal(err)
		}
	}
	if len(g.results.groups) != 1 {
		t.Fatalf("%d groups", len(g.results.groups))
	}
	for _, group := range g.results.groups {
		if group.targets != 1000 || cap(group.result.Stdout.Bytes) > 64 {
			t.Errorf("%d targets, %d bytes held", group.targets, cap(group.result.Stdout.Bytes))
		}
	}
}

func TestGatheredClosedPipe(t *testing.T) {
	g := NewGathered(GatheredOptions{Stdout: Out{W: &failing{after: 60, err: syscall.EPIPE}}})
	for i, text := range []string{"a\n", "b\n", "c\n"} {
		if err := g.Result(ok(i, text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Close(); !errors.Is(err, syscall.EPIPE) || err.Error() != "writing to stdout: broken pipe" {
		t.Errorf("%v", err)
	}
}

func BenchmarkGathered(b *testing.B) {
	g := NewGathered(GatheredOptions{})
	r := ok(0, strings.Repeat("hello world\n", 10))
	b.ReportAllocs()
	for b.Loop() {
		_ = g.Result(r)
	}
}
