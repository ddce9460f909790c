package memfs

import (
	"io"
	"io/fs"
	"strings"
	"time"
)

// How a file is opened.
const (
	OpenRead = 1 << iota
	OpenWrite
	OpenAppend
	OpenCreate
	OpenExclusive
	OpenTruncate
)

// A File is open. It is safe for concurrent use.
type File struct {
	fs     *FS
	cred   Cred
	node   *node
	flags  int
	offset int64 // guarded by fs.mu
	closed bool  // guarded by fs.mu
	// Device names the device that was opened; it has no content here.
	Device string
	text   string // of a file of a Tree
}

// Open opens a file, which must not be a directory. A directory may be opened
// for reading only, for its properties.
func (f *FS) Open(c Cred, path string, flags int, perm fs.FileMode) (*File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, err := f.walk(c, path, flags&OpenExclusive == 0)
	if err != nil {
		return nil, err
	}
	n := at.node
	switch {
	case n == nil && flags&OpenCreate == 0:
		return nil, ENOENT
	case n == nil && strings.HasSuffix(path, "/"):
		return nil, EISDIR
	case n == nil:
		if n, err = f.create(c, at, perm&changeable&^c.Umask); err != nil {
			return nil, err
		}
	case flags&OpenExclusive != 0 && flags&OpenCreate != 0:
		return nil, EEXIST
	default:
		if err := f.openable(c, n, flags); err != nil {
			return nil, err
		}
	}
	file := &File{fs: f, cred: c, node: n, flags: flags}
	if n.synth != nil {
		file.Device = n.synth.Device
		switch {
		case n.synth.Text != nil:
			file.text = n.synth.Text()
		case n.synth.Program != "":
			file.text = n.synth.Program
		}
		return file, nil
	}
	if flags&OpenWrite != 0 {
		n.opened++
		if flags&OpenTruncate != 0 && n.content.size > 0 {
			f.used -= n.content.truncate(0)
			n.mtime = time.Now()
		}
	}
	return file, nil
}

func (f *FS) openable(c Cred, n *node, flags int) error {
	write := flags&(OpenWrite|OpenTruncate) != 0
	switch {
	case n.mode&fs.ModeSymlink != 0:
		return ELOOP
	case n.mode.IsDir() && write:
		return EISDIR
	case write && n.synth != nil && n.synth.Device == "":
		return EROFS
	case flags&OpenRead != 0 && !n.allows(c, Read) || write && !n.allows(c, Write):
		return EACCES
	case write && n.synth == nil:
		return f.refuse(c)
	}
	return nil
}

// Close is called once.
func (o *File) Close() error {
	o.fs.mu.Lock()
	defer o.fs.mu.Unlock()
	if o.closed {
		return EBADF
	}
	o.closed = true
	if o.flags&OpenWrite == 0 || o.node.synth != nil {
		return nil
	}
	if o.node.opened--; o.node.opened > 0 {
		return nil
	}
	if o.node.nlink <= 0 {
		o.node.nlink++
		o.fs.release(o.node)
		return nil
	}
	o.node.content.seal()
	return nil
}

// ReadAt reads from off on. At the end it returns io.EOF.
func (o *File) ReadAt(p []byte, off int64) (int, error) {
	o.fs.mu.Lock()
	defer o.fs.mu.Unlock()
	return o.readAt(p, off)
}

func (o *File) readAt(p []byte, off int64) (int, error) {
	switch {
	case o.closed || o.flags&OpenRead == 0:
		return 0, EBADF
	case o.node.mode.IsDir():
		return 0, EISDIR
	case off < 0:
		return 0, EINVAL
	}
	n := 0
	if o.node.synth != nil {
		if off < int64(len(o.text)) {
			n = copy(p, o.text[off:])
		}
	} else {
		n = o.node.content.readAt(p, off)
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Read goes on where the last Read or Write ended.
func (o *File) Read(p []byte) (int, error) {
	o.fs.mu.Lock()
	defer o.fs.mu.Unlock()
	n, err := o.readAt(p, o.offset)
	o.offset += int64(n)
	return n, err
}

// WriteAt writes at off, or at the end of a file that is opened for appending.
func (o *File) WriteAt(p []byte, off int64) (int, error) {
	o.fs.mu.Lock()
	defer o.fs.mu.Unlock()
	return o.writeAt(p, off)
}

func (o *File) writeAt(p []byte, off int64) (int, error) {
	if o.flags&OpenAppend != 0 {
		off = o.node.content.size
	}
	switch {
	case o.closed || o.flags&OpenWrite == 0:
		return 0, EBADF
	case o.node.synth != nil:
		return 0, EROFS
	case off < 0:
		return 0, EINVAL
	case off > o.fs.Size:
		return 0, EFBIG
	}
	all := len(p)
	if o.fs.Short && all > 1<<10 {
		p = p[:all/2]
	}
	room, full := o.fs.Size, ENOSPC
	if o.fs.Quota > 0 && o.fs.Quota < room {
		room, full = o.fs.Quota, EDQUOT
	}
	n, grown := o.node.content.writeAt(p, off, room-o.fs.used)
	o.fs.used += grown
	o.node.mtime = time.Now()
	if n < len(p) {
		return n, full
	}
	return all, nil
}

// Write goes on where the last Read or Write ended.
func (o *File) Write(p []byte) (int, error) {
	o.fs.mu.Lock()
	defer o.fs.mu.Unlock()
	n, err := o.writeAt(p, o.offset)
	if o.offset += int64(n); o.flags&OpenAppend != 0 {
		o.offset = o.node.content.size
	}
	return n, err
}

// Truncate sets the size.
func (o *File) Truncate(size int64) error {
	o.fs.mu.Lock()
	defer o.fs.mu.Unlock()
	switch {
	case o.flags&OpenWrite == 0 || o.node.synth != nil || size < 0:
		return EINVAL
	case size > o.fs.Size:
		return EFBIG
	}
	o.fs.used -= o.node.content.truncate(size)
	o.node.mtime = time.Now()
	return nil
}

// Stat returns what is known of the file.
func (o *File) Stat() Info {
	o.fs.mu.Lock()
	defer o.fs.mu.Unlock()
	return o.node.info("")
}

// Chmod, Chown and Chtimes are those of FS.
func (o *File) Chmod(mode fs.FileMode) error { return o.change(chmod(mode)) }
func (o *File) Chown(uid, gid int64) error   { return o.change(chown(o.cred, uid, gid)) }
func (o *File) Chtimes(t time.Time) error    { return o.change(chtimes(t)) }
func (o *File) change(do func(*node) error) error {
	o.fs.mu.Lock()
	defer o.fs.mu.Unlock()
	return o.fs.changeNode(o.cred, o.node, do)
}
