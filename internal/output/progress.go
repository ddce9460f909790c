package output

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"shoal/internal/runstate"
	"shoal/record"
)

const (
	// refreshEvery is the interval of the progress line: short enough to look alive, long
	// enough not to flicker or waste processor time.
	refreshEvery = 200 * time.Millisecond
	// logEvery is the interval of lines in a log.
	logEvery = 10 * time.Second
	// jsonEvery is the interval of lines for machines.
	jsonEvery = time.Second
)

// A ProgressMode is how progress is shown.
type ProgressMode uint8

// The modes.
const (
	ProgressNone ProgressMode = iota // not at all
	ProgressLine                     // one line of a terminal that is rewritten
	ProgressLog                      // a line every 10 s, after the first 10 s
	ProgressJSON                     // a line of JSON every second, and one at the end; see record.Progress
)

// ProgressOptions configure Progress.
type ProgressOptions struct {
	// W gets the progress, and what Writer's callers print.
	W    io.Writer
	Mode ProgressMode
	// Columns returns the terminal's width and is called for each frame; nil or 0 means
	// 80. Colour marks failures. Both are for ProgressLine.
	Columns func() int
	Colour  bool
	// State is what is shown.
	State *runstate.State
}

// Progress shows the state of a run while it goes on. Its methods are safe for concurrent use,
// except Close.
type Progress struct {
	state   *runstate.State
	mode    ProgressMode
	colour  bool
	console *console // nil except in ProgressLine; the same holds for bars
	bars    *mpb.Progress
	lines   io.Writer // used by Writer in the other modes

	stop    chan struct{} // closed by Stop
	stopped sync.Once
	ticking sync.WaitGroup
}

// NewProgress starts showing progress, until Close.
func NewProgress(o ProgressOptions) *Progress {
	if o.Mode == ProgressLine {
		c := &console{w: o.W, columns: o.Columns}
		return newLine(c, o, mpb.WithConsoleWriter(c), mpb.WithRefreshRate(refreshEvery))
	}
	switch o.Mode {
	case ProgressLog:
		return newLines(o, time.NewTicker(logEvery).C)
	case ProgressJSON:
		return newLines(o, time.NewTicker(jsonEvery).C)
	}
	return newLines(o, nil)
}

func newLine(c *console, o ProgressOptions, opts ...mpb.ContainerOption) *Progress {
	p := &Progress{state: o.State, mode: o.Mode, colour: o.Colour, console: c, bars: mpb.New(opts...)}
	// The bar never completes by itself, because mpb does not count its progress.
	p.bars.New(0, filler(p.fill), mpb.BarFillerTrim())
	return p
}

// newLines starts the modes other than ProgressLine. A line is due at each of ticks.
func newLines(o ProgressOptions, ticks <-chan time.Time) *Progress {
	p := &Progress{state: o.State, mode: o.Mode, lines: &oneByOne{w: o.W}, stop: make(chan struct{})}
	if o.Mode == ProgressNone {
		return p
	}
	p.ticking.Go(func() {
		for {
			select {
			case <-p.stop:
				return
			case now := <-ticks:
				_ = p.say(now, false) // a line that cannot be written loses no result
			}
		}
	})
	return p
}

// say writes a line of a log, or of JSON; final is the last one of JSON.
func (p *Progress) say(now time.Time, final bool) error {
	var line []byte
	if p.mode == ProgressJSON {
		var err error
		if line, err = record.AppendProgress(nil, progressRecord(p.state, now, final)); err != nil {
			return err //nolint:wrapcheck // it says what it is about
		}
	} else {
		f := newFrame(p.state, now)
		if f.Total > 0 && f.Done == f.Total {
			return nil // the summary comes once everything is shown
		}
		line = fmt.Appendf(nil, "shoal: %s\n", f.text())
	}
	_, err := p.lines.Write(line)
	return err //nolint:wrapcheck // Close adds what was done
}

// filler is an mpb.BarFillerBuilder.
type filler func(w io.Writer, s decor.Statistics) error

func (f filler) Build() mpb.BarFiller { return mpb.BarFillerFunc(f) }

func (p *Progress) fill(w io.Writer, s decor.Statistics) error {
	// A terminal may wrap when its last column is written.
	_, err := io.WriteString(w, newFrame(p.state, time.Now()).line(s.AvailableWidth-1, p.colour))
	return err
}

// Shown reports whether there is a line that is rewritten.
func (p *Progress) Shown() bool { return p.console != nil }

// Writer returns a writer that prints above the line. It is safe for concurrent use,
// returns after the terminal has taken the bytes, and may be used after Close. Output
// should end in a newline: the line stays hidden until one is written.
func (p *Progress) Writer() io.Writer {
	if p.console == nil {
		return p.lines
	}
	return above{p}
}

// oneByOne serialises the writes of several goroutines.
type oneByOne struct {
	mu sync.Mutex
	w  io.Writer
}

func (o *oneByOne) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(b)
}

type above struct{ p *Progress }

func (a above) Write(b []byte) (int, error) {
	n, err := a.p.bars.Write(b)
	// mpb has ended, after Close or because the terminal is gone.
	if _, ended := errors.AsType[mpb.ErrDone[*mpb.Progress]](err); ended {
		return a.p.console.Write(b)
	}
	return n, err
}

// Hide hides the line until Show, before the process is suspended. Writer still prints.
func (p *Progress) Hide() error { return p.hide(true) }

// Show shows the line again.
func (p *Progress) Show() error { return p.hide(false) }

func (p *Progress) hide(hidden bool) error {
	if p.console == nil {
		return nil
	}
	if err := p.console.hide(hidden); err != nil {
		return fmt.Errorf("showing progress: %w", err)
	}
	return nil
}

// Stop ends the lines that are written by time, and waits for none: for a reader that takes
// nothing more. A line of a terminal stays as it is.
func (p *Progress) Stop() {
	if p.console == nil {
		p.stopped.Do(func() { close(p.stop) })
	}
}

// Close erases the line, or writes the last line of JSON, and stops showing progress.
func (p *Progress) Close() error {
	var err error
	if p.console != nil {
		p.bars.Shutdown()
		err = errors.Join(p.bars.Error, p.console.clear())
	} else {
		p.Stop()
		p.ticking.Wait()
		if p.mode == ProgressJSON {
			err = p.say(time.Now(), true)
		}
	}
	if err != nil {
		return fmt.Errorf("showing progress: %w", err)
	}
	return nil
}

// progressRecord returns a run's state for machines.
func progressRecord(s *runstate.State, now time.Time, final bool) record.Progress {
	n := s.Now(now)
	r := record.Progress{
		Time: now, Elapsed: n.Elapsed, Targets: n.Total, Done: n.Done, Outcomes: n.Outcomes,
		Rate: n.Rate(), Stopping: n.Stopping, Median: n.Median, Slow: n.Slow, Final: final,
	}
	if n.Watched {
		r.Active = make(map[string]int)
		for a, count := range n.Active {
			r.Active[runstate.Activity(a).String()] = count
		}
		r.Waiting = n.Waiting
		all := s.InFlight(now)
		for _, f := range all[:min(len(all), maxNamed)] {
			one := record.InFlight{Index: f.Target.Index, Host: f.Target.Host.String(), Attempt: f.Attempt, Phase: f.Phase, Age: f.Age}
			if f.Output {
				one.Quiet = &f.Quiet
			}
			r.Oldest = append(r.Oldest, one)
		}
	}
	if left, known := n.Left(); known {
		r.Left = &left
	}
	if st := n.Stage; st.Number > 0 {
		r.Stage = &record.Stage{Number: st.Number, Stages: st.Stages, Targets: st.Targets, Next: n.Pause}
	}
	return r
}
