// Package client is shoal's SSH client. It implements ssh.Dialer on package
// internal/ssh/wire, with few round trips, little CPU, and on Linux no goroutine
// per running command.
//
// Call [New], pass the Dialer to the engine, and Close it after the last run.
//
// # What is sent early
//
// The client sends what a server is known to accept before the server has answered
// the previous step (see Options.Pipeline). A plan (plan.go) says how much: it is
// made from what the host cache has on the host, adjusted to the server's
// identification, and corrected after each failure that shows it to be wrong. Such
// a failure is followed by another connection as long as the command certainly has
// not run. Nothing that depends on the keys is sent before the host key is verified
// and trusted; a password is never sent before a first answer.
//
// # What a lost connection means
//
// ssh.Execution decides the outcome: it is told of every byte that is sent
// (link.write) and of the server's answers. Once the command was passed to the
// kernel, a lost connection means an unknown outcome, until the server has shown
// that it did not run the command: by rejecting the authentication before it, the
// channel, or the command itself. After an outcome that says that the command did
// not run nothing more is sent, not even a DISCONNECT that would follow the queued
// command.
//
// # Who does the I/O
//
// Dial runs on its caller's goroutine. Start hands the connection to an event loop
// with a worker per processor (loop_linux.go), or, if that is impossible, to a
// goroutine that holds a buffer only while bytes are available (goroutine.go). Both
// drive the same session (session.go), which does no network I/O.
//
// The driver also keeps a connection between two commands (ssh.Attempt.Keep): it answers
// the server, sends keepalives and notices the end of the connection.
//
// A blocking writer of the attempt's output blocks the server. In the event loop it
// also occupies a worker, which is then replaced by another.
package client
