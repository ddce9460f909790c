package run

import (
	"time"

	"shoal/internal/cli/console"
	"shoal/internal/cli/display"
	"shoal/internal/ui"
)

// suspend stops this process as SIGTSTP does by default, with the terminal
// restored for the shell, and returns when the process continues.
func (h *controls) suspend() {
	h.draw(h.progress.Hide)
	console.Say(h.w, "suspended: commands go on where they run, and servers may give up on us; fg goes on")
	if m, ok := h.w.(*display.Messages); ok {
		m.FlushFor(console.SuspendFlush)
	}
	h.keyboard.leave()
	select {
	case <-h.resumed: // left from an earlier stop
	default:
	}
	since := time.Now()
	console.StopProcess()
	patience := time.NewTimer(time.Second)
	defer patience.Stop()
	select {
	case <-h.resumed:
	case <-patience.C:
	case <-h.over:
	}
	h.keyboard.comeBack()
	console.Say(h.w, "going on after %s", ui.Duration(time.Since(since)))
	h.draw(h.progress.Show)
}

// draw runs f, which changes the terminal, after all earlier calls, and waits
// for a short time only: a stopped terminal (Ctrl-S) blocks writes, and must
// block neither the next signal nor the end of the run.
func (h *controls) draw(f func() error) {
	before, done := h.drawn, make(chan struct{}) // closed by the goroutine below
	h.drawn = done
	go func() { // if the terminal blocks, it ends with the process
		defer close(done)
		if before != nil {
			<-before
		}
		_ = f() // a line that cannot be drawn loses no result
	}()
	select {
	case <-done:
	case <-time.After(console.SuspendFlush):
	}
}
