package engine

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"shoal/fleet"
)

const (
	// DefaultMaxMemory is how many bytes of each stream are kept in memory if there is a
	// Spool: 1 MiB.
	DefaultMaxMemory = 1 << 20
	// mostAtOnce limits what Next reads from a Spool, in bytes.
	mostAtOnce = 256 << 10
	// maxUnread limits, for each stream, the bytes beyond what is kept that wait for Next.
	maxUnread = 256 << 10
)

// A Spool stores what streams have beyond Options.MaxMemory. It is safe for concurrent use.
type Spool interface {
	// Stream returns an empty store for one stream.
	Stream() SpoolStream
}

// A SpoolStream is what a Spool has of one stream. Its methods are not called concurrently.
type SpoolStream interface {
	// Append appends as much of p as the spool has room for, and returns the number of bytes.
	Append(p []byte) int
	// ReadAt reads what was appended, as an io.ReaderAt.
	ReadAt(p []byte, off int64) (int, error)
	// Bytes returns all that was appended. It is not in the memory that Go manages, and stays
	// valid until the end of the process.
	Bytes() ([]byte, error)
}

// An Output is the output of one target while its command runs.
type Output struct {
	// Target is the target whose output it is.
	Target fleet.Target
	// Attempt is the attempt that it is of, from 1. An Idempotent run may try again what
	// has written output.
	Attempt int

	follow func(*Output)
	fail   func(error) // the run's own error, which stops it
	limit  int64       // bytes kept of each stream; negative: no limit
	memory int64       // of these in memory, if there is a spool
	spool  Spool       // nil: none
	all    bool        // Next also returns what is not kept
	budget *budget     // shared by all targets

	mu      sync.Mutex
	streams [fleet.NumStreams]stream
	left    int64     // bytes that Next would have returned, but for maxUnread
	told    bool      // follow was called since the last Next
	closed  bool      // what is kept is in the result
	last    time.Time // of the last byte; zero: none came
}

// A stream is what came on one stream. Its first kept bytes are in memory, or else all of them
// in a spool.
type stream struct {
	size, kept int64
	memory     []byte
	spooled    SpoolStream // nil: nothing is
	taken      int64       // how many of the kept bytes Next has returned
	unread     []byte      // what follows those, is not kept, and was not returned
}

func newOutput(t fleet.Target, attempt int, o *Options, b *budget, fail func(error)) *Output {
	return &Output{
		Target: t, Attempt: attempt, budget: b, follow: o.Follow, fail: fail,
		limit: o.MaxOutput, memory: o.MaxMemory, spool: o.Spool, all: o.FollowAll && o.Follow != nil,
	}
}

// Next returns a copy of what came on each stream since the last call, or a part of it: then
// the Output is announced again. It returns nothing once the target has its result, which has
// all that is kept; only with Options.FollowAll it returns the rest.
func (t *Output) Next() (stdout, stderr []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.told = false
	if t.closed && !t.all {
		return nil, nil
	}
	return t.fresh(fleet.Stdout), t.fresh(fleet.Stderr)
}

// Left returns how many bytes after those that Next has returned are left out, because
// nobody called it in time, and sets the number to 0.
func (t *Output) Left() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.left
	t.left = 0
	return n
}

// more reports whether Next has more to return.
func (t *Output) more() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed && !t.all {
		return false
	}
	for s := range t.streams {
		if st := &t.streams[s]; st.taken < st.kept || len(st.unread) > 0 {
			return true
		}
	}
	return false
}

func (t *Output) fresh(s fleet.Stream) []byte {
	st := &t.streams[s]
	if n := st.kept - st.taken; n > 0 {
		fresh := make([]byte, min(n, mostAtOnce))
		if st.spooled == nil {
			fresh = slices.Clone(st.memory[st.taken:])
		} else if _, err := st.spooled.ReadAt(fresh, st.taken); err != nil {
			st.taken = st.kept // the result has it, if it can be read at all
			return nil
		}
		st.taken += int64(len(fresh))
		return fresh
	}
	fresh := st.unread
	st.unread = nil
	t.budget.give(len(fresh))
	return fresh
}

// add keeps as much of p as the limits allow and counts all of it.
func (t *Output) add(s fleet.Stream, p []byte) {
	if len(p) == 0 {
		return
	}
	t.mu.Lock()
	if t.closed { // late output of an ended attempt: nothing would release its budget
		t.mu.Unlock()
		return
	}
	st := &t.streams[s]
	n := t.keep(st, p)
	st.size += int64(len(p))
	st.kept += int64(n)
	if t.all {
		rest := p[n:]
		room := 0
		if t.left == 0 {
			room = t.budget.take(min(len(rest), maxUnread-len(st.unread)))
		}
		st.unread = append(st.unread, rest[:room]...)
		t.left += int64(len(rest) - room)
		n += room
	}
	t.last = time.Now()
	tell := t.follow != nil && !t.told && n > 0
	t.told = t.told || tell
	t.mu.Unlock()
	if tell {
		t.follow(t)
	}
}

// keep keeps a prefix of p, and returns its length. mu must be held.
func (t *Output) keep(st *stream, p []byte) int {
	if st.size > st.kept {
		return 0 // a prefix without gaps is kept
	}
	if t.limit >= 0 {
		p = p[:min(int64(len(p)), t.limit-st.kept)]
	}
	if st.spooled != nil {
		return st.spooled.Append(p)
	}
	head := p
	if t.spool != nil {
		head = p[:min(int64(len(p)), max(t.memory-st.kept, 0))]
	}
	n := t.budget.take(len(head))
	st.memory = append(st.memory, head[:n]...)
	if n == len(p) || t.spool == nil || !t.spill(st) {
		return n
	}
	return n + st.spooled.Append(p[n:])
}

// spill moves what is in memory to the spool, and reports whether it had room. mu must be
// held.
func (t *Output) spill(st *stream) bool {
	spooled := t.spool.Stream()
	if spooled.Append(st.memory) < len(st.memory) {
		return false
	}
	t.budget.give(len(st.memory))
	st.memory, st.spooled = nil, spooled
	return true
}

// discard drops what Next has not returned.
func (t *Output) discard() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.left = 0
	for s := range t.streams {
		st := &t.streams[s]
		t.budget.give(len(st.unread))
		st.taken, st.unread = st.kept, nil
	}
}

// lastOutput returns when the last byte came; zero: none has.
func (t *Output) lastOutput() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}

// tail is View.Tail.
func (t *Output) tail(s fleet.Stream, limit int) ([]byte, int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	st := &t.streams[s]
	if t.closed || st.kept == 0 {
		return nil, 0
	}
	n := min(st.kept, int64(limit))
	if st.spooled == nil {
		return slices.Clone(st.memory[st.kept-n:]), st.kept
	}
	end := make([]byte, n)
	if _, err := st.spooled.ReadAt(end, st.kept-n); err != nil {
		return nil, st.kept // the result has it, if it can be read at all
	}
	return end, st.kept
}

// close ends the Output and returns all that is kept, and how many bytes of it are held in
// memory.
func (t *Output) close() (stdout, stderr fleet.Output, held int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	var outputs [fleet.NumStreams]fleet.Output
	for s := range t.streams {
		st := &t.streams[s]
		outputs[s] = fleet.Output{Bytes: st.memory, Size: st.size}
		held += len(st.memory)
		if st.spooled != nil {
			// What cannot be read again is missing, which the result's flag says.
			outputs[s].Bytes, _ = st.spooled.Bytes()
		}
	}
	return outputs[fleet.Stdout], outputs[fleet.Stderr], held
}

func (t *Output) writer(s fleet.Stream) tailWriter { return tailWriter{t, s} }

// A tailWriter is one stream of an Output as an io.Writer. It never fails.
type tailWriter struct {
	tail   *Output
	stream fleet.Stream
}

func (w tailWriter) Write(p []byte) (int, error) {
	w.tail.add(w.stream, p)
	return len(p), nil
}

// A Follower passes the output of running commands to a function. Commands must not
// wait for a slow one, so that Announce only queues, and a goroutine calls the function.
// What it has not passed is in the result.
type Follower struct {
	pass    func(t fleet.Target, attempt int, s fleet.Stream, fresh []byte)
	left    func(t fleet.Target, bytes int64) // nil: none is
	passing sync.Mutex                        // held across Next and pass

	mu    sync.Mutex
	wake  *sync.Cond
	open  map[int][]*Output // by index, those without a shown result, by attempt; nil without left
	queue []*Output         // each at most once: it is announced again only after Next
	ended bool
	done  sync.WaitGroup
}

// NewFollower starts a Follower. pass is called for one output at a time, in the order of
// its bytes; it may keep fresh. A panic of it is treated as one of Options.Follow. left is
// called where bytes are left out, with their number; it is for Options.FollowAll, and nil
// without.
func NewFollower(pass func(t fleet.Target, attempt int, s fleet.Stream, fresh []byte), left func(t fleet.Target, bytes int64)) *Follower {
	f := &Follower{pass: pass, left: left}
	if left != nil {
		f.open = make(map[int][]*Output)
	}
	f.wake = sync.NewCond(&f.mu)
	f.done.Go(f.run)
	return f
}

// Announce is for Options.Follow.
func (f *Follower) Announce(o *Output) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = append(f.queue, o)
	if all := f.open[o.Target.Index]; f.open != nil && !slices.Contains(all, o) {
		f.open[o.Target.Index] = append(all, o)
	}
	f.wake.Signal()
}

// Exclude passes what is left of r's output beyond what r has, with Options.FollowAll, and
// calls do while nothing is passed. Nothing of a target is passed any more once do was called
// with its result.
func (f *Follower) Exclude(r *fleet.Result, do func()) {
	f.passing.Lock()
	defer f.passing.Unlock()
	f.mu.Lock()
	all := f.open[r.Target.Index]
	delete(f.open, r.Target.Index)
	f.mu.Unlock()
	for _, o := range all {
		if o.Attempt <= r.Attempt {
			f.finish(o)
		}
		o.discard() // of an attempt that is not the result's
	}
	do()
}

// Close returns when pass was called for the last time. Output that is still queued is
// dropped.
func (f *Follower) Close() {
	f.mu.Lock()
	f.ended = true
	f.wake.Signal()
	f.mu.Unlock()
	f.done.Wait()
}

func (f *Follower) run() {
	for {
		f.mu.Lock()
		for len(f.queue) == 0 && !f.ended {
			f.wake.Wait()
		}
		queue, ended := f.queue, f.ended
		f.queue = nil
		f.mu.Unlock()
		if ended {
			return
		}
		for _, o := range queue {
			f.next(o)
			if o.more() {
				f.again(o)
			}
		}
	}
}

// again queues what has more, after the others.
func (f *Follower) again(o *Output) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = append(f.queue, o)
}

func (f *Follower) next(o *Output) {
	f.passing.Lock()
	defer f.passing.Unlock()
	earlier, shown := f.before(o)
	for _, e := range earlier {
		f.finish(e)
	}
	if !shown {
		f.pull(o)
		f.tellLeft(o)
	}
}

// before removes and returns the outputs of the earlier attempts at o's target. shown means that
// nothing of o is passed any more.
func (f *Follower) before(o *Output) (earlier []*Output, shown bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == nil {
		return nil, false
	}
	all := f.open[o.Target.Index]
	i := slices.Index(all, o)
	if i < 0 {
		return nil, true
	}
	f.open[o.Target.Index] = all[i:]
	return all[:i], false
}

// finish passes what is left of an attempt that has ended. passing must be held.
func (f *Follower) finish(o *Output) {
	for o.more() {
		f.pull(o)
	}
	f.tellLeft(o)
}

// pull passes what is new. passing must be held.
func (f *Follower) pull(o *Output) {
	stdout, stderr := o.Next()
	for s, fresh := range [fleet.NumStreams][]byte{stdout, stderr} {
		if len(fresh) > 0 {
			f.give(o, fleet.Stream(s), fresh)
		}
	}
}

// tellLeft tells of bytes that are left out after what was passed. passing must be held.
func (f *Follower) tellLeft(o *Output) {
	if f.left == nil || o.more() {
		return
	}
	if n := o.Left(); n > 0 {
		f.left(o.Target, n)
	}
}

func (f *Follower) give(o *Output, s fleet.Stream, fresh []byte) {
	defer caught("Output", o.fail) // its name in the library
	f.pass(o.Target, o.Attempt, s, fresh)
}

// A budget limits the output that all targets in flight hold together, so that ten
// thousand talkative hosts cannot exhaust the memory. Excess output is dropped and
// counted, like output beyond a target's own limit.
type budget struct {
	limit int64 // negative: no limit
	held  atomic.Int64
}

// take reserves up to n bytes and returns how many it reserved.
func (b *budget) take(n int) int {
	if b.limit < 0 {
		return n
	}
	for {
		held := b.held.Load()
		got := min(int64(n), b.limit-held)
		if got <= 0 {
			return 0
		}
		if b.held.CompareAndSwap(held, held+got) {
			return int(got)
		}
	}
}

// give releases n bytes.
func (b *budget) give(n int) {
	if b.limit >= 0 {
		b.held.Add(-int64(n))
	}
}
