package posix

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"shoal/simfleet/internal/memfs"
)

func mkdir(c *call) int {
	set, ok := c.flags("pm:v")
	if !ok {
		return 1
	}
	code := 0
	for _, name := range c.args {
		if err := c.mkdir(name, has(set, 'p')); err != nil {
			code = c.fail("cannot create directory '%s': %v", name, err)
			continue
		}
		if text, given := set['m']; given {
			n, err := strconv.ParseUint(text, 8, 16)
			if err == nil {
				err = c.fs().Chmod(c.proc.cred, name, octal(n))
			}
			if err != nil {
				code = c.fail("%s: %v", name, err)
			}
		}
	}
	return code
}

func (c *call) mkdir(name string, parents bool) error {
	err := c.fs().Mkdir(c.proc.cred, name, 0o777)
	if !parents || err == nil {
		return err
	}
	if i, stat := c.fs().Stat(c.proc.cred, name, true); stat == nil {
		if i.IsDir() {
			return nil
		}
		return memfs.EEXIST
	}
	if parent := path.Dir(strings.TrimRight(name, "/")); errors.Is(err, fs.ErrNotExist) && parent != name {
		if err := c.mkdir(parent, true); err != nil {
			return err
		}
		return c.fs().Mkdir(c.proc.cred, name, 0o777)
	}
	return err
}

// octal is a mode as chmod(2) has it.
func octal(n uint64) fs.FileMode {
	m := fs.FileMode(n & 0o777)
	for bit, flag := range map[uint64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if n&bit != 0 {
			m |= flag
		}
	}
	return m
}

// unixMode is the inverse of octal.
func unixMode(m fs.FileMode) uint32 {
	n := uint32(m.Perm())
	for flag, bit := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if m&flag != 0 {
			n |= bit
		}
	}
	return n
}

func rmdir(c *call) int {
	if _, ok := c.flags("p"); !ok {
		return 1
	}
	code := 0
	for _, name := range c.args {
		if err := c.fs().Rmdir(c.proc.cred, name); err != nil {
			code = c.fail("failed to remove '%s': %v", name, err)
		}
	}
	return code
}

func rm(c *call) int {
	set, ok := c.flags("rRfdi")
	if !ok {
		return 1
	}
	code, recursive, force := 0, has(set, 'r') || has(set, 'R'), has(set, 'f')
	for _, name := range c.args {
		if base := path.Base(name); base == "/" || base == "." || base == ".." {
			code = c.fail("refusing to remove '%s'", name)
			continue
		}
		if err := c.remove(name, recursive); err != nil && (!force || !errors.Is(err, fs.ErrNotExist)) {
			code = c.fail("cannot remove '%s': %v", name, err)
		}
	}
	if len(c.args) == 0 && !force {
		return c.fail("missing operand")
	}
	return code
}

func (c *call) remove(name string, recursive bool) error {
	i, err := c.fs().Stat(c.proc.cred, name, false)
	switch {
	case err != nil:
		return err
	case !i.IsDir():
		return c.fs().Unlink(c.proc.cred, name)
	case !recursive:
		return memfs.EISDIR
	}
	list, err := c.fs().ReadDir(c.proc.cred, name)
	if err != nil {
		return err
	}
	for _, entry := range list {
		if err := c.remove(name+"/"+entry.Name(), true); err != nil {
			return err
		}
	}
	return c.fs().Rmdir(c.proc.cred, name)
}

// into returns the name of a destination: in it, if it is a directory.
func (c *call) into(from, to string, noDir bool) string {
	if i, err := c.fs().Stat(c.proc.cred, to, true); err == nil && i.IsDir() && !noDir {
		return strings.TrimRight(to, "/") + "/" + path.Base(from)
	}
	return to
}

func mv(c *call) int {
	set, ok := c.flags("fniTv")
	if !ok {
		return 1
	}
	if len(c.args) < 2 {
		return c.fail("missing operand")
	}
	code, to := 0, c.args[len(c.args)-1]
	if len(c.args) > 2 {
		if i, err := c.fs().Stat(c.proc.cred, to, true); err != nil || !i.IsDir() {
			return c.fail("target '%s' is not a directory", to)
		}
	}
	for _, from := range c.args[:len(c.args)-1] {
		dest := c.into(from, to, has(set, 'T'))
		if has(set, 'n') {
			if _, err := c.fs().Stat(c.proc.cred, dest, false); err == nil {
				continue
			}
		}
		err := c.fs().Rename(c.proc.cred, from, dest, false)
		if errors.Is(err, memfs.EXDEV) { // as every mv does, and not in one step
			_ = c.fs().Unlink(c.proc.cred, dest)
			if err = c.copyFile(from, dest, true, true); err == nil {
				err = c.fs().Unlink(c.proc.cred, from)
			}
		}
		if err != nil {
			code = c.fail("cannot move '%s' to '%s': %v", from, dest, err)
		}
	}
	return code
}

func cp(c *call) int {
	set, ok := c.flags("rRpaPfT")
	if !ok {
		return 1
	}
	if len(c.args) < 2 {
		return c.fail("missing operand")
	}
	code, to := 0, c.args[len(c.args)-1]
	recursive := has(set, 'r') || has(set, 'R') || has(set, 'a')
	for _, from := range c.args[:len(c.args)-1] {
		dest := c.into(from, to, has(set, 'T'))
		if err := c.copyFile(from, dest, recursive, has(set, 'p') || has(set, 'a')); err != nil {
			code = c.fail("cannot copy '%s' to '%s': %v", from, dest, err)
		}
	}
	return code
}

func (c *call) copyFile(from, to string, recursive, preserve bool) error {
	i, err := c.fs().Stat(c.proc.cred, from, !recursive)
	switch {
	case err != nil:
		return err
	case i.IsDir():
		if !recursive {
			return memfs.EISDIR
		}
		list, err := c.fs().ReadDir(c.proc.cred, from)
		if err != nil {
			return err
		}
		if err := c.mkdir(to, true); err != nil {
			return err
		}
		for _, entry := range list {
			if err := c.copyFile(from+"/"+entry.Name(), to+"/"+entry.Name(), true, preserve); err != nil {
				return err
			}
		}
		return nil
	case i.Target != "":
		return c.fs().Symlink(c.proc.cred, i.Target, to)
	}
	in, err := c.proc.open(from, memfs.OpenRead)
	if err != nil {
		return err
	}
	defer in.release()
	out, err := c.fs().Open(c.proc.cred, to, memfs.OpenWrite|memfs.OpenCreate|memfs.OpenTruncate, i.Mode().Perm())
	if err != nil {
		return err
	}
	err = c.copy(out, source{c.proc, in})
	if preserve && err == nil {
		err = errors.Join(out.Chmod(i.Mode()), out.Chtimes(i.ModTime()))
	}
	return errors.Join(err, out.Close())
}

func ln(c *call) int {
	set, ok := c.flags("sfnT")
	if !ok {
		return 1
	}
	if len(c.args) == 1 {
		c.args = append(c.args, ".")
	}
	if len(c.args) != 2 {
		return c.fail("want two names")
	}
	from, to := c.args[0], c.args[1]
	if !has(set, 'n') || !has(set, 'f') {
		to = c.into(from, to, has(set, 'T'))
	}
	if has(set, 'f') {
		_ = c.fs().Unlink(c.proc.cred, to)
	}
	err := error(nil)
	if has(set, 's') {
		err = c.fs().Symlink(c.proc.cred, from, to)
	} else {
		err = c.fs().Link(c.proc.cred, from, to)
	}
	if err != nil {
		return c.fail("failed to create link '%s': %v", to, err)
	}
	return 0
}

func chmod(c *call) int {
	recursive := false
	for len(c.args) > 0 && (c.args[0] == "-R" || c.args[0] == "-f" || c.args[0] == "--") {
		recursive = recursive || c.args[0] == "-R"
		c.args = c.args[1:]
	}
	if len(c.args) < 2 {
		return c.fail("missing operand")
	}
	code := 0
	var set func(name string) error
	set = func(name string) error {
		i, err := c.fs().Stat(c.proc.cred, name, true)
		if err != nil {
			return err
		}
		m, ok := changeMode(i.Mode(), c.args[0], c.proc.cred.Umask)
		if !ok {
			return fmt.Errorf("invalid mode: '%s'", c.args[0])
		}
		if err := c.fs().Chmod(c.proc.cred, name, m); err != nil || !recursive || !i.IsDir() {
			return err
		}
		list, err := c.fs().ReadDir(c.proc.cred, name)
		for _, entry := range list {
			if entry.Target == "" {
				err = errors.Join(err, set(name+"/"+entry.Name()))
			}
		}
		return err
	}
	for _, name := range c.args[1:] {
		if err := set(name); err != nil {
			code = c.fail("changing permissions of '%s': %v", name, err)
		}
	}
	return code
}

// changeMode applies a mode of chmod, octal or symbolic.
func changeMode(m fs.FileMode, text string, umask fs.FileMode) (fs.FileMode, bool) {
	if n, err := strconv.ParseUint(text, 8, 16); err == nil && n <= 0o7777 {
		return octal(n), true
	}
	for clause := range strings.SplitSeq(text, ",") {
		at := strings.IndexAny(clause, "+-=")
		if at < 0 {
			return m, false
		}
		who, op, what := clause[:at], clause[at], clause[at+1:]
		var mask, bits, special fs.FileMode
		for _, w := range who {
			switch w {
			case 'u':
				mask |= 0o700
			case 'g':
				mask |= 0o070
			case 'o':
				mask |= 0o007
			case 'a':
				mask |= 0o777
			default:
				return m, false
			}
		}
		if who == "" {
			mask = 0o777 &^ umask
		}
		for _, w := range what {
			switch w {
			case 'r':
				bits |= 0o444
			case 'w':
				bits |= 0o222
			case 'x':
				bits |= 0o111
			case 'X':
				if m.IsDir() || m&0o111 != 0 {
					bits |= 0o111
				}
			case 's':
				if who == "" || mask&0o700 != 0 {
					special |= fs.ModeSetuid
				}
				if who == "" || mask&0o070 != 0 {
					special |= fs.ModeSetgid
				}
			case 't':
				special |= fs.ModeSticky
			default:
				return m, false
			}
		}
		switch op {
		case '+':
			m |= bits&mask | special
		case '-':
			m &^= bits&mask | special
		case '=':
			m = m&^mask | bits&mask | special
		}
	}
	return m, true
}

func chown(c *call) int {
	set, ok := c.flags("Rh")
	if !ok {
		return 1
	}
	if len(c.args) < 2 {
		return c.fail("missing operand")
	}
	owner, group, _ := strings.Cut(c.args[0], ":")
	var ids [2]int64
	for i, name := range []string{owner, group} {
		if ids[i] = -1; name == "" {
			continue
		}
		u, known := c.proc.host.lookup(name)
		if !known {
			n, err := strconv.ParseUint(name, 10, 32)
			if err != nil {
				return c.fail("invalid user: '%s'", c.args[0])
			}
			u.UID = uint32(n)
		}
		ids[i] = int64(u.UID)
	}
	code := 0
	var change func(name string) error
	change = func(name string) error {
		err := c.fs().Chown(c.proc.cred, name, ids[0], ids[1], !has(set, 'h') && !has(set, 'R'))
		if err != nil || !has(set, 'R') {
			return err
		}
		if i, _ := c.fs().Stat(c.proc.cred, name, false); i.IsDir() {
			list, _ := c.fs().ReadDir(c.proc.cred, name)
			for _, entry := range list {
				err = errors.Join(err, change(name+"/"+entry.Name()))
			}
		}
		return err
	}
	for _, name := range c.args[1:] {
		if err := change(name); err != nil {
			code = c.fail("changing ownership of '%s': %v", name, err)
		}
	}
	return code
}

// touch knows -c, and -d @SECONDS.
func touch(c *call) int {
	set, ok := c.flags("cd:am")
	if !ok {
		return 1
	}
	when := time.Now()
	if text, given := set['d']; given {
		n, err := strconv.ParseInt(strings.TrimPrefix(text, "@"), 10, 64)
		if err != nil {
			return c.fail("invalid date format '%s'", text)
		}
		when = time.Unix(n, 0)
	}
	code := 0
	for _, name := range c.args {
		if _, err := c.fs().Stat(c.proc.cred, name, true); errors.Is(err, fs.ErrNotExist) {
			if has(set, 'c') {
				continue
			}
			f, err := c.proc.open(name, memfs.OpenWrite|memfs.OpenCreate)
			if err != nil {
				code = c.fail("cannot touch '%s': %v", name, err)
				continue
			}
			f.release()
		}
		if err := c.fs().Chtimes(c.proc.cred, name, when); err != nil {
			code = c.fail("cannot touch '%s': %v", name, err)
		}
	}
	return code
}

func truncate(c *call) int {
	set, ok := c.flags("s:")
	if !ok {
		return 1
	}
	n, ok := size(set['s'])
	if !ok {
		return c.fail("invalid number: '%s'", set['s'])
	}
	code := 0
	for _, name := range c.args {
		f, err := c.fs().Open(c.proc.cred, name, memfs.OpenWrite|memfs.OpenCreate, 0o666)
		if err == nil {
			err = errors.Join(f.Truncate(n), f.Close())
		}
		if err != nil {
			code = c.fail("cannot open '%s' for writing: %v", name, err)
		}
	}
	return code
}

func mktemp(c *call) int {
	set, ok := c.flags("dp:tuq")
	if !ok {
		return 1
	}
	dir := c.env["TMPDIR"]
	if dir == "" {
		dir = "/tmp"
	}
	template := dir + "/tmp.XXXXXXXXXX"
	if len(c.args) > 0 {
		if template = c.args[0]; has(set, 't') {
			template = dir + "/" + template
		}
		if at, given := set['p']; given {
			template = at + "/" + template
		}
	} else if at, given := set['p']; given {
		template = at + "/tmp.XXXXXXXXXX"
	}
	stem := strings.TrimRight(template, "X")
	if len(template)-len(stem) < 3 {
		return c.fail("too few X's in template '%s'", template)
	}
	for try := range 1000 {
		name := fmt.Sprintf("%s%0*d", stem, len(template)-len(stem), (c.proc.pid*1000+try)%1_000_000_000)
		err := error(nil)
		if has(set, 'd') {
			err = c.fs().Mkdir(c.proc.cred, name, 0o700)
		} else {
			var f *memfs.File
			if f, err = c.fs().Open(c.proc.cred, name, memfs.OpenWrite|memfs.OpenCreate|memfs.OpenExclusive, 0o600); err == nil {
				_ = f.Close()
			}
		}
		switch {
		case err == nil:
			return c.out(name + "\n")
		case !errors.Is(err, fs.ErrExist):
			return c.fail("failed to create via template '%s': %v", template, err)
		}
	}
	return c.fail("failed to create via template '%s'", template)
}

func readlink(c *call) int {
	set, ok := c.flags("fenm")
	if !ok {
		return 1
	}
	end := "\n"
	if has(set, 'n') {
		end = ""
	}
	if len(c.args) != 1 {
		return c.fail("missing operand")
	}
	get := c.fs().Readlink
	delete(set, 'n')
	if c.name == "realpath" || len(set) > 0 {
		get = c.fs().RealPath
	}
	target, err := get(c.proc.cred, c.args[0])
	if err != nil {
		return 1
	}
	return c.out(target + end)
}

func basename(c *call) int {
	if len(c.args) == 0 {
		return c.fail("missing operand")
	}
	name := path.Base(c.args[0])
	if len(c.args) > 1 && name != c.args[1] {
		name = strings.TrimSuffix(name, c.args[1])
	}
	return c.out(name + "\n")
}

func dirname(c *call) int {
	if len(c.args) == 0 {
		return c.fail("missing operand")
	}
	return c.out(path.Dir(strings.TrimRight(c.args[0], "/")) + "\n")
}

// modeString is the mode as ls shows it.
func modeString(m fs.FileMode) string {
	kind := "-"
	switch {
	case m.IsDir():
		kind = "d"
	case m&fs.ModeSymlink != 0:
		kind = "l"
	case m&fs.ModeCharDevice != 0:
		kind = "c"
	}
	b := []byte(kind + m.Perm().String()[1:])
	for _, s := range []struct {
		flag      fs.FileMode
		at        int
		with, not byte
	}{{fs.ModeSetuid, 3, 's', 'S'}, {fs.ModeSetgid, 6, 's', 'S'}, {fs.ModeSticky, 9, 't', 'T'}} {
		if m&s.flag == 0 {
			continue
		}
		if b[s.at] == 'x' {
			b[s.at] = s.with
		} else {
			b[s.at] = s.not
		}
	}
	return string(b)
}

func ls(c *call) int {
	set, ok := c.flags("laAd1nFRhtri")
	if !ok {
		return 2
	}
	if len(c.args) == 0 {
		c.args = []string{"."}
	}
	code := 0
	var b strings.Builder
	show := func(name string, i memfs.Info) {
		if has(set, 'i') {
			fmt.Fprintf(&b, "%d ", i.Ino)
		}
		if !has(set, 'l') && !has(set, 'n') {
			b.WriteString(name + "\n")
			return
		}
		owner, group := c.proc.host.UserName(i.UID), c.proc.host.UserName(i.GID)
		if has(set, 'n') {
			owner, group = strconv.Itoa(int(i.UID)), strconv.Itoa(int(i.GID))
		}
		fmt.Fprintf(&b, "%s %d %s %s %d %s %s", modeString(i.Mode()), i.Links, owner, group, i.Size(), i.ModTime().UTC().Format("Jan _2 15:04"), name)
		if i.Target != "" {
			b.WriteString(" -> " + i.Target)
		}
		b.WriteByte('\n')
	}
	var dirs []string
	for _, name := range c.args {
		i, err := c.fs().Stat(c.proc.cred, name, !has(set, 'd') && !has(set, 'l'))
		switch {
		case err != nil:
			_ = c.fail("cannot access '%s': %v", name, err)
			code = 2
		case i.IsDir() && !has(set, 'd'):
			dirs = append(dirs, name)
		default:
			show(name, i)
		}
	}
	for n, dir := range dirs {
		list, err := c.fs().ReadDir(c.proc.cred, dir)
		if err != nil {
			_ = c.fail("cannot open directory '%s': %v", dir, err)
			code = 2
			continue
		}
		if len(c.args) > 1 {
			if n > 0 || b.Len() > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(dir + ":\n")
		}
		if has(set, 'l') {
			b.WriteString("total 0\n")
		}
		for _, i := range list {
			if i.Name()[0] != '.' || has(set, 'a') || has(set, 'A') {
				show(i.Name(), i)
			}
		}
	}
	return max(code, c.out(b.String()))
}

// stat knows -c with %n %s %a %f %u %U %g %G %Y %F %i %h %N.
func stat(c *call) int {
	set, ok := c.flags("c:L")
	if !ok {
		return 1
	}
	format, given := set['c']
	if !given {
		format = "%n %s %a %U %G %Y"
	}
	code := 0
	for _, name := range c.args {
		i, err := c.fs().Stat(c.proc.cred, name, has(set, 'L'))
		if err != nil {
			code = c.fail("cannot statx '%s': %v", name, err)
			continue
		}
		kind := "regular file"
		switch {
		case i.IsDir():
			kind = "directory"
		case i.Target != "":
			kind = "symbolic link"
		case i.Device != "":
			kind = "character special file"
		case i.Size() == 0:
			kind = "regular empty file"
		}
		_ = c.out(strings.NewReplacer(
			"%n", name, "%s", strconv.FormatInt(i.Size(), 10), "%a", strconv.FormatUint(uint64(unixMode(i.Mode())), 8),
			"%A", modeString(i.Mode()), "%u", strconv.Itoa(int(i.UID)), "%g", strconv.Itoa(int(i.GID)),
			"%U", c.proc.host.UserName(i.UID), "%G", c.proc.host.UserName(i.GID), "%Y", strconv.FormatInt(i.ModTime().Unix(), 10),
			"%F", kind, "%i", strconv.FormatUint(i.Ino, 10), "%h", strconv.Itoa(i.Links), "%%", "%",
		).Replace(format) + "\n")
	}
	return code
}

// df shows the one file system there is.
func df(c *call) int {
	if _, ok := c.flags("Pkha"); !ok {
		return 1
	}
	for _, name := range c.args {
		if _, err := c.fs().Stat(c.proc.cred, name, true); err != nil {
			return c.fail("%s: %v", name, err)
		}
	}
	total, used := c.fs().Usage()
	return c.out(fmt.Sprintf("Filesystem     1024-blocks      Used Available Capacity Mounted on\nsimfs          %11d %9d %9d %7d%% /\n",
		total>>10, (used+1023)>>10, (total-used)>>10, (used*100+total-1)/max(total, 1)))
}

// findFiles knows -name, -type, -mmin, -mtime, -maxdepth, -prune, -print and -delete,
// all of them joined by and.
func findFiles(c *call) int {
	args := c.args
	var roots []string
	for len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		roots, args = append(roots, args[0]), args[1:]
	}
	if len(roots) == 0 {
		roots = []string{"."}
	}
	var tests []func(name string, i memfs.Info) bool
	depth, prune, remove := 1<<30, false, false
	for len(args) > 0 {
		op := args[0]
		args = args[1:]
		switch op {
		case "-prune":
			prune = true
			continue
		case "-print", "-depth", "-xdev":
			continue
		case "-delete":
			remove = true
			continue
		}
		if len(args) == 0 {
			return c.fail("missing argument to '%s'", op)
		}
		arg := args[0]
		args = args[1:]
		switch op {
		case "-name":
			tests = append(tests, func(name string, _ memfs.Info) bool { return match(arg, path.Base(name)) })
		case "-type":
			tests = append(tests, func(_ string, i memfs.Info) bool {
				return map[string]bool{"d": i.IsDir(), "l": i.Target != "", "f": i.Mode().IsRegular()}[arg]
			})
		case "-mmin":
			n, err := strconv.Atoi(strings.TrimLeft(arg, "+-"))
			if err != nil {
				return c.fail("invalid argument '%s' to '-mmin'", arg)
			}
			tests = append(tests, func(_ string, i memfs.Info) bool {
				minutes := int((time.Since(i.ModTime()) + time.Minute - 1) / time.Minute)
				switch arg[0] {
				case '+':
					return minutes > n
				case '-':
					return minutes < n
				}
				return minutes == n
			})
		case "-mtime":
			n, err := strconv.Atoi(strings.TrimLeft(arg, "+-"))
			if err != nil {
				return c.fail("invalid argument '%s' to '-mtime'", arg)
			}
			tests = append(tests, func(_ string, i memfs.Info) bool {
				days := int(time.Since(i.ModTime()) / (24 * time.Hour))
				switch arg[0] {
				case '+':
					return days > n
				case '-':
					return days < n
				}
				return days == n
			})
		case "-maxdepth":
			var err error
			if depth, err = strconv.Atoi(arg); err != nil {
				return c.fail("invalid argument '%s' to '-maxdepth'", arg)
			}
		default:
			return c.fail("unknown predicate '%s'", op)
		}
	}
	code := 0
	var walk func(name string, left int)
	walk = func(name string, left int) {
		i, err := c.fs().Stat(c.proc.cred, name, false)
		if err != nil {
			code = c.fail("'%s': %v", name, err)
			return
		}
		ok := true
		for _, t := range tests {
			ok = ok && t(name, i)
		}
		if ok && !remove && c.out(name+"\n") != 0 {
			return
		}
		if i.IsDir() && left > 0 && !prune {
			list, err := c.fs().ReadDir(c.proc.cred, name)
			if err != nil {
				code = c.fail("'%s': %v", name, err)
			}
			for _, entry := range list {
				walk(strings.TrimSuffix(name, "/")+"/"+entry.Name(), left-1)
			}
		}
		if ok && remove {
			if err := c.remove(name, false); err != nil {
				if err = c.fs().Rmdir(c.proc.cred, name); err != nil {
					code = c.fail("cannot delete '%s': %v", name, err)
				}
			}
		}
	}
	for _, root := range roots {
		walk(root, depth)
	}
	return code
}
