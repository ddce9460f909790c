//go:build !race

package web

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/browsertest"
	"shoal/internal/report"
	"shoal/record"
)

// A browser shows the history and a run that goes on, at three widths, light and dark: the token
// is exchanged, texts of hosts are text, and what changes is shown without a reload.
func TestPagesInABrowser(t *testing.T) {
	tab := browsertest.Open(t)
	check := func(width int, expressions ...[2]string) {
		t.Helper()
		for _, c := range expressions {
			if got := tab.Text(c[0]); got != c[1] {
				t.Errorf("at %d: %s is %q, want %q", width, c[0], got, c[1])
			}
		}
		if bad := tab.Fits(); bad != "" {
			t.Errorf("at %d: %s", width, bad)
		}
		if pwned := tab.Text(`document.documentElement.dataset.pwned`); pwned != "undefined" {
			t.Errorf("at %d: a script of a host has run", width)
		}
	}
	look := func(name string, width int) {
		t.Helper()
		for _, dark := range []bool{true, false} {
			tab.Size(width, dark)
			tab.Look(name, width, dark)
		}
	}
	for _, width := range browsertest.Widths {
		f := &fake{targets: 200, done: 20}
		_, address := start(t, f)
		tab.Size(width, false)
		tab.Load(address)
		tab.Wait(`document.documentElement.dataset.ready !== undefined`)
		check(width, [2]string{`location.search`, ""}, [2]string{`document.querySelectorAll('.run').length`, "2"},
			[2]string{`document.querySelector('.run code').textContent.trim().split(' long')[0]`, hostile},
			[2]string{`[...document.querySelectorAll('.run')][0].querySelectorAll('.outcomes span').length`, "2"})
		look("history", width)
		f.finish(5)
		tab.Wait(`[...document.querySelectorAll('.outcomes span')].some(e => e.style.flexGrow === '25')`)
		tab.Script(`for (const b of document.querySelectorAll('.pager button')) b.click()`)
		tab.Wait(`document.querySelectorAll('.run.rerun').length === 2`)
		check(width, [2]string{`location.search`, "?before=1abc"})

		tab.Script(`document.querySelector('.run').click()`)
		tab.Wait(`location.pathname === '/run/1abc' && document.documentElement.dataset.ready !== undefined`)
		chips := `[...document.querySelectorAll('.chip')].map(c => c.textContent).join()`
		check(width, [2]string{chips, "174 waiting,24 ok,1 failed,1 running"})
		f.finish(75)
		tab.Wait(chips + ` === '100 waiting,99 ok,1 failed'`) // the row of 025 is replaced
		tab.Script(`const find = document.querySelector('.find input'); find.value = 'web09'; find.oninput()`)
		tab.Wait(`document.querySelectorAll('.row').length === 10`)
		tab.Script(`document.querySelectorAll('.row')[1].click()`)
		tab.Wait(`document.querySelector('#detail pre')`)
		check(width, [2]string{`document.querySelector('#detail pre').textContent`, hostile}, [2]string{`document.querySelector('[role=status]').hidden`, "false"})
		look("run", width)
		f.finish(100)
		tab.Wait(chips + ` === '199 ok,1 failed' && document.querySelector('[role=status]').hidden`)
		check(width, [2]string{`document.querySelectorAll('.group').length`, "2"}, [2]string{`document.querySelectorAll('.row').length`, "10"},
			[2]string{`document.querySelector('.group summary').textContent.split(':')[0]`, "199 ok, the reference"})
	}
	if text := fmt.Sprint(tab.Expect()); strings.Contains(text, "Content Security Policy") || strings.Contains(text, "TrustedHTML") {
		t.Error(text)
	}
}

// A browser shows a watch that goes on, at three widths, light and dark: since when hosts give their
// answers, how its ticks are going, what changed, and of a host its last answer and the change, without a reload.
func TestWatchInABrowser(t *testing.T) {
	tab := browsertest.Open(t)
	rows := `[...document.querySelectorAll('#main > dl dd')].map(e => e.textContent).join('|')`
	changes := `[...document.querySelectorAll('.change')].map(c => c.textContent).join('|')`
	for _, width := range browsertest.Widths {
		f := &fakeWatch{ticks: 1}
		_, address := start(t, f)
		tab.Size(width, false)
		tab.Load(strings.Replace(address, "/?", "/run/1abc?", 1))
		tab.Wait(`document.documentElement.dataset.ready !== undefined`)
		for expression, want := range map[string]string{
			`document.querySelector('h1').textContent`:                                                                   "shoal watch 1abc",
			`document.querySelector('.changes').textContent`:                                                             "nothing since the first answers",
			`document.querySelectorAll('.group').length`:                                                                 "1",
			`document.querySelectorAll('.row .t')[3].textContent`:                                                        "since 2026-01-02 03:05:00",
			rows + `.includes('1, every 30s')`:                                                                           "true",
			`[...document.querySelectorAll('h2')].filter(e => e.checkVisibility() && e.textContent === 'Phases').length`: "0",
		} {
			if got := tab.Text(expression); got != want {
				t.Errorf("at %d: %s is %q, want %q", width, expression, got, want)
			}
		}
		f.tick()
		tab.Wait(rows + `.includes('2, every 30s')`) // nothing else has changed
		f.tick()
		tab.Wait(changes + ` === '2026-01-02 03:06:00 tick 3never started: conn_refusedweb003|2026-01-02 03:06:00 tick 3okweb[000-002] (3)'`)
		tab.Wait(`[...document.querySelectorAll('.row .t')].slice(2, 5).map(e => e.textContent.slice(-8)).join() === '03:06:00,03:06:00,03:05:00'`)
		tab.Script(`document.querySelector('.change').click()`)
		tab.Wait(`document.querySelectorAll('#detail pre').length === 2`)
		if got := tab.Text(`[...document.querySelectorAll('#detail > *')].map(e => e.textContent).join('|')`); got !=
			"web003: never started, conn_refused|since 2026-01-02 03:06:00|no output|Its last answer|"+hostile+"\n1|How its last answer differs from the one before|@@ -1,2 +1,2 @@\n "+hostile+"\n-0\n\\ No newline at end of file\n+1\n\\ No newline at end of file\n" {
			t.Errorf("at %d: %q", width, got)
		}
		for _, dark := range []bool{true, false} {
			tab.Size(width, dark)
			tab.Look("watch", width, dark)
		}
		if bad := tab.Fits(); bad != "" {
			t.Errorf("at %d: %s", width, bad)
		}
		tab.Wait(`document.querySelectorAll('.group').length === 3`) // read anew in time
		f.end()
		tab.Wait(`document.querySelector('[role=status]').hidden`)
		if pwned := tab.Text(`document.documentElement.dataset.pwned`); pwned != "undefined" {
			t.Errorf("at %d: a script of a host has run", width)
		}
	}
	if text := fmt.Sprint(tab.Expect()); strings.Contains(text, "Content Security Policy") || strings.Contains(text, "TrustedHTML") {
		t.Error(text)
	}
}

// A fakeWatch is a watch of six hosts: in its third tick three give another answer, and one none.
type fakeWatch struct {
	fake
	ticks int
	over  bool
}

func (f *fakeWatch) tick() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ticks, f.changed = f.ticks+1, true
}

func (f *fakeWatch) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over, f.changed = true, true
}

// watchBegan is shown in the time zone of the browser, which is that of this process.
var watchBegan = time.Date(2026, 1, 2, 3, 5, 0, 0, time.Local)

func (f *fakeWatch) last(i int) fleet.Result {
	text, n := hostile+"\n1", 1
	r := fleet.Result{Target: fleet.Target{Index: i, Host: fleet.Host{Name: fmt.Sprintf("web%03d", i)}}, End: fleet.End{Outcome: fleet.OutcomeOK}, Attempt: 1}
	if f.ticks >= 3 && i < 4 {
		text, n = hostile+"\n2", 3
		if i == 3 {
			text, r.End = "", fleet.End{Outcome: fleet.OutcomeNeverStarted, Reason: fleet.ReasonConnRefused, Phase: fleet.PhaseDial}
		}
	}
	r.Started = watchBegan.Add(time.Duration(n-1) * 30 * time.Second)
	r.Stdout = fleet.Output{Bytes: []byte(text), Size: int64(len(text))}
	return r
}

// at returns where the watch stands, and what there is to tell of it. mu must be held.
func (f *fakeWatch) at() (Position, *report.Watch) {
	w := &report.Watch{Head: [][2]string{{"ticks", fmt.Sprintf("%d, every 30s", f.ticks)}, {"last", "tick " + hostile}}}
	if f.ticks >= 3 {
		when := "2026-01-02 03:06:00 tick 3"
		w.Changes = []report.Changed{{When: when, What: "never started: conn_refused", Hosts: "web003", First: 3}, {When: when, What: "ok", Hosts: "web[000-002] (3)"}}
	}
	return Position{Live: !f.over, Seq: int64(f.ticks)}, w
}

func (f *fakeWatch) Report(_ context.Context, run string) (*report.Report, Position, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, w := f.at()
	c := report.NewCollector(report.Options{Header: record.Header{Run: run, Command: hostile, Started: watchBegan}, Watch: w})
	for i := range 6 {
		c.Add(f.last(i))
	}
	r, err := c.Report(time.Minute)
	return r, at, err
}

func (f *fakeWatch) Changes(_ context.Context, _ string, after int64) (Changes, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var c Changes
	c.Position, c.Watch = f.at()
	for i := range 4 {
		if r := f.last(i); f.ticks >= 3 && after < 3 {
			c.Rows = append(c.Rows, Row{Index: i, State: report.StateOf(r.Outcome, false), Cause: report.Cause(&r.End), Attempt: 1, Start: r.Started.Sub(watchBegan)})
		}
	}
	return c, nil
}

func (f *fakeWatch) Host(_ context.Context, _ string, index int) (*report.Report, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := report.NewCollector(report.Options{Watch: new(report.Watch)})
	last := f.last(index)
	c.Add(last)
	history := []fleet.Result{last}
	for _, text := range []string{hostile + "\n1", hostile + "\n0"} {
		r := fleet.Result{End: fleet.End{Outcome: fleet.OutcomeOK}, Stdout: fleet.Output{Bytes: []byte(text), Size: int64(len(text))}}
		history = append(history, r)
	}
	c.History(last.Target.Host.Name, history)
	return c.Report(0)
}
