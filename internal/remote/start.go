package remote

// The parts of the script that starts a command. A test checks that they contain no single
// quote, no backslash, and no exclamation mark except before a blank, where csh ignores
// it. Names begin with _ because a variable that came with the environment stays in the
// command's environment with its changed value. $0 is the script's own text, $1 the stage
// (empty; g: in a group of its own; e: about to leave the session; d: detached; w: the
// guard), $2 the command, unless receive.go has it.

// handOver replaces ksh93 by another shell if there is one. When a signal arrives at its
// group, 93u+m 1.0.4 returns from wait with a status that is not the command's, or before
// the command's end. $3 is set in the other shell, since KSH_VERSION may be in the
// environment.
const handOver = `case $3${KSH_VERSION-} in Version*) for _t in /bin/dash /bin/bash /usr/bin/bash /bin/mksh /bin/busybox; do ` +
	`[ -x $_t ] || continue; _s=; case $_t in */busybox) _s=sh;; esac; exec $_t $_s -c "$0" "$0" "$1" "$2" o; done;; esac; `

// startScript keeps the shell's own messages ("Killed") out of the command's standard
// error, which is saved as descriptor 3, and finds the tools if PATH is empty. Before that
// it has mksh occupy descriptor 10: since R59c mksh's exec leaves the copy of a replaced
// descriptor open if the copy's number is 10. A detached command and the watch would keep
// the channel open by it. no removes a claimed marker (_y) except for what a Settle has
// put there.
const startScript = `
_p=$PATH;
PATH=/usr/bin:/bin:/usr/sbin:/sbin${PATH:+:$PATH};
_u=$(umask);
umask 077;
exec 3</dev/null;
exec 3>&2 2>/dev/null;
_y=; case $1 in d|e) _y=1;; esac;
no() {
[ "$_y" ] && { rm -f "$_m/start" "$_m/out" "$_m/err" "$_m/cmd" "$_m/in"; rmdir "$_m"; };
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

// guardScript is the guard, which acts if the group is stopped, and with it the watch. It has
// a session of its own. $2 is the group, _q, and the watch: while _q lives, the number is
// the group's. The watch has sent TERM if it has exited. The guard looks every 5 s whether
// _q lives, so that it ends soon after a group that was killed. The command starts when the
// guard has left the group, or after 5 s.
const guardScript = `
case $1 in w)
set -- $2;
_s=;
for _z in SECONDS 1 GRACE; do
while [ $_z -gt 0 ]; do
kill -0 $2 || exit;
_t=5; [ $_z -lt 5 ] && _t=$_z;
sleep $_t;
_z=$((_z-_t));
done;
kill -0 $2 || exit;
_t=;
case $_s in
"") _s=c;;
c) _s=k; read -r _t </proc/$3/stat; kill -0 $3 || _t=") X";
case ${_t##*")"} in " Z"*|" X"*) ;; *) kill -TERM -$1;; esac;;
k) NOTE kill -KILL -$1; exit;;
esac;
kill -0 $2 && kill -CONT -$1;
done;
exit;; esac;
`

// watchScript starts the watch, the process that waits for the time limit. The watch is a
// member of the group that it ends, which prevents reuse of the group's number, and exits
// with 9 if it ended the command. It ignores all signals sent to the group. USR1 means
// that the command has ended only if _q has ended too: a process that ignores the same
// signals and that only the wrapper ends. halt checks once more after the trap is set, for
// a USR1 that came before, and asks several times, because dash loses a status if a trap
// interrupts a trap. A signal may come together with the end of what is waited for: wait
// then returns the signal's number, and the status only when called again, or never (127,
// in bash -1), which counts as the end of the time. In ksh a subshell cannot trap a signal
// that was ignored at its start. ksh93 (no _h) cannot ignore ALRM for a program, only in
// its own sleep, and traps end its waits at random: there the watch has no trap and polls
// ten times a second. The trap does not wait for the process that it killed, since zsh
// sometimes (once in some thousands) waits in a trap for ever. The trap redirects with
// exec: a redirected function call would keep the command's output open on another
// descriptor, and with it the channel.
const watchScript = `
_h=exec; case $3${KSH_VERSION-} in Version*) _h=;; esac;
hold() { [ "$_h" ] || { sleep $1; exit; }; exec sleep $1; };
halt() { kill -0 $_q || kill -0 $_q || kill -0 $_q || kill -0 $_q || kill -9 $! ; };
watch() {
if [ "$_h" ]; then
( exec sleep SECONDS ) &
trap halt USR1;
halt;
_t=;
while :; do
wait $! ; _r=$?;
[ $_r -gt 128 ] && kill -0 $_q || break;
kill -0 $! && continue;
[ "$_t" = ........ ] && break;
_t=$_t.;
done;
case $_t$_r in .*127|*-1) _r=0;; esac;
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
_t=$(command -v setsid);
( exec </dev/null >/dev/null 2>&1 3>&-; export _m; exec "$_t" "$_i" -c "$0" "$0" w "$$ $_q $_d" ) &
_w=$! ;
[ "$_t" ] && {
_t=0;
until kill -0 -$_w || [ $_t = 3050 ]; do
_t=$((_t+1));
[ $_t -lt 3000 ] || sleep 0.1 || sleep 1;
done; };
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
// that shell has started is lost, and KILL follows. For a signal ksh reports 256+n, and
// yash 384+n.
const runScript = `
trap : ` + signals + `;
( umask $_u; PATH=$_p; LIMITexec "${SHELL:-/bin/sh}" -c "$_c" 2>&3 3>&- );
_s=$?;
[ $_s -gt 255 ] && _s=$((_s%128+128));
`

// unwatchScript ends the guard, which may not have left the group yet. It repeats the
// signal for ksh, which loses one that arrives just as a wait begins. It waits for the status of the
// watch as the watch does for that of its sleep, but with the signals ignored: a trap that
// interrupts that wait, with the TERM of the watch, has ksh93 and bash forget the status, and the end
// of the time would be taken for an end by TERM.
const unwatchScript = `
trap "" ` + signals + `;
kill -9 $_w; kill -9 -$_w;
while kill -9 $_q; do wait $_q; done;
kill -USR1 $_d;
[ "${KSH_VERSION-}" ] && { sleep 0.1 || sleep 1; kill -USR1 $_d; };
_t=;
while :; do
wait $_d; _r=$?;
kill -0 $_d && continue;
[ $_r -gt 128 ] || break;
[ "$_t" = ........ ] && break;
_t=$_t.;
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
