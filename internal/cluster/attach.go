package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/ssh"
)

// errWrapped is why nobody but the run itself knows what a wrapped command's end means: only it has the
// word by which a refusal of the wrapper is recognised.
func errWrapped(end *fleet.End) error {
	return hint.Wrap(fmt.Errorf("the command or its wrapper ended with exit status %d, signal %q: which of them, only the shoal run that began it could tell", end.Status, end.Signal),
		"the output, and a look on the host, tell")
}

// Attach makes c the coordinator of a run that has lost its own: workers take its shards again, and
// Results yields what comes. Hosts that are in no shard stay as they are.
func (c *Coordinator) Attach(ctx context.Context, run string) (err error) {
	if !validName(run) {
		return fmt.Errorf("%.80q is not the name of a run", run)
	}
	c.stream, err = c.conn.js.Stream(ctx, runStream(run))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return hint.Wrap(fmt.Errorf("NATS has no log of the run %s", run), "it is removed when a run has ended and all is known: shoal show has it then")
	}
	if err != nil {
		return fmt.Errorf("the log of run %s: %w", run, err)
	}
	info, err := c.stream.Info(ctx, jetstream.WithSubjectFilter("log.>"))
	if err != nil {
		return fmt.Errorf("the log of run %s: %w", run, err)
	}
	c.caught = len(info.State.Subjects) == 0
	ask, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err = c.conn.nc.RequestWithContext(ask, askSubject(DefaultPool, run, coordinatorName), encode(question{Shard: -1}))
	switch {
	case err == nil:
		return hint.Wrap(fmt.Errorf("the run %s has a coordinator, which is alive", run), "wait for its end, or stop it")
	case !errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("asking for the coordinator of run %s: %w", run, err)
	}
	c.attached, c.last = true, make(map[int]int)
	return c.listen(ctx, run)
}

// adopt makes the shards up to this number, as the log names them. mu must be held.
func (c *Coordinator) adoptLocked(pool string, number int) {
	c.unopened.settled = true
	for len(c.shards) < number { // a message can name a million
		c.shards = append(c.shards, &c.unopened)
	}
	switch {
	case number == len(c.shards):
		c.newShardLocked(pool, nil)
	case c.shards[number] == &c.unopened:
		c.shards[number] = newShard(pool, number, nil)
	}
}

// adoptHostsLocked makes the hosts of a shard whose open was read.
func (c *Coordinator) adoptHostsLocked(s *shard) error {
	body := s.fold.Shard
	if body.Run != c.run || body.Pool != s.pool || body.Number != s.number {
		return damaged("shard %d of pool %s says that it is another", s.number, s.pool)
	}
	for i := range body.Hosts {
		h := &body.Hosts[i]
		var stdout, stderr head
		a := &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: h.target(h.Index)}, Stdout: &stdout, Stderr: &stderr}
		made := &host{c: c, attempt: a, pool: s.pool, aside: h.Aside}
		made.done = func(end fleet.End) {
			res := fleet.Result{Target: a.Target.Target, End: end}
			if e := a.Elsewhere; e != nil {
				told := *e
				told.Target = res.Target
				told.Stdout.Bytes, told.Stderr.Bytes = stdout.Bytes(), stderr.Bytes()
				told.Stdout.Size += stdout.size
				told.Stderr.Size += stderr.size
				if body.Options.Pull {
					told.Stdout.Bytes, told.Outcome, told.Reason, told.Err = nil, fleet.OutcomeUnknown, fleet.ReasonNoReceipt, errPulled
				}
				if h.Wrapped && told.Outcome.Ran() && told.Outcome != fleet.OutcomeOK {
					told.Err = errWrapped(&told.End)
					told.Outcome, told.Reason = fleet.OutcomeUnknown, fleet.ReasonNoReceipt
				}
				res = told
			}
			if made.aside {
				return
			}
			c.mu.Lock()
			c.results = append(c.results, attachedResult{s.number, res})
			c.mu.Unlock()
		}
		if err := a.Intend(); err != nil { // the log is the intent: what may have run is not cancelled
			return fmt.Errorf("adopting a shard: %w", err)
		}
		made.sent()
		if !h.Aside {
			c.last[h.Index] = max(c.last[h.Index], s.number)
		}
		c.active++
		s.hosts = append(s.hosts, made)
	}
	return nil
}

// A head keeps the first bytes of what is written.
type head struct {
	bytes.Buffer
	size int64
}

// Write implements io.Writer.
func (h *head) Write(p []byte) (int, error) {
	h.size += int64(len(p))
	_, _ = h.Buffer.Write(p[:min(len(p), maxAttached-h.Len())])
	return len(p), nil
}

// maxAttached is how much of each stream is kept of a run that was attached to.
const maxAttached = 16 << 20

var errPulled = hint.New("the shoal pull that was to store it is gone", "pull it again")

// Results yields the results of a run that c is attached to, as they come, until all its shards are
// done. Ending ctx abandons the commands.
func (c *Coordinator) Results(ctx context.Context) iter.Seq[fleet.Result] {
	return func(yield func(fleet.Result) bool) {
		defer context.AfterFunc(ctx, c.abort)()
		for tick := time.Tick(50 * time.Millisecond); ; <-tick {
			c.mu.Lock()
			results := c.readyLocked()
			over := c.givenUp || c.readLocked() && c.active == 0
			c.mu.Unlock()
			for _, res := range results {
				if !yield(res) {
					return
				}
			}
			if over && len(results) == 0 {
				return
			}
		}
	}
}

// readLocked reports whether all of the log was read, and nothing more can come.
func (c *Coordinator) readLocked() bool {
	return c.caught && !slices.ContainsFunc(c.shards, func(s *shard) bool { return !s.settled })
}

// An attachedResult is what a shard says of a host.
type attachedResult struct {
	shard int
	fleet.Result
}

// readyLocked returns the results that no other shard of the log contradicts: a host that did not run in a shard
// that was split is in a later one, and so is one that was pulled again. Those are known once the log was read.
func (c *Coordinator) readyLocked() (ready []fleet.Result) {
	var held []attachedResult
	for _, r := range c.results {
		switch {
		case !c.caught && !c.givenUp && (r.Outcome.DidNotRun() || r.Reason == fleet.ReasonNoReceipt):
			held = append(held, r)
		case r.shard >= c.last[r.Target.Index]:
			ready = append(ready, r.Result)
		}
	}
	c.results = held
	return ready
}

// Keep has Close keep the log, whatever is known.
func (c *Coordinator) Keep() { c.keep = true }

// Incomplete reports whether the log has shards that could not be read, so that results may be missing.
func (c *Coordinator) Incomplete() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.unread > 0
}

// Forget has Close remove the log although the truth of some hosts may still come.
func (c *Coordinator) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost, c.unread = 0, 0
}
