package remote

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"shoal/internal/hint"
)

// A Place is where and with what a command runs.
type Place struct {
	// Env are variables, NAME=VALUE, added to the environment that the host gives. They
	// stand in the command line of the wrapper, which ps shows to everybody there.
	Env []string
	// Dir is the working directory; a relative one is seen from where the host starts
	// commands, the account's home. "" leaves that. If the directory cannot be entered,
	// the command is refused.
	Dir string
	// Umask is up to four octal digits; "" leaves the host's.
	Umask string
}

// Validate returns an error if a field is not valid. It names no value of a variable.
func (p *Place) Validate() error {
	seen := make(map[string]bool)
	for i, variable := range p.Env {
		name, value, ok := strings.Cut(variable, "=")
		switch {
		case !ok || !isWord(name, "_", 200) || '0' <= name[0] && name[0] <= '9':
			return fmt.Errorf("environment variable %d, %.40q: want NAME=VALUE, with a name of letters, digits and _", i+1, name)
		case seen[name]:
			return fmt.Errorf("the environment variable %.40q is there twice", name)
		case strings.ContainsRune(value, 0) || strings.HasSuffix(value, "\n"):
			return fmt.Errorf("the environment variable %.40q has a NUL byte or ends in a newline, which the wrapper cannot pass on", name)
		}
		seen[name] = true
	}
	switch {
	case strings.ContainsRune(p.Dir, 0) || strings.HasSuffix(p.Dir, "\n") || len(p.Dir) > 4096:
		return errors.New("the working directory has a NUL byte, ends in a newline or is too long")
	case strings.HasPrefix(p.Dir, "~"):
		return hint.Wrap(fmt.Errorf("the working directory %.80q begins with ~, which no shell replaces here", p.Dir), "a relative directory is seen from the account's home")
	}
	if p.Umask == "" {
		return nil
	}
	if n, err := strconv.ParseUint(p.Umask, 8, 16); err != nil || n > 0o777 || len(p.Umask) > 4 || !isWord(p.Umask, "", 4) {
		return fmt.Errorf("umask %.20q: want octal digits, 0 to 0777", p.Umask)
	}
	return nil
}

// chdirScript enters the directory before anything is claimed or started. The prefix ./
// keeps cd from searching CDPATH, and from reading options.
const chdirScript = `case $1 in d|e|w) ;; *) cd "$_v" >/dev/null || no chdir 122;; esac;`

// script returns the part that sets _v0, _v1, … to the values of the variables and enters
// the directory.
func (p *Place) script() string {
	if p == nil {
		return ""
	}
	var b strings.Builder
	if len(p.Env) > 0 {
		b.WriteString(`_E=$(command -v env) || no env 122; `)
	}
	for i, variable := range p.Env {
		_, value, _ := strings.Cut(variable, "=")
		b.WriteString(assignAny("_v"+strconv.Itoa(i), value))
	}
	if p.Dir != "" {
		dir := p.Dir
		if dir[0] != '/' {
			dir = "./" + dir
		}
		b.WriteString(assignAny("_v", dir) + chdirScript)
	}
	return b.String()
}

// assignAny returns an assignment of any text without a NUL byte and a final newline. Bytes
// that a shell may interpret between double quotes are encoded as in a command.
func assignAny(name, value string) string {
	text := Octal(value)
	if text == value {
		return name + `="` + value + `"; `
	}
	return name + `=$(printf %b "` + text + `") || no printf 122; `
}

// accountShell is what runs a command.
const accountShell = `"${SHELL:-/bin/sh}"`

// run returns the script that runs the command by program, changed for the place. env(1) sets the
// variables: the wrapper's shell may give some of the names a meaning of its own.
func (p *Place) run(script, program string) string {
	if p == nil {
		return script
	}
	if p.Umask != "" {
		script = strings.Replace(script, "umask $_u;", "umask "+p.Umask+";", 1)
	}
	if len(p.Env) > 0 {
		env := `exec "$_E"`
		for i, variable := range p.Env {
			name, _, _ := strings.Cut(variable, "=")
			env += fmt.Sprintf(` %s="$_v%d"`, name, i)
		}
		script = strings.ReplaceAll(script, "exec "+program, env+" "+program)
	}
	return script
}
