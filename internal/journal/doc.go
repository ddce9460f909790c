// Package journal records in an SQLite database what every run intended and what
// happened, so that a run can be resumed after kill -9 or a power cut and no command
// runs twice.
//
// [Open] the journal and [Journal.Begin] a run with all its targets. For each target
// call [Run.Intend] before the bytes that carry its command are handed to the kernel,
// and [Run.Result] when it has ended. Call [Run.End] at the end. Later,
// [Journal.Runs] lists runs, [Journal.Show] returns what happened to each target,
// [Journal.Select] returns the targets to run again, and [Journal.Resume] continues a
// run that crashed or was interrupted.
//
//	Intend ─┐                    ┌─ commit: one transaction for all waiting calls
//	Intend ─┼─▸ batch ─▸ writer ─┤
//	Result ─┘  (bounded)         └─▸ every Intend of the batch returns
//
// The package promises:
//
//   - Once Intend has returned nil, the intent survives the death of this process and a
//     power cut.
//   - A target with an intent and no later result is [Intended]: it is unknown
//     whether its command ran, and a selection includes it only on request.
//   - A transaction is atomic. A result that could not be stored is reported by
//     every later Intend and Result and by End.
//   - A lock that the kernel releases, not a process number, tells a running run
//     from a crashed one.
//   - Nothing is selected from a run whose rows cannot be read or are missing.
//
// The journal keeps targets with names, ports, routes and commands, and results with
// output. Equal byte strings are stored once in the whole database, under their hash. With
// [RunInfo.NoCommand] it stores no command. This package is never given secrets, but what
// a command prints is stored unchanged.
//
// The files are journal.db, journal.db-wal and journal.db-shm (mode 0600) and a
// directory journal.locks with one lock file per running run. Several processes may
// use one directory at the same time. The file system must be local, because neither
// WAL nor flock(2) works across machines; Open refuses file systems that are known to
// be shared.
//
// The tables can be read with sqlite3(1); times are nanoseconds since 1970 in UTC. What
// the columns of results lack is in results.record, in the format of package record:
//
//	SELECT host, outcome, record ->> 'error' FROM results JOIN targets USING (run, idx)
package journal
