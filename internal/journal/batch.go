package journal

import "sync"

// An event is an intent, or a result if the field result is set.
type event struct {
	idx, attempt int
	at           int64
	result       *resultRow
}

// A batch is the set of events that one transaction commits.
type batch struct {
	events  []event
	results int
	bytes   int // of the results, in memory
	// done is closed by the writer when the batch is on disk, or when it failed; then
	// err is set.
	done chan struct{}
	err  error
}

func newBatch() *batch { return &batch{done: make(chan struct{})} }

// maxBatch is the maximum number of events in one transaction. With several smaller
// transactions, the hosts of the first batch start working while the next batch is
// written; with one large transaction all hosts would wait, and the processors would
// be idle.
const maxBatch = 128

// A queue collects events while the writer is busy with the previous batch. It is
// safe for concurrent use.
type queue struct {
	maxResults, maxBytes int

	mu      sync.Mutex
	batches []*batch // never empty; the first is written next, new events go into the last
	results int      // in all batches
	bytes   int
	err     error // why the queue ended; nil while it is open
	room    sync.Cond
	// wake tells the writer, its only receiver, that there are events or that the
	// queue has ended. Capacity one keeps a signal that is sent while the writer is
	// busy; a second signal would carry no information. The channel is never closed.
	wake chan struct{}
}

func newQueue(o Options) *queue {
	q := &queue{maxResults: o.MaxQueue, maxBytes: o.MaxQueueBytes, batches: []*batch{newBatch()}, wake: make(chan struct{}, 1)}
	q.room.L = &q.mu
	return q
}

// put adds the event and returns its batch. A result waits until the queue has room.
// An intent does not, because its caller waits for the batch anyway.
func (q *queue) put(e event) (*batch, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for e.result != nil && q.err == nil && q.full() {
		q.room.Wait()
	}
	if q.err != nil {
		return nil, q.err
	}
	b := q.open()
	b.events = append(b.events, e)
	if e.result != nil {
		b.results++
		b.bytes += e.result.bytes
		q.results++
		q.bytes += e.result.bytes
	}
	q.signal()
	return b, nil
}

// open returns the batch that takes the next event. mu must be held.
func (q *queue) open() *batch {
	b := q.batches[len(q.batches)-1]
	if len(b.events) == maxBatch {
		b = newBatch()
		q.batches = append(q.batches, b)
	}
	return b
}

// full reports whether a result has to wait. An empty queue accepts one result of any
// size. mu must be held.
func (q *queue) full() bool {
	return q.results > 0 && (q.results >= q.maxResults || q.bytes >= q.maxBytes)
}

// mark returns the batch that completes everything put so far.
func (q *queue) mark() (*batch, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return nil, q.err
	}
	q.signal()
	return q.batches[len(q.batches)-1], nil
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default: // a signal is pending already
	}
}

// mayGrow reports whether the next batch can still take events.
func (q *queue) mayGrow() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.batches) == 1 && len(q.batches[0].events) < maxBatch && q.err == nil
}

// take returns the next batch; last reports that no other batch will follow.
func (q *queue) take() (b *batch, last bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	b = q.batches[0]
	q.results -= b.results
	q.bytes -= b.bytes
	q.room.Broadcast()
	if q.batches = q.batches[1:]; len(q.batches) > 0 {
		q.signal()
		return b, false
	}
	q.batches = []*batch{newBatch()}
	return b, q.err != nil
}

// end makes every later put fail with err, unless the queue has already ended.
func (q *queue) end(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil {
		q.err = err
	}
	q.room.Broadcast()
	q.signal()
}

// fail ends the queue with err, and replaces the error of an earlier end.
func (q *queue) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.err = err
	q.room.Broadcast()
	q.signal()
}

// failure returns the error that ended the queue, or nil while it is open.
func (q *queue) failure() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.err
}
