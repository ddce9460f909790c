// Package display shows the results of a run: output, messages, progress and
// summary, in the ways that the flags ask for. The formats are in
// internal/output; this package connects them to the terminal and to signals.
package display

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"shoal/fleet"
	"shoal/internal/cli/console"
	"shoal/internal/cli/signals"
	"shoal/internal/engine"
	"shoal/internal/hint"
	"shoal/internal/output"
	"shoal/internal/runstate"
	"shoal/internal/ui"
	"shoal/record"
)

// Results sends the results of one run to every destination: terminal, files,
// JSON and the progress line.
type Results struct {
	Summary  record.Summary
	files    *output.Files // nil without --outdir
	Display  output.Sink
	State    *runstate.State      // of the run while it goes on
	Progress *output.Progress     // shows State
	Follow   func(*engine.Output) // nil when output is shown only with the result

	Showing *showing  // feeds display
	Stderr  io.Writer // prints above the progress line; never blocks on the terminal
	say     *Messages // the Messages behind Stderr
	errs    io.Writer // standard error itself
	Columns func() int
	hints   hints
	Stuck   bool // the display hangs and is abandoned

	mu       sync.Mutex
	lost     error           // the first write error
	told     map[string]bool // by destination: its first error was printed
	colour   bool            // of the summary
	quiet    bool            // a program reads the JSON: no advice what to do next
	Recorded *Recorded       // set before Close if a journal has the run, for the line about what to do next
	Cut      error           // why output of hosts was cut that should have been kept; nil: none was
	OnLost   func()          // called on a destination's first write error; may be nil
	// Ending replaces the summary's text, in at most the given number of columns; nil: it
	// is that of a run.
	Ending func(columns int) string
}

// hints are the advice for each reason that occurred. Only the first text per
// reason is kept: the others differ only in names.
type hints struct {
	seen    []fleet.Reason // all that occurred
	reasons []fleet.Reason // those with advice
	advice  map[fleet.Reason]string
}

// usualAdvice is for errors without a hint, most of which are the system's own.
var usualAdvice = map[fleet.Reason]string{
	fleet.ReasonNameNotFound:  "check the spelling of the name; getent hosts NAME asks for it outside of shoal",
	fleet.ReasonConnRefused:   "nothing listens there: check that sshd runs, and the port (-p)",
	fleet.ReasonBannerTimeout: "something takes connections there and does not answer as sshd: check the port (-p) and the load; --kex-timeout waits longer",
	fleet.ReasonDialTimeout:   "nothing answers there: check the address, the port (-p) and firewalls between; --dial-timeout waits longer",
	fleet.ReasonJumpFailed:    "log in to the jump host alone to see why: shoal run -v -w JUMPHOST true",
	fleet.ReasonConnReset:     "the log of sshd there may tell why: journalctl -u ssh; or a firewall between cut the connection",
}

func (h *hints) add(r fleet.Result) {
	if r.Err == nil {
		return
	}
	if r.Reason != fleet.ReasonNone && r.Outcome != fleet.OutcomeCancelled && !slices.Contains(h.seen, r.Reason) {
		h.seen = append(h.seen, r.Reason)
	}
	if _, known := h.advice[r.Reason]; known {
		return
	}
	advice := hint.Of(r.Err)
	if advice == "" && r.Outcome != fleet.OutcomeCancelled {
		advice = usualAdvice[r.Reason]
	}
	if advice != "" {
		if h.advice == nil {
			h.advice = make(map[fleet.Reason]string)
		}
		h.reasons = append(h.reasons, r.Reason)
		h.advice[r.Reason] = advice
	}
}

// maxExplained is how many reasons one line names.
const maxExplained = 5

// print orders reasons by name: which host failed first says nothing.
func (h *hints) print(w io.Writer) {
	slices.Sort(h.reasons)
	slices.Sort(h.seen)
	for _, reason := range h.reasons {
		console.Hint(w, string(reason)+": "+console.VisibleLines(h.advice[reason]))
	}
	if len(h.seen) == 0 {
		return
	}
	var names strings.Builder
	for _, reason := range h.seen[:min(len(h.seen), maxExplained)] {
		names.WriteString(" " + ui.Visible(string(reason))) // of a worker it is a text from outside
	}
	console.Hint(w, "to read more: shoal explain"+names.String())
}

// A Recorded is a run that a journal has.
type Recorded struct {
	Run      string
	StateDir string // as the flag had it; "" means the usual one
	Marked   bool   // its hosts can be asked what became of a command
}

// next returns the line that says what to do after a run that was not all ok, or "".
func (o *Results) next() string {
	if o.Recorded == nil || o.quiet {
		return ""
	}
	count := func(outcomes ...fleet.Outcome) (n int) {
		for _, outcome := range outcomes {
			n += o.Summary.Outcomes[outcome] - o.Summary.LetGo[outcome]
		}
		return n
	}
	var commands []string
	if count(fleet.OutcomeNeverStarted, fleet.OutcomeRefused, fleet.OutcomeCancelled) > 0 {
		commands = append(commands, "shoal resume last")
		if o.Summary.Reasons[fleet.ReasonBrake] > 0 {
			commands[0] = "shoal resume --past-brake last"
		}
	}
	if count(fleet.OutcomeFailed, fleet.OutcomeSignalled) > 0 {
		commands = append(commands, "shoal rerun last failed")
	}
	if count(fleet.OutcomeUnknown) > 0 {
		if o.Recorded.Marked {
			commands = append(commands, "shoal resolve last")
		} else {
			commands = append(commands, "shoal show last --only unknown")
		}
	}
	if len(commands) == 0 {
		return ""
	}
	where := ""
	if dir := o.Recorded.StateDir; dir != "" {
		where = " (--state-dir " + ui.Visible(dir) + ")"
	}
	return fmt.Sprintf("run %s%s; next: %s\n", o.Recorded.Run, where, strings.Join(commands, ", "))
}

// New opens the destinations that the flags ask for. indexes are those of the
// expected results in ascending order; nil means that they count from 0.
func New(f *OutputFlags, stdio console.Stdio, h record.Header, indexes []int) (*Results, error) {
	out := ui.Inspect(stdio.Out, os.Getenv)
	errs := ui.Inspect(stdio.Err, os.Getenv)
	o := &Results{Columns: errs.Columns, errs: stdio.Err, quiet: f.json && !out.Terminal, State: runstate.New(h.Targets)}
	mode := f.progressMode(out, errs)
	if f.Aside != nil && errs.Terminal && mode != output.ProgressLine {
		mode = output.ProgressNone // it would be written into the browser
	}
	o.Progress = output.NewProgress(output.ProgressOptions{
		W: stdio.Err, Mode: mode, Columns: errs.Columns, Colour: errs.Colour, State: o.State,
	})
	above := o.Progress.Writer()
	if f.Aside != nil {
		if err := o.Progress.Hide(); err != nil {
			return nil, errors.Join(err, o.Progress.Close())
		}
		above = f.Aside
	}
	stdout := stdio.Out
	if out.Terminal && errs.Terminal {
		stdout = above // stdout is the same terminal: text must go above the progress line
	}
	to := output.Out{W: stdout, Escape: out.Terminal, Colour: out.Colour, Columns: out.Columns}
	toErr := output.Out{W: above, Escape: errs.Terminal, Colour: errs.Colour, Columns: errs.Columns}
	o.colour = errs.Colour
	if err := o.open(f, h, indexes, to, toErr); err != nil {
		return nil, errors.Join(err, o.Progress.Close())
	}
	o.say = newMessages(above, o.Columns)
	o.Stderr = o.say
	o.Showing = newShowing(o.show)
	return o, nil
}

func (o *Results) open(f *OutputFlags, h record.Header, indexes []int, to, toErr output.Out) (err error) {
	if f.outdir != "" {
		if o.files, err = output.NewFiles(f.outdir, h, &o.Summary); err != nil {
			return fmt.Errorf("opening --outdir: %w", err)
		}
		if f.Named != nil {
			o.files.NameAfter(f.Named)
		}
	}
	switch {
	case f.Sink != nil:
		o.Display = f.Sink
	case f.json:
		if o.Display, err = output.NewJSON(to.W, h, &o.Summary); err != nil {
			return fmt.Errorf("writing JSON: %w", err)
		}
	case f.lines:
		lines := output.NewGatheredLines(output.GatheredLinesOptions{Stdout: to, Stderr: toErr, Apart: f.gatheredApart, NoPrefix: f.noPrefix, Targets: f.expected(h.Targets)})
		follower := newFollower(lines, nil)
		o.Display, o.Follow = follower, follower.Announce
	case f.grouped() && !f.Follow:
		o.Display = output.NewGathered(f.gatheredOptions(h.Targets, to, toErr))
	default:
		options := output.LiveOptions{Stdout: to, Stderr: toErr, NoPrefix: f.noPrefix, Brief: f.Brief, ByHost: f.Follow}
		if to.Escape && f.Named != nil { // a terminal
			options.Align = output.Align(f.Named)
		}
		if f.timestamps {
			options.Now = time.Now
		}
		live := output.NewLive(options)
		o.Display = live
		if !f.Ordered {
			var left func(fleet.Target, int64)
			if f.Follow {
				left = live.LeaveOut
			}
			follower := newFollower(live, left)
			o.Display, o.Follow = follower, follower.Announce
		}
		if f.grouped() { // the groups at the end of what was followed
			o.Display = output.Multi(o.Display, output.NewGathered(f.gatheredOptions(h.Targets, to, toErr)))
		}
	}
	if f.Ordered && !f.lines {
		o.Display = output.NewOrdered(o.Display, indexes)
	}
	return nil
}

// Watch keeps State up to date with what e works on.
func (o *Results) Watch(e *engine.Options) {
	WatchState(o.State, e)
	e.Staged = o.stage
}

// WatchState keeps s up to date with what e works on.
func WatchState(s *runstate.State, e *engine.Options) {
	if e.Barrier {
		s.Barrier()
	}
	e.Watch = func(v *engine.View, step engine.Step) {
		switch step {
		case engine.Connecting:
			s.Connecting(v)
		case engine.Running:
			s.Running(v)
		case engine.Ended:
			s.Ended(v)
		case engine.Waiting:
			s.Waiting(v.Of())
		}
	}
}

// stage shows a stage of a rollout, or the pause after it: in the progress line, or in a
// line of its own where there is none.
func (o *Results) stage(s engine.Stage) {
	st := runstate.Stage{Number: s.Number, Stages: s.Stages, Targets: s.Targets}
	if s.Pause > 0 {
		st.Next = time.Now().Add(s.Pause)
	}
	o.State.Stage(st)
	switch {
	case o.Progress.Shown():
	case s.Pause > 0:
		console.Say(o.Stderr, "%s ended, the next begins in %s", output.StageText(st), ui.Duration(s.Pause))
	default:
		console.Say(o.Stderr, "%s", output.StageText(st))
	}
}

// SayInFlight lists what is in flight.
func (o *Results) SayInFlight() {
	console.Say(o.Stderr, "%s", strings.TrimSuffix(output.InFlightText(o.State, time.Now()), "\n"))
}

// Take counts one result, writes it to files and queues it for display. It
// returns false once a result could not be written.
func (o *Results) Take(r fleet.Result) bool {
	if o.files != nil {
		if err := o.files.Result(r); err != nil {
			o.Lose("files", err)
			r = withStoreError(r, err)
		}
	}
	if r.Reason == fleet.ReasonBrake && r.Err != nil && o.Summary.Reasons[fleet.ReasonBrake] == 0 {
		console.Say(o.Stderr, "%s", ui.Visible(r.Err.Error())) // the same for all unstarted targets
	}
	o.Summary.Add(r)
	o.hints.add(r)
	o.State.Result(r)
	o.Showing.push(r)
	return o.Failure() == nil
}

// show is the function that Showing calls.
func (o *Results) show(r fleet.Result) {
	if err := o.Display.Result(r); err != nil {
		o.Lose("display", err)
	}
}

// Settle waits for the display as long as p allows. Results that remain are not
// shown.
func (o *Results) Settle(p signals.Patience, run string) {
	left := o.Showing.end(p)
	if left == 0 {
		return
	}
	o.Stuck = true
	where := ""
	if run != "" {
		where = "shoal show " + run + " has them"
	}
	err := hint.Wrap(fmt.Errorf("%d results were not shown: nobody reads the output", left), where)
	o.miss(err)
	console.Complain(o.Stderr, err)
}

// miss records that a result was not written, which changes the exit code.
func (o *Results) miss(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lost = cmp.Or(o.lost, err)
}

// first reports whether this is the first error of a destination.
func (o *Results) first(destination string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	first := !o.told[destination]
	if o.told == nil {
		o.told = make(map[string]bool)
	}
	o.told[destination] = true
	return first
}

// Failure returns the first write error, or nil.
func (o *Results) Failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lost
}

// withStoreError marks a result whose output could not be stored on this
// machine. A command that did not run had no output, so its result stays as it
// is.
func withStoreError(r fleet.Result, err error) fleet.Result {
	if r.Outcome.DidNotRun() {
		return r
	}
	if fe, ok := errors.AsType[*fleet.Error](err); ok {
		r.Outcome, r.Reason, r.Phase, r.Err = fe.Outcome, fe.Reason, fe.Phase, fe.Err
		r.Flags |= fleet.FlagOutputIncomplete
	}
	return r
}

// Lose reports, once for each destination, that results cannot be written there.
func (o *Results) Lose(destination string, err error) {
	o.miss(err)
	if !o.first(destination) {
		return
	}
	if o.OnLost != nil {
		o.OnLost()
	}
	after := ": no further command is started, and what runs is waited for"
	if o.OnLost == nil { // nothing runs
		after = ""
	}
	if errors.Is(err, syscall.EPIPE) {
		console.Say(o.Stderr, "%v%s", errUnread, after)
		return
	}
	advice := "no further command is started; what was written before is whole"
	if o.OnLost == nil {
		advice = "what was written before is whole"
	}
	console.Complain(o.Stderr, hint.Wrap(fmt.Errorf("a result could not be written: %w", err), advice))
}

var errUnread = errors.New("nobody reads the output any more")

// StoppedBy returns why no command is started any more after a result could not be
// written.
func (o *Results) StoppedBy() (fleet.Reason, error) {
	err := o.Failure()
	if errors.Is(err, syscall.EPIPE) {
		return fleet.ReasonOutputClosed, errUnread
	}
	return fleet.ReasonStoreFailed, err
}

// Abandon closes the destinations of a run that did not start or ended early,
// waiting for the reader as long as p allows.
func (o *Results) Abandon(p signals.Patience) error {
	o.Settle(p, "")
	var err error
	if o.files != nil {
		err = o.files.Close()
	}
	closed := make(chan error, 1) // sent by the goroutine below
	done := make(chan struct{})   // closed by it; it may end with the process
	go func() {
		defer close(done)
		var err error
		if !o.Stuck {
			err = o.Display.Close()
			o.say.flush()
			err = errors.Join(err, o.Progress.Close())
		}
		closed <- err
	}()
	if p.Wait(done, func() int { return 0 }) {
		err = errors.Join(err, <-closed)
	}
	o.say.close()
	return err
}

// Complain prints an error after Close, waiting for the reader as long as p allows.
func (o *Results) Complain(p signals.Patience, err error) {
	say, done := newMessages(o.errs, o.Columns), make(chan struct{})
	console.Complain(say, err)
	go func() { // may end with the process
		defer close(done)
		say.flush()
	}()
	p.Wait(done, func() int { return 0 })
	say.close()
}

// Close finishes all destinations and prints the summary, waiting for the
// reader as long as p allows. Settle must have returned.
func (o *Results) Close(p signals.Patience) {
	if o.files != nil {
		if err := o.files.Close(); err != nil {
			o.Lose("files", err)
		}
	}
	next := o.next()
	shown, done := make(chan struct{}), make(chan struct{}) // closed by the goroutines below
	go func() {                                             // may end with the process
		defer close(done)
		if !o.Stuck {
			if err := o.Display.Close(); err != nil {
				o.Lose("display", err)
			}
			close(shown)
			o.say.flush()
			_ = o.Progress.Close()
		}
		if o.Ending != nil {
			_, _ = fmt.Fprint(o.Stderr, o.Ending(o.Columns()))
		} else {
			_, _ = fmt.Fprint(o.Stderr, output.SummaryText(&o.Summary, o.Columns(), o.colour))
		}
		o.hints.print(o.Stderr)
		_, _ = fmt.Fprint(o.Stderr, next)
		o.say.flush()
	}()
	if !p.Wait(done, func() int { return 0 }) && !o.Stuck {
		select {
		case <-shown: // only the summary was not read
		default:
			o.miss(errors.New("nobody reads the output"))
		}
	}
	o.Progress.Stop()
	o.say.FlushFor(console.SuspendFlush) // what was said of lost results, also in a hurry
	o.say.close()
}
