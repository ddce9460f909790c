// Command tools compares shoal with the tools that people use today, on the
// same targets and in the same run, and writes the time and resources of each.
//
//	make bench-peers                  everything, under 25 minutes on 2 cores
//	make bench-peers PEERS=--quick    roughly, under 4 minutes
//
// README.md describes the method, and what is the same for all tools and what
// is not. Data flow:
//
//	targets (sshd, fleet) → job → tool → measure → point → peers-<date>.jsonl
//	                                                     → peers-<date>.md
//
// It needs the namespaces that the script run creates, and refuses to run
// without them.
package main
