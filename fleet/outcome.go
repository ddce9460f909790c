package fleet

import "strings"

// An Outcome says what is known of the command on one target. The zero value,
// OutcomeNone, is no outcome at all and never stands in a finished Result.
type Outcome uint8

// The outcomes. Their texts are part of the record format and never change.
const (
	OutcomeNone         Outcome = iota
	OutcomeOK                   // it ran and exited 0
	OutcomeFailed               // it ran and exited with another status
	OutcomeSignalled            // it ran and a signal ended it
	OutcomeNeverStarted         // it did not run: exec was not sent, or came to a server that had not let us in
	OutcomeRefused              // it did not run: the server said no to exec
	OutcomeUnknown              // exec was sent, its end was not seen
	OutcomeCancelled            // it did not run: the run was stopped before its turn
	OutcomeDetached             // it was started and goes on without us: its end can be asked for later
	NumOutcomes                 // how many there are; not an outcome
)

var outcomeNames = [NumOutcomes]string{
	"none", "ok", "failed", "signalled", "never_started", "refused", "unknown", "cancelled", "detached",
}

func (o Outcome) String() string { return nameOf(outcomeNames[:], o) }

// ParseOutcome is the inverse of Outcome.String.
func ParseOutcome(s string) (Outcome, error) {
	return parseName[Outcome]("outcome", outcomeNames[:], s)
}

// Ran says that the command ran and its end was seen.
func (o Outcome) Ran() bool {
	return o == OutcomeOK || o == OutcomeFailed || o == OutcomeSignalled
}

// DidNotRun says that the command certainly did not run, so that starting it
// again is safe.
func (o Outcome) DidNotRun() bool {
	return o == OutcomeNeverStarted || o == OutcomeRefused || o == OutcomeCancelled
}

// Flags are facts beside the outcome. The zero value is none of them.
type Flags uint8

// The flags. Their texts are part of the record format.
const (
	FlagExitKnown        Flags = 1 << iota // an exit status or exit signal was received
	FlagOutputTruncated                    // more output came than the cap allowed to keep
	FlagOutputIncomplete                   // output may be missing: the channel did not end in order
	FlagFallback                           // connected by golang.org/x/crypto/ssh: the server shares no algorithm with sshwire
	FlagExitConflict                       // the exit status or signal is the server's first word; a later one of it says otherwise
	flagsEnd
)

var flagNames = []string{"exit_known", "output_truncated", "output_incomplete", "fallback", "exit_conflict"}

// Has says whether all flags of f are set.
func (fs Flags) Has(f Flags) bool { return fs&f == f }

// Names lists the flags that are set, in a fixed order; nil when there are none.
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

// ParseFlag gives the flag with this name.
func ParseFlag(name string) (Flags, error) {
	i, err := parseName[uint8]("flag", flagNames, name)
	if err != nil {
		return 0, err
	}
	return 1 << i, nil
}
