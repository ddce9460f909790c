// Package scan collects the host keys of a fleet, compares them with what
// known_hosts says, and has what a person approved written down.
//
// A [Recorder] takes the place of the trust store in a scan: it notes the key
// that a server proved to have and refuses it, so that nothing is sent to a
// server that nobody trusts yet. [Compare] sorts the hosts by what is known of
// them. [Report.Groups] folds them for review, [Report.Approvals] gives what
// hostkeys.Approve writes. [Write] and [Read] keep a scan as ssh-keyscan(1) does,
// so that what is approved is what was reviewed and not what the servers show
// by then.
//
// A scan proves nothing: whoever sits between us and a host shows his own key.
// The fingerprints have to be compared with the hosts' own by another way.
package scan
