// Package hostcache caches on disk, between runs, what each SSH server supports, so that the
// next connection can start with algorithms, user and key that worked.
//
// Call [Open] once per run, [Cache.Get] before a connection, [Cache.Put] after it, and
// [Cache.Close] at the end: only Close writes. A nil *Cache is empty and stores nothing, so a
// run whose state cannot be read continues without it.
//
// The contents are hints. They include no secrets, never make anything trusted, and may be lost
// at any time: the file may be deleted, truncated or overwritten while runs use it, which only
// makes connections slower. For the same reason nothing is synced to disk.
//
// # The file
//
// It is one text file in the state directory, "recall", with a header that has the version, and
// a line for each host:
//
//	endpoint day client user key identification kex host-keys marks checksum
//
// separated by tabs. The last line for an endpoint counts. A line with a wrong checksum
// (CRC-32C of the text before it) or a wrong format is ignored. Runs append their lines with
// one write under flock(2). When more than half of the lines are obsolete, or a limit is
// exceeded, the file is replaced by a compacted one under the same lock.
//
// The package is independent of SSH: the caller defines the names of methods, clients and
// marks.
package hostcache
