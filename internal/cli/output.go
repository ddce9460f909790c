package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/output"
	"shoal/internal/ui"
	"shoal/record"
)

// An output is everywhere that the results of one run go.
type destinations struct {
	summary  record.Summary
	files    *output.Files // nil without --outdir
	display  output.Sink
	progress *output.Progress
	follow   func(*engine.Tail) // nil when nothing is shown before its time

	showing *showing  // before display and progress
	stderr  io.Writer // above the progress line; never waits for the terminal
	say     *messages // the same
	columns func() int
	hints   hints
	stuck   bool // display hangs, and is left to itself

	mu     sync.Mutex
	lost   error  // the first result that could not be written
	onLost func() // is told of it; nil: nobody
}

// hints are what to do about each reason that came up: the first advice that
// came with it, because the others differ in names only.
type hints struct {
	reasons []fleet.Reason
	advice  map[fleet.Reason]string
}

func (h *hints) add(r fleet.Result) {
	if r.Err == nil {
		return
	}
	if _, known := h.advice[r.Reason]; known {
		return
	}
	if _, hint := ui.SplitHint(r.Err.Error()); hint != "" {
		if h.advice == nil {
			h.advice = make(map[fleet.Reason]string)
		}
		h.reasons = append(h.reasons, r.Reason)
		h.advice[r.Reason] = hint
	}
}

func (h *hints) print(w io.Writer) {
	for _, reason := range h.reasons {
		_, _ = fmt.Fprintf(w, "hint: %s: %s\n", reason, visibleLines(h.advice[reason]))
	}
}

// newDestinations opens what the flags ask for. indexes are those of the results that
// come, in ascending order; nil means that they count from 0.
func newDestinations(f *outputFlags, stdio Stdio, h record.Header, indexes []int) (*destinations, error) {
	out := ui.Inspect(stdio.Out, os.Getenv)
	errs := ui.Inspect(stdio.Err, os.Getenv)
	show := errs.Moves
	if f.progress.value != "auto" {
		show = f.progress.value == "always"
	}
	o := &destinations{columns: errs.Columns}
	o.progress = output.NewProgress(output.ProgressOptions{
		W: stdio.Err, Show: show, Columns: errs.Columns, Total: h.Targets,
	})
	above := o.progress.Writer()
	stdout := stdio.Out
	if out.Terminal {
		stdout = above // one terminal: text goes above the progress line
	}
	to := output.Out{W: stdout, Escape: out.Terminal, Colour: out.Colour}
	toErr := output.Out{W: above, Escape: errs.Terminal, Colour: errs.Colour}
	if err := o.open(f, h, indexes, to, toErr); err != nil {
		return nil, errors.Join(err, o.progress.Close())
	}
	o.say = newMessages(above)
	o.stderr = o.say
	o.showing = newShowing(o.show)
	return o, nil
}

func (o *destinations) open(f *outputFlags, h record.Header, indexes []int, to, toErr output.Out) (err error) {
	if f.outdir != "" {
		if o.files, err = output.NewFiles(f.outdir, h, &o.summary); err != nil {
			return fmt.Errorf("opening --outdir: %w", err)
		}
	}
	switch {
	case f.json:
		if o.display, err = output.NewJSON(to.W, h, &o.summary); err != nil {
			return fmt.Errorf("writing JSON: %w", err)
		}
	case f.gathered, f.gatheredApart:
		o.display = output.NewGathered(output.GatheredOptions{Stdout: to, Stderr: toErr, Apart: f.gatheredApart})
	default:
		live := output.NewLive(output.LiveOptions{Stdout: to, Stderr: toErr, NoPrefix: f.noPrefix})
		o.display = live
		if !f.ordered {
			follower := newFollower(live)
			o.display, o.follow = follower, follower.tell
		}
	}
	if f.ordered {
		o.display = output.NewOrdered(o.display, indexes)
	}
	return nil
}

// take counts one result, writes it to files, and has it shown when the reader
// of our output takes it. It gives false once a result could not be written.
func (o *destinations) take(r fleet.Result) bool {
	if o.files != nil {
		if err := o.files.Result(r); err != nil {
			o.lose(err)
			r = spoilt(r, err)
		}
	}
	if r.Reason == fleet.ReasonBrake && r.Err != nil && o.summary.Reasons[fleet.ReasonBrake] == 0 {
		say(o.stderr, "%s", ui.Visible(r.Err.Error())) // the same for all that did not have their turn
	}
	o.summary.Add(r)
	o.hints.add(r)
	o.showing.push(r)
	return o.failure() == nil
}

// show is for showing.
func (o *destinations) show(r fleet.Result) {
	if err := o.display.Result(r); err != nil {
		o.lose(err)
	}
	_ = o.progress.Result(r) // a progress line that cannot be drawn loses nothing
}

// settle waits until every result is shown, as long as p says. What is left then
// is not shown any more.
func (o *destinations) settle(p patience, run string) {
	left := o.showing.end(p)
	if left == 0 {
		return
	}
	o.stuck = true
	where := ""
	if run != "" {
		where = "\nhint: shoal show " + run + " has them"
	}
	err := fmt.Errorf("%d results were not shown: nobody reads the output%s", left, where)
	o.miss(err)
	complain(o.stderr, err)
}

// miss has the exit code say that not all was written, and reports whether it is
// the first time.
func (o *destinations) miss(err error) (first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	first = o.lost == nil
	if first {
		o.lost = err
	}
	return first
}

// failure is the first result that could not be written, nil for none.
func (o *destinations) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lost
}

// spoilt is the result of a target whose output was lost on this machine. What
// did not run had none to lose.
func spoilt(r fleet.Result, err error) fleet.Result {
	if r.Outcome.DidNotRun() {
		return r
	}
	if fe, ok := errors.AsType[*fleet.Error](err); ok {
		r.Outcome, r.Reason, r.Phase, r.Err = fe.Outcome, fe.Reason, fe.Phase, fe.Err
		r.Flags |= fleet.FlagOutputIncomplete
	}
	return r
}

// lose says once that results cannot be written.
func (o *destinations) lose(err error) {
	if !o.miss(err) {
		return
	}
	if o.onLost != nil {
		o.onLost()
	}
	if errors.Is(err, syscall.EPIPE) {
		say(o.stderr, "nobody reads the output any more: no further command is started, and what runs is waited for")
		return
	}
	complain(o.stderr, fmt.Errorf("a result could not be written: %w\nhint: no further command is started; what was written before is whole", err))
}

// abandon closes what was opened for a run that did not start, or that ends
// early.
func (o *destinations) abandon() error {
	o.settle(patience{}, "")
	var err error
	if o.files != nil {
		err = o.files.Close()
	}
	err = errors.Join(err, o.display.Close())
	o.say.flush()
	o.say.close()
	return errors.Join(err, o.progress.Close())
}

// close finishes everything and prints the last line, as long as p waits for the
// reader. It follows settle.
func (o *destinations) close(p patience) {
	if o.files != nil {
		if err := o.files.Close(); err != nil {
			o.lose(err)
		}
	}
	shown, done := make(chan struct{}), make(chan struct{}) // closed by the goroutine
	go func() {                                             // where the reader takes nothing it ends with the process
		defer close(done)
		if !o.stuck {
			if err := o.display.Close(); err != nil {
				o.lose(err)
			}
			close(shown)
			o.say.flush()
			_ = o.progress.Close()
		}
		_, _ = fmt.Fprint(o.stderr, output.SummaryText(&o.summary, o.columns()))
		o.hints.print(o.stderr)
		o.say.flush()
	}()
	if !p.wait(done, func() int { return 0 }) && !o.stuck {
		select {
		case <-shown: // what nobody takes is the summary
		default:
			o.miss(errors.New("nobody reads the output"))
		}
	}
	o.say.close()
}
