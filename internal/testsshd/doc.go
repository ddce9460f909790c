// Package testsshd starts real SSH servers for tests: [OpenSSH] and [Dropbear].
//
// Both listen on a free loopback port, take one client key made for the test
// and log in the user who runs it. Every file is in the test's own temporary
// directory; when the test ends the server and everything that it started are
// ended, by process id. A server that is not installed fails the test: it is
// never a reason to skip.
//
// Linux only: what a server has started is found in /proc, and Dropbear, which
// reads authorized_keys from the home directory in the password file alone,
// gets a password file of its own in a mount namespace.
package testsshd
