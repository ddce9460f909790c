package run

import (
	"syscall"
	"time"

	"shoal/internal/cli/console"
	"shoal/internal/cli/display"
	"shoal/internal/ui"
)

// suspend stops this process as SIGTSTP would have done, with the terminal as a
// shell expects it, and comes back when it goes on.
//
// Package signal does not give SIGTSTP its own effect back once it was caught.
// SIGTTOU has it still: it stops us, and is ignored where there is no shell that
// could have us go on (POSIX, orphaned process groups), which SIGSTOP is not.
func (h *controls) suspend() {
	h.draw(h.progress.Hide)
	console.Say(h.w, "suspended: commands go on where they run, and servers may give up on us; fg goes on")
	if m, ok := h.w.(*display.Messages); ok {
		m.FlushFor(console.SuspendFlush)
	}
	h.keyboard.leave()
	select {
	case <-h.resumed: // an earlier one
	default:
	}
	since := time.Now()
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGTTOU)
	// Another thread may take the signal, so that we stop a little later, or do
	// not stop at all.
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

// draw has f change what the terminal shows, in the order of the calls, and waits
// for a while only: a terminal that was stopped (Ctrl-S) takes nothing, and must
// not keep us from the next signal, or from the end of the run.
func (h *controls) draw(f func() error) {
	before, done := h.drawn, make(chan struct{}) // closed by the goroutine
	h.drawn = done
	go func() { // where the terminal takes nothing it ends with the process
		defer close(done)
		if before != nil {
			<-before
		}
		_ = f() // a line that cannot be drawn loses nothing
	}()
	select {
	case <-done:
	case <-time.After(console.SuspendFlush):
	}
}
