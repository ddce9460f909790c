package run

import (
	"context"
	"errors"

	"shoal/internal/browse"
	"shoal/internal/cli/browser"
	"shoal/internal/cli/console"
	"shoal/internal/cli/display"
	"shoal/internal/cli/flags"
	"shoal/internal/cli/signals"
	"shoal/internal/hint"
	"shoal/internal/journal"
	"shoal/internal/runstate"
)

// A browsing is a run that is shown in a browser. It reads the journal on its own, because the
// browser may stay when the run has closed it. A nil one does nothing.
type browsing struct {
	journal *journal.Journal
	live    *browser.Live
	aside   *browser.Aside
	browser *browser.Browser // nil until start
	leaving chan struct{}    // closed by the goroutine of start when it ends
	over    chan struct{}    // closed by wait
}

// checkBrowse returns an error for flags that do not go with --browse.
func (f *RunFlags) checkBrowse(stdio console.Stdio) error {
	if !f.browse {
		return nil
	}
	for _, name := range []string{
		"json", "gather", "gather-apart", "no-prefix", "in-order", "follow", "timestamps",
		"groups", "diff", "diff-to", "mask", "mask-regex", "by", "by-field", "max-groups",
	} {
		if f.Given.Changed(name) {
			return hint.New("--browse and --"+name+" cannot go together: the browser shows the results", "shoal show last prints them afterwards")
		}
	}
	if !f.On() {
		return hint.New("--browse reads what has ended from the journal, and none is kept", "leave out --no-journal, and --state-dir none")
	}
	return browser.Check(stdio, "leave out --browse")
}

// newBrowsing prepares the browser of a run that is in the journal.
func (x *Execution) newBrowsing(ctx context.Context) (*browsing, error) {
	j, err := journal.OpenReadOnly(ctx, flags.StateDir(x.StateDir), journal.Options{})
	if err != nil {
		return nil, err //nolint:wrapcheck // it says what it is about
	}
	info, err := j.Run(ctx, x.Header.Run)
	if err != nil {
		return nil, errors.Join(err, j.Close())
	}
	b := &browsing{journal: j, aside: new(browser.Aside), leaving: make(chan struct{}), over: make(chan struct{})}
	b.live = browser.NewLive(x.Plan.Recorded(), browser.NewRecorded(j, info), b.aside)
	x.Output.Sink, x.Output.Aside = b.live, b.aside
	return b, nil
}

// start shows the browser. When it ends before the run, the progress line is shown again.
func (b *browsing) start(ctx context.Context, x *Execution, stdio console.Stdio, out *display.Results, helm *controls, stop *signals.Stopper) {
	b.live.Watch(out.State)
	command := x.Header.Command
	b.browser = browser.Start(context.WithoutCancel(ctx), browse.Options{
		Source: b.live, Run: x.Header.Run, Command: command, Kills: x.Kills,
		Controls: liveControls{helm, stop, out.State}, Rerun: browser.RerunLine(x.Header.Run, x.StateDir),
	}, "suspended: commands go on where they run, and servers may give up on us; fg goes on", stdio)
	helm.browser = b.browser
	stop.Elsewhere(b.browser.Outside)
	go func() {
		defer close(b.leaving)
		select {
		case <-stop.Terminated():
			b.browser.Quit()
		case <-stop.Hurried():
			b.browser.Quit()
		case <-b.browser.Ended():
		}
		<-b.browser.Ended()
		select {
		case <-b.over: // the run has ended
		default:
			_ = out.Progress.Show()
		}
		_ = b.aside.Release(out.Progress.Writer()) // what cannot be written is nobody's
	}()
}

// cancel ends the browser.
func (b *browsing) cancel() {
	if b != nil {
		b.browser.Quit()
	}
}

// wait waits until the person leaves the browser, after the end of the run, and prints what was
// said meanwhile. It returns the command line to run next, or nil.
func (b *browsing) wait() (rerun []string, err error) {
	if b == nil {
		return nil, nil
	}
	close(b.over)
	rerun, err = b.browser.Wait()
	<-b.leaving
	return rerun, errors.Join(err, b.close())
}

func (b *browsing) close() error {
	if b == nil {
		return nil
	}
	return b.journal.Close() //nolint:wrapcheck // it says what it is about
}

// liveControls are what a person can do to the run.
type liveControls struct {
	helm  *controls
	stop  *signals.Stopper
	state *runstate.State
}

// Width implements browse.Controls.
func (c liveControls) Width(key byte) { go c.helm.onKey(key) }

// Cancel implements browse.Controls.
func (c liveControls) Cancel(index int) bool { return c.state.Cancel(index) }

// Interrupt implements browse.Controls.
func (c liveControls) Interrupt() { c.stop.Interrupt() }
