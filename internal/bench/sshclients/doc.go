// Command sshclients compares this repository's SSH clients with
// golang.org/x/crypto/ssh and the ssh program, on the same servers in one run,
// and prints ratios.
//
//	make bench-clients                                everything, about ten minutes on 2 cores
//	make bench-clients CLIENTS='--only cpu --quick'   one part, roughly
//
// Every measurement is a process of its own, so that CPU and memory are those
// of one client. Data flow:
//
//	server (sshd, fleet) → job → child process → taken → rows → Markdown
//
// # What is promised
//
// The clients of a part take turns, and each repeat starts with another one.
// The ratio of two clients is the median of the ratios within each repeat, with
// their minimum and maximum, so that drift of the machine affects both. For CPU
// measurements the client has one processor and GOMAXPROCS=1, and the servers
// have the others. Warm-up connections are not counted. A command that does not
// end as expected ends the whole run: failures produce no figures.
//
// # What it does not do
//
// It does not keep other processes away: run nothing else meanwhile. The load
// is printed before and after.
package main
