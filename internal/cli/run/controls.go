package run

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"shoal/internal/cli/browser"
	"shoal/internal/cli/console"
	"shoal/internal/cli/display"
	"shoal/internal/ui"
)

// steering is the help text on controlling a run while it runs.
const steering = `While it runs, + and - double and halve the number of targets worked on at once,
p pauses and goes on, l lists who is in flight, q ends --follow, ? says so. kill -USR1 and -USR2 are + and -, as for
xargs -P. Ctrl-C starts nothing more and waits for what runs; twice within a
second it gives up on that. Ctrl-Z suspends: commands go on where they run.`

// keyHelp is the answer to the key "?".
const keyHelp = "keys: l lists who is in flight, + doubles the width, - halves it, p pauses and goes on, Ctrl-C stops, Ctrl-Z suspends"

// ctrlT is the key that sends SIGINFO on the BSDs in the terminal's usual mode, which ours is
// not (termios(4), VSTATUS).
const ctrlT = 't' & 0x1f

// sayEvery is the minimum time between two lines about the width: a key that is
// held repeats thirty times a second.
const sayEvery = time.Second

// A load is the width that the engine has applied, and the number of targets in
// flight.
type load struct{ width, flying int }

// controls changes the width of a run by keys and signals, and suspends the
// run.
//
//	keyboard → keys ┐
//	   kill → signals ┼─▸ steer, one goroutine ─▸ Width ─▸ the engine
//	                  └──────── Resized ◂──────────────────────┘
type controls struct {
	// Width is the engine's option: sent by steer, never closed. Its capacity
	// is 1; a newer width replaces one that was not received.
	Width chan int

	w        io.Writer // prints above the progress line
	course   widthControl
	keyboard *keyboard // nil without a terminal
	progress interface {
		Hide() error
		Show() error
	}

	list      func()           // says who is in flight
	endFollow func()           // lets go of the commands; nil without --follow
	browser   *browser.Browser // has the terminal, and the keys; nil: there is none

	keys    chan byte      // sent by keyboard.listen, until over is closed
	signals chan os.Signal // sent by package signal
	resumed chan os.Signal // the same, SIGCONT only
	loads   chan load      // sent by Resized; like Width, only the newest counts
	over    chan struct{}  // closed by end
	all     sync.WaitGroup

	due  time.Time // when the next line about the width may be printed
	note string    // text that follows it
	told *load     // what the line reports; nil: nothing to print

	drawn chan struct{} // closed when the last function given to draw has returned; nil before
}

// take starts steering until end is called. Keys are read from in if it is a
// terminal.
func (h *controls) take(in io.Reader, out *display.Results) {
	h.keyboard, h.progress, h.list = newKeyboard(in), out.Progress, out.SayInFlight
	notifyInfo(h.signals)
	signal.Notify(h.signals, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGQUIT)
	if !signal.Ignored(syscall.SIGTSTP) { // a shell without job control ignores it
		signal.Reset(syscall.SIGTSTP) // a prompt has installed its own handling, see stay
		signal.Notify(h.signals, syscall.SIGTSTP)
	}
	signal.Notify(h.resumed, syscall.SIGCONT)
	if h.keyboard != nil {
		h.all.Go(func() { h.keyboard.listen(h.onKey) })
	}
	h.all.Go(h.steer)
}

func newControls(w io.Writer, c widthControl) *controls {
	return &controls{
		Width: make(chan int, 1), w: w, course: c,
		keys: make(chan byte), signals: make(chan os.Signal, 8), resumed: make(chan os.Signal, 1),
		loads: make(chan load, 1), over: make(chan struct{}),
	}
}

// end stops steering and restores the terminal.
func (h *controls) end() {
	signal.Stop(h.signals)
	signal.Stop(h.resumed)
	close(h.over)
	if h.keyboard != nil {
		h.keyboard.close()
	}
	h.all.Wait()
}

// onKey is called by keyboard.listen.
func (h *controls) onKey(key byte) {
	select {
	case h.keys <- key:
	case <-h.over:
	}
}

// Resized is the engine's option; it reports the width that was applied.
func (h *controls) Resized(width, flying int) { newest(h.loads, load{width, flying}) }

// newest replaces what is in c, a channel of capacity 1, by x. The caller must
// be the only sender.
func newest[T any](c chan T, x T) {
	select {
	case <-c:
	default:
	}
	c <- x
}

func (h *controls) steer() {
	var later <-chan time.Time // fires when a delayed line is due; nil without one
	for {
		select {
		case <-h.over:
			return
		case key := <-h.keys:
			h.obey(key)
		case sig := <-h.signals:
			h.heed(sig)
		case <-h.resumed:
			h.keyboard.comeBack()
		case l := <-h.loads:
			h.told = &l
			if later == nil {
				later = time.After(time.Until(h.due))
			}
		case <-later:
			later = nil
			h.sayWidth()
		}
	}
}

func (h *controls) obey(key byte) {
	switch key {
	case '?':
		console.Say(h.w, "%s", keyHelp)
		if h.endFollow != nil {
			console.Say(h.w, "q ends following: the commands are let go")
		}
	case 'l', 'L', ctrlT:
		h.list()
	case 'q', 'Q':
		if h.endFollow != nil {
			console.Say(h.w, "the commands are let go")
			h.endFollow()
		}
	case '+', '=': // the same key on many keyboards
		h.turn(h.course.wider())
	case '-', '_':
		h.turn(h.course.narrower())
	case 'p', 'P':
		h.turn(h.course.pause())
	}
}

func (h *controls) heed(sig os.Signal) {
	switch sig {
	case syscall.SIGUSR1:
		h.turn(h.course.wider())
	case syscall.SIGUSR2:
		h.turn(h.course.narrower())
	case syscall.SIGTSTP:
		if h.browsing() {
			h.browser.Suspend()
		} else {
			h.suspend()
		}
	case sigInfo:
		h.list()
	case syscall.SIGQUIT:
		if h.browsing() {
			h.browser.Quit()
			<-h.browser.Ended()
		}
		h.keyboard.leave()
		signal.Reset(syscall.SIGQUIT)
		_ = syscall.Kill(syscall.Getpid(), syscall.SIGQUIT)
	}
}

// browsing reports whether a browser has the terminal.
func (h *controls) browsing() bool {
	if h.browser == nil {
		return false
	}
	select {
	case <-h.browser.Ended():
		return false
	default:
		return true
	}
}

// turn sends a width to the engine, and keeps the note until the engine has
// applied it.
func (h *controls) turn(width int, note string) {
	h.note = note
	newest(h.Width, width)
}

func (h *controls) sayWidth() {
	h.due = time.Now().Add(sayEvery)
	if h.told == nil {
		return
	}
	text := fmt.Sprintf("%s in flight", ui.Count(int64(h.told.flying)))
	if h.course.paused {
		console.Say(h.w, "paused, %s%s", text, h.note)
	} else {
		console.Say(h.w, "width %s, %s%s", ui.Count(int64(h.told.width)), text, h.note)
	}
	h.told = nil
}
