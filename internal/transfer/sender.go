package transfer

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"shoal/internal/ssh"
)

// A sender implements ssh.Stream: what one attempt sends, which is not known from the beginning.
type sender struct {
	payload io.ReaderAt   // what parts are of; nil: they are texts
	limit   time.Duration // after which a far end that takes nothing has stalled; not positive: none
	flying  *atomic.Int64 // bytes that were sent by attempts that have not ended; nil: nobody counts
	flows   []*flow       // limits of the rate of parts of the payload

	mu    sync.Mutex // guards what follows
	parts []part     // that are to be sent, the first from offset at on
	at    int64
	all   bool   // no further part will come
	wake  func() // nil: the attempt has not begun

	told    int64       // of at, in flying
	watch   *time.Timer // calls look; nil: no limit
	moved   bool        // something was sent, or answered, since look was called
	answers bool        // what is sent is answered: that counts when all is sent
	offered bool        // there is more, and nothing but the far end to wait for
	stalled bool
	over    bool
}

// A part is text, or bytes of the payload.
type part struct {
	text     string
	from, to int64
}

func (p part) size() int64 { return int64(len(p.text)) + p.to - p.from }

// feed has x send parts of p to the target, within its limits.
func (p *Push) feed(x *sender, t ssh.Target) {
	x.payload, x.limit, x.flying = p.payload, p.stall(), &p.flying
	for _, b := range p.buckets(t) {
		x.flows = append(x.flows, &flow{bucket: b, wake: x.more})
	}
}

// buckets returns the limits of what is sent to the target.
func (p *Push) buckets(t ssh.Target) (list []*bucket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.limits == nil {
		p.limits = make(map[string]*bucket)
	}
	add := func(name string, rate int64) {
		if rate <= 0 {
			return
		}
		if p.limits[name] == nil {
			p.limits[name] = newBucket(rate)
		}
		list = append(list, p.limits[name])
	}
	if t.Endpoint != nil {
		for jump := t.Endpoint.Jump; jump != nil && jump.Endpoint != nil; jump = jump.Endpoint.Jump {
			add(jump.Host.String(), p.Options.BandwidthPerJump)
		}
	}
	add("", p.Options.Bandwidth)
	return list
}

// end is for when the attempt has ended.
func (x *sender) end() {
	for _, f := range x.flows {
		f.end()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.watch != nil {
		x.watch.Stop()
	}
	if x.flying != nil {
		x.flying.Add(-x.told)
	}
	x.told, x.over = 0, true
}

// answered notes a sign of life.
func (x *sender) answered() {
	x.mu.Lock()
	x.moved = true
	x.mu.Unlock()
}

// more has Next called.
func (x *sender) more() {
	x.mu.Lock()
	wake := x.wake
	x.mu.Unlock()
	if wake != nil {
		wake()
	}
}

// errStalled ends an attempt whose far end takes nothing any more.
var errStalled = errors.New("the host has taken none of the files' bytes for too long")

// look is called after each time in which something must have been sent.
func (x *sender) look() {
	x.mu.Lock()
	if !x.over && x.watch != nil {
		x.stalled = !x.moved && (x.offered || x.answers && len(x.parts) == 0)
		x.moved = false
		x.watch.Reset(x.limit)
	}
	stalled := x.stalled
	x.mu.Unlock()
	if stalled {
		x.more()
	}
}

// Notify implements ssh.Stream.
func (x *sender) Notify(wake func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.wake = wake
	if x.limit > 0 && !x.over {
		x.watch = time.AfterFunc(x.limit, x.look)
	}
}

// Next implements ssh.Stream.
func (x *sender) Next(p []byte, at int64) (n int, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.stalled {
		return 0, errStalled
	}
	if sent := at - x.told; sent > 0 {
		if x.flying != nil {
			x.flying.Add(sent)
		}
		x.told, x.moved = at, true
	}
	for len(x.parts) > 0 && at >= x.at+x.parts[0].size() {
		x.at += x.parts[0].size()
		x.parts = x.parts[1:]
	}
	x.offered = len(x.parts) > 0
	if len(x.parts) == 0 {
		if x.all {
			return 0, io.EOF
		}
		return 0, nil
	}
	within := at - x.at
	for _, next := range x.parts {
		m, err := x.read(next, p[n:], within)
		n, within = n+m, 0
		if err != nil {
			return n, err
		}
		if n == len(p) || int64(m) < next.size() {
			break
		}
	}
	return n, nil
}

// read reads from an offset within a part, as far as the limits allow.
func (x *sender) read(from part, p []byte, within int64) (n int, err error) {
	if from.text != "" {
		return copy(p, from.text[within:]), nil
	}
	p = p[:min(int64(len(p)), from.size()-within)]
	if len(p) == 0 {
		return 0, nil
	}
	for _, f := range x.flows {
		if p = p[:f.ready(len(p))]; len(p) == 0 {
			x.offered = false
			return 0, nil
		}
	}
	if n, err = x.payload.ReadAt(p, from.from+within); n == len(p) {
		err = nil
	}
	for _, f := range x.flows {
		f.spend(n)
	}
	return n, err
}

func (x *sender) send(p part, all bool) {
	x.mu.Lock()
	if n := len(x.parts); n > 0 && p.text == "" && x.parts[n-1].text == "" && x.parts[n-1].to == p.from {
		x.parts[n-1].to = p.to
	} else if p.size() > 0 {
		x.parts = append(x.parts, p)
	}
	x.all = x.all || all
	x.mu.Unlock()
	x.more()
}

var _ ssh.Stream = (*sender)(nil)
