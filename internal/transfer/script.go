package transfer

// The far end's part of a push, for sh. Its payload comes through standard input: the bytes of
// each file, in the order of the entries. No message text decides anything. Every line ends
// where a blank may follow; see remote.Line.
// Redirections that may fail are of true, because an error in one of : ends the shell (XCU 2.8.1).
//
//	$2 nonce, a blank and DEST, behind = for name if a character of it is encoded
//	_n nonce   _d DEST   _u umask, _i the same in decimal   _k index of the entry at work   _t temporary directory, in _I
//	_w entries written   _s entries that were the same   _v "1" while all digests were checked
//
// sum FILE sets _h to the SHA-256. Of 16 MiB and more openssl computes it where there is one: it uses
// the processor's instructions, which sha256sum often does not.
//
// room DIR KIB reports whether so much is free, or it cannot be known, as of /sys, which has no blocks. Of more than 9 digits
// there is enough: mksh computes in 32 bits.
//
// A temporary is a file in a directory that mkdir has made, which fails if the name exists, in
// the directory of the file, and used for all files there. mv renames them. Other people
// cannot look into it, whatever the mode that the file already has.
const headScript = `
exec 3>&1 1>&2;
_n=${2%% *};
_d=${2#* };
_u=$(umask);
umask 077;
case $_u in 0022|022) _i=18;; 0002|002) _i=2;; 0077|077) _i=63;; *)
_i=0; _z=$_u; while [ "$_z" ]; do _x=${_z#?}; _i=$(($_i*8+${_z%"$_x"})); _z=$_x; done;; esac;
_w=0 _s=0 _v=1 _SE= _k=0 _t= _q= _full= _P= _G=;
say() { echo "shoal/1 $_n $*" >&3; };
clean() { [ "$_t" ] && rm -rf "$_t"; _t=; };
no() { _z=$1; clean; say no "$_z" $_k; exit 1; };
away() { clean; _t=$_G; clean; };
trap away 0;
trap "exit 1" HUP INT QUIT TERM PIPE;
name() { _z=$(printf %b "$1.") || no no_tool; _z=${_z%.}; };
case $_d in =*) name "${_d#=}"; _d=$_z;; esac;
case $_d in /*) ;; *) [ -d "${HOME:-.}" ] || no no_home;; esac;
sum() { _h=; [ ${_B:-0} -lt 256 ] || _h=$(openssl dgst -sha256 -r <"$1" 2>/dev/null);
[ "$_h" ] || _h=$({ sha256sum || shasum -a 256 || sha256 -q || openssl dgst -sha256 -r; } <"$1" 2>/dev/null); _h=${_h%% *}; };
field() { { read -r _a; read -r _a _b _c _e _f _g; case $1 in 4) [ "$_b" = 0 ] || echo "$_e";; 6) echo "$_g";; esac; }; };
room() { _x=$(df -Pk "$1" 2>/dev/null | field 4); case $_x in ""|*[a-z,.%-]*|??????????*) return 0;; esac; [ $_x -ge $2 ]; };
ro() { _x=$(df -Pk "$1" 2>/dev/null | field 6);
_y=;
[ -r /proc/mounts ] && while read -r _a _b _c _e _f; do [ "$_b" = "$_x" ] && _y=$_e; done </proc/mounts;
case $_y in ro|ro,*) return 0;; esac; return 1; };
deny() { ro "$1" && no read_only; { [ -w "$1" ] && [ -x "$1" ]; } || no permission_denied; room "$1" 64 || no no_space; no write_failed; };
`

// takeScript adds $2 blocks of 64 KiB and $3 bytes of standard input, exactly, to the file $1. Only
// dd does not read ahead in any system; without fullblock it stops after one read, whose length
// is up to the pipe.
const takeScript = `
dd bs=1 count=0 iflag=fullblock </dev/null >/dev/null 2>&1 && _full=1;
take() {
if [ "$_full" ]; then
true >>"$1" || return 1;
[ $2 = 0 ] || dd bs=65536 count=$2 iflag=fullblock >>"$1" 2>/dev/null || return 1;
[ $3 = 0 ] || dd bs=$3 count=1 iflag=fullblock >>"$1" 2>/dev/null;
return; fi;
true >"$_t/n" && true >>"$1" || return 1;
_z=$2;
while [ $_z -ge 0 ]; do
_x=65536; [ $_z = 0 ] && _x=$3;
while [ $_x -gt 0 ]; do
dd bs=$_x count=1 >"$_t/n" 2>/dev/null || return 1;
_y=$(wc -c <"$_t/n");
[ $(($_y)) = 0 ] && return 0;
cat "$_t/n" >>"$1" || return 1;
_x=$(($_x-$_y));
done;
_z=$(($_z-1));
done; rm -f "$_t/n"; };
`

const takeLastScript = `take() { cat >>"$1"; };`

// alongScript is take of a large file, and _h its SHA-256, which is computed while the file comes: it is read back
// in parts of 32 MiB, each once it is written. It says the same as sum; where it does not, sum is asked, so that
// a dd of another kind only takes longer. The file w is there while writing may fail: the status of the first
// program of a pipeline is lost. dd counts blocks as POSIX has it, whatever the language.
const alongScript = `
digest() { { if openssl dgst -sha256 -r </dev/null >/dev/null; then openssl dgst -sha256 -r; else sha256sum || shasum -a 256 || sha256 -q; fi; } 2>/dev/null; };
readback() { { _z=0;
while read -r _x; do dd if="$1" bs=1048576 skip=$_z count=$(($_x-$_z)); _z=$_x; done;
dd if="$1" bs=1048576 skip=$_z; } 2>/dev/null | digest; };
along() {
_x=$(dd bs=1 count=0 iflag=fullblock 2>&1 </dev/null);
case $_x in "0+0 "*) ;; *) take "$@"; return;; esac;
true >"$_t/w" && true >>"$1" || return 1;
_y=0; [ "$_k" = "$_P" ] && _y=$_O;
_h=$({ _z=$2;
while [ $_z -ge 512 ]; do
_x=$(dd bs=65536 count=512 iflag=fullblock 2>&1 >>"$1") || exit;
case $_x in "512+0 "*) ;; *) rm -f "$_t/w"; exit;; esac;
_y=$(($_y+32)); echo $_y;
_z=$(($_z-512));
done;
take "$1" $_z $3 && rm -f "$_t/w"; } | readback "$1");
_h=${_h%% *};
[ ! -e "$_t/w" ]; };
`

// takeAlong takes a file by along if it is a large one.
const takeAlong = `_h=; if [ $_B -ge 1024 ]; then along "$_t/$_n" $_B $_R; else take "$_t/$_n" $_B $_R; fi`

// placeScript decides where the entries go: rule 5 of DEST. _p becomes the path of an only
// file, or _d the directory of all.
const (
	oneFileScript = `
if [ -d "$_d" ]; then _d=${_d%/}/; fi;
case $_d in
*/) [ -d "$_d" ] || { [ -e "${_d%/}" ] && no not_directory; PARENTS "$_d"; };
_d=${_d%/}; name "BASE"; _d=$_d/$_z;;
esac;
[ -d "${_d%/*}/" ] || PARENTS "${_d%/*}/";
`
	directoryScript = `
[ -d "$_d" ] || { [ -e "$_d" ] && no not_directory; PARENTS "$_d"; };
_d=${_d%/};
`
	noParents   = `no no_parent; true`
	makeParents = `parents`
	// parentsScript creates directories as the host's umask has it.
	parentsScript = `parents() { (umask $_u; mkdir -p "$1") || { _z=$1; while [ "$_z" ]; do _z=${_z%/}; _z=${_z%/*}; [ -e "$_z/" ] && deny "$_z/"; [ -e "$_z" ] && no not_directory; done; no permission_denied; }; };`
)

// entryScript has what both passes over the entries need. A file is f INDEX SIZE DIGEST MODE TIME
// START KIB BLOCKS REST TEXT (_k _L _D _M _T _S _K _B _R), its path _p: START begins the digest, KIB is what the file takes,
// BLOCKS and REST are its size for take, and TEXT says that we could show how it differs. A link is
// followed to the file that it leads to, at most 40 times. Sizes are compared as text: mksh
// computes in 32 bits.
const entryScript = `
attributes() { _a=$(stat -c "%a %u:%g" "$1" 2>/dev/null || stat -f "%Lp %u:%g" "$1" 2>/dev/null) || no no_tool; };
follow() { _x=0;
while [ -L "$_p" ]; do
[ $_x -lt 40 ] || no not_regular;
_x=$(($_x+1));
_z=$(readlink "$_p" && echo .) || no no_tool;
_z=${_z%?.};
case $_z in /*) _p=$_z;; *) _p=${_p%/*}/$_z;; esac;
done; };
size() { _y=$(wc -c <"$1"); _y=${_y##* }; };
same() { [ -L "$_p" ] && return 1; [ -f "$_p" ] && [ -r "$_p" ] && size "$_p" && [ "$_y" = $_L ] && sum "$_p" && [ "$_h" = $_D ]; };
entry() { _k=$1 _L=$2 _D=$3 _M=$4 _T=$5 _S=$6 _K=$7 _B=$8 _R=$9;
FOLLOW
_q=${_p%/*}/;
[ -d "$_p" ] && no is_directory;
[ -f "$_p" ] || [ -L "$_p" ] || { [ -e "$_p" ] && no not_regular; }; };
fresh() { [ "$_t" ] && [ "$_I" = "$_q" ] && return; clean; _t=$_q.shoal-push.$_S.$_n; _I=$_q; mkdir "$_t" || { _t=; deny "$_q"; }; APART };
`

// apartScript reports whether the file system does not rename from the temporary directory to the one that it is in
// (EXDEV: some of Lustre's, and some quotas and overlays), where mv would remove the old file and copy. Then what
// is written to a file that is open does not come to where it was moved to, and its number is another one; either
// alone may be a file system that is only strange.
const apartScript = `
apart() {
true >"$_t/x" || return 1;
exec 4>>"$_t/x"; mv -f "$_t/x" "$_t.x"; echo >&4; exec 4>&-;
[ -s "$_t.x" ] && { rm -f "$_t.x"; return 1; };
rm -f "$_t.x"; true >"$_t/x" || return 1;
_x=$(ls -i "$_t/x"); mv -f "$_t/x" "$_t.x"; _y=$(ls -i "$_t.x"); rm -f "$_t.x";
set -- $_x; _x=$1; set -- $_y;
case $1 in ""|"$_x") return 1;; esac; };
`

// fileScript writes a file. The temporary has a name that nobody else has, so that it is found
// where a directory has come to the place of the file meanwhile.
const fileScript = `
finish() { _o=OWNER; [ "$_o" ] || _o=$2;
[ -z "$_o" ] || chown "$_o" "$1" || no owner_failed;
[ -z "$3" ] || chmod $3 "$1" || no permission_denied;
TIMES
};
f() { entry "$@";
[ -d "$_q" ] || no no_parent;
if HAVE; then
_m=MODE;
SKIP
finish "$_p" "" "$_m";
_s=$(($_s+1)); return; fi;
fresh;
RESUME
[ $_K -lt 1024 ] || room "$_q" $_K || no no_space;
TAKE || { room "$_q" 64 || no no_space; no write_failed; };
SUM
[ "$_h" ] || { size "$_t/$_n"; [ "$_y" = $_L ] && { _v=; REQUIRE _h=$_D; }; };
[ "$_h" = $_D ] || { room "$_q" 64 || no no_space; RELEASE no digest_mismatch; };
_m=MODE; _o=;
if [ -L "$_p" ]; then BACKUPLINK
elif [ -f "$_p" ]; then
attributes "$_t/$_n"; _b=${_a#* };
attributes "$_p"; [ "$_m" ] || _m=${_a% *};
[ "$_b" = "${_a#* }" ] || _o=${_a#* };
BACKUP
fi;
[ "$_m" ] || { _z=$(($_M&~$_i)); _m=$(($_z/64))$(($_z/8%8))$(($_z%8)); };
REPLACE
_w=$(($_w+1)); };
`

const (
	backupScript = `{ cp -p "$_p" "$_t/b" && mv -f "$_t/b" "$_p~"; } || { room "$_q" 64 || no no_space; no write_failed; };`
	// backupAgainScript leaves the backup alone where an earlier attempt has made it, and was cut off while it wrote
	// the file.
	backupAgainScript = `[ -f "$_p~" ] && size "$_p" && head -c $_y "$_t/$_n" 2>/dev/null | cmp -s - "$_p" 2>/dev/null || `
	backupLinkScript  = `{ _z=$(readlink "$_p" && echo .) && ln -s "${_z%?.}" "$_t/b" && mv -f "$_t/b" "$_p~"; } || no write_failed;`
	// renameScript gives the file owner and mode before anybody can see it.
	renameScript = `
finish "$_t/$_n" "$_o" "$_m";
mv -f "$_t/$_n" "$_p" || { _x=$(df -Pk "$_p" 2>/dev/null | field 6); [ "$_x" = "$_p" ] && no busy; no no_atomic_replace; };
[ -d "$_p" ] && [ -f "$_p/$_n" ] && { rm -f "$_p/$_n"; no is_directory; };
LABEL
`
	// labelScript gives a file the SELinux label of its path, which that of the temporary may not be.
	labelScript   = `[ -e /sys/fs/selinux/enforce ] && { restorecon "$_p" || _SE=label; };`
	inPlaceScript = `
true >>"$_p" || { [ -w "$_p" ] || deny "$_p"; no busy; };
cat "$_t/$_n" >"$_p" || { room "$_q" 64 || no no_space; no write_failed; };
sum "$_p"; case $_h in "$_D"|"") ;; *) no digest_mismatch;; esac;
_m=MODE; finish "$_p" "" "$_m";
`
	touchScript = `TZ=UTC0 touch -t $_T "$1" || no write_failed;`
	skipScript  = `fresh; take "$_t/$_n" $_B $_R; rm -f "$_t/$_n";`
	haveAsked   = `case $_W in "$_k "*) _W=${_W#* }; false;; esac`
)

// treeScript makes directories, d INDEX, and symbolic links, l INDEX TARGET, the path as _p.
const treeScript = `
d() { _k=$1;
[ -d "$_p" ] && return;
[ -e "$_p" ] && no not_directory;
(umask $_u; mkdir "$_p") || deny "${_p%/*}/";
_w=$(($_w+1)); };
l() { _k=$1; _q=${_p%/*}/;
name "$2"; _y=$_z;
[ -L "$_p" ] && { _z=$(readlink "$_p" && echo .); [ "${_z%?.}" = "$_y" ] && { _s=$(($_s+1)); return; }; [ -d "$_p" ] && rm -f "$_p"; };
[ -d "$_p" ] && no is_directory;
_S=link; fresh;
ln -s "$_y" "$_t/f" && mv -f "$_t/f" "$_p" || no write_failed;
_w=$(($_w+1)); };
`

// strangersScript removes what pushes left in the directory in which nothing was written for a
// day.
const strangersScript = `
clean;
for _o in "${_q:-$_d/}".shoal-push.*; do [ -e "$_o" ] && [ ! -L "$_o" ] && [ -z "$(find "$_o" -mtime -1 2>&1)" ] && rm -rf "$_o"; done;
say done $_w $_s ${_v:-0} $_SE;
exit 0
`

// listScript runs the entries; readListScript reads them first, SIZE characters, if they are too
// long for the command line.
const (
	listScript     = `list() { LIST };`
	readListScript = `
_l=;
while [ ${#_l} -lt SIZE ]; do
_x=$((SIZE-${#_l})); [ $_x -gt 65536 ] && _x=65536;
_x=$(dd bs=$_x count=1 2>/dev/null);
[ "$_x" ] || no digest_mismatch;
_l=$_l$_x;
done;
list() { eval "$_l"; };
`
)
