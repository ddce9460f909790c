package engine

import (
	"fmt"
	"time"

	"shoal/fleet"
	"shoal/internal/engine/limiter"
)

const (
	// localWait is the least time until a target is tried again that this machine
	// could not connect to.
	localWait = 100 * time.Millisecond
	// maxPassedOver is how often a target is tried though nothing else is in
	// attempt that could give this machine back what it lacks.
	maxPassedOver = 5
	// maxAgentPassedOver is the same for the agent, however many are in flight:
	// each time costs the server an unauthenticated connection.
	maxAgentPassedOver = 2
	// maxLacking is how many attempts in a row may end for the same lack before
	// no other is made.
	maxLacking = 16
	// lackingFor is for how long they have to, where another process may give back
	// what is lacking. It costs no server anything.
	lackingFor = 10 * time.Second
)

var lacks = map[fleet.Reason]string{
	fleet.ReasonLocalFiles:       "open files (ulimit -n)",
	fleet.ReasonLocalPorts:       "local ports (net.ipv4.ip_local_port_range)",
	fleet.ReasonLocalMemory:      "memory for connections",
	fleet.ReasonAgentUnavailable: "answers from the SSH agent",
}

// A lack counts the attempts in a row that ended for want of the same thing, with
// no success between them.
type lack struct {
	anyIn  bool // some server has let us in
	told   bool // the caller has been
	reason fleet.Reason
	since  time.Time // the first of them ended
	row    int       // the first, and those that began after its end
}

// over is told of each success.
func (l *lack) over() { l.anyIn, l.row = true, 0 }

// add is told of an attempt that began then and ended now. Those that went on
// together may all have ended because of one thing, which may be over.
func (l *lack) add(reason fleet.Reason, began, now time.Time) {
	switch {
	case l.row == 0 || l.reason != reason:
		l.reason, l.since, l.row = reason, now, 1
	case !began.Before(l.since):
		l.row++
	}
}

// lasts reports whether the lack is for good.
func (l *lack) lasts(now time.Time) bool {
	return l.row >= maxLacking && (l.reason == fleet.ReasonAgentUnavailable || now.Sub(l.since) >= lackingFor)
}

// isLocalFault reports whether f ended because of this machine, which may get better when
// less goes on, so that its target is to be passed over. An agent that has answered
// nobody will not. After a lack that lasts nothing is started any more. mu must be
// held.
func (r *run) isLocalFault(f *attempt, end fleet.End) bool {
	if end.Outcome != fleet.OutcomeNeverStarted || lacks[end.Reason] == "" {
		return false
	}
	agent := end.Reason == fleet.ReasonAgentUnavailable
	if agent && !r.lack.anyIn {
		return false
	}
	alone := r.limiter.InFlight() <= 1 // nobody will give anything back
	if agent || alone {
		now := time.Now()
		r.lack.add(end.Reason, f.started, now)
		if r.lack.lasts(now) {
			r.giveUp(end)
			return false
		}
	}
	if agent {
		return f.job.PassedOver < maxAgentPassedOver
	}
	return !alone || f.job.PassedOver < maxPassedOver
}

// requeue narrows the run and lets t wait, as if it had not been tried. It is
// told once. mu must be held.
func (r *run) requeue(t *limiter.Job, reason fleet.Reason, now time.Time) {
	t.Attempts--
	t.PassedOver++
	r.retry.attempts--
	if reason == fleet.ReasonAgentUnavailable {
		r.limiter.ShrinkFanout(r.limiter.Connecting() + 1) // commands that run ask no agent
	} else {
		r.limiter.ShrinkFanout(r.limiter.InFlight())
	}
	r.limiter.Release()
	r.limiter.EnqueueAt(t, now.Add(localWait+backoff(reason, 1)))
	if !r.lack.told {
		r.lack.told = true
		r.notices = append(r.notices, fmt.Sprintf(
			"this machine has not enough %s: %d targets at once from here on, of %d; no target is lost by it",
			lacks[reason], r.limiter.Fanout(), r.opts.Fanout))
	}
}

// giveUp ends everything that waits, for a lack that last showed as end does. mu
// must be held.
func (r *run) giveUp(end fleet.End) {
	r.gone = &fleet.End{
		Outcome: fleet.OutcomeNeverStarted,
		Reason:  end.Reason,
		Err: fmt.Errorf("this machine had not enough %s for %d attempts in a row, and no other was made: %w",
			lacks[end.Reason], r.lack.row, end.Err),
	}
	r.notices = append(r.notices, fmt.Sprintf("this machine has not enough %s, for %d attempts in a row: no other target is started",
		lacks[end.Reason], r.lack.row))
	r.clear(*r.gone)
}
