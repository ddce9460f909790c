package run

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/journal"
	"shoal/internal/remote"
	"shoal/internal/ssh"
)

// CollectOptions are how to fetch what came of detached commands.
type CollectOptions struct {
	// MaxOutput limits the bytes kept of each stream of each target; negative means
	// no limit.
	MaxOutput int64
	// Files means that the caller writes all output into files: the journal keeps
	// [journal.MaxOutput] of each stream.
	Files bool
	// Again fetches all that is still on the hosts, also what was fetched before.
	Again bool
	// Keep leaves markers and output on the hosts.
	Keep bool
	// Wait asks again, 1 s to 30 s apart, until every command has ended that can. It
	// gives up on a host that 3 rounds tell nothing of, or that cannot be reached for
	// 10 min.
	Wait bool
	// Stop, when closed, ends the waiting. nil means never.
	Stop <-chan struct{}
	// Waiting is called before each pause with what is waited for. nil disables it.
	Waiting func(pending []Pending, pause time.Duration)
}

// A Pending is a target whose result could not be fetched yet.
type Pending struct {
	// Result is as it was recorded before, without output.
	Result fleet.Result
	// Err is why the last question failed; if it is nil, State is the answer.
	Err   error
	State remote.State
}

// Selects selects what may bring something new: targets whose detached command may
// still be running or has ended since, and those of whose output the hosts may have
// more than the journal. Of the latter, those are added to cut, by index, and not
// selected, of which no more would be kept now. cut may be nil.
func (o *CollectOptions) Selects(cut map[int]fleet.Host) journal.Selector {
	return func(e *journal.Entry) bool {
		switch {
		case Unresolved(e):
			return true
		case !final(e):
			return false
		case o.Again, e.Flags.Has(fleet.FlagOutputIncomplete):
			return true
		case !e.Flags.Has(fleet.FlagOutputTruncated):
			return false
		case o.Files, o.MaxOutput < 0, max(e.Stdout.Size, e.Stderr.Size) <= o.MaxOutput:
			return true
		}
		if cut != nil {
			cut[e.Target.Index] = e.Target.Host
		}
		return false
	}
}

// final reports whether the command's end is recorded.
func final(e *journal.Entry) bool { return e.Progress == journal.Done && e.Outcome.Ran() }

// A Collection fetches results in rounds: each round requests the next chunk of the
// output of every target that is not complete.
type Collection struct {
	*Inquiry
	opts    CollectOptions
	yield   func(fleet.Result, error) bool
	over    bool // yield has returned false
	pending []*fetched
	done    []*fetched
	gone    []fleet.Host
	shorter []fleet.Host

	held, most int64 // bytes of output in memory, and their limit; negative: none
}

// A fetched is what has been fetched from one target.
type fetched struct {
	query   *query
	result  fleet.Result
	next    remote.Offsets
	slow    int // the chunk is collectChunk shifted right by this
	state   remote.State
	older   int   // how many of the newest sessions did not start the command
	whole   bool  // result has been received
	gone    bool  // it was received before, and its marker was removed
	stored  bool  // once whole: its output is stored, and no longer in result
	writing bool  // processes of it may write more
	left    int   // how often the command had ended but processes of it were still running
	err     error // why the last question failed

	rounds int       // number of consecutive rounds that failed or found no start
	since  time.Time // time of the first of them
}

const (
	// collectChunk is the number of bytes of each stream requested at once. An answer that
	// does not come in time is requested in smaller parts, down to minChunk.
	collectChunk = 1 << 20
	minChunk     = collectChunk >> 6
	// maxLeft is how often to ask again when processes are left after the
	// command's end.
	maxLeft = 3
	// The pause between rounds of Wait: the first, and the longest.
	firstWait = time.Second
	maxWait   = 30 * time.Second
	// waitRounds is how many rounds a failure may last that is not going to
	// pass by itself. waitUnreachable is the time limit for hosts that are
	// unreachable, for example during a reboot.
	waitRounds      = 3
	waitUnreachable = 10 * time.Minute
)

// Collect prepares to fetch what came of the commands that have ended.
func (q *Inquiry) Collect(o CollectOptions) *Collection {
	c := &Collection{Inquiry: q, opts: o, most: cmp.Or(q.engine.MaxHeld, engine.DefaultMaxHeld())}
	for i := range q.asked {
		a := &q.asked[i]
		p := &fetched{query: a, result: a.entry.Result}
		p.result.Target, p.result.Stdout, p.result.Stderr = a.entry.Target, fleet.Output{}, fleet.Output{}
		c.pending = append(c.pending, p)
	}
	return c
}

// Results fetches, with Wait repeatedly until nothing more can come, and yields each
// result once it is recorded. At the end everything is synced to disk. It may be
// called once.
func (c *Collection) Results(ctx context.Context) iter.Seq2[fleet.Result, error] {
	return func(yield func(fleet.Result, error) bool) {
		c.yield = yield
		err := c.all(ctx)
		if !c.over {
			if err == nil {
				err = c.recorded.Flush()
			}
			if err != nil {
				yield(fleet.Result{}, err)
			}
		}
	}
}

func (c *Collection) all(ctx context.Context) error {
	for pause := firstWait; ; pause = min(2*pause, maxWait) {
		if err := c.fetch(ctx); err != nil || c.over {
			return err
		}
		waiting := c.waiting(time.Now())
		if !c.opts.Wait || len(waiting) == 0 {
			return nil
		}
		if c.opts.Waiting != nil {
			c.opts.Waiting(pendingOf(waiting), pause)
		}
		select {
		case <-c.opts.Stop:
			return nil
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// Pending returns the targets whose results were not fetched.
func (c *Collection) Pending() []Pending { return pendingOf(c.pending) }

func pendingOf(list []*fetched) []Pending {
	pending := make([]Pending, len(list))
	for i, p := range list {
		pending[i] = Pending{p.result, p.err, p.state}
	}
	return pending
}

// Gone returns the hosts on which nothing is left of what was fetched before.
func (c *Collection) Gone() []fleet.Host { return c.gone }

// Shorter returns the hosts of results that were yielded and not recorded: the journal
// has more of their output than MaxOutput keeps.
func (c *Collection) Shorter() []fleet.Host { return c.shorter }

// fetch requests chunks until every command that has ended is complete.
func (c *Collection) fetch(ctx context.Context) error {
	defer func() {
		c.pending = slices.DeleteFunc(c.pending, func(p *fetched) bool { return p.whole || p.gone })
	}()
	for asked := c.pending; len(asked) > 0; {
		var again []*fetched
		for answer, err := range Query(ctx, c.engine, 0, targetsOf(asked), func(t fleet.Target, nonce string) (string, error) {
			p := asked[t.Index]
			return c.marker(p.query, p.session()).Collect(nonce, p.next, p.chunk())
		}) {
			if err != nil {
				return err
			}
			p := asked[answer.Target.Index]
			if c.take(p, answer) {
				again = append(again, p)
			}
			if !p.whole {
				continue
			}
			if err := c.finish(p); err != nil || c.over {
				return err
			}
		}
		asked = again
	}
	return nil
}

// finish records a complete result and passes it on.
func (c *Collection) finish(p *fetched) error {
	c.done = append(c.done, p)
	if had := p.query.stored; len(p.result.Stdout.Bytes) < had[fleet.Stdout] || len(p.result.Stderr.Bytes) < had[fleet.Stderr] {
		c.shorter = append(c.shorter, p.result.Target.Host)
	} else if err := c.record(p.result); err != nil {
		return err
	}
	c.over = !c.yield(p.result, nil)
	p.stored = c.stored(&p.result)
	c.drop(p)
	return nil
}

// drop forgets the output that was received.
func (c *Collection) drop(p *fetched) {
	for _, o := range []*fleet.Output{&p.result.Stdout, &p.result.Stderr} {
		c.held -= int64(len(o.Bytes))
		*o = fleet.Output{Size: o.Size}
	}
	p.next = remote.Offsets{}
}

// take adds an answer to p and reports whether more can be requested at once.
func (c *Collection) take(p *fetched, a Reply) (more bool) {
	if p.err = a.Err; a.Err != nil {
		if a.Late && p.chunk() > minChunk {
			p.slow += 3
			return true
		}
		return false
	}
	r := a.Report
	p.state = r.State
	if r.State != remote.StateEnded {
		if p.askOlder() {
			c.drop(p)
			return true
		}
		if p.gone = final(&p.query.entry) && r.State == remote.StateAbsent; p.gone {
			c.gone = append(c.gone, p.result.Target.Host)
		}
		return false
	}
	if r.Stdout.From != p.next.Stdout || r.Stderr.From != p.next.Stderr {
		p.err = errors.New("its answer is not for what was asked")
		return false
	}
	if !c.keep(&p.result.Stdout, r.Stdout) || !c.keep(&p.result.Stderr, r.Stderr) {
		c.drop(p)
		p.err = errors.New("its output does not fit into memory beside that of the others")
		return false
	}
	p.next = r.Next()
	if c.wants(p, p.next.Stdout, r.Stdout) || c.wants(p, p.next.Stderr, r.Stderr) {
		return true
	}
	if r.Left && p.left < maxLeft { // the wrapper itself takes a moment to exit
		p.left++
		return true
	}
	res, _ := ApplyReport(p.result, r, p.query.since(c.Info, time.Now()), false)
	res.Flags &^= fleet.FlagOutputIncomplete | fleet.FlagOutputTruncated
	if res.Stdout.Truncated() || res.Stderr.Truncated() {
		res.Flags |= fleet.FlagOutputTruncated
	}
	if r.Left || r.Missing {
		res.Flags |= fleet.FlagOutputIncomplete
	}
	p.result, p.whole, p.writing = res, true, r.Left
	return false
}

// keep appends a chunk of a stream, up to the limit. false means that it does not fit
// into memory.
func (c *Collection) keep(o *fleet.Output, part remote.Chunk) bool {
	bytes := part.Bytes
	if c.opts.MaxOutput >= 0 {
		bytes = bytes[:min(int64(len(bytes)), max(0, c.opts.MaxOutput-int64(len(o.Bytes))))]
	}
	if c.most >= 0 && c.held+int64(len(bytes)) > c.most {
		return false
	}
	c.held += int64(len(bytes))
	o.Bytes = append(o.Bytes, bytes...)
	o.Size = part.Size
	return true
}

// wants reports whether to request more of a stream. Only a full chunk counts
// as a sign of more, so that a host cannot keep us busy with tiny answers.
func (c *Collection) wants(p *fetched, next int64, part remote.Chunk) bool {
	return next < part.Size && int64(len(part.Bytes)) == p.chunk() && (c.opts.MaxOutput < 0 || next < c.opts.MaxOutput)
}

// chunk returns the number of bytes of each stream to request at once.
func (p *fetched) chunk() int64 { return collectChunk >> p.slow }

// session returns the session whose marker is asked: the newest that sent the command,
// or an earlier one if it did not start there.
func (p *fetched) session() int { return p.query.sessions[p.older] }

// askOlder turns to the session before if the command did not start in this one, as when
// it was refused because it had started before. It reports whether there is one.
func (p *fetched) askOlder() bool {
	if p.state != remote.StateNever && p.state != remote.StateAbsent || p.older+1 == len(p.query.sessions) {
		return false
	}
	p.older++
	return true
}

// targetsOf returns the targets with their position in the list as index.
func targetsOf(list []*fetched) iter.Seq[ssh.Target] {
	return func(yield func(ssh.Target) bool) {
		for i, p := range list {
			t := p.query.target
			t.Index = i
			if !yield(t) {
				return
			}
		}
	}
}

// waiting returns the targets whose result may still come, and counts this
// round.
func (c *Collection) waiting(now time.Time) (list []*fetched) {
	for _, p := range c.pending {
		if p.mayCome(now) {
			list = append(list, p)
		}
	}
	return list
}

// mayCome reports whether asking again can return a result. It cannot without a
// marker, without a recorded end, or when the host refuses the login.
func (p *fetched) mayCome(now time.Time) bool {
	if p.err == nil && p.state == remote.StateRunning {
		p.rounds = 0
		return true
	}
	if p.rounds++; p.rounds == 1 {
		p.since = now
	}
	switch {
	case p.err != nil && unreachable(p.err):
		return now.Sub(p.since) < waitUnreachable
	case p.err != nil, p.state == remote.StateClaimed:
		return p.rounds < waitRounds
	}
	return false
}

// unreachable reports whether err is a connect failure that may pass by itself.
func unreachable(err error) bool {
	f, ok := errors.AsType[*fleet.Error](err)
	if !ok {
		return false
	}
	switch f.Reason {
	case fleet.ReasonNameNotFound, fleet.ReasonBadTarget:
		return false
	case fleet.ReasonKexTimeout, fleet.ReasonAuthTimeout, fleet.ReasonSessionTimeout:
		return true
	}
	return f.Phase <= fleet.PhaseBanner
}

// Remaining are the hosts on which markers and output stay, by cause.
type Remaining struct {
	Writing []fleet.Host // processes of the command run there and may write more
	Cut     []fleet.Host // not all output is stored here
	Kept    []fleet.Host // CollectOptions.Keep
}

// Forget removes from the hosts the fetched markers whose output is stored whole, unless
// Keep is set, and returns the hosts on which markers stay; call it when the results are
// stored. A marker that stays does no harm, so an unreachable host is not an error.
func (c *Collection) Forget(ctx context.Context) (left Remaining, err error) {
	var whole []*fetched
	for _, p := range c.done {
		switch host := p.result.Target.Host; {
		case p.writing:
			left.Writing = append(left.Writing, host)
		case !p.stored:
			left.Cut = append(left.Cut, host)
		case c.opts.Keep:
			left.Kept = append(left.Kept, host)
		default:
			whole = append(whole, p)
		}
	}
	if len(whole) == 0 {
		return left, nil
	}
	for _, err := range Query(ctx, c.engine, 0, targetsOf(whole), func(t fleet.Target, nonce string) (string, error) {
		p := whole[t.Index]
		return c.marker(p.query, p.session()).Forget(nonce)
	}) {
		if err != nil {
			return left, err
		}
	}
	return left, nil
}

// stored reports whether all output that there is of a result is in files, or in the
// journal.
func (c *Collection) stored(r *fleet.Result) bool {
	if r.Flags.Has(fleet.FlagOutputTruncated) {
		return false
	}
	return c.opts.Files || max(len(r.Stdout.Bytes), len(r.Stderr.Bytes)) <= journal.MaxOutput
}
