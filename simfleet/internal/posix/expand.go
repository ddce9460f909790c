package posix

import (
	"errors"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"shoal/simfleet/internal/memfs"
)

// A piece is a part of a field; what is quoted is no pattern.
type piece struct {
	text   string
	quoted bool
}

type field []piece

func (f field) String() string {
	if len(f) == 1 {
		return f[0].text
	}
	var b strings.Builder
	for _, p := range f {
		b.WriteString(p.text)
	}
	return b.String()
}

// pattern is the field with its quoted parts escaped.
func (f field) pattern() string {
	var b strings.Builder
	for _, p := range f {
		if !p.quoted {
			b.WriteString(p.text)
			continue
		}
		for i := range len(p.text) {
			if strings.IndexByte(`*?[]\!-`, p.text[i]) >= 0 {
				b.WriteByte('\\')
			}
			b.WriteByte(p.text[i])
		}
	}
	return b.String()
}

// An expansion collects the fields of a word (POSIX XCU 2.6).
type expansion struct {
	sh     *shell
	split  bool // fields are split
	ifs    string
	fields []field
	now    field
	begun  bool // now is a field, even if it is empty

	room [2]piece // of the first field, which is most often the only one
}

func (sh *shell) expansion(split bool) *expansion {
	ifs := " \t\n"
	if v, ok := sh.vars["IFS"]; ok {
		ifs = v.value
	}
	e := &expansion{sh: sh, split: split, ifs: ifs}
	e.now = e.room[:0]
	return e
}

func (e *expansion) end() {
	if e.begun {
		e.fields = append(e.fields, e.now)
	}
	if len(e.fields) > maxFields {
		e.sh.fail(2, "Out of space")
	}
	e.now, e.begun = nil, false
}

func (e *expansion) literal(text string, quoted bool) {
	if text != "" || quoted {
		e.now, e.begun = append(e.now, piece{text, quoted}), true
	}
}

// value adds what an expansion gave.
func (e *expansion) value(text string, quoted bool) {
	if quoted || !e.split {
		e.literal(text, quoted)
		return
	}
	for text != "" && !e.sh.stop() {
		at := strings.IndexAny(text, e.ifs)
		if e.ifs == "" || at < 0 {
			e.literal(text, false)
			return
		}
		e.literal(text[:at], false)
		// One delimiter is blanks with at most one other character.
		seen := false
		for at < len(text) && strings.IndexByte(e.ifs, text[at]) >= 0 {
			if strings.IndexByte(" \t\n", text[at]) < 0 {
				if seen {
					break
				}
				seen = true
			}
			at++
		}
		if seen {
			e.begun = true
		}
		e.end()
		text = text[at:]
	}
}

// list adds several values, each a field of its own.
func (e *expansion) list(values []string, quoted bool) {
	for i, v := range values {
		if e.sh.stop() {
			return
		}
		if i > 0 {
			e.end()
		}
		e.value(v, quoted)
	}
}

func (e *expansion) parts(parts []syntax.WordPart, quoted bool) {
	for i, part := range parts {
		if e.sh.stop() {
			return
		}
		switch part := part.(type) {
		case *syntax.Lit:
			e.lit(bytesOf(part.Value), quoted, i == 0)
		case *syntax.SglQuoted:
			e.literal(bytesOf(part.Value), true)
		case *syntax.DblQuoted:
			if len(part.Parts) == 1 && e.isEmptyList(part.Parts[0]) {
				continue
			}
			e.literal("", true)
			e.parts(part.Parts, true)
		case *syntax.ParamExp:
			e.param(part, quoted)
		case *syntax.CmdSubst:
			e.value(e.sh.substitute(part.Stmts), quoted)
		case *syntax.ArithmExp:
			e.value(strconv.FormatInt(e.sh.arithm(part.X), 10), quoted)
		default:
			e.sh.fail(2, "syntax error: not known here")
		}
	}
}

// isEmptyList reports whether this is $@ without parameters, which is no field
// even in quotes.
func (e *expansion) isEmptyList(part syntax.WordPart) bool {
	p, ok := part.(*syntax.ParamExp)
	return ok && p.Param != nil && p.Param.Value == "@" && p.Exp == nil && len(e.sh.params) == 0
}

// lit adds literal text with its backslashes and tilde.
func (e *expansion) lit(text string, quoted, first bool) {
	if first && !quoted && strings.HasPrefix(text, "~") {
		name, rest, slash := strings.Cut(text[1:], "/")
		if home, ok := e.sh.home(name); ok {
			e.literal(home, true)
			if text = rest; slash {
				text = "/" + rest
			}
		}
	}
	for {
		at := strings.IndexByte(text, '\\')
		if at < 0 || at == len(text)-1 {
			e.literal(text, quoted && text != "")
			return
		}
		next := text[at+1]
		switch {
		case next == '\n':
			e.literal(text[:at], quoted && at > 0)
		case quoted && strings.IndexByte("$`\"\\", next) < 0:
			e.literal(text[:at+2], true)
		default:
			e.literal(text[:at], quoted && at > 0)
			e.literal(text[at+1:at+2], true)
		}
		text = text[at+2:]
	}
}

func (sh *shell) home(name string) (string, bool) {
	if name == "" {
		v, ok := sh.vars["HOME"]
		return v.value, ok
	}
	u, ok := sh.p.host.lookup(name)
	return u.Home, ok && u.Name == name
}

// get returns a parameter; list is set for $@ and $*.
func (sh *shell) get(name string) (value string, set bool) {
	switch name {
	case "?":
		return strconv.Itoa(sh.status), true
	case "$":
		return sh.pid, true
	case "#":
		return strconv.Itoa(len(sh.params)), true
	case "0":
		return sh.arg0, true
	case "!":
		if sh.last == nil {
			return "", false
		}
		return strconv.Itoa(sh.last.pid), true
	case "-":
		flags := ""
		for _, f := range []struct {
			on   bool
			name string
		}{{sh.errexit, "e"}, {sh.noglob, "f"}, {sh.nounset, "u"}} {
			if f.on {
				flags += f.name
			}
		}
		return flags, true
	case "@", "*":
		sep := " "
		if v, ok := sh.vars["IFS"]; ok && name == "*" {
			sep = v.value[:min(1, len(v.value))]
		}
		return strings.Join(sh.params, sep), len(sh.params) > 0
	}
	if name != "" && '0' <= name[0] && name[0] <= '9' {
		n, err := strconv.Atoi(name)
		if err != nil || n > len(sh.params) {
			return "", false
		}
		if n == 0 {
			return sh.arg0, true
		}
		return sh.params[n-1], true
	}
	v, ok := sh.vars[name]
	return v.value, ok
}

func (e *expansion) param(p *syntax.ParamExp, quoted bool) {
	sh := e.sh
	if p.Param == nil || !isPlain(p) {
		sh.fail(2, "Bad substitution")
		return
	}
	name := p.Param.Value
	value, set := sh.get(name)
	if !set && sh.nounset && name != "@" && name != "*" && (p.Exp == nil || p.Exp.Op >= syntax.RemSmallSuffix) {
		sh.fail(2, "%s: parameter not set", name)
		return
	}
	switch {
	case p.Length:
		e.value(strconv.Itoa(len(value)), quoted)
		return
	case p.Exp != nil:
		e.operate(p, name, value, set, quoted)
		return
	}
	e.plain(name, value, quoted)
}

func (e *expansion) plain(name, value string, quoted bool) {
	if name == "@" && e.split || name == "*" && !quoted && e.split {
		e.list(e.sh.params, quoted)
		return
	}
	e.value(value, quoted)
}

// operate does ${name OP word}.
func (e *expansion) operate(p *syntax.ParamExp, name, value string, set, quoted bool) {
	sh, word := e.sh, p.Exp.Word
	use := func() {
		if word != nil {
			e.parts(word.Parts, quoted)
		}
	}
	there := set
	switch p.Exp.Op {
	case syntax.AlternateUnsetOrNull, syntax.DefaultUnsetOrNull, syntax.ErrorUnsetOrNull, syntax.AssignUnsetOrNull:
		there = set && value != ""
	}
	switch p.Exp.Op {
	case syntax.AlternateUnset, syntax.AlternateUnsetOrNull:
		if there {
			use()
		}
	case syntax.DefaultUnset, syntax.DefaultUnsetOrNull:
		if there {
			e.plain(name, value, quoted)
		} else {
			use()
		}
	case syntax.AssignUnset, syntax.AssignUnsetOrNull:
		if !there {
			if value = sh.word(word); sh.stop() || !syntax.ValidName(name) || !sh.set(name, value) {
				sh.fail(2, "%s: bad variable name", name)
				return
			}
		}
		e.plain(name, value, quoted)
	case syntax.ErrorUnset, syntax.ErrorUnsetOrNull:
		if there {
			e.plain(name, value, quoted)
			return
		}
		text := "parameter not set"
		if word != nil {
			text = sh.word(word)
		}
		sh.fail(2, "%s: %s", name, text)
	case syntax.RemSmallPrefix, syntax.RemLargePrefix, syntax.RemSmallSuffix, syntax.RemLargeSuffix:
		e.value(sh.trim(value, sh.pattern(word), p.Exp.Op), quoted)
	default:
		sh.fail(2, "Bad substitution")
	}
}

// trim removes a prefix or suffix that matches.
func (sh *shell) trim(value, pattern string, op syntax.ParExpOperator) string {
	for i := range len(value) + 1 {
		if i%256 == 0 && sh.stop() { // it takes the square of the length
			break
		}
		n := i
		if op == syntax.RemLargePrefix || op == syntax.RemSmallSuffix {
			n = len(value) - i
		}
		if op == syntax.RemSmallPrefix || op == syntax.RemLargePrefix {
			if match(pattern, value[:n]) {
				return value[n:]
			}
		} else if match(pattern, value[n:]) {
			return value[:n]
		}
	}
	return value
}

// fields expands words to fields, with pathnames.
func (sh *shell) fields(words []*syntax.Word) []string {
	out := make([]string, 0, len(words))
	for _, w := range words {
		if text, ok := sh.plainWord(w); ok {
			out = append(out, text)
			continue
		}
		e := sh.expansion(true)
		e.parts(w.Parts, false)
		e.end()
		if sh.stop() {
			return nil
		}
		for _, f := range e.fields {
			if len(out) > maxFields {
				sh.fail(2, "Out of space")
				return nil
			}
			if names := sh.glob(f); len(names) > 0 {
				out = append(out, names...)
			} else {
				out = append(out, f.String())
			}
		}
	}
	return out
}

// plainWord returns what a word expands to that needs none of the above: it is one field, no pattern, and
// nothing in it is split. Most words are of this kind.
func (sh *shell) plainWord(w *syntax.Word) (string, bool) {
	if len(w.Parts) != 1 {
		return "", false
	}
	switch part := w.Parts[0].(type) {
	case *syntax.Lit:
		return bytesOf(part.Value), part.Value == "[" || !strings.ContainsAny(part.Value, "\\~*?[")
	case *syntax.SglQuoted:
		return bytesOf(part.Value), true
	case *syntax.DblQuoted:
		return sh.plainParts(part.Parts)
	}
	return "", false
}

// plainParts is plainWord for what is between double quotes.
func (sh *shell) plainParts(parts []syntax.WordPart) (string, bool) {
	if len(parts) == 1 {
		return sh.plainPart(parts[0])
	}
	var b strings.Builder
	for _, part := range parts {
		text, ok := sh.plainPart(part)
		if !ok {
			return "", false
		}
		b.WriteString(text)
	}
	return b.String(), true
}

func (sh *shell) plainPart(part syntax.WordPart) (string, bool) {
	switch part := part.(type) {
	case *syntax.Lit:
		return bytesOf(part.Value), strings.IndexByte(part.Value, '\\') < 0
	case *syntax.ParamExp:
		return sh.plainParam(part)
	}
	return "", false
}

// plainParam returns the value of $name, unless it is $@, $* or an error.
func (sh *shell) plainParam(p *syntax.ParamExp) (string, bool) {
	if p.Param == nil || !isPlain(p) || p.Exp != nil || p.Length || p.Param.Value == "@" || p.Param.Value == "*" {
		return "", false
	}
	value, set := sh.get(p.Param.Value)
	return value, set || !sh.nounset
}

// isPlain reports whether p has nothing that POSIX does not know.
func isPlain(p *syntax.ParamExp) bool {
	return !p.Excl && !p.Width && !p.IsSet && p.Index == nil && p.Slice == nil && p.Repl == nil && p.Flags == nil
}

// single expands a word without splitting it.
func (sh *shell) single(w *syntax.Word) field {
	if w == nil {
		return nil
	}
	e := sh.expansion(false)
	e.parts(w.Parts, false)
	return e.now
}

func (sh *shell) word(w *syntax.Word) string {
	if w == nil {
		return ""
	}
	if text, ok := sh.plainWord(w); ok {
		return text
	}
	if len(w.Parts) == 1 {
		if p, is := w.Parts[0].(*syntax.ParamExp); is {
			if text, ok := sh.plainParam(p); ok {
				return text
			}
		}
	}
	return sh.single(w).String()
}

func (sh *shell) pattern(w *syntax.Word) string {
	if w != nil && len(w.Parts) == 1 {
		if lit, is := w.Parts[0].(*syntax.Lit); is && !strings.ContainsAny(lit.Value, "\\~") {
			return bytesOf(lit.Value)
		}
	}
	return sh.single(w).pattern()
}

// document is the text of a here-document.
func (sh *shell) document(r *syntax.Redirect) string {
	if r.Hdoc == nil {
		return ""
	}
	literal := false
	for _, part := range r.Word.Parts {
		lit, ok := part.(*syntax.Lit)
		literal = literal || !ok || strings.Contains(lit.Value, `\`)
	}
	var b strings.Builder
	for _, part := range r.Hdoc.Parts {
		lit, ok := part.(*syntax.Lit)
		switch {
		case ok && literal:
			b.WriteString(bytesOf(lit.Value))
		default:
			e := sh.expansion(false)
			e.parts([]syntax.WordPart{part}, true)
			b.WriteString(e.now.String())
		}
	}
	if r.Op == syntax.DashHdoc {
		var lines strings.Builder
		for line := range strings.Lines(b.String()) {
			lines.WriteString(strings.TrimLeft(line, "\t"))
		}
		return lines.String()
	}
	return b.String()
}

// Bounds of what a shell or a program keeps in memory.
const (
	maxText   = 16 << 20 // bytes of a value, or of what is read whole
	maxFields = 1 << 18  // fields of a command
	maxLine   = 1 << 20  // bytes of a line that a program reads
)

// substitute runs a command substitution.
func (sh *shell) substitute(stmts []*syntax.Stmt) string {
	if out, ok := sh.substituteBuiltin(stmts); ok {
		return out
	}
	sub := sh.subshell()
	if sub == nil {
		return ""
	}
	q, r, w := newCapture()
	defer r.release()
	if old := sub.p.setFD(1, w); old != nil {
		old.release()
	}
	sub.runHere(stmts...)
	out, err := q.all(sh.p.done) // what was started in the background may still write
	if err == nil && len(out) > maxText {
		sh.fail(2, "Out of space")
		return ""
	}
	sh.subst = sh.wait(sub.p)
	return substituted(out)
}

func substituted(out []byte) string {
	return strings.TrimRight(strings.ReplaceAll(string(out), "\x00", ""), "\n")
}

// harmlessBuiltins have no effect but their output, whatever their arguments; umask only without any.
var harmlessBuiltins = map[string]bool{"echo": true, "printf": true, "pwd": true, "umask": true}

// substituteBuiltin is substitute for one built-in that needs no process of its own.
func (sh *shell) substituteBuiltin(stmts []*syntax.Stmt) (string, bool) {
	if len(stmts) != 1 || len(stmts[0].Redirs) > 0 || stmts[0].Negated || stmts[0].Background || stmts[0].Coprocess || stmts[0].Disown {
		return "", false
	}
	c, ok := stmts[0].Cmd.(*syntax.CallExpr)
	if !ok || len(c.Assigns) > 0 || len(c.Args) == 0 || len(c.Args) > 8 {
		return "", false
	}
	name := c.Args[0].Lit()
	if _, isFunc := sh.funcs[name]; isFunc || !harmlessBuiltins[name] || name == "umask" && len(c.Args) > 1 {
		return "", false
	}
	args := make([]string, 0, len(c.Args)-1)
	for _, w := range c.Args[1:] {
		text, ok := sh.plainWord(w)
		if !ok || len(text) > pipeSize {
			return "", false
		}
		args = append(args, text)
	}
	q, r, w := newCapture()
	defer r.release()
	old := sh.p.setFD(1, w)
	sh.subst = sh.builtin(name, args)
	if w := sh.p.setFD(1, old); w != nil {
		w.release()
	}
	out, _ := q.all(sh.p.done)
	return substituted(out), true
}

// arithm evaluates an arithmetic expression.
func (sh *shell) arithm(x syntax.ArithmExpr) int64 {
	if sh.stop() {
		return 0
	}
	switch x := x.(type) {
	case nil:
		return 0
	case *syntax.ParenArithm:
		return sh.arithm(x.X)
	case *syntax.Word:
		return sh.number(sh.word(x), 0)
	case *syntax.UnaryArithm:
		n := sh.arithm(x.X)
		switch x.Op {
		case syntax.Not:
			return int64(truth(n != 0))
		case syntax.BitNegation:
			return ^n
		case syntax.Plus:
			return n
		case syntax.Minus:
			return -n
		}
	case *syntax.BinaryArithm:
		return sh.binaryArithm(x)
	}
	sh.fail(2, "arithmetic expression: not known here")
	return 0
}

// number is a constant or the value of a variable.
func (sh *shell) number(s string, depth int) int64 {
	s = strings.TrimSpace(s)
	if s == "" {
		return 0
	}
	if syntax.ValidName(s) && depth < 10 {
		return sh.number(sh.vars[s].value, depth+1)
	}
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil || strings.ContainsAny(s, "_oObB") {
		sh.fail(2, "arithmetic expression: expecting primary: %q", s)
	}
	return n
}

var assigning = map[syntax.BinAritOperator]syntax.BinAritOperator{
	syntax.AddAssgn: syntax.Add, syntax.SubAssgn: syntax.Sub, syntax.MulAssgn: syntax.Mul, syntax.QuoAssgn: syntax.Quo,
	syntax.RemAssgn: syntax.Rem, syntax.AndAssgn: syntax.And, syntax.OrAssgn: syntax.Or, syntax.XorAssgn: syntax.Xor,
	syntax.ShlAssgn: syntax.Shl, syntax.ShrAssgn: syntax.Shr, syntax.Assgn: 0,
}

func (sh *shell) binaryArithm(x *syntax.BinaryArithm) int64 {
	if op, ok := assigning[x.Op]; ok {
		w, isWord := x.X.(*syntax.Word)
		if !isWord || !syntax.ValidName(w.Lit()) {
			sh.fail(2, "arithmetic expression: expecting a variable")
			return 0
		}
		n := sh.arithm(x.Y)
		if op != 0 {
			n = sh.compute(op, sh.number(sh.vars[w.Lit()].value, 0), n)
		}
		sh.set(w.Lit(), strconv.FormatInt(n, 10))
		return n
	}
	a := sh.arithm(x.X)
	switch x.Op {
	case syntax.AndArit:
		return int64(truth(a == 0 || sh.arithm(x.Y) == 0))
	case syntax.OrArit:
		return int64(truth(a == 0 && sh.arithm(x.Y) == 0))
	case syntax.TernQuest:
		either, ok := x.Y.(*syntax.BinaryArithm)
		if !ok {
			break
		}
		if a != 0 {
			return sh.arithm(either.X)
		}
		return sh.arithm(either.Y)
	}
	return sh.compute(x.Op, a, sh.arithm(x.Y))
}

func (sh *shell) compute(op syntax.BinAritOperator, a, b int64) int64 {
	is := func(ok bool) int64 { return int64(truth(!ok)) }
	switch op {
	case syntax.Add:
		return a + b
	case syntax.Sub:
		return a - b
	case syntax.Mul:
		return a * b
	case syntax.Quo, syntax.Rem:
		switch {
		case b == 0:
			sh.fail(2, "arithmetic expression: division by zero")
			return 0
		case b == -1: // the smallest number has no opposite
			return map[bool]int64{true: -a}[op == syntax.Quo]
		case op == syntax.Quo:
			return a / b
		}
		return a % b
	case syntax.And:
		return a & b
	case syntax.Or:
		return a | b
	case syntax.Xor:
		return a ^ b
	case syntax.Shl:
		return a << (uint64(b) & 63)
	case syntax.Shr:
		return a >> (uint64(b) & 63)
	case syntax.Eql:
		return is(a == b)
	case syntax.Neq:
		return is(a != b)
	case syntax.Lss:
		return is(a < b)
	case syntax.Leq:
		return is(a <= b)
	case syntax.Gtr:
		return is(a > b)
	case syntax.Geq:
		return is(a >= b)
	}
	sh.fail(2, "arithmetic expression: not known here")
	return 0
}

// glob returns the names that match a field, or nil.
func (sh *shell) glob(f field) []string {
	special, open := false, false // a [ begins something if there is a ] behind it
	for _, p := range f {
		if p.quoted {
			continue
		}
		text := p.text
		if i := strings.IndexByte(text, '['); i >= 0 && !open {
			open, text = true, text[i:]
		}
		special = special || open && strings.IndexByte(text, ']') >= 0 || strings.ContainsAny(p.text, "*?")
	}
	if !special || sh.noglob {
		return nil
	}
	pattern := f.pattern()
	found := []string{""}
	for pattern != "" {
		slashes := len(pattern) - len(strings.TrimLeft(pattern, "/"))
		if slashes > 0 {
			for i := range found {
				found[i] += pattern[:slashes]
			}
			pattern = pattern[slashes:]
			continue
		}
		part, rest, more := strings.Cut(pattern, "/")
		if pattern = rest; more {
			pattern = "/" + rest
		}
		var next []string
		for _, dir := range found {
			if len(next) > maxFields || sh.stop() {
				sh.fail(2, "Out of space")
				return nil
			}
			next = append(next, sh.entries(dir, part, more)...)
		}
		found = next
	}
	return found
}

// entries returns the names in dir that match one part of a pattern.
func (sh *shell) entries(dir, part string, isDir bool) (names []string) {
	if !strings.ContainsAny(part, "*?[") {
		name := unescape(part)
		if _, err := sh.p.host.FS.Stat(sh.p.cred, dir+name, isDir); err == nil {
			return []string{dir + name}
		}
		return nil
	}
	at := dir
	if at == "" {
		at = "."
	}
	list, err := sh.p.host.FS.ReadDir(sh.p.cred, at)
	if err != nil {
		return nil
	}
	for _, i := range list {
		if name := i.Name(); (name[0] != '.' || part[0] == '.') && match(part, name) {
			if isDir {
				if target, err := sh.p.host.FS.Stat(sh.p.cred, dir+name, true); err != nil || !target.IsDir() {
					continue
				}
			}
			names = append(names, dir+name)
		}
	}
	return names
}

func unescape(pattern string) string {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		if pattern[i] == '\\' && i+1 < len(pattern) {
			i++
		}
		b.WriteByte(pattern[i])
	}
	return b.String()
}

// match reports whether a pattern (POSIX XCU 2.14) matches the whole text, byte
// by byte, as in the C locale.
func match(pattern, text string) bool {
	star, mark := -1, 0
	p, t := 0, 0
	for t < len(text) {
		if p < len(pattern) && pattern[p] == '*' {
			star, mark = p, t
			p++
			continue
		}
		if n := matchByte(pattern[p:], text[t]); n > 0 {
			p += n
			t++
			continue
		}
		if star < 0 {
			return false
		}
		mark++
		p, t = star+1, mark
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// matchByte returns the length of the pattern's beginning that matches c, or 0.
func matchByte(pattern string, c byte) int {
	if pattern == "" {
		return 0
	}
	switch pattern[0] {
	case '?':
		return 1
	case '\\':
		if len(pattern) > 1 {
			if pattern[1] == c {
				return 2
			}
			return 0
		}
	case '[':
		if n, ok := matchBracket(pattern, c); n > 0 {
			if ok {
				return n
			}
			return 0
		}
	}
	if pattern[0] == c {
		return 1
	}
	return 0
}

// matchBracket returns the length of a bracket expression, or 0 if it is none,
// and whether it matches.
func matchBracket(pattern string, c byte) (n int, ok bool) {
	i, not := 1, false
	if i < len(pattern) && (pattern[i] == '!' || pattern[i] == '^') {
		not = true
		i++
	}
	for first := true; i < len(pattern); first = false {
		switch {
		case pattern[i] == ']' && !first:
			return i + 1, ok != not
		case strings.HasPrefix(pattern[i:], "[:"):
			if name, _, closed := strings.Cut(pattern[i+2:], ":]"); closed {
				ok = ok || inClass(name, c)
				i += len(name) + 4
				continue
			}
		}
		low, step := unquoted(pattern[i:])
		i += step
		high := low
		if i+1 < len(pattern) && pattern[i] == '-' && pattern[i+1] != ']' {
			high, step = unquoted(pattern[i+1:])
			i += 1 + step
		}
		ok = ok || low <= c && c <= high
	}
	return 0, false
}

func unquoted(pattern string) (byte, int) {
	if pattern[0] == '\\' && len(pattern) > 1 {
		return pattern[1], 2
	}
	return pattern[0], 1
}

func inClass(name string, c byte) bool {
	digit, lower, upper := '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z'
	switch name {
	case "digit":
		return digit
	case "lower":
		return lower
	case "upper":
		return upper
	case "alpha":
		return lower || upper
	case "alnum":
		return lower || upper || digit
	case "space":
		return strings.IndexByte(" \t\n\v\f\r", c) >= 0
	case "blank":
		return c == ' ' || c == '\t'
	case "punct":
		return c > ' ' && c < 0x7f && !digit && !lower && !upper
	case "xdigit":
		return digit || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
	case "cntrl":
		return c < ' ' || c == 0x7f
	case "print":
		return c >= ' ' && c < 0x7f
	case "graph":
		return c > ' ' && c < 0x7f
	}
	return false
}

// lookup finds a program; without one it returns the status after a message.
func (sh *shell) lookup(name string) (*program, int) {
	prog, code := find(sh.p, name, sh.vars["PATH"].value)
	switch {
	case prog != nil:
		return prog, 0
	case code == 126:
		sh.complain("%s: Permission denied", name)
	default:
		sh.complain("%s: not found", name)
	}
	return nil, code
}

// A program is what a path leads to: a command, or a script.
type program struct {
	name   string
	path   string
	script bool
}

func find(p *proc, name, path string) (*program, int) {
	if name == "" {
		return nil, 127
	}
	if strings.Contains(name, "/") {
		return executable(p, name)
	}
	code := 127
	for dir := range strings.SplitSeq(path, ":") {
		if dir == "" {
			dir = "."
		}
		prog, c := executable(p, strings.TrimSuffix(dir, "/")+"/"+name)
		if prog != nil {
			return prog, 0
		}
		code = min(code, c)
	}
	return nil, code
}

func executable(p *proc, path string) (*program, int) {
	i, err := p.host.FS.Executable(p.cred, path)
	switch {
	case errors.Is(err, memfs.EACCES) && i.Links > 0:
		return nil, 126
	case err != nil:
		return nil, 127
	case i.Program == "sudo" && p.host.Sudo == "missing":
		return nil, 127
	case i.Program != "":
		return &program{name: i.Program, path: path}, 0
	}
	return &program{path: path, script: true}, 0
}
