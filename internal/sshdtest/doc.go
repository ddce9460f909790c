// Package sshdtest starts real SSH servers for tests: one function for each
// implementation ([OpenSSH], [Dropbear] and others), and [Kinds] to test with
// all of them.
//
// Each server listens on a free loopback port, accepts one client key made for
// the test and logs in the current user. An [Option] changes the setup. All
// files are in the test's temporary directory; when the test ends, the server
// and everything that it started are killed, by process id. If a server is not
// installed, the test fails in CI and is skipped elsewhere, see package needs.
//
// Some implementations are libraries; the folder servers has programs that make
// servers of them.
//
// Linux only: the processes of a server are found in /proc, and servers that
// read authorized_keys only from the home directory in the password file get a
// password file of their own in a mount namespace.
package sshdtest
