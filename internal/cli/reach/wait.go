package reach

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"time"

	"github.com/spf13/cobra"

	"shoal/fleet"
	"shoal/internal/cli/console"
	"shoal/internal/cli/display"
	"shoal/internal/cli/flags"
	"shoal/internal/cli/signals"
	"shoal/internal/hint"
	"shoal/internal/reach"
	"shoal/internal/ssh"
	"shoal/internal/ui"
)

type waitFlags struct {
	reachFlags
	limit       time.Duration
	rebooted    bool
	save, since string
	json        bool
}

// NewWait returns shoal wait.
func NewWait(stdio console.Stdio) *cobra.Command {
	f := waitFlags{limit: 10 * time.Minute}
	cmd := &cobra.Command{
		Use:   "wait [flags]",
		Short: "Wait until hosts answer again, for example after a reboot",
		Long: `Try to log in to each host, as ping does, until it lets us in, at most for --for.
The pause between the tries of a host grows to 30 s. Failures that may pass are
tried again, also refused logins: a host that boots refuses them for a while. A
host key that differs, and what is missing on this side, ends the wait for its host
at once; so does a refused login where a password is used.

--rebooted waits until each host has rebooted: it asks for the identifier of the
host's boot, says when it has those of all hosts, and waits for new ones. Order the
reboot then. Or write the identifiers to a file before it, and compare with them:

  shoal wait -w web[1-9] --save boots
  shoal run  -w web[1-9] --detach 'sleep 1; reboot'
  shoal wait -w web[1-9] --since boots

An identifier is Linux's boot_id, kern.bootsessionuuid of macOS, or the time of the
boot (kern.boottime), asked for by one line of /bin/sh. What is not well-formed is
none, and a host without one cannot be waited for.

--json writes a line for each host when its wait has ended: host, index, answered,
tries, waited_ms, boot (its identifier, if it was asked for), and phase, reason and
error of the last try of a host that did not answer.

The exit code is 0 if all answered, 3 if one did not, 130 if interrupted.`,
		Example: `  shoal wait -w web[01-20]
  shoal wait -w db1 --rebooted --for 15m`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return wait(cmd.Context(), &f, stdio) },
	}
	f.register(cmd, func(control, output flags.FlagGroup) {
		control.DurationVar(&f.limit, "for", f.limit, "wait at most this long")
		control.BoolVar(&f.rebooted, "rebooted", false, "wait for a new boot of each host")
		control.StringVar(&f.save, "save", "", "write the boot identifiers to `FILE` when the hosts answer")
		control.StringVar(&f.since, "since", "", "wait for another boot than that in `FILE`, which --save wrote")
		output.BoolVar(&f.json, "json", false, "write JSON lines, one per host when its wait has ended")
	})
	return cmd
}

func (f *waitFlags) check() error {
	switch {
	case f.limit <= 0:
		return fmt.Errorf("--for %v: the time must be positive", f.limit)
	case f.save != "" && (f.rebooted || f.since != ""):
		return hint.New("--save is for before the reboot, --rebooted and --since are for after it", "use one of them")
	}
	return nil
}

// wait implements shoal wait.
func wait(ctx context.Context, f *waitFlags, stdio console.Stdio) (err error) {
	if err := f.check(); err != nil {
		return err
	}
	b := &reach.Boots{Ask: f.rebooted || f.save != "" || f.since != "", Rebooted: f.rebooted || f.since != "", Before: make(map[string]string)}
	if f.since != "" {
		if b.Before, err = readBoots(f.since); err != nil {
			return err
		}
	}
	command := ""
	if b.Ask {
		command = reach.BootCommand
	}
	s, err := f.open(ctx, command, stdio)
	if err != nil {
		return err
	}
	defer s.close()
	if f.since != "" {
		if err := has(b.Before, s.plan.Targets()); err != nil {
			return err
		}
	}
	if f.save != "" {
		file, err := createBoots(f.save)
		if err != nil {
			return err
		}
		defer func() {
			if closed := file.Close(); closed != nil {
				err = errors.Join(err, fmt.Errorf("writing the boot identifiers: %w", closed))
			}
		}()
		b.Save = func(name, id string) error { return writeBoot(file, name, id) }
	}
	return f.run(ctx, s, b, stdio)
}

// run waits and shows the results.
func (f *waitFlags) run(ctx context.Context, s *session, b *reach.Boots, stdio console.Stdio) error {
	out, err := s.results(&f.reachFlags, stdio)
	if err != nil {
		return err
	}
	sink := &waits{w: stdio.Out, json: f.json, boots: b, begun: s.started}
	if ui.Inspect(stdio.Out, os.Getenv).Terminal {
		sink.w = out.Progress.Writer() // it must go above the progress line
	}
	_ = out.Display.Close() // that of a run, which has shown nothing
	out.Display = sink
	well := "answered"
	if b.Rebooted {
		well = "rebooted"
	}
	out.Ending = func(columns int) string { return ending(&out.Summary, well, "did not", columns) }
	ctx, stop := signals.Watch(ctx, func(bool) { out.State.Stopping(); console.Say(out.Stderr, "stopping") })
	defer stop.End()
	defer out.Showing.AbortWith(ctx, stop.Hurried())()
	out.OnLost = stop.Drain
	out.Watch(&s.engine)
	if b.Ask {
		s.engine.CommandTimeout, s.engine.Idempotent = reach.AskTimeout, true
	}
	over, release := reach.Until(ctx, s.engine.Clock, f.limit, stop.Drained)
	defer release()
	told := &notices{out: out, total: s.total, boots: b, taking: f.rebooted && f.since == ""}
	w := &reach.Waiter{
		Engine: s.engine, Over: over,
		Judge: func(res *fleet.Result) reach.Verdict {
			v := b.Judge(res, s.password)
			told.tell(*res, v)
			if v == reach.TryAgain {
				out.State.Waiting(res.Target)
			}
			return v
		},
		Final: func(res fleet.Result) { out.Take(res) },
	}
	if err := w.Wait(ctx, s.plan.Targets()); err != nil {
		return errors.Join(err, out.Abandon(stop.Patience()))
	}
	out.Summary.Elapsed = time.Since(s.started)
	out.Summary.Interrupted = stop.Requested() || ctx.Err() != nil
	out.Settle(stop.Patience(), "")
	out.Close(stop.Patience())
	if b.Failed != nil {
		return b.Failed
	}
	if code := console.ExitCode(&out.Summary, out.Failure() == nil); code != console.ExitOK {
		return console.ExitError(code)
	}
	return nil
}

// has returns an error if there is no identifier for one of the targets.
func has(before map[string]string, targets iter.Seq[ssh.Target]) error {
	for t := range targets {
		if name := t.Host.String(); before[name] == "" {
			return hint.Wrap(fmt.Errorf("the file of --since has no boot identifier of %s", ui.Visible(name)),
				"shoal wait --save writes those of hosts that answer, under the names they have there")
		}
	}
	return nil
}

// notices tells of what happens while hosts are waited for.
type notices struct {
	out    *display.Results
	total  int
	boots  *reach.Boots
	taking bool // the first identifiers are being taken
	lost   int  // hosts that will have none
	told   map[fleet.Reason]bool
}

// tell tells of a try.
func (n *notices) tell(res fleet.Result, v reach.Verdict) {
	if v == reach.Hopeless {
		n.lost++
	}
	if n.taking && n.boots.Taken()+n.lost >= n.total {
		n.taking = false
		if taken := n.boots.Taken(); taken > 0 {
			console.Say(n.out.Stderr, "the boot identifiers of %s are taken: reboot them now", ui.CountOf(taken, "host", "hosts"))
		}
	}
	doubtful := res.Phase == fleet.PhaseAuth || res.Reason == fleet.ReasonNameNotFound
	if v == reach.TryAgain && doubtful && !n.told[res.Reason] {
		if n.told == nil {
			n.told = make(map[fleet.Reason]bool)
		}
		n.told[res.Reason] = true
		console.Say(n.out.Stderr, "%s: %s; waiting may not help, but it is tried again", ui.Visible(res.Target.Host.String()), ui.Visible(why(res.End)))
	}
}

// waits is the output.Sink of shoal wait.
type waits struct {
	w     io.Writer
	json  bool
	boots *reach.Boots
	begun time.Time
}

// A waitLine is a line of --json.
type waitLine struct {
	Host     string  `json:"host"`
	Index    int     `json:"index"`
	Answered bool    `json:"answered"`
	Tries    int     `json:"tries"`
	WaitedMS float64 `json:"waited_ms"`
	Boot     string  `json:"boot,omitempty"`
	Phase    string  `json:"phase,omitempty"`
	Reason   string  `json:"reason,omitempty"`
	Error    string  `json:"error,omitempty"`
}

// Result implements output.Sink.
func (s *waits) Result(r fleet.Result) error {
	name, good := r.Target.Host.String(), r.Outcome == fleet.OutcomeOK
	waited := time.Since(s.begun)
	if s.json {
		line := waitLine{
			Host: name, Index: r.Target.Index, Answered: good, Tries: r.Attempt, WaitedMS: float64(waited.Milliseconds()), Boot: s.boots.Boot(name),
		}
		if !good {
			line.Phase, line.Reason = r.Phase.String(), string(r.Reason)
			if r.Err != nil {
				line.Error = cause(r.Err).Error()
			}
		}
		text, err := json.Marshal(line)
		if err != nil {
			return fmt.Errorf("writing JSON: %w", err)
		}
		return s.write(string(text) + "\n")
	}
	what := "answers"
	switch {
	case r.Reason == fleet.ReasonNotRebooted || r.Reason == fleet.ReasonBootUnknown:
		what = "answers, but " + why(r.End)
	case !good:
		what = "no answer, " + r.Phase.String() + ": " + why(r.End)
	case s.boots.Rebooted:
		what = "rebooted and answers"
	}
	tries := "1 try"
	if r.Attempt != 1 {
		tries = ui.Count(int64(r.Attempt)) + " tries"
	}
	return s.write(ui.Visible(fmt.Sprintf("%s: %s (%s, %s)", name, what, ui.Duration(waited), tries)) + "\n")
}

// Close implements output.Sink.
func (s *waits) Close() error { return nil }

func (s *waits) write(text string) error {
	if _, err := io.WriteString(s.w, text); err != nil {
		return fmt.Errorf("writing the results: %w", err)
	}
	return nil
}
