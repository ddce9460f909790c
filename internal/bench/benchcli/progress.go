package benchcli

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"shoal/fleet"
	"shoal/internal/bench"
	"shoal/internal/bench/benchrecord"
	"shoal/internal/cli/console"
	"shoal/internal/ui"
)

// benchRefresh is the interval between updates of the line. It is long, because
// the client's own CPU time is measured.
const benchRefresh = 500 * time.Millisecond

// A benchProgress shows the progress of a bench.
type benchProgress struct {
	w     io.Writer // may be printed to at any time
	bars  *mpb.Progress
	bar   *mpb.Bar
	lines bool
	right string       // what Point.Correct counts
	seen  atomic.Int64 // results of the current point

	mu    sync.Mutex
	now   bench.Progress
	since time.Time // when that step began
}

// The values of --progress.
const (
	progressAuto  = "auto"  // a line that is updated, or lines without a terminal
	progressLines = "lines" // one line per point
	progressNever = "never"
)

func newBenchProgress(w io.Writer, how, right string) *benchProgress {
	p := &benchProgress{w: w, right: right}
	if how != progressAuto || !ui.Inspect(w, os.Getenv).Moves {
		p.lines = how != progressNever
		return p
	}
	bars := mpb.New(mpb.WithOutput(w), mpb.WithRefreshRate(benchRefresh))
	// The bar never completes by itself; its value is computed in draw.
	bar, err := bars.Add(0, mpb.BarFillerFunc(p.draw), mpb.BarFillerTrim())
	if err != nil {
		return p // mpb has ended: there is no terminal to draw on
	}
	p.w, p.bars, p.bar = bars, bars, bar
	return p
}

func (p *benchProgress) draw(w io.Writer, s decor.Statistics) error {
	p.mu.Lock()
	now, elapsed := p.now, time.Since(p.since)
	p.mu.Unlock()
	_, err := io.WriteString(w, ui.Truncate(benchLine(now, p.seen.Load(), elapsed), s.AvailableWidth-1))
	return err
}

// benchLine describes the current point and the remaining time.
func benchLine(now bench.Progress, seen int64, elapsed time.Duration) string {
	if now.Of == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d  %s, %s of %s targets  %s", now.Number, now.Of, now.Strategy,
		ui.Count(seen), ui.Count(int64(now.Size)), benchLeft(now, elapsed))
}

// benchLeft formats the remaining time, elapsed after now began.
func benchLeft(now bench.Progress, elapsed time.Duration) string {
	left := max(now.Left-elapsed, 0)
	switch {
	case now.Known:
		return "about " + ui.Duration(left) + " left"
	case left > 0:
		return "more than " + ui.Duration(left) + " left"
	}
	return "time left not known yet"
}

// step is the bench's Options.Step.
func (p *benchProgress) step(now bench.Progress) {
	p.seen.Store(0)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now, p.since = now, time.Now()
}

// result is the bench's Options.Result.
func (p *benchProgress) result(fleet.Result) { p.seen.Add(1) }

// notice is the bench's Options.Notice.
func (p *benchProgress) notice(text string) { console.Say(p.w, "%s", ui.Visible(text)) }

// point prints a finished point, unless the progress line shows it.
func (p *benchProgress) point(pt benchrecord.Point) {
	if !p.lines {
		return
	}
	p.mu.Lock()
	now := p.now
	p.mu.Unlock()
	_, _ = fmt.Fprintln(p.w, pointLine(now, pt, p.right))
}

// pointLine formats a point for a log.
func pointLine(now bench.Progress, pt benchrecord.Point, right string) string {
	text := fmt.Sprintf("%d/%d %s, %s targets: %s, %s of %s %s", now.Number, now.Of, pt.Strategy,
		ui.Count(int64(pt.Size)), benchWall(pt.Wall), ui.Count(int64(pt.Correct)), ui.Count(int64(pt.Size)), right)
	if !pt.Complete {
		text += ", cut by the time limit"
	}
	if pt.Warmup {
		text += ", warm-up"
	}
	if now.Number < now.Of {
		text += "; " + benchLeft(now, pt.Wall)
	}
	return text
}

// benchWall formats a wall time; a few targets on loopback take milliseconds.
func benchWall(d time.Duration) string {
	if d < 100*time.Millisecond {
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	}
	return ui.Duration(d)
}

// close removes the progress line.
func (p *benchProgress) close() {
	if p.bars == nil {
		return
	}
	p.bar.Abort(true)
	p.bars.Wait()
}
