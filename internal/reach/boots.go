package reach

import (
	"cmp"
	"fmt"
	"sync"
	"time"

	"shoal/fleet"
	"shoal/internal/hint"
)

// AskTimeout limits the question for the boot identifier.
const AskTimeout = 15 * time.Second

// firstTries is how many tries a host has to tell its first boot identifier, with --rebooted.
const firstTries = 3

// Boots judges the answers of hosts. Before must be set, and is used under a lock from then on.
type Boots struct {
	Ask      bool // for boot identifiers, by BootCommand
	Rebooted bool // wait for new ones
	// Before has the identifiers of hosts before their reboot, by Host.String. With Rebooted the
	// first ones that are missing are taken.
	Before map[string]string
	// Save is called with each identifier when its host is done; nil for nobody.
	Save   func(name, id string) error
	Failed error // of Save; the first

	mu    sync.Mutex
	now   map[string]string
	tries map[string]int // without an identifier before
}

// Judge returns what a try has shown, and sets the reason of one that did not suffice.
func (b *Boots) Judge(res *fleet.Result, password bool) Verdict {
	b.mu.Lock()
	defer b.mu.Unlock()
	v := b.judgeLocked(res, password)
	if v == TryAgain && b.Rebooted && b.Before[res.Target.Host.String()] == "" {
		name := res.Target.Host.String()
		if b.tries == nil {
			b.tries = make(map[string]int)
		}
		if b.tries[name]++; b.tries[name] == firstTries {
			res.Err = hint.Wrap(fmt.Errorf("no boot identifier was taken before the reboot: %w", res.Err),
				"take them while all hosts answer (shoal wait --save FILE), and compare with them (--since FILE)")
			return Hopeless
		}
	}
	return v
}

func (b *Boots) judgeLocked(res *fleet.Result, password bool) Verdict {
	name := res.Target.Host.String()
	switch {
	case res.Outcome.DidNotRun() || res.Outcome == fleet.OutcomeUnknown:
		if !helps(res.End, password) {
			return Hopeless
		}
		return TryAgain
	case !b.Ask:
		return Answered
	}
	id := BootID(res.Stdout.Bytes)
	if id == "" {
		res.Outcome, res.Reason = fleet.OutcomeNeverStarted, fleet.ReasonBootUnknown
		res.Err = fmt.Errorf("the host told no well-formed boot identifier, but %.60q (exit status %d)", res.Stdout.Bytes, res.Status)
		if b.Before[name] == "" {
			return Hopeless
		}
		return TryAgain // it may be starting
	}
	old := b.Before[name]
	switch {
	case b.Rebooted && old == "":
		b.Before[name] = id
		fallthrough
	case b.Rebooted && !differ(old, id) && old != "":
		res.Outcome, res.Reason, res.Err = fleet.OutcomeNeverStarted, fleet.ReasonNotRebooted, notRebooted(id)
		return TryAgain
	}
	res.Outcome, res.Reason, res.Err = fleet.OutcomeOK, fleet.ReasonNone, nil
	if b.now == nil {
		b.now = make(map[string]string)
	}
	b.now[name] = id
	if b.Save != nil {
		b.Failed = cmp.Or(b.Failed, b.Save(name, id))
	}
	return Answered
}

// Boot returns the last identifier of a host; "" if none is known.
func (b *Boots) Boot(name string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return cmp.Or(b.now[name], b.Before[name])
}

// Taken returns how many hosts have told their first identifier.
func (b *Boots) Taken() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.Before)
}

// helps reports whether a host that could not be reached for this reason may answer later.
func helps(end fleet.End, password bool) bool {
	switch end.Reason {
	case fleet.ReasonBadTarget, fleet.ReasonNoIdentity, fleet.ReasonNoCommonAlgorithm, fleet.ReasonInternal, fleet.ReasonPasswordExpired:
		return false
	case fleet.ReasonAuthFailed, fleet.ReasonAuthIncomplete:
		return !password // accounts are locked after some wrong ones
	}
	return end.Phase != fleet.PhaseHostkey
}

// differ reports whether the identifier id of a boot is of a later one than old.
func differ(old, id string) bool {
	before, ok1 := bootTime(old)
	after, ok2 := bootTime(id)
	if ok1 && ok2 {
		return after.Sub(before) > clockStep
	}
	return old != id
}

// clockStep is by how much a boot time may move when the clock is set: FreeBSD computes it
// from the clock.
const clockStep = 5 * time.Second

func notRebooted(id string) error {
	return fmt.Errorf("its boot identifier is still %.60q", id)
}
