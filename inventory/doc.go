// Package inventory answers one question before anything starts: which hosts?
// It reads what a person typed and the files that they named, and gives a
// [List] of [fleet.Host] without duplicates.
//
// Call [Load] with [Options], look at the Notices of the List, then hand its
// [List.Targets] to the run.
//
// # All or nothing
//
// One unreadable entry refuses the whole inventory: a run on most of the hosts
// that were meant is worse than none. Load reads everything first and returns a
// single *[Problems] that names every bad entry with its source, line, cause
// and a hint.
//
// # Host entries
//
// An entry is [user@]host[:port], around which the ranges and lists of package
// hostset may stand: root@node[001-100]:2222. An IPv6 address stands bare (::1)
// or, where a port follows, in brackets ([::1]:22); a bare one takes every
// colon, so that ::1:22 is an address without a port. What a host and a user
// name may hold is in [ParseHost].
//
// # Host files
//
// One expression to a line. A # at the beginning of a line or after a blank
// begins a comment; empty lines do not count; lines end in LF or CRLF, the last
// one may lack it; a UTF-8 byte-order mark at the beginning is passed over. A
// line of two words is refused rather than guessed at: clush would read two
// hosts in it, and pssh a host and a user. Lines hold at most [MaxLine] bytes,
// a source at most [MaxSource].
package inventory
