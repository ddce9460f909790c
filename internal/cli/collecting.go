package cli

import (
	"context"
	"errors"
	"slices"
	"time"

	"shoal"
	"shoal/fleet"
	"shoal/hostset"
	"shoal/internal/ui"
	"shoal/remote"
)

// collecting fetches in rounds: in each, all that is still wanted is asked for
// the next part of its output.
type collecting struct {
	*afterwards
	out     *output
	limit   int64 // bytes kept of each stream; negative: no bound
	begun   time.Time
	pending []*parcel
	done    []*parcel
}

// A parcel is what has come of one target.
type parcel struct {
	inquiry *inquiry
	result  fleet.Result
	next    remote.Offsets
	state   remote.State
	whole   bool  // result has come
	left    int   // how often it had ended, and processes of it went on
	err     error // why it could not be asked
}

const (
	// collectChunk is how much of each stream is fetched at once, in bytes.
	collectChunk = 1 << 20
	// maxLeft is how often it is asked whether what goes on after a command's end
	// has ended too.
	maxLeft = 3
	// Rounds of --wait are this far apart: at first, and at the most.
	firstWait = time.Second
	maxWait   = 30 * time.Second
)

func (c *collecting) all(ctx context.Context, o collectOptions, stop *stopper) error {
	for i := range c.asked {
		q := &c.asked[i]
		p := &parcel{inquiry: q, result: q.entry.Result}
		p.result.Target, p.result.Stdout, p.result.Stderr = q.entry.Target, fleet.Output{}, fleet.Output{}
		c.pending = append(c.pending, p)
	}
	for wait := firstWait; ; wait = min(2*wait, maxWait) {
		if err := c.fetch(ctx); err != nil {
			return err
		}
		if !o.wait || len(c.pending) == 0 {
			break
		}
		select {
		case <-stop.drained:
		case <-time.After(wait):
			continue
		}
		break
	}
	c.tellPending()
	if err := c.kept.run.Flush(); err != nil || o.keep {
		return err
	}
	return c.forget(ctx)
}

// fetch asks until all that has ended is whole.
func (c *collecting) fetch(ctx context.Context) error {
	for asked := c.pending; len(asked) > 0; {
		var again []*parcel
		for answer, err := range shoal.Ask(ctx, c.opts, targetsOf(asked), func(t fleet.Target, nonce string) (string, error) {
			p := asked[t.Index]
			return c.marker(p.inquiry, p.session()).Collect(nonce, p.next, collectChunk)
		}) {
			if err != nil {
				return err
			}
			p := asked[answer.Target.Index]
			switch more, err := c.take(p, answer); {
			case err != nil:
				return err
			case more:
				again = append(again, p)
			}
		}
		asked = again
	}
	c.pending = slices.DeleteFunc(c.pending, func(p *parcel) bool { return p.whole })
	return nil
}

// take adds an answer to a parcel, gives the result on once it is whole, and says
// whether there is more to fetch at once.
func (c *collecting) take(p *parcel, a shoal.Answer) (more bool, err error) {
	if p.err = a.Err; a.Err != nil {
		return false, nil
	}
	r := a.Report
	p.state = r.State
	if r.State != remote.StateEnded {
		return false, nil
	}
	if r.Stdout.From != p.next.Stdout || r.Stderr.From != p.next.Stderr {
		p.err = errors.New("its answer is not for what was asked")
		return false, nil
	}
	c.keep(&p.result.Stdout, r.Stdout)
	c.keep(&p.result.Stderr, r.Stderr)
	p.next = r.Next()
	if c.wants(p.next.Stdout, r.Stdout) || c.wants(p.next.Stderr, r.Stderr) {
		return true, nil
	}
	if r.Left && p.left < maxLeft { // the wrapper itself takes a moment to go
		p.left++
		return true, nil
	}
	res, _ := settled(p.result, r, p.inquiry.since())
	res.Flags &^= fleet.FlagOutputIncomplete | fleet.FlagOutputTruncated
	if res.Stdout.Truncated() || res.Stderr.Truncated() {
		res.Flags |= fleet.FlagOutputTruncated
	}
	if r.Left {
		res.Flags |= fleet.FlagOutputIncomplete
	}
	p.result, p.whole = res, true
	c.done = append(c.done, p)
	if err := c.kept.result(res); err != nil {
		return false, err
	}
	c.out.take(res)
	return false, nil
}

// keep appends a part of a stream, up to the limit.
func (c *collecting) keep(o *fleet.Output, part remote.Chunk) {
	bytes := part.Bytes
	if c.limit >= 0 {
		bytes = bytes[:min(int64(len(bytes)), max(0, c.limit-int64(len(o.Bytes))))]
	}
	o.Bytes = append(o.Bytes, bytes...)
	o.Size = part.Size
}

// wants says that there is more of a stream than came, and room for it. Only what
// fills a chunk has more behind it, so that nobody keeps us busy with crumbs.
func (c *collecting) wants(next int64, part remote.Chunk) bool {
	return next < part.Size && len(part.Bytes) == collectChunk && (c.limit < 0 || next < c.limit)
}

// session is the one whose marker has the command's end: the last one that sent it.
func (p *parcel) session() int { return p.inquiry.sessions[0] }

// targetsOf gives the targets of parcels, with their places as indexes.
func targetsOf(parcels []*parcel) func(func(fleet.Target) bool) {
	return func(yield func(fleet.Target) bool) {
		for i, p := range parcels {
			t := p.inquiry.entry.Target
			t.Index = i
			if !yield(t) {
				return
			}
		}
	}
}

// tellPending says what could not be fetched, and why.
func (c *collecting) tellPending() {
	byCause := make(map[string][]fleet.Host)
	for _, p := range c.pending {
		cause := ""
		if p.err != nil {
			cause, _ = ui.SplitHint(p.err.Error())
		} else {
			cause = stateWords(p.state)
		}
		byCause[cause] = append(byCause[cause], p.result.Target.Host)
	}
	for cause, hosts := range byCause {
		say(c.out.stderr, "not collected: %s: %s", ui.Visible(hostset.Fold(names(hosts))), ui.Visible(cause))
	}
}

// forget removes what has been fetched from the hosts. What stays there harms
// nothing, so that a host that is not reached now is no error.
func (c *collecting) forget(ctx context.Context) error {
	whole := slices.DeleteFunc(slices.Clone(c.done), func(p *parcel) bool {
		return p.result.Flags.Has(fleet.FlagOutputIncomplete) || p.result.Flags.Has(fleet.FlagOutputTruncated)
	})
	if len(whole) == 0 {
		return nil
	}
	for _, err := range shoal.Ask(ctx, c.opts, targetsOf(whole), func(t fleet.Target, nonce string) (string, error) {
		p := whole[t.Index]
		return c.marker(p.inquiry, p.session()).Forget(nonce)
	}) {
		if err != nil {
			return err
		}
	}
	return nil
}
