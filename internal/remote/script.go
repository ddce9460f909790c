package remote

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"path"
	"strings"

	"shoal/internal/hint"
)

// MaxScript is the maximum size of a Script in bytes.
const MaxScript = 64 << 20

// maxInterpreterLine is the length in bytes up to which Linux reads an interpreter line.
const maxInterpreterLine = 255

// A Script is a file that is run in place of a command: it arrives through standard input, is
// stored in the private directory, and is checked as a long command is. The command is then
// words for sh: the script's name, which is not used, and its arguments. It is an ssh.Input.
type Script struct {
	*bytes.Reader

	digest                string
	interpreter, argument string
	machine               string // of a binary, as od -tx1 shows the ELF header's field; "" of a script
}

// NewScript returns the script with the given bytes, which must not change. A line #! names
// its interpreter and one argument, as Linux reads it; without it that is /bin/sh. An ELF
// file is run itself.
func NewScript(text []byte) (*Script, error) {
	s := &Script{Reader: bytes.NewReader(text), digest: fmt.Sprintf("%x", sha256.Sum256(text)), interpreter: defaultShell}
	const elf = "\x7fELF"
	switch {
	case len(text) == 0:
		return nil, errors.New("it is empty")
	case len(text) > MaxScript:
		return nil, hint.Wrap(fmt.Errorf("it has %d bytes, of at most %d", len(text), MaxScript), "copy it to the hosts as a file")
	case bytes.HasPrefix(text, []byte(elf)) && len(text) >= 20:
		s.interpreter, s.machine = "", fmt.Sprintf("%02x %02x", text[18], text[19])
		return s, nil
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf#!")):
		return nil, hint.New("it begins with a byte order mark, which no system accepts before #!", "save it as UTF-8 without one")
	case !bytes.HasPrefix(text, []byte("#!")):
		if bytes.IndexByte(text[:min(len(text), 1024)], 0) >= 0 {
			return nil, errors.New("it is neither a script nor an ELF file: it has NUL bytes")
		}
		return s, nil
	}
	line, _, _ := bytes.Cut(text[2:], []byte("\n"))
	return s, s.readInterpreter(string(line))
}

func (s *Script) readInterpreter(line string) error {
	switch {
	case strings.HasSuffix(line, "\r"):
		return hint.New("its interpreter line ends in CR LF, and no system has an interpreter of that name", "convert it, such as with dos2unix")
	case len(line)+len("#!") > maxInterpreterLine:
		return fmt.Errorf("its interpreter line has more than %d bytes", maxInterpreterLine)
	case strings.ContainsAny(line, "\x00\r"):
		return errors.New("its interpreter line has a NUL byte or a CR")
	}
	line = strings.Trim(line, " \t")
	s.interpreter, s.argument = line, ""
	if at := strings.IndexAny(line, " \t"); at >= 0 {
		s.interpreter, s.argument = line[:at], strings.TrimLeft(line[at:], " \t")
	}
	if !path.IsAbs(s.interpreter) {
		return fmt.Errorf("its interpreter line names %q, which is no absolute path", s.interpreter)
	}
	return nil
}

// Digest returns the SHA-256 in hexadecimal.
func (s *Script) Digest() string { return s.digest }

// Interpreter returns what runs the script, with its argument; "" for a binary.
func (s *Script) Interpreter() string { return strings.TrimSpace(s.interpreter + " " + s.argument) }

// interpreterScript looks for the interpreter before anything is claimed.
const interpreterScript = `[ -x "$_I" ] || no interpreter 122;`

// machineScript refuses a binary for another machine, which shells and execvp(3) would run as
// a script. i386 on x86-64 and arm on arm64 are taken. Without od nothing is known.
const machineScript = `
_t=$(dd if=/bin/sh bs=1 skip=18 count=2 | od -An -tx1); _t=$(echo $_t);
case "$_t/MACHINE" in /*|"MACHINE/MACHINE"|"3e 00/03 00"|"b7 00/28 00") ;; *) no machine 122;; esac;
`

// before returns the part that looks whether the script can run at all.
func (s *Script) before() string {
	if s == nil || s.machine != "" {
		return ""
	}
	part := assignAny("_I", s.interpreter)
	if s.argument != "" {
		part += assignAny("_A", s.argument)
	}
	return part + interpreterScript
}

// stored returns the part that follows when the script is stored.
func (s *Script) stored() string {
	if s.machine == "" {
		return ""
	}
	return `chmod 700 "$_m/cmd";` + strings.ReplaceAll(machineScript, "MACHINE", s.machine)
}

// program returns what runs in place of the account's shell.
func (s *Script) program() string {
	switch {
	case s.machine != "":
		return `"$_m/cmd" "$@"`
	case s.argument != "":
		return `"$_I" "$_A" "$_m/cmd" "$@"`
	}
	return `"$_I" "$_m/cmd" "$@"`
}
