package posix

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"shoal/simfleet/internal/memfs"
)

// builtins has what a shell does itself, by name.
var builtins map[string]func(*shell, []string) int

func init() {
	nothing := func(*shell, []string) int { return 0 }
	program := func(name string) func(*shell, []string) int {
		return func(sh *shell, args []string) int {
			return programs[name](&call{proc: sh.p, name: name, args: args, env: nil})
		}
	}
	builtins = map[string]func(*shell, []string) int{
		":": nothing, "true": nothing, "times": nothing, "hash": nothing, "jobs": nothing,
		"false": func(*shell, []string) int { return 1 },
		".":     (*shell).dot, "eval": (*shell).eval, "exec": (*shell).exec, "exit": (*shell).exit, "return": (*shell).returns,
		"break": (*shell).breaks, "continue": (*shell).continues, "export": (*shell).export, "readonly": (*shell).readOnly,
		"local": (*shell).local, "set": (*shell).setOptions, "shift": (*shell).shift, "trap": (*shell).trap, "unset": (*shell).unset,
		"cd": (*shell).cd, "pwd": (*shell).pwd, "read": (*shell).readLine, "umask": (*shell).umask, "ulimit": (*shell).ulimit,
		"wait": (*shell).waitFor, "kill": (*shell).kill, "command": (*shell).commandName, "type": (*shell).typeOf,
		"getopts": (*shell).getopts,
		"echo":    program("echo"), "printf": program("printf"), "test": program("test"), "[": program("["),
	}
}

func (sh *shell) builtin(name string, args []string) int {
	do, ok := builtins[name]
	if !ok {
		sh.complain("%s: not found", name)
		return 127
	}
	return do(sh, args)
}

func (sh *shell) out(format string, args ...any) int {
	return truth(sh.p.write(1, fmt.Appendf(nil, format, args...)) == nil)
}

func (sh *shell) eval(args []string) int {
	sh.source(strings.Join(args, " "))
	return sh.status
}

func (sh *shell) dot(args []string) int {
	if len(args) == 0 {
		return 0
	}
	path := args[0]
	if !strings.Contains(path, "/") {
		for dir := range strings.SplitSeq(sh.vars["PATH"].value, ":") {
			if _, err := sh.p.host.FS.Stat(sh.p.cred, dir+"/"+path, true); err == nil {
				path = dir + "/" + path
				break
			}
		}
	}
	src, err := sh.p.readFile(path)
	if err != nil {
		sh.fail(2, ".: cannot open %s: %v", args[0], err)
		return 2
	}
	sh.calls++
	sh.status = 0
	sh.source(src)
	sh.calls--
	if sh.jump == jumpReturn {
		sh.jump = jumpNone
	}
	return sh.status
}

// readFile reads a whole file, of a bounded size.
func (p *proc) readFile(path string) (string, error) {
	f, err := p.open(path, memfs.OpenRead)
	if err != nil {
		return "", err
	}
	defer f.release()
	return p.readAll(f)
}

func (p *proc) readAll(f *file) (string, error) {
	var all bytes.Buffer
	buf := make([]byte, 4096)
	for {
		n, err := f.read(p, buf)
		all.Write(buf[:n])
		switch {
		case err != nil && !isEOF(err):
			return "", err
		case err != nil:
			return all.String(), nil
		case all.Len() > maxText:
			return "", memfs.EFBIG
		}
	}
}

func (sh *shell) exec(args []string) int {
	if len(args) == 0 {
		return 0
	}
	sh.jump = jumpExit
	prog, code := sh.lookup(args[0])
	if prog == nil {
		return code
	}
	delete(sh.traps, 0)
	sh.p.resetTraps()
	return sh.p.exec(prog, args, sh.environ())
}

func (sh *shell) exit(args []string) int {
	code := sh.status
	if len(args) > 0 {
		n, err := strconv.ParseUint(args[0], 10, 31)
		if err != nil {
			sh.fail(2, "exit: Illegal number: %s", args[0])
			return 2
		}
		code = int(n & 0xff)
	}
	sh.jump = jumpExit
	return code
}

func (sh *shell) returns(args []string) int {
	code := sh.status
	if len(args) > 0 {
		n, err := strconv.ParseUint(args[0], 10, 31)
		if err != nil {
			sh.fail(2, "return: Illegal number: %s", args[0])
			return 2
		}
		code = int(n & 0xff)
	}
	if sh.jump = jumpReturn; sh.calls == 0 {
		sh.jump = jumpExit
	}
	return code
}

func (sh *shell) breaks(args []string) int    { return sh.leaveLoops(jumpBreak, args) }
func (sh *shell) continues(args []string) int { return sh.leaveLoops(jumpContinue, args) }

func (sh *shell) leaveLoops(j jump, args []string) int {
	n := 1
	if len(args) > 0 {
		var err error
		if n, err = strconv.Atoi(args[0]); err != nil || n < 1 {
			sh.fail(2, "Illegal number: %s", args[0])
			return 2
		}
	}
	if n = min(n, sh.loops); n > 0 {
		sh.jump, sh.count = j, n
	}
	return 0
}

func (sh *shell) export(args []string) int {
	return sh.attribute("export", args, func(v *variable) { v.exported = true }, func(v variable) bool { return v.exported })
}

func (sh *shell) readOnly(args []string) int {
	return sh.attribute("readonly", args, func(v *variable) { v.readonly = true }, func(v variable) bool { return v.readonly })
}

func (sh *shell) attribute(what string, args []string, do func(*variable), has func(variable) bool) int {
	if len(args) > 0 && args[0] == "-p" {
		args = args[1:]
	}
	if len(args) == 0 {
		for _, name := range slices.Sorted(maps.Keys(sh.vars)) {
			if v := sh.vars[name]; has(v) {
				sh.out("%s %s=%s\n", what, name, quote(v.value))
			}
		}
		return 0
	}
	for _, arg := range args {
		name, value, assigns := strings.Cut(arg, "=")
		if !syntax.ValidName(name) {
			sh.fail(2, "%s: %s: bad variable name", what, name)
			return 2
		}
		if assigns && !sh.set(name, value) {
			return 2
		}
		v := sh.vars[name]
		do(&v)
		sh.vars[name], sh.env = v, nil
	}
	return 0
}

// quote is how a shell would write the text.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'"'"'`) + "'" }

func (sh *shell) local(args []string) int {
	if len(sh.locals) == 0 {
		sh.fail(2, "local: not in a function")
		return 2
	}
	top := len(sh.locals) - 1
	if sh.locals[top] == nil {
		sh.locals[top] = make(map[string]*variable)
	}
	for _, arg := range args {
		name, value, assigns := strings.Cut(arg, "=")
		sh.save(sh.locals[top], name)
		if assigns && !sh.set(name, value) {
			return 2
		}
	}
	return 0
}

func (sh *shell) setOptions(args []string) int {
	if len(args) == 0 {
		for _, name := range slices.Sorted(maps.Keys(sh.vars)) {
			sh.out("%s=%s\n", name, quote(sh.vars[name].value))
		}
		return 0
	}
	for len(args) > 0 {
		arg := args[0]
		if len(arg) < 2 || arg[0] != '-' && arg[0] != '+' {
			break
		}
		if args = args[1:]; arg == "--" {
			sh.params = args
			return 0
		}
		on := arg[0] == '-'
		for _, flag := range arg[1:] {
			switch flag {
			case 'e':
				sh.errexit = on
			case 'u':
				sh.nounset = on
			case 'f':
				sh.noglob = on
			case 'o':
				if len(args) > 0 {
					sh.named(args[0], on)
					args = args[1:]
				}
			case 'a', 'b', 'h', 'm', 'n', 'v', 'x', 'C', 'i':
				sh.fail(2, "set: -%c is not known here", flag)
				return 2
			default:
				sh.fail(2, "set: Illegal option -%c", flag)
				return 2
			}
		}
		if len(args) == 0 {
			return 0
		}
	}
	sh.params = args
	return 0
}

func (sh *shell) named(name string, on bool) {
	switch name {
	case "errexit":
		sh.errexit = on
	case "nounset":
		sh.nounset = on
	case "noglob":
		sh.noglob = on
	default:
		sh.fail(2, "set: Illegal option -o %s", name)
	}
}

func (sh *shell) shift(args []string) int {
	n := 1
	if len(args) > 0 {
		var err error
		if n, err = strconv.Atoi(args[0]); err != nil || n < 0 {
			sh.fail(2, "shift: Illegal number: %s", args[0])
			return 2
		}
	}
	if n > len(sh.params) {
		sh.fail(2, "shift: can't shift that many")
		return 2
	}
	sh.params = sh.params[n:]
	return 0
}

func (sh *shell) trap(args []string) int {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		for _, n := range slices.Sorted(maps.Keys(sh.traps)) {
			name := "EXIT"
			if n > 0 {
				name = signalNames[n]
			}
			sh.out("trap -- %s %s\n", quote(sh.traps[n]), name)
		}
		return 0
	}
	action, reset := args[0], args[0] == "-"
	if _, err := strconv.ParseUint(action, 10, 31); err == nil || len(args) == 1 {
		reset = true
	} else {
		args = args[1:]
	}
	code := 0
	for _, name := range args {
		n := signalNumber(name)
		if name == "EXIT" || name == "0" {
			n = 0
		} else if n <= 0 {
			sh.complain("trap: %s: bad trap", name)
			code = 1
			continue
		}
		switch {
		case reset:
			delete(sh.traps, n)
			sh.p.dispose(n, byDefault)
		case action == "":
			sh.traps[n] = ""
			sh.p.dispose(n, ignore)
		default:
			sh.traps[n] = action
			sh.p.dispose(n, catch)
		}
	}
	return code
}

func (sh *shell) unset(args []string) int {
	functions := false
	for len(args) > 0 && (args[0] == "-f" || args[0] == "-v") {
		functions, args = args[0] == "-f", args[1:]
	}
	for _, name := range args {
		if functions {
			delete(sh.funcs, name)
			continue
		}
		if sh.vars[name].readonly {
			sh.fail(2, "unset: %s: is read only", name)
			return 2
		}
		delete(sh.vars, name)
		sh.env = nil
	}
	return 0
}

func (sh *shell) cd(args []string) int {
	for len(args) > 0 && (args[0] == "-P" || args[0] == "-L" || args[0] == "--") {
		args = args[1:]
	}
	to, show := sh.vars["HOME"].value, false
	if len(args) > 0 {
		to = args[0]
	}
	if to == "-" {
		to, show = sh.vars["OLDPWD"].value, true
	}
	dir, err := sh.p.chdir(to)
	if err != nil {
		sh.complain("cd: can't cd to %s", to)
		return 2
	}
	sh.vars["OLDPWD"] = sh.vars["PWD"]
	sh.vars["PWD"], sh.env = variable{value: dir, exported: true}, nil
	if show {
		sh.out("%s\n", dir)
	}
	return 0
}

func (p *proc) chdir(to string) (string, error) {
	dir, err := p.host.FS.RealPath(p.cred, to)
	if err != nil {
		return "", err
	}
	switch i, err := p.host.FS.Stat(p.cred, to, true); {
	case err != nil:
		return "", err
	case !i.IsDir():
		return "", memfs.ENOTDIR
	}
	if err := p.host.FS.Access(p.cred, to, memfs.Exec); err != nil {
		return "", err
	}
	p.cred.Dir = dir
	return dir, nil
}

func (sh *shell) pwd([]string) int { return sh.out("%s\n", sh.p.cred.Dir) }

// readLine reads byte by byte, so that the rest is left for others.
func (sh *shell) readLine(args []string) int {
	raw := false
	for len(args) > 0 && strings.HasPrefix(args[0], "-") && len(args[0]) > 1 {
		switch args[0] {
		case "-r":
			raw = true
		case "--":
		default:
			sh.complain("read: Illegal option %s", args[0])
			return 2
		}
		args = args[1:]
	}
	if len(args) == 0 {
		sh.complain("read: arg count")
		return 2
	}
	e := sh.expansion(true)
	var line field // quoted pieces are not split
	code := 0
	add := func(c byte, quoted bool) {
		if n := len(line); n > 0 && line[n-1].quoted == quoted {
			line[n-1].text += string([]byte{c})
			return
		}
		line = append(line, piece{string([]byte{c}), quoted})
	}
	var buf [1]byte
	for size, escaped := 0, false; size < maxText; size++ {
		n, err := sh.p.read(0, buf[:])
		if n == 0 && err == nil {
			continue
		}
		if err != nil {
			code = 1
			break
		}
		c := buf[0]
		if escaped {
			if escaped = false; c != '\n' {
				add(c, true)
			}
			continue
		}
		if c == '\\' && !raw {
			escaped = true
			continue
		}
		if c == '\n' {
			break
		}
		if c != 0 {
			add(c, false)
		}
	}
	values := splitRead(line, e.ifs, len(args))
	for i, name := range args {
		if !syntax.ValidName(name) {
			sh.complain("read: %s: bad variable name", name)
			return 2
		}
		if !sh.set(name, values[i]) {
			return 2
		}
	}
	return code
}

// splitRead splits a line to n fields; the last one has the rest.
func splitRead(line field, ifs string, n int) []string {
	type char struct {
		c   byte
		sep bool
	}
	var chars []char
	for _, p := range line {
		for i := range len(p.text) {
			chars = append(chars, char{p.text[i], !p.quoted && strings.IndexByte(ifs, p.text[i]) >= 0})
		}
	}
	blank := func(c char) bool { return c.sep && strings.IndexByte(" \t\n", c.c) >= 0 }
	trim := func() {
		for len(chars) > 0 && blank(chars[0]) {
			chars = chars[1:]
		}
	}
	values := make([]string, n)
	for i := range n {
		trim()
		if i == n-1 {
			for len(chars) > 0 && blank(chars[len(chars)-1]) {
				chars = chars[:len(chars)-1]
			}
		}
		var b []byte
		for len(chars) > 0 && (i == n-1 || !chars[0].sep) {
			b = append(b, chars[0].c)
			chars = chars[1:]
		}
		values[i] = string(b)
		if trim(); len(chars) > 0 && chars[0].sep {
			chars = chars[1:]
		}
	}
	return values
}

func (sh *shell) umask(args []string) int {
	if len(args) == 0 {
		return sh.out("%04o\n", uint32(sh.p.cred.Umask))
	}
	n, err := strconv.ParseUint(args[0], 8, 32)
	if err != nil || n > 0o777 {
		sh.complain("umask: Illegal number: %s", args[0])
		return 2
	}
	sh.p.cred.Umask = fs.FileMode(n)
	return 0
}

// ulimit knows the size of files, in blocks of 512 bytes.
func (sh *shell) ulimit(args []string) int {
	if len(args) > 0 && (args[0] == "-H" || args[0] == "-S") {
		args = args[1:]
	}
	if len(args) > 0 && args[0] != "-f" {
		sh.complain("ulimit: only -f is known here")
		return 2
	}
	if args = args[min(1, len(args)):]; len(args) == 0 {
		if sh.p.fileLimit == 0 {
			return sh.out("unlimited\n")
		}
		return sh.out("%d\n", sh.p.fileLimit/512)
	}
	n, err := strconv.ParseInt(args[0], 10, 40)
	if err != nil || n < 0 {
		sh.complain("ulimit: bad number")
		return 2
	}
	sh.p.fileLimit = n * 512
	return 0
}

// waitFor waits for background processes; a signal with a trap ends it.
func (sh *shell) waitFor(args []string) int {
	if len(args) == 0 {
		for _, p := range sh.jobs {
			if code, ended := sh.await(p); !ended {
				return code
			}
		}
		sh.jobs = nil
		return 0
	}
	code := 0
	for _, arg := range args {
		i := slices.IndexFunc(sh.jobs, func(p *proc) bool { return strconv.Itoa(p.pid) == arg })
		if i < 0 {
			code = 127
			continue
		}
		var ended bool
		if code, ended = sh.await(sh.jobs[i]); !ended {
			return code
		}
		sh.jobs = slices.Delete(sh.jobs, i, i+1)
	}
	return code
}

func (sh *shell) await(p *proc) (code int, ended bool) {
	for {
		select {
		case <-p.done:
			return p.end.seen(), true
		default:
		}
		select {
		case <-p.done:
			return p.end.seen(), true
		case <-sh.p.done:
			return 0, false
		case <-sh.p.wake:
			sh.p.mu.Lock()
			pending := sh.p.pending
			sh.p.mu.Unlock()
			for n := range signalNames {
				if pending&(1<<n) != 0 {
					return 128 + n, false
				}
			}
		}
	}
}

func (sh *shell) kill(args []string) int {
	return kill(&call{proc: sh.p, name: "kill", args: args})
}

// commandName is command, and command -v.
func (sh *shell) commandName(args []string) int {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return 0
	}
	if args[0] == "-v" || args[0] == "-V" {
		code := 0
		for _, name := range args[1:] {
			path, ok := sh.whereIs(name)
			if !ok {
				code = 127
				continue
			}
			sh.out("%s\n", path)
		}
		return code
	}
	if args[0] == "-p" {
		args = args[1:]
	}
	if len(args) == 0 {
		return 0
	}
	return sh.run(args[0], args, false)
}

func (sh *shell) whereIs(name string) (string, bool) {
	if _, ok := sh.funcs[name]; ok || builtins[name] != nil || syntax.IsKeyword(name) {
		return name, true
	}
	if prog, _ := find(sh.p, name, sh.vars["PATH"].value); prog != nil {
		return prog.path, true
	}
	return "", false
}

func (sh *shell) typeOf(args []string) int {
	code := 0
	for _, name := range args {
		path, ok := sh.whereIs(name)
		switch _, isFunc := sh.funcs[name]; {
		case !ok:
			sh.out("%s: not found\n", name)
			code = 127
		case isFunc:
			sh.out("%s is a shell function\n", name)
		case builtins[name] != nil:
			sh.out("%s is a shell builtin\n", name)
		case syntax.IsKeyword(name):
			sh.out("%s is a shell keyword\n", name)
		default:
			sh.out("%s is %s\n", name, path)
		}
	}
	return code
}

// getopts follows POSIX; the place in a group of options is in the variable
// OPTIND's value and _OPTPLACE.
func (sh *shell) getopts(args []string) int {
	if len(args) < 2 {
		sh.complain("getopts: usage: getopts optstring var [arg...]")
		return 2
	}
	letters, name, words := args[0], args[1], sh.params
	if len(args) > 2 {
		words = args[2:]
	}
	index, _ := strconv.Atoi(sh.vars["OPTIND"].value)
	index = max(index, 1)
	place, _ := strconv.Atoi(sh.vars["_OPTPLACE"].value)
	place = max(place, 1)
	finish := func(opt, arg string, code int) int {
		sh.set("OPTIND", strconv.Itoa(index))
		sh.set("_OPTPLACE", strconv.Itoa(place))
		sh.set("OPTARG", arg)
		sh.set(name, opt)
		return code
	}
	if index > len(words) || len(words[index-1]) < 2 || words[index-1][0] != '-' {
		return finish("?", "", 1)
	}
	word := words[index-1]
	if word == "--" {
		index++
		return finish("?", "", 1)
	}
	place = min(place, len(word)-1)
	opt := word[place : place+1]
	if place++; place >= len(word) {
		index, place = index+1, 1
	}
	at := strings.Index(letters, opt)
	if at < 0 || opt == ":" {
		if !strings.HasPrefix(letters, ":") {
			sh.complain("Illegal option -%s", opt)
			return finish("?", "", 0)
		}
		return finish("?", opt, 0)
	}
	if !strings.HasPrefix(letters[at+1:], ":") {
		return finish(opt, "", 0)
	}
	if place > 1 {
		arg := word[place:]
		index, place = index+1, 1
		return finish(opt, arg, 0)
	}
	if index > len(words) {
		if strings.HasPrefix(letters, ":") {
			return finish(":", opt, 0)
		}
		sh.complain("No arg for -%s option", opt)
		return finish("?", "", 0)
	}
	arg := words[index-1]
	index++
	return finish(opt, arg, 0)
}
