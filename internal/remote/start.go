package remote

// The parts of the script that starts a command. A test checks that they contain no single
// quote, no backslash, and no exclamation mark except before a blank, where csh ignores
// it. Names begin with _ because a variable that came with the environment stays in the
// command's environment with its changed value. $0 is the script's own text, $1 the stage
// (empty; g: in a group of its own; e: about to leave the session; d: detached), $2 the
// command, unless receive.go has it.

// handOver replaces ksh93 by another shell if there is one. When a signal arrives at its
// group, 93u+m 1.0.4 returns from wait with a status that is not the command's, or before
// the command's end. $3 is set in the other shell, since KSH_VERSION may be in the
// environment.
const handOver = `case $3${KSH_VERSION-} in Version*) for _t in /bin/dash /bin/bash /usr/bin/bash /bin/mksh /bin/busybox; do ` +
	`[ -x $_t ] || continue; _s=; case $_t in */busybox) _s=sh;; esac; exec $_t $_s -c "$0" "$0" "$1" "$2" o; done;; esac; `

// startScript keeps the shell's own messages ("Killed") out of the command's standard
// error, which is saved as descriptor 3, and finds the tools if PATH is empty. no removes
// a claimed marker (_y) except for what a Settle has put there.
const startScript = `
_p=$PATH;
PATH=/usr/bin:/bin:/usr/sbin:/sbin${PATH:+:$PATH};
_u=$(umask);
umask 077;
exec 3>&2 2>/dev/null;
_y=; case $1 in d|e) _y=1;; esac;
no() {
[ "$_y" ] && { rm -f "$_m/start" "$_m/out" "$_m/err" "$_m/cmd"; rmdir "$_m"; };
echo "shoal/1 $_n refused $1" >&3; exit $2; };
`

// decodeScript appends a dot because $() drops final newlines, and removes it in the C
// locale: in other locales bash 5.2 returns freed memory if the text begins with an
// invalid byte and a backslash.
const decodeScript = `
_c=$(printf %b. "$2") || no printf 122;
_l=${LC_ALL-none};
LC_ALL=C;
_c=${_c%.};
[ "$_l" = none ] && unset LC_ALL || LC_ALL=$_l;
`

// groupScript creates a process group. Most servers start a command as the leader of a
// group already. setsid(1) forks only if its caller leads a group, so it does not fork
// here.
const groupScript = `
kill -0 -$$ || {
[ "$1" ] && no group 123;
_t=$(command -v setsid) || no group 123;
PATH=$_p;
umask $_u;
exec "$_t" "$_i" -c "$0" "$0" g "$2" 2>&3 3>&-;
};
`

// toolScript defines functions. safe checks the run directory. born sets _t to the birth
// time of a process and _a to its state (proc(5), stat, fields 22 and 3). here sets
// variables that identify this machine and its process namespace. began reports whether a
// marker has traces of a command although a cleaner has removed the link run. ends records
// the end; on a full disk it appends it to start, whose block is allocated.
const toolScript = `
safe() {
[ "$_b" ] && [ -d "$_b" ] && [ -O "$_b" ] || return 1;
[ -L "$_b" ] && return 1;
case $(ls -ld "$_b") in drwx------*) return 0;; esac;
return 1; };
born() {
_t=; _a=;
read -r _t <"/proc/$1/stat" || return 1;
_t="${_t##*") "}";
set -- $_t;
_a=$1; _t=${20}; };
here() {
read -r _B </proc/sys/kernel/random/boot_id || _B=-;
_N=$(readlink /proc/self/ns/pid);
_N=${_N:--};
_H=$(uname -n);
case $_H in ""|localhost*) _H=-;; esac; };
began() {
[ -k "$1" ] || [ -e "$1/end" ] || [ -s "$1/out" ] && return 0;
_w=; read -r _w _t <"$1/err";
case $_w in ""|shoal/1) return 1;; esac;
return 0; };
ends() {
echo "$1" >"$_m/end";
read -r _e _t <"$_m/end" || echo "$1" >>"$_m/start"; };
`

const claimScript = `
[ "$_y" ] || {
[ "$_b" ] || no home 122;
mkdir -p "$_b";
safe || no directory 122;
EARLIER
mkdir "$_m" || {
[ -e "$_m" ] || [ -L "$_m" ] && no again 121;
no marker 122; };
_y=1; };
`

// earlierScript settles the earlier attempts. old prints how many of them will never
// start; unless that is all, the start is refused.
const earlierScript = `
old() {
set --; _t=0;
while [ $_t -lt ATTEMPT ]; do
_o=$_b/NAME; [ $_t = 0 ] || _o=$_o.$_t;
[ -L "$_o/run" ] || began "$_o" || { mkdir "$_o"; ln -s never "$_o/run"; };
set -- "$@" "$_o/run";
_t=$((_t+1));
done;
ls -ld "$@" | grep -c "/run -> never$"; };
[ "$(old)" = ATTEMPT ] || RERUN no again 121;
`

// detachScript detaches the command. The detached shell reports when it owns the marker
// and the marker is on disk; only then is the receipt sent. The script leaves the session
// with setsid(1) twice: the first makes the process a leader, so that the second forks and
// nothing waits for the command. cat reads until the receipt arrives, since ksh waits for
// the first process of a pipeline only. A shell starts a command with & with INT and QUIT
// ignored; this is the fallback without setsid.
const detachScript = `
case $1 in d) ;; e)
_t=$(command -v setsid);
PATH=$_p;
umask $_u;
exec "$_t" "$_i" -c "$0" "$0" d "$2" 2>&3 3>&-;; *)
trap "" HUP;
_t=$(command -v setsid);
PATH=$_p;
umask $_u;
if [ "$_t" ]; then
_r=$("$_t" "$_i" -c "$0" "$0" e "$2" </dev/null 2>&3 3>&- | cat);
else
_r=$({ "$_i" -c "$0" "$0" d "$2" </dev/null 2>&3 3>&- & } | cat);
fi;
[ "$_r" = accepted ] || exit 122;
echo "shoal/1 $_n"; echo accepted; echo "end $_n";
exit 0;; esac;
true >"$_m/out" && true >"$_m/err" || no marker 122;
`

// beginScript takes the right to start by creating the link. It reads back what it wrote,
// because a full disk may show only then. Cleaners do not remove files with the sticky bit
// (tmpfiles.d(5)), and the bit shows that the command had begun if one removed the link.
const beginScript = `
born $$;
here;
_g=0; kill -0 -$$ && _g=$$;
_t="shoal 2 $$ $_g $_B ${_t:--} $_N $_H";
echo "$_t" >"$_m/start";
_s=; read -r _s <"$_m/start";
[ "$_s" = "$_t" ] || no marker 122;
ln -s start "$_m/run" || {
[ -L "$_m/run" ] && no settled 121;
no marker 122; };
chmod +t "$_m" "$_m/start";
`

// acceptScript sends the receipt. A sync(1) that accepts no file names syncs everything or
// nothing. PIPE arrives if no one waits for the receipt any more.
const acceptScript = `
sync "$_m/start" "$_m" "$_b" >/dev/null;
trap : PIPE;
echo accepted;
exec >"$_m/out" 3>"$_m/err";
`

// watchScript starts the watch, the process that waits for the time limit. The watch is a
// member of the group that it ends, which prevents reuse of the group's number, and exits
// with 9 if it ended the command. It ignores all signals sent to the group. USR1 means
// that the command has ended only if _q has ended too: a process that ignores the same
// signals and that only the wrapper ends. halt checks once more after the trap is set, for
// a USR1 that came before. In ksh a subshell cannot trap a signal that was ignored at its
// start. ksh93 (no _h) cannot ignore ALRM for a program, only in its own sleep, and traps
// end its waits at random: there the watch has no trap and polls ten times a second. The
// trap does not wait for the process that it killed, since zsh sometimes (once in some
// thousands) waits in a trap for ever. The trap redirects with exec: a redirected function
// call would keep the command's output open on another descriptor, and with it the
// channel.
const watchScript = `
_h=exec; case $3${KSH_VERSION-} in Version*) _h=;; esac;
hold() { [ "$_h" ] || { sleep $1; exit; }; exec sleep $1; };
halt() { kill -0 $_q || kill -9 $! ; };
watch() {
if [ "$_h" ]; then
( exec sleep SECONDS ) &
trap halt USR1;
halt;
while :; do
wait $! ; _r=$?;
[ $_r -gt 128 ] && kill -0 $_q && kill -0 $! || break;
done;
else
_r=0; _t=0;
while [ $_t -lt TENTHS ] && kill -0 $_q; do sleep 0.1; _t=$((_t+1)); done;
fi;
[ $_r = 0 ] && kill -0 $_q || { [ "$_h" ] && kill -9 $! ; exit 0; };
trap "" USR1;
( sleep GRACE; NOTE kill -ALRM $$; kill -KILL -$$ ) &
kill -TERM -$$;
kill -CONT -$$;
exit 9; };
trap "" SIGNALS FAULTS;
[ "${KSH_VERSION-}" ] && trap : USR1;
( trap "" USR1; exec </dev/null >/dev/null 2>&1 3>&-; hold HOLD ) &
_q=$! ;
( trap "" USR1; exec </dev/null >/dev/null 2>&1 3>&-; watch ) &
_d=$! ;
trap - FAULTS;
`

// signals are those that a command may send to its group and that the wrapper survives; 6
// is ABRT, which zsh calls by another name. faults are not trapped, since a shell with
// such a fault must end.
const (
	signals = "HUP INT QUIT 6 USR1 USR2 PIPE ALRM TERM XCPU XFSZ VTALRM PROF"
	faults  = "ILL TRAP BUS FPE SEGV SYS TSTP TTIN TTOU"
)

// runScript survives the signals sent to the group, so that it can record how the command
// ended. A non-empty trap is reset in the command's shell; a signal that arrives before
// that shell has started is lost, and KILL follows. ksh reports 256+n for a signal.
const runScript = `
trap : ` + signals + `;
( umask $_u; PATH=$_p; LIMITexec "${SHELL:-/bin/sh}" -c "$_c" 2>&3 3>&- );
_s=$?;
[ $_s -gt 255 ] && _s=$((_s-128));
`

// unwatchScript repeats the signal for ksh, which loses one that arrives just as a wait
// begins.
const unwatchScript = `
while kill -9 $_q; do wait $_q; done;
kill -USR1 $_d;
[ "${KSH_VERSION-}" ] && { sleep 0.1 || sleep 1; kill -USR1 $_d; };
while :; do
wait $_d; _r=$?;
kill -0 $_d || break;
done;
`

// timedOutScript kills the wrapper by ALRM. mksh uses ALRM itself and survives it, so the
// shell first replaces itself by a program that does not. The signal is sent repeatedly,
// since it may arrive before that program runs; the wrapper's number cannot be reused
// while the sender is in its group.
const timedOutScript = `
[ $_r = 9 ] && {
trap - ALRM;
kill -ALRM $$;
( exec >/dev/null 3>&-; for _t in 1 2 3 4 5 6 7 8 9; do sleep 1; kill -ALRM $$ || break; done ) &
exec sleep 100; };
`
