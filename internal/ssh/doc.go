// Package ssh is the seam between the fan-out and SSH: a [Dialer] turns an
// [Attempt] into a [Conn], and the Conn runs the attempt's one command.
//
// The two are apart because they cost differently. Dial blocks, burns CPU in
// the key exchange and is bounded by a small number of workers; Start returns
// at once, so that ten thousand waiting commands need no goroutine of the
// caller's. The command is in the Attempt from the beginning, so that an
// implementation may send it before the server has answered everything that
// came before it.
//
// Package internal/ssh/standard implements the seam on golang.org/x/crypto/ssh;
// package internal/ssh/sshtest is the suite that every implementation must pass.
package ssh
