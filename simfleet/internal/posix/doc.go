// Package posix simulates the machine behind one SSH server: users, files,
// processes and a POSIX shell. [Host.Start] runs a command line as sshd does.
//
// Nothing of it is real. The shell is an interpreter of its own, on the syntax
// trees of mvdan.cc/sh; files are those of package memfs, processes are
// goroutines, and programs are functions. The package imports nothing that can
// open a file, start a program or read the environment.
//
// The shell follows POSIX, and dash where POSIX leaves a choice, with local.
// Processes have numbers, parents, groups, sessions, descriptors and signals:
// traps, kill, wait, background jobs and /proc/PID/stat work, and killed
// processes end at once. The programs are those in /usr/bin; they have the
// options that scripts use most, and refuse others.
//
// Different from a real host: echo leaves backslashes alone; processes cannot be
// stopped (STOP and TSTP are ignored) and are not zombies before their parent
// waits; there is no terminal; set -x, -n, -C and -a, and ulimit but for -f, are
// errors; a script on standard input is read no further than it must be. A job in
// the background does not keep the host from being closed.
package posix
