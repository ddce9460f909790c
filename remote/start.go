package remote

// The parts of the script that starts a command. None may hold a single quote
// or a backslash, nor an exclamation mark but before a blank, where csh leaves
// it alone; a test holds them to it. Names begin with _ because a variable that came with the
// environment stays in it, changed, for the command. $0 is the script's own
// text, $1 how far it is (empty; g: in a group of its own; d: detached), $2 the
// command.

// startScript keeps the shell's own remarks ("Killed") off the command's
// standard error, which waits as 3, and finds the tools where PATH is empty.
const startScript = `
_p=$PATH;
PATH=/usr/bin:/bin:/usr/sbin:/sbin${PATH:+:$PATH};
_u=$(umask);
umask 077;
exec 3>&2 2>/dev/null;
no() { echo "shoal/1 $_n refused $1" >&3; exit $2; };
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
// born and _a to its state (proc(5), stat, fields 22 and 3).
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
`

const claimScript = `
[ "$1" = d ] || {
[ "$_b" ] || no home 122;
mkdir -p "$_b";
safe || no directory 122;
mkdir "$_m" || {
[ -e "$_m" ] || [ -L "$_m" ] && no again 121;
no marker 122; };
};
`

// detachScript: setsid(1) forks here when we lead a group, and the command's
// signals stay as they are. Behind & a shell ignores INT and QUIT for it.
const detachScript = `
[ "$1" = d ] || {
true >"$_m/out" && true >"$_m/err" || no marker 122;
echo "shoal/1 $_n"; echo accepted; echo "end $_n";
_t=$(command -v setsid);
PATH=$_p;
umask $_u;
trap "" HUP;
kill -0 -$$ && [ "$_t" ] && exec "$_t" "$_i" -c "$0" "$0" d "$2" </dev/null >"$_m/out" 2>"$_m/err" 3>&-;
$_t "$_i" -c "$0" "$0" d "$2" </dev/null >"$_m/out" 2>"$_m/err" 3>&- &
exit 0; };
`

// beginScript takes the right to start with its last line.
const beginScript = `
born $$;
read -r _k </proc/sys/kernel/random/boot_id || _k=-;
_g=0; kill -0 -$$ && _g=$$;
echo "shoal 1 $$ $_g $_k ${_t:--}" >"$_m/start" || no marker 122;
ln -s start "$_m/run" || no settled 121;
`

// watchScript starts what waits for the time to pass. It lies in the group that
// it ends, which keeps the group's number from being given to others, and it
// says 9 when it did something. The trap may run before anything could note the
// number of the sleep: only $! is in time; where it is empty, there is none. The
// trap does not wait for what it killed, since zsh, one time in some thousands,
// waits in a trap for ever. It redirects with exec: a redirected call of a
// function keeps the command's output open, as another descriptor, and with it
// the channel.
const watchScript = `
halt() { kill -9 $! || exit 0; };
watch() {
trap "" HUP INT QUIT TERM;
trap halt USR1;
sleep SECONDS &
wait $! || { wait $! ; exit 0; };
trap "" USR1;
( sleep GRACE; NOTE kill -ALRM $$; kill -KILL -$$ ) &
kill -TERM -$$;
kill -CONT -$$;
exit 9; };
( exec </dev/null >/dev/null 2>&1 3>&-; watch ) &
_d=$! ;
`

// runScript stays alive on what is sent to the group, to write down how the
// command ended, and dies by ALRM. A trap that is not empty is none to the
// command, once the shell of its own has put it away: what comes earlier, on a
// machine that stands still for that long, is lost, and KILL follows. ksh says
// 256+n for a signal.
const runScript = `
trap : HUP INT QUIT TERM USR1 USR2 PIPE;
( umask $_u; PATH=$_p; LIMITexec "${SHELL:-/bin/sh}" -c "$_c" 2>&3 3>&- );
_s=$?;
[ $_s -gt 255 ] && _s=$((_s-128));
`

// unwatchScript says it twice to ksh, which loses a signal that comes just as a
// wait begins.
const unwatchScript = `
kill -USR1 $_d;
[ "${KSH_VERSION-}" ] && { sleep 0.1 || sleep 1; kill -USR1 $_d; };
while :; do
wait $_d; _r=$?;
[ $_r -gt 128 ] && kill -0 $_d || break;
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
