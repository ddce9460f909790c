package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// CoordinatorOptions configure a Coordinator.
type CoordinatorOptions struct {
	// Signer signs the shards. Begin requires it; Attach makes no new ones.
	Signer xssh.Signer
	// Options are applied by the workers.
	Options Options
	// PoolTimeout is how long hosts wait for a worker of their pool to appear. 0 means 30 s.
	PoolTimeout time.Duration
	// Lease is how long a worker may be silent before its shards are given to others. 0 means 6 s.
	Lease time.Duration
	// Valid is how long a shard may wait for a worker. 0 means an hour.
	Valid time.Duration
	// ShardSize is the number of hosts in a shard, 200 at most. 0 means 100 for the first 2,000 hosts of a
	// pool, which few workers share evenly, and 200 for others, whose shards cost half as much.
	ShardSize int
	// Asker makes further attempts at hosts that have their result, such as the removal of a marker. nil means
	// that the run makes them, and not once it was stopped.
	Asker *Asker
	// Notice is told what a person should know. nil disables it.
	Notice func(string)
}

// maxEpochs is how many workers may lose a shard before it is split, down to single hosts: one of
// them may be what ends the workers.
const maxEpochs = 3

// maxShards bounds what the log of a run may name.
const maxShards = 1 << 20

const (
	// linger is how long hosts wait for others of their shard.
	linger = 5 * time.Millisecond
	// fillFor is how long they wait until it is full, while another shard of the pool waits for a worker: a shard costs
	// the same however few hosts it has.
	fillFor = 250 * time.Millisecond
)

// A Coordinator is an ssh.Dialer whose attempts are made by workers. The run's engine stands before
// it, so that rollouts, failure limits, rates and stops are those of the whole run.
type Coordinator struct {
	CoordinatorOptions
	conn *Conn

	ctx    context.Context // ends at Close
	cancel context.CancelFunc
	all    sync.WaitGroup
	run    string
	stream jetstream.Stream
	subs   []*nats.Subscription
	follow jetstream.ConsumeContext

	// kick wakes the goroutine that makes shards. Capacity 1: one signal says it all.
	kick  chan struct{}
	given chan struct{} // capacity 1: wakes watch when a host is given up
	opens chan struct{} // a place for each shard that is being opened

	mu      sync.Mutex
	state   string
	pending map[string][]*host   // by pool, not in a shard yet
	since   map[string]time.Time // by pool, when the first of pending came
	inShard map[string]int       // by pool, how many hosts were put into shards
	untaken []*shard             // those that wait for their first worker are among them
	shards  []*shard             // by number
	active  int                  // hosts without a result
	workers map[workerAt]seen
	names   map[nameAt]named // of workers
	deaf    time.Time        // until when nothing could be heard of workers
	lost    int              // hosts that were ended although their truth may still come: the log stays
	aborts  sync.Once        // calls abort
	keep    bool             // see Keep
	byHand  bool             // a host was given up

	inputs  inputs       // has its own lock, as the next
	origins once[Origin] // by pool

	linger time.Duration // for tests; 0 means the constant

	attached bool             // see Attach
	unopened shard            // stands for those of which nothing was read
	unread   int              // shards whose hosts are not known
	last     map[int]int      // by index of a host: its last shard
	caught   bool             // what was in the log then was read
	seen     uint64           // the last that was read
	behind   time.Time        // since when the log ends before it; zero: it does not. Of watch alone
	results  []attachedResult // not yielded yet
	givenUp  bool             // abort has ended all hosts
}

// A workerAt is a worker in its pool. One that was started anew is another, although it has the name.
type workerAt struct {
	pool string
	workerID
}

// A nameAt is the name of a worker in its pool.
type nameAt struct{ pool, name string }

// named says which processes have had the name of a worker.
type named struct {
	latest, before workerAt  // before: the one before that; zero: none
	since          time.Time // when the latest was heard first
	told           bool      // that both live
}

// A tenure is an epoch of a shard that a worker has.
type tenure struct {
	epoch  int
	worker string
}

// gaveUp is what a worker has said of a tenure: leaves if it stops, and passes on what it has not started; told
// if it tells nothing more.
type gaveUp struct{ leaves, told bool }

type seen struct {
	busy, room int
	gone       bool
	idle       bool // it has no shard
	at         time.Time
}

// A shard is one that the coordinator has made.
type shard struct {
	fold    Fold
	pool    string
	number  int
	hosts   []*host
	began   time.Time
	hinted  time.Time
	taken   time.Time         // when the last take was read
	opening bool              // open will say what comes of it
	checked time.Time         // when checkShard looked last
	suspect time.Time         // since when its log was not what it was; zero: it is
	refused map[string]string // why, by worker
	gaveUp  map[tenure]gaveUp // of workers that do not go on
	closing string            // why the coordinator closes it; "" means that it does not
	why     fleet.Reason      // of hosts that did not run, when it is closed
	split   bool              // its remaining hosts go into smaller shards
	settled bool
}

// NewCoordinator returns a coordinator that uses conn, which stays the caller's. Begin must be called
// before the first Dial.
func NewCoordinator(conn *Conn, o CoordinatorOptions) (*Coordinator, error) {
	switch {
	case o.ShardSize < 0 || o.ShardSize > maxHosts:
		return nil, fmt.Errorf("shards of %d hosts: %d is the most", o.ShardSize, maxHosts)
	}
	if o.PoolTimeout == 0 {
		o.PoolTimeout = 30 * time.Second
	}
	if o.Lease == 0 {
		o.Lease = 3 * beatEvery
	}
	if o.Valid == 0 {
		o.Valid = time.Hour
	}
	if o.Notice == nil {
		o.Notice = func(string) {}
	}
	c := &Coordinator{
		CoordinatorOptions: o, conn: conn, kick: make(chan struct{}, 1), given: make(chan struct{}, 1), opens: make(chan struct{}, 16), state: stateRun,
		pending: make(map[string][]*host), since: make(map[string]time.Time), inShard: make(map[string]int),
		workers: make(map[workerAt]seen), names: make(map[nameAt]named),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// Begin creates the log of the run and listens to the workers.
func (c *Coordinator) Begin(ctx context.Context, run string) (err error) {
	if !validName(run) {
		return fmt.Errorf("%.80q cannot be the name of a run in NATS", run)
	}
	if c.Signer == nil {
		return errors.New("a coordinator signs its shards: CoordinatorOptions.Signer is nil")
	}
	if c.stream, err = c.conn.createRun(ctx, run); err != nil {
		return err
	}
	return c.listen(ctx, run)
}

// listen follows the log and the workers.
func (c *Coordinator) listen(ctx context.Context, run string) error {
	c.run, c.deaf = run, time.Now()
	for subject, handle := range map[string]nats.MsgHandler{
		beatSubject("*", "*"): c.onBeat, askSubject("*", run, "*"): c.onQuestion, freeSubject("*", "*"): c.onFree,
	} {
		sub, err := c.conn.nc.Subscribe(subject, handle)
		if err != nil {
			return fmt.Errorf("listening to the workers: %w", err)
		}
		c.subs = append(c.subs, sub)
	}
	consumer, err := c.conn.js.OrderedConsumer(ctx, runStream(run), jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverAllPolicy, FilterSubjects: []string{"log.>", "late.>"},
	})
	if err == nil {
		opts := []jetstream.PullConsumeOpt{jetstream.ConsumeErrHandler(func(jetstream.ConsumeContext, error) {})}
		if c.Options.Stream > 0 { // many records are large
			opts = append(opts, jetstream.PullMaxBytes(maxFetch))
		}
		c.follow, err = consumer.Consume(c.onRecord, opts...)
	}
	if err != nil {
		return fmt.Errorf("following the log of run %s: %w", run, err)
	}
	if err := c.conn.nc.Publish("who", nil); err != nil {
		return fmt.Errorf("asking who is there: %w", err)
	}
	c.all.Go(c.makeShards)
	c.all.Go(c.watch)
	return nil
}

// Close ends the coordinator. The log is removed if it has nothing that the results lack.
func (c *Coordinator) Close() {
	c.cancel()
	for _, s := range c.subs {
		_ = s.Unsubscribe()
	}
	if c.follow != nil {
		c.follow.Stop()
		<-c.follow.Closed()
	}
	c.all.Wait()
	c.mu.Lock()
	remove := c.stream != nil && c.run != "" && !c.keep && c.unread == 0 && (c.lost == 0 || c.Options.Pull) && c.active == 0 && (!c.attached || c.readLocked())
	given := c.lost > 0 && c.Options.Pull
	c.mu.Unlock()
	if given {
		c.setState(stateAbort) // nobody stores what workers go on to read
	}
	if !remove {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	if err := c.conn.js.DeleteStream(ctx, runStream(c.run)); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		c.Notice(fmt.Sprintf("the log of the run stays in NATS: %v", err))
	}
}

// Stop starts nothing more: shards that nobody has taken are closed, and workers are told.
func (c *Coordinator) Stop() { c.setState(stateDrain) }

// abort also abandons the commands. Workers have abortGrace to tell what came of them.
func (c *Coordinator) abort() {
	c.setState(stateAbort)
	c.all.Go(func() {
		select {
		case <-time.After(abortGrace):
		case <-c.ctx.Done():
		}
		c.mu.Lock()
		var left []*host
		for _, s := range c.shards {
			left = append(left, s.hosts...)
		}
		c.mu.Unlock()
		for _, h := range left {
			h.interrupt()
		}
		c.mu.Lock()
		c.givenUp = true
		c.mu.Unlock()
	})
}

// maxFetch is how many bytes of records wait here at once.
const maxFetch = 16 << 20

const abortGrace = 3 * time.Second

func (c *Coordinator) setState(state string) {
	c.mu.Lock()
	if c.state == stateAbort || c.state == state {
		c.mu.Unlock()
		return
	}
	c.state = state // also where nothing is active: hosts may be about to start
	var waiting []*host
	for _, hosts := range c.pending {
		waiting = append(waiting, hosts...)
	}
	clear(c.pending)
	c.mu.Unlock()
	c.tellState()
	for _, h := range waiting {
		h.interrupt()
	}
	c.signal()
}

// tellState tells the workers of all pools in use the state of the run.
func (c *Coordinator) tellState() {
	c.mu.Lock()
	state, pools := c.state, make(map[string]bool)
	for _, s := range c.shards {
		if !s.settled {
			pools[s.pool] = true
		}
	}
	c.mu.Unlock()
	for pool := range pools {
		_ = c.conn.nc.Publish(controlSubject(pool, c.run), []byte(state)) // it is told again
	}
}

func (c *Coordinator) signal() { signal(c.kick) }
