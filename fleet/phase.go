package fleet

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// A Phase is a stage of one attempt, in the order in which they pass. The zero
// value, PhaseNone, is before the first one.
type Phase uint8

// The phases of an attempt.
const (
	PhaseNone    Phase = iota // nothing has been tried
	PhaseResolve              // name to address
	PhaseDial                 // TCP connect
	PhaseBanner               // until the server's version line (RFC 4253 §4.2)
	PhaseKex                  // key exchange (RFC 4253 §7, §8)
	PhaseHostkey              // the verdict on the server's key
	PhaseAuth                 // user authentication (RFC 4252)
	PhaseSession              // opening the session channel (RFC 4254 §6.1)
	PhaseExec                 // exec sent, the server's yes or no not yet seen (RFC 4254 §6.5)
	PhaseRun                  // the command runs
	PhaseDrain                // its exit status is known, output may still come
	PhaseStore                // writing the result down on this machine
	NumPhases                 // how many there are; not a phase
)

var phaseNames = [NumPhases]string{
	"none", "resolve", "dial", "banner", "kex", "hostkey", "auth",
	"session", "exec", "run", "drain", "store",
}

func (p Phase) String() string { return nameOf(phaseNames[:], p) }

// ParsePhase is the inverse of Phase.String.
func ParsePhase(s string) (Phase, error) { return parseName[Phase]("phase", phaseNames[:], s) }

// nameOf and parseName serve every enumeration of the package, so that names
// and values cannot drift apart.
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

// Durations holds how long each phase took, by Phase. 0 means that the phase
// was not reached, or took no measurable time.
type Durations [NumPhases]time.Duration

// Total is the sum over all phases.
func (d Durations) Total() time.Duration {
	var sum time.Duration
	for _, took := range d {
		sum += took
	}
	return sum
}

// A Timeline follows one attempt through its phases and measures each. The zero
// value is ready and stands in PhaseNone. It is safe for concurrent use.
type Timeline struct {
	mu    sync.Mutex
	phase Phase
	since time.Time
	took  Durations
}

// Enter ends the phase that the attempt was in and begins p. A phase may be
// entered more than once; its time adds up.
func (t *Timeline) Enter(p Phase) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count()
	t.phase = p
}

// Phase is the phase that the attempt is in.
func (t *Timeline) Phase() Phase {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.phase
}

// Took gives the times so far. The attempt stays in its phase.
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
