package posix

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"shoal/simfleet/internal/memfs"
	simple "shoal/simfleet/internal/shell"
)

// programs has what is in /usr/bin, by name.
var programs map[string]func(*call) int

func init() {
	programs = map[string]func(*call) int{
		"sh": shProgram, "dash": shProgram,
		"true": func(*call) int { return 0 }, "false": func(*call) int { return 1 },
		"echo": echo, "printf": printf, "test": test, "[": test,
		"env": env, "printenv": printenv, "setsid": setsid, "nohup": nohup, "nice": nice, "sudo": sudo, "timeout": timeout,
		"kill": kill, "ps": ps, "sleep": sleep, "date": date, "id": id, "sync": func(*call) int { return 0 },
		"whoami":   func(c *call) int { return c.out(c.proc.host.UserName(c.proc.cred.UID) + "\n") },
		"hostname": func(c *call) int { return c.out(c.proc.host.Name + "\n") },
		"uname":    uname, "nproc": func(c *call) int { return c.out("1\n") },
		"cat": cat, "head": head, "tail": tail, "wc": wc, "tee": tee, "yes": yes, "seq": seq, "sha256sum": sha256sum,
		"grep": grep, "cut": cut, "tr": tr, "sort": sortLines, "uniq": uniq, "cmp": cmp, "sed": sed, "dd": dd,
		"ls": ls, "stat": stat, "find": findFiles, "df": df, "readlink": readlink, "realpath": readlink,
		"basename": basename, "dirname": dirname, "mkdir": mkdir, "rmdir": rmdir, "rm": rm, "mv": mv, "cp": cp, "ln": ln,
		"chmod": chmod, "chown": chown, "touch": touch, "mktemp": mktemp, "truncate": truncate,
	}
	for name := range programs {
		bin[name] = memfs.Entry{Program: name}
	}
}

// A call is one program with its arguments, in its process.
type call struct {
	proc *proc
	name string
	args []string
	env  map[string]string
}

// exec runs a program in place of what the process ran.
func (p *proc) exec(prog *program, args []string, env map[string]string) int {
	p.mu.Lock()
	p.args = args
	p.mu.Unlock()
	name, rest := prog.name, args[1:]
	if prog.script {
		src, err := p.readFile(prog.path)
		if err != nil {
			return p.complain("%s: %v", prog.path, err)
		}
		line, _, _ := strings.Cut(src, "\n")
		name = "sh"
		if interpreter, ok := strings.CutPrefix(line, "#!"); ok {
			words := strings.Fields(interpreter)
			if len(words) == 0 {
				return p.complain("%s: Exec format error", prog.path) + 125
			}
			through, code := executable(p, words[0])
			if through == nil || through.script {
				_ = p.complain("%s: not found", prog.path)
				return max(code, 126)
			}
			return p.exec(through, slices.Concat(words, []string{prog.path}, rest), env)
		}
		rest = append([]string{prog.path}, rest...)
	}
	return programs[name](&call{proc: p, name: name, args: rest, env: env})
}

// run executes another program in this process.
func (c *call) run(args []string) int {
	path, ok := c.env["PATH"]
	if !ok {
		path = "/bin:/usr/bin" // execvp's
	}
	prog, code := find(c.proc, args[0], path)
	if prog == nil {
		_ = c.fail("%s: No such file or directory", args[0])
		return code
	}
	return c.proc.exec(prog, args, c.env)
}

func (c *call) out(s string) int { return truth(c.proc.write(1, []byte(s)) == nil) }

// fail prints a message and returns 1.
func (c *call) fail(format string, args ...any) int {
	return c.proc.complain(c.name+": "+format, args...)
}

func (p *proc) complain(format string, args ...any) int {
	_ = p.write(2, fmt.Appendf(nil, format+"\n", args...))
	return 1
}

func (c *call) fs() *memfs.FS { return c.proc.host.FS }

// Read and Write are the standard streams.
func (c *call) Read(b []byte) (int, error)  { return c.proc.read(0, b) }
func (c *call) Write(b []byte) (int, error) { return len(b), c.proc.write(1, b) }

// flags takes the options at the beginning of the arguments. A letter followed
// by : has an argument.
func (c *call) flags(letters string) (map[byte]string, bool) {
	set := make(map[byte]string)
	for len(c.args) > 0 {
		arg := c.args[0]
		if len(arg) < 2 || arg[0] != '-' {
			break
		}
		c.args = c.args[1:]
		if arg == "--" {
			break
		}
		for i := 1; i < len(arg); i++ {
			at := strings.IndexByte(letters, arg[i])
			if at < 0 || arg[i] == ':' {
				_ = c.fail("invalid option -- '%s'", arg[i:])
				return nil, false
			}
			if at+1 == len(letters) || letters[at+1] != ':' {
				set[arg[i]] = ""
				continue
			}
			value := arg[i+1:]
			if value == "" {
				if len(c.args) == 0 {
					_ = c.fail("option requires an argument -- '%c'", arg[i])
					return nil, false
				}
				value, c.args = c.args[0], c.args[1:]
			}
			set[arg[i]] = value
			break
		}
	}
	return set, true
}

func has(set map[byte]string, letter byte) bool {
	_, ok := set[letter]
	return ok
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) }

// shProgram is sh: -c TEXT [NAME ARG…], -s [ARG…], FILE [ARG…], or standard input.
func shProgram(c *call) int {
	sh := newShell(c.proc, c.env)
	args, text, stdin := c.args, false, false
	for len(args) > 0 && len(args[0]) > 1 && (args[0][0] == '-' || args[0][0] == '+') {
		arg := args[0]
		if args = args[1:]; arg == "--" {
			break
		}
		for _, flag := range arg[1:] {
			switch flag {
			case 'c':
				text = true
			case 's':
				stdin = true
			case 'e':
				sh.errexit = true
			case 'u':
				sh.nounset = true
			case 'f':
				sh.noglob = true
			default:
				sh.complain("Illegal option -%c", flag)
				return 2
			}
		}
	}
	switch {
	case text && len(args) == 0:
		sh.complain("-c requires an argument")
		return 2
	case text:
		src := args[0]
		if args = args[1:]; len(args) > 0 {
			sh.arg0, args = args[0], args[1:]
		}
		sh.params = args
		ended := c.proc.session.shell(src, args)
		code := sh.main(src)
		if ended != nil && !c.proc.isDead() {
			ended(code)
		}
		return code
	case stdin || len(args) == 0:
		sh.params = args
		return sh.interactive()
	}
	src, err := c.proc.readFile(args[0])
	if err != nil {
		sh.complain("0: cannot open %s: %v", args[0], err)
		return 2
	}
	sh.arg0, sh.params = args[0], args[1:]
	return sh.main(src)
}

// interactive reads commands from standard input, line by line, and no further
// than it must: what is left is the commands'.
func (sh *shell) interactive() int {
	var pending strings.Builder
	var buf [1]byte
	for {
		n, err := sh.p.read(0, buf[:])
		if n > 0 {
			pending.WriteByte(buf[0])
		}
		if err == nil && (n == 0 || buf[0] != '\n') {
			continue
		}
		src := pending.String()
		if err != nil {
			sh.source(src)
			return sh.leave()
		}
		if !complete(src) {
			continue
		}
		pending.Reset()
		if sh.source(src); sh.stop() {
			return sh.leave()
		}
	}
}

func echo(c *call) int {
	args, end := c.args, "\n"
	if len(args) > 0 && args[0] == "-n" {
		args, end = args[1:], ""
	}
	return c.out(strings.Join(args, " ") + end)
}

func printf(c *call) int {
	if len(c.args) == 0 {
		_ = c.fail("usage: printf FORMAT [WORD...]")
		return 2
	}
	out, problem := simple.Printf(c.args[0], c.args[1:])
	code := c.out(string(out))
	if problem != "" {
		return c.fail("%s", problem)
	}
	return code
}

func env(c *call) int {
	c.env = maps.Clone(c.env)
	for len(c.args) > 0 {
		name, value, assigns := strings.Cut(c.args[0], "=")
		switch {
		case name == "-i" || name == "-":
			c.env = map[string]string{}
		case name == "-u" && len(c.args) > 1:
			c.args = c.args[1:]
			delete(c.env, c.args[0])
		case assigns:
			c.env[name] = value
		default:
			return c.run(c.args)
		}
		c.args = c.args[1:]
	}
	return printenv(&call{proc: c.proc, env: c.env})
}

func printenv(c *call) int {
	if len(c.args) > 0 {
		value, ok := c.env[c.args[0]]
		if !ok {
			return 1
		}
		return c.out(value + "\n")
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c.env)) {
		b.WriteString(name + "=" + c.env[name] + "\n")
	}
	return c.out(b.String())
}

// setsid forks if its process leads a group, and does not wait, unless with -w.
func setsid(c *call) int {
	set, ok := c.flags("wf")
	if !ok || len(c.args) == 0 {
		return 1
	}
	lead := func(p *proc) {
		p.mu.Lock()
		p.pgid, p.sid = p.pid, p.pid
		p.mu.Unlock()
	}
	if c.proc.group() != c.proc.pid && !has(set, 'f') {
		lead(c.proc)
		return c.run(c.args)
	}
	child := c.proc.fork()
	if child == nil {
		return c.fail("fork: Resource temporarily unavailable")
	}
	lead(child)
	inner := &call{proc: child, name: c.name, args: c.args, env: c.env}
	child.start(func() int { return inner.run(inner.args) })
	if has(set, 'w') {
		select {
		case <-child.done:
			return child.end.seen()
		case <-c.proc.done:
		}
	}
	return 0
}

func nohup(c *call) int {
	if len(c.args) == 0 {
		return c.fail("missing operand") + 124
	}
	c.proc.dispose(sigHUP, ignore)
	return c.run(c.args)
}

func nice(c *call) int {
	if _, ok := c.flags("n:"); !ok || len(c.args) == 0 {
		return 125
	}
	return c.run(c.args)
}

func timeout(c *call) int {
	if len(c.args) < 2 {
		return c.fail("missing operand") + 124
	}
	limit, ok := seconds(c.args[0])
	if !ok {
		return c.fail("invalid time interval '%s'", c.args[0]) + 124
	}
	child := c.proc.fork()
	if child == nil {
		return 125
	}
	inner := &call{proc: child, name: c.name, args: c.args[1:], env: c.env}
	child.start(func() int { return inner.run(inner.args) })
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-child.done:
		return child.end.seen()
	case <-timer.C:
		child.signal(sigTERM)
		return 124
	case <-c.proc.done:
		return 0
	}
}

// sudo is played: everybody may become anybody without a password, unless the
// host wants one, which sudo -S then reads from standard input.
func sudo(c *call) int {
	set, ok := c.flags("nSHEkKvbp:u:g:")
	if !ok {
		return 1
	}
	h := c.proc.host
	want, _ := set['u']
	if want == "" {
		want = "root"
	}
	user, known := h.lookup(strings.TrimPrefix(want, "#"))
	if !known {
		return c.fail("unknown user %s", want)
	}
	if c.proc.cred.UID != 0 && h.Sudo != "" && !has(set, 'n') {
		if status, ended := hostileSudo(c, set); ended {
			return status
		}
	}
	if h.Password != "" && c.proc.cred.UID != 0 {
		switch {
		case has(set, 'k') && len(c.args) == 0, has(set, 'K'):
			return 0
		case has(set, 'n'):
			return c.fail("a password is required")
		case !has(set, 'S'):
			return c.fail("a terminal is required to read the password; either use the -S option to read from standard input or configure an askpass helper")
		}
		prompt, given := set['p']
		if !given {
			prompt = "[sudo] password for %p: "
		}
		prompt = strings.NewReplacer("%p", c.proc.user, "%u", c.proc.user, "%U", user.Name, "%h", h.Name, "%H", h.Name, "%%", "%").Replace(prompt)
		if h.Sudo == "rust" {
			prompt = "[sudo: " + prompt + "] Password: "
		}
		for try := 0; ; try++ {
			_ = c.proc.write(2, []byte(prompt))
			line, err := c.readLine()
			if line == h.Password && h.Sudo == "denies" {
				return c.fail("%s is not in the sudoers file.", c.proc.user)
			}
			if line == h.Password {
				break
			}
			switch {
			case err != nil && line == "":
				_ = c.fail("no password was provided")
				return c.fail("%d incorrect password attempt", max(try, 1))
			case try == 2:
				return c.fail("3 incorrect password attempts")
			}
			_ = c.proc.write(2, []byte("Sorry, try again.\n"))
		}
	}
	if len(c.args) == 0 {
		return 0
	}
	c.env = maps.Clone(c.env)
	for len(c.args) > 0 {
		name, value, assigns := strings.Cut(c.args[0], "=")
		if !assigns || strings.Contains(name, "/") {
			break
		}
		c.env[name] = value
		c.args = c.args[1:]
	}
	if len(c.args) == 0 {
		return 0
	}
	c.env["SUDO_USER"], c.env["SUDO_UID"] = c.proc.user, strconv.Itoa(int(c.proc.cred.UID))
	c.env["HOME"], c.env["USER"], c.env["LOGNAME"] = user.Home, user.Name, user.Name
	c.env["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	c.proc.mu.Lock()
	c.proc.cred.UID, c.proc.cred.GID, c.proc.user = user.UID, user.UID, user.Name
	c.proc.mu.Unlock()
	return c.run(c.args)
}

// hostileSudo does what is special about the host's sudo. ended means that this was all.
func hostileSudo(c *call, set map[byte]string) (status int, ended bool) {
	ask := func(text string) { _ = c.proc.write(2, []byte(text)) }
	take := func() bool {
		var b [256]byte
		n, err := c.Read(b[:])
		c.proc.host.put("/tmp/taken", string(b[:n]))
		return err == nil
	}
	prompt := set['p']
	switch c.proc.host.Sudo {
	case "silent":
		for take() {
		}
		return 1, true
	case "twice":
		ask(prompt)
		take()
		ask("Verification code: ")
		for take() {
		}
		return 1, true
	case "endless":
		for ask(prompt); take(); ask("Sorry.\n" + prompt) {
		}
		return 1, true
	case "echoes":
		ask(prompt)
		line, err := c.readLine()
		taken := line
		if err == nil { // else its input has ended before
			taken += "\n"
		}
		c.proc.host.put("/tmp/taken", taken)
		ask(line + " " + prompt + "\n")
		return 1, true
	}
	return 0, false
}

// readLine reads no further than a line.
func (c *call) readLine() (string, error) {
	var line []byte
	var b [1]byte
	for len(line) < 4096 {
		n, err := c.Read(b[:])
		switch {
		case err != nil:
			return string(line), err
		case n > 0 && b[0] == '\n':
			return string(line), nil
		}
		line = append(line, b[:n]...)
	}
	return string(line), nil
}

func kill(c *call) int {
	args, n := c.args, sigTERM
	if len(args) == 0 {
		_ = c.fail("usage: kill [-s signal | -signal] pid ...")
		return 2
	}
	switch first := args[0]; {
	case first == "-l":
		if len(args) > 1 {
			code, _ := strconv.Atoi(args[1])
			if code &= 127; code > 0 && code < len(signalNames) {
				return c.out(signalNames[code] + "\n")
			}
			return c.fail("invalid signal number: %s", args[1])
		}
		return c.out(strings.Join(signalNames[1:], " ") + "\n")
	case first == "-s" || first == "-n":
		if len(args) < 2 {
			return c.fail("option requires an argument")
		}
		n, args = signalNumber(args[1]), args[2:]
	case first == "--":
		args = args[1:]
	case len(first) > 1 && first[0] == '-' && len(args) > 1:
		n, args = signalNumber(first[1:]), args[1:]
	}
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	switch {
	case n < 0:
		_ = c.fail("invalid signal")
		return 2
	case len(args) == 0:
		_ = c.fail("usage: kill [-s signal | -signal] pid ...")
		return 2
	}
	code := 0
	for _, arg := range args {
		pid, err := strconv.Atoi(arg)
		if err != nil {
			_ = c.fail("Illegal number: %s", arg)
			return 2
		}
		if why := c.send(pid, n); why != "" {
			code = c.fail("%s", why)
		}
	}
	return code
}

// send sends a signal as kill(2) does, and returns an error's text.
func (c *call) send(pid, n int) string {
	var to []*proc
	for _, p := range c.proc.host.list() {
		switch {
		case pid > 0 && p.pid == pid, pid == 0 && p.group() == c.proc.group(), pid < -1 && p.group() == -pid,
			pid == -1 && p != c.proc:
			to = append(to, p)
		}
	}
	if pid == 1 {
		return "Operation not permitted"
	}
	if len(to) == 0 {
		return "No such process"
	}
	may := false
	for _, p := range to {
		if c.proc.cred.UID == 0 || p.uid() == c.proc.cred.UID {
			may = true
			p.signal(n)
		}
	}
	if !may {
		return "Operation not permitted"
	}
	return ""
}

// ps lists all processes, or with -p those named.
func ps(c *call) int {
	set, ok := c.flags("eAafdlp:o:")
	if !ok {
		return 1
	}
	var b strings.Builder
	format, only := "", set['p']
	if f, given := set['o']; given {
		format = f
	} else {
		b.WriteString("    PID TTY          TIME CMD\n")
	}
	found := false
	for _, p := range c.proc.host.list() {
		if only != "" && !slices.Contains(strings.Split(only, ","), strconv.Itoa(p.pid)) {
			continue
		}
		found = true
		p.mu.Lock()
		values := map[string]string{
			"pid": strconv.Itoa(p.pid), "ppid": strconv.Itoa(p.ppid), "pgid": strconv.Itoa(p.pgid), "sid": strconv.Itoa(p.sid),
			"comm": p.name(), "args": strings.Join(p.args, " "), "cmd": strings.Join(p.args, " "), "user": p.user, "stat": "S", "state": "S",
		}
		p.mu.Unlock()
		if format == "" {
			fmt.Fprintf(&b, "%7s ?        00:00:00 %s\n", values["pid"], values["comm"])
			continue
		}
		var columns []string
		for name := range strings.SplitSeq(format, ",") {
			columns = append(columns, values[strings.TrimSuffix(name, "=")])
		}
		b.WriteString(strings.Join(columns, " ") + "\n")
	}
	return max(c.out(b.String()), truth(found))
}

// seconds reads the time of sleep and timeout.
func seconds(arg string) (time.Duration, bool) {
	n, ok := simple.ParseSeconds(arg)
	if ns := n * float64(time.Second); ns < math.MaxInt64 {
		return time.Duration(ns), ok
	}
	return math.MaxInt64, ok
}

func sleep(c *call) int {
	if len(c.args) == 0 {
		return c.fail("missing operand")
	}
	var sum time.Duration
	for _, arg := range c.args {
		d, ok := seconds(arg)
		if !ok {
			return c.fail("invalid time interval '%s'", arg)
		}
		if sum += d; sum < 0 {
			sum = math.MaxInt64
		}
	}
	c.proc.sleep(sum)
	return 0
}

func date(c *call) int {
	utc, format := false, ""
	for _, arg := range c.args {
		switch {
		case arg == "-u":
			utc = true
		case strings.HasPrefix(arg, "+"):
			format = arg[1:]
		default:
			return c.fail("invalid date '%s'", arg)
		}
	}
	now := time.Now()
	if utc {
		now = now.UTC()
	}
	if format == "" {
		return c.out(now.Format("Mon Jan _2 15:04:05 MST 2006") + "\n")
	}
	return c.out(strftime(now, format) + "\n")
}

var timeVerbs = map[byte]string{
	'Y': "2006", 'm': "01", 'd': "02", 'H': "15", 'M': "04", 'S': "05", 'F': "2006-01-02", 'T': "15:04:05",
	'y': "06", 'b': "Jan", 'a': "Mon", 'z': "-0700", 'Z': "MST", 'e': "_2",
}

func strftime(t time.Time, format string) string {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		switch layout := timeVerbs[format[i]]; {
		case layout != "":
			b.WriteString(t.Format(layout))
		case format[i] == 's':
			b.WriteString(strconv.FormatInt(t.Unix(), 10))
		case format[i] == 'N':
			fmt.Fprintf(&b, "%09d", t.Nanosecond())
		case format[i] == '%':
			b.WriteByte('%')
		case format[i] == 'n':
			b.WriteByte('\n')
		default:
			b.WriteString(format[i-1 : i+1])
		}
	}
	return b.String()
}

func id(c *call) int {
	set, ok := c.flags("unGgr")
	if !ok {
		return 1
	}
	uid, name := strconv.Itoa(int(c.proc.cred.UID)), c.proc.host.UserName(c.proc.cred.UID)
	if len(c.args) > 0 {
		u, known := c.proc.host.lookup(c.args[0])
		if !known {
			return c.fail("'%s': no such user", c.args[0])
		}
		uid, name = strconv.Itoa(int(u.UID)), u.Name
	}
	switch {
	case has(set, 'n'):
		return c.out(name + "\n")
	case len(set) > 0:
		return c.out(uid + "\n")
	}
	return c.out(fmt.Sprintf("uid=%s(%s) gid=%s(%s) groups=%s(%s)\n", uid, name, uid, name, uid, name))
}

func uname(c *call) int {
	set, ok := c.flags("asnrvm")
	if !ok {
		return 1
	}
	var words []string
	for _, f := range []struct {
		letter byte
		value  string
	}{{'s', "Linux"}, {'n', c.proc.host.Name}, {'r', "6.1.0-simfleet"}, {'v', "#1 SMP"}, {'m', "x86_64"}} {
		if has(set, f.letter) || has(set, 'a') || len(set) == 0 && f.letter == 's' {
			words = append(words, f.value)
		}
	}
	return c.out(strings.Join(words, " ") + "\n")
}

// test is test and [.
func test(c *call) int {
	args := c.args
	if c.name == "[" {
		if len(args) == 0 || args[len(args)-1] != "]" {
			_ = c.fail("missing ]")
			return 2
		}
		args = args[:len(args)-1]
	}
	t := tester{c: c, args: args}
	ok := t.top()
	if t.problem != "" {
		_ = c.fail("%s", t.problem)
		return 2
	}
	return truth(ok)
}

type tester struct {
	c       *call
	args    []string
	problem string
}

// top decides by the number of arguments, as POSIX has it.
func (t *tester) top() bool {
	switch a := t.args; {
	case len(a) == 0:
		return false
	case len(a) == 1:
		return a[0] != ""
	case len(a) == 3 && isBinary(a[1]):
		return t.compare(a[0], a[1], a[2])
	case len(a) == 2 && a[0] == "!":
		return a[1] == ""
	case len(a) == 4 && a[0] == "!" && isBinary(a[2]):
		return !t.compare(a[1], a[2], a[3])
	}
	ok := t.or()
	if len(t.args) > 0 && t.problem == "" {
		t.problem = t.args[0] + ": unexpected operator"
	}
	return ok
}

func (t *tester) next(word string) bool {
	if len(t.args) > 0 && t.args[0] == word {
		t.args = t.args[1:]
		return true
	}
	return false
}

func (t *tester) or() bool {
	ok := t.and()
	for t.next("-o") {
		ok = t.and() || ok
	}
	return ok
}

func (t *tester) and() bool {
	ok := t.not()
	for t.next("-a") {
		ok = t.not() && ok
	}
	return ok
}

func (t *tester) not() bool {
	if len(t.args) > 1 && t.next("!") {
		return !t.not()
	}
	return t.primary()
}

func (t *tester) primary() bool {
	a := t.args
	switch {
	case len(a) == 0:
		t.problem = "argument expected"
		return false
	case len(a) > 2 && isBinary(a[1]):
		t.args = a[3:]
		return t.compare(a[0], a[1], a[2])
	case len(a) > 1 && len(a[0]) == 2 && a[0][0] == '-':
		t.args = a[2:]
		return t.unary(a[0][1], a[1])
	case len(a) > 1 && t.next("("):
		ok := t.or()
		if !t.next(")") && t.problem == "" {
			t.problem = "closing paren expected"
		}
		return ok
	}
	t.args = a[1:]
	return a[0] != ""
}

func isBinary(op string) bool {
	switch op {
	case "=", "!=", "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot", "-ef", "<", ">":
		return true
	}
	return false
}

func (t *tester) compare(a, op, b string) bool {
	switch op {
	case "=":
		return a == b
	case "!=":
		return a != b
	case "<":
		return a < b
	case ">":
		return a > b
	case "-nt", "-ot", "-ef":
		x, errX := t.c.fs().Stat(t.c.proc.cred, a, true)
		y, errY := t.c.fs().Stat(t.c.proc.cred, b, true)
		switch op {
		case "-nt":
			return errX == nil && (errY != nil || x.ModTime().After(y.ModTime()))
		case "-ot":
			return errY == nil && (errX != nil || y.ModTime().After(x.ModTime()))
		}
		return errX == nil && errY == nil && x.Ino == y.Ino
	}
	x, errX := strconv.ParseInt(strings.TrimSpace(a), 10, 64)
	y, errY := strconv.ParseInt(strings.TrimSpace(b), 10, 64)
	for word, err := range map[string]error{a: errX, b: errY} {
		if err != nil {
			t.problem = "Illegal number: " + word
			return false
		}
	}
	return map[string]bool{"-eq": x == y, "-ne": x != y, "-lt": x < y, "-le": x <= y, "-gt": x > y, "-ge": x >= y}[op]
}

func (t *tester) unary(op byte, arg string) bool {
	p := t.c.proc
	switch op {
	case 'n':
		return arg != ""
	case 'z':
		return arg == ""
	case 't':
		return false
	case 'r', 'w', 'x':
		want := map[byte]uint32{'r': memfs.Read, 'w': memfs.Write, 'x': memfs.Exec}[op]
		return t.c.fs().Access(p.cred, arg, want) == nil
	}
	i, err := t.c.fs().Stat(p.cred, arg, op != 'L' && op != 'h')
	if err != nil {
		return false
	}
	m := i.Mode()
	switch op {
	case 'e':
		return true
	case 'f':
		return m.IsRegular()
	case 'd':
		return m.IsDir()
	case 'L', 'h':
		return i.Target != ""
	case 's':
		return i.Size() > 0
	case 'c':
		return i.Device != ""
	case 'k':
		return m&sticky(true) != 0
	case 'u', 'g', 'b', 'p', 'S':
		return false
	case 'O':
		return i.UID == p.cred.UID
	case 'G':
		return i.GID == p.cred.GID
	}
	t.problem = "-" + string(rune(op)) + ": unexpected operator"
	return false
}

// lines calls do for each line of the files or of standard input.
func (c *call) lines(files []string, do func(line string, whole bool) bool) int {
	code := 0
	for _, r := range c.inputs(files, &code) {
		in := bufio.NewReader(r)
		for {
			line, err := nextLine(in)
			if line != "" && !do(strings.TrimSuffix(line, "\n"), err == nil) {
				r.close()
				return code
			}
			if err != nil {
				break
			}
		}
		r.close()
	}
	return code
}

// nextLine is ReadString with a bound.
func nextLine(in *bufio.Reader) (string, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return string(line), err
		}
		if len(line) > maxLine {
			return "", memfs.EFBIG
		}
	}
}

// keep collects lines up to a bound.
func (c *call) keep(lines *[]string) func(string, bool) bool {
	size := 0
	return func(line string, _ bool) bool {
		if size += len(line) + 16; size > maxText {
			_ = c.fail("memory exhausted")
			return false
		}
		*lines = append(*lines, line)
		return true
	}
}

// An input of a program.
type source struct {
	p *proc
	f *file
}

func (s source) Read(b []byte) (int, error) {
	if s.p.isDead() {
		return 0, errKilled
	}
	return s.f.read(s.p, b)
}
func (s source) close() { s.f.release() }

// inputs opens the files; none means standard input.
func (c *call) inputs(files []string, code *int) []source {
	if len(files) == 0 {
		files = []string{"-"}
	}
	var all []source
	for _, name := range files {
		f := c.proc.borrow(0)
		if name != "-" {
			if f != nil {
				f.release()
			}
			var err error
			if f, err = c.proc.open(name, memfs.OpenRead); err != nil {
				*code = c.fail("%s: %v", name, err)
				continue
			}
		}
		if f != nil {
			all = append(all, source{c.proc, f})
		}
	}
	return all
}
