package reach

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shoal/fleet"
	"shoal/hosts/expr"
	"shoal/internal/cli/console"
	"shoal/internal/cli/flags"
	"shoal/internal/cli/signals"
	"shoal/internal/engine"
	"shoal/internal/hint"
	"shoal/internal/ui"
)

type pingFlags struct {
	reachFlags
	attempts     int
	until        string
	gather, json bool
}

// NewPing returns shoal ping.
func NewPing(stdio console.Stdio) *cobra.Command {
	var f pingFlags
	cmd := &cobra.Command{
		Use:   "ping [flags]",
		Short: "Log in to hosts, run nothing, and tell how far it came and how long it took",
		Long: `Log in to each host as a run does, run nothing there, and close the connection in
order. For each host it tells how far that came and how long each phase took:
resolve (name look-up), dial (TCP), banner (the server's version), kex (key
exchange), hostkey (its check) and auth (the login).

The login is complete, unless --until ends it sooner: at dial, banner, kex or hostkey
nothing is sent that belongs to a later phase, and the connection is closed. sshd
punishes sources for that, if they do it often (PerSourcePenalties of OpenSSH 9.8
and later). A host key is checked from hostkey on, and learned at auth only.

--json writes a line for each host: host, index, reached, phase (the last one that
was entered), attempt, ms (of each phase of the last attempt, in milliseconds), and
reason and error of a host that was not reached. Reasons are those of results.

The exit code is 0 if all were reached, 3 if one was not, 130 if interrupted.`,
		Example: `  shoal ping -w web[01-20]
  shoal ping --hostfile hosts -b            what is alike shown once
  shoal ping -J bastion -w db[1-3] --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return ping(cmd.Context(), &f, stdio) },
	}
	f.register(cmd, func(control, output flags.FlagGroup) {
		control.Var((*flags.Count)(&f.attempts), "attempts", "try `N` times where the failure may pass (default 1)")
		control.StringVar(&f.until, "until", "auth", "stop at the end of `PHASE`: dial, banner, kex, hostkey or auth")
		output.BoolVarP(&f.gather, "gather", "b", false, "one line for all hosts that came equally far, when all have ended")
		output.BoolVar(&f.json, "json", false, "write JSON lines, one per host when it has ended")
	})
	return cmd
}

// lastPhase returns the phase that --until names; 0 if the login is to be complete.
func (f *pingFlags) lastPhase() (fleet.Phase, error) {
	phase, err := fleet.ParsePhase(f.until)
	switch {
	case phase == fleet.PhaseResolve:
		return 0, hint.New("--until resolve: the look-up of a name and the connection are one step", "--until dial sends nothing to the host")
	case err != nil || phase < fleet.PhaseDial || phase > fleet.PhaseAuth:
		return 0, fmt.Errorf("--until %.40q is none of dial, banner, kex, hostkey and auth", f.until)
	case phase == fleet.PhaseAuth:
		return 0, nil
	case f.Client.Value != "best":
		return 0, hint.New(fmt.Sprintf("--until %v: only shoal's own client can stop before the login", phase), "leave out --client")
	}
	return phase, nil
}

// ping implements shoal ping.
func ping(ctx context.Context, f *pingFlags, stdio console.Stdio) error {
	if f.gather && f.json {
		return errors.New("-b and --json cannot go together")
	}
	var err error
	if f.last, err = f.lastPhase(); err != nil {
		return err
	}
	s, err := f.open(ctx, "", stdio)
	if err != nil {
		return err
	}
	defer s.close()
	s.engine.Attempts = max(f.attempts, 1)
	out, err := s.results(&f.reachFlags, stdio)
	if err != nil {
		return err
	}
	sink := &pings{w: stdio.Out, gather: f.gather, json: f.json}
	if ui.Inspect(stdio.Out, os.Getenv).Terminal {
		sink.w = out.Progress.Writer() // it must go above the progress line
	}
	_ = out.Display.Close() // that of a run, which has shown nothing
	out.Display = sink
	out.Ending = func(columns int) string { return ending(&out.Summary, "reached", "not reached", columns) }
	ctx, stop := signals.Watch(ctx, func(bool) { out.State.Stopping(); console.Say(out.Stderr, "stopping") })
	defer stop.End()
	defer out.Showing.AbortWith(ctx, stop.Hurried())()
	out.OnLost = stop.Drain
	out.Watch(&s.engine)
	s.engine.Drain = stop.Drained
	for res, err := range engine.Run(ctx, s.engine, s.plan.Targets()) {
		if err != nil {
			return errors.Join(err, out.Abandon(stop.Patience()))
		}
		out.Take(res)
	}
	out.Summary.Elapsed = time.Since(s.started)
	out.Summary.Interrupted = stop.Requested() || ctx.Err() != nil
	out.Settle(stop.Patience(), "")
	out.Close(stop.Patience())
	if code := console.ExitCode(&out.Summary, out.Failure() == nil); code != console.ExitOK {
		return console.ExitError(code)
	}
	return nil
}

// pings is the output.Sink of shoal ping.
type pings struct {
	w            io.Writer
	gather, json bool
	groups       []*pingGroup
}

// A pingGroup is the hosts that came equally far.
type pingGroup struct {
	what  string
	hosts []string
	most  fleet.Durations
	least fleet.Durations
}

// A pingLine is a line of --json.
type pingLine struct {
	Host    string             `json:"host"`
	Index   int                `json:"index"`
	Reached bool               `json:"reached"`
	Phase   string             `json:"phase"`
	Attempt int                `json:"attempt"`
	MS      map[string]float64 `json:"ms"`
	Reason  string             `json:"reason,omitempty"`
	Error   string             `json:"error,omitempty"`
}

// Result implements output.Sink.
func (p *pings) Result(r fleet.Result) error {
	reached := r.Outcome == fleet.OutcomeOK
	switch {
	case p.json:
		line := pingLine{
			Host: r.Target.Host.String(), Index: r.Target.Index, Reached: reached,
			Phase: r.Phase.String(), Attempt: r.Attempt, MS: make(map[string]float64), Reason: string(r.Reason),
		}
		for phase := fleet.PhaseResolve; phase <= fleet.PhaseAuth; phase++ {
			if d := r.Took[phase]; d > 0 {
				line.MS[phase.String()] = float64(d.Microseconds()) / 1000
			}
		}
		if r.Err != nil {
			line.Error = cause(r.Err).Error()
		}
		text, err := json.Marshal(line)
		if err != nil {
			return fmt.Errorf("writing JSON: %w", err)
		}
		return p.write(string(text) + "\n")
	case p.gather:
		p.add(r, reached)
		return nil
	}
	what := "reached"
	if !reached {
		what = "not reached, " + r.Phase.String() + ": " + why(r.End)
	}
	return p.write(ui.Visible(r.Target.Host.String()+": "+what+times(r.Took, r.Took)) + "\n")
}

// add counts r in its group.
func (p *pings) add(r fleet.Result, reached bool) {
	what := "reached"
	if !reached {
		what = fmt.Sprintf("not reached, %s: %s", r.Phase, r.Reason)
	}
	i := slices.IndexFunc(p.groups, func(g *pingGroup) bool { return g.what == what })
	if i < 0 {
		i = len(p.groups)
		p.groups = append(p.groups, &pingGroup{what: what, least: r.Took})
	}
	g := p.groups[i]
	g.hosts = append(g.hosts, r.Target.Host.String())
	for phase, d := range r.Took {
		g.least[phase], g.most[phase] = min(g.least[phase], d), max(g.most[phase], d)
	}
}

// Close implements output.Sink.
func (p *pings) Close() error {
	slices.SortStableFunc(p.groups, func(a, b *pingGroup) int { return strings.Compare(b.what, a.what) })
	for _, g := range p.groups {
		n := "1 host"
		if len(g.hosts) > 1 {
			n = ui.Count(int64(len(g.hosts))) + " hosts"
		}
		if err := p.write(ui.Visible(fmt.Sprintf("%s (%s): %s%s", expr.Fold(g.hosts), n, g.what, times(g.least, g.most))) + "\n"); err != nil {
			return err
		}
	}
	return nil
}

func (p *pings) write(text string) error {
	if _, err := io.WriteString(p.w, text); err != nil {
		return fmt.Errorf("writing the results: %w", err)
	}
	return nil
}

// times lists the phases with their times, or the shortest and the longest one.
func times(least, most fleet.Durations) string {
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()*1000) }
	var parts []string
	for phase := fleet.PhaseResolve; phase <= fleet.PhaseAuth; phase++ {
		if most[phase] == 0 {
			continue
		}
		text := phase.String() + " " + ms(most[phase])
		if a, b := ms(least[phase]), ms(most[phase]); a != b {
			text = phase.String() + " " + a + "-" + b
		}
		parts = append(parts, text)
	}
	if parts == nil {
		return ""
	}
	return " (ms: " + strings.Join(parts, ", ") + ")"
}
