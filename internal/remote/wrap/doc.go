// Package wrap sends commands in the wrapper of package internal/remote, so that they run
// once, end in time, can be killed or run on without us, and turns what the
// wrapper says into the ends of attempts. Call [New] with the Dialer that
// connects; the result is a [ssh.Dialer] too.
//
// Beside what its inner Dialer promises:
//
//   - A command that the wrapper refused is fleet.OutcomeRefused with
//     ReasonWrapRefused: it did not run. Where an earlier start of the same
//     command was there, it is OutcomeUnknown with ReasonAlreadyStarted: this
//     start ran nothing, and nobody here saw how the other one ended.
//   - A command that the remote timeout ended is OutcomeSignalled with
//     ReasonRemoteTimeout.
//   - A detached command whose receipt came is OutcomeDetached. Without it the
//     outcome is unknown, unless it was refused.
//   - What the command writes is passed on as it is; lines of the wrapper's own
//     are not.
//
// Where no shell reads the command (a forced command, a network device) there is
// no wrapper either: a command is then run as it would be without this package,
// and a detached one has no receipt.
package wrap
