package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"shoal/internal/connect"
	"shoal/internal/engine"
	"shoal/internal/ssh"
)

// WorkerOptions configure a worker.
type WorkerOptions struct {
	// Pool is the pool that it takes shards of, and Name its own, unique in the pool.
	Pool, Name string
	// Machine and Version are for people.
	Machine, Version string
	// Signers are those whose shards it runs. Required.
	Signers *Signers
	// Connect is how it reaches hosts: keys, agent, known_hosts, ssh_config. The run sets
	// timeouts, attempts and the limit of the output.
	Connect connect.Options
	// State is a directory in which workers of this machine note what they have taken, so that they do not
	// run it again in another log after they were started anew. "" means that they do not.
	State string
	// BecomePasswords returns the password for becoming another user, once for each run that does. limit is
	// the time for that. nil means that there is none.
	BecomePasswords func(limit time.Duration) (ssh.Passwords, error)
	// Room is how many hosts it works on at once. 0 means what this machine can carry.
	Room int
	// Notice is told what a person should know. It is called from many goroutines. nil disables it.
	Notice func(string)

	beat   time.Duration    // between two signs of life; 0 means beatEvery
	again  time.Duration    // for tests: between two tries to get deliveries; 0 means triesEvery
	noWork bool             // for tests: no delivery of WORK arrives
	hook   func(*Record)    // for tests: see Log
	now    func() time.Time // for tests: its clock; nil means time.Now
}

const (
	beatEvery = 2 * time.Second
	// fetchWait is how long a worker with room waits for a delivery before it asks the
	// coordinators themselves.
	fetchWait = 2 * time.Second
	// triesEvery is how long a worker that can have no deliveries waits before it tries to get them again: before the first
	// run NATS has no stream for them. A run that begins wakes it.
	triesEvery = time.Second
	// maxBegins is how many shards a worker reads, checks and takes at once: each waits several times for the
	// server and its disk, so that one after the other would not fill a large worker.
	maxBegins = 8
)

// A Worker takes shards of its pool and runs their hosts. Call Run.
type Worker struct {
	WorkerOptions
	conn    *Conn
	started time.Time
	process string // see Beat

	mu       sync.Mutex
	sessions map[sessionKey]*session
	engines  sync.WaitGroup   // of all sessions, also of those that have ended but for their connections
	shards   map[hintOf]bool  // under way here
	inputs   map[string]*kept // by pool, run and digest
	took     map[hintOf]took  // until it expires: what this worker has taken before
	busy     int              // hosts that have not ended
	begins   int              // shards that are being taken: it is not known yet how many hosts they have
	leaving  bool             // nothing more is started
	freed    chan struct{}    // capacity 1: signalled when busy or begins falls
	called   chan struct{}    // capacity 1: signalled when somebody asks who is there, as runs that begin do

	writing atomic.Int32 // see workerShard

	marks *marks // nil: none are kept
	// unnoted says once that a mark could not be written, and twin that another process has the worker's name.
	unnoted, twin sync.Once
}

// took is how far the log of a shard that this worker took had come when it wrote or read it last.
type took struct {
	mark
	expires time.Time
}

func tookOf(log *Log) took { return took{mark{log.Seq, log.Digest}, log.Shard.Expires} }

// NewWorker returns a worker that uses conn, which stays the caller's.
func NewWorker(conn *Conn, o WorkerOptions) (*Worker, error) {
	switch {
	case !validName(o.Pool):
		return nil, fmt.Errorf("the pool %.80q is no name of letters, digits, - and _", o.Pool)
	case !validName(o.Name):
		return nil, fmt.Errorf("the worker %.80q is no name of letters, digits, - and _", o.Name)
	case o.Signers == nil:
		return nil, errors.New("a worker without allowed signers would run nothing")
	}
	if o.Room == 0 {
		o.Room = engine.DefaultFanout().Fanout
	}
	if o.Notice == nil {
		o.Notice = func(string) {}
	}
	if o.beat == 0 {
		o.beat = beatEvery
	}
	if o.again == 0 {
		o.again = triesEvery
	}
	if o.now == nil {
		o.now = time.Now
	}
	var taken *marks
	if o.State != "" {
		var err error
		if taken, err = openMarks(o.State, o.now()); err != nil {
			return nil, err
		}
	}
	return &Worker{
		marks: taken, WorkerOptions: o, conn: conn, started: time.Now(), process: newNonce(),
		sessions: make(map[sessionKey]*session), shards: make(map[hintOf]bool), took: make(map[hintOf]took), inputs: make(map[string]*kept),
		freed: make(chan struct{}, 1), called: make(chan struct{}, 1),
	}, nil
}

// Run takes and runs shards until drain is closed; then it starts nothing more, waits for the
// commands that run, and leaves other hosts to other workers. Ending ctx abandons the commands.
func (w *Worker) Run(ctx context.Context, drain <-chan struct{}) error {
	who, err := w.conn.nc.Subscribe("who", func(*nats.Msg) {
		w.tell(false)
		signal(w.called)
	})
	if err != nil {
		return fmt.Errorf("listening for who is there: %w", err)
	}
	defer func() { _ = who.Unsubscribe() }()
	taking, stop := context.WithCancel(ctx)
	defer stop()
	var all sync.WaitGroup
	all.Go(func() {
		select {
		case <-drain:
			stop()
		case <-taking.Done():
		}
		w.stopping()
	})
	beating, stopBeating := context.WithCancel(context.WithoutCancel(ctx))
	var beats sync.WaitGroup
	beats.Go(func() {
		for tick := time.Tick(w.beat); ; {
			w.tell(false)
			select {
			case <-tick:
			case <-beating.Done():
				return
			}
		}
	})
	w.take(taking, ctx)
	all.Wait()
	w.engines.Wait()
	stopBeating()
	beats.Wait()
	w.tell(true)
	_ = w.conn.nc.FlushTimeout(time.Second) // a courtesy: silence says the same, later
	return nil
}

func (w *Worker) running() (list []*session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.sessions {
		list = append(list, s)
	}
	return list
}

// stopping drains all runs and gives their other hosts up.
func (w *Worker) stopping() {
	w.mu.Lock()
	w.leaving = true
	w.mu.Unlock()
	for _, s := range w.running() {
		s.leave()
	}
}

func (w *Worker) tell(gone bool) {
	w.mu.Lock()
	b := Beat{Pool: w.Pool, Worker: w.Name, Machine: w.Machine, Version: w.Version, Started: w.started, Process: w.process, Room: w.Room, Busy: w.busy, Shards: len(w.shards), Gone: gone}
	w.mu.Unlock()
	_ = w.conn.nc.Publish(beatSubject(w.Pool, w.Name), encode(b)) // the next one comes soon
}

// take takes shards until taking ends; running is for their commands.
func (w *Worker) take(taking, running context.Context) {
	var begins sync.WaitGroup
	defer begins.Wait()
	var consumer jetstream.Consumer
	for taking.Err() == nil {
		if !w.reserve() {
			select {
			case <-w.freed:
			case <-taking.Done():
			}
			continue
		}
		var err error
		if consumer == nil && !w.noWork {
			if consumer, err = w.conn.consumer(taking, w.Pool); err != nil {
				consumer = nil
			}
		}
		var h hintOf
		var hint jetstream.Msg // nil: none was delivered
		if consumer != nil {
			if hint, err = fetch(taking, consumer); err != nil {
				consumer = nil // made anew: it may have been deleted
			}
		}
		got := false
		if hint != nil {
			if h, got = w.read(hint); !got {
				_ = hint.Ack() // nobody can begin it
			}
		} else {
			h, got = w.askForOne(taking)
		}
		if got && taking.Err() == nil {
			begins.Go(func() { w.begin(running, h, hint) })
			continue
		}
		w.began(0)
		if consumer == nil {
			_ = pauseUntil(taking, w.again, w.called)
		}
	}
}

// reserve reports whether there is room for another shard, which began must follow.
func (w *Worker) reserve() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.busy >= w.Room || w.begins > 0 && (w.begins >= maxBegins || w.busy+w.begins*maxHosts >= w.Room) {
		return false
	}
	w.begins++
	return true
}

// began ends what reserve has begun: a shard with this many hosts was taken; 0: none was.
func (w *Worker) began(hosts int) {
	w.mu.Lock()
	w.begins--
	w.busy += hosts
	w.mu.Unlock()
	w.free()
}

func (w *Worker) free() { signal(w.freed) }

// fetch waits for one delivery; nil: none came.
func fetch(taking context.Context, consumer jetstream.Consumer) (hint jetstream.Msg, err error) {
	ctx, cancel := context.WithTimeout(taking, fetchWait)
	defer cancel()
	batch, err := consumer.Fetch(1, jetstream.FetchContext(ctx))
	if err != nil {
		return nil, err
	}
	for m := range batch.Messages() {
		hint = m
	}
	if err := batch.Error(); err != nil && !errors.Is(err, nats.ErrTimeout) && ctx.Err() == nil {
		return hint, err
	}
	return hint, nil
}

// read returns the shard that a delivery names.
func (w *Worker) read(hint jetstream.Msg) (h hintOf, ok bool) {
	_, pool, run, shard, _, ok := parseSubject(hint.Subject())
	return hintOf{run, shard}, ok && pool == w.Pool
}

// askForOne asks all coordinators for a shard that waits: deliveries may be lost.
func (w *Worker) askForOne(ctx context.Context) (h hintOf, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond) // who has none does not answer
	defer cancel()
	m, err := w.conn.nc.RequestWithContext(ctx, freeSubject(w.Pool, w.Name), encode(freeWorker{w.process}))
	if err != nil {
		return h, false
	}
	h, ok = decode[hintOf](m.Data)
	return h, ok && validName(h.Run)
}

// begin takes a shard for which there is room, and passes its hosts to the session of its run. hint named it;
// nil: no delivery did.
func (w *Worker) begin(ctx context.Context, h hintOf, hint jetstream.Msg) {
	s, remaining, err := w.tryBegin(ctx, h)
	if hint != nil {
		_ = hint.Ack() // the log has what came of it; a hint that comes again does no harm
	}
	if err != nil {
		w.began(0)
		if !errors.Is(err, errNotNow) && !errors.Is(err, errFenced) && ctx.Err() == nil {
			w.Notice(fmt.Sprintf("shard %d of run %s is not taken: %v", h.Shard, h.Run, err))
		}
		return
	}
	w.began(len(remaining))
	w.session(ctx, s.shard).run(ctx, s, remaining, h)
}

// tryBegin is begin until the shard is taken.
func (w *Worker) tryBegin(ctx context.Context, h hintOf) (s *workerShard, remaining []int, err error) {
	w.mu.Lock()
	here := w.shards[h]
	w.shards[h] = true
	w.mu.Unlock()
	if here {
		return nil, nil, errNotNow
	}
	if s, remaining, err = w.takeShard(ctx, h); err != nil {
		w.mu.Lock()
		delete(w.shards, h)
		w.mu.Unlock()
	}
	return s, remaining, err
}

// errNotNow means that a shard is not taken because others have it, it is done, or nobody is there
// who wants it.
var errNotNow = errors.New("it is not to be run now")

// takeShard reads, checks and takes a shard, and returns the hosts of it that remain.
func (w *Worker) takeShard(ctx context.Context, h hintOf) (_ *workerShard, remaining []int, _ error) {
	known := w.known(h)
	earlier, unread := w.marks.at(h, w.now())
	if earlier.seq > known.seq {
		known = earlier
	}
	log, err := w.conn.openLog(ctx, w.Name, w.Pool, h.Run, h.Shard, known)
	if other, ok := errors.AsType[formatError](err); ok {
		_, _ = w.ask(ctx, h.Run, question{Shard: h.Shard, Refused: other.Error()}) // or it would be waited for until it expires
		return nil, nil, other
	}
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, nil, errNotNow // a hint that outlived its run
	case err != nil:
		return nil, nil, err
	case log.Done:
		return nil, nil, errNotNow
	}
	log.hook = w.hook
	q := question{Shard: h.Shard, Seq: log.Seq, Digest: log.Digest, Epoch: log.Epoch}
	refused := cmp.Or(unread, w.refuse(log, h))
	if refused == nil { // what cannot be noted is not taken
		refused = w.marks.add(h, tookOf(log), false)
	}
	if refused != nil {
		q.Refused = refused.Error()
	}
	may, err := w.ask(ctx, h.Run, q)
	switch {
	case refused != nil:
		return nil, nil, refused
	case err != nil || !may:
		return nil, nil, errNotNow
	}
	inputs, release, err := w.keepInputs(ctx, log.Shard)
	if err != nil {
		return nil, nil, err
	}
	if err := log.Append(ctx, &Record{Kind: KindTake, Worker: w.Name, Process: w.process}); err != nil {
		release()
		return nil, nil, err
	}
	// Not before the take: whoever may create logs could have put another in the place of this one meanwhile, in which
	// nobody has taken the shard.
	origin := make(chan error, 1) // sent once
	go func() { origin <- w.conn.checkOrigin(ctx, log.Shard) }()
	w.remember(h, log)
	noted := w.marks.add(h, tookOf(log), true) // before anything of the shard is begun
	if err := cmp.Or(<-origin, noted); err != nil {
		release()
		if errors.Is(err, errOtherLog) {
			q.Refused = err.Error()
			_, _ = w.ask(ctx, h.Run, q) // whoever it is does not wait for us
		}
		w.giveUp(ctx, h, question{GaveUp: log.Epoch, Leaves: noted == nil}) // or it would wait for us; others may find the log
		return nil, nil, err
	}
	remaining = log.Remaining()
	s := newWorkerShard(log, remaining, &w.writing)
	s.inputs, s.release = inputs, release
	return s, remaining, nil
}

// refuse returns why the shard is not one that this worker runs, or nil.
func (w *Worker) refuse(log *Log, h hintOf) error {
	now := w.now()
	switch s := log.Shard; {
	case now.After(s.Expires):
		return fmt.Errorf("it has expired at %s", s.Expires.UTC().Format(time.RFC3339))
	case s.Made.After(now.Add(maxSkew)):
		return fmt.Errorf("it was made at %s, which is in the future: one of the clocks is wrong", s.Made.UTC().Format(time.RFC3339))
	}
	_, err := w.Signers.Check(log.Signed, log.Signature, now)
	return err
}

// maxSkew is how far the coordinator's clock may be ahead.
const maxSkew = 5 * time.Minute

// remember keeps that the shard was taken here, for as long as its signature is valid.
func (w *Worker) remember(h hintOf, log *Log) {
	now := w.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for h, t := range w.took {
		if now.After(t.expires) {
			delete(w.took, h)
		}
	}
	expires := log.Shard.Expires
	log.moved = func(m mark) {
		w.mu.Lock()
		w.took[h] = took{m, expires}
		w.mu.Unlock()
		if err := w.marks.add(h, took{m, expires}, false); err != nil {
			w.unnoted.Do(func() { w.Notice(fmt.Sprintf("%v: until then only the memory of this worker has it", err)) })
		}
	}
	w.took[h] = tookOf(log)
}

// known returns what the log of a shard must have: a store that was restored from an older copy, or
// changed, would let hosts run again.
func (w *Worker) known(h hintOf) mark {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.took[h].mark
}

func (w *Worker) ask(ctx context.Context, run string, q question) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	q.Process = w.process
	m, err := w.conn.nc.RequestWithContext(ctx, askSubject(w.Pool, run, w.Name), encode(q))
	if err != nil {
		return false, fmt.Errorf("asking the coordinator: %w", err)
	}
	a, ok := decode[answer](m.Data)
	if a.Twin {
		w.twin.Do(func() {
			w.Notice(fmt.Sprintf("another worker of the pool %s that lives has the name %s too: give one of them another with --name", w.Pool, w.Name))
		})
	}
	return ok && a.Go, nil
}

// giveUp tells the coordinator that this worker does not go on with a shard, until it has answered or there is none:
// it would wait for a worker that lives.
func (w *Worker) giveUp(ctx context.Context, h hintOf, q question) {
	q.Shard = h.Shard
	w.mu.Lock()
	leaving := w.leaving
	w.mu.Unlock()
	long, absent := w.conn.patience, leaderless // the coordinator may be connecting again too
	if leaving {                                // soon it does not live
		long, absent = requestTimeout, 0
	}
	for began := time.Now(); time.Since(began) < long; {
		_, err := w.ask(ctx, h.Run, q)
		none := errors.Is(err, nats.ErrNoResponders) && time.Since(began) >= absent
		if err == nil || none || pause(ctx, time.Second) != nil {
			return
		}
	}
}

// ended counts hosts that have ended.
func (w *Worker) ended(n int) {
	w.mu.Lock()
	w.busy -= n
	w.mu.Unlock()
	w.free()
}
