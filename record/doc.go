// Package record reads and writes results as JSON lines: the format of --json, of the
// manifest beside output files, which reports read, and of the results in the journal.
//
// [NewWriter] writes the header, [Writer.Result] one line per target and [Writer.Close]
// the summary. [Read] reads them. [Summary] counts results and keeps the names of the
// hosts that did not end well.
//
// # The format
//
// Each line is one JSON object that ends with \n and has a "type":
//
//	run      first: format, program, run, started, command, targets, fanout
//	result   one per target, in the order in which they ended
//	summary  last: targets, outcomes, reasons, elapsed_ns, interrupted
//
// The fields of a result use the terms of package fleet. A field without information (no
// reason, attempt 0, no start) is omitted; index, host, outcome, stdout, stderr and their
// sizes are always present. Times are RFC 3339 in UTC, durations are integers in
// nanoseconds, sizes are in bytes. agent_signatures are those of a forwarded agent. become_output
// is what the host wrote before the command's user was the other one. host_user
// and host_port are the values of the inventory, user and port those that were used. Where
// connections are held between commands, held_ns is the age of the one that the command had, or
// dialled is why it got a new one.
//
// # Bytes
//
// A text field can contain any bytes. If they are valid UTF-8, the JSON string has exactly
// these bytes, including U+FFFD and U+0000. Characters that a terminal would interpret or
// hide are written as \u escapes, so that a stream can be printed. Other bytes are encoded
// in base64 (RFC 4648 §4), and an additional field says so, such as
// "stdout_encoding":"base64" for stdout.
//
// # Versions
//
// "format" is [Version]. Within one version only fields, line types, reasons and flags are added,
// and a reader ignores those that it does not know. A new flag is a fact beside the others and
// changes the meaning of none, as a new field would be. Any other change, such as a new outcome
// or phase, needs a new version, which older readers refuse.
//
// schema.json beside the source is the format as a JSON Schema (draft 2020-12), for a line of
// any type; it is generated from the types that read the lines, and only grows.
//
// # Whole lines
//
// Each line is written with a single Write, so that a killed process leaves complete lines
// and at most one torn line at the end, which [Read] reports as [ErrTorn]. The package
// does not sync files.
package record

// Version is the version of the format that this package writes, and the newest that it
// reads.
const Version = 1
