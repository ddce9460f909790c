package memfs

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"
)

// Limits of every file system.
const (
	maxNodes = 100_000
	maxName  = 255
	maxPath  = 4096
	maxLinks = 40 // symbolic ones on the way to one file
)

// A Cred says who makes a call, and from where.
type Cred struct {
	UID, GID uint32
	PID      int         // for /proc/self
	Dir      string      // relative paths begin here
	Umask    fs.FileMode // for what is created
	System   bool        // FS.Refuse does not apply
}

// refuse is the error of a change, or nil.
func (f *FS) refuse(c Cred) error {
	if f.Refuse == 0 || c.System {
		return nil
	}
	return f.Refuse
}

// An FS is one file system. Its methods are safe for concurrent use.
type FS struct {
	// Refuse is the error of every call that would change something; 0 means none.
	// Size is the number of bytes that files may have together. Both must be set
	// before the FS is used.
	Refuse Errno
	Size   int64
	// Quota is the number of bytes that files may have together although there is room
	// for more; 0 means no limit.
	Quota int64
	// Apart fails to rename a file to another directory.
	Apart bool
	// Short loses the second half of every write of more than 1 KiB.
	Short bool

	mu    sync.Mutex
	root  *node
	used  int64
	nodes int
	ino   uint64
	names *names // nil unless they are recorded
}

// New returns an empty file system of this size in bytes. The root directory
// belongs to the user 0.
func New(size int64) *FS {
	f := &FS{Size: size}
	f.root = f.newNode(fs.ModeDir|0o755, Cred{})
	f.root.parent = f.root
	return f
}

// A Tree is a read-only directory whose entries are made as they are asked for.
type Tree interface {
	// Lookup returns the entry, or false.
	Lookup(c Cred, name string) (Entry, bool)
	// Names lists the entries, sorted.
	Names(c Cred) []string
}

// An Entry is a file of a Tree: one of its fields is set.
type Entry struct {
	Tree    Tree
	Text    func() string // the content of a regular file
	Link    string        // the target of a symbolic link
	Program string        // the name of a program; its content is that name
	Device  string        // null, zero, full, urandom, tty, or fd/N
}

type node struct {
	ino     uint64
	mode    fs.FileMode
	uid     uint32
	gid     uint32
	nlink   int
	opened  int // for writing
	mtime   time.Time
	parent  *node // of a directory
	entries []entry
	content content
	target  string
	synth   *Entry
}

type entry struct {
	name string
	node *node
}

func (f *FS) newNode(mode fs.FileMode, c Cred) *node {
	f.ino++
	f.nodes++
	return &node{ino: f.ino, mode: mode, uid: c.UID, gid: c.GID, nlink: 1, mtime: time.Now()}
}

func (n *node) find(name string) (int, bool) {
	return slices.BinarySearchFunc(n.entries, name, func(e entry, name string) int { return strings.Compare(e.name, name) })
}

func (n *node) child(c Cred, name string) *node {
	if n.synth != nil {
		if n.synth.Tree == nil {
			return nil
		}
		e, ok := n.synth.Tree.Lookup(c, name)
		if !ok {
			return nil
		}
		return synthetic(e, n)
	}
	if len(n.entries) > 16 {
		if i, ok := n.find(name); ok {
			return n.entries[i].node
		}
		return nil
	}
	for i := range n.entries { // faster than what compares
		if e := &n.entries[i]; e.name == name {
			return e.node
		}
	}
	return nil
}

// synthetic returns a node that exists only during the call.
func synthetic(e Entry, parent *node) *node {
	n := &node{mode: 0o444, nlink: 1, synth: &e, parent: parent, mtime: parent.mtime}
	switch {
	case e.Tree != nil:
		n.mode = fs.ModeDir | 0o555
	case e.Link != "":
		n.mode, n.target = fs.ModeSymlink|0o777, e.Link
	case e.Program != "":
		n.mode = 0o755
	case e.Device != "":
		n.mode = fs.ModeDevice | fs.ModeCharDevice | 0o666
	}
	return n
}

// The bits of access.
const (
	Read  = 4
	Write = 2
	Exec  = 1
)

func (n *node) allows(c Cred, want uint32) bool {
	if c.UID == 0 {
		return want&Exec == 0 || n.mode.IsDir() || n.mode&0o111 != 0
	}
	bits := uint32(n.mode.Perm())
	switch {
	case c.UID == n.uid:
		bits >>= 6
	case c.GID == n.gid:
		bits >>= 3
	}
	return bits&want == want
}

// A place is where a path leads: node is nil if there is nothing.
type place struct {
	dir  *node
	name string
	node *node
}

// walk resolves a path; mu must be held. Without follow a symbolic link at its
// end is not followed. The name is "" if the path ends in the root, . or ..
func (f *FS) walk(c Cred, path string, follow bool) (place, error) {
	if path == "" {
		return place{}, ENOENT
	}
	if len(path) > maxPath {
		return place{}, ENAMETOOLONG
	}
	if path[0] != '/' {
		path = c.Dir + "/" + path
	}
	at := place{dir: f.root, node: f.root}
	rest, links := path, 0
	for {
		rest = strings.TrimLeft(rest, "/")
		if rest == "" {
			break
		}
		name, after, more := strings.Cut(rest, "/")
		rest = after
		switch dir := at.node; {
		case dir == nil:
			return place{}, ENOENT
		case !dir.mode.IsDir():
			return place{}, ENOTDIR
		case len(name) > maxName:
			return place{}, ENAMETOOLONG
		case !dir.allows(c, Exec):
			return place{}, EACCES
		case name == ".":
			at = place{dir: dir, node: dir}
			continue
		case name == "..":
			at = place{dir: dir.parent, node: dir.parent}
			continue
		default:
			at = place{dir, name, dir.child(c, name)}
		}
		last := strings.TrimLeft(rest, "/") == ""
		if n := at.node; n != nil && n.mode&fs.ModeSymlink != 0 && (!last || follow || more) {
			if links++; links > maxLinks {
				return place{}, ELOOP
			}
			rest = n.target + "/" + rest
			if last && !more {
				rest = n.target
			}
			if n.target[0] == '/' {
				at = place{dir: f.root, node: f.root}
			} else {
				at = place{dir: at.dir, node: at.dir}
			}
			continue
		}
		if n := at.node; more && last && n != nil && !n.mode.IsDir() {
			return place{}, ENOTDIR
		}
	}
	return at, nil
}

// existing is walk to something that is there.
func (f *FS) existing(c Cred, path string, follow bool) (*node, error) {
	at, err := f.placed(c, path, follow)
	return at.node, err
}

// placed is existing, and tells where it is.
func (f *FS) placed(c Cred, path string, follow bool) (place, error) {
	at, err := f.walk(c, path, follow)
	if err == nil && at.node == nil {
		err = ENOENT
	}
	return at, err
}

// vacant is walk to where something may be created or removed; the directory
// may be written to.
func (f *FS) parentOf(c Cred, path string) (place, error) {
	at, err := f.walk(c, path, false)
	switch {
	case err != nil:
		return at, err
	case at.name == "":
		return at, EEXIST
	}
	return at, nil
}

func (f *FS) writable(c Cred, dir *node) error {
	switch {
	case dir.synth != nil:
		return EROFS
	case !dir.allows(c, Write|Exec):
		return EACCES
	}
	return f.refuse(c)
}

// add puts a node into a directory under a name that is free.
func (f *FS) add(dir *node, name string, n *node) {
	i, _ := dir.find(name)
	dir.entries = slices.Insert(dir.entries, i, entry{name, n})
	dir.mtime = time.Now()
	if n.mode.IsDir() {
		n.parent = dir
	}
	if f.names != nil {
		f.record(dir, name, n)
	}
}

// drop takes a name away.
func (f *FS) drop(dir *node, name string) {
	if i, ok := dir.find(name); ok {
		dir.entries = slices.Delete(dir.entries, i, i+1)
		dir.mtime = time.Now()
	}
}

// release gives back what a node without names needs.
func (f *FS) release(n *node) {
	if n.nlink--; n.nlink > 0 || n.opened > 0 {
		return
	}
	f.nodes--
	f.used -= n.content.truncate(0)
}

// create makes a node at a place that is free.
func (f *FS) create(c Cred, at place, mode fs.FileMode) (*node, error) {
	if err := f.writable(c, at.dir); err != nil {
		return nil, err
	}
	if f.nodes >= maxNodes {
		return nil, ENOSPC
	}
	n := f.newNode(mode, c)
	f.add(at.dir, at.name, n)
	return n, nil
}

// Mkdir makes a directory.
func (f *FS) Mkdir(c Cred, path string, perm fs.FileMode) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, err := f.parentOf(c, path)
	if err != nil {
		return err
	}
	if at.node != nil {
		return EEXIST
	}
	_, err = f.create(c, at, fs.ModeDir|perm&(0o777|fs.ModeSticky)&^c.Umask)
	return err
}

// Mount puts a tree in place of a name that is free.
func (f *FS) Mount(path string, e Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, err := f.parentOf(Cred{}, path)
	if err != nil || at.node != nil {
		return
	}
	f.ino++
	n := synthetic(e, at.dir)
	n.ino, n.mtime = f.ino, time.Now()
	f.add(at.dir, at.name, n)
}

// Symlink makes a symbolic link.
func (f *FS) Symlink(c Cred, target, path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if target == "" {
		return ENOENT
	}
	if len(target) > maxPath {
		return ENAMETOOLONG
	}
	at, err := f.parentOf(c, path)
	if err != nil {
		return err
	}
	if at.node != nil {
		return EEXIST
	}
	n, err := f.create(c, at, fs.ModeSymlink|0o777)
	if err == nil {
		n.target = target
	}
	return err
}

// Link makes a hard link.
func (f *FS) Link(c Cred, from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.existing(c, from, false)
	if err != nil {
		return err
	}
	at, err := f.parentOf(c, to)
	switch {
	case err != nil:
		return err
	case at.node != nil:
		return EEXIST
	case n.synth != nil:
		return EXDEV
	case n.mode.IsDir():
		return EPERM
	}
	if err := f.writable(c, at.dir); err != nil {
		return err
	}
	n.nlink++
	f.add(at.dir, at.name, n)
	return nil
}

// removable reports why c may not take the node away.
func (f *FS) removable(c Cred, at place) error {
	if err := f.writable(c, at.dir); err != nil {
		return err
	}
	if at.dir.mode&fs.ModeSticky != 0 && c.UID != 0 && c.UID != at.dir.uid && c.UID != at.node.uid {
		return EPERM
	}
	return nil
}

// Unlink removes a name that is not a directory.
func (f *FS) Unlink(c Cred, path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, err := f.walk(c, path, false)
	switch {
	case err != nil:
		return err
	case at.node == nil:
		return ENOENT
	case at.node.mode.IsDir():
		return EISDIR
	}
	if err := f.removable(c, at); err != nil {
		return err
	}
	f.drop(at.dir, at.name)
	f.release(at.node)
	return nil
}

// Rmdir removes an empty directory.
func (f *FS) Rmdir(c Cred, path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, err := f.walk(c, path, false)
	switch {
	case err != nil:
		return err
	case at.node == nil:
		return ENOENT
	case !at.node.mode.IsDir():
		return ENOTDIR
	case at.name == "":
		return EINVAL
	case at.node.synth != nil:
		return EROFS
	}
	if err := f.removable(c, at); err != nil {
		return err
	}
	if len(at.node.entries) > 0 {
		return ENOTEMPTY
	}
	f.drop(at.dir, at.name)
	f.release(at.node)
	return nil
}

// Rename moves a name as rename(2) does. With keep, a destination that exists is
// an error, as in SFTP's rename.
func (f *FS) Rename(c Cred, from, to string, keep bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	a, err := f.walk(c, from, false)
	if err == nil && a.node == nil {
		err = ENOENT
	}
	if err != nil {
		return err
	}
	b, err := f.walk(c, to, false)
	switch {
	case err != nil:
		return err
	case a.name == "" || b.name == "":
		return EINVAL
	case a.node.synth != nil || b.node != nil && b.node.synth != nil:
		return EXDEV
	case keep && b.node != nil:
		return EEXIST
	case f.Apart && a.dir != b.dir && !a.node.mode.IsDir():
		return EXDEV
	}
	if err := f.removable(c, a); err != nil {
		return err
	}
	if err := f.writable(c, b.dir); err != nil {
		return err
	}
	if a.node == b.node {
		return nil
	}
	for d := b.dir; a.node.mode.IsDir(); d = d.parent {
		if d == a.node {
			return EINVAL
		}
		if d == f.root {
			break
		}
	}
	if old := b.node; old != nil {
		switch {
		case a.node.mode.IsDir() && !old.mode.IsDir():
			return ENOTDIR
		case !a.node.mode.IsDir() && old.mode.IsDir():
			return EISDIR
		case len(old.entries) > 0:
			return ENOTEMPTY
		}
		if err := f.removable(c, b); err != nil {
			return err
		}
		f.drop(b.dir, b.name)
		f.release(old)
	}
	f.drop(a.dir, a.name)
	f.add(b.dir, b.name, a.node)
	return nil
}

// Readlink returns the target of a symbolic link.
func (f *FS) Readlink(c Cred, path string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.existing(c, path, false)
	if err != nil {
		return "", err
	}
	if n.mode&fs.ModeSymlink == 0 {
		return "", EINVAL
	}
	return n.target, nil
}

// RealPath returns the path without symbolic links. Its last name need not exist.
func (f *FS) RealPath(c Cred, path string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, err := f.walk(c, path, true)
	if err != nil {
		return "", err
	}
	if at.name == "" {
		return f.path(at.node), nil
	}
	return strings.TrimSuffix(f.path(at.dir), "/") + "/" + at.name, nil
}

// path is the name of a directory; that of a directory in a Tree ends at the Tree.
func (f *FS) path(dir *node) string {
	var names []string
	for d := dir; d != f.root; d = d.parent {
		for _, e := range d.parent.entries {
			if e.node == d {
				names = append(names, e.name)
			}
		}
	}
	slices.Reverse(names)
	return "/" + strings.Join(names, "/")
}

// Stat returns what is known of a file; follow is for a symbolic link.
func (f *FS) Stat(c Cred, path string, follow bool) (Info, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, err := f.placed(c, path, follow)
	if err != nil {
		return Info{}, err
	}
	return at.node.info(at.name), nil
}

// Executable is Stat of a file that c may execute. With EACCES it returns what is known of one that is there, of
// which c may not, or that is a directory.
func (f *FS) Executable(c Cred, path string) (Info, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, err := f.placed(c, path, true)
	if err != nil {
		return Info{}, err
	}
	i := at.node.info(at.name)
	if i.IsDir() || !at.node.allows(c, Exec) {
		return i, EACCES
	}
	return i, nil
}

// Access reports whether c may do this with the file.
func (f *FS) Access(c Cred, path string, want uint32) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.existing(c, path, true)
	switch {
	case err != nil:
		return err
	case want&Write != 0 && n.synth != nil && n.synth.Device == "":
		return EROFS
	case !n.allows(c, want):
		return EACCES
	case want&Write != 0 && n.synth == nil:
		return f.refuse(c)
	}
	return nil
}

// ReadDir lists a directory, sorted.
func (f *FS) ReadDir(c Cred, path string) ([]Info, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.existing(c, path, true)
	switch {
	case err != nil:
		return nil, err
	case !n.mode.IsDir():
		return nil, ENOTDIR
	case !n.allows(c, Read):
		return nil, EACCES
	}
	if n.synth != nil {
		var list []Info
		for _, name := range n.synth.Tree.Names(c) {
			if child := n.child(c, name); child != nil {
				list = append(list, child.info(name))
			}
		}
		return list, nil
	}
	list := make([]Info, 0, len(n.entries))
	for _, e := range n.entries {
		list = append(list, e.node.info(e.name))
	}
	return list, nil
}

// change is a call that changes one file's properties; only the owner may.
func (f *FS) change(c Cred, path string, follow bool, do func(*node) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.existing(c, path, follow)
	if err != nil {
		return err
	}
	return f.changeNode(c, n, do)
}

func (f *FS) changeNode(c Cred, n *node, do func(*node) error) error {
	switch {
	case n.synth != nil:
		return EROFS
	case c.UID != 0 && c.UID != n.uid:
		return EPERM
	}
	if err := f.refuse(c); err != nil {
		return err
	}
	return do(n)
}

const changeable = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

func chmod(mode fs.FileMode) func(*node) error {
	return func(n *node) error {
		n.mode = n.mode&^changeable | mode&changeable
		return nil
	}
}

func chown(c Cred, uid, gid int64) func(*node) error {
	return func(n *node) error {
		if c.UID != 0 && (uid >= 0 && uint32(uid) != n.uid || gid >= 0 && uint32(gid) != n.gid && uint32(gid) != c.GID) {
			return EPERM
		}
		if uid >= 0 {
			n.uid = uint32(uid)
		}
		if gid >= 0 {
			n.gid = uint32(gid)
		}
		return nil
	}
}

func chtimes(t time.Time) func(*node) error {
	return func(n *node) error { n.mtime = t; return nil }
}

// Chmod sets permissions, setuid, setgid and sticky bit.
func (f *FS) Chmod(c Cred, path string, mode fs.FileMode) error {
	return f.change(c, path, true, chmod(mode))
}

// Chown sets owner and group; a negative one is left as it is.
func (f *FS) Chown(c Cred, path string, uid, gid int64, follow bool) error {
	return f.change(c, path, follow, chown(c, uid, gid))
}

// Chtimes sets the time of the last change.
func (f *FS) Chtimes(c Cred, path string, t time.Time) error {
	return f.change(c, path, true, chtimes(t))
}

// Truncate sets the size.
func (f *FS) Truncate(c Cred, path string, size int64) error {
	file, err := f.Open(c, path, OpenWrite, 0)
	if err != nil {
		return err
	}
	return errors.Join(file.Truncate(size), file.Close())
}

// Usage returns the size and the bytes in use.
func (f *FS) Usage() (size, used int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Size, f.used
}

// Info describes a file. It implements io/fs.FileInfo.
type Info struct {
	name     string
	mode     fs.FileMode
	size     int64
	mtime    time.Time
	UID, GID uint32
	Ino      uint64
	Links    int
	Target   string // of a symbolic link
	Program  string
	Device   string
}

func (n *node) info(name string) Info {
	i := Info{
		name: name, mode: n.mode, size: n.content.size, mtime: n.mtime,
		UID: n.uid, GID: n.gid, Ino: n.ino, Links: n.nlink, Target: n.target,
	}
	switch {
	case n.mode&fs.ModeSymlink != 0:
		i.size = int64(len(n.target))
	case n.mode.IsDir():
		i.size, i.Links = 4096, 2
	}
	if n.synth != nil {
		i.Program, i.Device = n.synth.Program, n.synth.Device
		i.size += int64(len(i.Program))
	}
	return i
}

func (i Info) Name() string       { return i.name }
func (i Info) Size() int64        { return i.size }
func (i Info) Mode() fs.FileMode  { return i.mode }
func (i Info) ModTime() time.Time { return i.mtime }
func (i Info) IsDir() bool        { return i.mode.IsDir() }
func (i Info) Sys() any           { return nil }
