// Package internal/remote keeps the far end of a command under control: it makes of a
// command the text that goes into the exec request instead, so that the command
// runs once, is stopped in time, can be killed, or runs on without us, and so
// that what became of it can be asked later. It sends nothing: it gives texts
// and reads answers.
//
// Call [Wrap.Line] for what is sent instead of the command. A [Marker] gives
// the texts that are sent later, on a channel of their own: [Marker.Settle],
// [Marker.Kill], [Marker.Collect], [Marker.Forget], and [Sweep] for all old
// ones. [ParseReport] reads their answers, [ParseRefusal] finds in the standard
// error why a wrapped command was not started, and a [Cutter] removes what
// came before the line of [Wrap.Sentinel].
//
// # What is promised
//
// The wrapped command is run by the account's own shell ($SHELL, else sh), as
// it would be unwrapped, with its own standard input and output, PATH and
// umask; its output is not touched and its exit status is kept. Three things
// differ. A death by signal n is seen as exit status 128+n, as every shell
// reports it. A file that the login shell reads at each start is read twice,
// once before the wrapper. SHLVL may be higher by one.
//
// A wrapped command that is refused was not started, now or later: one line
//
//	shoal/1 NONCE refused WORD
//
// stands alone on the standard error, and the exit status is [StatusAgain],
// [StatusNoMarker] or [StatusNoGroup]. A command may use these statuses itself;
// it cannot know the nonce.
//
// A timeout is told by the wrapper's own death by SIGALRM, which arrives as
// exit-signal ALRM (RFC 4254 §6.10). The command's own signals come as 128+n, and
// the wrapper outlives ALRM, and most others, that are sent to its group. timeout(1) is not used: its forms
// differ, its status 124 may be the command's, and after KILL it says 137.
// A command that outlives TERM shows as KILL instead, since the group's KILL
// reaches the wrapper too; the marker says timeout in any case.
//
// # Which shells
//
// The text is one line, exec /bin/sh -c 'eval "$0"' 'SCRIPT' ” 'COMMAND', in
// which only ordinary characters stand between single quotes: no quote,
// backslash before a quote or a backslash, exclamation mark or newline. It
// therefore means the same to dash, bash, ash, ksh, mksh, zsh, csh, tcsh and
// fish. Such bytes of the command travel as \0ooo and are decoded there. The
// scripts keep to POSIX sh with kill -0 -PID, test -O and head -c. Where there
// is no shell (PowerShell, a forced command, nologin) nothing is refused and
// nothing is marked: the sentinel is missing, and Settle gets no answer of ours.
//
// # Markers
//
// A marker is a directory RUN-INDEX, or RUN-INDEX.ATTEMPT after the first
// attempt, in the run directory: [Marker.Dir], or $HOME/.local/state/shoal/marks. The
// run directory must be a directory, no symbolic link, the account's own and
// of mode 0700; otherwise nothing is started. There is no second place to fall
// back to, since two places could start a command twice, and it is not
// $XDG_RUNTIME_DIR, which a logout removes. In the directories above it, only
// root and the account may be able to rename, as in /var/tmp. In a marker stand
//
//	start   shoal 2 PID PGID BOOT BORN NS HOST   who runs it; PGID 0 without a process group of its own
//	run     symbolic link to "start" or to "never": the right to start
//	end     exit N, timeout N or killed N, with a final newline
//	gone    nothing was left of the group after the end: its number may be anybody's
//	out     standard output, of a detached command
//	err     standard error, of a detached command
//
// mkdir of the directory decides which of several starts goes on, and the
// creation of run decides between that start and a Settle: whichever comes
// first, the other is impossible from then on. BOOT is Linux's boot_id and BORN
// the process's start time in clock ticks since boot; both are "-" elsewhere.
// They tell a process from one that has its number today.
//
// NS is the pid namespace and HOST is uname -n. The marker of another host (a
// shared home) or namespace (a container) is unclear, unless its end is written
// down, and is left alone. "shoal 1" has neither: such a start that is neither
// alive nor ended is unclear. On a full disk the end is the second line of start.
// Once run is there, the marker and start get the sticky bit: a marker that has it,
// or output, or an end, and lacks run has been cleaned up, and is unclear.
//
// A later attempt settles all earlier ones first, and is refused where one of them
// has started. The receipt of a detached command comes when start and run are
// written, read back and synced; other markers are not synced to disk. After a power cut a young one may be gone, so
// a report carries the time since boot, and [Report.DidNotRun] asks for it.
//
// # Answers
//
// An answer follows whatever the login shell printed, and is
//
//	shoal/1 NONCE
//	state absent|claimed|never|running|orphaned|lost|unclear
//	state ended exit|timeout|killed N
//	left                      processes of its group go on, or cannot be looked for
//	up SECONDS                since boot
//	kill ended|gone|alive|unclear
//	out SIZE FROM LENGTH      and LENGTH bytes and a newline; err likewise
//	forgotten | kept          after Forget
//	swept REMOVED KEPT
//	accepted                  the receipt of a detached start
//	end NONCE
//
// with only those lines that the question asks for.
//
// # Limits
//
// A process that makes a session of its own (a daemon) leaves the group and is
// not found, killed or waited for. Where systemd's logind has
// KillUserProcesses=yes, a detached command ends with the session unless the
// account lingers; Settle then says lost. STOP and real-time signals to the
// command's own group stop or end what watches the time limit too, and so may a
// storm of other signals where /bin/sh is ksh93 and there is no dash, bash, mksh or
// busybox to hand over to: the status may be wrong there too.
package remote
