// Package record is the stream of results as JSON lines: what shoal writes with
// --json, keeps beside output files, and reads again for reports.
//
// [NewWriter] writes the header, [Writer.Result] one line per target and
// [Writer.Close] the summary. [Read] gives them back. [Summary] counts results
// while they pass and keeps the names of the hosts that did not end well.
//
// # The format
//
// Each line is one JSON object, ends with \n and says its "type":
//
//	run      first: format, program, run, started, command, targets, fanout
//	result   one per target, in the order of their ends
//	summary  last: targets, outcomes, reasons, elapsed_ns, interrupted
//
// The fields of a result are the words of package fleet. A field that would say
// nothing (no reason, attempt 0, no start) is absent; index, host, outcome,
// stdout, stderr and their sizes are always there. Times are RFC 3339 in UTC,
// durations whole nanoseconds, sizes bytes. host_user and host_port are what
// the inventory wrote, user and port what was used.
//
// # Bytes
//
// A text field holds any bytes. When they are valid UTF-8 the JSON string is
// exactly these bytes, U+FFFD and U+0000 included, and characters that a
// terminal would obey or hide stand as \u escapes, so that a stream may be
// looked at. Otherwise the string is their base64 (RFC 4648 §4) and a field
// beside it, "stdout_encoding":"base64" for stdout, says so.
//
// # Versions
//
// "format" is [Version]. Within one version only fields, line types and reasons
// are added: a reader skips those it does not know. Anything else, a new
// outcome, phase or flag too, is a new version, and an older reader refuses it.
//
// # Whole lines
//
// Each line is one Write, so that a killed process leaves whole lines and at
// most one torn at the end, which [Read] reports as [ErrTorn]. The package does
// not sync files.
package record

// Version is the format that this package writes and the newest that it reads.
const Version = 1
