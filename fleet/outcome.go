package fleet

import "strings"

// An Outcome is what is known of the command on one target. The zero value,
// OutcomeNone, is not an outcome and never occurs in a finished Result.
type Outcome uint8

// The outcomes. Their texts are part of the record format and never change.
const (
	OutcomeNone         Outcome = iota
	OutcomeOK                   // it ran and exited 0
	OutcomeFailed               // it ran and exited with another status
	OutcomeSignalled            // it ran and a signal ended it
	OutcomeNeverStarted         // it did not run: exec was not sent, or before a failed login
	OutcomeRefused              // it did not run: the server refused exec
	OutcomeUnknown              // exec was sent and the command's end was not seen
	OutcomeCancelled            // it did not run: the run was stopped before its turn
	OutcomeDetached             // it was started and runs on without us: its end can be queried later
	NumOutcomes                 // number of outcomes; not an outcome
)

var outcomeNames = [NumOutcomes]string{
	"none", "ok", "failed", "signalled", "never_started", "refused", "unknown", "cancelled", "detached",
}

func (o Outcome) String() string { return nameOf(outcomeNames[:], o) }

// ParseOutcome is the inverse of Outcome.String.
func ParseOutcome(s string) (Outcome, error) {
	return parseName[Outcome]("outcome", outcomeNames[:], s)
}

// Ran reports whether the command ran and its end was seen.
func (o Outcome) Ran() bool {
	return o == OutcomeOK || o == OutcomeFailed || o == OutcomeSignalled
}

// DidNotRun reports whether the command certainly did not run, so that starting it
// again is safe.
func (o Outcome) DidNotRun() bool {
	return o == OutcomeNeverStarted || o == OutcomeRefused || o == OutcomeCancelled
}

// Flags are facts beside the outcome. The zero value has none set.
type Flags uint16

// The flags. Their texts are part of the record format.
const (
	FlagExitKnown        Flags = 1 << iota // an exit status or exit signal was received
	FlagOutputTruncated                    // output beyond the limit was dropped
	FlagOutputIncomplete                   // output may be missing: no orderly close
	FlagFallback                           // connected by golang.org/x/crypto/ssh
	FlagExitConflict                       // a later message contradicts the exit status
	FlagLegacy                             // used an algorithm that is offered only if configured
	FlagBraked                             // the run stopped itself before it was tried again
	FlagOpenSSH                            // connected by the system's ssh
	FlagUnverified                         // files were copied, and their SHA-256 was not checked
	FlagPTY                                // the command had a pseudo-terminal: stdout has both streams, with CR LF
	FlagNoAgent                            // an agent was to be forwarded, and the server refused, or it was withheld
	FlagLabelLost                          // a file was replaced, and its SELinux label could not be restored
	FlagNoisyLogin                         // the account's login scripts write text, which came before ours
	FlagEnvRefused                         // the server refused a variable of SetEnv
	flagsEnd
)

var flagNames = []string{"exit_known", "output_truncated", "output_incomplete", "fallback", "exit_conflict", "legacy_algorithms", "braked", "openssh_client", "unverified", "pty", "no_agent", "label_lost", "noisy_login", "env_refused"}

// Has reports whether all flags of f are set.
func (fs Flags) Has(f Flags) bool { return fs&f == f }

// Names lists the flags that are set, in a fixed order; nil if there are none.
func (fs Flags) Names() []string {
	var names []string
	for i, name := range flagNames {
		if fs.Has(1 << i) {
			names = append(names, name)
		}
	}
	return names
}

func (fs Flags) String() string { return strings.Join(fs.Names(), ",") }

// ParseFlag returns the flag with this name.
func ParseFlag(name string) (Flags, error) {
	i, err := parseName[uint8]("flag", flagNames, name)
	if err != nil {
		return 0, err
	}
	return 1 << i, nil
}
