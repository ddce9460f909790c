// Package fleet defines hosts, targets, phases, outcomes and results: the
// vocabulary of all packages of shoal. A [Host] is an entry of an inventory, a
// [Target] is a host in a run, a [Phase] is a stage of an attempt, an [Outcome] is
// what is known of the command on a target, and a [Result] is everything reported
// about a target.
//
// The package only names, compares and prints these things. It imports the standard
// library alone, so that readers of results need no SSH.
//
// # The one question
//
// Every Outcome answers "did the command run there?" without guessing:
//
//	ok, failed, signalled                it ran, and its end was seen
//	detached                             it was started and runs on without us
//	refused, never_started, cancelled    it did not run; starting it again is safe
//	unknown                              exec was sent and no end was seen
package fleet
