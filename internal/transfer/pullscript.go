package transfer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"shoal/internal/remote"
)

// The far end's part of a pull, for sh. Every line ends where a blank may follow; see
// remote.Line. The nonce comes through standard input: other users of the host see the command
// line, and what they can write into files could imitate a record. It answers with records
//
//	shoal/1 NONCE s INDEX                      the paths that follow are of this source
//	shoal/1 NONCE f SIZE MODE TIME DIGEST      a file: PATH, NUL and SIZE bytes follow; without a tool
//	                                           for SHA-256 the digest is -, without stat(1) the time is 0
//	shoal/1 NONCE d MODE                       a directory: PATH, NUL
//	shoal/1 NONCE l                            a symbolic link: PATH, NUL, target, NUL
//	shoal/1 NONCE o                            something else, which is left out: PATH, NUL
//	shoal/1 NONCE x WORD                       not read, for the reason WORD: PATH, NUL
//	shoal/1 NONCE end COUNT                    after COUNT records
//	shoal/1 NONCE no WORD                      nothing more is read, for the reason WORD
//
// The bytes of a file end where the next record begins. They are fewer if it has become
// shorter since, or could not be read.
//
//	_n nonce   _e newline   _c records   _t size so far in 1000 bytes   _r exit status
//	_s option of stat(1): c (GNU, busybox), f (BSD) or none   _h the tool for SHA-256
//
// A file that grows is sent as it was when its size was taken. Sizes are compared in units of
// 1000 bytes: mksh computes in 32 bits.
const pullScript = `
exec 3>&1 1>&2;
LC_ALL=C; export LC_ALL;
read -r _n;
[ "$_n" ] || exit 1;
_c=0; _t=0; _r=0;
say() { _c=$(($_c+1)); echo "shoal/1 $_n $*" >&3; };
stop() { say no $1; exit 1; };
_e=$(printf %b "\0012.") || stop no_tool;
_e=${_e%.};
name() { printf "%s%b" "$1" "\0000" >&3; };
bad() { _r=1; room; say x $1; name "$2"; };
room() { [ $_c -lt COUNT ] || stop too_many_files; };
_s=;
if stat -L -c %a / >/dev/null 2>&1; then _s=c; elif stat -L -f %Lp / >/dev/null 2>&1; then _s=f; fi;
_h=;
for _z in sha256sum "shasum -a 256" "sha256 -q" "openssl dgst -sha256 -r"; do
[ "$_h" ] || { command -v ${_z%% *} >/dev/null 2>&1 && _h=$_z; };
done;
[ "$_h" ] || REQUIRE;
attributes() {
case $_s in
c) stat -L -c "%s %a %Y" "$@" 2>/dev/null;;
f) stat -L -f "%z %Lp %m" "$@" 2>/dev/null;;
*) for _y in "$@"; do _x=$(wc -c <"$_y"); echo $_x 600 0; done;;
esac; };
sums() { [ "$_h" ] && $_h "$@" 2>/dev/null; };
count() { _z=$1; _y=0;
while [ "$_z" ]; do
_y=$(($_y+1));
case $_z in *"$_e"*) _z=${_z#*"$_e"};; *) _z=;; esac;
done; };
fits() {
case $1 in ""|*[a-z.-]*) bad read_failed "$2"; return 1;; esac;
_y=0; [ ${#1} -gt 3 ] && _y=${1%???};
[ ${#1} -lt 13 ] && [ $(($_t+$_y)) -le MAX ] || { bad too_large "$2"; return 1; };
_t=$(($_t+$_y)); };
digest() { _l=${_l%% *}; case $_l in ""|[0-9a-f]*) ;; *) _l=${_l#?};; esac; };
send() { room; say f $2 $3 $4 ${5:--}; name "$1";
[ $2 = 0 ] || head -c $2 "$1" >&3; };
one() {
_a=$(attributes "$1");
_x=${_a%% *}; _a=${_a#* };
case $_x in 0|4096|""|*[a-z]*) _x=$(wc -c <"$1" && echo .); _x=${_x%%"$_e"*}; _x=${_x##* }; [ "$_x" ] || { bad read_failed "$1"; return; };; esac;
fits "$_x" "$1" || return;
_l=; [ ${#_x} -gt 8 ] && _l=$(head -c $_x "$1" | openssl dgst -sha256 -r 2>/dev/null);
[ "$_h" ] && [ -z "$_l" ] && _l=$(head -c $_x "$1" | sums);
digest;
send "$1" $_x ${_a:-600 0} $_l; };
files() {
[ $# = 1 ] && { one "$1"; return; };
_a=$(attributes "$@");
_m=$_t; _v=1;
count "$_a"; [ $_y = $# ] || _v=;
_z=$_a;
while [ "$_v" ] && [ "$_z" ]; do
_x=${_z%%"$_e"*};
case $_z in *"$_e"*) _z=${_z#*"$_e"};; *) _z=;; esac;
_x=${_x%% *};
case $_x in 0|4096|""|*[a-z.-]*|????????????*) _v=;;
*) [ ${#_x} -gt 3 ] && _m=$(($_m+${_x%???})); [ $_m -le MAX ] || _v=;; esac;
done;
_b=$_a; _f=;
if [ "$_v" ] && [ "$_h" ]; then
_f=$(sums "$@");
count "$_f"; [ $_y = $# ] || _v=;
_b=$(attributes "$@");
[ "$_a" = "$_b" ] || _v=;
fi;
[ "$_v" ] || { for _q in "$@"; do one "$_q"; done; return; };
_t=$_m;
for _q in "$@"; do
_l=${_f%%"$_e"*}; _f=${_f#*"$_e"};
_x=${_b%%"$_e"*}; _b=${_b#*"$_e"};
digest;
send "$_q" $_x $_l;
done; };
batch() { shift 2; [ $# = 0 ] || files "$@"; };
directory() {
{ [ -r "$1" ] && [ -x "$1" ]; } || { bad permission_denied "$1"; return; };
[ $2 -lt DEPTH ] || { bad too_deep "$1"; return; };
_x=755; [ "$_s" ] && { _x=$(attributes "$1"); _x=${_x#* }; };
room; say d ${_x%% *}; name "$1";
set -- "${1%/}" $(($2+1));
for _p in "$1"/* "$1"/.*; do
case $_p in */.|*/..) continue;; esac;
[ -e "$_p" ] || [ -L "$_p" ] || continue;
if [ -L "$_p" ] || [ -d "$_p" ]; then entry "$_p" $2;
elif [ -f "$_p" ] && [ -r "$_p" ] && [ -s "$_p" ]; then
set -- "$@" "$_p";
[ $# -lt 66 ] || { batch "$@"; set -- "$1" $2; };
else entry "$_p" $2; fi;
done;
batch "$@"; };
gone() { _z=${1%/*};
while [ "$_z" ]; do
if [ -e "$_z" ]; then [ -x "$_z" ] || { bad permission_denied "$1"; return; }; break; fi;
case $_z in */*) _z=${_z%/*};; *) break;; esac;
done;
bad no_file "$1"; };
entry() {
if [ -L "$1" ] && [ $2 -gt 0 ]; then
_z=$(readlink "$1" && echo .); _z=${_z%?.};
room; say l; name "$1"; name "$_z";
elif [ -d "$1" ]; then DIRECTORY;
elif [ -f "$1" ]; then
if [ -r "$1" ]; then one "$1"; else bad permission_denied "$1"; fi;
elif [ $2 -gt 0 ]; then room; say o; name "$1";
elif [ -e "$1" ]; then bad not_regular "$1";
else gone "$1"; fi; };
`

// patternScript is for a source that is a pattern. A match that is a link to a directory is not
// followed: it was not named.
const patternScript = `
IFS=;
for _g in $_d; do unset IFS;
if [ -L "$_g" ] && [ -d "$_g" ]; then entry "$_g" 1; else entry "$_g" 0; fi;
done;
unset IFS;
`

const pullEnd = `
say end $_c;
exit $_r
`

// maxDepth is how many directories deep a pull goes.
const maxDepth = 100

// script returns the far end's part for these sources.
func (p *Pull) script(sources []source) string {
	either := func(condition bool, yes, no string) string {
		if condition {
			return yes
		}
		return no
	}
	var b strings.Builder
	b.WriteString(strings.NewReplacer(
		"COUNT", strconv.Itoa(p.MaxFiles+len(sources)),
		"MAX", strconv.FormatInt(p.MaxSize/1000, 10),
		"DEPTH", strconv.Itoa(maxDepth),
		"REQUIRE", either(p.RequireVerified, "stop unverified", "true"),
		"DIRECTORY", either(p.Dir == "", `bad is_directory "$1"`, `directory "$1" $2`),
	).Replace(pullScript))
	if slices.ContainsFunc(sources, func(s source) bool { return s.text[0] != '/' }) {
		b.WriteString("[ -d \"${HOME:-.}\" ] || stop no_home;\n")
	}
	for i, from := range sources {
		s := from.text
		if !strings.HasPrefix(s, "/") {
			s = "./" + s
		}
		fmt.Fprintf(&b, "_d=$(printf %%b \"%s.\");\n_d=${_d%%.};\nsay s %d;\n", remote.Octal(s), i)
		if from.pattern {
			b.WriteString(patternScript)
		} else {
			b.WriteString("entry \"$_d\" 0;\n")
		}
	}
	b.WriteString(pullEnd)
	return b.String()
}
