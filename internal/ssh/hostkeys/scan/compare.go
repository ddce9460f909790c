package scan

import (
	"fmt"

	xssh "golang.org/x/crypto/ssh"

	"shoal/internal/ssh"
	"shoal/internal/ssh/hostkeys"
)

// A State is the result of comparing a scanned host with known_hosts.
type State uint8

// The states. If several apply to a host, the last of them counts.
const (
	Known     State = iota // every key is known
	New                    // nothing is known of the host
	Added                  // a key is known, and there are unknown ones
	Changed                // other keys are known, and none of these
	Weak                   // a key is too short to prove anything
	Revoked                // a key is revoked
	Bad                    // cannot be judged, for example a name that cannot occur in known_hosts
	NumStates              // the number of states; not a state
)

var stateNames = [NumStates]string{"known", "new", "added", "changed", "weak", "revoked", "bad"}

func (s State) String() string {
	if s >= NumStates {
		return fmt.Sprintf("invalid(%d)", uint8(s))
	}
	return stateNames[s]
}

// A Judge reports what is known of a key, as *hostkeys.Store does.
type Judge interface {
	Judge(t ssh.Target, key xssh.PublicKey) (hostkeys.Judgement, error)
}

// A Finding is a scanned host with its state.
type Finding struct {
	Seen
	State State
	// Why explains the state, for people; nil for Known.
	Why error
}

// A Report is a scan compared with known_hosts.
type Report struct {
	Findings []Finding // in the order of the scan
}

// Compare judges every key of a scan. Hosts without keys are omitted.
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
		// Judge reports an unknown key as changed if another key is known.
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

// Approvals returns the approvals to write for the hosts for which approve returns true. Only
// new, added and changed hosts qualify; for a changed host the previously known keys are
// removed.
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
