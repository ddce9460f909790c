// Package cluster runs the hosts of a run on workers near them, over NATS JetStream.
//
//	Coordinator (an ssh.Dialer of the run's own engine)        Worker
//	  Start ─▸ shard ─▸ open record ─▸ hint in WORK ──────▸  reads the log, checks the
//	                                                          signature, appends take
//	  follows the log ◂── intents, results, done ◂────────   its own engine runs the hosts
//
// The log of a shard (subjects log.<pool>.<run>.<shard>.<writer> of the run's own stream) is the only truth. The coordinator
// opens it; a worker takes it by appending the next epoch, and writes the intent to run a
// host before any byte of its command leaves. Each append names the last sequence of the
// shard, whoever wrote it, so that one writer succeeds; each record names the digest of the one before,
// so that [Fold] notices what the server should have refused. Whoever takes a shard over
// never runs a host that has an intent. Messages in WORK are hints: losing or repeating
// them costs time only.
//
// Each writer has a subject of its own, so that permissions keep it from writing for another. A worker runs only what a key of its
// allowed-signers file has signed for its pool; NATS credentials alone run nothing.
package cluster
