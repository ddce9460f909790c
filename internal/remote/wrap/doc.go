// Package wrap implements an [ssh.Dialer] that runs commands in the wrapper of package
// remote, so that they run once, end in time, can be killed, or run on after we
// disconnect. It translates the wrapper's answers to the ends of attempts. Call [New] with
// the Dialer that connects.
//
// In addition to the promises of the inner Dialer:
//
//   - A command that the wrapper refused is fleet.OutcomeRefused with
//     ReasonWrapRefused: it did not run. If an earlier start of the same command was
//     found, it is OutcomeUnknown with ReasonAlreadyStarted: this start ran nothing,
//     and how the other one ended is not known here.
//   - A command whose working directory cannot be entered is OutcomeNeverStarted with
//     ReasonChdirFailed.
//   - A command that the remote timeout ended is OutcomeSignalled with
//     ReasonRemoteTimeout.
//   - A detached command is OutcomeDetached if its receipt came. Otherwise its outcome
//     is unknown, unless it was refused.
//   - The command's output is passed on unchanged, without the wrapper's own lines.
//
// A command longer than remote.MaxLine is wrapped in any case and goes through standard
// input; see remote.Wrap.Request. That it was sent incompletely does not prove that it did
// not run: only the wrapper's refusal does. Of a script (Options.Script), which is no text for
// the shell that reads it, it does: the outcome is then fleet.OutcomeNeverStarted.
//
// If no POSIX shell reads the command (a forced command, a network device), there is no
// wrapper: the command runs as it would without this package, a detached one sends no
// receipt, and of a script nobody knows whether it ran: the outcome of both is then
// OutcomeUnknown with ReasonNoReceipt. A forced command that joins both streams hides nothing:
// the wrapper's lines are looked for in both.
package wrap
