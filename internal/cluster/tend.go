package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"shoal/fleet"
)

// onBeat hears a worker.
func (c *Coordinator) onBeat(m *nats.Msg) {
	b, ok := decode[Beat](m.Data)
	if !ok || m.Subject != beatSubject(b.Pool, b.Worker) {
		return
	}
	w := workerAt{b.Pool, workerID{b.Worker, b.Process}}
	if !validName(w.pool) || !validName(w.name) || w.process != "" && !validName(w.process) {
		return
	}
	now := time.Now()
	c.mu.Lock()
	before, known := c.workers[w]
	if !known && len(c.workers) >= maxWorkers {
		c.mu.Unlock()
		return
	}
	c.workers[w] = seen{b.Busy, b.Room, b.Gone, b.Shards == 0, now}
	name := nameAt{w.pool, w.name}
	n := c.names[name]
	if !known {
		n = named{latest: w, before: n.latest, since: now, told: n.told}
	}
	// The last word of a process that has ended may come behind the first of the next.
	both := known && n.latest != w && !b.Gone && before.at.After(n.since) && !n.told
	n.told = n.told || both
	c.names[name] = n
	c.mu.Unlock()
	if both {
		c.Notice(fmt.Sprintf("two workers of the pool %s have the name %s: give one of them another with --name", w.pool, w.name))
	}
}

// maxWorkers bounds the workers that a coordinator knows: everybody on the bus may say that it is one.
const maxWorkers = 10_000

// forgetWorkersLocked forgets workers that were silent for so long that nothing depends on when they were heard.
func (c *Coordinator) forgetWorkersLocked(now time.Time) {
	maps.DeleteFunc(c.workers, func(_ workerAt, w seen) bool { return now.Sub(w.at) > max(c.Lease, c.PoolTimeout) })
	maps.DeleteFunc(c.names, func(_ nameAt, n named) bool {
		_, latest := c.workers[n.latest]
		_, before := c.workers[n.before]
		return !latest && !before
	})
}

// aliveLocked reports whether a worker was heard within the lease, or could not be.
func (c *Coordinator) aliveLocked(pool string, worker workerID, now time.Time) bool {
	w := c.workers[workerAt{pool, worker}]
	return !w.gone && now.Sub(later(w.at, c.deaf)) < c.Lease
}

// replacedLocked reports whether another process has come in the place of a worker's, which has been silent since: a
// service manager starts it anew, and nobody has to wait for the end of a lease.
func (c *Coordinator) replacedLocked(w workerAt, now time.Time) bool {
	n, ok := c.names[nameAt{w.pool, w.name}]
	return ok && n.latest != w && n.since.After(c.workers[w].at) && now.Sub(n.since) > c.Lease/2
}

// twinLocked reports whether another process that lives has the worker's name.
func (c *Coordinator) twinLocked(w workerAt, now time.Time) bool {
	n := c.names[nameAt{w.pool, w.name}]
	other := n.latest
	if other == w {
		other = n.before
	}
	return n.told && c.aliveLocked(other.pool, other.workerID, now)
}

// worksLocked reports whether the worker of an epoch lives and may have something of the shard still. One that says
// a lease after it was taken that it has no shard at all has given it up when nobody was there to hear it.
func (c *Coordinator) worksLocked(s *shard, epoch int, now time.Time) bool {
	at := workerAt{s.pool, s.fold.workers[epoch-1]}
	w := c.workers[at]
	idle := w.idle && w.at.Sub(s.taken) > c.Lease
	return c.aliveLocked(at.pool, at.workerID, now) && !idle && !c.replacedLocked(at, now)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// owner returns who has taken the shard last; the zero value: nobody.
func (s *shard) owner() workerID {
	if s.fold.Worker == "" {
		return workerID{}
	}
	return s.fold.workers[s.fold.Epoch-1]
}

// freeLocked reports whether the worker may take the shard now.
func (c *Coordinator) freeLocked(s *shard, worker workerID, now time.Time) bool {
	if c.state != stateRun || s.settled || s.closing != "" || s.fold.Done || s.fold.Err != nil || s.fold.Shard == nil {
		return false
	}
	return s.owner() == worker || !c.ownedLocked(s, now) && !c.givesUpLocked(s)
}

// ownedLocked reports whether a worker that lives works on the shard.
func (c *Coordinator) ownedLocked(s *shard, now time.Time) bool {
	if s.fold.Worker == "" {
		return false
	}
	return s.gaveUpOf(s.fold.Epoch) == (gaveUp{}) && c.worksLocked(s, s.fold.Epoch, now)
}

// giveUp hears that a worker does not go on with the shard. Its take may be ahead of what was read of the log.
func (s *shard) giveUp(worker string, q question) {
	ahead := q.GaveUp == s.fold.Epoch+1
	if q.GaveUp < 1 || !ahead && (q.GaveUp > s.fold.Epoch || s.fold.workers[q.GaveUp-1].name != worker) || len(s.gaveUp) >= maxWorkers {
		return
	}
	if s.gaveUp == nil {
		s.gaveUp = make(map[tenure]gaveUp)
	}
	g := s.gaveUp[tenure{q.GaveUp, worker}]
	s.gaveUp[tenure{q.GaveUp, worker}] = gaveUp{g.leaves || q.Leaves, g.told || !q.Leaves}
}

// gaveUpOf returns what the worker of an epoch has said.
func (s *shard) gaveUpOf(epoch int) gaveUp {
	return s.gaveUp[tenure{epoch, s.fold.workers[epoch-1].name}]
}

// lostEpochs returns how many epochs ended otherwise than by a worker that stopped.
func (s *shard) lostEpochs() (n int) {
	for epoch := 1; epoch <= s.fold.Epoch; epoch++ {
		if !s.gaveUpOf(epoch).leaves {
			n++
		}
	}
	return n
}

// refuse hears why a worker will not run the shard. If the shard is its own, nobody goes on with it.
func (s *shard) refuse(worker string, q question) {
	if len(s.refused) < maxWorkers {
		s.refused[worker] = q.Refused[:min(len(q.Refused), maxRefusal)]
	}
	if s.owner() == (workerID{worker, q.Process}) && q.Seq >= s.fold.Seq {
		s.giveUp(worker, question{GaveUp: s.fold.Epoch})
	}
}

// maxRefusal is how many bytes are kept of why a worker will not run a shard.
const maxRefusal = 300

// onQuestion tells a worker whether to take a shard.
func (c *Coordinator) onQuestion(m *nats.Msg) {
	q, ok := decode[question](m.Data)
	parts := strings.Split(m.Subject, ".")
	if !ok || len(parts) != 4 || parts[3] != coordinatorName && !validName(parts[3]) {
		return
	}
	worker, now := parts[3], time.Now()
	c.mu.Lock()
	var a answer
	if q.Shard >= 0 && q.Shard < len(c.shards) && c.shards[q.Shard].pool == parts[1] {
		s := c.shards[q.Shard]
		switch {
		case q.GaveUp > 0:
			s.giveUp(worker, q)
		case q.Refused != "":
			s.refuse(worker, q)
		default:
			a.Go = c.mayTakeLocked(s, workerID{worker, q.Process}, q, now)
		}
		a.Twin = c.twinLocked(workerAt{s.pool, workerID{worker, q.Process}}, now)
	}
	c.mu.Unlock()
	reply(m, a)
}

// mayTakeLocked reports whether a worker that asks for a shard may take it.
func (c *Coordinator) mayTakeLocked(s *shard, worker workerID, q question, now time.Time) bool {
	switch {
	case s.fold.Seq > q.Seq || s.fold.Seq == q.Seq && s.fold.Digest != q.Digest:
		return false // what the worker has read is not what was seen here
	case q.Seq > s.fold.Seq && q.Epoch > 0:
		return false // the follower is behind, as when the reader of the output is slow: who has the shard is not known here
	case s.owner() == worker && c.givesUpLocked(s): // who works on it does not ask
		s.giveUp(worker.name, question{GaveUp: s.fold.Epoch})
		return false
	case s.fold.Shard == nil: // the follower is behind; open is what the worker has read
		return c.state == stateRun && !s.settled && s.closing == "" && !c.givesUpLocked(s)
	}
	return c.freeLocked(s, worker, now)
}

// onFree gives a worker with room a shard that waits. One that the worker itself has comes last: as a rule it is at work
// on it, but it may not know that its take was stored.
func (c *Coordinator) onFree(m *nats.Msg) {
	parts := strings.Split(m.Subject, ".")
	if len(parts) != 3 || !validName(parts[2]) {
		return
	}
	asks, _ := decode[freeWorker](m.Data)
	pool, worker := parts[1], workerID{parts[2], asks.Process}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	var found *shard
	for _, s := range c.shards {
		if s.pool == pool && s.refused[worker.name] == "" && now.Sub(s.hinted) > beatEvery/2 && c.freeLocked(s, worker, now) {
			if s.owner() != worker {
				found = s
				break
			}
			found = cmp.Or(found, s)
		}
	}
	if found != nil {
		found.hinted = now
		reply(m, hintOf{c.run, found.number})
	}
}

// watch looks after shards that nobody runs.
func (c *Coordinator) watch() {
	connected := time.Now()
	for tick := time.Tick(min(time.Second, c.Lease/4)); ; {
		select {
		case <-tick:
		case <-c.given:
			c.tellGivenUp()
			continue
		case <-c.ctx.Done():
			return
		}
		if !c.conn.nc.IsConnected() {
			c.mu.Lock()
			c.deaf = time.Now()
			c.mu.Unlock()
			if time.Since(connected) > c.conn.patience {
				c.aborts.Do(func() {
					c.Notice(fmt.Sprintf("NATS has been away for %v: the run is given up; workers go on with what they have begun, and shoal attach gets it", c.conn.patience))
					c.abort()
				})
			}
			continue
		}
		connected = time.Now()
		c.mu.Lock()
		c.forgetWorkersLocked(connected)
		c.mu.Unlock()
		c.tellState()
		c.tellGivenUp()
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
	case err != nil:
		return
	case info.State.LastSeq >= seen:
		c.behind = time.Time{}
		return
	case c.conn.nc.ConnectedClusterName() != "" && c.behind.IsZero(): // a leader that is new may not have applied all yet
		c.behind = time.Now()
		return
	case !c.behind.IsZero() && time.Since(c.behind) < behindFor:
		return
	default:
		err = damaged("the log of the run ends with record %d, and had record %d", info.State.LastSeq, seen)
	}
	c.mu.Lock()
	var ruined []*shard
	for _, s := range c.shards {
		if !s.settled && !s.opening {
			s.fold.Err = err
			ruined = append(ruined, s)
		}
	}
	caught := c.caught
	if c.caught = true; c.attached && !caught { // nothing more can come
		c.unread++
	}
	c.mu.Unlock()
	if len(ruined) > 0 || !caught {
		c.Notice(fmt.Sprintf("ALARM: %v", err))
	}
	for _, s := range ruined {
		c.settle(s)
	}
}

// toClose decides which shards are closed, and hints again at those that have lost their worker.
func (c *Coordinator) toClose(now time.Time) (list []*shard) {
	c.mu.Lock()
	var hints, checks []*shard
	for _, s := range c.shards {
		if s.settled || s.fold.Done || s.fold.Err != nil || s.fold.Shard == nil {
			continue
		}
		if now.Sub(later(s.began, s.checked)) > c.Lease && (s.fold.Worker != "" || c.roomLocked(s.pool, now)) {
			s.checked = now
			checks = append(checks, s)
		}
		switch {
		case c.ownedLocked(s, now):
			s.closing, s.split = "", false // a worker was quicker
		case c.state != stateRun:
			s.closing, s.why = "the run was stopped before a worker started it", fleet.ReasonInterrupted
		case s.lostEpochs() >= maxEpochs:
			s.closing, s.why, s.split = fmt.Sprintf("%d workers were lost while they had it", s.fold.Epoch), fleet.ReasonWorkerLost, true
		case c.givesUpLocked(s):
			s.closing, s.why, s.split = "another host of its shard was cancelled by hand", fleet.ReasonInterrupted, true
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
	for _, s := range checks {
		c.checkShard(s)
	}
	for _, s := range hints {
		c.hint(s)
	}
	return list
}

// roomLocked reports whether a worker of the pool could take a shard.
func (c *Coordinator) roomLocked(pool string, now time.Time) bool {
	for at, w := range c.workers {
		if at.pool == pool && w.busy < w.room && c.aliveLocked(pool, at.workerID, now) {
			return true
		}
	}
	return false
}

// checkShard looks whether the log of a shard still has what was read of it, and nothing before the place to which
// the run's log was read: after an older store was restored, the records of other shards may have made that as long as it
// was, and no worker takes the shard, or ends it where nobody reads any more. One look proves nothing: a server of a
// cluster may be behind.
func (c *Coordinator) checkShard(s *shard) {
	ctx, cancel := context.WithTimeout(c.ctx, requestTimeout)
	defer cancel()
	c.mu.Lock()
	known, seen := mark{s.fold.Seq, s.fold.Digest}, c.seen
	c.mu.Unlock()
	l, err := c.conn.openLog(ctx, coordinatorName, s.pool, c.run, s.number, known)
	switch {
	case err != nil && !errors.Is(err, errDamaged):
		return
	case err == nil && l.Seq > known.seq && l.Seq <= seen:
		err = damaged("record %d is where none was", l.Seq)
	}
	c.doubt(s, err)
}

// doubt hears whether a shard's log is damaged, nil: it is not. The second time, half a lease later, nothing of the shard
// is believed any more.
func (c *Coordinator) doubt(s *shard, err error) {
	now := time.Now()
	c.mu.Lock()
	switch {
	case err == nil:
		s.suspect = time.Time{}
	case s.suspect.IsZero():
		s.suspect = now
	case now.Sub(s.suspect) > c.Lease/2 && s.fold.Err == nil && !s.settled:
		s.fold.Err = err
		c.mu.Unlock()
		c.Notice(fmt.Sprintf("ALARM: shard %d: %v", s.number, err))
		c.settle(s)
		return
	}
	c.mu.Unlock()
}

// unwantedLocked returns why no worker will take the shard; "" means that one may.
func (c *Coordinator) unwantedLocked(s *shard, now time.Time) (string, fleet.Reason) {
	last, living, refusals := later(c.deaf, s.began), 0, 0
	for at, w := range c.workers {
		if at.pool != s.pool {
			continue
		}
		if !w.gone {
			last = later(last, w.at)
		}
		if c.aliveLocked(s.pool, at.workerID, now) {
			living++
			if s.refused[at.name] != "" {
				refusals++
			}
		}
	}
	switch {
	case living > 0 && refusals == living:
		for worker, why := range s.refused {
			return fmt.Sprintf("worker %s runs it not: %.300s", worker, why), fleet.ReasonWorkerRefused
		}
	case now.After(s.fold.Shard.Expires.Add(maxSkew)): // no worker takes it any more, and those that live do not say so
		return fmt.Sprintf("no worker of the pool %q has taken it until %s, when its signature expired", s.pool, s.fold.Shard.Expires.UTC().Format(time.RFC3339)), fleet.ReasonNoWorker
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
	l, err := c.conn.openLog(ctx, coordinatorName, s.pool, c.run, s.number, mark{})
	if err == nil && !l.Done {
		c.mu.Lock()
		moved := l.Seq != s.fold.Seq
		c.mu.Unlock()
		if !moved {
			err = l.Append(ctx, &Record{Kind: KindClose})
		}
	}
	if errors.Is(err, errDamaged) {
		c.doubt(s, err)
	}
}
