package output

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"shoal/fleet"
)

// refreshEvery is how often the progress line changes: often enough to look
// alive, too seldom to flicker or to cost.
const refreshEvery = 200 * time.Millisecond

// ProgressOptions say where progress is shown.
type ProgressOptions struct {
	// W is the terminal.
	W io.Writer
	// Show says that W is a terminal that can write a line again. Without it
	// nothing is shown and Writer writes to W alone.
	Show bool
	// Columns tells the terminal's width, asked anew for each frame; nil or an
	// answer of 0 means 80.
	Columns func() int
	// Total is the number of targets; 0 means that it is not known.
	Total int
}

// Progress shows on one line of a terminal how far the run is. Result may be
// called by one goroutine while others write to Writer.
type Progress struct {
	counts  counts
	total   int
	started time.Time
	console *console // nil when nothing is shown, like bars
	bars    *mpb.Progress
	w       io.Writer // where Writer writes when nothing is shown
}

// counts are the results so far, read while they are counted.
type counts struct {
	done, ok, failed, notStarted, unknown, detached atomic.Int64
}

// NewProgress begins to show progress, until Close.
func NewProgress(o ProgressOptions) *Progress {
	if !o.Show {
		return &Progress{w: &oneByOne{w: o.W}}
	}
	c := &console{w: o.W, columns: o.Columns}
	return newProgress(c, o.Total, mpb.WithConsoleWriter(c), mpb.WithRefreshRate(refreshEvery))
}

func newProgress(c *console, total int, opts ...mpb.ContainerOption) *Progress {
	p := &Progress{total: total, started: time.Now(), console: c, bars: mpb.New(opts...)}
	// The bar never completes by itself: what it shows is counted here.
	p.bars.New(0, filler(p.fill), mpb.BarFillerTrim())
	return p
}

// filler is an mpb.BarFillerBuilder.
type filler func(w io.Writer, s decor.Statistics) error

func (f filler) Build() mpb.BarFiller { return mpb.BarFillerFunc(f) }

func (p *Progress) fill(w io.Writer, s decor.Statistics) error {
	at := snapshot{
		done: p.counts.done.Load(), total: int64(p.total),
		ok: p.counts.ok.Load(), failed: p.counts.failed.Load(),
		notStarted: p.counts.notStarted.Load(), unknown: p.counts.unknown.Load(), detached: p.counts.detached.Load(),
		elapsed: time.Since(p.started),
	}
	// A terminal goes to the next line when its last column is written.
	_, err := io.WriteString(w, at.line(s.AvailableWidth-1))
	return err
}

// Result counts one result.
func (p *Progress) Result(r fleet.Result) error {
	p.counts.done.Add(1)
	switch r.Outcome {
	case fleet.OutcomeOK:
		p.counts.ok.Add(1)
	case fleet.OutcomeFailed, fleet.OutcomeSignalled:
		p.counts.failed.Add(1)
	case fleet.OutcomeNeverStarted, fleet.OutcomeRefused:
		p.counts.notStarted.Add(1)
	case fleet.OutcomeUnknown:
		p.counts.unknown.Add(1)
	case fleet.OutcomeDetached:
		p.counts.detached.Add(1)
	}
	return nil
}

// Writer gives what others are to write to, to print above the line. It is safe
// for concurrent use, returns when the terminal has taken the bytes, and may be
// used after Close. What is printed should end in a newline: until one comes
// the line stays away.
func (p *Progress) Writer() io.Writer {
	if p.console == nil {
		return p.w
	}
	return above{p}
}

// oneByOne keeps the writes of several goroutines apart.
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
	// mpb has ended: after Close, or because the terminal went away.
	if _, ended := errors.AsType[mpb.ErrDone[*mpb.Progress]](err); ended {
		return a.p.console.Write(b)
	}
	return n, err
}

// Hide takes the line off the screen until Show, for a program that is to be
// stopped. What Writer is given is printed meanwhile.
func (p *Progress) Hide() error { return p.hide(true) }

// Show puts the line back.
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

// Close takes the line off the screen and ends what showed it.
func (p *Progress) Close() error {
	if p.console == nil {
		return nil
	}
	p.bars.Shutdown()
	if err := errors.Join(p.bars.Error, p.console.clear()); err != nil {
		return fmt.Errorf("showing progress: %w", err)
	}
	return nil
}
