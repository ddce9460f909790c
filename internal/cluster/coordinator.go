package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/hint"
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
	// ShardSize is the number of hosts in a shard, 200 at most. 0 means 100.
	ShardSize int
	// Notice is told what a person should know. nil disables it.
	Notice func(string)
}

// maxEpochs is how many workers may lose a shard before it is split, down to single hosts: one of
// them may be what ends the workers.
const maxEpochs = 3

// maxShards bounds what the log of a run may name.
const maxShards = 1 << 20

// linger is how long hosts wait for others of their shard.
const linger = 5 * time.Millisecond

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
	opens chan struct{} // a place for each shard that is being opened

	mu      sync.Mutex
	state   string
	pending map[string][]*host // by pool, not in a shard yet
	shards  []*shard           // by number
	active  int                // hosts without a result
	workers map[string]seen    // by pool.name
	deaf    time.Time          // until when nothing could be heard of workers
	lost    int                // hosts that were ended although their truth may still come: the log stays
	aborts  sync.Once          // calls abort
	keep    bool               // see Keep

	linger time.Duration // for tests; 0 means the constant

	attached bool           // see Attach
	until    uint64         // the last record of the stream then
	seen     uint64         // the last that was read
	results  []fleet.Result // not yielded yet
}

type seen struct {
	Beat
	at time.Time
}

// A shard is one that the coordinator has made.
type shard struct {
	fold    Fold
	pool    string
	number  int
	hosts   []*host
	began   time.Time
	hinted  time.Time
	refused map[string]string // why, by worker
	gaveUp  int               // the last epoch of which its worker said that it cannot go on
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
	if o.ShardSize == 0 {
		o.ShardSize = 100
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
		CoordinatorOptions: o, conn: conn, kick: make(chan struct{}, 1), opens: make(chan struct{}, 16), state: stateRun,
		pending: make(map[string][]*host), workers: make(map[string]seen),
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
		beatSubject("*", "*"): c.onBeat, askSubject("*", run): c.onQuestion, freeSubject("*"): c.onFree,
	} {
		sub, err := c.conn.nc.Subscribe(subject, handle)
		if err != nil {
			return fmt.Errorf("listening to the workers: %w", err)
		}
		c.subs = append(c.subs, sub)
	}
	consumer, err := c.conn.js.OrderedConsumer(ctx, runStream(run), jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy})
	if err == nil {
		c.follow, err = consumer.Consume(c.onRecord, jetstream.ConsumeErrHandler(func(jetstream.ConsumeContext, error) {}))
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
	remove := c.stream != nil && c.run != "" && !c.keep && c.lost == 0 && c.active == 0
	c.mu.Unlock()
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
	})
}

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

func (c *Coordinator) signal() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// makeShards puts pending hosts into shards.
func (c *Coordinator) makeShards() {
	for {
		select {
		case <-c.kick:
		case <-c.ctx.Done():
			return
		}
		select {
		case <-time.After(cmp.Or(c.linger, linger)):
		case <-c.ctx.Done():
			return
		}
		for s := c.nextShard(); s != nil; s = c.nextShard() {
			c.opens <- struct{}{}
			c.all.Go(func() {
				defer func() { <-c.opens }()
				c.open(s)
			})
		}
	}
}

// nextShard returns a shard of pending hosts, or nil.
func (c *Coordinator) nextShard() *shard {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, pool := range slices.Sorted(maps.Keys(c.pending)) {
		hosts := c.pending[pool]
		if len(hosts) == 0 {
			continue
		}
		n := min(len(hosts), c.ShardSize)
		c.pending[pool] = hosts[n:]
		return c.newShardLocked(pool, hosts[:n:n])
	}
	return nil
}

func (c *Coordinator) newShardLocked(pool string, hosts []*host) *shard {
	s := &shard{pool: pool, number: len(c.shards), hosts: hosts, began: time.Now(), refused: make(map[string]string)}
	c.shards = append(c.shards, s)
	return s
}

// open signs a shard, opens its log and hints at it.
func (c *Coordinator) open(s *shard) {
	now := time.Now()
	body := Shard{Format: 1, Run: c.run, Number: s.number, Pool: s.pool, Made: now.UTC(), Expires: now.Add(c.Valid).UTC(), Options: c.Options}
	for _, h := range s.hosts {
		body.Hosts = append(body.Hosts, h.asked())
	}
	signed, err := json.Marshal(body)
	if err == nil {
		err = body.validate()
	}
	var signature []byte
	if err == nil {
		signature, err = Sign(c.Signer, signed)
	}
	joined := joinSigned(signed, signature)
	if err == nil && len(joined) > maxRecord {
		if len(s.hosts) > 1 { // long commands
			c.halve(s)
			return
		}
		err = fmt.Errorf("its command is too long for a shard, which has %d bytes", maxRecord)
	}
	if err != nil {
		c.endAll(s, fleet.OutcomeNeverStarted, fleet.ReasonBadTarget, err)
		return
	}
	for _, h := range s.hosts {
		h.sent()
	}
	l := &Log{conn: c.conn, stream: c.stream, subject: logSubject(s.pool, c.run, s.number)}
	if err := l.Append(c.ctx, &Record{Kind: KindOpen, Body: joined}); err != nil {
		if c.ctx.Err() == nil {
			c.endAll(s, fleet.OutcomeUnknown, fleet.ReasonLogDamaged, err)
		}
		return
	}
	c.hint(s)
}

// halve replaces a shard that was not opened by two.
func (c *Coordinator) halve(s *shard) {
	c.mu.Lock()
	s.settled = true
	n := len(s.hosts) / 2
	halves := []*shard{c.newShardLocked(s.pool, s.hosts[:n:n]), c.newShardLocked(s.pool, s.hosts[n:])}
	s.hosts = nil
	c.mu.Unlock()
	for _, half := range halves {
		c.open(half)
	}
}

func (c *Coordinator) hint(s *shard) {
	c.mu.Lock()
	s.hinted = time.Now()
	c.mu.Unlock()
	// If it is lost, workers with room ask.
	ctx, cancel := context.WithTimeout(c.ctx, requestTimeout)
	defer cancel()
	_, _ = c.conn.js.PublishMsg(ctx, &nats.Msg{Subject: workSubject(s.pool, c.run, s.number)}, jetstream.WithExpectStream(workStream))
}

// endAll ends all hosts of a shard that have no result.
func (c *Coordinator) endAll(s *shard, o fleet.Outcome, r fleet.Reason, err error) {
	c.mu.Lock()
	s.settled = true
	hosts := slices.Clone(s.hosts)
	c.mu.Unlock()
	for _, h := range hosts {
		h.end(fleet.End{Outcome: o, Reason: r, Phase: fleet.PhaseExec, Err: err}, nil)
	}
}

// onRecord adds a message of the run's stream. The server delivers them in order, one at a time.
func (c *Coordinator) onRecord(m jetstream.Msg) {
	meta, err := m.Metadata()
	if err != nil {
		return
	}
	kind, pool, _, number, ok := parseSubject(m.Subject())
	c.mu.Lock()
	c.seen = meta.Sequence.Stream
	if c.attached && ok && number <= maxShards {
		c.adoptLocked(pool, number)
	}
	if !ok || number >= len(c.shards) || c.shards[number].pool != pool {
		c.mu.Unlock()
		c.Notice(fmt.Sprintf("ALARM: the log of the run has a record that nobody can have written for it: %.80q", m.Subject()))
		return
	}
	s := c.shards[number]
	var results []Result
	var begun []int
	var broken error
	if kind == "late" {
		results, err = s.fold.Late(m.Data(), c.conn.pack)
		if err != nil {
			broken = fmt.Errorf("late results were not taken: %w", err)
		}
	} else if s.fold.Err == nil {
		var w *Work
		if w, broken = s.fold.Apply(meta.Sequence.Stream, m.Data(), c.conn.pack); w != nil {
			results, begun = w.Results, w.Intents
		}
		switch {
		case broken != nil || s.fold.Shard == nil:
		case c.attached && s.hosts == nil:
			broken = c.adoptHostsLocked(s)
		case len(s.hosts) != len(s.fold.Shard.Hosts):
			broken = damaged("it was opened with %d hosts in place of %d", len(s.fold.Shard.Hosts), len(s.hosts))
		}
		if broken != nil {
			s.fold.Err = broken
			results, begun = nil, nil
		}
	}
	hosts := s.hosts
	c.mu.Unlock()
	if broken != nil {
		c.Notice(fmt.Sprintf("ALARM: shard %d: %v", number, broken))
	}
	for _, i := range begun {
		hosts[i].attempt.Timeline.Enter(fleet.PhaseRun)
	}
	for _, r := range results {
		hosts[r.Host].end(r.Result.End, r.Result)
	}
	c.settle(s)
}

// settle ends the hosts that will get no result, once that is certain. Commands of a worker that
// is gone have a lease's time for late results.
func (c *Coordinator) settle(s *shard) {
	c.mu.Lock()
	if s.settled || !s.fold.Done && s.fold.Err == nil {
		c.mu.Unlock()
		return
	}
	s.settled = true
	var unknown, left []*host
	for i, h := range s.hosts { // none if the shard itself cannot be read
		switch st := s.fold.hosts; {
		case s.fold.Err == nil && (st[i].result || st[i].late):
		case s.fold.Shard == nil || s.fold.Ended(i) == fleet.OutcomeUnknown:
			unknown = append(unknown, h)
		default:
			left = append(left, h)
		}
	}
	broken, why, closing := s.fold.Err, s.why, s.closing
	again := s.split && c.state == stateRun && c.Signer != nil
	var halves []*shard
	if n := len(left); again && n > 1 {
		halves = []*shard{c.newShardLocked(s.pool, left[:n/2:n/2]), c.newShardLocked(s.pool, left[n/2:])}
		left = nil
	}
	c.mu.Unlock()
	for _, half := range halves {
		c.all.Go(func() { c.open(half) })
	}
	for _, h := range left {
		h.end(fleet.End{Outcome: fleet.OutcomeNeverStarted, Reason: why, Phase: fleet.PhaseNone, Err: errors.New(closing)}, nil)
	}
	switch {
	case len(unknown) == 0:
	case broken != nil:
		for _, h := range unknown {
			h.lose(fleet.End{Outcome: fleet.OutcomeUnknown, Reason: fleet.ReasonLogDamaged, Phase: fleet.PhaseExec, Err: broken})
		}
	default:
		c.all.Go(func() {
			select {
			case <-time.After(c.Lease):
			case <-c.ctx.Done():
			}
			for _, h := range unknown {
				h.lose(fleet.End{Outcome: fleet.OutcomeUnknown, Reason: fleet.ReasonWorkerLost, Phase: fleet.PhaseRun, Err: errWorkerLost})
			}
		})
	}
}

var errWorkerLost = hint.Wrap(errors.New("the worker that was to run it is gone, and has not told its end"), "it is not run again by itself; look on the host")

// onBeat hears a worker.
func (c *Coordinator) onBeat(m *nats.Msg) {
	b, ok := decode[Beat](m.Data)
	if !ok || m.Subject != beatSubject(b.Pool, b.Worker) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.workers[b.Pool+"."+b.Worker] = seen{b, time.Now()}
}

// aliveLocked reports whether a worker was heard within the lease, or could not be.
func (c *Coordinator) aliveLocked(pool, worker string, now time.Time) bool {
	w := c.workers[pool+"."+worker]
	return !w.Gone && now.Sub(later(w.at, c.deaf)) < c.Lease
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// freeLocked reports whether the worker may take the shard now.
func (c *Coordinator) freeLocked(s *shard, worker string, now time.Time) bool {
	if c.state != stateRun || s.settled || s.closing != "" || s.fold.Done || s.fold.Err != nil || s.fold.Shard == nil {
		return false
	}
	return s.fold.Worker == worker || !c.ownedLocked(s, now)
}

// ownedLocked reports whether a worker that lives works on the shard.
func (c *Coordinator) ownedLocked(s *shard, now time.Time) bool {
	return s.fold.Worker != "" && s.gaveUp < s.fold.Epoch && c.aliveLocked(s.pool, s.fold.Worker, now)
}

// onQuestion tells a worker whether to take a shard.
func (c *Coordinator) onQuestion(m *nats.Msg) {
	q, ok := decode[question](m.Data)
	parts := strings.Split(m.Subject, ".")
	if !ok || len(parts) != 3 {
		return
	}
	c.mu.Lock()
	may := false
	if q.Shard >= 0 && q.Shard < len(c.shards) && c.shards[q.Shard].pool == parts[1] {
		s := c.shards[q.Shard]
		switch {
		case q.GaveUp > 0:
			s.gaveUp = max(s.gaveUp, q.GaveUp)
		case q.Refused != "":
			s.refused[q.Worker] = q.Refused
		case s.fold.Seq > q.Seq || s.fold.Seq == q.Seq && s.fold.Digest != q.Digest:
			// What the worker has read is not what was seen here.
		case s.fold.Shard == nil: // the follower is behind; open is what the worker has read
			may = c.state == stateRun && !s.settled && s.closing == ""
		default:
			may = c.freeLocked(s, q.Worker, time.Now())
		}
	}
	c.mu.Unlock()
	reply(m, answer{may})
}

// onFree gives a worker with room a shard that waits.
func (c *Coordinator) onFree(m *nats.Msg) {
	q, ok := decode[question](m.Data)
	pool := strings.TrimPrefix(m.Subject, freeSubject(""))
	if !ok {
		return
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.shards {
		if s.pool == pool && s.refused[q.Worker] == "" && now.Sub(s.hinted) > beatEvery/2 && c.freeLocked(s, q.Worker, now) {
			s.hinted = now
			reply(m, hintOf{c.run, s.number})
			return
		}
	}
}

// watch looks after shards that nobody runs.
func (c *Coordinator) watch() {
	for tick := time.Tick(min(time.Second, c.Lease/4)); ; {
		select {
		case <-tick:
		case <-c.ctx.Done():
			return
		}
		if !c.conn.nc.IsConnected() {
			c.mu.Lock()
			c.deaf = time.Now()
			c.mu.Unlock()
			continue
		}
		c.tellState()
		c.checkStream()
		for _, s := range c.toClose(time.Now()) {
			c.closeShard(s)
		}
	}
}

// checkStream stops believing all shards if the log of the run is gone, or ends before what was read
// of it: a server that was restored from an older store would let hosts run again.
func (c *Coordinator) checkStream() {
	ctx, cancel := context.WithTimeout(c.ctx, requestTimeout)
	defer cancel()
	c.mu.Lock()
	seen := c.seen
	c.mu.Unlock()
	info, err := c.stream.Info(ctx)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		err = errNoStream
	case err != nil || info.State.LastSeq >= seen:
		return
	default:
		err = damaged("the log of the run ends with record %d, and had record %d", info.State.LastSeq, seen)
	}
	c.mu.Lock()
	var ruined []*shard
	for _, s := range c.shards {
		if !s.settled {
			s.fold.Err = err
			ruined = append(ruined, s)
		}
	}
	c.mu.Unlock()
	for _, s := range ruined {
		c.settle(s)
	}
}

// toClose decides which shards are closed, and hints again at those that have lost their worker.
func (c *Coordinator) toClose(now time.Time) (list []*shard) {
	c.mu.Lock()
	var hints []*shard
	for _, s := range c.shards {
		if s.settled || s.fold.Done || s.fold.Err != nil || s.fold.Shard == nil {
			continue
		}
		switch {
		case c.ownedLocked(s, now):
			s.closing = "" // a worker was quicker
		case c.state != stateRun:
			s.closing, s.why = "the run was stopped before a worker started it", fleet.ReasonInterrupted
		case s.fold.Epoch >= maxEpochs:
			s.closing, s.why, s.split = fmt.Sprintf("%d workers were lost while they had it", s.fold.Epoch), fleet.ReasonWorkerLost, true
		default:
			s.closing, s.why = c.unwantedLocked(s, now)
			if s.closing == "" && s.fold.Worker != "" && now.Sub(s.hinted) > c.Lease {
				hints = append(hints, s)
			}
		}
		if s.closing != "" {
			list = append(list, s)
		}
	}
	c.mu.Unlock()
	for _, s := range hints {
		c.hint(s)
	}
	return list
}

// unwantedLocked returns why no worker will take the shard; "" means that one may.
func (c *Coordinator) unwantedLocked(s *shard, now time.Time) (string, fleet.Reason) {
	last, living, refusals := later(c.deaf, s.began), 0, 0
	for _, w := range c.workers {
		if w.Pool != s.pool {
			continue
		}
		if !w.Gone {
			last = later(last, w.at)
		}
		if c.aliveLocked(w.Pool, w.Worker, now) {
			living++
			if s.refused[w.Worker] != "" {
				refusals++
			}
		}
	}
	switch {
	case living > 0 && refusals == living:
		for worker, why := range s.refused {
			return fmt.Sprintf("worker %s runs it not: %.300s", worker, why), fleet.ReasonWorkerRefused
		}
	case living == 0 && now.Sub(last) > c.PoolTimeout:
		return fmt.Sprintf("no worker of the pool %q was there within %v", s.pool, c.PoolTimeout), fleet.ReasonNoWorker
	}
	return "", ""
}

// closeShard appends close, which ends what workers may do with the shard. If one was quicker, or
// NATS does not answer, that is seen at the next look.
func (c *Coordinator) closeShard(s *shard) {
	ctx, cancel := context.WithTimeout(c.ctx, requestTimeout)
	defer cancel()
	l, err := c.conn.openLog(ctx, s.pool, c.run, s.number)
	if err == nil && !l.Done {
		c.mu.Lock()
		moved := l.Seq != s.fold.Seq
		c.mu.Unlock()
		if !moved {
			err = l.Append(ctx, &Record{Kind: KindClose})
		}
	}
	if errors.Is(err, errDamaged) || errors.Is(err, jetstream.ErrStreamNotFound) {
		c.mu.Lock()
		if s.fold.Err == nil {
			s.fold.Err = err
		}
		c.mu.Unlock()
		c.settle(s)
	}
}
