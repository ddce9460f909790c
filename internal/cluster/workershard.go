package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/ssh"
)

// minPause and maxPause bound the time between the beginnings of two appends of a shard: hosts become
// ready one by one, and each append waits for the disk of the server. It grows with what the last
// append took: where machines are busy, more goes into each record. Where no host waits for the append, it also grows
// with the number of shards that have something to append, so that a worker appends some fifty times a second.
const (
	minPause = 20 * time.Millisecond
	maxPause = 15 * minPause

	// resultPause is the least of that time where there are only results: whoever has few shards would else append
	// each result alone.
	resultPause = 5 * minPause
	// gatherPause is how long the first of what is appended waits for more: the hosts of a shard begin one after the other.
	gatherPause = 5 * time.Millisecond
)

func pauseOf(writing int32, took time.Duration) time.Duration {
	return min(max(time.Duration(writing)*minPause, 3*took), maxPause)
}

// Bounds of what a shard's results hold in memory, in bytes.
const (
	maxBatch = 4 << 20 // of one Work
	maxQueue = 8 << 20

	// partCost is what a part takes beside its bytes: hosts may write a byte at a time.
	partCost = 64
)

// A workerShard is a shard that this worker has taken. Its writer is the only one that
// appends to the log.
type workerShard struct {
	log    *Log // of the writer, once it runs
	shard  *Shard
	worker string
	epoch  int // in which the worker has it
	// inputs are the standard inputs of its hosts, by digest, until release.
	inputs  map[string][]byte
	release func()

	mu      sync.Mutex
	room    sync.Cond // for results
	hosts   int       // that it began with
	open    int       // hosts whose results have not come from the engine
	next    *intents  // those that the writer commits next
	parts   []Part    // before the results
	results []Result
	bytes   int                  // of both
	sent    map[int]bool         // hosts whose intent was committed in this epoch
	tried   map[int]bool         // hosts whose intent may be in the log, although it was not committed
	before  map[int]bool         // hosts that an earlier owner may have run
	err     error                // why nothing is appended any more
	waits   map[int]bool         // hosts without a result
	given   map[int]bool         // hosts that a person has given up
	views   map[int]*engine.View // attempts that go on
	left    bool                 // the worker stops: hosts are left to others
	leaves  func()               // called once when the first is left

	// wake tells the writer that there is something to do, and hurry that somebody waits for it. Capacity 1: one signal says
	// it all.
	wake, hurry chan struct{}
	// writing counts the shards of the worker that have something to append.
	writing *atomic.Int32
}

type intents struct {
	hosts []int
	at    map[int]netip.AddrPort // where the hosts with a name were dialled
	done  chan struct{}          // closed by the writer when they are committed, or err is set
	err   error
}

func newWorkerShard(log *Log, remaining []int, writing *atomic.Int32) *workerShard {
	s := &workerShard{
		log: log, shard: log.Shard, worker: log.Worker, epoch: log.Epoch, hosts: len(remaining), open: len(remaining), sent: make(map[int]bool), before: make(map[int]bool),
		waits: make(map[int]bool), given: make(map[int]bool), views: make(map[int]*engine.View),
		next: &intents{done: make(chan struct{})}, wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1), writing: writing,
	}
	s.room.L = &s.mu
	for _, i := range remaining {
		s.waits[i] = true
		if log.hosts[i].intended != 0 {
			s.before[i] = true
		}
	}
	return s
}

func (s *workerShard) signal() { signal(s.wake) }

// signalHurry has the writer look again how long it waits.
func (s *workerShard) signalHurry() { signal(s.hurry) }

// intend returns when the intent for a host, with the address that was dialled if it has a name, is in the
// log. If it fails, the command must not be sent.
func (s *workerShard) intend(host int, at netip.AddrPort) error {
	s.mu.Lock()
	if err := s.err; err != nil {
		s.mu.Unlock()
		return err
	}
	if s.given[host] { // its end may be in the log by now
		s.mu.Unlock()
		return &fleet.Error{Reason: fleet.ReasonInterrupted, Err: ssh.ErrByHand}
	}
	mine := s.next
	mine.hosts = append(mine.hosts, host)
	if n := len(mine.hosts); n == 1 || s.allIntendLocked() {
		s.signalHurry()
	}
	if at.IsValid() {
		if mine.at == nil {
			mine.at = make(map[int]netip.AddrPort)
		}
		mine.at[host] = at
	}
	s.mu.Unlock()
	s.signal()
	<-mine.done
	return mine.err
}

// giveUpHosts has the attempts at hosts that a person has given up end. Of hosts whose turn has not come it is told at once,
// and they never begin.
func (s *workerShard) giveUpHosts(hosts []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range hosts {
		if s.given[i] || !s.waits[i] {
			continue
		}
		s.given[i] = true
		switch v := s.views[i]; {
		case v != nil:
			v.Cancel()
		case !s.sent[i]: // otherwise it waits for another attempt
			delete(s.waits, i)
			s.queueLocked(i, fleet.Result{End: fleet.End{Outcome: fleet.OutcomeCancelled, Reason: fleet.ReasonInterrupted, Err: ssh.ErrByHand}})
			s.signal()
		}
	}
}

// attempted hears of the attempts at a host.
func (s *workerShard) attempted(host int, v *engine.View, step engine.Step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch step {
	case engine.Connecting:
		if s.views[host] = v; s.given[host] {
			v.Cancel()
		}
	case engine.Ended:
		delete(s.views, host)
	}
}

// result takes the result of a host. It waits while too much is queued.
func (s *workerShard) result(host int, res fleet.Result, stopping bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.signal()
	defer func() { // not before the result is queued, or the writer takes the shard for done
		if s.open--; s.open == 0 {
			s.signalHurry()
		}
	}()
	if s.given[host] && !s.waits[host] {
		return // it was told
	}
	delete(s.waits, host)
	if stopping && res.Outcome == fleet.OutcomeCancelled && !s.given[host] {
		if !s.left && s.leaves != nil {
			s.leaves()
		}
		s.left = true // another worker runs it
		return
	}
	s.queueLocked(host, res)
}

// queueLocked queues the result of a host for the log.
func (s *workerShard) queueLocked(host int, res fleet.Result) {
	if s.before[host] && res.Outcome.DidNotRun() && !s.sent[host] {
		// Whoever had the shard before may have run it.
		s.next.hosts = append(s.next.hosts, host)
		res.Outcome, res.Err = fleet.OutcomeUnknown, fmt.Errorf("a worker that is gone may have run it; this one did not: %w", errors.Join(res.Err))
	}
	size := len(res.Stdout.Bytes) + len(res.Stderr.Bytes)
	for size > 0 && s.bytes > 0 && s.bytes+size > maxQueue { // without output it needs no room
		s.signalHurry()
		s.room.Wait()
	}
	res.Target = fleet.Target{}
	s.results = append(s.results, Result{host, &res})
	s.bytes += size
}

// take returns what is to be appended next; over means that nothing follows.
func (s *workerShard) take() (batch *intents, w *Work, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	batch, s.next = s.next, &intents{done: make(chan struct{})}
	n, size, parts := 0, 0, 0
	for parts < len(s.parts) && (parts == 0 || size < maxBatch) {
		size += len(s.parts[parts].Bytes) + partCost
		parts++
	}
	given := s.parts[:parts:parts]
	if s.parts = s.parts[parts:]; len(s.parts) == 0 {
		s.parts = nil
	}
	for s.parts == nil && n < len(s.results) && (n+parts == 0 || size < maxBatch) {
		size += len(s.results[n].Result.Stdout.Bytes) + len(s.results[n].Result.Stderr.Bytes)
		n++
	}
	w = &Work{Intents: batch.hosts, Dialled: batch.at, Parts: given, Results: s.results[:n:n]}
	s.results = s.results[n:]
	s.bytes -= size
	s.room.Broadcast()
	over = s.open == 0 && len(s.results) == 0 && s.parts == nil
	w.Done = over && !s.left
	if len(s.results) > 0 || s.parts != nil {
		s.signal()
	}
	return batch, w, over
}

// rest waits as long as it makes sense to wait for more, once there is something to append.
func (s *workerShard) rest(began time.Time, writing int32, took time.Duration) {
	woken := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		s.mu.Lock()
		pause, gather := s.pauseLocked(writing, took)
		s.mu.Unlock()
		left := time.Until(later(began.Add(pause), woken.Add(gather)))
		if left <= 0 {
			return
		}
		timer.Reset(left)
		select {
		case <-timer.C:
		case <-s.hurry:
		}
	}
}

// pauseLocked returns the time between the beginnings of two appends, and how long what there is waits for more.
func (s *workerShard) pauseLocked(writing int32, took time.Duration) (pause, gather time.Duration) {
	intend, prompt := len(s.next.hosts) > 0, pauseOf(1, took)
	switch {
	case s.open == 0 || s.bytes >= maxBatch: // nothing more comes, or there is no room for it
		return prompt, 0
	case intend && s.allIntendLocked():
		return prompt, 0
	case intend:
		return prompt, gatherPause
	case s.parts != nil: // somebody looks at them
		return pauseOf(writing, took), 0
	}
	return max(pauseOf(writing, took), resultPause), 0
}

// allIntendLocked reports whether no host is left whose first intent may come.
func (s *workerShard) allIntendLocked() bool { return len(s.next.hosts)+len(s.sent) >= s.hosts }

// write appends what comes until all hosts have ended. Its error is why that was not possible.
func (s *workerShard) write(ctx context.Context) error {
	var began time.Time
	var took time.Duration
	for range s.wake {
		s.rest(began, s.writing.Add(1), took)
		began = time.Now()
		batch, w, over := s.take()
		err := s.append(ctx, w)
		s.writing.Add(-1)
		took = time.Since(began)
		s.committed(batch, err)
		if err != nil {
			s.writeLate(ctx, w, err, over)
			return err
		}
		if over {
			return nil
		}
	}
	return nil
}

func (s *workerShard) append(ctx context.Context, w *Work) error {
	if len(w.Intents) == 0 && len(w.Parts) == 0 && len(w.Results) == 0 && !w.Done {
		return nil
	}
	bodies := s.log.conn.pack.encode(w)
	for i, body := range bodies {
		if err := s.log.Append(ctx, &Record{Kind: KindWork, Worker: s.worker, More: i < len(bodies)-1, Body: body, work: w}); err != nil {
			return err
		}
	}
	return nil
}

// committed wakes those who wait for their intents.
func (s *workerShard) committed(batch *intents, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		for _, i := range batch.hosts {
			s.sent[i] = true
		}
	} else {
		s.err, s.tried = err, make(map[int]bool)
		for _, i := range batch.hosts {
			s.tried[i] = true
		}
		batch.err = err
		s.next.err = err // of those who came meanwhile
		close(s.next.done)
		s.next = &intents{done: make(chan struct{})} // for which nobody waits
		s.room.Broadcast()                           // nothing is queued any more
	}
	close(batch.done)
}

var errPulledInVain = fmt.Errorf("what the worker pulled did not all come into the log: %w", errFenced)

var errFencedBefore = fmt.Errorf("the worker did not start it: %w", errFenced)

// writeLate publishes the results of commands that this worker did start before it was replaced, and which of
// those it did not start that the log may have an intent for; the first of them are in w. With any other cause
// they are lost: nobody believes the log.
func (s *workerShard) writeLate(ctx context.Context, w *Work, cause error, over bool) {
	fenced := errors.Is(cause, errFenced)
	stored := true // once something is not, the rest is unknown too: each would wait for NATS as long
	for {
		for _, r := range w.Results {
			switch {
			case fenced && s.sent[r.Host]:
			case fenced && s.tried[r.Host] && r.Result.Outcome.DidNotRun(): // the log may say that it has begun
				r.Result.Reason, r.Result.Err = fleet.ReasonWorkerLost, errFencedBefore
			default:
				continue
			}
			if s.shard.Options.Stream > 0 { // what came before it may be missing
				r.Result.Stdout.Bytes, r.Result.Stderr.Bytes = nil, nil
				r.Result.Flags |= fleet.FlagOutputIncomplete
			}
			if s.shard.Options.Pull && r.Result.Outcome.Ran() { // the output is the files: they are pulled again
				r.Result.Outcome, r.Result.Reason, r.Result.Err = fleet.OutcomeUnknown, fleet.ReasonWorkerLost, errPulledInVain
			}
			bodies := s.log.conn.pack.encode(&Work{Results: []Result{r}})
			if len(bodies) > 1 { // what happened is worth more than what was printed
				short := *r.Result
				short.Stdout.Bytes, short.Stderr.Bytes, short.Flags = nil, nil, short.Flags|fleet.FlagOutputTruncated
				bodies = s.log.conn.pack.encode(&Work{Results: []Result{{r.Host, &short}}})
			}
			stored = stored && s.publishLate(ctx, bodies[0])
		}
		if over {
			if fenced && stored { // nobody waits for more
				s.publishLate(ctx, s.log.conn.pack.encode(&Work{Done: true})[0])
			}
			return
		}
		<-s.wake
		_, w, over = s.take()
	}
}

// publishLate reports whether it is stored; what is not told is unknown.
func (s *workerShard) publishLate(ctx context.Context, body []byte) bool {
	r := Record{Kind: KindLate, Epoch: s.epoch, Worker: s.worker, Nonce: newNonce(), Body: body}
	return s.log.conn.store(ctx, s.log.name, s.log.late, r.Encode()) == nil
}
