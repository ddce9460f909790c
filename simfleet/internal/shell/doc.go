// Package shell is as much of a POSIX shell as a simulated host needs: call
// [Run] with a command line and a [Process]. It starts no program, opens no
// file and reads no environment; what it cannot do it refuses with a message
// on stderr and a status, as a shell does, and never guesses.
//
// The grammar: words with '…', "…" and \ quoting, $$ and $?, the operators ;
// && || and newline, # comments, and the redirections >&2, 1>&2 and 2>&1 of
// one command. Any other special character outside quotes is a syntax error
// (status 2).
//
// The commands:
//
//	echo [-n] WORD…      escapes are left alone, as in bash
//	printf FORMAT WORD…  %s %b %c %d %u %x %% and the escapes \a \b \e \f \n \r
//	                     \t \v \\ \" \NNN \xHH
//	true, false, :       statuses 0, 1 and 0
//	exit [N]             ends the line
//	sleep N[smhd]…       fractions allowed; ends early with the context
//	cat [-]              stdin to stdout
//	sha256sum            of stdin
//	head -c N [FILE]     of stdin, /dev/zero or /dev/urandom; K, M and G suffixes
//	yes [WORD…]          without end
//	hostname, whoami     who the Process says it is
//	kill [-SIGNAL] $$    ends the shell by that signal
//
// Any other command is not found: status 127. [Parse] finds the lines in which no
// such thing is, and which therefore mean the same here as to package posix.
package shell
