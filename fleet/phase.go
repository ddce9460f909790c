package fleet

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// A Phase is a stage of one attempt. Phases are numbered in their order. The zero
// value, PhaseNone, is before the first one.
type Phase uint8

// The phases of an attempt.
const (
	PhaseNone    Phase = iota // no attempt was made
	PhaseResolve              // name to address
	PhaseDial                 // TCP connect
	PhaseBanner               // until the server's version line (RFC 4253 §4.2)
	PhaseKex                  // key exchange (RFC 4253 §7, §8)
	PhaseHostkey              // check of the server's key
	PhaseAuth                 // user authentication (RFC 4252)
	PhaseSession              // opening the session channel (RFC 4254 §6.1)
	PhaseExec                 // exec sent, the server's answer not yet seen (RFC 4254 §6.5)
	PhaseRun                  // the command runs
	PhaseDrain                // its exit status is known, output may still come
	PhaseStore                // storing the result on this machine
	NumPhases                 // number of phases; not a phase
)

var phaseNames = [NumPhases]string{
	"none", "resolve", "dial", "banner", "kex", "hostkey", "auth",
	"session", "exec", "run", "drain", "store",
}

func (p Phase) String() string { return nameOf(phaseNames[:], p) }

// ParsePhase is the inverse of Phase.String.
func ParsePhase(s string) (Phase, error) { return parseName[Phase]("phase", phaseNames[:], s) }

// nameOf and parseName convert between values and names of every enumeration of
// this package.
func nameOf[E ~uint8](names []string, v E) string {
	if int(v) >= len(names) {
		return fmt.Sprintf("invalid(%d)", uint8(v))
	}
	return names[v]
}

func parseName[E ~uint8](what string, names []string, s string) (E, error) {
	if i := slices.Index(names, s); i >= 0 {
		return E(i), nil
	}
	return 0, fmt.Errorf("unknown %s %q", what, s)
}

// Durations holds the time spent in each phase, by Phase. 0 means that the phase
// was not reached, or took no measurable time.
type Durations [NumPhases]time.Duration

// Total returns the sum over all phases.
func (d Durations) Total() time.Duration {
	var sum time.Duration
	for _, took := range d {
		sum += took
	}
	return sum
}

// A Timeline tracks the phases of one attempt and measures each. The zero value is
// ready to use and in PhaseNone. It is safe for concurrent use.
type Timeline struct {
	mu    sync.Mutex
	phase Phase
	since time.Time
	took  Durations
	told  func(Phase) // nil: nobody
}

// OnEnter has f called with each phase that begins from now on, in their order. f must not
// block and not use the Timeline. It must be called before the Timeline is shared.
func (t *Timeline) OnEnter(f func(Phase)) { t.told = f }

// Enter ends the current phase and begins p. The time of a phase entered more than
// once adds up.
func (t *Timeline) Enter(p Phase) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count()
	t.phase = p
	if t.told != nil {
		t.told(p)
	}
}

// Phase returns the current phase.
func (t *Timeline) Phase() Phase {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.phase
}

// Took returns the times so far. The current phase continues.
func (t *Timeline) Took() Durations {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count()
	return t.took
}

// count adds the time since the last count to the current phase.
func (t *Timeline) count() {
	now := time.Now()
	if t.phase != PhaseNone {
		t.took[t.phase] += now.Sub(t.since)
	}
	t.since = now
}
