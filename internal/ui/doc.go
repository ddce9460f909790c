// Package ui makes text safe and pleasant for a terminal.
//
// Start with [AppendVisible] (or [Visible] for short strings): it turns every
// byte that could move the cursor, hide, reorder or rewrite text into a visible
// escape, so that what a hostile host sends can be shown. [Outlet] says what
// may be written to a stream: whether it is a terminal, how wide, in colour or
// not. [Count], [Bytes] and [Duration] format numbers for people; [Truncate]
// and [Width] work in terminal columns.
//
// The package knows nothing of hosts or results and writes nothing itself.
package ui
