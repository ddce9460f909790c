package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"shoal/fleet"
	"shoal/hosts"
	"shoal/internal/connect"
	"shoal/internal/engine"
	"shoal/internal/ssh"
)

// idleSession is how long the engine of a run waits for the next shard of it: it keeps the congestion
// windows and the loaded keys.
const idleSession = 2 * time.Second

// A sessionKey is what shards have in common that are of one session. All of a run have the same options.
type sessionKey struct {
	run     string
	options Options
}

// A session is a run's engine on a worker, for all of the run's shards there.
type session struct {
	worker  *Worker
	name    string
	options Options
	// feed passes targets to the engine: sent by run, closed by expire, unbuffered. Only a session that
	// is not closed is in Worker.sessions.
	feed  chan fleet.Target
	drain chan struct{} // closed when nothing of the run may start here any more
	abort context.CancelCauseFunc

	drained  sync.Once
	becomers becomers
	writers  sync.WaitGroup
	feeding  sync.Mutex // of pass

	mu       sync.Mutex
	leaving  bool // the worker stops, the run does not
	shards   int  // that have not ended
	next     int  // index of the next target
	targets  map[int]sessionTarget
	idle     *time.Timer
	finished bool
}

type sessionTarget struct {
	shard *workerShard
	host  int // position in the shard
}

// left returns how a target ends whose result the engine has not given.
func (t sessionTarget) left() fleet.Outcome {
	t.shard.mu.Lock()
	defer t.shard.mu.Unlock()
	if t.shard.sent[t.host] {
		return fleet.OutcomeUnknown
	}
	return fleet.OutcomeNeverStarted
}

// session returns that of a shard's run. Its shards counts one more.
func (w *Worker) session(ctx context.Context, shard *Shard) *session {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := sessionKey{shard.Run, shard.Options}
	if s := w.sessions[key]; s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.finished {
			s.shards++
			return s
		}
	}
	ctx, abort := context.WithCancelCause(ctx)
	s := &session{
		worker: w, name: shard.Run, options: shard.Options, shards: 1, targets: make(map[int]sessionTarget),
		feed: make(chan fleet.Target), drain: make(chan struct{}), abort: abort,
	}
	w.sessions[key] = s
	if w.leaving {
		s.leave()
	}
	// That the run is stopped comes late or not at all if this fails: no shard of it is taken any more.
	from := controlSubject(w.Pool, shard.Run)
	control, _ := w.conn.nc.Subscribe(from, func(m *nats.Msg) {
		if m.Subject == from { // otherwise a consumer of something else has it delivered here: anybody may make one
			s.control(m.Data)
		}
	})
	w.engines.Go(func() { s.work(ctx, control) })
	return s
}

func (s *session) control(message []byte) {
	switch string(message) {
	case stateRun:
	case stateDrain:
		s.stop()
	case stateAbort:
		s.stop()
		s.abort(fmt.Errorf("run %s was aborted", s.name))
	default:
		if g, ok := decode[givenUp](message); ok {
			s.giveUp(g)
		}
	}
}

// giveUp has hosts of a shard not started, or left if they were.
func (s *session) giveUp(g givenUp) {
	s.mu.Lock()
	shards := make(map[*workerShard]bool) // two if it was lost and taken again
	for _, t := range s.targets {
		if t.shard.shard.Number == g.Shard {
			shards[t.shard] = true
		}
	}
	s.mu.Unlock()
	for shard := range shards {
		shard.giveUpHosts(g.Hosts)
	}
}

// watch cancels the attempts at hosts that were given up, before they begin or later.
func (s *session) watch(v *engine.View, step engine.Step) {
	if t := s.find(v.Of().Index, false); t.shard != nil {
		t.shard.attempted(t.host, v, step)
	}
}

func (s *session) stop() { s.drained.Do(func() { close(s.drain) }) }

// leave drains the session because the worker stops.
func (s *session) leave() {
	s.mu.Lock()
	s.leaving = true
	if s.idle != nil && s.shards == 0 {
		s.idle.Reset(0)
	}
	s.mu.Unlock()
	s.stop()
}

func (s *session) isLeaving() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leaving
}

// run begins the hosts of a shard that was taken, which Worker.busy has.
func (s *session) run(ctx context.Context, shard *workerShard, remaining []int, h hintOf) {
	// Hosts that are left do not wait for the commands that run here: another worker takes the shard,
	// and what comes of them is told late.
	shard.leaves = func() {
		q := question{GaveUp: shard.epoch, Leaves: true}
		s.writers.Go(func() {
			telling, cancel := outliving(ctx, writeAfterAbort)
			defer cancel()
			s.worker.giveUp(telling, h, q)
		})
	}
	hosts := shard.log.Shard.Hosts // the log is the writer's from here on
	s.writers.Go(func() {
		writing, cancel := outliving(ctx, writeAfterAbort)
		defer cancel()
		if err := shard.write(writing); err != nil {
			s.worker.Notice(fmt.Sprintf("shard %d of run %s: %v", h.Shard, h.Run, err))
			// The worker lives and has the shard, so that nobody else would look after it.
			s.worker.giveUp(writing, h, question{GaveUp: shard.epoch})
		}
		shard.release()
		s.worker.mu.Lock()
		delete(s.worker.shards, h)
		s.worker.mu.Unlock()
		s.ended()
	})
	shard.signal() // there may be no hosts
	s.pass(shard, hosts, remaining)
}

// pass gives the engine the hosts of a shard, those of another afterwards: so their intents come together.
func (s *session) pass(shard *workerShard, hosts []Host, remaining []int) {
	s.feeding.Lock()
	defer s.feeding.Unlock()
	for _, i := range remaining {
		s.mu.Lock()
		index := s.next
		s.next++
		s.targets[index] = sessionTarget{shard, i}
		s.mu.Unlock()
		s.feed <- hosts[i].target(index)
	}
}

// writeAfterAbort is how long results may still be written once the commands were abandoned.
const writeAfterAbort = 5 * time.Second

// outliving returns a context that ends that long after ctx.
func outliving(ctx context.Context, long time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(long, cancel) })
	return longer, func() { stop(); cancel() }
}

// ended counts a shard that has ended, and lets the session expire when it is the last.
func (s *session) ended() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shards--
	if s.shards > 0 {
		return
	}
	if s.idle != nil {
		s.idle.Stop()
	}
	wait := idleSession
	if s.leaving {
		wait = 0
	}
	s.idle = time.AfterFunc(wait, s.expire)
}

func (s *session) expire() {
	s.worker.mu.Lock()
	defer s.worker.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shards > 0 || s.finished {
		return
	}
	s.finished = true
	close(s.feed)
}

// find returns the target of an index, and forgets it if it has ended.
func (s *session) find(index int, ended bool) sessionTarget {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.targets[index]
	if ended {
		delete(s.targets, index)
	}
	return t
}

// work runs the engine until the session expires.
func (s *session) work(ctx context.Context, control *nats.Subscription) {
	defer func() {
		if control != nil {
			_ = control.Unsubscribe()
		}
		s.writers.Wait()
		s.worker.mu.Lock()
		if key := (sessionKey{s.name, s.options}); s.worker.sessions[key] == s {
			delete(s.worker.sessions, key)
		}
		s.worker.mu.Unlock()
		s.abort(nil)
	}()
	var broken error
	for res, err := range connect.RunCommands(ctx, s.connectOptions(), s.fed) {
		if err != nil {
			broken = err
			break
		}
		s.take(res)
	}
	if broken != nil {
		s.worker.Notice(fmt.Sprintf("run %s: %v", s.name, broken))
	}
	// Only an engine that could not begin, or panicked, leaves targets.
	for {
		for _, index := range s.leftTargets() {
			s.take(fleet.Result{Target: fleet.Target{Index: index}, End: fleet.End{Outcome: s.find(index, false).left(), Reason: fleet.ReasonInternal, Err: broken}})
		}
		t, ok := <-s.feed
		if !ok {
			return
		}
		_ = t // it is in targets
	}
}

func (s *session) leftTargets() (list []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for index := range s.targets {
		list = append(list, index)
	}
	return list
}

// fed yields the targets as they come.
func (s *session) fed(yield func(fleet.Target) bool) {
	for t := range s.feed {
		if !yield(t) {
			return
		}
	}
}

func (s *session) take(res fleet.Result) {
	t := s.find(res.Target.Index, true)
	if t.shard == nil {
		return
	}
	t.shard.result(t.host, res, s.isLeaving())
	s.worker.ended(1)
}

func (s *session) connectOptions() connect.Options {
	o := s.worker.Connect
	o.Timeouts = s.options.Timeouts
	o.Entry = func(t fleet.Target) hosts.Entry {
		from := s.find(t.Index, false)
		h := &from.shard.shard.Hosts[from.host]
		e := hosts.Entry{Address: h.Address}
		if h.HostKeyAlias != "" {
			e.SSHOptions = []string{"HostKeyAlias=" + h.HostKeyAlias}
		}
		return e
	}
	o.Ahead = func(d ssh.Dialer) ssh.Dialer { return askedDialer{d, s} }
	e := &o.Engine
	e.Fanout, e.Attempts, e.Idempotent, e.MaxOutput = s.worker.Room, s.options.Attempts, s.options.Idempotent, s.options.MaxOutput
	if s.options.Stream > 0 {
		e.MaxOutput = 1 // what is beyond Stream is counted; 0 would be the default
	}
	e.Drain, e.Watch, e.Cancellable = s.drain, s.watch, true
	e.Notice = func(text string) { s.worker.Notice(text) }
	e.Intend = func(t fleet.Target, _ int, at netip.AddrPort) error {
		from := s.find(t.Index, false)
		return from.shard.intend(from.host, from.shard.shard.Hosts[from.host].dialledAt(t, at))
	}
	return o
}
