// Package hold keeps connections open between commands. A [Pool] is an ssh.Dialer that stands
// before another one: Dial returns at once where a connection to the same endpoint is held, with
// the same user and settings, and dials otherwise. So nothing above it changes: attempts, the
// wrapper, outcomes, retries and limits are those of connections that are dialled.
//
//	engine → wrapper → Pool.Dial → held? a lease on it : Dialer.Dial
//	lease.Start → StartNext on the held connection → done → the pool has it back
//
// # What certainly did not run
//
// A held connection that has ended, or that refuses another session, has not run the command if the
// attempt is never started. Then the lease dials, once, as a part of the same attempt. What happens
// later follows the ordinary rules.
//
// # Trust
//
// Before a held connection is used its host key is checked again, by what is current then
// ([Pool.Use]). The pool remembers the key of each endpoint: [Pool.HostKeys] refuses another one
// where known_hosts does not vouch for it, with fleet.ReasonHostkeyReplaced.
package hold
