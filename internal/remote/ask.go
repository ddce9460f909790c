package remote

// The parts of the scripts that query a marker. The rules for scripts in start.go apply
// here too.

// askScript defines the functions for queries. look sets _v to the state, the variables of
// a started command from its file start, and _F if its processes cannot be found from
// here. mine reports whether the wrapper is alive. more reports whether any process of its
// group or session is alive, and sets _l to those outside the group. If a process has the
// leader's number but another birth time, or if the file gone exists, the group no longer
// exists and its number may have been reused. It may also have been reused if the leader
// has died without an end: the group then counts as the command's only if it has a process
// (_Y), perhaps a dead one, that is at most some 10 s younger than the leader. Without one
// the state is unclear, and nothing is killed. While a process that was found before is
// alive, more looks for no other. scan sets _K to the files of processes that may belong to
// the group or session: one grep reads those of all processes, because the shell reads byte
// by byte. The boot's identifier, named last, shows that grep could; otherwise among reads
// all files. hid reports whether the group has processes that /proc does not show
// (hidepid), which only the error of kill reveals, or that may be another's (_Z is u); _Z
// is set otherwise if /proc explains that error.
const askScript = `
PATH=/usr/bin:/bin:/usr/sbin:/sbin${PATH:+:$PATH};
umask 077;
LC_ALL=C; export LC_ALL;
exec 2>/dev/null;
_K=; _Y=;
echo; echo "shoal/1 $_n";
fin() { echo "end $_n"; exit $1; };
here;
mine() {
[ "$_k" = "$_B" ] && kill -0 $_i || return 1;
born $_i;
case $_a in Z|X) return 1;; esac;
[ "${_t:--}" = "$_o" ]; };
more() {
_l=; _h=; _Z=1;
[ -e "$_m/gone" ] && return 1;
[ -z "$_F" ] && [ "$_g" -gt 1 ] && [ "$_k" = "$_B" ] || return 1;
_Z=;
[ -r /proc/self/stat ] || { kill -0 -$_g; return; };
born $_g && { [ "$_t" = "$_o" ] || { _Z=1; return 1; }; _Y=1; };
among $_K || { scan; among $_K; } || return 1;
[ "$_Y" ] && return;
_Z=u; return 1; };
scan() {
_f=sys/kernel/random/boot_id;
_K=$(cd /proc && grep -slE "^$_B|[)] [^ ]+ [0-9]+ ($_g|[0-9]+ $_g) " [0-9]*/stat $_f);
_K=$(echo $_K);
case $_K in *$_f) _K=${_K%$_f};; *) _K=$(cd /proc && echo [0-9]*/stat);; esac; };
among() {
_l=; _h=; _Z=;
for _f do
_w=;
while read -r _x; do _w="$_w $_x"; done <"/proc/$_f";
_w="${_w##*") "}";
set -- $_w;
case $_g in "$3"|"$4") [ "${20%???}" -le $((${_o%???}+1)) ] && _Y=1;; esac;
case $1 in "") continue;; Z|X) [ "$3" = $_g ] && [ -r /proc/1/stat ] && _Z=1; continue;; esac;
[ "$3" = $_g ] && { _h=1; continue; };
[ "$4" = $_g ] || continue;
_h=1; _l="$_l ${_f%/stat}";
done;
[ "$_h" ]; };
hid() {
case $_Z in u) return 0;; ?*) return 1;; esac;
kill -0 -$_g && return 0;
case $(kill -0 -$_g 2>&1) in *[Pp]ermi*) return 0;; esac;
return 1; };
left() { [ "$_F" ] || more || more || hid; };
over() { read -r _e _s <"$_m/end" || { read -r _x && read -r _e _s; } <"$_m/start"; };
look() {
_v=absent; _g=0; _k=; _e=; _s=; _F=1; _Z=1; _y=;
safe || { [ -e "$_b" ] || [ -L "$_b" ] || [ -z "$_b" ] && _v=unclear; return; };
[ -e "$_m" ] || [ -L "$_m" ] || return;
_v=unclear;
[ -d "$_m" ] || return;
[ -L "$_m" ] && return;
if [ -L "$_m/run" ]; then
case $(ls -ld "$_m/run") in *"/run -> never") _v=never; return;; *"/run -> start") ;; *) return;; esac;
else
began "$_m" || { _v=claimed; return; };
fi;
_x=; read -r _x _y _i _g _k _o _W _U <"$_m/start";
case "$_x $_y" in " ") _g=0;; "shoal 1") _F=;;
"shoal 2") _F=;
[ "$_U" = "$_H" ] || _F=1;
if [ "$_k" = "$_B" ]; then [ "$_W" = "$_N" ] || _F=1;
else [ "$_U" = - ] && _F=1; fi;;
*) _g=0; return;; esac;
over && { _v=ended; _Y=1; return; };
[ "$_F" ] && return;
if mine; then _v=running;
elif more; then _v=orphaned;
elif hid; then :;
elif [ $_g = 0 ] && [ "$_k" = "$_B" ]; then :;
elif [ "$_y" = 2 ]; then _v=lost; fi;
over && _v=ended; };
settle() {
mkdir -p "$_b";
safe && { began "$_m" || { mkdir "$_m"; ln -s never "$_m/run"; }; };
look;
case $_v in absent|claimed) _v=unclear;; esac; };
tell() {
echo "at $_B $_N $(printf %.64s "$_H")";
[ $_v = ended ] && echo "state ended $_e $_s" || echo "state $_v";
[ $_v = ended ] && { if left; then echo left; else [ -e "$_m/gone" ] || true >"$_m/gone"; fi; };
read -r _x _y </proc/uptime && echo "up ${_x%%.*}"; };
live() { case $_v in running|orphaned) return 0;; esac; [ $_v = ended ] && left; };
check() { [ -d "$_m" ] && safe && { began "$_m" || ln -s never "$_m/run"; }; };
drop() {
live && return 1;
[ $_v = unclear ] && return 1;
rm -rf "$_m";
[ -e "$_m" ] && return 1;
return 0; };
data() {
_x=0; _y=0;
[ -f "$_m/$1" ] || case $_v in running|orphaned|ended|lost) echo missing;; esac;
[ -f "$_m/$1" ] && safe && _x=$(wc -c <"$_m/$1") && _x=$((_x)) && _y=$((_x-$2));
[ $_y -lt 0 ] && _y=0;
[ $_y -gt $_d ] && _y=$_d;
echo "$1 $_x $2 $_y";
[ $_y -gt 0 ] && tail -c +$(($2+1)) "$_m/$1" | head -c $_y;
echo; };
`

// killScript records the end if the wrapper was killed too and could not. A command whose
// end is recorded just before TERM has ended by itself. The exit statuses are those of the
// Kill constants.
const killScript = `
nap() { sleep 0.1 || sleep 1; _z=$((_z-1)); };
settle;
_r=gone; _c=10;
_p=ended; [ $_v = ended ] && _p=rest;
case $_v in unclear) _r=unclear; _c=12;; running) [ $_g = 0 ] && _r=unclear && _c=12;; ended) [ "$_F" ] && _r=unclear && _c=12;; esac;
if more; then
over && _p=rest;
kill -TERM -$_g; kill -TERM $_l;
kill -CONT -$_g; kill -CONT $_l;
_z=$_d;
while more && [ $_z -gt 0 ]; do nap; done;
_z=50;
while more && [ $_z -gt 0 ]; do kill -KILL -$_g; kill -KILL $_l; nap; done;
if more; then _r=alive; _c=11;
elif hid; then _r=unclear; _c=12; else
_r=$_p; _c=0;
rm -f "$_m/cmd";
over || ends "killed 137";
fi;
look;
elif hid; then _r=unclear; _c=12;
else
case $_v in running|orphaned) look;; esac;
fi;
tell;
echo "kill $_r";
fin $_c;
`

// sweepScript removes markers only: the run directory may have other directories in it.
const sweepScript = `
ours() {
[ -d "$_m" ] || return 1;
[ -L "$_m" ] && return 1;
for _f in $(ls -A "$_m"); do
case $_f in start|end|gone|out|err|cmd|in) [ -f "$_m/$_f" ] || return 1;;
run) [ -L "$_m/run" ] || return 1;;
*) return 1;; esac;
done; };
_c=0; _z=0;
safe || { [ -e "$_b" ] || [ -L "$_b" ] && echo "state unclear"; };
safe && for _m in "$_b"/*-[0-9]*; do
ours || continue;
[ "$(find "$_m" -prune -mmin +$_d)" ] || continue;
_Y=; check; look;
drop && _c=$((_c+1)) || _z=$((_z+1));
done;
echo "swept $_c $_z";
fin 0;
`

// sweepFilesScript removes temporaries of pushes; see package transfer.
const sweepFilesScript = `
_c=0; _z=0;
no() { echo "state absent"; echo "swept $_c $_z"; fin 0; };
root() { [ -d "$_p" ] || no; walk "$_p"; };
walk() {
for _x in "$1".shoal-push.*; do
case ${_x##*/} in .shoal-push.????????????????.?*|.shoal-push.link.?*) ;; *) continue;; esac;
[ -d "$_x" ] || continue;
[ -L "$_x" ] && continue;
if [ "$(find "$_x" -mtime -$_d 2>&1)" ]; then _z=$((_z+1));
elif rm -rf "$_x"; then _c=$((_c+1));
else _z=$((_z+1)); fi;
done;
for _x in "$1"* "$1".*; do
case $_x in */.|*/..) continue;; esac;
[ -d "$_x" ] || continue;
[ -L "$_x" ] || walk "$_x/";
done; };
ROOTS
echo "swept $_c $_z";
fin 0;
`
