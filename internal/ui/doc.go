// Package ui formats text for terminals and makes untrusted text safe to print.
//
// Start with [AppendVisible] (or [Visible] for short strings): it replaces every byte that
// could move the cursor, or hide, reorder or rewrite text, with a visible escape, so that
// output of hostile hosts can be printed. [Outlet] describes an output stream: whether it
// is a terminal, its width, and whether to use colours. [Count], [Bytes] and [Duration]
// format numbers for people; [Truncate] and [Width] measure text in terminal columns.
//
// The package does not depend on hosts or results and does no I/O except queries of the
// terminal.
package ui
