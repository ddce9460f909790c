package simfleet

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"shoal/fleet"
)

// An Expectation is what a client may report of a host with a fault, on which it ran a
// command that writes a line and exits with status 0. The zero value is a good host's.
type Expectation struct {
	// Outcomes are those that the fault allows; nil means OK alone.
	Outcomes []fleet.Outcome
	// Reasons are those of outcomes other than OK and signalled; nil means that any will do.
	Reasons []fleet.Reason
}

// Allows reports whether a result is as expected.
func (e Expectation) Allows(end fleet.End) bool {
	if len(e.Outcomes) == 0 {
		return end.Outcome == fleet.OutcomeOK
	}
	if !slices.Contains(e.Outcomes, end.Outcome) {
		return false
	}
	return end.Outcome.Ran() || len(e.Reasons) == 0 || slices.Contains(e.Reasons, end.Reason)
}

func (e Expectation) String() string {
	var words []string
	for _, o := range e.Outcomes {
		words = append(words, o.String())
	}
	text := strings.Join(words, " or ")
	if text == "" {
		text = fleet.OutcomeOK.String()
	}
	if len(e.Reasons) > 0 {
		text += fmt.Sprintf(" for %v", e.Reasons)
	}
	return text
}

func neverStarted(reasons ...fleet.Reason) Expectation {
	return Expectation{[]fleet.Outcome{fleet.OutcomeNeverStarted}, reasons}
}

func unknownFor(reasons ...fleet.Reason) Expectation {
	return Expectation{[]fleet.Outcome{fleet.OutcomeUnknown}, reasons}
}

// maybeRan is a connection that breaks at a place which decides whether the command ran. It may also
// break behind the exit status.
func maybeRan(reasons ...fleet.Reason) Expectation {
	return Expectation{[]fleet.Outcome{fleet.OutcomeNeverStarted, fleet.OutcomeUnknown, fleet.OutcomeOK}, reasons}
}

// Expect returns what a client may report of a host with this fault.
func (f Fault) Expect() Expectation { return f.behaviour().expect }

// CheckExpected compares results with what the faults of their hosts allow, and returns a line
// for each that differs. A target without a host of the fleet is left out.
func CheckExpected(results iter.Seq[fleet.Result], fault func(i int) Fault) []string {
	var all []string
	for r := range results {
		i, err := Index(r.Target.Host.Name)
		if err != nil {
			continue
		}
		f := fault(i)
		if want := f.Expect(); !want.Allows(r.End) {
			all = append(all, fmt.Sprintf("target %d, %.80q: the fault %q allows %v, and the result is %v %s: %.200q",
				r.Target.Index, r.Target.Host.Name, string(f), want, r.Outcome, r.Reason, fmt.Sprint(r.Err)))
		}
	}
	return all
}

// Mix returns a fault for each of hosts hosts: every fault of the protocol on each hosts of
// them, and some pairs of faults, spread by the seed. The others are good.
func Mix(seed string, hosts, each int) (func(i int) Fault, error) {
	kinds := append(Faults(), pairs...)
	if each < 0 || each > 0 && len(kinds) > hosts/each {
		return nil, fmt.Errorf("%d kinds of faults on %d hosts each: there are only %d hosts", len(kinds), each, hosts)
	}
	keys, err := newKeyring(seed, 0)
	if err != nil {
		return nil, err
	}
	mixed := make(map[int]Fault, len(kinds)*each)
	for n, i := range keys.dice("mix").Perm(hosts)[:len(kinds)*each] {
		mixed[i] = kinds[n/max(each, 1)]
	}
	return func(i int) Fault { return mixed[i] }, nil
}

// pairs are faults that go together, for Mix.
var pairs = []Fault{
	FaultDribble + "+" + FaultEscapes,
	FaultSlowAuth + "+" + FaultNotice + "+" + FaultStatusTwice,
	FaultAuthBanner + "+" + FaultFlip,
	FaultDribble + "+" + FaultDropMidOutput,
	FaultOneByteOutput + "+" + FaultExitSignal,
	FaultNotice + "+" + FaultReset, // only the first of them is seen
}
