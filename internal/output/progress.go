package output

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"shoal/fleet"
	"shoal/hosts/expr"
	"shoal/internal/ui"
)

// refreshEvery is the interval of the progress line: short enough to look alive, long
// enough not to flicker or waste processor time.
const refreshEvery = 200 * time.Millisecond

// ProgressOptions configure Progress.
type ProgressOptions struct {
	// W is the terminal.
	W io.Writer
	// Show is set if W is a terminal that can rewrite a line. Otherwise nothing is shown,
	// and Writer only writes to W.
	Show bool
	// Columns returns the terminal's width and is called for each frame; nil or 0 means
	// 80.
	Columns func() int
	// Total is the number of targets; 0 means unknown.
	Total int
	// Size is how many bytes each target gets, and Flying returns how many were sent to
	// those that have not ended; 0 and nil if no files are sent.
	Size   int64
	Flying func() int64
}

// Progress shows the progress of a run on one line of a terminal. One goroutine may call
// Result while others write to Writer.
type Progress struct {
	counts  counts
	flights flights
	total   int
	size    int64
	flying  func() int64
	started time.Time
	console *console // nil if nothing is shown; the same holds for bars
	bars    *mpb.Progress
	w       io.Writer // used by Writer if nothing is shown
}

// counts are the results so far. They are atomic because mpb reads them from another
// goroutine.
type counts struct {
	done, ok, failed, notStarted, unknown, detached atomic.Int64
	last                                            atomic.Int64 // when the last result came, after started
	stopping                                        atomic.Bool
}

// flights are the targets being worked on, as far as they were told, and the stage.
type flights struct {
	mu    sync.Mutex
	told  bool
	names map[int]string // of the targets in flight, by index
	runs  map[int]bool   // those of names that are connected
	stage string
	next  time.Time // when the next stage begins; zero: no pause
}

// maxNamed is how many targets are left when their names are shown.
const maxNamed = 10

// NewProgress starts showing progress, until Close.
func NewProgress(o ProgressOptions) *Progress {
	if !o.Show {
		return &Progress{w: &oneByOne{w: o.W}}
	}
	c := &console{w: o.W, columns: o.Columns}
	return newProgress(c, o, mpb.WithConsoleWriter(c), mpb.WithRefreshRate(refreshEvery))
}

func newProgress(c *console, o ProgressOptions, opts ...mpb.ContainerOption) *Progress {
	p := &Progress{total: o.Total, size: o.Size, flying: o.Flying, started: time.Now(), console: c, bars: mpb.New(opts...)}
	// The bar never completes by itself, because mpb does not count its progress.
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
		elapsed: time.Since(p.started), last: time.Duration(p.counts.last.Load()), stopping: p.counts.stopping.Load(),
	}
	p.flights.fill(&at)
	if p.flying != nil {
		at.allBytes = at.total * p.size
		at.bytes = min(at.done*p.size+p.flying(), at.allBytes)
	}
	// A terminal may wrap when its last column is written.
	_, err := io.WriteString(w, at.line(s.AvailableWidth-1))
	return err
}

// fill adds what is in flight.
func (f *flights) fill(s *snapshot) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.stage = f.stage
	if !f.next.IsZero() {
		s.pause = max(time.Until(f.next), 1)
	}
	if s.flying = f.told; !f.told {
		return
	}
	s.running = int64(len(f.runs))
	s.connecting = int64(len(f.names)) - s.running
	if left := s.total - s.done; left > 0 && left <= maxNamed && int64(len(f.names)) == left {
		names := make([]string, 0, left)
		for _, index := range slices.Sorted(maps.Keys(f.names)) {
			names = append(names, f.names[index])
		}
		s.names = ui.Visible(expr.Fold(names))
	}
}

// Connecting, Running and Ended tell how far an attempt at a target has come. They are
// safe for concurrent use.
func (p *Progress) Connecting(t fleet.Target) {
	p.flights.mu.Lock()
	defer p.flights.mu.Unlock()
	if p.flights.names == nil {
		p.flights.told, p.flights.names, p.flights.runs = true, make(map[int]string), make(map[int]bool)
	}
	p.flights.names[t.Index] = t.Host.String()
}

// Running is told when the target is connected.
func (p *Progress) Running(t fleet.Target) {
	p.flights.mu.Lock()
	defer p.flights.mu.Unlock()
	if _, flies := p.flights.names[t.Index]; flies {
		p.flights.runs[t.Index] = true
	}
}

// Ended is told when the attempt is over.
func (p *Progress) Ended(t fleet.Target) {
	p.flights.mu.Lock()
	defer p.flights.mu.Unlock()
	delete(p.flights.names, t.Index)
	delete(p.flights.runs, t.Index)
}

// Stage sets the stage that is shown, and the time until the next one begins; 0 means
// that this one has begun. It is safe for concurrent use.
func (p *Progress) Stage(text string, pause time.Duration) {
	p.flights.mu.Lock()
	defer p.flights.mu.Unlock()
	p.flights.stage, p.flights.next = text, time.Time{}
	if pause > 0 {
		p.flights.next = time.Now().Add(pause)
	}
}

// Stopping is told when nothing more is started. It is safe for concurrent use.
func (p *Progress) Stopping() { p.counts.stopping.Store(true) }

// Shown reports whether there is a line.
func (p *Progress) Shown() bool { return p.console != nil }

// Result counts one result.
func (p *Progress) Result(r fleet.Result) error {
	p.counts.last.Store(int64(time.Since(p.started)))
	p.counts.done.Add(1)
	switch r.Outcome {
	case fleet.OutcomeCancelled:
		p.Stopping()
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

// Writer returns a writer that prints above the line. It is safe for concurrent use,
// returns after the terminal has taken the bytes, and may be used after Close. Output
// should end in a newline: the line stays hidden until one is written.
func (p *Progress) Writer() io.Writer {
	if p.console == nil {
		return p.w
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

// Close erases the line and stops mpb.
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
