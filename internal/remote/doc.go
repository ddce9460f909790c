// Package remote wraps commands in a POSIX shell script at the far end, so that a command
// runs once, is stopped after a time limit, can be killed, or runs on after we disconnect,
// and so that its result can be queried later. The package does no I/O: it generates
// command lines and parses answers.
//
// [Wrap.Request] returns the text for the exec request that replaces the command. A [Marker]
// returns the texts of later queries, each sent on a channel of its own: [Marker.Settle],
// [Marker.Kill], [Marker.Collect], [Marker.Forget], [Marker.Discard], and [Sweep] for all
// old markers.
// [ParseReport] parses the answers, and [ParseRefusal] finds in the standard error why a
// wrapped command was not started.
//
// # What is promised
//
// The account's own shell ($SHELL, else sh) runs the wrapped command as it would run it
// without the wrapper, with the same standard input and output, PATH and umask; output and
// exit status are unchanged. Three things differ. Death by signal n is seen as exit status
// 128+n, as every shell reports it. A file that the login shell reads at each start is
// read twice, the first time before the wrapper. SHLVL may be higher by one.
//
// A refused command was not started and never will be. The wrapper writes the line
//
//	shoal/1 NONCE refused WORD
//
// to the standard error, and the exit status is [StatusAgain], [StatusNoMarker] or
// [StatusNoGroup]. A command may use these statuses itself, but it cannot know the nonce.
//
// With [Wrap.Confirm] the last line on the standard error is
//
//	shoal/1 NONCE recorded
//
// which proves that the wrapper has run, and nothing else has read the command.
//
// On a timeout the wrapper dies by SIGALRM, which arrives as exit-signal ALRM (RFC 4254
// §6.10). The command's own signals arrive as 128+n, and the wrapper survives ALRM, and
// most other signals, sent to its group. timeout(1) is not used: its variants differ, its
// status 124 may also be the command's, and after KILL it returns 137. A command that
// survives TERM is reported as KILL instead, since the group's KILL reaches the wrapper
// too; the marker says timeout in both cases. From TERM on it says so whatever ends the command,
// also a KILL of it from elsewhere: it was told to end, and how it did tells nothing more.
//
// # Which shells
//
// The text is one line,
//
//	exec /bin/sh -c 'eval "$0"' 'SCRIPT' '' 'COMMAND'
//
// Between the single quotes there is no quote, exclamation mark or newline, and no
// backslash before a quote or a backslash. The line therefore means the same to dash,
// bash, ash, ksh, mksh, zsh, csh, tcsh and fish. Such bytes of the command are sent as
// \0ooo and decoded by the script. The scripts use POSIX sh plus kill -0 -PID, test -O and
// head -c. Without a POSIX shell (PowerShell, a forced command, nologin) nothing is
// refused and no marker is written, and Settle gets no valid answer.
//
// # Long commands
//
// A command that does not fit into one argument (MaxLine) goes through standard input: the
// line then has a script that stores it in a private directory, the marker's or a new one
// in $TMPDIR, /tmp, /var/tmp or $HOME, checks its length and, if the host can, its SHA-256,
// and only then claims the right to start. The account's shell reads the file by "." or
// "source", or gets it as an argument if it is a shell that we do not know. The command's
// own standard input follows. The file is removed when the command has ended, with every end
// that the wrapper, its watch or [Marker.Kill] sees; KILL from elsewhere leaves it to
// [Marker.Forget] and [Sweep], or to the cleaner of /tmp.
//
// # Scripts
//
// With [Wrap.Script] a file arrives as a long command does, and is run as
//
//	INTERPRETER [ARGUMENT] FILE WORDS...
//
// after the wrapper has found the interpreter. Neither the account's shell nor a directory
// mounted noexec matters to it. An ELF file is executed itself: its private directory is one
// that allows that, and its machine is compared with that of the host's /bin/sh. Without an
// input of its own a script reads /dev/null. Directly before it starts, unless it is detached,
// the wrapper writes the line of [ScriptStarted] to both streams.
//
// # Standard input
//
// The command reads its standard input itself, from the channel; nothing of the wrapper does,
// except for a long command before it. The input of a detached command is stored first, and
// checked as a long command is; the command gets the file, which has no name any more.
//
// # Place
//
// [Place] adds variables, a working directory and a umask. The variables are set by env(1) as
// the last thing before the account's shell, whose own files may change them again. They are
// encoded like a command, in the wrapper's command line. The directory is entered before the
// right to start is claimed: if that fails, nothing was started.
//
// [Secrets] are variables too, whose values come through standard input before everything else:
// dd(1) reads them, byte by byte, into variables of the wrapper's shell, which exports them in the
// subshell of the command. Nothing starts unless all of them have come.
//
// # Becoming another user
//
// [Become.Line] puts a command, or a line of this package, into another line,
//
//	exec /bin/sh -c 'eval "$0"' 'OUTER' 'INNER' WORDS...
//
// whose OUTER script runs as the account and starts "sudo … /bin/sh -c INNER NONCE WORDS…", or
// doas or su in the same way. INNER runs as the other user and writes the line
//
//	shoal/1 NONCE became
//
// to both streams, which nothing of the command precedes. If a password may be asked for, it then
// reads [Go] from standard input, byte by byte, and does not start the command without it. So
// what was not sent does not run, and sudo, which reads the password from there too, gets
// nothing else. doas and su read from a terminal, which cannot tell a prompt from other text: a
// process of OUTER looks when the terminal ceases to show what is typed.
//
// # Markers
//
// A marker is a directory RUN-INDEX, or RUN-INDEX.ATTEMPT after the first attempt, in the
// run directory: [Marker.Dir], or $HOME/.local/state/shoal/marks. The run directory must
// be a directory, not a symbolic link, be owned by the account and have mode 0700;
// otherwise nothing is started. There is no second directory to fall back to, because with
// two directories a command could start twice. It is not in $XDG_RUNTIME_DIR, which is
// removed at logout. In the directories above it, only root and the account may be able to
// rename entries, as in /var/tmp. A marker contains
//
//	start   shoal 2 PID PGID BOOT BORN NS HOST   who runs it; PGID 0 without a process group of its own
//	run     symbolic link to "start" or to "never": the right to start
//	end     exit N, timeout N or killed N, with a final newline
//	gone    no process of the group was left after the end: its number may have been reused
//	out     standard output, of a detached command
//	err     standard error, of a detached command
//	cmd     a long command or a script, until it has ended
//	in      the standard input of a detached command, until it starts
//
// If several starts compete, the one whose mkdir creates the directory continues. The
// creation of run decides between that start and a Settle: the first one makes the other
// impossible. BOOT is Linux's boot_id and BORN the process's start time in clock ticks
// since boot; both are "-" on other systems. They tell the process from a later one with
// the same number. A group without its leader and without an end is the command's only if it
// has a process about as old as BORN; otherwise it may be another's, and the state is unclear.
//
// NS is the pid namespace and HOST is uname -n. The marker of another host (a shared home)
// or namespace (a container) is unclear, unless it has an end, and is left alone. "shoal
// 1" has neither field: a start of that version that is neither alive nor ended is
// unclear. On a full disk the end is written as the second line of start. Once run exists,
// the marker and start get the sticky bit. A marker that has the bit, output or an end,
// but no run, was damaged by a cleaner of old files, and is unclear.
//
// A later attempt first settles all earlier ones, and is refused if one of them has
// started. A detached command sends its receipt after start and run are written, read back
// and synced; other markers are not synced to disk. A recent marker may be lost in a power
// cut. A report therefore contains the time since boot, which [Report.DidNotRun] checks.
//
// # Answers
//
// An answer follows any output of the login shell, and is
//
//	shoal/1 NONCE
//	at BOOT NS HOST           where; as in start
//	state absent|claimed|never|running|orphaned|lost|unclear
//	state ended exit|timeout|killed N
//	left                      processes of its group are alive, or cannot be looked for
//	up SECONDS                since boot
//	kill ended|rest|gone|alive|unclear
//	missing                   a file of output has been removed
//	out SIZE FROM LENGTH      followed by LENGTH bytes and a newline; err likewise
//	forgotten | kept          after Forget and Discard
//	swept REMOVED KEPT
//	accepted                  the receipt of a detached start
//	end NONCE
//
// with only the lines that belong to the query.
//
// # Limits
//
// A marker is on one machine. Where one name or address leads to several, answers say which
// one they are from ("at"); package internal/run compares them.
//
// A process that creates its own session (a daemon) leaves the group: it is not found,
// killed or waited for. If systemd's logind has KillUserProcesses=yes, a detached command
// ends with the session unless lingering is enabled for the account; Settle then says
// lost. A command that stops its own group (STOP) is continued and ended a second or two
// after its time limit, if the host has setsid(1). Real-time signals to the group end the
// timer of the time limit. So may a storm of other signals if /bin/sh is ksh93 and there is no
// dash, bash, mksh or busybox to hand over to; the status may then be wrong too.
package remote
