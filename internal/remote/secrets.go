package remote

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"shoal/internal/hint"
)

// MaxSecrets is the maximum size in bytes of all values of a Secrets together.
const MaxSecrets = 64 << 10

// Secrets are variables for a command whose values are sent through standard input, before the
// command's own. They stand in no command line and no file there: the wrapper's shell reads them
// into variables, and exports these for the command alone. Make it with NewSecrets, and call
// Fill before anything else but Names and Validate.
//
// It is an ssh.Input, and safe for concurrent use once it is filled.
type Secrets struct {
	names []string
	sizes []int
	frame []byte // for each value: its bytes and a dot; at the end Go
}

// NewSecrets returns Secrets without values, or an error if a name is not valid; nil for no names.
func NewSecrets(names []string) (*Secrets, error) {
	for i, name := range names {
		switch {
		case !isWord(name, "_", 200) || '0' <= name[0] && name[0] <= '9':
			return nil, fmt.Errorf("secret variable %d: want a name of letters, digits and _", i+1) // it may be the value
		case slices.Contains(names[:i], name):
			return nil, fmt.Errorf("the secret variable %s is there twice", name)
		case shellsOwn(name):
			return nil, hint.Wrap(fmt.Errorf("the secret variable %s: shells give that name a meaning of their own", name),
				"use another name, which the command copies")
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	return &Secrets{names: slices.Clone(names)}, nil
}

// shellsOwn reports whether a shell, or this package, may use the variable. The value is assigned
// in the wrapper's shell, not by env(1), whose command line ps shows.
func shellsOwn(name string) bool {
	for _, prefix := range []string{"_", "LC_", "LD_", "BASH", "KSH", "ZSH", "DYLD_", "POSIXLY_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return slices.Contains(ownNames, name)
}

var ownNames = strings.Fields(`ARGC CDPATH COLUMNS CPUTYPE DIRSTACK EDITOR EGID ENV EPOCHREALTIME EPOCHSECONDS ERRNO EUID FCEDIT FIGNORE
	FPATH FUNCNAME GID GLOBIGNORE GROUPS HISTCHARS HISTCMD HISTFILE HISTSIZE HOME HOST HOSTNAME HOSTTYPE IFS LANG LANGUAGE LINENO LINES
	LOGNAME MACHTYPE MAIL MAILCHECK MAILPATH MODULE_PATH NULLCMD OLDPWD OPTARG OPTERR OPTIND OSTYPE PATH PATH_SEPARATOR PGRP PIPESTATUS
	PPID PROMPT PROMPT2 PROMPT3 PROMPT4 PS1 PS2 PS3 PS4 PSVAR PWD RANDOM READNULLCMD REPLY SECONDS SHELL SHELLOPTS SHLVL SPROMPT SRANDOM
	TERM TIMEFMT TMOUT TMPDIR TMPPREFIX TRY_BLOCK_ERROR TTY TTYIDLE UID USER USERNAME VENDOR VISUAL WATCH WATCHFMT WORDCHARS
	aliases argv builtins cdpath commands dirstack fignore fpath funcstack functions galiases histchars history historywords jobdirs jobstates
	jobtexts keymaps mailpath manpath module_path modules nameddirs options parameters path pipestatus prompt psvar reswords saliases signals
	status termcap terminfo userdirs usergroups watch widgets`)

// Names returns the names; nil for nil.
func (s *Secrets) Names() []string {
	if s == nil {
		return nil
	}
	return s.names
}

// Fill takes over the values, in the order of the names, and overwrites them.
func (s *Secrets) Fill(values [][]byte) error {
	defer func() {
		for _, v := range values {
			clear(v)
		}
	}()
	if len(values) != len(s.names) {
		return fmt.Errorf("%d values for %d secret variables", len(values), len(s.names))
	}
	size := len(Go)
	for i, v := range values {
		if bytes.IndexByte(v, 0) >= 0 {
			return fmt.Errorf("the value of the secret variable %s has a NUL byte", s.names[i])
		}
		size += len(v) + 1
	}
	if size > MaxSecrets {
		return fmt.Errorf("the values of the secret variables have more than %d bytes", MaxSecrets)
	}
	frame, sizes := make([]byte, 0, size), make([]int, len(values)) // so that append leaves no copy behind
	for i, v := range values {
		frame, sizes[i] = append(append(frame, v...), '.'), len(v)
	}
	s.frame, s.sizes = append(frame, Go...), sizes
	return nil
}

// Wipe overwrites the values. Nothing may be sent any more.
func (s *Secrets) Wipe() {
	if s != nil {
		clear(s.frame)
	}
}

// Size implements ssh.Input.
func (s *Secrets) Size() int64 { return int64(len(s.frame)) }

// ReadAt implements io.ReaderAt.
func (s *Secrets) ReadAt(p []byte, at int64) (int, error) {
	if at < 0 || at > s.Size() {
		return 0, errors.New("reading secrets: no such offset")
	}
	n := copy(p, s.frame[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// script returns the part that reads the values. The guard has another standard input. dd reads
// no byte behind them.
func (s *Secrets) script() string {
	if s == nil {
		return ""
	}
	var b strings.Builder
	b.WriteString(`case $1 in w) ;; *) _l=${LC_ALL-none}; LC_ALL=C;`)
	for i, size := range s.sizes {
		fmt.Fprintf(&b, ` _k%d=$(dd bs=1 count=%d); _k%[1]d=${_k%[1]d%%.};`, i, size+1)
	}
	b.WriteString(` _t=$(dd bs=1 count=3); [ "$_l" = none ] && unset LC_ALL || LC_ALL=$_l; [ "$_t" = go ] || no input 122;; esac;`)
	return b.String()
}

// run returns the script that runs the command, with the variables exported in its subshell.
func (s *Secrets) run(script string) string {
	if s == nil {
		return script
	}
	export := ""
	for i, name := range s.names {
		export += fmt.Sprintf(`%s=$_k%d; export %[1]s; `, name, i)
	}
	return strings.Replace(script, "( umask", "( "+export+"umask", 1)
}
