// Package sshreason names the failures of connections: from an error and the phase
// in which it came to the reason that people and machines are told.
//
// Every implementation of ssh.Dialer uses it, so that the same failure has
// the same name whichever of them met it. Reasons come from errors' types and
// from the phase, never from their texts; the one exception are the lines with
// which OpenSSH turns connections away, which are all that it says.
package sshreason
