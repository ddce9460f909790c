package remote

// The parts of the script that starts a command. None may hold a single quote
// or a backslash, nor an exclamation mark but before a blank, where csh leaves
// it alone; a test holds them to it. Names begin with _ because a variable that came with the
// environment stays in it, changed, for the command. $0 is the script's own
// text, $1 how far it is (empty; g: in a group of its own; e: about to leave the
// session; d: detached), $2 the command.

// handOver leaves ksh93 for another shell where there is one: 93u+m 1.0.4, at a signal
// to its group, ends the wait for the command with another status than the
// command's, or before its end. $3 is set in the other shell, since KSH_VERSION may
// be in the environment.
const handOver = `case $3${KSH_VERSION-} in Version*) for _t in /bin/dash /bin/bash /usr/bin/bash /bin/mksh /bin/busybox; do ` +
	`[ -x $_t ] || continue; _s=; case $_t in */busybox) _s=sh;; esac; exec $_t $_s -c "$0" "$0" "$1" "$2" o; done;; esac; `

// startScript keeps the shell's own remarks ("Killed") off the command's
// standard error, which waits as 3, and finds the tools where PATH is empty. no
// takes back a marker that is claimed (_y) but for what a Settle has put there.
const startScript = `
_p=$PATH;
PATH=/usr/bin:/bin:/usr/sbin:/sbin${PATH:+:$PATH};
_u=$(umask);
umask 077;
exec 3>&2 2>/dev/null;
_y=; case $1 in d|e) _y=1;; esac;
no() {
[ "$_y" ] && { rm -f "$_m/start" "$_m/out" "$_m/err"; rmdir "$_m"; };
echo "shoal/1 $_n refused $1" >&3; exit $2; };
`

// decodeScript adds a dot because $() drops final newlines. It takes it off in the
// C locale: in others bash 5.2 gives back freed memory where the text begins with a
// byte that is no character and a backslash.
const decodeScript = `
_c=$(printf %b. "$2") || no printf 122;
_l=${LC_ALL-none};
LC_ALL=C;
_c=${_c%.};
[ "$_l" = none ] && unset LC_ALL || LC_ALL=$_l;
`

// groupScript: servers mostly start a command as the leader of a group already.
// setsid(1) forks only when its caller leads one, so that here it does not.
const groupScript = `
kill -0 -$$ || {
[ "$1" ] && no group 123;
_t=$(command -v setsid) || no group 123;
PATH=$_p;
umask $_u;
exec "$_t" "$_i" -c "$0" "$0" g "$2" 2>&3 3>&-;
};
`

// toolScript: safe judges the run directory; born sets _t to when a process was
// born and _a to its state (proc(5), stat, fields 22 and 3); here sets what tells
// this machine and its processes from others; began reports whether a marker has
// traces of a command, which a cleaner that took the link run has left; ends writes
// the end down, on a full disk behind the first line of start, whose block is there.
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

// earlierScript sees to the attempts before: what has not started never will. It
// prints how many of them that is.
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

// detachScript has the detached shell say when the marker is its own and on the
// disk, and only then gives the receipt. It leaves the session by setsid(1) twice:
// the first one makes a leader, so that the second one forks, and nothing waits
// for the command; cat reads on until the receipt has come, since ksh waits for the
// first process alone. Behind & a shell ignores INT and QUIT for it, which is left for
// where there is no setsid.
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

// beginScript takes the right to start with the link. What it wrote is read back: a
// full disk may show only then. The sticky bits are what a cleaner leaves alone
// (tmpfiles.d(5)), and what shows that the command had begun where it took the link.
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

// acceptScript: where sync(1) takes no files it syncs all or nothing; PIPE comes
// when nobody waits for the receipt any more.
const acceptScript = `
sync "$_m/start" "$_m" "$_b" >/dev/null;
trap : PIPE;
echo accepted;
exec >"$_m/out" 3>"$_m/err";
`

// watchScript starts what waits for the time to pass. It lies in the group that
// it ends, which keeps the group's number from being given to others, and it
// says 9 when it did something. Whatever is sent to the group it ignores. USR1
// means that the command has ended only where _q has ended too, a process that
// ignores the same signals and that nobody but the wrapper ends; halt asks once
// more when the trap is there, for a USR1 that came before. In ksh a subshell cannot
// trap what it found ignored. ksh93 (no _h) cannot ignore ALRM for a program, only
// in its own sleep, and traps end its waits at random: there the watch has none and
// looks ten times a second. The trap does not
// wait for what it killed, since zsh, one time in some thousands, waits in a trap
// for ever. It redirects with exec: a redirected call of a function keeps the
// command's output open, as another descriptor, and with it the channel.
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

// signals are those that a command may send to its group and the wrapper outlives;
// 6 is ABRT, which zsh has under another name. faults are left to the wrapper as
// they are, as a shell that has one itself must end.
const (
	signals = "HUP INT QUIT 6 USR1 USR2 PIPE ALRM TERM XCPU XFSZ VTALRM PROF"
	faults  = "ILL TRAP BUS FPE SEGV SYS TSTP TTIN TTOU"
)

// runScript stays alive on what is sent to the group, to write down how the
// command ended. A trap that is not empty is none to the
// command, once the shell of its own has put it away: what comes earlier, on a
// machine that stands still for that long, is lost, and KILL follows. ksh says
// 256+n for a signal.
const runScript = `
trap : ` + signals + `;
( umask $_u; PATH=$_p; LIMITexec "${SHELL:-/bin/sh}" -c "$_c" 2>&3 3>&- );
_s=$?;
[ $_s -gt 255 ] && _s=$((_s-128));
`

// unwatchScript says it twice to ksh, which loses a signal that comes just as a
// wait begins.
const unwatchScript = `
while kill -9 $_q; do wait $_q; done;
kill -USR1 $_d;
[ "${KSH_VERSION-}" ] && { sleep 0.1 || sleep 1; kill -USR1 $_d; };
while :; do
wait $_d; _r=$?;
kill -0 $_d || break;
done;
`

// timedOutScript: mksh has a use of its own for ALRM and lives on, so that it
// makes place for a program that has none. It is told more than once, since a
// signal may come before the program is there; its number stays its own while its
// group has the one who tells it.
const timedOutScript = `
[ $_r = 9 ] && {
trap - ALRM;
kill -ALRM $$;
( exec >/dev/null 3>&-; for _t in 1 2 3 4 5 6 7 8 9; do sleep 1; kill -ALRM $$ || break; done ) &
exec sleep 100; };
`
