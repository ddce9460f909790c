// Package hostcache remembers between runs what servers are like, so that the next
// connection to one may begin with what it is known to understand.
//
// Call [Open] once for a run, [Cache.Get] before a connection, [Cache.Put]
// after it, and [Cache.Close] at the end: only then is anything written. A nil
// *Cache knows nothing and keeps nothing, so a run whose state cannot be read
// goes on without.
//
// What is remembered is a hint. It holds no secret, it never makes anything
// trusted, and it may be lost at any moment: the file may be deleted, cut or
// overwritten while runs use it, and all that it costs is slower connections.
// For the same reason nothing is synced to the disk.
//
// # The file
//
// It is one text file in the state directory, "recall", with a header that
// names its version and a line for each host:
//
//	endpoint day client user key identification kex host-keys marks checksum
//
// separated by tabs. The last line about an endpoint counts. A line whose
// checksum (CRC-32C of what stands before it) or form is wrong is as good as
// absent. Runs add their lines at the end with one write under flock(2); when
// more than half of the lines are dead, or a bound is exceeded, the file is
// replaced by a smaller one under the same lock.
//
// The package knows nothing of SSH: names of methods, clients and marks are its
// caller's words.
package hostcache
