// Package client implements connect.Dialer on package sshwire: few round trips,
// little CPU, and on Linux no goroutine for a command that runs.
//
// Call [New], hand the Dialer to the engine, and Close it after the last run.
//
// # What leaves when
//
// What a server is known to understand goes to it before it has asked (see
// Options.Pipeline). How much that is, is the plan (plan.go): made from what was
// remembered of the host, fitted to its identification, and improved by each
// failure that shows it to be wrong. A connection that fails in that way is
// followed by another one, as long as it is certain that the command has not
// run. Nothing that depends on the keys leaves before the host key has been
// verified and trusted; a password never leaves before a first answer.
//
// # What a lost connection means
//
// ssh.Execution decides the outcome: it is told of every byte that leaves
// (link.write) and of what the server says. Once the command has been handed to
// the kernel a lost connection is unknown, until the server has shown that it did
// not run it: by refusing the authentication that came before it, the channel, or
// the command itself. Where the outcome says that it did not run, nothing more
// leaves, not even a goodbye that would take the command along.
//
// # Who moves the bytes
//
// Dial runs on its caller's goroutine. Start parks the connection: in an event
// loop with a worker per processor (loop_linux.go), or where that cannot be on a
// goroutine that holds a buffer only while bytes are there (goroutine.go). Both
// drive the same session (session.go), which does no I/O.
//
// A writer of the attempt's that waits makes the server wait. In the event loop
// it also takes a worker, in whose place another one is started.
package client
