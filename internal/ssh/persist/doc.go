// Package persist lets one process, the holder, hold the connections of another one's runs. A
// [Dialer] is the run's side: an ssh.Dialer that passes attempts on over a Unix socket. A [Holder]
// is the other side: it makes connections with package client, holds them in a hold.Pool, and
// runs what it is sent.
//
//	engine → wrapper → Dialer ═══ frames ═══ session → hold.Pool → client
//	             ↘ the run's own client, for what the holder must not or cannot do
//
// # Who decides
//
// The run does. The holder reads no known_hosts, no key and no agent: it asks the run for the
// verdict on a host key, for the keys to offer and for each signature, as the client asks the
// packages hostkeys and auth within one process. So no secret crosses the socket, and no host is
// reached without the checks of the very run that reaches it. Before a held connection is used,
// the run gets its host key and the user key that logged in, and may have it closed instead.
//
// Passing the descriptor of a connection (SCM_RIGHTS) with the state of its cipher would avoid
// copying output. But then traffic keys cross the socket, each of two processes has to continue
// where the other stopped, a run that is killed within a packet leaves a connection whose state
// nobody knows, and rekeying and keepalives stop while it is away.
//
// # What may have run
//
// A command travels with its attempt, and is a mere intention until the run has recorded its
// intent and said so. From the moment that this word is passed to the kernel the command may have
// run; only the holder's report that it did not is a proof, and the holder makes it by the rules of
// ssh.Execution. If either process dies, this is what remains: the run reports what was handed
// over and not reported back as unknown, and everything else as never started; the holder abandons
// the commands of a run that is gone, as the end of the run's own connections would.
package persist
