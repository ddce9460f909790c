// Package simfleet is a fleet of SSH servers in one process, good and hostile,
// to test and to measure against. Call [Start]; every host then listens on an
// address of its own in 127.0.0.0/8, on the same port, behind one listener.
// [Fleet.WriteHosts], [Fleet.WriteKnownHosts] and [Fleet.WriteKey] write what a
// client needs, without a connection having been made.
//
// # What is promised
//
// Nothing but loopback is ever served. Every key follows from the seed. Latency
// is what a network of that latency would show (see [Options.Latency]). Every
// exec request is in [Fleet.Log] before its answer leaves, and [Check] joins
// that log with a run's results: it finds what was said to have run and did
// not, what ran twice, and every byte that was lost. Close waits for every
// goroutine.
//
// # What it will not do
//
// It starts no program and touches no file: commands are those of a small
// shell, listed at shell.Run in internal/shell. There are no terminals, no
// subsystems, no forwarding and no passwords. A connection may stay
// unauthenticated for ever; there is no LoginGraceTime.
package simfleet
