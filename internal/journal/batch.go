package journal

import "sync"

// An event is an intent or, with a result, a result.
type event struct {
	idx, attempt int
	at           int64
	result       *resultRow
}

// A batch is what is committed in one transaction.
type batch struct {
	events  []event
	results int
	bytes   int // of the results
	// done is closed by the writer when the batch is on the disk, or err says
	// why it is not.
	done chan struct{}
	err  error
}

func newBatch() *batch { return &batch{done: make(chan struct{})} }

// maxBatch bounds a transaction. Those whose intents are in the first of several
// go on while the next ones are written; in one large transaction all would wait
// for the last, and the processors with them.
const maxBatch = 128

// A queue collects events while the writer is busy with those before. It is
// safe for concurrent use.
type queue struct {
	maxResults, maxBytes int

	mu      sync.Mutex
	batches []*batch // the first is the next to be written, the last is filled; never empty
	results int      // in all of them
	bytes   int
	err     error // what ended it
	room    sync.Cond
	// wake tells the writer, its only receiver, that there is something to do or
	// that the queue has ended. Its capacity of one keeps a message that comes while
	// the writer is busy; a second would say nothing new. Nobody closes it.
	wake chan struct{}
}

func newQueue(o Options) *queue {
	q := &queue{maxResults: o.MaxQueue, maxBytes: o.MaxQueueBytes, batches: []*batch{newBatch()}, wake: make(chan struct{}, 1)}
	q.room.L = &q.mu
	return q
}

// put adds the event and gives its batch. A result waits for room; an intent
// does not, since its caller waits for the batch anyway.
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

// open gives the batch to be filled.
func (q *queue) open() *batch {
	b := q.batches[len(q.batches)-1]
	if len(b.events) == maxBatch {
		b = newBatch()
		q.batches = append(q.batches, b)
	}
	return b
}

// full lets one result in however large it is.
func (q *queue) full() bool {
	return q.results > 0 && (q.results >= q.maxResults || q.bytes >= q.maxBytes)
}

// mark gives the batch with which all that was put so far is on the disk.
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
	default: // one is waiting already
	}
}

// mayGrow says whether the next batch is the one that is being filled.
func (q *queue) mayGrow() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.batches) == 1 && len(q.batches[0].events) < maxBatch && q.err == nil
}

// take gives the next batch; last says that no other will come after it.
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

// end makes every later put fail with the error, unless it ended before.
func (q *queue) end(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil {
		q.err = err
	}
	q.room.Broadcast()
	q.signal()
}

// fail ends the queue with an error that matters more than that it is over.
func (q *queue) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.err = err
	q.room.Broadcast()
	q.signal()
}

// failure is what ended the queue; nil while it goes on.
func (q *queue) failure() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.err
}
