package markers

import (
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"shoal"
	"shoal/fleet"
	"shoal/hosts/expr"
	"shoal/internal/cli/console"
	"shoal/internal/cli/display"
	"shoal/internal/cli/run"
	"shoal/internal/cli/signals"
	"shoal/internal/journal"
	"shoal/internal/remote"
	"shoal/internal/ssh"
	"shoal/internal/ui"
)

// collecting fetches output in rounds: each round requests the next chunk of
// every target that is not complete.
type collecting struct {
	*remoteQuery
	out     *display.Results
	limit   int64 // bytes kept of each stream; negative: no limit
	files   bool  // output is written into files too
	begun   time.Time
	pending []*fetched
	done    []*fetched
}

// A fetched is what has been fetched from one target.
type fetched struct {
	inquiry *query
	result  fleet.Result
	next    remote.Offsets
	state   remote.State
	whole   bool  // result has been received
	left    int   // how often the command had ended but processes of it were still running
	err     error // why the last question failed

	rounds int       // number of consecutive rounds that failed or found no start
	since  time.Time // time of the first of them
}

const (
	// collectChunk is the number of bytes of each stream requested at once.
	collectChunk = 1 << 20
	// maxLeft is how often to ask again when processes are left after the
	// command's end.
	maxLeft = 3
	// The pause between rounds of --wait: the first, and the longest.
	firstWait = time.Second
	maxWait   = 30 * time.Second
	// waitRounds is how many rounds a failure may last that is not going to
	// pass by itself. waitUnreachable is the time limit for hosts that are
	// unreachable, for example during a reboot.
	waitRounds      = 3
	waitUnreachable = 10 * time.Minute
	// tellWaitingAfter is the time before --wait first prints which targets it
	// waits for, and the minimum between two such lines.
	tellWaitingAfter = 2 * time.Second
)

// all fetches, with wait repeatedly until nothing more can come, and then syncs
// the journal to disk.
func (c *collecting) all(ctx context.Context, wait bool, stop *signals.Stopper) error {
	for i := range c.asked {
		q := &c.asked[i]
		p := &fetched{inquiry: q, result: q.entry.Result}
		p.result.Target, p.result.Stdout, p.result.Stderr = q.entry.Target, fleet.Output{}, fleet.Output{}
		c.pending = append(c.pending, p)
	}
	told := newWaitingNote(time.Now())
	for pause := firstWait; ; pause = min(2*pause, maxWait) {
		if err := c.fetch(ctx); err != nil {
			return err
		}
		waiting := c.waiting(time.Now())
		if !wait || len(waiting) == 0 {
			break
		}
		if text := told.text(waiting, time.Now(), pause); text != "" {
			console.Say(c.out.Stderr, "%s", text)
		}
		select {
		case <-stop.Drained:
		case <-time.After(pause):
			continue
		}
		break
	}
	c.tellPending()
	return c.kept.Run.Flush()
}

// fetch requests chunks until every command that has ended is complete.
func (c *collecting) fetch(ctx context.Context) error {
	for asked := c.pending; len(asked) > 0; {
		var again []*fetched
		for answer, err := range c.plan.Query(ctx, targetsOf(asked), 0, func(t fleet.Target, nonce string) (string, error) {
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
	c.pending = slices.DeleteFunc(c.pending, func(p *fetched) bool { return p.whole })
	return nil
}

// take adds an answer to p, passes the result on once it is complete, and
// reports whether more can be requested at once.
func (c *collecting) take(p *fetched, a shoal.Reply) (more bool, err error) {
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
	if r.Left && p.left < maxLeft { // the wrapper itself takes a moment to exit
		p.left++
		return true, nil
	}
	res, _ := run.ApplyReport(p.result, r, p.inquiry.since(c.info, time.Now()))
	res.Flags &^= fleet.FlagOutputIncomplete | fleet.FlagOutputTruncated
	if res.Stdout.Truncated() || res.Stderr.Truncated() {
		res.Flags |= fleet.FlagOutputTruncated
	}
	if r.Left {
		res.Flags |= fleet.FlagOutputIncomplete
	}
	p.result, p.whole = res, true
	c.done = append(c.done, p)
	if err := c.kept.Result(res); err != nil {
		return false, err
	}
	c.out.Take(res)
	return false, nil
}

// keep appends a chunk of a stream, up to the limit.
func (c *collecting) keep(o *fleet.Output, part remote.Chunk) {
	bytes := part.Bytes
	if c.limit >= 0 {
		bytes = bytes[:min(int64(len(bytes)), max(0, c.limit-int64(len(o.Bytes))))]
	}
	o.Bytes = append(o.Bytes, bytes...)
	o.Size = part.Size
}

// wants reports whether to request more of a stream. Only a full chunk counts
// as a sign of more, so that a host cannot keep us busy with tiny answers.
func (c *collecting) wants(next int64, part remote.Chunk) bool {
	return next < part.Size && len(part.Bytes) == collectChunk && (c.limit < 0 || next < c.limit)
}

// session returns the newest session that sent the command: its marker has the
// command's end.
func (p *fetched) session() int { return p.inquiry.sessions[0] }

// targetsOf returns the targets with their position in the list as index.
func targetsOf(parcels []*fetched) iter.Seq[ssh.Target] {
	return func(yield func(ssh.Target) bool) {
		for i, p := range parcels {
			t := p.inquiry.target
			t.Index = i
			if !yield(t) {
				return
			}
		}
	}
}

// waiting returns the targets whose result may still come, and counts this
// round.
func (c *collecting) waiting(now time.Time) (list []*fetched) {
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

// A waitingNote limits the lines that tell which targets --wait waits for: only
// when the list has changed, and not too often.
type waitingNote struct {
	last string
	due  time.Time
}

func newWaitingNote(now time.Time) *waitingNote { return &waitingNote{due: now.Add(tellWaitingAfter)} }

// text returns the line to print before a pause of wait; "" for none.
func (n *waitingNote) text(waiting []*fetched, now time.Time, wait time.Duration) string {
	text := "waiting for " + byCause(waiting, "; ")
	if text == n.last || now.Add(wait).Before(n.due) {
		return ""
	}
	n.last, n.due = text, now.Add(10*tellWaitingAfter)
	return text
}

// byCause lists targets grouped by the reason why they are missing, largest
// group first, safe for a terminal.
func byCause(parcels []*fetched, between string) string {
	hosts := make(map[string][]fleet.Host)
	for _, p := range parcels {
		hosts[p.cause()] = append(hosts[p.cause()], p.result.Target.Host)
	}
	causes := slices.SortedFunc(maps.Keys(hosts), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(hosts[b]), len(hosts[a])), cmp.Compare(a, b))
	})
	lines := make([]string, len(causes))
	for i, cause := range causes {
		lines[i] = ui.Visible(expr.Fold(run.Names(hosts[cause]))) + ": " + ui.Visible(cause)
	}
	return strings.Join(lines, between)
}

// cause returns why the target's result is missing.
func (p *fetched) cause() string {
	if p.err == nil {
		return run.StateWords(p.state)
	}
	text, _ := ui.SplitHint(p.err.Error())
	return text
}

// tellPending prints what could not be fetched, and why.
func (c *collecting) tellPending() {
	for line := range strings.SplitSeq(byCause(c.pending, "\n"), "\n") {
		if line != "" {
			console.Say(c.out.Stderr, "not collected: %s", line)
		}
	}
}

// forget removes the fetched markers from the hosts once everything is shown
// and stored. If anything was not, all markers stay. A marker that stays does
// no harm, so an unreachable host is not an error.
func (c *collecting) forget(ctx context.Context, stderr io.Writer) error {
	if c.out.Stuck || c.out.Failure() != nil {
		console.Say(stderr, "markers and output stay on the hosts, since not all was shown and stored here")
		return nil
	}
	var whole []*fetched
	var left []fleet.Host
	for _, p := range c.done {
		if c.stored(&p.result) {
			whole = append(whole, p)
		} else {
			left = append(left, p.result.Target.Host)
		}
	}
	if len(left) > 0 {
		console.Say(stderr, "markers and output stay on %s, since not all of it is stored here (--max-output 0 --outdir DIR stores all)",
			ui.Visible(expr.Fold(run.Names(left))))
	}
	if len(whole) == 0 {
		return nil
	}
	for _, err := range c.plan.Query(ctx, targetsOf(whole), 0, func(t fleet.Target, nonce string) (string, error) {
		p := whole[t.Index]
		return c.marker(p.inquiry, p.session()).Forget(nonce)
	}) {
		if err != nil {
			return err
		}
	}
	return nil
}

// stored reports whether all output of a result is in files, or in the journal.
func (c *collecting) stored(r *fleet.Result) bool {
	if r.Flags.Has(fleet.FlagOutputIncomplete) || r.Flags.Has(fleet.FlagOutputTruncated) {
		return false
	}
	return c.files || max(len(r.Stdout.Bytes), len(r.Stderr.Bytes)) <= journal.DefaultMaxOutput
}
