package client

import (
	"container/heap"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// deadlines schedule the connections of a loop when their time has come. One timer
// serves all: one for each would be a tenth of a waiting connection's memory.
//
// Connections without a command can wait a little: their deadlines are at multiples of slot, and what
// their servers send is looked for then. Ten thousand of them have something to do every millisecond,
// and to wake up for it costs as much as to do it.
type deadlines struct {
	loop  *loop
	began time.Time

	mu    sync.Mutex
	conns dueConns
	timer *time.Timer // for the first of conns, or the end of a slot; nil before there was one
	quiet quiet
}

// slot is how long a connection without a command may wait for what is due.
const slot = 100 * time.Millisecond

// set has p scheduled at the time at or earlier, or soon after it if p is to be patient; zero means
// that there is no need to. A deadline that is moved to a later time stays where it is, because most
// move with each message: p sets it again when it is scheduled without a reason.
func (d *deadlines) set(p *loopConn, at time.Time, patient bool) {
	if at.IsZero() {
		return
	}
	due := at.Sub(d.began)
	if patient {
		due = endOfSlot(due)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case p.place == 0:
		p.due = due
		heap.Push(&d.conns, p)
	case due < p.due:
		p.due = due
		heap.Fix(&d.conns, int(p.place)-1)
	}
	if p.place == 1 {
		d.resetLocked()
	}
}

func endOfSlot(t time.Duration) time.Duration { return (t + slot - 1).Truncate(slot) }

// resetLocked sets the timer for the first connection, or the end of the slot if some are quiet.
func (d *deadlines) resetLocked() {
	if len(d.conns) == 0 && d.quiet.conns == 0 {
		return
	}
	now := time.Since(d.began)
	wait := endOfSlot(now+1) - now
	if d.quiet.conns == 0 || len(d.conns) > 0 && d.conns[0].due-now < wait {
		wait = d.conns[0].due - now
	}
	if d.timer == nil {
		d.timer = time.AfterFunc(wait, d.expire)
		return
	}
	d.timer.Reset(wait)
}

// remove forgets p, which has ended.
func (d *deadlines) remove(p *loopConn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p.place > 0 {
		heap.Remove(&d.conns, int(p.place)-1)
	}
	if p.quiet {
		d.quiet.conns--
	}
}

// expire schedules the connections that are due, and the quiet ones whose server has sent something.
func (d *deadlines) expire() {
	due, events := d.takeDue()
	for _, p := range due {
		d.loop.schedule(p)
	}
	for _, ev := range events {
		d.loop.tell(ev)
	}
}

func (d *deadlines) takeDue() (due []*loopConn, events []unix.EpollEvent) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Since(d.began)
	for len(d.conns) > 0 && d.conns[0].due <= now {
		due = append(due, heap.Pop(&d.conns).(*loopConn))
	}
	d.resetLocked()
	return due, d.quiet.events()
}

// stop is called when there are no connections any more.
func (d *deadlines) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
	d.quiet.close()
}

// dueConns is a heap, the earliest first. Each connection's place is 1 + its index.
type dueConns []*loopConn

func (h dueConns) Len() int           { return len(h) }
func (h dueConns) Less(i, j int) bool { return h[i].due < h[j].due }

func (h dueConns) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = int32(i+1), int32(j+1)
}

// Push implements heap.Interface.
func (h *dueConns) Push(p any) {
	*h = append(*h, p.(*loopConn))
	(*h)[len(*h)-1].place = int32(len(*h))
}

// Pop implements heap.Interface.
func (h *dueConns) Pop() any {
	last := len(*h) - 1
	p := (*h)[last]
	(*h)[last], *h = nil, (*h)[:last]
	p.place = 0
	return p
}
