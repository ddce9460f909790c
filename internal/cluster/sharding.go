package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"shoal/fleet"
	"shoal/internal/hint"
)

// makeShards puts pending hosts into shards.
func (c *Coordinator) makeShards() {
	var filled <-chan time.Time // when hosts have waited long enough for others; nil: none wait
	for {
		select {
		case <-c.kick:
			select {
			case <-time.After(cmp.Or(c.linger, linger)):
			case <-c.ctx.Done():
				return
			}
		case <-filled:
		case <-c.ctx.Done():
			return
		}
		for {
			s, wait := c.nextShard(time.Now())
			if s == nil {
				if filled = nil; wait > 0 {
					filled = time.After(wait)
				}
				break
			}
			c.opens <- struct{}{}
			c.all.Go(func() {
				defer func() { <-c.opens }()
				c.open(s)
			})
		}
	}
}

// nextShard returns a shard of pending hosts; nil: there is none before others have come, or wait has passed. It is 0 if none
// wait.
func (c *Coordinator) nextShard(now time.Time) (_ *shard, wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, pool := range slices.Sorted(maps.Keys(c.pending)) {
		hosts := c.pending[pool]
		if len(hosts) == 0 {
			continue
		}
		n := c.shardSizeLocked(pool)
		if left := c.since[pool].Add(fillFor).Sub(now); left > 0 && len(hosts) < n && c.waitsLocked(pool) {
			if wait == 0 || left < wait {
				wait = left
			}
			continue
		}
		n = min(len(hosts), n)
		c.pending[pool], c.since[pool] = hosts[n:], now
		c.inShard[pool] += n
		s := c.newShardLocked(pool, hosts[:n:n])
		c.untaken = append(c.untaken, s)
		return s, 0
	}
	return nil, wait
}

// waitsLocked reports whether a shard of the pool waits for its first worker, which none has refused.
func (c *Coordinator) waitsLocked(pool string) bool {
	c.untaken = slices.DeleteFunc(c.untaken, func(s *shard) bool {
		return s.fold.Epoch > 0 || s.settled || s.closing != "" || s.fold.Err != nil || len(s.refused) > 0
	})
	return slices.ContainsFunc(c.untaken, func(s *shard) bool { return s.pool == pool })
}

func (c *Coordinator) shardSizeLocked(pool string) int {
	switch {
	case c.ShardSize > 0:
		return c.ShardSize
	case c.inShard[pool] < 10*maxHosts:
		return maxHosts / 2
	}
	return maxHosts
}

func (c *Coordinator) newShardLocked(pool string, hosts []*host) *shard {
	s := newShard(pool, len(c.shards), hosts)
	s.opening = hosts != nil
	c.shards = append(c.shards, s)
	return s
}

func newShard(pool string, number int, hosts []*host) *shard {
	return &shard{pool: pool, number: number, hosts: hosts, began: time.Now(), refused: make(map[string]string)}
}

// open signs a shard, opens its log and hints at it.
func (c *Coordinator) open(s *shard) {
	defer func() {
		c.mu.Lock()
		s.opening = false
		c.mu.Unlock()
	}()
	if c.stopped(s) {
		return
	}
	for _, h := range s.hosts { // before signing and storing, which may last longer than an abort
		h.sent()
	}
	origin, err := c.origin(c.ctx, s.pool)
	if err != nil {
		if c.ctx.Err() == nil {
			c.endAll(s, fleet.OutcomeNeverStarted, fleet.ReasonLogUnwritten, err)
		}
		return
	}
	now := time.Now()
	body := Shard{Format: ShardFormat, Run: c.run, Number: s.number, Pool: s.pool, Made: now.UTC(), Expires: now.Add(c.Valid).UTC(), Log: origin, Options: c.Options}
	for _, h := range s.hosts {
		asked := h.asked()
		if asked.Input, err = c.input(c.ctx, h); err != nil {
			break // of one host, such as a file that was cut, it is that of all
		}
		body.Hosts = append(body.Hosts, asked)
	}
	if err == nil {
		err = body.validate()
	}
	if errors.Is(err, errLargeInputs) && len(s.hosts) > 1 {
		c.halve(s)
		return
	}
	var signed []byte
	if err == nil {
		signed, err = json.Marshal(body)
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
	if c.stopped(s) {
		return
	}
	l := c.conn.log(coordinatorName, s.pool, c.run, s.number)
	if err := l.Append(c.ctx, &Record{Kind: KindOpen, Body: joined}); err != nil {
		switch {
		case c.ctx.Err() != nil:
		case errors.Is(err, errNotWritten):
			c.endAll(s, fleet.OutcomeNeverStarted, fleet.ReasonLogUnwritten, hint.Wrap(err, "the server's own log says more; its disk or a limit of its may be full"))
		default:
			c.endAll(s, fleet.OutcomeUnknown, fleet.ReasonLogDamaged, err)
		}
		return
	}
	c.hint(s)
}

// stopped reports whether the run was stopped, and ends the hosts of a shard that is therefore not opened.
func (c *Coordinator) stopped(s *shard) bool {
	c.mu.Lock()
	stopped := c.state != stateRun
	s.settled = stopped
	c.mu.Unlock()
	if !stopped {
		return false
	}
	for _, h := range s.hosts {
		h.attempt.Execution.NotStarted()
		h.interrupt()
	}
	return true
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
