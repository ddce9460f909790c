package watch

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/groups"
	"shoal/internal/mask"
)

var day0 = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

func answerOf(index int, text string) *fleet.Result {
	r := &fleet.Result{Target: fleet.Target{Host: fleet.Host{Name: fmt.Sprintf("web%d", index)}, Index: index}, End: fleet.Exited(fleet.PhaseRun, 0, "", true)}
	r.Stdout = fleet.Output{Bytes: []byte(text), Size: int64(len(text))}
	return r
}

func silence(index int, reason fleet.Reason) *fleet.Result {
	r := answerOf(index, "")
	r.End = fleet.End{Outcome: fleet.OutcomeNeverStarted, Reason: reason, Phase: fleet.PhaseDial}
	return r
}

func masked() groups.Options {
	return groups.Options{Masker: mask.New(mask.All), Auto: true}
}

// A host's life: what is shown at once, what is confirmed after two ticks, and what is recorded.
func TestEvents(t *testing.T) {
	c := New(Options{Groups: masked(), Confirm: 2})
	refused := silence(1, fleet.ReasonConnRefused)
	ended := answerOf(1, "v1")
	ended.Outcome, ended.Reason = fleet.OutcomeSignalled, fleet.ReasonTimeout
	for n, step := range []struct {
		result          *fleet.Result
		seen, confirmed Kind
		record          bool
	}{
		{answerOf(1, "v1 at 10:00:00"), First, None, true},
		{answerOf(1, "v1 at 10:00:05"), None, First, false}, // the time is masked
		{answerOf(1, "v2 at 10:00:10"), Changed, None, true},
		{answerOf(1, "v1 at 10:00:15"), Changed, None, true}, // a twitch
		{answerOf(1, "v1 at 10:00:20"), None, None, false},
		{refused, Stopped, None, true},
		{answerOf(1, "v1 at 10:00:25"), Back, None, true},
		{refused, Stopped, None, true},
		{silence(1, fleet.ReasonDialTimeout), None, Stopped, true}, // another reason is no event
		{refused, None, None, true},
		{&fleet.Result{Target: refused.Target, End: fleet.End{Outcome: fleet.OutcomeCancelled}}, None, None, false},
		{answerOf(1, "v1 at 10:00:30"), Back, None, true},
		{answerOf(1, "v1 at 10:00:35"), None, Back, false},
		{refused, Stopped, None, true},
		{refused, None, Stopped, false},
		{answerOf(1, "v2 at 10:00:40"), Changed, None, true}, // back with another answer
		{answerOf(1, "v2 at 10:00:45"), None, Changed, false},
		{ended, Stopped, None, true}, // by us
	} {
		seen, confirmed, record := c.Add(step.result, day0.Add(time.Duration(n)*5*time.Second))
		if seen.Kind != step.seen || confirmed.Kind != step.confirmed || record != step.record {
			t.Errorf("step %d: seen %v, confirmed %v, record %v", n, seen.Kind, confirmed.Kind, record)
		}
	}
	if s := c.State(); s.Answers != 0 || s.Silent != 1 || s.Never != 0 || !s.Oldest.Equal(day0.Add(80*time.Second)) {
		t.Errorf("%+v", s)
	}
}

// The first answer is compared with that of an earlier watch. A host that has never answered is
// no change.
func TestBaseline(t *testing.T) {
	c := New(Options{Groups: masked()})
	c.Baseline(answerOf(1, "old"), day0)
	c.Baseline(answerOf(2, "old"), day0)
	c.Baseline(answerOf(3, "old"), day0)
	c.Baseline(silence(4, fleet.ReasonConnRefused), day0)
	now := day0.Add(time.Hour)
	for _, step := range []struct {
		result *fleet.Result
		want   Kind
	}{
		{answerOf(1, "old"), None},
		{answerOf(2, "new"), Changed},
		{silence(3, fleet.ReasonConnRefused), Stopped},
		{answerOf(4, "new"), First},
		{silence(5, fleet.ReasonConnRefused), First},
		{answerOf(5, "new"), First},
	} {
		seen, confirmed, record := c.Add(step.result, now)
		if seen.Kind != step.want || confirmed.Kind != step.want || !record {
			t.Errorf("%s: %v, %v, %v", step.result.Target.Host, seen.Kind, confirmed.Kind, record)
		}
		if step.want == Changed && (string(seen.Before.Outputs[0]) != "old" || !seen.Since.Equal(day0)) {
			t.Errorf("%+v", seen)
		}
	}
	if s := c.State(); s.Answers != 2 || s.Silent != 1 || !s.Oldest.Equal(day0) {
		t.Errorf("%+v", s)
	}
}

// Equal changes are one, also where each host has its own name in it, but not where several hosts
// name one of them.
func TestChanges(t *testing.T) {
	c := New(Options{Groups: masked()})
	before := []string{"leader web1", "leader web1", "leader web1", "web4 v1", "web5 v1", "web6 v1", "a\n", "same", "same", "same"}
	now := []*fleet.Result{
		answerOf(1, "leader web2"), answerOf(2, "leader web2"), answerOf(3, "leader web2"), answerOf(4, "web4 v2"), answerOf(5, "web5 v2"),
		answerOf(6, "web6 v3"), answerOf(7, "b\n"), silence(8, fleet.ReasonConnRefused), silence(9, fleet.ReasonConnRefused), silence(10, fleet.ReasonDialTimeout),
	}
	var events []Event
	for i, text := range before {
		e, _, _ := c.Add(answerOf(i+1, text), day0)
		events = append(events, e)
	}
	if got := c.Changes(events); len(got) != 6 || got[0].Kind != First || len(got[0].Members) != 3 || len(got[1].Members) != 3 {
		t.Errorf("%+v", got)
	}
	events = nil
	for _, r := range now {
		e, _, _ := c.Add(r, day0)
		events = append(events, e)
	}
	var got []string
	for _, change := range c.Changes(events) {
		text := fmt.Sprint(change.Kind, " ", strings.Join(groups.Hosts(change.Members), ","), " ", change.Various)
		if change.How != nil {
			for _, line := range change.How.Streams[fleet.Stdout][0].Lines {
				text += " " + string(rune(line.Op)) + strings.TrimSpace(line.Text)
			}
		}
		got = append(got, text)
	}
	compare(t, got, "changed web1,web2,web3 false -leader web1 +leader web2", "changed web4,web5 true -web4 v1 +web4 v2",
		"changed web6 false -web6 v1 +web6 v3", "changed web7 false -a +b", "stopped web8,web9 false", "stopped web10 false")
}

// Texts beyond the limit are not kept, and changes are told all the same.
func TestTextsAreBounded(t *testing.T) {
	o := masked()
	o.Memory = 1000
	c := New(Options{Groups: o})
	large := strings.Repeat("x", 600)
	var events []Event
	for n, texts := range [][2]string{{large + "1", large + "2"}, {large + "3", large + "4"}, {"a", "b"}, {large + "1", large + "1"}} {
		events = nil
		for i, text := range texts {
			e, _, _ := c.Add(answerOf(i, text), day0)
			events = append(events, e)
		}
		if n == 1 && (events[0].Kind != Changed || events[1].Kind != Changed || events[0].Before.Kept == events[1].Before.Kept) {
			t.Errorf("%+v", events)
		}
	}
	if !events[0].Now.Kept || events[0].Now != events[1].Now || c.Changes(events)[0].How == nil {
		t.Errorf("%+v", events)
	}
	for i := range 2 {
		c.Add(answerOf(i, ""), day0)
	}
	if len(c.answers) != 1 || c.room != 1000 {
		t.Errorf("%d answers, room for %d", len(c.answers), c.room)
	}
}
