package cluster

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/ssh"
)

// onRecord adds a message of the run's stream. The server delivers them in order, one at a time.
func (c *Coordinator) onRecord(m jetstream.Msg) {
	meta, err := m.Metadata()
	if err != nil {
		return
	}
	kind, pool, _, number, writer, ok := parseSubject(m.Subject())
	c.mu.Lock()
	c.seen, c.caught = meta.Sequence.Stream, c.caught || meta.NumPending == 0
	if c.attached && ok && kind == "log" && writer == coordinatorName && number <= maxShards { // a worker opens no shard, of no pool
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
	var dialled map[int]netip.AddrPort
	var parts []Part
	var broken error
	if kind == "late" {
		results, err = s.fold.Late(writer, m.Data(), c.conn.pack)
		if err != nil {
			broken = fmt.Errorf("late results were not taken: %w", err)
		}
	} else if s.fold.Err == nil {
		epoch := s.fold.Epoch
		var w *Work
		if w, broken = s.fold.ApplyFrom(writer, meta.Sequence.Stream, m.Data(), c.conn.pack); w != nil {
			results, begun, dialled, parts = w.Results, w.Intents, w.Dialled, w.Parts
		}
		if s.fold.Epoch != epoch {
			s.taken = time.Now()
			if epoch == 0 {
				c.signal() // hosts may have waited for that
			}
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
			results, begun, parts = nil, nil, nil
		}
	}
	hosts := s.hosts
	if hosts == nil { // all have ended: see forgetLocked
		results, begun = nil, nil
	}
	c.mu.Unlock()
	if broken != nil {
		c.Notice(fmt.Sprintf("ALARM: shard %d: %v", number, broken))
	}
	for _, i := range begun {
		hosts[i].attempt.Timeline.Enter(fleet.PhaseRun)
		if at := dialled[i]; at.IsValid() {
			hosts[i].dialled(at)
		}
	}
	for _, part := range parts {
		hosts[part.Host].part(part)
	}
	for _, r := range results {
		hosts[r.Host].end(r.Result.End, r.Result)
	}
	c.settle(s)
}

// settle ends the hosts that will get no result, once that is certain.
func (c *Coordinator) settle(s *shard) {
	c.mu.Lock()
	if s.settled || !s.fold.Done && s.fold.Err == nil {
		c.mu.Unlock()
		return
	}
	s.settled = true
	if c.attached && s.fold.Err != nil && s.hosts == nil {
		c.unread++
	}
	var unknown, left, givenUp []*host
	for i, h := range s.hosts { // none if the shard itself cannot be read
		switch st := s.fold.hosts; {
		case s.fold.Err == nil && (st[i].result || st[i].late):
		case s.fold.Shard == nil || s.fold.Ended(i) == fleet.OutcomeUnknown:
			unknown = append(unknown, h)
		case !h.givenUp.IsZero():
			givenUp = append(givenUp, h)
		default:
			left = append(left, h)
		}
	}
	broken, why, closing := s.fold.Err, s.why, s.closing
	if closing == "" { // another coordinator has closed it
		why, closing = fleet.ReasonInterrupted, "the run was stopped, or went on elsewhere, before a worker started it"
	}
	again := s.split && c.state == stateRun && c.Signer != nil
	var next []*shard
	switch n := len(left); {
	case !again || n == 0:
	case len(givenUp) > 0: // that is why, or reason enough to try the others once more
		next, left = []*shard{c.newShardLocked(s.pool, left)}, nil
	case n > 1:
		next, left = []*shard{c.newShardLocked(s.pool, left[:n/2:n/2]), c.newShardLocked(s.pool, left[n/2:])}, nil
	}
	if len(unknown) == 0 {
		s.forgetLocked()
	}
	c.mu.Unlock()
	for _, other := range next {
		c.all.Go(func() { c.open(other) })
	}
	for _, h := range givenUp {
		h.end(fleet.End{Outcome: fleet.OutcomeNeverStarted, Reason: fleet.ReasonInterrupted, Phase: fleet.PhaseNone, Err: ssh.ErrByHand}, nil)
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
		c.all.Go(func() { c.awaitLate(s, unknown) })
	}
}

// forgetLocked lets go of the hosts of a shard that is settled: their attempts, commands and outputs would
// stay in memory until the end of the run.
func (s *shard) forgetLocked() {
	s.hosts, s.fold.Shard, s.fold.Signed, s.fold.Signature = nil, nil, nil, nil
}

// awaitLate gives hosts up that have no result in a shard which is done: once their workers have told
// all that they will, or have been silent for a lease, and a lease after that.
func (c *Coordinator) awaitLate(s *shard, hosts []*host) {
	for until, tick := time.Now().Add(c.Lease), time.Tick(max(c.Lease/8, time.Millisecond)); ; {
		select {
		case now := <-tick:
			c.mu.Lock()
			if s.mayTellLocked(c, now) {
				until = now.Add(c.Lease)
			}
			c.mu.Unlock()
			if now.Before(until) {
				continue
			}
		case <-c.ctx.Done():
		}
		break
	}
	c.mu.Lock()
	s.forgetLocked()
	c.mu.Unlock()
	for _, h := range hosts {
		h.lose(fleet.End{Outcome: fleet.OutcomeUnknown, Reason: fleet.ReasonWorkerLost, Phase: fleet.PhaseRun, Err: errWorkerLost})
	}
}

// mayTellLocked reports whether a host without a result has a worker that lives and has not told all.
func (s *shard) mayTellLocked(c *Coordinator, now time.Time) bool {
	for _, st := range s.fold.hosts {
		if e := st.intended; e > 0 && !st.result && !st.late && !s.fold.told[e-1] && c.worksLocked(s, e, now) && !s.gaveUpOf(e).told {
			return true
		}
	}
	return false
}

var errWorkerLost = hint.Wrap(errors.New("the worker that was to run it is gone, and has not told its end"), "it is not run again by itself; look on the host")
