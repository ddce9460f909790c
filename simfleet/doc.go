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
// finds commands reported as run that did not run, commands that ran twice, and every lost byte,
// also of commands in wrappers. [Fleet.Files] has the digest of every file and, with
// [Options.RecordNames], every name that one had.
// Close waits for every goroutine.
//
// # Hosts
//
// A host has a POSIX shell, files, users and processes of its own, in memory (packages posix and
// memfs in internal). They exist from the first command that needs them, until Close: a command
// that goes on when its connection ends is still there later, and so are files. The files are
// also served by SFTP, with OpenSSH's extensions. Simple lines, such as `echo hello 7`, are run by
// a small shell (internal/shell), which costs next to nothing.
//
// # Servers
//
// Connections are served by internal/ssh/wire or by golang.org/x/crypto/ssh: see
// [Options.Server]. The first one is half as expensive and takes what is sent early; the second
// one is independent of this module's clients. Hosts with faults are served by the first one, or by
// writers of raw packets. What floods send, they send together as a link of 1 Gbit/s would bring it.
//
// # Not included
//
// Nothing of a host is real: no program is started, and no file of the real system is touched.
// There are no terminals. A connection may stay unauthenticated for ever; there is no
// LoginGraceTime.
package simfleet
