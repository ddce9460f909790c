// Package watch says when a command is started on hosts again, and what has changed in their
// answers since the time before. It knows no SSH, no flags and no terminal.
//
//	Schedule.Run ─▸ tick ─▸ results ─▸ Comparer.Add ─▸ events ─▸ Comparer.Changes: by group
//	                                        └─▸ confirmed events, once an answer has held
package watch
