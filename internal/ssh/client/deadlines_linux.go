package client

import (
	"container/heap"
	"sync"
	"time"
)

// deadlines schedule the connections of a loop when their time has come. One timer
// serves all: one for each would be a tenth of a waiting connection's memory.
type deadlines struct {
	loop  *loop
	began time.Time

	mu    sync.Mutex
	conns dueConns
	timer *time.Timer // for the first of conns; nil before there was one
}

// set has p scheduled at the time at or earlier; zero means that there is no need to.
// A deadline that is moved to a later time stays where it is, because most move with
// each message: p sets it again when it is scheduled without a reason.
func (d *deadlines) set(p *loopConn, at time.Time) {
	if at.IsZero() {
		return
	}
	due := at.Sub(d.began)
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

// resetLocked sets the timer for the first connection.
func (d *deadlines) resetLocked() {
	wait := d.conns[0].due - time.Since(d.began)
	if d.timer == nil {
		d.timer = time.AfterFunc(wait, d.expire)
		return
	}
	d.timer.Reset(wait)
}

// remove forgets the deadline of p.
func (d *deadlines) remove(p *loopConn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p.place > 0 {
		heap.Remove(&d.conns, int(p.place)-1)
	}
}

// expire schedules the connections that are due.
func (d *deadlines) expire() {
	for _, p := range d.takeDue() {
		d.loop.schedule(p)
	}
}

func (d *deadlines) takeDue() (due []*loopConn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Since(d.began)
	for len(d.conns) > 0 && d.conns[0].due <= now {
		due = append(due, heap.Pop(&d.conns).(*loopConn))
	}
	if len(d.conns) > 0 {
		d.resetLocked()
	}
	return due
}

// stop is called when there are no connections any more.
func (d *deadlines) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
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
