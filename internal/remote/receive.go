package remote

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"

	"shoal/internal/hint"
)

// MaxCommand is the length in bytes up to which a command that does not fit into a line is
// sent through standard input.
const MaxCommand = 4 << 20

// receiveScript stores what comes through standard input in the private directory _m before
// a detached command leaves the session. Nothing runs unless all bytes have arrived: a
// connection that is cut, or a login file that reads from standard input, leaves fewer. The
// digest is checked if the host has a tool for it. A descriptor would not do instead of the
// file, because the account's shell may not be able to open /dev/fd. A signal between this and
// the command's start removes the file; a detached command starts elsewhere, and keeps it.
const receiveScript = `
case $1 in d|e) ;; *)
PRIVATE
whole() {
set -- "$_m/$1" $2 "$3" $(wc -c <"$_m/$1");
[ "$4" = $2 ] || no input 122;
_t=$({ sha256sum || shasum -a 256 || sha256 -q; } <"$1");
case $_t in ""|"$3"*) ;; *) no input 122;; esac; };
trap "no input 122" HUP INT QUIT TERM;
TAKE
trap STOP HUP INT QUIT TERM;;
esac;
`

// stopScript defines what a signal does before the command starts.
const stopScript = `stop() { DISCARD trap - HUP INT QUIT TERM; kill -TERM $$; exit 143; }; `

// takeAllScript stores the last of it, up to EOF. takePartScript stores what another part
// follows: exactly SIZE bytes must be read, and only dd does not read ahead in any system; it
// stops after one read, whose length is up to the pipe.
const (
	takeAllScript  = `cat >"$_m/NAME"; whole NAME SIZE DIGEST; `
	takePartScript = `
_x=0;
true >"$_m/NAME";
while [ $_x -lt SIZE ]; do
_t=$((SIZE-_x)); [ $_t -gt 1048576 ] && _t=1048576;
dd bs=$_t count=1 >>"$_m/NAME";
_t=$(wc -c <"$_m/NAME"); _t=$((_t));
[ $_t -gt $_x ] || no input 122;
_x=$_t;
done;
whole NAME SIZE DIGEST;
`
)

// inputScript gives a detached command its standard input, which is stored.
const inputScript = `
[ -r "$_m/in" ] || no input 122;
exec <"$_m/in";
rm -f "$_m/in";
`

// privateScript creates the directory if there is no marker. mkdir fails if the name exists,
// whoever has made it.
const privateScript = `
_e=nowhere;
_m=;
for _t in "${TMPDIR:-/tmp}" /var/tmp "$HOME"; do
mkdir "$_t/shoal-$_n" && { _m=$_t/shoal-$_n; USABLE break; };
done;
[ "$_m" ] || no $_e 122;
_y=1;
`

// executesScript defines executes, which reports whether files in the private directory may
// be executed: one without #! is run by the shell, unless that is forbidden. usableScript
// skips a directory where they may not.
const (
	executesScript = `executes() { echo : >"$_m/in"; chmod 700 "$_m/in"; "$_m/in"; _t=$?; rm -f "$_m/in"; return $_t; }; `
	usableScript   = executesScript + `executes || { rmdir "$_m"; _m=; _e=exec; continue; }; `
)

// pick returns the text if condition holds, and "" otherwise.
func pick(condition bool, text string) string {
	if condition {
		return text
	}
	return ""
}

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

// Request returns what to send for the command: the text of the exec request, and what must
// be sent through standard input before the command's own, which EOF follows. before is empty
// if the command fits into the line. With a Script the caller sends its bytes instead.
// Request fails if the command is longer than MaxCommand, or than a line with a Script.
func (w Wrap) Request(command string) (text, before string, err error) {
	if err := w.check(command); err != nil {
		return "", "", err
	}
	if w == (Wrap{}) {
		return command, "", nil
	}
	if w.Script != nil {
		argument, encoded := encode(command)
		if text, err = w.line(w.script(encoded, ""), argument); err != nil {
			err = hint.Wrap(fmt.Errorf("a script and its arguments: %w", err), "send what is long through standard input")
		}
		return text, "", err
	}
	if len(command) <= MaxLine {
		argument, encoded := encode(command)
		if text, err = w.line(w.script(encoded, ""), argument); err == nil {
			return text, "", nil
		}
	}
	if len(command) > MaxCommand {
		return "", "", hint.Wrap(fmt.Errorf("wrapping a command: it has %d bytes, of at most %d", len(command), MaxCommand),
			"copy it to the hosts as a file")
	}
	quote, _ := encode("'")
	text, err = w.line(w.script(false, command), quote)
	return text, command, err
}

func (w Wrap) line(script, argument string) (string, error) {
	if w.Room {
		return lineOf(w.shell(), script, argument, MaxLine-BecomeRoom)
	}
	return line(w.shell(), script, argument)
}

// receive returns the part that stores the command, if it comes through standard input, and
// the standard input of a detached command; "" if neither is to be stored.
func (w Wrap) receive(command string) string {
	take := ""
	add := func(part, name string, size int64, digest string) {
		take += strings.NewReplacer("NAME", name, "SIZE", strconv.FormatInt(size, 10), "DIGEST", digest).Replace(part)
	}
	part := takeAllScript
	if w.Input > 0 {
		part = takePartScript
	}
	switch {
	case w.Script != nil:
		add(part+w.Script.stored(), "cmd", w.Script.Size(), w.Script.digest)
	case command != "":
		add(part, "cmd", int64(len(command)), fmt.Sprintf("%x", sha256.Sum256([]byte(command))))
	}
	if w.stored() {
		add(takeAllScript, "in", w.Input, cmp.Or(w.InputDigest, `""`))
	}
	if take == "" {
		return ""
	}
	private, binary := "", w.Script != nil && w.Script.machine != ""
	switch {
	case w.Marker == nil:
		private = strings.Replace(privateScript, "USABLE", pick(binary, usableScript), 1)
	case binary:
		private = executesScript + `executes || no exec 122;`
	}
	if w.Detach {
		return strings.NewReplacer("PRIVATE", private, "TAKE", take, "STOP", "-").Replace(receiveScript)
	}
	return strings.Replace(stopScript, "DISCARD", w.discard(), 1) +
		strings.NewReplacer("PRIVATE", private, "TAKE", take, "STOP", "stop").Replace(receiveScript)
}

// stored reports whether the host stores the standard input before the command starts.
func (w Wrap) stored() bool { return w.Detach && w.Input > 0 }

// discard returns the part that removes the command's file.
func (w Wrap) discard() string {
	if w.Marker == nil {
		return `rm -f "$_m/cmd"; rmdir "$_m";`
	}
	return `rm -f "$_m/cmd";`
}
