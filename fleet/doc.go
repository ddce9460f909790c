// Package fleet is the vocabulary that every other package of shoal speaks:
// a [Host] stands in an inventory, a [Target] is a host in a run, a [Phase] is
// how far an attempt has come, an [Outcome] says what is known of the command
// on that target, and a [Result] is everything that is told about it.
//
// The package holds no behaviour beyond naming, comparing and printing these
// things, and it imports the standard library only, so that a reader of results
// needs nothing of SSH.
//
// # The one question
//
// Every Outcome answers "did the command run there?" and nothing is guessed:
//
//	ok, failed, signalled                it ran, and its end was seen
//	refused, never_started, cancelled    it did not run; starting it again is safe
//	unknown                              exec was sent and no end was seen
package fleet
