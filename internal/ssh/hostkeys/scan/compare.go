package scan

import (
	"fmt"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh/hostkeys"
)

// A State is what a scan found of a host.
type State uint8

// The states. Where several are true of a host, the last of them counts.
const (
	Known     State = iota // every key is known
	New                    // nothing is known of the host
	Added                  // a key is known, and there are others
	Changed                // other keys are known, and none of these
	Weak                   // a key is too short to prove anything
	Revoked                // a key is revoked
	Bad                    // no judgement, as for a name that cannot stand in known_hosts
	NumStates              // how many there are; not a state
)

var stateNames = [NumStates]string{"known", "new", "added", "changed", "weak", "revoked", "bad"}

func (s State) String() string {
	if s >= NumStates {
		return fmt.Sprintf("invalid(%d)", uint8(s))
	}
	return stateNames[s]
}

// A Judge says what is known of a key; *hostkeys.Store and *hostkeys.Router do.
type Judge interface {
	Judge(t fleet.Target, key ssh.PublicKey) (hostkeys.Judgement, error)
}

// A Finding is a host of a scan, compared.
type Finding struct {
	Seen
	State State
	// Why says what made the state, for people; nil for Known.
	Why error
}

// A Report is a scan compared with what is known.
type Report struct {
	Findings []Finding // in the order of the scan
}

// Compare judges every key of a scan. A host without keys is left out.
func Compare(judge Judge, seen []Seen) Report {
	var r Report
	for _, s := range seen {
		if len(s.Keys) > 0 {
			r.Findings = append(r.Findings, compare(judge, s))
		}
	}
	return r
}

func compare(judge Judge, s Seen) Finding {
	f := Finding{Seen: s}
	known := false
	for _, key := range s.Keys {
		state := Bad
		judgement, why := judge.Judge(s.Target, key)
		if why == nil {
			state, why = stateOf(judgement.Status), judgement.Why
		}
		known = known || state == Known
		if state > f.State {
			f.State, f.Why = state, why
		}
	}
	if known && (f.State == New || f.State == Changed) {
		// known_hosts speaks of a changed key wherever it has another one.
		f.State = Added
	}
	return f
}

func stateOf(s hostkeys.Status) State {
	switch s {
	case hostkeys.StatusKnown:
		return Known
	case hostkeys.StatusUnknown:
		return New
	case hostkeys.StatusChanged:
		return Changed
	case hostkeys.StatusWeak:
		return Weak
	case hostkeys.StatusRevoked:
		return Revoked
	default:
		return Bad
	}
}

// Approvals gives what is to be written for the hosts that approve says yes to.
// Only new, added and changed hosts have anything to be written; of a changed
// host the keys that were known are removed.
func (r Report) Approvals(approve func(Finding) bool) []hostkeys.Approval {
	var approvals []hostkeys.Approval
	for _, f := range r.Findings {
		switch f.State {
		case New, Added, Changed:
			if approve(f) {
				approvals = append(approvals, hostkeys.Approval{
					Target: f.Target, Keys: f.Keys, Replace: f.State == Changed,
				})
			}
		}
	}
	return approvals
}
