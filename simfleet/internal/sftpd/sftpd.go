// Package sftpd serves the files of a simulated host by SFTP version 3
// (draft-ietf-secsh-filexfer-02), as OpenSSH's sftp-server does, with its
// extensions posix-rename, statvfs, fstatvfs, hardlink, fsync, lsetstat and limits
// (PROTOCOL, section 4).
//
// Requests are answered one after the other, in their order, and status codes are
// those that OpenSSH gives. Clients should be prepared for servers that are not so
// orderly.
package sftpd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"shoal/simfleet/internal/memfs"
)

// Limits, as limits@openssh.com tells them.
const (
	maxPacket  = 256 << 10
	maxData    = maxPacket - 1024
	maxHandles = 100
)

// Options of one session. The zero value is a good server.
type Options struct {
	// Data, if not nil, is called with the size of each piece of a file that is read
	// or written, and returns how much of it is. An error ends the session.
	Data func(size int) (int, error)
	// Name returns the name of a user, for listings.
	Name func(uid uint32) string
}

// Packet types.
const (
	fxInit          = 1
	fxVersion       = 2
	fxOpen          = 3
	fxClose         = 4
	fxRead          = 5
	fxWrite         = 6
	fxLstat         = 7
	fxFstat         = 8
	fxSetstat       = 9
	fxFsetstat      = 10
	fxOpendir       = 11
	fxReaddir       = 12
	fxRemove        = 13
	fxMkdir         = 14
	fxRmdir         = 15
	fxRealpath      = 16
	fxStat          = 17
	fxRename        = 18
	fxReadlink      = 19
	fxSymlink       = 20
	fxStatus        = 101
	fxHandle        = 102
	fxData          = 103
	fxName          = 104
	fxAttrs         = 105
	fxExtended      = 200
	fxExtendedReply = 201
)

// Status codes, with the texts of OpenSSH.
const (
	statusOK          = 0
	statusEOF         = 1
	statusNoFile      = 2
	statusDenied      = 3
	statusFailure     = 4
	statusBadMessage  = 5
	statusUnsupported = 8
)

var statusTexts = map[uint32]string{
	statusOK: "Success", statusEOF: "End of file", statusNoFile: "No such file", statusDenied: "Permission denied",
	statusFailure: "Failure", statusBadMessage: "Bad message", statusUnsupported: "Operation unsupported",
}

var (
	errBadMessage  = errors.New("bad message")
	errUnsupported = errors.New("not supported")
)

// A server serves one session.
type server struct {
	rw      io.ReadWriter
	fs      *memfs.FS
	cred    memfs.Cred
	options Options
	handles map[uint32]*handle
	last    uint32
	packet  []byte // grows with the packets: most sessions have small ones
}

type handle struct {
	file *memfs.File
	dir  []memfs.Info // what is left of a listing
	path string
}

// Serve serves until the client closes, or sends what is no packet.
func Serve(rw io.ReadWriter, files *memfs.FS, c memfs.Cred, o Options) error {
	s := &server{rw: rw, fs: files, cred: c, options: o, handles: make(map[uint32]*handle)}
	defer s.end()
	for {
		kind, body, err := s.receive()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := s.answer(kind, body); err != nil {
			return err
		}
	}
}

func (s *server) end() {
	for _, h := range s.handles {
		_ = h.close()
	}
}

func (h *handle) close() error {
	if h.file == nil {
		return nil
	}
	return h.file.Close()
}

func (s *server) receive() (byte, *reader, error) {
	var length [4]byte
	if _, err := io.ReadFull(s.rw, length[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n == 0 || n > maxPacket {
		return 0, nil, fmt.Errorf("a packet of %d bytes", n)
	}
	if uint32(len(s.packet)) < n {
		s.packet = make([]byte, n)
	}
	if _, err := io.ReadFull(s.rw, s.packet[:n]); err != nil {
		return 0, nil, err
	}
	return s.packet[0], &reader{rest: s.packet[1:n]}, nil
}

// A reader reads a packet's fields (RFC 4251 section 5).
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) bytes(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.bad, r.rest = true, nil
		return make([]byte, min(max(n, 0), 8))
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) uint32() uint32 { return binary.BigEndian.Uint32(r.bytes(4)) }
func (r *reader) uint64() uint64 { return binary.BigEndian.Uint64(r.bytes(8)) }
func (r *reader) text() string   { return string(r.data()) }
func (r *reader) data() []byte   { return r.bytes(int(min(r.uint32(), maxPacket+1))) }

// Attribute flags.
const (
	attrSize     = 1
	attrIDs      = 2
	attrMode     = 4
	attrTimes    = 8
	attrExtended = 0x80000000
)

type attributes struct {
	flags    uint32
	size     uint64
	uid, gid uint32
	mode     uint32
	mtime    uint32
}

func (r *reader) attributes() (a attributes) {
	a.flags = r.uint32()
	if a.flags&attrSize != 0 {
		a.size = r.uint64()
	}
	if a.flags&attrIDs != 0 {
		a.uid, a.gid = r.uint32(), r.uint32()
	}
	if a.flags&attrMode != 0 {
		a.mode = r.uint32()
	}
	if a.flags&attrTimes != 0 {
		_, a.mtime = r.uint32(), r.uint32()
	}
	if a.flags&attrExtended != 0 {
		for n := r.uint32(); n > 0 && !r.bad; n-- {
			_, _ = r.data(), r.data()
		}
	}
	return a
}

// A message is a packet that is built.
type message []byte

func begin(kind byte, id uint32) message { return message{0, 0, 0, 0, kind}.uint32(id) }

func (m message) uint32(n uint32) message { return binary.BigEndian.AppendUint32(m, n) }
func (m message) uint64(n uint64) message { return binary.BigEndian.AppendUint64(m, n) }
func (m message) text(s string) message   { return append(m.uint32(uint32(len(s))), s...) }

func (m message) attributes(i memfs.Info) message {
	seconds := uint32(i.ModTime().Unix())
	return m.uint32(attrSize | attrIDs | attrMode | attrTimes).uint64(uint64(i.Size())).uint32(i.UID).uint32(i.GID).
		uint32(mode(i.Mode())).uint32(seconds).uint32(seconds)
}

// mode is st_mode.
func mode(m fs.FileMode) uint32 {
	n := uint32(m.Perm())
	for flag, bits := range map[fs.FileMode]uint32{
		fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000,
		fs.ModeDir: 0o040000, fs.ModeSymlink: 0o120000, fs.ModeCharDevice: 0o020000,
	} {
		if m&flag != 0 {
			n |= bits
		}
	}
	if m.IsRegular() {
		n |= 0o100000
	}
	return n
}

// fileMode is the inverse of mode, without the type.
func fileMode(n uint32) fs.FileMode {
	m := fs.FileMode(n & 0o777)
	for bit, flag := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if n&bit != 0 {
			m |= flag
		}
	}
	return m
}

func (s *server) send(m message) error {
	binary.BigEndian.PutUint32(m, uint32(len(m)-4))
	_, err := s.rw.Write(m)
	return err
}

func statusMessage(id uint32, err error) message {
	code := uint32(statusOK)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		code = statusEOF
	case errors.Is(err, errUnsupported):
		code = statusUnsupported
	case errors.Is(err, errBadMessage), errors.Is(err, memfs.EINVAL), errors.Is(err, memfs.ENAMETOOLONG):
		code = statusBadMessage
	case errors.Is(err, fs.ErrPermission):
		code = statusDenied
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, memfs.ENOTDIR), errors.Is(err, memfs.EBADF), errors.Is(err, memfs.ELOOP):
		code = statusNoFile
	default:
		code = statusFailure
	}
	return begin(fxStatus, id).uint32(code).text(statusTexts[code]).text("")
}

// errEnd ends the session.
type errEnd struct{ error }

func (s *server) answer(kind byte, r *reader) error {
	if kind == fxInit {
		m := message{0, 0, 0, 0, fxVersion}.uint32(3)
		for _, extension := range [][2]string{
			{"posix-rename@openssh.com", "1"},
			{"statvfs@openssh.com", "2"},
			{"fstatvfs@openssh.com", "2"},
			{"hardlink@openssh.com", "1"},
			{"fsync@openssh.com", "1"},
			{"lsetstat@openssh.com", "1"},
			{"limits@openssh.com", "1"},
		} {
			m = m.text(extension[0]).text(extension[1])
		}
		return s.send(m)
	}
	id := r.uint32()
	m, err := s.request(kind, id, r)
	if end, ok := errors.AsType[errEnd](err); ok {
		return end
	}
	if r.bad {
		m, err = nil, errBadMessage
	}
	if m == nil {
		m = statusMessage(id, err)
	}
	return s.send(m)
}

// request does what a packet asks for. A nil message stands for a status.
func (s *server) request(kind byte, id uint32, r *reader) (message, error) {
	switch kind {
	case fxOpen:
		return s.open(id, r)
	case fxOpendir:
		path := r.text()
		list, err := s.fs.ReadDir(s.cred, path)
		if err != nil {
			return nil, err
		}
		return s.handle(id, &handle{dir: list, path: path})
	case fxClose:
		n, h := s.find(r)
		if h == nil {
			return nil, memfs.EBADF
		}
		delete(s.handles, n)
		return nil, h.close()
	case fxRead:
		return s.read(id, r)
	case fxWrite:
		return nil, s.write(r)
	case fxStat, fxLstat:
		i, err := s.fs.Stat(s.cred, r.text(), kind == fxStat)
		if err != nil {
			return nil, err
		}
		return begin(fxAttrs, id).attributes(i), nil
	case fxFstat:
		_, h := s.find(r)
		if h == nil || h.file == nil {
			return nil, memfs.EBADF
		}
		return begin(fxAttrs, id).attributes(h.file.Stat()), nil
	case fxSetstat:
		path := r.text()
		return nil, s.setstat(path, r.attributes(), r, true)
	case fxFsetstat:
		return nil, s.fsetstat(r)
	case fxReaddir:
		return s.readdir(id, r)
	case fxRealpath:
		path, err := s.fs.RealPath(s.cred, r.text())
		if err != nil {
			return nil, err
		}
		return begin(fxName, id).uint32(1).text(path).text(path).uint32(0), nil
	case fxReadlink:
		target, err := s.fs.Readlink(s.cred, r.text())
		if err != nil {
			return nil, err
		}
		return begin(fxName, id).uint32(1).text(target).text(target).uint32(0), nil
	case fxExtended:
		return s.extended(id, r)
	}
	return nil, s.change(kind, r)
}

// change does what changes names.
func (s *server) change(kind byte, r *reader) error {
	path := r.text()
	switch kind {
	case fxRemove:
		return s.fs.Unlink(s.cred, path)
	case fxRmdir:
		return s.fs.Rmdir(s.cred, path)
	case fxMkdir:
		a := r.attributes()
		perm := fs.FileMode(0o777)
		if a.flags&attrMode != 0 {
			perm = fileMode(a.mode)
		}
		if r.bad {
			return errBadMessage
		}
		return s.fs.Mkdir(s.cred, path, perm)
	case fxRename, fxSymlink:
		to := r.text()
		switch {
		case r.bad:
			return errBadMessage
		case kind == fxSymlink:
			return s.fs.Symlink(s.cred, path, to) // OpenSSH has the target first, unlike the draft
		}
		return s.fs.Rename(s.cred, path, to, true)
	}
	return errUnsupported
}

func (s *server) find(r *reader) (uint32, *handle) {
	name := r.data()
	if len(name) != 4 {
		return 0, nil
	}
	n := binary.BigEndian.Uint32(name)
	return n, s.handles[n]
}

func (s *server) handle(id uint32, h *handle) (message, error) {
	if len(s.handles) >= maxHandles {
		_ = h.close()
		return nil, memfs.EIO
	}
	s.last++
	s.handles[s.last] = h
	return begin(fxHandle, id).uint32(4).uint32(s.last), nil
}

func (s *server) open(id uint32, r *reader) (message, error) {
	path, flags, a := r.text(), r.uint32(), r.attributes()
	if r.bad {
		return nil, errBadMessage
	}
	how := 0
	for bit, flag := range map[uint32]int{
		1: memfs.OpenRead, 2: memfs.OpenWrite, 4: memfs.OpenAppend, 8: memfs.OpenCreate, 16: memfs.OpenTruncate, 32: memfs.OpenExclusive,
	} {
		if flags&bit != 0 {
			how |= flag
		}
	}
	perm := fs.FileMode(0o666)
	if a.flags&attrMode != 0 {
		perm = fileMode(a.mode)
	}
	file, err := s.fs.Open(s.cred, path, how, perm)
	if err != nil {
		return nil, err
	}
	return s.handle(id, &handle{file: file, path: path})
}

// allowed asks how much of a piece of data may pass. What it cannot pass ends the
// session.
func (s *server) allowed(n int) (int, error) {
	if s.options.Data == nil || n == 0 {
		return n, nil
	}
	n, err := s.options.Data(n)
	if err != nil {
		err = errEnd{err}
	}
	return n, err
}

func (s *server) read(id uint32, r *reader) (message, error) {
	_, h := s.find(r)
	offset, length := r.uint64(), r.uint32()
	if r.bad || h == nil || h.file == nil {
		return nil, memfs.EBADF
	}
	buf := make([]byte, min(uint64(length), maxData, max(uint64(h.file.Stat().Size()), 512))) // synthetic files have no size
	n, err := h.file.ReadAt(buf, int64(offset))
	if err != nil {
		return nil, err
	}
	if n, err = s.allowed(n); err != nil {
		return nil, err
	}
	return append(begin(fxData, id).uint32(uint32(n)), buf[:n]...), nil
}

func (s *server) write(r *reader) error {
	_, h := s.find(r)
	offset, data := r.uint64(), r.data()
	if r.bad || h == nil || h.file == nil {
		return memfs.EBADF
	}
	n, end := s.allowed(len(data))
	if _, err := h.file.WriteAt(data[:n], int64(offset)); err != nil && end == nil {
		return err
	}
	return end
}

func (s *server) setstat(path string, a attributes, r *reader, follow bool) error {
	if r.bad {
		return errBadMessage
	}
	var all error
	if a.flags&attrSize != 0 {
		all = errors.Join(all, s.fs.Truncate(s.cred, path, int64(a.size)))
	}
	if a.flags&attrMode != 0 {
		all = errors.Join(all, s.fs.Chmod(s.cred, path, fileMode(a.mode)))
	}
	if a.flags&attrTimes != 0 {
		all = errors.Join(all, s.fs.Chtimes(s.cred, path, time.Unix(int64(a.mtime), 0)))
	}
	if a.flags&attrIDs != 0 {
		all = errors.Join(all, s.fs.Chown(s.cred, path, int64(a.uid), int64(a.gid), follow))
	}
	return all
}

func (s *server) fsetstat(r *reader) error {
	_, h := s.find(r)
	a := r.attributes()
	if r.bad || h == nil || h.file == nil {
		return memfs.EBADF
	}
	var all error
	if a.flags&attrSize != 0 {
		all = errors.Join(all, h.file.Truncate(int64(a.size)))
	}
	if a.flags&attrMode != 0 {
		all = errors.Join(all, h.file.Chmod(fileMode(a.mode)))
	}
	if a.flags&attrTimes != 0 {
		all = errors.Join(all, h.file.Chtimes(time.Unix(int64(a.mtime), 0)))
	}
	if a.flags&attrIDs != 0 {
		all = errors.Join(all, h.file.Chown(int64(a.uid), int64(a.gid)))
	}
	return all
}

// perReaddir is how many names one answer has.
const perReaddir = 100

func (s *server) readdir(id uint32, r *reader) (message, error) {
	_, h := s.find(r)
	if h == nil || h.file != nil {
		return nil, memfs.EBADF
	}
	if len(h.dir) == 0 {
		return nil, io.EOF
	}
	batch := h.dir[:min(len(h.dir), perReaddir)]
	h.dir = h.dir[len(batch):]
	m := begin(fxName, id).uint32(uint32(len(batch)))
	for _, i := range batch {
		m = m.text(i.Name()).text(s.longName(i)).attributes(i)
	}
	return m, nil
}

func (s *server) longName(i memfs.Info) string {
	owner := fmt.Sprint(i.UID)
	if s.options.Name != nil {
		owner = s.options.Name(i.UID)
	}
	return fmt.Sprintf("%s %4d %-8s %-8s %8d %s %s", i.Mode(), i.Links, owner, owner, i.Size(), i.ModTime().UTC().Format("Jan _2 15:04"), i.Name())
}

func (s *server) extended(id uint32, r *reader) (message, error) {
	name := r.text()
	switch name {
	case "limits@openssh.com":
		return begin(fxExtendedReply, id).uint64(maxPacket).uint64(maxData).uint64(maxData).uint64(maxHandles), nil
	case "fsync@openssh.com":
		if _, h := s.find(r); h == nil || h.file == nil {
			return nil, memfs.EBADF
		}
		return nil, nil
	case "fstatvfs@openssh.com":
		if _, h := s.find(r); h == nil {
			return nil, memfs.EBADF
		}
		return s.statvfs(id), nil
	case "posix-rename@openssh.com", "hardlink@openssh.com", "statvfs@openssh.com", "lsetstat@openssh.com":
	default:
		return nil, errUnsupported
	}
	path := r.text()
	switch name {
	case "statvfs@openssh.com":
		if _, err := s.fs.Stat(s.cred, path, true); err != nil {
			return nil, err
		}
		return s.statvfs(id), nil
	case "lsetstat@openssh.com":
		return nil, s.setstat(path, r.attributes(), r, false)
	}
	to := r.text()
	switch {
	case r.bad:
		return nil, errBadMessage
	case name == "hardlink@openssh.com":
		return nil, s.fs.Link(s.cred, path, to)
	}
	return nil, s.fs.Rename(s.cred, path, to, false)
}

func (s *server) statvfs(id uint32) message {
	const block = 4096
	size, used := s.fs.Usage()
	free := uint64(max(0, size-used)) / block
	m := begin(fxExtendedReply, id)
	for _, n := range []uint64{
		block, block, uint64(size) / block, free, free, // f_bsize, f_frsize, f_blocks, f_bfree, f_bavail
		100_000, 100_000, 100_000, 1, s.flags(), 255, // f_files, f_ffree, f_favail, f_fsid, f_flag, f_namemax
	} {
		m = m.uint64(n)
	}
	return m
}

// flags has SSH_FXE_STATVFS_ST_RDONLY.
func (s *server) flags() uint64 {
	if s.fs.Refuse == memfs.EROFS {
		return 1
	}
	return 0
}
