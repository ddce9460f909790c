package posix

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"shoal/simfleet/internal/memfs"
)

// A variable is set, unless it is missing from the map.
type variable struct {
	value    string
	exported bool
	readonly bool
}

// A jump ends the statements up to its target.
type jump int

const (
	jumpNone jump = iota
	jumpBreak
	jumpContinue
	jumpReturn
	jumpExit
)

// A shell interprets commands in a process. Like dash, it is a plain POSIX
// shell, with local.
type shell struct {
	p      *proc
	pid    string // what $$ is, also in subshells
	arg0   string
	params []string
	vars   map[string]variable
	env    map[string]string // of the exported ones; nil if one of them has changed
	funcs  map[string]*syntax.Stmt
	traps  map[int]string // by signal; 0 is the exit
	locals []map[string]*variable

	status int // $?
	subst  int // status of the last command substitution of a command; -1 means none
	jobs   []*proc
	last   *proc // $!

	jump   jump
	count  int // loops that break or continue still has to leave
	loops  int
	calls  int          // functions and sourced files around
	depth  int          // of everything that recurses
	final  *syntax.Stmt // what the process ends with: it needs no process of its own
	tested int          // the status is looked at: set -e does not apply

	errexit, nounset, noglob bool
}

// maxDepth bounds recursion, as a real stack does.
const maxDepth = 400

func newShell(p *proc, env map[string]string) *shell {
	sh := &shell{
		p: p, pid: strconv.Itoa(p.pid), arg0: "sh", subst: -1,
		vars: make(map[string]variable, len(env)), funcs: make(map[string]*syntax.Stmt), traps: make(map[int]string),
	}
	for name, value := range env {
		if syntax.ValidName(name) {
			sh.vars[name] = variable{value: value, exported: true}
		}
	}
	sh.vars["PWD"] = variable{value: p.cred.Dir, exported: true}
	sh.vars["PPID"] = variable{value: strconv.Itoa(p.ppid)}
	return sh
}

// subshell returns a copy for a new process, which is nil if there are too many.
func (sh *shell) subshell() *shell {
	p := sh.p.fork()
	if p == nil {
		sh.complain("Cannot fork")
		sh.status, sh.jump = 2, jumpExit
		return nil
	}
	p.resetTraps()
	sub := *sh
	sub.p = p
	sub.vars, sub.funcs = maps.Clone(sh.vars), maps.Clone(sh.funcs)
	sub.locals = slices.Clone(sh.locals)
	for i, saved := range sub.locals {
		sub.locals[i] = maps.Clone(saved)
	}
	sub.traps = make(map[int]string)
	for n, action := range sh.traps {
		if action == "" {
			sub.traps[n] = ""
		}
	}
	sub.jobs, sub.jump, sub.loops, sub.final = nil, jumpNone, 0, nil
	return &sub
}

// start runs statements in the process of a subshell, to its end.
func (sh *shell) start(list ...*syntax.Stmt) {
	sh.p.start(func() int {
		sh.conclude(list)
		return sh.leave()
	})
}

// runHere is start on this goroutine, which comes back when the subshell has ended. Its output must not wait for
// this shell.
func (sh *shell) runHere(list ...*syntax.Stmt) {
	sh.p.runHere(func() int {
		sh.conclude(list)
		return sh.leave()
	})
}

// conclude is stmts for what the process ends with.
func (sh *shell) conclude(list []*syntax.Stmt) {
	if n := len(list); n > 0 {
		sh.final = list[n-1]
	}
	sh.stmts(list)
}

// replaces reports whether the process ends with this statement and its traps
// do not need the shell.
func (sh *shell) replaces(s *syntax.Stmt) bool {
	if s != sh.final || s.Negated {
		return false
	}
	for _, action := range sh.traps {
		if action != "" {
			return false
		}
	}
	return true
}

// complain writes a message of the shell's own.
func (sh *shell) complain(format string, args ...any) {
	_ = sh.p.write(2, fmt.Appendf(nil, sh.arg0+": "+format+"\n", args...))
}

// stop reports whether nothing more is run here.
func (sh *shell) stop() bool { return sh.jump != jumpNone || sh.p.isDead() }

// fail ends the shell because of an error in an expansion or a special built-in.
func (sh *shell) fail(code int, format string, args ...any) {
	if sh.stop() {
		return
	}
	sh.complain(format, args...)
	sh.status, sh.jump = code, jumpExit
}

// main runs a text to the end of the shell and returns its exit status.
func (sh *shell) main(src string) int {
	sh.parse(src, true)
	return sh.leave()
}

// leave runs the exit trap.
func (sh *shell) leave() int {
	if action, ok := sh.traps[0]; ok && action != "" && !sh.p.isDead() {
		delete(sh.traps, 0)
		code := sh.status
		sh.jump = jumpNone
		if sh.source(action); sh.jump != jumpExit {
			sh.status = code
		}
	}
	return sh.status
}

// latin1 makes a text of any bytes one that the parser reads; bytesOf is its
// inverse, for what the parser returns.
func latin1(s string) string {
	if isASCII(s) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

func bytesOf(s string) string {
	if isASCII(s) {
		return s
	}
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = append(b, byte(r)) // of latin1: at most 255
	}
	return string(b)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// source parses and runs a text.
func (sh *shell) source(src string) { sh.parse(src, false) }

// parse parses and runs a text line by line. With whole, the process ends after it.
func (sh *shell) parse(src string, whole bool) {
	if sh.depth++; sh.depth > maxDepth {
		sh.fail(2, "Maximum recursion depth exceeded")
	}
	defer func() { sh.depth-- }()
	src = strings.ReplaceAll(src, "\x00", "")
	final := sh.final
	sh.final = nil // what ends the process is no statement of this text, which may be shared
	defer func() { sh.final = final }()
	run := sh.stmts
	if whole {
		run = sh.conclude
	}
	shared := !whole || len(src) < longText // a long line is of one host: what all get is within it
	if shared {
		if list, ok := parsed.get(src); ok {
			if len(list) == 0 {
				sh.status = 0
			}
			run(list)
			sh.runTraps()
			return
		}
	}
	var all, line []*syntax.Stmt // line is parsed and not yet run: it runs when all of it is right
	any, stopped := false, false
	if whole {
		if stmt := simpleCommand(src); stmt != nil {
			run([]*syntax.Stmt{stmt})
			sh.runTraps()
			return
		}
	}
	parser := syntax.NewParser(syntax.Variant(syntax.LangPOSIX))
	// Not a range loop: after an error in a here-document, StmtsSeq goes on when told
	// to stop.
	parser.StmtsSeq(strings.NewReader(latin1(src)))(func(stmt *syntax.Stmt, err error) bool {
		if stopped {
			return false
		}
		at := uint(0)
		if parse, ok := errors.AsType[syntax.ParseError](err); ok {
			at = parse.Pos.Line()
			err = errors.New(parse.Text)
		} else if err == nil {
			at = stmt.Pos().Line()
		}
		if n := len(line); n > 0 && line[n-1].End().Line() < at {
			sh.stmts(line)
			line = nil
		}
		if err != nil {
			sh.fail(2, "syntax error: %s", bytesOf(err.Error()))
		}
		if stopped = sh.stop(); !stopped {
			all, line, any = append(all, stmt), append(line, stmt), true
		}
		return !stopped
	})
	if stopped {
		return
	}
	if !any {
		sh.status = 0
	}
	if shared {
		parsed.put(src, all)
	}
	run(line)
	sh.runTraps()
}

func (sh *shell) stmts(list []*syntax.Stmt) {
	for _, s := range list {
		if sh.stop() {
			return
		}
		sh.stmt(s)
	}
}

// runTraps runs the actions of the signals that have come.
func (sh *shell) runTraps() {
	for !sh.stop() {
		n := sh.p.next()
		if n == 0 {
			return
		}
		if action := sh.traps[n]; action != "" {
			code := sh.status
			sh.source(action)
			if sh.jump == jumpNone {
				sh.status = code
			}
		}
	}
}

func (sh *shell) stmt(s *syntax.Stmt) {
	if sh.runTraps(); sh.stop() {
		return
	}
	if sh.depth++; sh.depth > maxDepth {
		sh.fail(2, "Maximum recursion depth exceeded")
	}
	defer func() { sh.depth-- }()
	if s.Background || s.Coprocess || s.Disown {
		sh.background(s)
		return
	}
	if s.Negated {
		sh.tested++
	}
	undo, ok := sh.redirect(s.Redirs)
	switch {
	case sh.stop():
	case !ok:
		sh.status = 2
		if call, is := s.Cmd.(*syntax.CallExpr); is && len(call.Args) > 0 && special[call.Args[0].Lit()] {
			sh.jump = jumpExit
		}
	case s.Cmd == nil:
		sh.status = 0
	default:
		inPlace := sh.replaces(s)
		if call, is := s.Cmd.(*syntax.CallExpr); inPlace || is && len(call.Args) > 0 && call.Args[0].Lit() == "exec" {
			for _, u := range undo { // exec's are for good
				if u.old != nil {
					u.old.release()
				}
			}
			undo = nil
		}
		sh.command(s.Cmd, inPlace)
	}
	for _, u := range undo {
		u.undo(sh.p)
	}
	if s.Negated {
		sh.tested--
		if sh.jump == jumpNone {
			sh.status = truth(sh.status != 0)
		}
	}
	if sh.runTraps(); sh.errexit && sh.tested == 0 && sh.status != 0 && !s.Negated && sh.jump == jumpNone {
		if b, is := s.Cmd.(*syntax.BinaryCmd); !is || b.Op != syntax.AndStmt && b.Op != syntax.OrStmt {
			sh.jump = jumpExit
		}
	}
}

// truth is the status of a condition.
func truth(ok bool) int {
	if ok {
		return 0
	}
	return 1
}

// background starts a statement with &.
func (sh *shell) background(s *syntax.Stmt) {
	sub := sh.subshell()
	if sub == nil {
		return
	}
	for _, n := range []int{sigINT, sigQUIT} {
		sub.p.dispose(n, ignore)
		sub.traps[n] = ""
	}
	if old := sub.p.setFD(0, newFile(device("null"))); old != nil {
		old.release()
	}
	foreground := *s
	foreground.Background, foreground.Coprocess, foreground.Disown = false, false, false
	sub.errexit = sh.errexit
	sh.jobs, sh.last, sh.status = append(sh.jobs, sub.p), sub.p, 0
	sub.start(&foreground)
}

// wait waits for a foreground process and returns its status.
func (sh *shell) wait(p *proc) int {
	select {
	case <-p.done:
	case <-sh.p.done:
		return 0
	}
	if text := signalTexts[p.end.signal]; text != "" && p.end.signal != sigPIPE {
		_ = sh.p.write(2, []byte(text+"\n"))
	}
	return p.end.seen()
}

// command runs a command, with inPlace in the shell's own process, which ends.
func (sh *shell) command(c syntax.Command, inPlace bool) {
	switch c := c.(type) {
	case *syntax.CallExpr:
		sh.call(c, inPlace)
	case *syntax.Block:
		sh.stmts(c.Stmts)
	case *syntax.Subshell:
		if inPlace {
			sh.conclude(c.Stmts)
		} else if sub := sh.subshell(); sub != nil {
			sub.start(c.Stmts...)
			sh.status = sh.wait(sub.p)
		}
	case *syntax.BinaryCmd:
		sh.binary(c)
	case *syntax.IfClause:
		sh.ifClause(c)
	case *syntax.WhileClause:
		sh.while(c)
	case *syntax.ForClause:
		sh.forClause(c)
	case *syntax.CaseClause:
		sh.caseClause(c)
	case *syntax.FuncDecl:
		if c.Name == nil || !syntax.ValidName(c.Name.Value) || special[c.Name.Value] {
			sh.fail(2, "syntax error: bad function name")
			return
		}
		sh.funcs[c.Name.Value] = c.Body
		sh.status = 0
	default:
		sh.fail(2, "syntax error: not known here")
	}
}

func (sh *shell) binary(c *syntax.BinaryCmd) {
	switch c.Op {
	case syntax.AndStmt, syntax.OrStmt:
		sh.tested++
		sh.stmt(c.X)
		sh.tested--
		if sh.jump == jumpNone && (sh.status == 0) == (c.Op == syntax.AndStmt) {
			sh.stmt(c.Y)
		}
	case syntax.Pipe:
		sh.pipeline(c)
	default:
		sh.fail(2, "syntax error: %q is not known here", c.Op.String())
	}
}

// pipeline runs each of its commands in a subshell, and waits for all of them.
func (sh *shell) pipeline(c *syntax.BinaryCmd) {
	var stages []*syntax.Stmt
	for rest := c; ; {
		stages = append([]*syntax.Stmt{rest.Y}, stages...)
		more, ok := rest.X.Cmd.(*syntax.BinaryCmd)
		if !ok || more.Op != syntax.Pipe || len(rest.X.Redirs) > 0 || rest.X.Negated {
			stages = append([]*syntax.Stmt{rest.X}, stages...)
			break
		}
		rest = more
	}
	var started []*proc
	var in *file
	for i, stage := range stages {
		sub := sh.subshell()
		if sub == nil {
			break
		}
		var out, next *file
		if i < len(stages)-1 {
			next, out = newPipe()
		}
		for fd, f := range []*file{in, out} {
			if f == nil {
				continue
			}
			if old := sub.p.setFD(fd, f); old != nil {
				old.release()
			}
		}
		in = next
		started = append(started, sub.p)
		sub.start(stage)
	}
	if in != nil {
		in.release()
	}
	for _, p := range started {
		sh.status = sh.wait(p)
	}
}

func (sh *shell) condition(list []*syntax.Stmt) bool {
	sh.tested++
	defer func() { sh.tested-- }()
	sh.stmts(list)
	return sh.status == 0 && !sh.stop()
}

func (sh *shell) ifClause(c *syntax.IfClause) {
	for ; c != nil; c = c.Else {
		if len(c.Cond) == 0 || sh.condition(c.Cond) { // else has none
			sh.stmts(c.Then)
			return
		}
		if sh.stop() {
			return
		}
	}
	sh.status = 0
}

// broken reports whether a loop ends, after a run of its body.
func (sh *shell) broken() bool {
	switch sh.jump {
	case jumpBreak, jumpContinue:
		if sh.count--; sh.count > 0 {
			return true
		}
		again := sh.jump == jumpContinue
		sh.jump = jumpNone
		return !again
	}
	return sh.stop()
}

func (sh *shell) while(c *syntax.WhileClause) {
	sh.loops++
	defer func() { sh.loops-- }()
	code := 0
	for {
		ok := sh.condition(c.Cond)
		if sh.jump != jumpNone {
			if sh.broken() {
				return
			}
			continue
		}
		if sh.stop() {
			return
		}
		if ok == c.Until {
			break
		}
		sh.stmts(c.Do)
		if code = sh.status; sh.broken() {
			return
		}
	}
	sh.status = code
}

func (sh *shell) forClause(c *syntax.ForClause) {
	loop, ok := c.Loop.(*syntax.WordIter)
	if !ok || c.Select {
		sh.fail(2, "syntax error: not known here")
		return
	}
	items := sh.params
	if loop.InPos.IsValid() {
		items = sh.fields(loop.Items)
	}
	sh.loops++
	defer func() { sh.loops-- }()
	sh.status = 0
	for _, item := range items {
		if sh.stop() || !sh.set(loop.Name.Value, item) {
			return
		}
		if sh.stmts(c.Do); sh.broken() {
			return
		}
	}
}

func (sh *shell) caseClause(c *syntax.CaseClause) {
	word := sh.word(c.Word)
	sh.status = 0
	for _, item := range c.Items {
		for _, p := range item.Patterns {
			if sh.stop() {
				return
			}
			if match(sh.pattern(p), word) {
				sh.stmts(item.Stmts)
				return
			}
		}
	}
}

// special are the built-ins whose errors end the shell, and whose assignments stay.
var special = map[string]bool{
	":": true, ".": true, "break": true, "continue": true, "eval": true, "exec": true, "exit": true, "export": true,
	"readonly": true, "return": true, "set": true, "shift": true, "times": true, "trap": true, "unset": true,
}

// call runs a simple command.
func (sh *shell) call(c *syntax.CallExpr, inPlace bool) {
	sh.subst = -1
	args := sh.fields(c.Args)
	if sh.stop() {
		return
	}
	if len(args) == 0 {
		for _, a := range c.Assigns {
			if !sh.assign(a) {
				return
			}
		}
		if sh.status = 0; sh.subst >= 0 {
			sh.status = sh.subst
		}
		return
	}
	name := args[0]
	body, isFunc := sh.funcs[name]
	if special[name] || isFunc {
		for _, a := range c.Assigns {
			if !sh.assign(a) {
				return
			}
		}
		if isFunc && !special[name] {
			sh.callFunc(body, args[1:])
			return
		}
		sh.status = sh.builtin(name, args[1:])
		return
	}
	saved := make(map[string]*variable, len(c.Assigns))
	for _, a := range c.Assigns {
		sh.save(saved, a.Name.Value)
		if !sh.assign(a) {
			return
		}
		v := sh.vars[a.Name.Value]
		v.exported = true
		sh.vars[a.Name.Value], sh.env = v, nil
	}
	sh.status = sh.run(name, args, inPlace)
	sh.restore(saved)
}

// run runs a built-in or a program.
func (sh *shell) run(name string, args []string, inPlace bool) int {
	if _, ok := builtins[name]; ok {
		return sh.builtin(name, args[1:])
	}
	prog, code := sh.lookup(name)
	if prog == nil {
		return code
	}
	env := sh.environ()
	if inPlace {
		return sh.p.exec(prog, args, env)
	}
	child := sh.p.fork()
	if child == nil {
		sh.complain("Cannot fork")
		return 2
	}
	child.resetTraps()
	if child.isBrief(prog, args) {
		child.runHere(func() int { return child.exec(prog, args, env) })
	} else {
		child.start(func() int { return child.exec(prog, args, env) })
	}
	return sh.wait(child)
}

// brief are the programs that do a bounded amount of work, and wait for nothing but files and the standard streams
// that they use: with o they write to standard output, with i they read standard input if they have no operand.
var brief = map[string]string{
	"chmod": "", "chown": "", "ln": "", "mkdir": "", "mv": "", "rm": "", "rmdir": "", "touch": "",
	"df": "o", "ls": "o", "readlink": "o", "stat": "o",
	"sha256sum": "io", "wc": "io",
}

// isBrief reports whether a program comes to its end at once, so that whoever waits for it may run it on its own
// goroutine: a process that is killed meanwhile is not seen to be dead before that. What it has to say
// to standard error is short.
func (p *proc) isBrief(prog *program, args []string) bool {
	streams, ok := brief[prog.name]
	if !ok || prog.script {
		return false
	}
	reads := strings.Contains(streams, "i")
	for _, arg := range args[1:] {
		if reads && !strings.HasPrefix(arg, "-") { // a file may be a device
			return false
		}
	}
	return (!strings.Contains(streams, "o") || p.isReady(1)) && (!reads || p.isReady(0))
}

func (sh *shell) callFunc(body *syntax.Stmt, args []string) {
	params, loops := sh.params, sh.loops
	sh.params, sh.loops = args, 0
	sh.locals = append(sh.locals, nil)
	sh.calls++
	sh.stmt(body)
	sh.calls--
	sh.restore(sh.locals[len(sh.locals)-1])
	sh.locals = sh.locals[:len(sh.locals)-1]
	sh.params, sh.loops = params, loops
	if sh.jump == jumpReturn {
		sh.jump = jumpNone
	}
}

func (sh *shell) save(saved map[string]*variable, name string) {
	if _, ok := saved[name]; ok {
		return
	}
	saved[name] = nil
	if v, ok := sh.vars[name]; ok {
		saved[name] = &v
	}
}

func (sh *shell) restore(saved map[string]*variable) {
	for name, v := range saved {
		if v == nil {
			delete(sh.vars, name)
		} else {
			sh.vars[name] = *v
		}
		sh.env = nil
	}
}

func (sh *shell) assign(a *syntax.Assign) bool {
	if a.Append || a.Index != nil || a.Array != nil || a.Name == nil {
		sh.fail(2, "syntax error: not known here")
		return false
	}
	value := ""
	if a.Value != nil {
		value = sh.word(a.Value)
	}
	return !sh.stop() && sh.set(a.Name.Value, value)
}

// set sets a variable; false means that it is read-only, which ends the shell.
func (sh *shell) set(name, value string) bool {
	v := sh.vars[name]
	if v.readonly {
		sh.fail(2, "%s: is read only", name)
		return false
	}
	if len(value) > maxText {
		sh.fail(2, "Out of space")
		return false
	}
	if v.value = value; v.exported {
		sh.env = nil
	}
	sh.vars[name] = v
	return true
}

// environ returns the exported variables, which nobody changes.
func (sh *shell) environ() map[string]string {
	if sh.env == nil {
		sh.env = make(map[string]string, 16)
		for name, v := range sh.vars {
			if v.exported {
				sh.env[name] = v.value
			}
		}
	}
	return sh.env
}

// An undo restores a descriptor.
type undo struct {
	fd  int
	old *file
}

func (u undo) undo(p *proc) {
	if replaced := p.setFD(u.fd, u.old); replaced != nil {
		replaced.release()
	}
}

// redirect does the redirections. What undoes them is in the order in which it
// must be done.
func (sh *shell) redirect(list []*syntax.Redirect) (undos []undo, ok bool) {
	for _, r := range list {
		fd, f, ok := sh.target(r)
		if !ok || sh.stop() {
			if f != nil {
				f.release()
			}
			return undos, false
		}
		undos = append([]undo{{fd, sh.p.setFD(fd, f)}}, undos...)
	}
	return undos, true
}

var openFlags = map[syntax.RedirOperator]int{
	syntax.RdrIn:    memfs.OpenRead,
	syntax.RdrOut:   memfs.OpenWrite | memfs.OpenCreate | memfs.OpenTruncate,
	syntax.RdrClob:  memfs.OpenWrite | memfs.OpenCreate | memfs.OpenTruncate,
	syntax.AppOut:   memfs.OpenWrite | memfs.OpenCreate | memfs.OpenAppend,
	syntax.RdrInOut: memfs.OpenRead | memfs.OpenWrite | memfs.OpenCreate,
}

// maxFD is the highest descriptor.
const maxFD = 99

// target opens what a redirection leads to; a nil file closes the descriptor.
func (sh *shell) target(r *syntax.Redirect) (int, *file, bool) {
	fd := 1
	switch r.Op {
	case syntax.RdrIn, syntax.RdrInOut, syntax.DplIn, syntax.Hdoc, syntax.DashHdoc:
		fd = 0
	}
	if r.N != nil {
		n, err := strconv.Atoi(r.N.Value)
		if err != nil || n > maxFD {
			sh.complain("%s: Bad file descriptor", r.N.Value)
			return 0, nil, false
		}
		fd = n
	}
	switch r.Op {
	case syntax.Hdoc, syntax.DashHdoc:
		return fd, newFile(&text{rest: sh.document(r)}), true
	case syntax.DplIn, syntax.DplOut:
		word := sh.word(r.Word)
		if word == "-" {
			return fd, nil, true
		}
		n, err := strconv.Atoi(word)
		if err == nil {
			if f := sh.p.borrow(n); f != nil {
				return fd, f, true
			}
		}
		sh.complain("%s: Bad file descriptor", word)
		return 0, nil, false
	}
	flags, known := openFlags[r.Op]
	if !known {
		sh.fail(2, "syntax error: %q is not known here", r.Op.String())
		return 0, nil, false
	}
	name := sh.word(r.Word)
	if sh.stop() {
		return 0, nil, false
	}
	f, err := sh.p.open(name, flags)
	if err != nil {
		verb := "open"
		if flags&memfs.OpenCreate != 0 {
			verb = "create"
		}
		sh.complain("cannot %s %s: %v", verb, name, err)
		return 0, nil, false
	}
	return fd, f, true
}

// open opens a file by name.
func (p *proc) open(name string, flags int) (*file, error) {
	f, err := p.host.FS.Open(p.cred, name, flags, 0o666)
	if err != nil {
		return nil, err
	}
	if f.Device == "" {
		if f.Stat().IsDir() {
			_ = f.Close()
			return nil, memfs.EISDIR
		}
		return newFile(regular{f}), nil
	}
	_ = f.Close()
	switch n, isFD := strings.CutPrefix(f.Device, "fd/"); {
	case isFD:
		fd, _ := strconv.Atoi(n)
		if own := p.borrow(fd); own != nil {
			return own, nil
		}
		return nil, memfs.ENXIO
	case f.Device == "tty":
		return nil, memfs.ENXIO
	case f.Device == "urandom":
		return newFile(&random{r: p.host.Random()}), nil
	}
	return newFile(device(f.Device)), nil
}

// complete reports whether a text is not the beginning of something longer.
func complete(src string) bool {
	_, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(latin1(src)), "")
	return err == nil || !syntax.IsIncomplete(err)
}
