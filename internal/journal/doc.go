// Package internal/journal keeps what every run intended and what happened, in an SQLite
// database in the state directory, so that it is still true after kill -9 or a
// power cut, and nothing is run twice because somebody forgot.
//
// [Open] the journal, [Journal.Begin] a run with all its targets, then for each
// target [Run.Intend] before the bytes that carry its command are handed to the
// kernel, and [Run.Result] when it has ended; [Run.End] at the end. Later
// [Journal.Runs] lists runs, [Journal.Show] tells what happened to each target,
// [Journal.Select] gives those to be run again, and [Journal.Resume] goes on
// with a run that was broken off.
//
//	Intend ─┐                    ┌─ commit: one transaction for all that wait
//	Intend ─┼─▸ batch ─▸ writer ─┤
//	Result ─┘  (bounded)         └─▸ every Intend of the batch returns
//
// Promised:
//
//   - when Intend has returned nil, the intent outlives this process, and with
//     [PowerSafe], the default, this machine's power too
//   - a target with an intent and no result since is [Intended]: nobody knows
//     whether its command ran, and no selection gives it unless asked for
//   - a transaction holds whole rows or nothing; a result that could not be
//     stored is told of by every later Intend and Result and by End
//   - a run that still goes on is told from one that crashed by a lock that the
//     kernel releases, not by a process number
//   - what was changed from outside is found: every row carries a checksum that
//     is bound to its run and to the run's input, rows are numbered without gaps,
//     and reading refuses what does not match
//
// The checksums find damage, mixed-up runs and careless edits. They have no key:
// who may write the files can make them anew, which is why the directory must
// not be writable by others.
//
// # What is kept
//
// Targets with names, ports, routes and commands, the words of package fleet for
// each end, and output. Equal bytes are kept once in the whole database. With
// [RunInfo.NoCommand] no text of a command is kept, only a hash of each with a
// salt of that run; who has the journal and a guess can test the guess. Secrets
// never reach this package: it is given none. What a command prints is kept as
// it came.
//
// # The files
//
// journal.db, journal.db-wal and journal.db-shm (mode 0600) and a directory
// journal.locks with one lock file for each run that goes on. Several processes
// may use one directory at once. The file system must be local: neither WAL nor
// flock(2) holds across machines; Open refuses those that are known not to be. The tables may be read with sqlite3(1); their
// columns are words, their times nanoseconds since 1970 in UTC.
package journal
