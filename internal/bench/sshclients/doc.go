// Clients measures this repository's SSH client beside golang.org/x/crypto/ssh
// and the ssh program, on the same servers in one run, and prints ratios.
//
//	make bench-clients                                all of it, some ten minutes on 2 cores
//	make bench-clients CLIENTS='--only cpu --quick'   a look at one part
//
// Every measurement is a process of its own, so that CPU and memory are one
// client's alone. The way of the data:
//
//	server (sshd, fleet) → job → child process → taken → rows → Markdown
//
// # What is promised
//
// The clients of a part take turns, and each repeat begins with another one. The
// ratio of two clients is the median of the ratios within each repeat, with the
// least and the greatest of them, so that a machine that drifts meets both.
// Where CPU is measured, the client has one processor and GOMAXPROCS=1, and the
// servers have the others. Connections before those that are counted warm it
// up. A command that does not end as it should ends the whole run: no figure is
// made from what failed.
//
// # What it will not do
//
// It does not move other processes away: have nothing else running. The load
// is printed before and after.
package main
