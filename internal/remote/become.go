package remote

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
)

// A Method is the program by which an account becomes another user.
type Method string

// The methods.
const (
	Sudo Method = "sudo"
	Doas Method = "doas"
	Su   Method = "su"
)

// BecomeRoom is the maximum number of bytes that [Become.Line] adds to a command line.
const BecomeRoom = 4 << 10

// A Become describes how the account becomes another user before a command runs.
type Become struct {
	Method Method
	// User is the user to become, as ValidateUser allows it.
	User string
	// Nonce identifies the lines of this text; see NewNonce.
	Nonce string
	// Ask lets the method ask for a password. The command then starts when [Go] has come
	// through standard input, which precedes the command's own, and the password, if it was
	// asked for, precedes Go. Without it nothing is asked: what needs a password fails.
	Ask bool
	// Terminal means that there is a pseudo-terminal, from which the password is read.
	Terminal bool
	// Raw makes the terminal pass bytes on unchanged from the start of the command on, whose
	// standard input is then empty. It needs Terminal.
	Raw bool
	// Held means that the command's standard input is not empty. It matters to Su without
	// Ask, which would read it as the password.
	Held bool
	// Direct has sudo start the command's words themselves, for sudoers that allow certain
	// commands only: no shell runs as the other user, and the command has no standard input.
	// Became then says that sudo -l has allowed them, and nothing that sudo has started them.
	Direct bool
	// Shell is the absolute path of the far end's POSIX shell; "" means /bin/sh.
	Shell string
}

// Go is what starts a command whose Become has Ask, once its user has been seen to be the other
// one: what was not sent to a host does not run there.
const Go = "go\n"

// Validate returns an error if a field is not valid.
func (b Become) Validate() error {
	switch b.Method {
	case Sudo, Doas, Su:
	default:
		return fmt.Errorf("there is no way %.20q to become another user: want sudo, doas or su", string(b.Method))
	}
	if b.Direct && (b.Method != Sudo || b.Terminal || b.Held) {
		return errors.New("a command is started directly by sudo only, without a terminal and a standard input")
	}
	if b.Raw && !b.Terminal {
		return errors.New("without a terminal there is none to make raw")
	}
	if b.Ask && b.Method != Sudo && !b.Terminal {
		return fmt.Errorf("%s reads a password from a terminal only", b.Method)
	}
	return errors.Join(ValidateUser(b.User), validateNonce(b.Nonce), validateShell(b.Shell))
}

// ValidateUser returns an error unless name is a user's name: letters, digits and . _ - @, none of
// - . @ at its beginning, and perhaps a $ at its end, as machine accounts have it. Elsewhere the
// shell would take $ for a variable.
func ValidateUser(name string) error {
	if plain := strings.TrimSuffix(name, "$"); !isWord(plain, "._-@", 64) || strings.ContainsAny(plain[:1], "-.@") {
		return fmt.Errorf("the user to become, %.80q: want letters, digits, . _ - @ behind the first, and $ at the end", name)
	}
	return nil
}

// Became returns the line, without its end, that is written to both streams, or to the
// terminal, when the command's user is the other one. Nothing before it is the command's.
func (b Become) Became() string { return header(b.Nonce) + " became" }

// Prompt returns the text that sudo shows in its question for the password.
func (b Become) Prompt() string { return header(b.Nonce) + " password" }

// Secret returns the line, without its end, that is written when the terminal has ceased to
// show what is typed, so that a password is asked for. It may come repeatedly.
func (b Become) Secret() string { return header(b.Nonce) + " secret" }

// Begun returns the line, without its end, that a POSIX shell writes to the standard error
// before it tries.
func (b Become) Begun() string { return header(b.Nonce) + " begun" }

// Lacks returns the line, without its end, that says why nothing was tried: "method" if the
// program is missing, "user" if there is no such user, "printf" as for RefusedPrintf, "output" if
// Became could not be written to both streams.
func (b Become) Lacks(what string) string { return header(b.Nonce) + " lacks " + what }

// becomeScript tries to become the other user. $1 is the script that runs as that user, what
// follows are its parameters. It must not change the environment. id(1) knows the users of
// all sources.
const becomeScript = `
lacks() { echo "shoal/1 NONCE lacks $1" >&2; exit 122; };
_t=$1; shift;
_p=/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin:/usr/local/sbin${PATH:+:$PATH};
_m=$(PATH=$_p; command -v METHOD) || lacks method;
USER
echo "shoal/1 NONCE begun" >&2;
`

const becomeUserScript = `
_i=$(PATH=$_p; command -v id) && { "$_i" -u "NAME" >/dev/null 2>&1 || lacks user; };
`

// watchEchoScript has a process look at the terminal, which shows what is typed until the
// method asks for a password, in any language. What is typed before that may be shown, and is
// dropped (TCSAFLUSH). The process ends when the question is over, when the terminal is raw, when
// the method has ended, and after a minute.
const watchEchoScript = `
stty echo 2>/dev/null || lacks stty;
( trap "" INT QUIT TSTP; _o=; _z=600;
while [ $_z -gt 0 ] && kill -0 $$ 2>/dev/null; do
_z=$((_z-1));
case " "$(echo $(stty -a </dev/tty 2>/dev/null))" " in
"  "|*" -icanon "*) exit;;
*" -echo "*) [ "$_o" ] || echo "shoal/1 NONCE secret"; _o=1;;
*) [ "$_o" ] && exit;; esac;
sleep 0.1 2>/dev/null || sleep 1;
done ) &
`

// suScript puts the words into single quotes, which none of them contains, since su gives one
// text to the user's own shell. HELD keeps it from reading the command's input as a password.
const suScript = `
_q=$(printf %b "\0047") && [ "$_q" ] || lacks printf;
_c="exec SHELL -c $_q$_t$_q NONCE";
for _w do _c="$_c $_q$_w$_q"; done;
HELD
exec "$_m" "NAME" -c "$_c";
`

const suHeldScript = `"$_m" "NAME" -c : </dev/null >/dev/null 2>&1 || exit 1;`

// directScript has sudo say whether it allows the command, which asks for the password where one
// is needed, and then start it. That would ask again only if the password does not hold
// (timestamp_timeout=0), or is not needed to list but to run: then it reads the end of the file,
// and its prompt says so. sudo keeps the password for the children of one process.
const directScript = `
_c=$(printf %b. "$1") || lacks printf;
_l=${LC_ALL-none}; LC_ALL=C; _c=${_c%.};
[ "$_l" = none ] && unset LC_ALL || LC_ALL=$_l;
eval "set -- $_c";
"$_m" CHECK -l -u "NAME" -- "$@" >/dev/null || exit 1;
echo "shoal/1 NONCE became" && echo "shoal/1 NONCE became" >&2 || lacks output;
EXEC "$_m" -S -H -p "PROMPT" -u "NAME" -- "$@" </dev/null;
exit $?
`

// becameScript runs as the other user, with $0 as the nonce. A command whose lines cannot be
// written is not started, since without them it counts as not started; the standard error, where
// they are looked for, is the last. The shell of an account that must not log in runs no command.
const becameScript = `
echo "shoal/1 $0 became" STDERR || { echo "shoal/1 $0 lacks output" >&2; exit 122; };
WAIT
cd "${HOME:-/}" 2>/dev/null || cd /;
case ${SHELL-} in ""|*/nologin|*/false|*/sync) SHELL=/bin/sh; export SHELL;; esac;
`

// waitScript reads no byte behind Go. Whatever else is there was not meant for the command.
const waitScript = `
_g=$(dd bs=1 count=3 2>/dev/null);
[ "$_g" = go ] || { echo "shoal/1 $0 lacks go" >&2; exit 122; };
`

const rawScript = `stty raw -echo 2>/dev/null || { echo "shoal/1 $0 lacks stty" >&2; exit 122; };`

// givenScript takes a command as decodeScript does.
const givenScript = `
_c=$(printf %b. "$1") || { echo "shoal/1 $0 lacks printf" >&2; exit 122; };
_l=${LC_ALL-none};
LC_ALL=C;
_c=${_c%.};
[ "$_l" = none ] && unset LC_ALL || LC_ALL=$_l;
`

var errWrapped = errors.New("becoming another user: a command in a wrapper cannot be started directly")

// Line returns the text of the exec request that runs a command as the other user, by that
// user's shell in that user's home. wrapped means that the command is a line of this package,
// which is not encoded again.
func (b Become) Line(command string, wrapped bool) (string, error) {
	if err := b.Validate(); err != nil {
		return "", fmt.Errorf("becoming another user: %w", err)
	}
	if strings.IndexByte(command, 0) >= 0 {
		return "", errors.New("becoming another user: the command has a NUL byte")
	}
	if b.Direct {
		given, err := SplitWords(command)
		if wrapped || err != nil {
			return "", cmp.Or(err, errWrapped)
		}
		command = joinWords(given)
	}
	words, ours := strings.CutPrefix(command, "exec ")
	encoded := false
	if wrapped = wrapped && ours; !wrapped {
		words, encoded = encode(command)
		words = "'" + words + "'"
	}
	text := "exec " + b.shell() + ` -c 'eval "$0"' '` + b.outer() + "' '" + b.inner(wrapped, encoded) + "' " + words
	if len(text) > MaxLine {
		return "", fmt.Errorf("the command takes %d bytes with what becomes another user, of at most %d", len(text), MaxLine)
	}
	return text, nil
}

func (b Become) shell() string {
	if b.Shell == "" {
		return defaultShell
	}
	return b.Shell
}

// fill replaces the words in capitals.
func (b Become) fill(script string, more ...string) string {
	return strings.NewReplacer(append(more, "NONCE", b.Nonce, "NAME", b.User, "SHELL", b.shell(), "METHOD", string(b.Method))...).Replace(oneLine(script)) + " "
}

// outer returns the script that runs as the account.
func (b Become) outer() string {
	script := b.fill(becomeScript, "USER", pick(b.User != "root", b.fill(becomeUserScript)))
	if b.Ask && b.Method != Sudo {
		script += b.fill(watchEchoScript)
	}
	options := ""
	switch {
	case b.Direct:
		return script + strings.TrimSpace(b.fill(directScript, "CHECK", pick(b.Ask, `-S -p "`+b.Prompt()+`"`)+pick(!b.Ask, "-n"),
			"PROMPT", b.Prompt(), "EXEC", pick(!b.Ask, "exec")))
	case b.Method == Su:
		return script + strings.TrimSpace(b.fill(suScript, "HELD", pick(b.Held && !b.Ask, b.fill(suHeldScript))))
	case !b.Ask:
		options = "-n "
	case b.Method == Sudo && !b.Terminal:
		options = "-S "
	}
	if b.Method == Sudo {
		options += "-H "
		if b.Ask {
			options += `-p "` + b.Prompt() + `" `
		}
	}
	return script + `exec "$_m" ` + options + `-u "` + b.User + `" -- ` + b.shell() + ` -c "$_t" ` + b.Nonce + ` "$@"`
}

// inner returns the script that runs as the other user.
func (b Become) inner(wrapped, encoded bool) string {
	if b.Direct {
		return ""
	}
	script, start := "", `exec "$@"`
	if !wrapped {
		script, start = `_c=$1; `, `exec "$SHELL" -c "$_c"`
		if encoded {
			script = b.fill(givenScript)
		}
	}
	switch {
	case b.Raw:
		script += rawScript + " "
	case b.Terminal && b.Ask && b.Method != Sudo:
		script += "stty -echo 2>/dev/null; " // see watchEchoScript
	}
	wait := pick(b.Ask, b.fill(waitScript)) + pick(b.Raw, "exec </dev/null;")
	script += strings.NewReplacer("STDERR", pick(!b.Terminal, `&& echo "shoal/1 $0 became" >&2`), "WAIT", wait).Replace(oneLine(becameScript))
	return script + " " + start
}

// Fits reports whether a Become can have a command that is not wrapped in its line.
func Fits(command string) bool {
	text, _ := encode(command)
	return len(text) <= MaxLine-BecomeRoom
}
