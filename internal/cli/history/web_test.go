package history

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/journal"
	"shoal/internal/report"
	"shoal/internal/web"
	"shoal/record"
)

func target(i int) fleet.Target {
	return fleet.Target{Host: fleet.Host{Name: fmt.Sprintf("web%d", i)}, Index: i, User: "root"}
}

// What shoal web shows of a journal that another process writes: its runs, page by page, and a
// run that goes on.
func TestWebSource(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	open := func() *journal.Journal {
		j, err := journal.Open(ctx, dir, journal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := j.Close(); err != nil {
				t.Error(err)
			}
		})
		return j
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	other := open()
	begin := func(targets ...fleet.Target) *journal.Run {
		t.Helper()
		r, err := other.Begin(ctx, journal.RunInfo{Header: record.Header{Command: "uptime"}}, slices.Values(targets))
		must(err)
		return r
	}
	end := fleet.End{Outcome: fleet.OutcomeOK}
	var last *journal.Run
	for range webRuns + 2 {
		last = begin(target(0))
		must(last.Result(fleet.Result{Target: target(0), End: end, Attempt: 1}))
		must(last.End(journal.Ending{}))
	}
	s := &webSource{j: open()}
	page := func(query string) *webPage {
		t.Helper()
		values, err := url.ParseQuery(query)
		must(err)
		p, err := s.Runs(ctx, values)
		must(err)
		return p.(*webPage)
	}
	first := page("")
	if len(first.Runs) != webRuns || first.Runs[0].Run != last.ID() || first.Next != first.Runs[webRuns-1].Run || first.Runs[0].Counts[1] != 1 {
		t.Errorf("%d runs, then from %s; %+v", len(first.Runs), first.Next, first.Runs[0])
	}
	if older := page("before=" + first.Next); len(older.Runs) != 2 || older.Next != "" {
		t.Errorf("%d runs, then from %q", len(older.Runs), older.Next)
	}
	for query, want := range map[string]int{"outcome=failed": 0, "outcome=ok&host=web*": webRuns, "command=nothing": 0, "since=1h&user=root": webRuns, "host=db1": 0} {
		if got := len(page(query).Runs); got != want {
			t.Errorf("%s: %d runs", query, got)
		}
	}
	for _, query := range []string{"since=yesterday", "outcome=fine", "host=web[1", "host=@all"} {
		values, _ := url.ParseQuery(query)
		if _, err := s.Runs(ctx, values); err == nil {
			t.Errorf("%s is taken", query)
		}
	}

	r := begin(target(0), target(3), target(7))
	must(r.Intend(3, 1, netip.AddrPort{}))
	must(r.Result(fleet.Result{Target: target(0), End: end, Attempt: 1, Stdout: fleet.Output{Bytes: []byte("up"), Size: 2}}))
	must(r.Flush())
	rep, at, err := s.Report(ctx, r.ID())
	must(err)
	if !at.Live || at.Seq != 2 || len(rep.Hosts) != 3 || rep.Hosts[0].Outcome != fleet.OutcomeOK || !rep.Hosts[1].Running || rep.Hosts[2].Running || len(rep.Groups) != 1 {
		t.Errorf("%+v: %+v", at, rep.Hosts)
	}
	must(r.Result(fleet.Result{Target: target(3), End: fleet.Exited(fleet.PhaseDrain, 7, "", true), Attempt: 1}))
	must(r.Intend(7, 1, netip.AddrPort{}))
	must(r.Flush())
	c, err := s.Changes(ctx, r.ID(), at.Seq)
	must(err)
	want := []web.Row{{Index: 3, State: report.StateOf(fleet.OutcomeFailed, false), Cause: "exit status 7", Attempt: 1}, {Index: 7, State: report.StateOf(0, true)}}
	if !slices.Equal(c.Rows, want) || !c.Live {
		t.Errorf("%+v", c)
	}
	one, err := s.Host(ctx, r.ID(), 0)
	must(err)
	if len(one.Hosts) != 1 || one.Texts[one.Hosts[0].Text].Text != "up" {
		t.Errorf("%+v", one)
	}
	if none, err := s.Host(ctx, r.ID(), 7); err != nil || len(none.Hosts) != 0 {
		t.Errorf("%+v, %v", none, err)
	}
	must(r.End(journal.Ending{}))
	if c, err := s.Changes(ctx, r.ID(), c.Seq); err != nil || c.Live || len(c.Rows) != 0 {
		t.Errorf("%+v, %v", c, err)
	}
}

// What shoal web shows of a watch: the last results, since when, how its ticks are going, what changed,
// and of a host its last answer and how that differs from the one before.
func TestWebSourceOfWatch(t *testing.T) {
	ctx := t.Context()
	j, err := journal.Open(ctx, t.TempDir(), journal.Options{})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(err)
	t.Cleanup(func() { must(j.Close()) })
	began := time.Now().Add(-time.Hour).Truncate(time.Second)
	info := journal.RunInfo{Header: record.Header{Command: "uptime", Started: began}}
	info.SetWatch("30s")
	r, err := j.Begin(ctx, info, slices.Values([]fleet.Target{target(0), target(1), target(2)}))
	must(err)
	tick := func(n, missed int, results ...fleet.Result) {
		t.Helper()
		at := journal.Tick{N: n, Started: began.Add(time.Duration(n) * 30 * time.Second), Missed: missed, Late: 2 * time.Second}
		must(r.BeginTick(at))
		for i := range results {
			results[i].Started, results[i].Attempt = at.Started, 1
			at.Outcomes[results[i].Outcome]++
			must(r.TickResult(n, results[i]))
		}
		at.Ended = at.Started.Add(1500 * time.Millisecond)
		must(r.EndTick(at))
		must(r.Flush())
	}
	said := func(i int, text string) fleet.Result {
		return fleet.Result{Target: target(i), End: fleet.End{Outcome: fleet.OutcomeOK}, Stdout: fleet.Output{Bytes: []byte(text), Size: int64(len(text))}}
	}
	tick(1, 0, said(0, "v1\n"), said(1, "v1\n"), said(2, "v1\n"))
	s := &webSource{j: j}
	rep, at, err := s.Report(ctx, r.ID())
	must(err)
	if !at.Live || rep.Watch == nil || len(rep.Watch.Changes) != 0 || len(rep.Groups) != 1 || len(rep.Phases) != 0 || len(rep.Timeline.Open) != 0 {
		t.Errorf("%+v: %+v", at, rep)
	}
	tick(2, 0)
	c, err := s.Changes(ctx, r.ID(), at.Seq)
	must(err)
	if len(c.Rows) != 0 || c.Watch == nil || c.Watch.Head[0] != [2]string{"ticks", "2, every 30s"} {
		t.Errorf("%+v", c)
	}
	silent := fleet.Result{Target: target(2), End: fleet.End{Outcome: fleet.OutcomeNeverStarted, Reason: fleet.ReasonConnRefused, Phase: fleet.PhaseDial}}
	tick(3, 1, said(0, "v2\n"), said(1, "v2\n"))
	tick(4, 0, silent)
	c, err = s.Changes(ctx, r.ID(), c.Seq)
	must(err)
	if len(c.Rows) != 3 || c.Rows[0].Start != 90*time.Second || c.Rows[2].Cause != "conn_refused" || c.Rows[2].Start != 2*time.Minute {
		t.Errorf("%+v", c.Rows)
	}
	last := began.Add(2 * time.Minute).Local().Format(time.DateTime)
	if w := c.Watch; w.Head[0][1] != "4, every 30s, 1 missed" || w.Head[1][1] != "tick 4 at "+last+", 2.0 s late: 1 never started in 1.5 s" ||
		len(w.Changes) != 2 || w.Changes[0].When != last+" tick 4" || w.Changes[0].Hosts != "web2" || w.Changes[0].First != 2 || w.Changes[1].Hosts != "web[0-1] (2)" || w.Earlier != 0 {
		t.Errorf("%+v", w)
	}
	for i, want := range map[int][3]string{0: {"v2\n", "", "@@ -1 +1 @@\n-v1\n+v2\n"}, 2: {"", "v1\n", ""}} {
		one, err := s.Host(ctx, r.ID(), i)
		must(err)
		text := func(at int) string {
			if at < 0 {
				return ""
			}
			return one.Texts[at].Text
		}
		if h := &one.Hosts[0]; text(h.Text) != want[0] || text(h.Answer) != want[1] || text(h.Diff) != want[2] {
			t.Errorf("host %d: %q, %q, %q", i, text(h.Text), text(h.Answer), text(h.Diff))
		}
	}
	must(r.End(journal.Ending{}))
	if c, err := s.Changes(ctx, r.ID(), c.Seq); err != nil || c.Live || c.Watch != nil {
		t.Errorf("%+v, %v", c, err)
	}
}
