package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"strconv"
	"strings"
	"sync"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/ssh"
)

// A push by SFTP, for accounts without a shell: version 3 (draft-ietf-secsh-filexfer-02) with
// the extensions of OpenSSH (PROTOCOL, section 4). What a host takes is decided as by the shell,
// and verified by reading it back.
//
// It is our own and not github.com/pkg/sftp: an attempt here is fed by the client's event
// loop, where that needs a stream that blocks and goroutines for each host, and its ReadFrom
// and WriteTo are known to lose errors and bytes (its issue 658).

// Packet types and status codes.
const (
	fxInit          = 1
	fxVersion       = 2
	fxOpen          = 3
	fxClose         = 4
	fxRead          = 5
	fxWrite         = 6
	fxLstat         = 7
	fxSetstat       = 9
	fxRemove        = 13
	fxMkdir         = 14
	fxRmdir         = 15
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

	statusEOF    = 1
	statusNoFile = 2
	statusDenied = 3

	openRead     = 1
	openWrite    = 2
	openCreate   = 8
	openTruncate = 16
	openExcl     = 32

	attrSize  = 1
	attrOwner = 2
	attrPerm  = 4
	attrTimes = 8

	modeType = 0o170000
	modeFile = 0o100000
	modeDir  = 0o040000
	modeLink = 0o120000
)

// Limits. A server's own are taken within them.
const (
	maxPacket    = 256<<10 + 1024 // of what a server sends, in bytes
	minPiece     = 4 << 10
	usualPiece   = 32 << 10
	maxPiece     = 128 << 10
	flyingPieces = 32 // requests to write or read without an answer
)

// extensions of OpenSSH.
const (
	extRename = "posix-rename@openssh.com"
	extStatfs = "statvfs@openssh.com"
	extLink   = "hardlink@openssh.com"
	extLimits = "limits@openssh.com"
)

// errEnded means that the attempt has ended.
var errEnded = errors.New("the attempt has ended")

// A refusal is a word of reasons.
type refusal string

func (r refusal) Error() string { return string(r) }

// A status is an answer that is not what was asked for.
type status uint32

func (s status) Error() string { return "status " + strconv.Itoa(int(s)) }

// An sftpPush is one attempt. work is a coroutine: it runs, on the goroutine that brings an answer,
// until it needs the next one.
type sftpPush struct {
	*exchange

	mu     sync.Mutex // guards what follows
	next   func() (struct{}, bool)
	stop   func()
	yield  func(struct{}) bool
	packet []byte // what has come of the next one
	broken bool

	id      uint32
	replies map[uint32][]byte // type and the rest behind the number; nil: asked for
	version []byte
	has     map[string]bool
	piece   int
	temp    string // directory; "" if there is none
	where   string // it is in
	entryAt int
	verdict verdict
}

func newSFTPPush(p *Push, nonce string, t ssh.Target, stdout io.Writer) *sftpPush {
	s := &sftpPush{exchange: p.exchange(nonce, t, stdout), replies: make(map[uint32][]byte), has: make(map[string]bool), piece: usualPiece}
	s.parts, s.all = nil, false
	s.next, s.stop = iter.Pull(func(yield func(struct{}) bool) {
		s.yield = yield
		err := s.work()
		if errors.Is(err, errEnded) {
			return
		}
		s.verdict = verdict{done: err == nil, written: s.verdict.written, same: s.verdict.same, verified: true, entry: s.entryAt - 1, word: "write_failed"}
		if word, ok := errors.AsType[refusal](err); ok {
			s.verdict.word = string(word)
		}
		s.send(part{}, true)
	})
	return s
}

// Notify implements ssh.Stream.
func (s *sftpPush) Notify(wake func()) {
	s.exchange.Notify(wake)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next()
}

// end releases s when the attempt has ended.
func (s *sftpPush) end() {
	s.mu.Lock()
	s.stop()
	s.mu.Unlock()
	s.exchange.end()
}

// Write implements io.Writer: it takes what the server says.
func (s *sftpPush) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := len(p); ; {
		if s.broken {
			return n, nil
		}
		want := 4
		if len(s.packet) >= 4 {
			size := binary.BigEndian.Uint32(s.packet)
			if size < 5 || size > maxPacket {
				s.fail()
				continue
			}
			want += int(size)
		}
		k := min(len(p), want-len(s.packet))
		if s.packet, p = append(s.packet, p[:k]...), p[k:]; len(s.packet) < want {
			return n, nil
		}
		if want == 4 {
			continue
		}
		s.arrived(s.packet[4:])
		s.packet = s.packet[:0]
	}
}

// fail is for what is no SFTP.
func (s *sftpPush) fail() {
	s.broken = true
	s.stop()
	s.send(part{}, true)
}

func (s *sftpPush) arrived(b []byte) {
	if s.version == nil {
		if b[0] != fxVersion {
			s.fail()
			return
		}
		s.version = append([]byte{}, b[1:]...)
		s.next()
		return
	}
	id := binary.BigEndian.Uint32(b[1:])
	if reply, asked := s.replies[id]; !asked || reply != nil {
		s.fail()
		return
	}
	s.replies[id] = append([]byte{b[0]}, b[5:]...)
	s.next()
}

// ask sends a request and returns its number. data, if not empty, follows it.
func (s *sftpPush) ask(kind byte, data part, fields ...any) uint32 {
	s.id++
	b := append(make([]byte, 4, 64), kind)
	b = binary.BigEndian.AppendUint32(b, s.id)
	b = appendFields(b, fields)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4+int(data.size()))) //nolint:gosec // small
	s.replies[s.id] = nil
	s.send(part{text: string(b)}, false)
	if data.size() > 0 {
		s.send(data, false)
	}
	return s.id
}

func appendFields(b []byte, fields []any) []byte {
	for _, f := range fields {
		switch f := f.(type) {
		case string:
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(f))), f...) //nolint:gosec // small
		case uint32:
			b = binary.BigEndian.AppendUint32(b, f)
		case int64:
			b = binary.BigEndian.AppendUint64(b, uint64(f)) //nolint:gosec // offsets are positive
		}
	}
	return b
}

// answer waits for the answer to a request, which must be of the kind. A status that is OK is
// taken for fxStatus alone.
func (s *sftpPush) answer(id uint32, kind byte) (fields, error) {
	for s.replies[id] == nil {
		if !s.yield(struct{}{}) {
			return nil, errEnded
		}
	}
	b := s.replies[id]
	delete(s.replies, id)
	rest := fields(b[1:])
	switch {
	case b[0] == fxStatus:
		code := rest.uint32()
		if code == 0 && kind == fxStatus {
			return nil, nil
		}
		return nil, status(code)
	case b[0] != kind:
		return nil, status(5)
	}
	return rest, nil
}

func (s *sftpPush) call(kind, want byte, fields ...any) (fields, error) {
	return s.answer(s.ask(kind, part{}, fields...), want)
}

// fields are what is left of an answer. What is missing is 0 or empty.
type fields []byte

func (f *fields) uint32() uint32 {
	if len(*f) < 4 {
		*f = nil
		return 0
	}
	n := binary.BigEndian.Uint32(*f)
	*f = (*f)[4:]
	return n
}

func (f *fields) uint64() uint64 {
	high := f.uint32()
	return uint64(high)<<32 | uint64(f.uint32())
}

func (f *fields) text() string {
	n := f.uint32()
	if uint64(n) > uint64(len(*f)) {
		*f = nil
		return ""
	}
	t := string((*f)[:n])
	*f = (*f)[n:]
	return t
}

// An attributes has what a server says of a file. What it does not say is not 0: has tells.
type attributes struct {
	has            uint32
	size           uint64
	uid, gid, perm uint32
}

func (f *fields) attributes() (a attributes) {
	if a.has = f.uint32(); a.has&attrSize != 0 {
		a.size = f.uint64()
	}
	if a.has&attrOwner != 0 {
		a.uid, a.gid = f.uint32(), f.uint32()
	}
	if a.has&attrPerm != 0 {
		a.perm = f.uint32()
	}
	return a
}

func (a attributes) is(kind uint32) bool { return a.has&attrPerm != 0 && a.perm&modeType == kind }

// stat returns what is at a path; ok is false if there is nothing.
func (s *sftpPush) stat(kind byte, name string) (a attributes, ok bool, err error) {
	f, err := s.call(kind, fxAttrs, name)
	if code, is := errors.AsType[status](err); is && code == statusNoFile {
		return a, false, nil
	}
	if err != nil {
		return a, false, s.refused(err, path.Dir(name))
	}
	return f.attributes(), true, nil
}

// refused returns the word for an answer to a change in a directory.
func (s *sftpPush) refused(err error, dir string) error {
	code, ok := errors.AsType[status](err)
	if !ok {
		return err
	}
	room, known := s.statfs(dir)
	switch {
	case known && room.readOnly:
		return refusal("read_only")
	case code == statusDenied:
		return refusal("permission_denied")
	case code == statusNoFile:
		return refusal("no_parent")
	case known && room.free < 64<<10:
		return refusal("no_space")
	}
	return refusal("write_failed")
}

type room struct {
	free     uint64 // bytes
	readOnly bool
}

func (s *sftpPush) statfs(dir string) (r room, known bool) {
	if !s.has[extStatfs] {
		return r, false
	}
	f, err := s.call(fxExtended, fxExtendedReply, extStatfs, dir)
	if err != nil || len(f) < 11*8 {
		return r, false
	}
	_, unit := f.uint64(), f.uint64()
	_, _ = f.uint64(), f.uint64()
	available := f.uint64()
	_, _, _, _ = f.uint64(), f.uint64(), f.uint64(), f.uint64()
	r.readOnly = f.uint64()&1 != 0
	r.free = available * unit
	if unit != 0 && r.free/unit != available {
		r.free = 1<<64 - 1
	}
	return r, true
}

// work is the whole push.
func (s *sftpPush) work() error {
	s.send(part{text: string([]byte{0, 0, 0, 5, fxInit, 0, 0, 0, 3})}, false)
	for s.version == nil {
		if !s.yield(struct{}{}) {
			return errEnded
		}
	}
	v := fields(s.version)
	for v.uint32(); len(v) > 0 && len(s.has) < 100; {
		name := v.text()
		v.text()
		s.has[name] = true
	}
	if s.has[extLimits] {
		if f, err := s.call(fxExtended, fxExtendedReply, extLimits); err == nil {
			f.uint64()
			read, write := f.uint64(), f.uint64()
			for _, n := range []uint64{read, write} {
				if n > 0 {
					s.piece = int(min(uint64(s.piece), n))
				}
			}
			s.piece = min(max(s.piece, minPiece), maxPiece)
		} else if errors.Is(err, errEnded) {
			return err
		}
	}
	err := s.entries()
	if !errors.Is(err, errEnded) {
		err = errors.Join(err, s.clean())
	}
	return err
}

// entries decides where the entries go, and makes them.
func (s *sftpPush) entries() error {
	dest := s.dest
	if dest[0] != '/' {
		dest = "./" + dest
	}
	slash := strings.HasSuffix(dest, "/")
	dest = path.Clean(dest)
	a, there, err := s.stat(fxStat, dest)
	if err != nil {
		return err
	}
	isDir := there && a.is(modeDir)
	switch {
	case there && !isDir && (slash || !s.push.Only):
		return refusal("not_directory")
	case !isDir && (slash || !s.push.Only):
		if err := s.parents(dest); err != nil {
			return err
		}
		isDir = true
	case !isDir:
		if err := s.parents(path.Dir(dest)); err != nil {
			return err
		}
	}
	for i := range s.push.Entries {
		e := &s.push.Entries[i]
		s.entryAt = i + 1
		at := path.Join(dest, e.Name)
		if s.push.Only && !isDir {
			at = dest
		}
		switch e.Kind {
		case Directory:
			err = s.directory(at, e)
		case Link:
			err = s.link(at, e)
		case File:
			err = s.file(at, e)
		}
		if err != nil {
			return err
		}
	}
	s.entryAt = 0
	return nil
}

// parents checks that a directory exists, or makes it with those above it.
func (s *sftpPush) parents(dir string) error {
	a, there, err := s.stat(fxStat, dir)
	switch {
	case err != nil:
		return err
	case there && !a.is(modeDir):
		return refusal("not_directory")
	case there:
		return nil
	case !s.push.Options.Parents:
		return refusal("no_parent")
	case s.push.Options.dry():
		return nil
	}
	if up := path.Dir(path.Clean(dir)); up != dir {
		if err := s.parents(up); err != nil {
			return err
		}
	}
	_, err = s.call(fxMkdir, fxStatus, path.Clean(dir), uint32(0))
	return s.refused(err, path.Dir(dir))
}

// state notes what becomes of an entry, and reports whether that is only told.
func (s *sftpPush) state(e *Entry, word string, a attributes) (told bool) {
	if word == "same" {
		s.verdict.same++
	} else {
		s.verdict.written++
	}
	if !s.push.Options.dry() {
		return false
	}
	f := []string{word, ""}
	if a.has&attrPerm != 0 {
		f = append(f, strconv.FormatUint(uint64(a.perm&0o7777), 8))
	}
	s.tellState(e, f)
	return true
}

func (s *sftpPush) directory(at string, e *Entry) error {
	a, there, err := s.stat(fxStat, at)
	switch {
	case err != nil:
		return err
	case there && a.is(modeDir):
		return nil
	case there:
		return refusal("not_directory")
	case s.state(e, "new", a):
		return nil
	}
	_, err = s.call(fxMkdir, fxStatus, at, uint32(0))
	return s.refused(err, path.Dir(at))
}

func (s *sftpPush) readlink(at string) (string, error) {
	f, err := s.call(fxReadlink, fxName, at)
	if err != nil || f.uint32() != 1 {
		return "", refusal("permission_denied")
	}
	return f.text(), nil
}

func (s *sftpPush) link(at string, e *Entry) error {
	a, there, err := s.stat(fxLstat, at)
	if err != nil {
		return err
	}
	word := "new"
	if there {
		word = "changed"
	}
	switch {
	case there && a.is(modeDir):
		return refusal("is_directory")
	case there && a.is(modeLink):
		if target, err := s.readlink(at); err == nil && target == e.Target {
			s.state(e, "same", attributes{})
			return nil
		}
	}
	if s.state(e, word, attributes{}) {
		return nil
	}
	if err := s.makeTemp(path.Dir(at), e); err != nil {
		return err
	}
	// OpenSSH has the two in this order, unlike the draft (PROTOCOL, section 4.1).
	if _, err := s.call(fxSymlink, fxStatus, e.Target, s.temp+"/f"); err != nil {
		return s.refused(err, path.Dir(at))
	}
	return s.rename(at, there)
}

// makeTemp makes the temporary directory for files in dir.
func (s *sftpPush) makeTemp(dir string, e *Entry) error {
	if s.temp != "" && s.where == dir {
		return nil
	}
	if err := s.clean(); err != nil {
		return err
	}
	start := "link"
	if len(e.Digest) >= 16 {
		start = e.Digest[:16]
	}
	temp := path.Join(dir, ".shoal-push."+start+"."+s.nonce)
	if _, err := s.call(fxMkdir, fxStatus, temp, uint32(attrPerm), uint32(0o700)); err != nil {
		return s.refused(err, dir)
	}
	s.temp, s.where = temp, dir
	return nil
}

// clean removes the temporary directory.
func (s *sftpPush) clean() error {
	if s.temp == "" {
		return nil
	}
	temp := s.temp
	s.temp = ""
	for _, name := range []string{"/f", "/b"} {
		if _, err := s.call(fxRemove, fxStatus, temp+name); errors.Is(err, errEnded) {
			return err
		}
	}
	_, err := s.call(fxRmdir, fxStatus, temp)
	if errors.Is(err, errEnded) {
		return err
	}
	return nil // somebody has put something into it: a later push of the shell removes it
}

// rename gives the temporary its name.
func (s *sftpPush) rename(at string, there bool) error {
	o := s.push.Options
	if s.has[extRename] {
		_, err := s.call(fxExtended, fxStatus, extRename, s.temp+"/f", at)
		return s.refused(err, path.Dir(at))
	}
	if there && !o.ReplaceUnsafe {
		return refusal("no_atomic_replace")
	}
	if there {
		if _, err := s.call(fxRemove, fxStatus, at); err != nil {
			return s.refused(err, path.Dir(at))
		}
	}
	_, err := s.call(fxRename, fxStatus, s.temp+"/f", at)
	return s.refused(err, path.Dir(at))
}

func (s *sftpPush) file(at string, e *Entry) error {
	o := s.push.Options
	a, there, err := s.stat(fxLstat, at)
	for links := 0; err == nil && there && a.is(modeLink) && !o.NoFollow; links++ {
		var target string
		if target, err = s.readlink(at); err != nil || links == 40 {
			return errors.Join(err, refusal("not_regular"))
		}
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(at), target)
		}
		at = target
		a, there, err = s.stat(fxLstat, at)
	}
	dir := path.Dir(at)
	switch {
	case err != nil:
		return err
	case there && a.is(modeDir):
		return refusal("is_directory")
	case there && !a.is(modeFile) && !a.is(modeLink):
		return refusal("not_regular")
	}
	word := "new"
	if there {
		word = "changed"
	}
	if there && a.is(modeFile) && a.has&attrSize != 0 && a.size == uint64(e.Size) { //nolint:gosec // sizes are positive
		sum, err := s.sum(at)
		if errors.Is(err, errEnded) {
			return err
		}
		if err == nil && sum == e.Digest {
			if s.state(e, "same", a) {
				return nil
			}
			return s.finish(at, e, attributes{})
		}
	}
	if s.state(e, word, a) {
		return s.compare(at, e, there && a.is(modeFile))
	}
	if free, known := s.statfs(dir); known && e.Size >= 1<<20 && free.free < uint64(e.Size) { //nolint:gosec // sizes are positive
		return refusal("no_space")
	}
	if o.InPlace && there {
		if err := s.store(at, openWrite|openTruncate, e); err != nil {
			return err
		}
		return s.finish(at, e, attributes{})
	}
	if err := s.makeTemp(dir, e); err != nil {
		return err
	}
	if err := s.store(s.temp+"/f", openWrite|openCreate|openExcl, e); err != nil {
		return err
	}
	old := attributes{}
	if there && a.is(modeFile) {
		old = a
	}
	if err := s.finish(s.temp+"/f", e, old); err != nil {
		return err
	}
	if o.Backup && there {
		if _, err := s.call(fxExtended, fxStatus, extLink, at, s.temp+"/b"); err != nil || !s.has[extRename] {
			return refusal("no_atomic_replace")
		}
		if _, err := s.call(fxExtended, fxStatus, extRename, s.temp+"/b", at+"~"); err != nil {
			return s.refused(err, dir)
		}
	}
	return s.rename(at, there)
}

// finish sets owner, mode and times, as asked for or as an old file has them.
func (s *sftpPush) finish(at string, e *Entry, old attributes) error {
	o := s.push.Options
	if old.has&attrOwner != 0 && o.Owner == "" {
		if now, ok, err := s.stat(fxStat, at); err != nil {
			return err
		} else if ok && (now.uid != old.uid || now.gid != old.gid) {
			if _, err := s.call(fxSetstat, fxStatus, at, uint32(attrOwner), old.uid, old.gid); err != nil {
				return errors.Join(refusal("owner_failed"), err)
			}
		}
	}
	if o.Owner != "" {
		uid, gid, ok := numbers(o.Owner)
		if !ok {
			return refusal("owner_failed")
		}
		if _, err := s.call(fxSetstat, fxStatus, at, uint32(attrOwner), uid, gid); err != nil {
			return errors.Join(refusal("owner_failed"), err)
		}
	}
	mode, set := uint32(0), false
	if o.Mode != "" {
		mode, set = uint32(octal(o.Mode)), true //nolint:gosec // four digits
	} else if old.has&attrPerm != 0 {
		mode, set = old.perm&0o7777, true
	}
	if set {
		if _, err := s.call(fxSetstat, fxStatus, at, uint32(attrPerm), mode); err != nil {
			return s.refused(err, path.Dir(at))
		}
	}
	if o.Times {
		when := uint32(e.Time.Unix()) //nolint:gosec // the protocol has 32 bits
		if _, err := s.call(fxSetstat, fxStatus, at, uint32(attrTimes), when, when); err != nil {
			return s.refused(err, path.Dir(at))
		}
	}
	return nil
}

// numbers returns an owner UID:GID; SFTP has no names.
func numbers(owner string) (uid, gid uint32, ok bool) {
	u, g, _ := strings.Cut(owner, ":")
	n, err := strconv.ParseUint(u, 10, 32)
	m, err2 := strconv.ParseUint(g, 10, 32)
	return uint32(n), uint32(m), err == nil && err2 == nil //nolint:gosec // 32 bits
}

// store writes a file and reads it back.
func (s *sftpPush) store(at string, how uint32, e *Entry) error {
	f, err := s.call(fxOpen, fxHandle, at, how, uint32(attrPerm), uint32(e.Mode&fs.ModePerm))
	if err != nil {
		return s.refused(err, s.where)
	}
	handle := f.text()
	var flying []uint32
	for off := int64(0); off < e.Size || len(flying) > 0; {
		if off < e.Size && len(flying) < flyingPieces {
			n := min(int64(s.piece), e.Size-off)
			flying = append(flying, s.ask(fxWrite, part{from: e.at + off, to: e.at + off + n}, handle, off, uint32(n))) //nolint:gosec // a piece
			off += n
			continue
		}
		_, err := s.answer(flying[0], fxStatus)
		if flying = flying[1:]; errors.Is(err, errEnded) {
			return err
		}
		if err != nil {
			_, _ = s.call(fxClose, fxStatus, handle) // the write has failed already
			return s.refused(err, path.Dir(at))
		}
	}
	if _, err := s.call(fxClose, fxStatus, handle); err != nil {
		return s.refused(err, path.Dir(at))
	}
	sum, err := s.sum(at)
	switch {
	case errors.Is(err, errEnded):
		return err
	case err != nil || sum != e.Digest:
		if free, known := s.statfs(path.Dir(at)); known && free.free < 64<<10 {
			return refusal("no_space")
		}
		return refusal("digest_mismatch")
	}
	return nil
}

// sum returns the SHA-256 of a file there.
func (s *sftpPush) sum(at string) (string, error) {
	hash := sha256.New()
	if err := s.read(at, hash, 1<<62); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", hash.Sum(nil)), nil
}

// read copies a file there to w, up to a limit. A server may answer with less than was asked for,
// and in any order.
func (s *sftpPush) read(at string, w io.Writer, limit int64) error {
	f, err := s.call(fxOpen, fxHandle, at, uint32(openRead), uint32(0))
	if err != nil {
		return err
	}
	handle := f.text()
	type request struct {
		id  uint32
		off int64
		n   int
	}
	var flying []request
	next, size := int64(0), limit
	for err == nil {
		for len(flying) < flyingPieces && next < size {
			n := int(min(int64(s.piece), size-next))
			flying = append(flying, request{s.ask(fxRead, part{}, handle, next, uint32(n)), next, n}) //nolint:gosec // a piece
			next += int64(n)
		}
		if len(flying) == 0 {
			break
		}
		r := flying[0]
		flying = flying[1:]
		data, failed := s.answer(r.id, fxData)
		if code, ok := errors.AsType[status](failed); ok && code == statusEOF {
			size = min(size, r.off) // and what was asked behind it is dropped
			continue
		}
		if err = failed; err != nil || r.off >= size {
			continue
		}
		b := data.text()
		if len(b) == 0 || len(b) > r.n {
			err = status(5)
			continue
		}
		_, _ = io.WriteString(w, b) // a hash or a buffer
		if len(b) < r.n {
			again := request{0, r.off + int64(len(b)), r.n - len(b)}
			again.id = s.ask(fxRead, part{}, handle, again.off, uint32(again.n)) //nolint:gosec // a piece
			flying = append([]request{again}, flying...)
		}
	}
	if errors.Is(err, errEnded) {
		return err
	}
	for _, r := range flying { // the answers are still to come
		if _, failed := s.answer(r.id, fxData); errors.Is(failed, errEnded) {
			return failed
		}
	}
	_, closed := s.call(fxClose, fxStatus, handle)
	return errors.Join(err, closed)
}

// compare shows how a file differs, if that was asked for.
func (s *sftpPush) compare(at string, e *Entry, there bool) error {
	if !there || !s.push.showable(e) {
		return nil
	}
	var old strings.Builder
	err := s.read(at, &old, maxDiff+1)
	if err == nil {
		s.tellDiff(e, []byte(old.String()))
	}
	if errors.Is(err, errEnded) {
		return err
	}
	return nil
}

// dialSFTP connects for a push by SFTP.
func (d *Dialer) dialSFTP(ctx context.Context, a *ssh.Attempt, nonce string) (ssh.Conn, error) {
	if err := errors.Join(CheckDest(a.Target.Command), d.push.Options.Validate()); err != nil {
		return nil, a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonBadTarget, err)
	}
	attempt := *a
	s := newSFTPPush(d.push, nonce, a.Target, a.Stdout)
	attempt.Line, attempt.Subsystem, attempt.Stdout, attempt.Stream = "", "sftp", s, s
	c, err := dial(ctx, d.inner, &attempt, func(end fleet.End) fleet.End { return s.judge(&attempt, end) })
	if err != nil {
		s.end()
	}
	return c, err
}

// An eitherConn pushes by sh, and by SFTP on the same connection where no sh has answered.
type eitherConn struct {
	ssh.Conn
	push    *pushing
	attempt *ssh.Attempt
	nonce   string
}

// Start implements ssh.Conn.
func (c *eitherConn) Start(ctx context.Context, done func(fleet.End)) {
	c.Conn.Start(ctx, func(end fleet.End) {
		if end = c.push.judge(end); end.Reason == fleet.ReasonNoReceipt && ctx.Err() == nil {
			go c.again(ctx, end, done) // a connection is not used within done; whoever waits for done waits for it
			return
		}
		_ = c.Close()
		done(end)
	})
}

// again pushes by SFTP. If there is no such server either, first is the end.
func (c *eitherConn) again(ctx context.Context, first fleet.End, done func(fleet.End)) {
	s := newSFTPPush(c.push.push, c.nonce, c.attempt.Target, c.attempt.Stdout)
	next := &ssh.Attempt{
		Progress: new(ssh.Progress), Target: c.attempt.Target, Subsystem: "sftp", Stdout: s, Stream: s, Stderr: c.attempt.Stderr,
		Limit: c.attempt.Limit, Verbose: c.attempt.Verbose,
	}
	next.Tell("no sh has answered; pushing by SFTP")
	c.StartNext(ctx, next, func(end fleet.End) {
		if end = s.judge(next, end); end.Outcome != fleet.OutcomeOK && s.verdict.word == "" {
			end = first
		}
		_ = c.Close()
		done(end)
	})
}

// judge converts the end of the session to that of the push.
func (s *sftpPush) judge(a *ssh.Attempt, end fleet.End) fleet.End {
	s.end()
	v := s.verdict
	if s.stalled && end.Outcome == fleet.OutcomeUnknown {
		end.Reason, end.Err = fleet.ReasonStalled, errStalled
		return end
	}
	switch {
	case end.Outcome != fleet.OutcomeOK && end.Outcome != fleet.OutcomeFailed:
	case v.done && end.Outcome == fleet.OutcomeOK:
		s.tell("%s", v.text(s.push))
	case v.word != "" && !v.done:
		where := s.dest
		if v.entry >= 0 && !s.push.Only {
			where = s.push.Entries[v.entry].Name + " in " + where
		}
		end.Outcome = fleet.OutcomeFailed
		end.Reason, end.Err = v.failure(fmt.Sprintf("pushing to %.200q by SFTP", where))
	case v.done:
	default:
		return a.Fail(fleet.OutcomeUnknown, fleet.ReasonNoReceipt,
			hint.New(fmt.Sprintf("the host ended SFTP before all was written (exit status %d)", end.Status), "it may have no SFTP server, or print text at login; --via sh needs none")).End()
	}
	return end
}

var _ ssh.Stream = (*sftpPush)(nil)
