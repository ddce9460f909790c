// Peers runs the tools that people use today beside shoal, on the same targets
// and in the same run, and writes what each of them took.
//
//	make bench-peers                  all of it, under 25 minutes on 2 cores
//	make bench-peers PEERS=--quick    a look, under 4 minutes
//
// README.md says how it measures, what is alike for all tools and what is not.
// The way of the data:
//
//	targets (sshd, fleet) → job → tool → measure → point → peers-<date>.jsonl
//	                                                     → peers-<date>.md
//
// It wants the namespaces that the script run makes, and says so where it finds
// itself outside of them.
package main
