// Package sshdtest starts real SSH servers for tests: one function for each
// implementation ([OpenSSH], [Dropbear] and others), and [Kinds] to meet them
// all.
//
// Each listens on a free loopback port, takes one client key made for the test
// and logs in the user who runs it. An [Option] sets up more. Every file is in
// the test's own temporary directory; when the test ends the server and
// everything that it started are ended, by process id. A server that is not
// installed fails the test in CI and skips it elsewhere, see package needs.
//
// Some are libraries, and the folder servers has the programs that make servers
// of them.
//
// Linux only: what a server has started is found in /proc, and those servers
// that read authorized_keys from the home directory in the password file alone
// get a password file of their own in a mount namespace.
package sshdtest
