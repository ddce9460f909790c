package engine

import (
	"fmt"
	"strings"
	"time"

	"shoal/fleet"
	"shoal/internal/engine/limiter"
	"shoal/internal/ssh"
)

const (
	// localWait is the minimum wait before retrying a target that this machine lacked
	// the resources to connect to.
	localWait = 100 * time.Millisecond
	// maxPassedOver is how often a target is retried while no other target is in
	// flight that could free the resource this machine lacks.
	maxPassedOver = 5
	// maxAgentPassedOver is the same for the agent, whatever is in flight: each retry
	// costs the server an unauthenticated connection.
	maxAgentPassedOver = 2
	// maxLacking is the number of consecutive attempts that may fail for the same lack
	// before the run gives up.
	maxLacking = 16
	// lackingFor is the minimum duration of these failures if another process may free
	// the resource. Waiting costs no server anything.
	lackingFor = 10 * time.Second
)

var lacks = map[fleet.Reason]string{
	fleet.ReasonLocalFiles:       "open files (ulimit -n)",
	fleet.ReasonLocalPorts:       "local ports (net.ipv4.ip_local_port_range)",
	fleet.ReasonLocalMemory:      "memory for connections",
	fleet.ReasonAgentUnavailable: "answers from the SSH agent",
}

// A lack counts consecutive attempts that failed because the same local resource
// was missing.
type lack struct {
	agent  string // from agentOf
	anyIn  bool   // some server has authenticated us
	told   bool   // the caller has been told
	reason fleet.Reason
	since  time.Time // end of the first
	row    int       // number: the first, and those that began after its end
	// gone is the end of all untried targets that need the agent, once it was given
	// up; nil otherwise, and for other resources.
	gone *fleet.End
}

// agentOf names the agent that a target may need; "" means none, or one that only the
// Dialer knows. Of a target that takes
// only the keys of certain files, the files are part of the name: it may need no agent.
func agentOf(t ssh.Target) string {
	keys := &t.Settings().Keys
	if keys.AgentSocket == "" || !keys.Only {
		return keys.AgentSocket
	}
	return keys.AgentSocket + "\x00" + strings.Join(keys.Files, "\x00")
}

// agent returns what is known of the agent that t may need. Once an agent no longer
// answers, the targets that need it are given up, and the others go on. mu must be held.
func (r *run) agent(t ssh.Target) *lack {
	name := agentOf(t)
	l := r.agents[name]
	if l == nil {
		l = &lack{agent: name}
		r.agents[name] = l
	}
	return l
}

// isLack reports whether end shows a lack of a local resource, which is no host's
// fault: it does not count as a failure. The agent may have failed from the start; it
// is lacking only once a server has let us in. mu must be held.
func (r *run) isLack(end fleet.End) bool {
	return end.Outcome == fleet.OutcomeNeverStarted && lacks[end.Reason] != "" &&
		(end.Reason != fleet.ReasonAgentUnavailable || r.lack.anyIn)
}

// over is called for each success.
func (l *lack) over() { l.anyIn, l.row = true, 0 }

// add counts an attempt. Only attempts that began after the first failure count:
// concurrent ones may all have failed from one cause that has passed.
func (l *lack) add(reason fleet.Reason, began, now time.Time) {
	switch {
	case l.row == 0 || l.reason != reason:
		l.reason, l.since, l.row = reason, now, 1
	case !began.Before(l.since):
		l.row++
	}
}

// lasts reports whether the lack counts as permanent.
func (l *lack) lasts(now time.Time) bool {
	return l.row >= maxLacking && (l.reason == fleet.ReasonAgentUnavailable || now.Sub(l.since) >= lackingFor)
}

// isLocalFault reports whether f failed for lack of a local resource that may
// become free when less is in flight, so that its target is to be requeued. If the
// lack is permanent, the run gives up. mu must be held.
func (r *run) isLocalFault(f *attempt, end fleet.End) bool {
	if !r.isLack(end) {
		return false
	}
	agent, l := end.Reason == fleet.ReasonAgentUnavailable, &r.lack
	if agent {
		l = r.agent(f.job.Target)
	}
	alone := r.limiter.InFlight() <= 1 // no other target can free the resource
	if agent || alone {
		now := time.Now()
		l.add(end.Reason, f.started, now)
		if l.lasts(now) {
			r.giveUp(l, end)
			return false
		}
	}
	if agent {
		return f.job.PassedOver < maxAgentPassedOver
	}
	return !alone || f.job.PassedOver < maxPassedOver
}

// requeue lowers the fanout and queues t as if it had not been tried. The first
// call adds a notice. mu must be held.
func (r *run) requeue(t *limiter.Job, reason fleet.Reason, now time.Time) {
	t.Attempts--
	t.PassedOver++
	r.retry.attempts--
	if reason == fleet.ReasonAgentUnavailable {
		r.limiter.ShrinkFanout(r.limiter.Connecting() + 1) // running commands need no agent
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

// giveUp ends all waiting targets because of the permanent lack l, or those that need
// the agent; end is that of the last attempt. mu must be held.
func (r *run) giveUp(l *lack, end fleet.End) {
	gone := &fleet.End{
		Outcome: fleet.OutcomeNeverStarted,
		Reason:  end.Reason,
		Err: fmt.Errorf("this machine had not enough %s for %d attempts in a row, and no other was made: %w",
			lacks[end.Reason], l.row, end.Err),
	}
	what := "no other target is started"
	if end.Reason == fleet.ReasonAgentUnavailable && l.agent != "" {
		what = "no other target that needs it is started"
		l.gone = gone
		for _, t := range r.limiter.Remove(func(j *limiter.Job) bool { return r.agent(j.Target) == l }) {
			r.conclude(t, *gone)
		}
	} else {
		r.gone = gone
		r.clear(*gone)
	}
	r.notices = append(r.notices, fmt.Sprintf("this machine has not enough %s, for %d attempts in a row: %s",
		lacks[end.Reason], l.row, what))
}
