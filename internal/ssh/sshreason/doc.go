// Package sshreason classifies the failures of SSH connections: it maps an error
// and the phase in which it occurred to a fleet.Reason and an error for people.
//
// Every implementation of ssh.Dialer uses it, so that the same failure has the same
// reason in all of them. Reasons follow from error types and phases, never from
// texts; the only exception is the lines that OpenSSH sends when it turns a
// connection away, which carry no other information.
package sshreason
