package remote

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"

	"shoal/internal/hint"
)

// MaxCommand is the length in bytes up to which a command that does not fit into a line is
// sent through standard input.
const MaxCommand = 4 << 20

// receiveScript stores the command in the private directory _m before a detached command
// leaves the session. Nothing of it runs unless all bytes have arrived: a connection that is
// cut, or a login file that reads from standard input, leaves fewer. The digest is checked if
// the host has a tool for it. A descriptor would not do instead of the file, because the
// account's shell may not be able to open /dev/fd.
//
// cat reads to EOF. If the command is to have standard input of its own, that input follows
// the command here, and exactly SIZE bytes must be read: head -c and a shell may read ahead.
const receiveScript = `
case $1 in d|e) ;; *)
PRIVATE
trap "no input 122" HUP INT QUIT TERM;
cat >"$_m/cmd";
trap - HUP INT QUIT TERM;
_t=$(wc -c <"$_m/cmd");
[ "$((_t))" = SIZE ] || no input 122;
_t=$({ sha256sum || shasum -a 256 || sha256 -q; } <"$_m/cmd");
case $_t in ""|"DIGEST"*) ;; *) no input 122;; esac;;
esac;
`

// privateScript creates the directory if there is no marker. mkdir fails if the name exists,
// whoever has made it.
const privateScript = `
_m=;
for _t in "${TMPDIR:-/tmp}" /var/tmp "$HOME"; do
mkdir "$_t/shoal-$_n" && { _m=$_t/shoal-$_n; break; };
done;
[ "$_m" ] || no input 122;
_y=1;
`

// sourceScript sets _c to a command that reads the file, so that $0 and the files that the
// shell reads at its start are as with -c (zsh and csh set $0 to the file nevertheless). It
// leaves _c empty for an unknown shell, which gets the file as its argument. $2 is a single
// quote, encoded: the script can contain none.
const sourceScript = `
_q=$(printf %b "$2");
[ "$_q" ] || no printf 122;
_c=;
case ${SHELL##*/} in *csh|fish) _c=source;;
""|sh|ash|dash|bash|zsh|ksh*|mksh|lksh|oksh|pdksh|yash|posh|busybox) _c=.;; esac;
case $_m in *"$_q"*) _c=;; esac;
[ "$_c" ] && _c="$_c $_q$_m/cmd$_q";
`

// asArgument runs in place of -c "$_c" if _c is empty.
const asArgument = `[ "$_c" ] || exec "${SHELL:-/bin/sh}" "$_m/cmd" 2>&3 3>&-; `

// Request returns what to send for the command: the text of the exec request, as Line does,
// and the standard input, which must be sent completely and followed by EOF. input is empty
// if the command fits into the line; otherwise the wrapped command has empty standard input.
// Request fails if the command is longer than MaxCommand.
func (w Wrap) Request(command string) (text, input string, err error) {
	if err := w.check(command); err != nil {
		return "", "", err
	}
	if w == (Wrap{}) {
		return command, "", nil
	}
	if w.Sentinel {
		command = "echo " + header(w.Nonce) + "\n" + command
	}
	if len(command) <= MaxLine {
		argument, encoded := encode(command)
		if text, err = line(w.shell(), w.script(encoded, ""), argument); err == nil {
			return text, "", nil
		}
	}
	if len(command) > MaxCommand {
		return "", "", hint.Wrap(fmt.Errorf("wrapping a command: it has %d bytes, of at most %d", len(command), MaxCommand),
			"copy it to the hosts as a file")
	}
	quote, _ := encode("'")
	text, err = line(w.shell(), w.script(false, command), quote)
	return text, command, err
}

// receive returns the part that stores the command.
func (w Wrap) receive(command string) string {
	private := ""
	if w.Marker == nil {
		private = privateScript
	}
	return strings.NewReplacer(
		"PRIVATE", private, "SIZE", strconv.Itoa(len(command)), "DIGEST", fmt.Sprintf("%x", sha256.Sum256([]byte(command))),
	).Replace(receiveScript)
}

// discard returns the part that removes the command's file.
func (w Wrap) discard() string {
	if w.Marker == nil {
		return `rm -f "$_m/cmd"; rmdir "$_m";`
	}
	return `rm -f "$_m/cmd";`
}
