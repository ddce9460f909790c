package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"shoal/fleet"
	"shoal/hosts/expr"
	"shoal/internal/cli/console"
	"shoal/internal/cli/display"
	"shoal/internal/engine"
	"shoal/internal/groups"
	"shoal/internal/output"
	"shoal/internal/runstate"
	"shoal/internal/ui"
	"shoal/record"
)

// answers shows the results of one line.
type answers struct {
	shell    *shell
	state    *runstate.State
	progress *output.Progress
	waiting  *waiting
	above    io.Writer // standard error, above the progress line
	sink     *output.Gathered
	summary  record.Summary
	began    time.Time
	dialled  map[fleet.DialReason]int
	last     map[int]answer // by index in base
	maybe    []string       // hosts on which it was given up, and may still run
	lost     bool           // the journal lacks something
}

func (s *shell) newAnswers(run string) *answers {
	a := &answers{
		shell: s, began: time.Now(), dialled: make(map[fleet.DialReason]int), last: make(map[int]answer), state: runstate.New(len(s.selected)),
	}
	mode, errs := output.ProgressNone, ui.Inspect(s.stdio.Err, os.Getenv)
	if out := ui.Inspect(s.stdio.Out, os.Getenv); errs.Moves && !out.Pipe {
		mode = output.ProgressLine
	}
	a.progress = output.NewProgress(output.ProgressOptions{W: s.stdio.Err, Mode: mode, Columns: errs.Columns, Colour: errs.Colour, State: a.state})
	a.above = s.wrapped(a.progress.Writer())
	a.waiting = watchPrompts(a.state, a.above)
	o := output.GatheredOptions{
		Stdout: s.out(s.stdio.Out), Groups: s.settings.equal, View: s.settings.view, Targets: len(s.selected), Standing: true,
		Mask: ":mask auto",
	}
	if again := s.showAgain(run); again != "" && o.Stdout.Escape {
		o.Rest, o.Max = again+" -b | less", display.MaxGroups
	}
	a.sink = output.NewGathered(o)
	return a
}

// watch has the engine say what it works on.
func (a *answers) watch(e *engine.Options) {
	display.WatchState(a.state, e)
	e.Notice = func(text string) { console.Note(a.above, text) }
}

func (a *answers) take(res fleet.Result) {
	a.summary.Add(res)
	a.state.Result(res)
	if c := res.Connection; c != nil && !c.Held {
		a.dialled[c.Why]++
	}
	if res.Outcome == fleet.OutcomeUnknown {
		a.maybe = append(a.maybe, res.Target.Host.String())
	}
	a.last[a.shell.selected[res.Target.Index]] = answer{outcome: res.Outcome}
	_ = a.sink.Result(res) // it only collects
}

// close shows the answers and one line about all.
func (a *answers) close(ctx context.Context) error {
	a.waiting.end()
	err := a.progress.Close()
	if ctx.Err() != nil && ui.Inspect(a.shell.stdio.Err, os.Getenv).Terminal {
		_, _ = fmt.Fprintln(a.shell.stdio.Err) // behind ^C
	}
	s, all := a.shell, a.sink.Groups()
	if len(all.List) > 0 { // of several largest, the one that has the first host
		for _, m := range all.List[0].Members {
			i := s.selected[m.Index]
			a.last[i] = answer{outcome: a.last[i].outcome, common: true}
		}
	}
	s.last, s.shown = a.last, a
	err = errors.Join(err, a.show(s.settings.view, ""))
	a.summary.Interrupted = ctx.Err() != nil
	s.say("%s", a.line())
	if n := len(a.maybe); n > 0 && ctx.Err() != nil {
		s.say("interrupted: on %s the command may still run: %s", ui.CountOf(n, "host", "hosts"), ui.Truncate(ui.Visible(expr.Fold(a.maybe)), maxFolded))
	}
	if err != nil {
		return errors.Join(errors.New("showing the answers failed"), err)
	}
	return nil
}

// maxFolded limits the columns of folded names in a message.
const maxFolded = 200

// show shows the answers, and writes them into the log.
func (a *answers) show(view output.GroupView, reference string) error {
	s := a.shell
	s.inLog(func(w io.Writer) error {
		plain := output.Out{W: w}
		return a.sink.PrintAs(plain, plain, view, reference)
	})
	errs := s.out(s.stdio.Err)
	errs.W = s.wrapped(errs.W)
	return a.sink.PrintAs(s.out(s.stdio.Out), errs, view, reference)
}

// forget frees the answers of the last line.
func (s *shell) forget() {
	if s.shown != nil {
		_ = s.shown.sink.Free() // what it held is only needed to show it
		s.shown = nil
	}
}

// diff shows the answers of the last line again, and how they differ from that of a host; "" means
// the most frequent one.
func (s *shell) diff(reference string) error {
	if s.shown == nil {
		return errNoCommand
	}
	all := s.shown.sink.Groups()
	if reference != "" && all.Of(reference) == nil {
		return fmt.Errorf("%.100q gave no answer to the last command", reference)
	}
	if answered, _ := all.Answers(); len(answered) == 1 {
		s.say("all %s that answered gave the same answer", ui.CountOf(len(answered[0].Members), "host", "hosts"))
	}
	return s.shown.show(output.Diffs, reference)
}

func (a *answers) exitCode(failed error) int {
	return console.ExitCode(&a.summary, failed == nil && !a.lost)
}

// line counts outcomes and connections.
func (a *answers) line() string {
	var parts []string
	for o, n := range a.summary.Outcomes {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", ui.Count(int64(n)), strings.ReplaceAll(fleet.Outcome(o).String(), "_", " ")))
		}
	}
	text := strings.Join(parts, ", ") + " in " + ui.Duration(time.Since(a.began))
	if n := different(a.sink.Groups()); n > 1 {
		text += fmt.Sprintf("; %s answers", ui.Count(int64(n)))
	}
	for _, why := range []fleet.DialReason{
		fleet.DialLost, fleet.DialRefused, fleet.DialExpired, fleet.DialSettings, fleet.DialHostKey, fleet.DialLetGo,
	} {
		if n := a.dialled[why]; n > 0 {
			text += fmt.Sprintf("; %s dialled anew (%s)", ui.Count(int64(n)), strings.ReplaceAll(string(why), "_", " "))
		}
	}
	return text
}

// different returns the number of different answers; none is no answer.
func different(all *groups.Groups) int {
	answered, _ := all.Answers()
	return len(answered)
}
