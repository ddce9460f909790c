package engine

import (
	"fmt"
	"time"

	"shoal/engine/admission"
	"shoal/fleet"
)

// localWait is the least time until a target is tried again that this machine
// could not connect to.
const localWait = 100 * time.Millisecond

var lacks = map[fleet.Reason]string{
	fleet.ReasonLocalFiles:       "open files (ulimit -n)",
	fleet.ReasonLocalPorts:       "local ports (net.ipv4.ip_local_port_range)",
	fleet.ReasonLocalMemory:      "memory for connections",
	fleet.ReasonAgentUnavailable: "answers from the SSH agent",
}

// ours says whether an attempt ended so because of this machine, which may get
// better when less goes on. An agent that has answered nobody will not. Called
// with mu held.
func (r *run) ours(t *admission.Ticket, end fleet.End) bool {
	if end.Outcome != fleet.OutcomeNeverStarted || lacks[end.Reason] == "" {
		return false
	}
	if end.Reason == fleet.ReasonAgentUnavailable && !r.anyIn {
		return false
	}
	return r.desk.Flying() > 1 || t.PassedOver < maxPassedOver
}

// passOver narrows the run and lets t wait, as if it had not been tried. It is
// told once. Called with mu held.
func (r *run) passOver(t *admission.Ticket, reason fleet.Reason, now time.Time) {
	t.Attempts--
	t.PassedOver++
	r.retry.attempts--
	r.desk.Squeeze()
	r.desk.Landed()
	r.desk.Later(t, now.Add(localWait+backoff(reason, 1)))
	if !r.told {
		r.told = true
		r.notices = append(r.notices, fmt.Sprintf(
			"this machine has not enough %s: %d targets at once from here on, of %d; no target is lost by it",
			lacks[reason], r.desk.Width(), r.opts.Fanout))
	}
}
