package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"shoal/fleet"
	"shoal/internal/cli/console"
	clirun "shoal/internal/cli/run"
	"shoal/internal/groups"
	"shoal/internal/hint"
	"shoal/internal/journal"
	"shoal/internal/mask"
	"shoal/internal/report"
	"shoal/internal/ui"
	"shoal/internal/web"
)

// NewWeb returns shoal web.
func NewWeb(stdio console.Stdio) *cobra.Command {
	port := 0
	cmd, _ := journalCommand(stdio.Err, false, "web [flags] [RUN]", "Show runs and their reports in a browser",
		`Serve a page on this machine, 127.0.0.1, with the history, the reports of runs, and
runs that go on, also those of other processes, as they go on. The address that is
printed has a secret in it: who has it can read what the journal has. Nothing can
be changed there. Ctrl-C ends it.

From another machine, forward the port over SSH, to the same number:
ssh -L 8022:127.0.0.1:8022 HOST, with --port 8022 there.`,
		"  shoal web\n  shoal web last --port 8022", cobra.MaximumNArgs(1),
		func(ctx context.Context, j *journal.Journal, args []string) error {
			path := "/"
			if len(args) > 0 {
				id, err := j.Resolve(ctx, args[0])
				if err != nil {
					return err
				}
				path = "/run/" + id
			}
			return serve(ctx, j, port, path, stdio)
		})
	cmd.Flags().IntVar(&port, "port", 0, "listen on TCP port `N`; 0 for any free one")
	cmd.ValidArgsFunction = clirun.CompleteRun(false)
	return cmd
}

func serve(ctx context.Context, j *journal.Journal, port int, path string, stdio console.Stdio) error {
	if port < 0 || port > 65535 {
		return fmt.Errorf("--port %d is no TCP port", port)
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	poller, err := j.Poller(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = poller.Close() }()
	l, err := web.Listen(port)
	if err != nil {
		return hint.Wrap(err, "--port 0 takes any free port")
	}
	s := web.New(&webSource{j: j, poller: poller})
	if _, err := fmt.Fprintln(stdio.Out, s.Address(l, path)); err != nil {
		return errors.Join(err, l.Close())
	}
	console.Say(stdio.Err, "open this address in a browser on this machine; Ctrl-C ends it")
	return s.Serve(ctx, l)
}

// A webSource tells shoal web what the journal has.
type webSource struct {
	j      *journal.Journal
	poller *journal.Poller

	mu     sync.Mutex
	listed map[string]*webRun // by identifier, number of sessions and state
}

const (
	// webRuns is the number of runs on a page of the history, and webScanned that of those that
	// are read for it where outcomes are asked for.
	webRuns    = 30
	webScanned = 300
	// maxListed is the number of runs that are kept in listed.
	maxListed = 2000
	// webText is how much of each text of a host a report has, in bytes.
	webText = 4 << 10
	// webResults is the number of results of a host of a watch in which its last two answers are
	// looked for.
	webResults = 20
)

// A webPage is a page of the history, as history.js reads it.
type webPage struct {
	Runs     []webRun `json:"runs"`
	Outcomes []string `json:"outcomes"` // that can be asked for
	Next     string   `json:"next"`     // the run before which the next page begins; "" means that there is none
	Damaged  string   `json:"damaged,omitempty"`
}

// A webRun is a run in the history.
type webRun struct {
	Run     string  `json:"run"`
	Began   string  `json:"began"`
	Took    string  `json:"took"`
	Became  string  `json:"became"`
	About   string  `json:"about"`
	Command string  `json:"command"`
	Rerun   bool    `json:"rerun"`
	Counts  []int64 `json:"counts"` // by report.StateOf

	summary [fleet.NumOutcomes]int
	until   time.Time // how long it stands if the run goes on; the zero time if it has ended
}

// Runs implements web.Source.
func (s *webSource) Runs(ctx context.Context, query url.Values) (any, error) {
	var f historyFlags
	f.Command, f.User, f.Before = query.Get("command"), query.Get("user"), query.Get("before")
	if since := query.Get("since"); since != "" {
		if err := f.since.Set(since); err != nil {
			return nil, err
		}
	}
	if host := query.Get("host"); host != "" {
		f.hosts = []string{host}
	}
	if outcome := query.Get("outcome"); outcome != "" {
		f.outcomes = []string{outcome}
	}
	outcomes, err := outcomesOf(f.outcomes)
	if err != nil {
		return nil, err
	}
	filter, err := f.filter(nil) // groups may be those of programs, which no page starts
	if err != nil {
		return nil, err
	}
	filter.Limit = webScanned
	if outcomes == nil {
		filter.Limit = webRuns + 1
	}
	page := &webPage{Runs: []webRun{}, Outcomes: outcomeWords()}
	var runs []listedRun
	byID := make(map[string]*webRun)
	scanned, last := 0, ""
	for info, err := range s.j.Runs(ctx, filter) {
		if len(runs) == webRuns {
			page.Next = last
			break
		}
		scanned, last = scanned+1, info.Run
		var r *webRun
		if err == nil {
			r, err = s.run(ctx, &info)
		}
		switch {
		case errors.Is(err, journal.ErrNoRun): // pruned in the meantime
		case err != nil:
			what, _ := hint.Split(err.Error())
			page.Damaged = cmp.Or(page.Damaged, ui.Visible(what))
		case len(outcomes) == 0 || r.summary[outcomes[0]] > 0:
			runs = append(runs, listedRun{id: info.Run, parent: info.Parent})
			byID[info.Run] = r
		}
	}
	if page.Next == "" && scanned == filter.Limit {
		page.Next = last
	}
	for _, at := range underTheirFirst(runs) {
		r := *byID[at.id]
		r.Rerun = at.rerun
		page.Runs = append(page.Runs, r)
	}
	return page, nil
}

// run returns a run of the history.
func (s *webSource) run(ctx context.Context, info *journal.RunInfo) (*webRun, error) {
	key := fmt.Sprintf("%s %d %s", info.Run, len(info.Sessions), info.State)
	s.mu.Lock()
	r := s.listed[key]
	s.mu.Unlock()
	if r != nil && (r.until.IsZero() || time.Now().Before(r.until)) {
		return r, nil
	}
	begins := time.Now()
	o, err := s.j.Outline(ctx, info.Run)
	if err != nil {
		return nil, err
	}
	r = &webRun{
		Run: info.Run, Began: begun(info), Took: took(info), Became: became(info, o), About: strings.TrimSpace(about(info, o)), Command: commandText(info),
		Counts: make([]int64, fleet.NumOutcomes+1), summary: o.Outcomes,
	}
	for outcome, n := range o.Outcomes {
		r.Counts[report.StateOf(fleet.Outcome(outcome), false)] += int64(n)
	}
	r.Counts[report.StateOf(0, false)] += int64(o.Waiting)
	r.Counts[report.StateOf(0, true)] += int64(o.Started)
	if info.State == journal.Running { // it is read again and again: that may take a tenth of the time
		r.until = time.Now().Add(10 * time.Since(begins))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listed == nil || len(s.listed) >= maxListed {
		s.listed = make(map[string]*webRun)
	}
	s.listed[key] = r
	return r, nil
}

// info returns a run, or web.ErrNotFound.
func (s *webSource) info(ctx context.Context, run string) (*journal.RunInfo, error) {
	info, err := s.j.Run(ctx, run)
	if errors.Is(err, journal.ErrNoRun) {
		return nil, web.ErrNotFound
	}
	return info, err
}

// Report implements web.Source.
func (s *webSource) Report(ctx context.Context, run string) (*report.Report, web.Position, error) {
	at, err := s.Changes(ctx, run, 1<<62) // before the report: what comes between is told twice
	if err != nil {
		return nil, web.Position{}, err
	}
	info, err := s.info(ctx, run)
	if err != nil {
		return nil, web.Position{}, err
	}
	r, err := newReport(ctx, s.j, info, report.Options{MaxText: webText, Groups: groups.Options{Masker: mask.New(mask.All), Auto: true}}, true)
	return r, at.Position, err
}

// Changes implements web.Source.
func (s *webSource) Changes(ctx context.Context, run string, after int64) (web.Changes, error) {
	info, err := s.info(ctx, run)
	if err != nil {
		return web.Changes{}, err
	}
	c, err := s.j.Changes(ctx, run, after)
	if err != nil {
		return web.Changes{}, err
	}
	changes := web.Changes{Position: web.Position{Live: c.State == journal.Running, Seq: c.Last}}
	if c.Last > after {
		if changes.Watch, err = watchOf(ctx, s.j, info); err != nil {
			return web.Changes{}, err
		}
	}
	for i := range c.Entries {
		e := &c.Entries[i]
		row := web.Row{Index: e.Target.Index, Attempt: e.Attempt}
		if e.Progress == journal.Intended && changes.Live {
			row.State, row.Attempt = report.StateOf(0, true), 0
		} else {
			row.State, row.Cause, row.Took = report.StateOf(e.Outcome, false), report.Cause(&e.End), e.Took.Total()
			if !e.Started.IsZero() {
				row.Start = max(e.Started.Sub(info.Started), 0)
			}
		}
		changes.Rows = append(changes.Rows, row)
	}
	return changes, nil
}

// Host implements web.Source.
func (s *webSource) Host(ctx context.Context, run string, index int) (*report.Report, error) {
	info, err := s.info(ctx, run)
	if err != nil {
		return nil, err
	}
	var before []fleet.Result
	if info.Watch() != "" {
		results, err := s.j.ResultsOf(ctx, run, index, webResults)
		if err != nil {
			return nil, err
		}
		for i := range results {
			before = append(before, results[i].Result)
		}
	}
	c := report.NewCollector(report.Options{MaxText: webText})
	for e, err := range s.j.ShowTargets(ctx, run, []int{index}) {
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		if e.Progress == journal.Done {
			c.Add(e.Result)
			c.History(e.Target.Host.Name, before)
		}
	}
	return c.Report(0)
}

// Changed implements web.Source.
func (s *webSource) Changed(ctx context.Context) (bool, error) { return s.poller.Changed(ctx) }
