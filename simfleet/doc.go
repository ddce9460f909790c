// Package simfleet simulates a fleet of SSH servers, good and hostile, in one process, for tests
// and benchmarks. Call [Start]; every host then has its own address in 127.0.0.0/8, on the same
// port, behind one listener. [Fleet.WriteHosts], [Fleet.WriteKnownHosts] and [Fleet.WriteKey]
// write the files that a client needs, without any connection.
//
// # Guarantees
//
// Only loopback is served. Every key is derived from the seed. Clients see the timing of a
// network with the configured latency (see [Options.Latency]). Every exec request is in
// [Fleet.Log] before its answer is sent, and [Check] compares that log with a run's results: it
// finds commands reported as run that did not run, commands that ran twice, and every lost byte.
// Close waits for every goroutine.
//
// # Not included
//
// It starts no program and touches no file: commands are those of a small
// shell, listed at shell.Run in internal/shell. There are no terminals and no
// subsystems. A connection may stay
// unauthenticated for ever; there is no LoginGraceTime.
package simfleet
