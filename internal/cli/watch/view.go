package watch

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"shoal/internal/cli/console"
	"shoal/internal/output"
	"shoal/internal/ui"
)

// A view prints above one line of a terminal that says how things are. Without a terminal there
// is no line.
type view struct {
	stderr    io.Writer
	out, errs output.Out
	line      func(now time.Time) string // nil: no line
	columns   func() int

	mu    sync.Mutex // held while something is printed
	shown bool
	quit  chan struct{} // closed by close
	ended sync.WaitGroup
}

// refresh is how often the line is drawn.
const refresh = time.Second

func newView(stdio console.Stdio, line func(time.Time) string) *view {
	outlet := func(w io.Writer) output.Out {
		o := ui.Inspect(w, os.Getenv)
		return output.Out{W: w, Escape: o.Terminal, Colour: o.Colour, Columns: o.Columns}
	}
	v := &view{stderr: stdio.Err, out: outlet(stdio.Out), errs: outlet(stdio.Err), quit: make(chan struct{})}
	if errs := ui.Inspect(stdio.Err, os.Getenv); errs.Moves {
		v.line, v.columns = line, errs.Columns
	}
	return v
}

// start begins to draw the line.
func (v *view) start() {
	if v.line == nil {
		return
	}
	v.ended.Go(func() {
		every := time.NewTicker(refresh)
		defer every.Stop()
		for {
			v.draw(v.line(time.Now()))
			select {
			case <-every.C:
			case <-v.quit:
				return
			}
		}
	})
}

// close erases the line.
func (v *view) close() {
	close(v.quit)
	v.ended.Wait()
	v.print(func() {})
}

func (v *view) draw(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	width := v.columns()
	if width <= 0 {
		width = 80
	}
	v.shown = true
	_, _ = io.WriteString(v.stderr, "\r\x1b[K"+ui.Truncate(ui.Visible(text), width-1))
}

// print calls f, which prints whole lines. The line is drawn again by the next refresh.
func (v *view) print(f func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.shown {
		v.shown = false
		_, _ = io.WriteString(v.stderr, "\r\x1b[K")
	}
	f()
}

func (v *view) say(format string, args ...any) {
	v.print(func() { console.Say(v.stderr, format, args...) })
}

// Write implements io.Writer for whole lines.
func (v *view) Write(p []byte) (n int, err error) {
	v.print(func() { n, err = v.stderr.Write(p) })
	return n, err //nolint:wrapcheck // it is the writer's
}

func (v *view) note(text string) { v.print(func() { console.Note(v.stderr, text) }) }

// untilSignals calls do and then say with the number of each signal that asks this process to end,
// from 1; the returned context ends at the second. A third ends the process, as it would without us.
// do must not block. say may, as long as nobody reads our output: the second signal does not wait.
func untilSignals(ctx context.Context, do func(n int), say func(n int, sig os.Signal)) (_ context.Context, end func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	const counted = 2
	signals := make(chan os.Signal, counted) // sent by package signal; closed by end
	said := make(chan os.Signal, counted)    // sent and closed by the first goroutine below: it has room for all
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(sig) {
			signal.Notify(signals, sig)
		}
	}
	var listening sync.WaitGroup
	listening.Go(func() {
		defer close(said)
		for n := 1; n <= counted; n++ {
			sig, ok := <-signals
			if !ok {
				return
			}
			if n == counted {
				signal.Stop(signals)
				cancel(fmt.Errorf("the watch was aborted by %s", sig))
			}
			do(n)
			said <- sig
		}
	})
	listening.Go(func() {
		n := 0
		for sig := range said {
			n++
			say(n, sig)
		}
	})
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		listening.Wait()
		cancel(nil)
	}
}
