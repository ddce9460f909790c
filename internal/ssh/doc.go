// Package ssh defines the interfaces between the engine and SSH clients: a [Dialer]
// turns an [Attempt] into a [Conn], and the Conn runs the attempt's command, and further
// attempts if it is kept for them.
//
// Dialer and Conn are separate because their costs differ. Dial blocks, needs CPU
// for the key exchange and runs on a limited number of workers; Start returns at
// once, so that ten thousand running commands need no goroutine of the caller. The
// Attempt has the command from the beginning, so that an implementation may send it
// before the server has answered the previous steps.
//
// Package internal/ssh/client is the default implementation, internal/ssh/xcrypto
// the one on golang.org/x/crypto/ssh, internal/ssh/openssh the one on the system's ssh;
// internal/ssh/sshtest is the suite that every implementation must pass.
package ssh
