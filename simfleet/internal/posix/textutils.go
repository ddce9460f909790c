package posix

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"shoal/simfleet/internal/memfs"
)

// chunk is how much is read and written at once.
const chunk = 32 << 10

func (c *call) copy(w io.Writer, r io.Reader) error {
	buf := takeBuffer()
	defer buffers.Put(buf)
	for {
		n, err := r.Read(buf[:])
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
		}
		if isEOF(err) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func cat(c *call) int {
	if _, ok := c.flags("u"); !ok {
		return 1
	}
	code := 0
	for _, r := range c.inputs(c.args, &code) {
		err := c.copy(c, r)
		if r.close(); err != nil {
			code = c.fail("%v", err)
			break
		}
	}
	return code
}

func size(s string) (int64, bool) {
	shift := 0
	for i, suffix := range []string{"K", "M", "G"} {
		if rest, ok := strings.CutSuffix(s, suffix); ok {
			s, shift = rest, 10*(i+1)
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n << shift, err == nil && n >= 0 && n < 1<<40
}

// old makes -N to -n N, as head and tail have it.
func (c *call) old() {
	if len(c.args) > 0 && len(c.args[0]) > 1 && c.args[0][0] == '-' {
		if _, err := strconv.Atoi(c.args[0][1:]); err == nil {
			c.args[0] = "-n" + c.args[0][1:]
		}
	}
}

func head(c *call) int {
	c.args = slices.Clone(c.args)
	c.old()
	set, ok := c.flags("c:n:q")
	if !ok {
		return 1
	}
	if !has(set, 'c') {
		count := int64(10)
		if text, given := set['n']; given {
			if count, ok = size(text); !ok {
				return c.fail("invalid number of lines: '%s'", text)
			}
		}
		code := 0
		for _, r := range c.inputs(c.args, &code) {
			in := bufio.NewReader(r)
			for left := count; left > 0; left-- {
				line, err := nextLine(in)
				if code = max(code, c.out(line)); err != nil {
					break
				}
			}
			r.close()
		}
		return code
	}
	n, ok := size(set['c'])
	if !ok {
		return c.fail("invalid number of bytes: '%s'", set['c'])
	}
	code := 0
	if len(c.args) == 1 && c.args[0] != "-" { // its own message
		if f, err := c.proc.open(c.args[0], memfs.OpenRead); err == nil {
			f.release()
		} else {
			return c.fail("cannot open '%s' for reading: %v", c.args[0], err)
		}
	}
	for _, r := range c.inputs(c.args, &code) {
		err := c.copy(c, io.LimitReader(r, n))
		if r.close(); err != nil {
			return 1
		}
	}
	return code
}

func tail(c *call) int {
	c.args = slices.Clone(c.args)
	c.old()
	set, ok := c.flags("c:n:q")
	if !ok {
		return 1
	}
	text, given := set['c']
	if !given {
		if text, given = set['n']; !given {
			text = "10"
		}
	}
	from := strings.HasPrefix(text, "+")
	n, ok := size(strings.TrimLeft(text, "+-"))
	if !ok {
		return c.fail("invalid number: '%s'", text)
	}
	code := 0
	for _, r := range c.inputs(c.args, &code) {
		all, err := c.proc.readAll(r.f)
		if r.close(); err != nil {
			return c.fail("%v", err)
		}
		code = max(code, c.out(lastOf(all, n, from, has(set, 'c'))))
	}
	return code
}

func lastOf(all string, n int64, from, inBytes bool) string {
	if inBytes {
		at := int64(len(all)) - n
		if from {
			at = n - 1
		}
		return all[min(max(at, 0), int64(len(all))):]
	}
	lines := slices.Collect(strings.Lines(all))
	at := int64(len(lines)) - n
	if from {
		at = n - 1
	}
	return strings.Join(lines[min(max(at, 0), int64(len(lines))):], "")
}

func wc(c *call) int {
	set, ok := c.flags("clwm")
	if !ok {
		return 1
	}
	code, names := 0, c.args
	if len(names) == 0 {
		names = []string{""}
	}
	for _, name := range names {
		var files []string
		if name != "" {
			files = []string{name}
		}
		for _, r := range c.inputs(files, &code) {
			var lines, words, size int64
			in := false
			buf := takeBuffer()
			for {
				n, err := r.Read(buf[:])
				for _, b := range buf[:n] {
					if b == '\n' {
						lines++
					}
					space := b == ' ' || b >= '\t' && b <= '\r'
					if !space && !in {
						words++
					}
					in = !space
				}
				if size += int64(n); err != nil {
					break
				}
			}
			buffers.Put(buf)
			r.close()
			var columns []string
			for _, col := range []struct {
				letter byte
				n      int64
			}{{'l', lines}, {'w', words}, {'c', size}, {'m', size}} {
				if has(set, col.letter) || len(set) == 0 && col.letter != 'm' {
					columns = append(columns, strconv.FormatInt(col.n, 10))
				}
			}
			if name != "" {
				columns = append(columns, name)
			}
			code = max(code, c.out(strings.Join(columns, " ")+"\n"))
		}
	}
	return code
}

func tee(c *call) int {
	set, ok := c.flags("a")
	if !ok {
		return 1
	}
	how := memfs.OpenWrite | memfs.OpenCreate | memfs.OpenTruncate
	if has(set, 'a') {
		how = memfs.OpenWrite | memfs.OpenCreate | memfs.OpenAppend
	}
	code, to := 0, []io.Writer{c}
	for _, name := range c.args {
		f, err := c.proc.open(name, how)
		if err != nil {
			code = c.fail("%s: %v", name, err)
			continue
		}
		defer f.release()
		to = append(to, sink{c.proc, f})
	}
	if err := c.copy(io.MultiWriter(to...), c); err != nil {
		return 1
	}
	return code
}

// A sink writes to a file that is no descriptor.
type sink struct {
	p *proc
	f *file
}

func (s sink) Write(b []byte) (int, error) { return s.f.write(s.p, b) }

func yes(c *call) int {
	line := "y\n"
	if len(c.args) > 0 {
		line = strings.Join(c.args, " ") + "\n"
	}
	block := strings.Repeat(line, max(1, chunk/len(line)))
	for !c.proc.isDead() {
		if c.out(block) != 0 {
			return 1
		}
	}
	return 1
}

func seq(c *call) int {
	first, step, last := int64(1), int64(1), int64(0)
	numbers := make([]int64, len(c.args))
	for i, arg := range c.args {
		n, err := strconv.ParseInt(arg, 10, 64)
		if err != nil {
			return c.fail("invalid integer argument: '%s'", arg)
		}
		numbers[i] = n
	}
	switch len(numbers) {
	case 1:
		last = numbers[0]
	case 2:
		first, last = numbers[0], numbers[1]
	case 3:
		first, step, last = numbers[0], numbers[1], numbers[2]
	default:
		return c.fail("missing operand")
	}
	if step == 0 {
		return c.fail("invalid Zero increment value: '0'")
	}
	var b []byte
	for n := first; step > 0 && n <= last || step < 0 && n >= last; n += step {
		b = append(strconv.AppendInt(b, n, 10), '\n')
		if len(b) > chunk {
			if c.out(string(b)) != 0 {
				return 1
			}
			b = b[:0]
		}
	}
	return c.out(string(b))
}

func sha256sum(c *call) int {
	set, ok := c.flags("bctz")
	if !ok {
		return 1
	}
	if has(set, 'c') {
		return c.checkSums()
	}
	code, names := 0, c.args
	if len(names) == 0 {
		names = []string{"-"}
	}
	for _, name := range names {
		for _, r := range c.inputs([]string{name}, &code) {
			h := sha256.New()
			err := c.copy(hashing{h}, r)
			if r.close(); err != nil {
				code = c.fail("%s: %v", name, err)
				continue
			}
			code = max(code, c.out(fmt.Sprintf("%x  %s\n", h.Sum(nil), name)))
		}
	}
	return code
}

type hashing struct{ hash.Hash }

func (c *call) checkSums() int {
	bad := 0
	code := c.lines(c.args, func(line string, _ bool) bool {
		sum, name, ok := strings.Cut(line, "  ")
		if !ok {
			return true
		}
		h, word := sha256.New(), "OK"
		content, err := c.proc.readFile(name)
		_, _ = io.WriteString(h, content)
		if err != nil || fmt.Sprintf("%x", h.Sum(nil)) != sum {
			word = "FAILED"
			bad = 1
		}
		return c.out(name+": "+word+"\n") == 0
	})
	return max(code, bad)
}

func grep(c *call) int {
	set, ok := c.flags("cqviFEnlowxhse:")
	if !ok {
		return 2
	}
	expression, given := set['e']
	if !given {
		if len(c.args) == 0 {
			_ = c.fail("a pattern is missing")
			return 2
		}
		expression, c.args = c.args[0], c.args[1:]
	}
	re, err := compile(expression, has(set, 'E'), has(set, 'F'), has(set, 'i'), has(set, 'x'))
	if err != nil {
		_ = c.fail("%v", err)
		return 2
	}
	count, number := 0, 0
	trouble := c.lines(c.args, func(line string, _ bool) bool {
		number++
		if re.MatchString(line) == has(set, 'v') {
			return true
		}
		count++
		switch {
		case has(set, 'q'):
			return false
		case has(set, 'c'):
		case has(set, 'o'):
			for _, found := range re.FindAllString(line, -1) {
				_ = c.out(found + "\n")
			}
		case has(set, 'n'):
			return c.out(fmt.Sprintf("%d:%s\n", number, line)) == 0
		default:
			return c.out(line+"\n") == 0
		}
		return true
	})
	if has(set, 'c') {
		_ = c.out(fmt.Sprintln(count))
	}
	switch {
	case count > 0 && (trouble == 0 || has(set, 'q')):
		return 0
	case trouble > 0:
		return 2
	}
	return 1
}

// compile reads a basic or extended regular expression.
func compile(expression string, extended, fixedText, fold, whole bool) (*regexp.Regexp, error) {
	switch {
	case fixedText:
		expression = regexp.QuoteMeta(expression)
	case !extended:
		expression = basic(expression)
	}
	if whole {
		expression = "^(?:" + expression + ")$"
	}
	if fold {
		expression = "(?i)" + expression
	}
	return regexp.Compile(expression)
}

// basic makes a basic regular expression (XBD 9.3) an extended one.
func basic(s string) string {
	var b strings.Builder
	bracket := false
	for i := 0; i < len(s); i++ {
		switch ch := s[i]; {
		case bracket:
			if bracket = ch != ']'; ch == '\\' {
				b.WriteByte('\\')
			}
			b.WriteByte(ch)
		case ch == '[':
			bracket = true
			b.WriteByte(ch)
			if i+1 < len(s) && s[i+1] == '^' {
				i++
				b.WriteByte('^')
			}
			if i+1 < len(s) && s[i+1] == ']' {
				i++
				b.WriteString(`\]`)
			}
		case ch == '\\' && i+1 < len(s):
			i++
			if strings.IndexByte("(){}|+?", s[i]) < 0 {
				b.WriteByte('\\')
			}
			b.WriteByte(s[i])
		case strings.IndexByte("(){}|+?", ch) >= 0:
			b.WriteByte('\\')
			b.WriteByte(ch)
		default:
			b.WriteByte(ch)
		}
	}
	return b.String()
}

// sed knows -n, -e, -E and commands of the forms s/…/…/[gp], ADDRESS p, d and q,
// where an address is a number, $ or /…/, or two with a comma.
func sed(c *call) int {
	set, ok := c.flags("nEre:")
	if !ok {
		return 1
	}
	script, given := set['e']
	if !given {
		if len(c.args) == 0 {
			return c.fail("no script specified")
		}
		script, c.args = c.args[0], c.args[1:]
	}
	var commands []sedCommand
	for _, text := range strings.FieldsFunc(script, func(r rune) bool { return r == '\n' }) {
		for rest := text; ; {
			command, more, err := parseSed(rest, has(set, 'E') || has(set, 'r'))
			if err != nil {
				return c.fail("%v", err)
			}
			commands = append(commands, command)
			if rest = strings.TrimLeft(more, "; "); rest == "" {
				break
			}
		}
	}
	var lines []string
	code := c.lines(c.args, c.keep(&lines))
	for i, line := range lines {
		deleted, quit := false, false
		for j := range commands {
			s := &commands[j]
			if deleted || !s.applies(line, i+1, i == len(lines)-1) {
				continue
			}
			switch s.verb {
			case 'p':
				_ = c.out(line + "\n")
			case 'd':
				deleted = true
			case 'q':
				quit = true
			case 's':
				next := s.replace(line)
				if changed := next != line; changed && s.print {
					_ = c.out(next + "\n")
				}
				line = next
			}
		}
		if !deleted && !has(set, 'n') && c.out(line+"\n") != 0 || quit {
			break
		}
	}
	return code
}

type sedAddress struct {
	line int
	last bool
	re   *regexp.Regexp
}

func (a *sedAddress) is(line string, n int, last bool) bool {
	return a.re != nil && a.re.MatchString(line) || a.re == nil && (a.last && last || a.line == n)
}

type sedCommand struct {
	from, to *sedAddress
	inside   bool
	verb     byte
	re       *regexp.Regexp
	with     string
	global   bool
	print    bool
}

func (s *sedCommand) applies(line string, n int, last bool) bool {
	switch {
	case s.from == nil:
		return true
	case s.to == nil:
		return s.from.is(line, n, last)
	case s.inside:
		s.inside = !s.to.is(line, n, last)
		return true
	case s.from.is(line, n, last):
		s.inside = s.to.re != nil || s.to.last && !last || s.to.line > n
		return true
	}
	return false
}

func (s *sedCommand) replace(line string) string {
	if s.global {
		return s.re.ReplaceAllString(line, s.with)
	}
	at := s.re.FindStringSubmatchIndex(line)
	if at == nil {
		return line
	}
	return line[:at[0]] + string(s.re.ExpandString(nil, s.with, line, at)) + line[at[1]:]
}

func parseSed(text string, extended bool) (s sedCommand, rest string, err error) {
	text = strings.TrimLeft(text, " \t")
	if s.from, text, err = parseAddress(text, extended); err != nil {
		return s, "", err
	}
	if after, ok := strings.CutPrefix(text, ","); ok && s.from != nil {
		if s.to, text, err = parseAddress(after, extended); err != nil {
			return s, "", err
		}
	}
	text = strings.TrimLeft(text, " \t")
	if text == "" {
		return s, "", fmt.Errorf("missing command")
	}
	s.verb, rest = text[0], text[1:]
	switch s.verb {
	case 'p', 'd', 'q':
		return s, rest, nil
	case 's':
	default:
		return s, "", fmt.Errorf("unknown command: `%c'", s.verb)
	}
	if rest == "" {
		return s, "", fmt.Errorf("unterminated `s' command")
	}
	mark := rest[0]
	pattern, rest, ok := cutAt(rest[1:], mark)
	with, rest, ok2 := cutAt(rest, mark)
	if !ok || !ok2 {
		return s, "", fmt.Errorf("unterminated `s' command")
	}
	if s.re, err = compile(pattern, extended, false, false, false); err != nil {
		return s, "", err
	}
	s.with = sedTemplate(with)
	for rest != "" && strings.IndexByte("gp", rest[0]) >= 0 {
		s.global, s.print = s.global || rest[0] == 'g', s.print || rest[0] == 'p'
		rest = rest[1:]
	}
	return s, rest, nil
}

// sedTemplate makes sed's replacement one of package regexp.
func sedTemplate(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '&':
			b.WriteString("${0}")
		case s[i] == '$':
			b.WriteString("$$")
		case s[i] == '\\' && i+1 < len(s):
			i++
			switch {
			case s[i] >= '0' && s[i] <= '9':
				b.WriteString("${" + s[i:i+1] + "}")
			case s[i] == 'n':
				b.WriteByte('\n')
			default:
				b.WriteString(strings.ReplaceAll(s[i:i+1], "$", "$$"))
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// cutAt cuts at the first mark that has no backslash.
func cutAt(s string, mark byte) (before, after string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			if i++; s[i] != mark {
				b.WriteByte('\\')
			}
			b.WriteByte(s[i])
		case s[i] == mark:
			return b.String(), s[i+1:], true
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", false
}

func parseAddress(text string, extended bool) (*sedAddress, string, error) {
	switch {
	case text == "":
		return nil, "", nil
	case text[0] == '$':
		return &sedAddress{last: true}, text[1:], nil
	case text[0] == '/':
		pattern, rest, ok := cutAt(text[1:], '/')
		if !ok {
			return nil, "", fmt.Errorf("unterminated address regex")
		}
		re, err := compile(pattern, extended, false, false, false)
		return &sedAddress{re: re}, rest, err
	}
	digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
	if digits == 0 {
		return nil, text, nil
	}
	n, err := strconv.Atoi(text[:digits])
	return &sedAddress{line: n}, text[digits:], err
}

// ranges reads a list such as 1,3-5,7-.
func ranges(list string) (func(n int) bool, bool) {
	type span struct{ from, to int }
	var spans []span
	for part := range strings.SplitSeq(list, ",") {
		low, high, isRange := strings.Cut(part, "-")
		s := span{1, 1 << 30}
		var err error
		if low != "" {
			if s.from, err = strconv.Atoi(low); err != nil || s.from < 1 {
				return nil, false
			}
		}
		if !isRange {
			s.to = s.from
		} else if high != "" {
			if s.to, err = strconv.Atoi(high); err != nil {
				return nil, false
			}
		}
		spans = append(spans, s)
	}
	return func(n int) bool {
		return slices.ContainsFunc(spans, func(s span) bool { return s.from <= n && n <= s.to })
	}, true
}

func cut(c *call) int {
	set, ok := c.flags("d:f:c:b:s")
	if !ok {
		return 1
	}
	delimiter := set['d']
	if delimiter == "" {
		delimiter = "\t"
	}
	list := set['f'] + set['c'] + set['b']
	in, ok := ranges(list)
	if !ok {
		return c.fail("invalid field value '%s'", list)
	}
	return c.lines(c.args, func(line string, _ bool) bool {
		var kept []string
		if !has(set, 'f') {
			for i := range len(line) {
				if in(i + 1) {
					kept = append(kept, line[i:i+1])
				}
			}
			return c.out(strings.Join(kept, "")+"\n") == 0
		}
		if !strings.Contains(line, delimiter) {
			return has(set, 's') || c.out(line+"\n") == 0
		}
		for i, f := range strings.Split(line, delimiter) {
			if in(i + 1) {
				kept = append(kept, f)
			}
		}
		return c.out(strings.Join(kept, delimiter)+"\n") == 0
	})
}

// bytesIn expands a set of tr.
func bytesIn(s string) []byte {
	for name, set := range map[string]string{
		"[:digit:]": "0-9", "[:lower:]": "a-z", "[:upper:]": "A-Z", "[:alpha:]": "A-Za-z", "[:alnum:]": "0-9A-Za-z",
		"[:space:]": " \t\n\v\f\r", "[:blank:]": " \t",
	} {
		s = strings.ReplaceAll(s, name, set)
	}
	for escape, c := range map[string]string{`\n`: "\n", `\t`: "\t", `\r`: "\r", `\0`: "\x00", `\\`: "\\"} {
		s = strings.ReplaceAll(s, escape, c)
	}
	var out []byte
	for i := 0; i < len(s); i++ {
		if i+2 < len(s) && s[i+1] == '-' && s[i] <= s[i+2] {
			for b := int(s[i]); b <= int(s[i+2]); b++ {
				out = append(out, byte(b))
			}
			i += 2
			continue
		}
		out = append(out, s[i])
	}
	return out
}

func tr(c *call) int {
	set, ok := c.flags("dsc")
	if !ok {
		return 1
	}
	if len(c.args) == 0 {
		return c.fail("missing operand")
	}
	from := bytesIn(c.args[0])
	if has(set, 'c') {
		var rest []byte
		for b := range 256 {
			if bytes.IndexByte(from, byte(b)) < 0 {
				rest = append(rest, byte(b))
			}
		}
		from = rest
	}
	var to []byte
	if len(c.args) > 1 {
		to = bytesIn(c.args[1])
	}
	if !has(set, 'd') && !has(set, 's') && len(to) == 0 {
		return c.fail("missing operand after '%s'", c.args[0])
	}
	buf, last := make([]byte, chunk), -1
	for {
		n, err := c.Read(buf)
		out := make([]byte, 0, n)
		for _, b := range buf[:n] {
			at := bytes.IndexByte(from, b)
			switch {
			case at >= 0 && has(set, 'd'):
				continue
			case at >= 0 && len(to) > 0:
				b = to[min(at, len(to)-1)]
			}
			if at >= 0 && has(set, 's') && int(b) == last {
				continue
			}
			last = int(b)
			out = append(out, b)
		}
		if c.out(string(out)) != 0 || err != nil {
			return 0
		}
	}
}

func sortLines(c *call) int {
	set, ok := c.flags("nru")
	if !ok {
		return 1
	}
	var lines []string
	code := c.lines(c.args, c.keep(&lines))
	slices.SortFunc(lines, func(a, b string) int {
		order := strings.Compare(a, b)
		if has(set, 'n') {
			x, _ := strconv.ParseFloat(strings.TrimSpace(a), 64)
			y, _ := strconv.ParseFloat(strings.TrimSpace(b), 64)
			if x != y {
				order = map[bool]int{true: -1, false: 1}[x < y]
			}
		}
		if has(set, 'r') {
			order = -order
		}
		return order
	})
	if has(set, 'u') {
		lines = slices.Compact(lines)
	}
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(line + "\n")
	}
	return max(code, c.out(b.String()))
}

func uniq(c *call) int {
	set, ok := c.flags("c")
	if !ok {
		return 1
	}
	last, count := "", 0
	flush := func() {
		switch {
		case count > 0 && has(set, 'c'):
			_ = c.out(fmt.Sprintf("%7d %s\n", count, last))
		case count > 0:
			_ = c.out(last + "\n")
		}
	}
	code := c.lines(c.args, func(line string, _ bool) bool {
		if count > 0 && line == last {
			count++
			return true
		}
		flush()
		last, count = line, 1
		return true
	})
	flush()
	return code
}

func cmp(c *call) int {
	set, ok := c.flags("s")
	if !ok || len(c.args) != 2 {
		return 2
	}
	var texts [2]string
	for i, name := range c.args {
		code := 0
		for _, r := range c.inputs([]string{name}, &code) {
			texts[i], _ = c.proc.readAll(r.f)
			r.close()
		}
		if code != 0 {
			return 2
		}
	}
	if texts[0] == texts[1] {
		return 0
	}
	if !has(set, 's') {
		_ = c.out(c.args[0] + " " + c.args[1] + " differ\n")
	}
	return 1
}

// dd knows bs, count, if and of.
func dd(c *call) int {
	bs, count, in, out := int64(512), int64(1<<40), "", ""
	for _, arg := range c.args {
		name, value, _ := strings.Cut(arg, "=")
		ok := true
		switch name {
		case "bs":
			bs, ok = size(value)
			ok = ok && bs > 0 && bs <= 16<<20
		case "count":
			count, ok = size(value)
		case "if":
			in = value
		case "of":
			out = value
		case "status", "iflag", "conv":
		default:
			ok = false
		}
		if !ok {
			return c.fail("unknown operand '%s'", arg)
		}
	}
	code := 0
	var files []string
	if in != "" {
		files = []string{in}
	}
	var to io.Writer = c
	if out != "" {
		f, err := c.proc.open(out, memfs.OpenWrite|memfs.OpenCreate|memfs.OpenTruncate)
		if err != nil {
			return c.fail("failed to open '%s': %v", out, err)
		}
		defer f.release()
		to = sink{c.proc, f}
	}
	for _, r := range c.inputs(files, &code) {
		if err := c.copy(to, io.LimitReader(r, bs*count)); err != nil {
			code = c.fail("%v", err)
		}
		r.close()
	}
	return code
}
