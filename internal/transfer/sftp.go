package transfer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"sync"

	"shoal/internal/ssh"
)

// An sftpPush is one attempt to push by SFTP.
type sftpPush struct {
	sftpSession
	teller

	runs    ssh.Attempt
	nonce   string
	temp    string // directory; "" if there is none
	where   string // it is in
	swept   string // the directory from which strangers were removed
	entryAt int
	verdict verdict
}

func newSFTPPush(p *Push, nonce string, t ssh.Target, stdout io.Writer) *sftpPush {
	if p.Run != "" {
		sum := sha256.Sum256(fmt.Appendf(nil, "%q %d %q", p.Run, t.Index, t.Command))
		nonce = strings.ToUpper(hex.EncodeToString(sum[:13]))
	}
	s := &sftpPush{teller: p.teller(t, stdout), nonce: nonce}
	s.sftpSession = newSFTPSession(s.copy)
	p.feed(&s.sender, t)
	s.answers = true
	return s
}

// copy is the whole push.
func (s *sftpPush) copy() error {
	err := s.entries()
	if !errors.Is(err, errEnded) {
		err = errors.Join(err, s.clean())
	}
	if errors.Is(err, errEnded) {
		return err
	}
	s.verdict = verdict{done: err == nil, written: s.verdict.written, same: s.verdict.same, verified: true, entry: s.entryAt - 1, word: "write_failed"}
	if word, ok := errors.AsType[refusal](err); ok {
		s.verdict.word = string(word)
	}
	return nil
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
	if _, err := s.makeTemp(path.Dir(at), e); err != nil {
		return err
	}
	// OpenSSH has the two in this order, unlike the draft (PROTOCOL, section 4.1).
	if _, err := s.call(fxSymlink, fxStatus, e.Target, s.temp+"/f"); err != nil {
		return s.refused(err, path.Dir(at))
	}
	return s.rename(at, there)
}

// makeTemp makes the temporary directory for files in dir. A large file has one of its own, whose
// name no other push has; there is how much of it was left there and is right.
func (s *sftpPush) makeTemp(dir string, e *Entry) (there int64, err error) {
	if s.temp != "" && s.where == dir && e.step() == 0 {
		return 0, nil
	}
	if err := s.clean(); err != nil {
		return 0, err
	}
	start := "link"
	if len(e.Digest) >= 16 {
		start = e.Digest[:16]
	}
	temp := path.Join(dir, strangerPrefix+start+"."+s.nonce)
	_, err = s.call(fxMkdir, fxStatus, temp, uint32(attrPerm), uint32(0o700))
	if err == nil {
		s.temp, s.where = temp, dir
		return 0, nil
	}
	a, exists, failed := s.stat(fxLstat, temp)
	if errors.Is(failed, errEnded) || failed != nil || !exists || !a.is(modeDir) || a.perm&0o7777 != 0o700 {
		return 0, errors.Join(failed, s.refused(err, dir))
	}
	s.temp, s.where = temp, dir
	return s.left(e)
}

// left returns how many bytes of a file an earlier attempt has left that are right. Others are
// removed.
func (s *sftpPush) left(e *Entry) (int64, error) {
	a, exists, err := s.stat(fxLstat, s.temp+"/f")
	switch {
	case err != nil:
		return 0, err
	case !exists:
		return 0, nil
	case a.is(modeFile) && e.step() > 0:
		c := &comparison{with: io.NewSectionReader(s.push.payload, e.at, e.Size)}
		if err := s.read(s.temp+"/f", c, e.Size); errors.Is(err, errEnded) {
			return 0, err
		}
		if c.right > 0 {
			return c.right, nil
		}
	}
	_, err = s.call(fxRemove, fxStatus, s.temp+"/f")
	return 0, s.refused(err, s.temp)
}

// A comparison takes what is equal to what it is compared with, and fails with the first that is not.
type comparison struct {
	with  io.ReaderAt
	right int64 // bytes
}

var errDiffers = errors.New("what is there differs")

func (c *comparison) Write(p []byte) (int, error) {
	ours := make([]byte, len(p))
	n, _ := c.with.ReadAt(ours, c.right)
	if n < len(p) || !bytes.Equal(p, ours) {
		return 0, errDiffers
	}
	c.right += int64(n)
	return n, nil
}

const (
	strangerPrefix = ".shoal-push."
	strangerAge    = 24 * 60 * 60 // seconds
)

// strangers removes what pushes left in the directory in which nothing was written for a day.
func (s *sftpPush) strangers() error {
	now, ok, err := s.stat(fxLstat, s.temp)
	if err != nil || !ok || now.has&attrTimes == 0 {
		return err // the time there is not known
	}
	old := func(a attributes) bool {
		return a.has&attrTimes != 0 && int64(a.mtime) < int64(now.mtime)-strangerAge
	}
	var left []string
	names := 0
	err = s.readDir(s.where, func(e dirEntry) error {
		if names++; names > maxListed || len(left) == maxStrangers {
			return errDiffers // enough for one push
		}
		if strings.HasPrefix(e.name, strangerPrefix) && !strings.Contains(e.name, "/") && e.is(modeDir) && old(e.attributes) {
			left = append(left, path.Join(s.where, e.name))
		}
		return nil
	})
	for _, dir := range left {
		if errors.Is(err, errEnded) {
			break
		}
		var f attributes
		var ok bool
		if f, ok, err = s.stat(fxLstat, dir+"/f"); err == nil && ok && !old(f) {
			continue
		}
		if err = s.removeTemp(dir); err != nil {
			break
		}
	}
	if errors.Is(err, errEnded) {
		return err
	}
	return nil // another push tries again
}

// removeTemp removes a temporary directory, as far as that can be done. It fails if the attempt has
// ended.
func (s *sftpPush) removeTemp(dir string) error {
	for _, name := range []string{"/f", "/b"} {
		if _, err := s.call(fxRemove, fxStatus, dir+name); errors.Is(err, errEnded) {
			return err
		}
	}
	if _, err := s.call(fxRmdir, fxStatus, dir); errors.Is(err, errEnded) {
		return err
	}
	return nil // what somebody has put into it stays
}

// maxStrangers is how many are removed at most.
const maxStrangers = 100

// clean removes the temporary directory.
func (s *sftpPush) clean() error {
	if s.temp == "" {
		return nil
	}
	temp := s.temp
	s.temp = ""
	return s.removeTemp(temp)
}

// rename gives the temporary its name.
func (s *sftpPush) rename(at string, there bool) error {
	o := s.push.Options
	if s.has[extRename] {
		_, err := s.call(fxExtended, fxStatus, extRename, s.temp+"/f", at)
		if err = s.refused(err, path.Dir(at)); errors.Is(err, refusal("write_failed")) { // the file itself is written
			return refusal("no_atomic_replace")
		}
		return err
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
		sum, err := s.sum(at, e.Size)
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
	room := func(size int64) error {
		if free, known := s.statfs(dir); known && size >= 1<<20 && free.free < uint64(size) { //nolint:gosec // sizes are positive
			return refusal("no_space")
		}
		return nil
	}
	if o.InPlace && there {
		if err := room(e.Size); err != nil {
			return err
		}
		if err := s.store(at, openWrite|openTruncate, e, 0); err != nil {
			return err
		}
		return s.finish(at, e, attributes{})
	}
	left, err := s.makeTemp(dir, e)
	if err != nil {
		return err
	}
	if err := room(e.Size - left); err != nil {
		return err
	}
	how := uint32(openWrite | openCreate | openExcl)
	if left > 0 {
		how = openWrite
	}
	if err := s.store(s.temp+"/f", how, e, left); err != nil {
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
	if err := s.rename(at, there); err != nil || e.step() == 0 || s.swept == dir {
		return err
	}
	s.swept = dir
	return s.strangers()
}

// finish sets owner, mode and times, as asked for or as an old file has them.
func (s *sftpPush) finish(at string, e *Entry, old attributes) error {
	o := s.push.Options
	if old.has&attrOwner != 0 && o.Owner == "" {
		if now, ok, err := s.stat(fxStat, at); err != nil {
			return err
		} else if ok && (now.has&attrOwner == 0 || now.uid != old.uid || now.gid != old.gid) {
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

// backFrom is the size in bytes from which on a file is read back while it is written, so that both directions
// of the network are used.
const backFrom = 1 << 20

// store writes a file from an offset on, and reads it back.
func (s *sftpPush) store(at string, how uint32, e *Entry, from int64) error {
	handle, back, err := s.openToStore(at, how, e)
	if err != nil {
		return err
	}
	hash := s.push.newSummer(e.Size)
	digest := sync.OnceValue(hash.sum)
	defer digest()
	read := rangeReader{session: &s.sftpSession, handle: handle, w: hash}
	written := func(to int64) {
		if back {
			read.to = to
			read.ask()
		}
	}
	type write struct {
		id uint32
		to int64
	}
	var flying []write
	written(from)
	for off := from; off < e.Size || len(flying) > 0; {
		switch {
		case off < e.Size && len(flying) < s.flying():
			n := min(int64(s.piece), e.Size-off)
			id := s.ask(fxWrite, part{from: e.at + off, to: e.at + off + n}, handle, off, uint32(n)) //nolint:gosec // a piece
			off += n
			flying = append(flying, write{id, off})
		case read.ready():
			read.take()
			read.ask()
		case s.replies[flying[0].id].packet == nil:
			if !s.yield(struct{}{}) {
				return errEnded
			}
		default:
			if _, err := s.answer(flying[0].id, fxStatus); errors.Is(err, errEnded) {
				return err
			} else if err != nil {
				_, _ = s.call(fxClose, fxStatus, handle) // the write has failed already
				return s.refused(err, path.Dir(at))
			}
			written(flying[0].to)
			flying = flying[1:]
		}
	}
	written(e.Size + 1) // nothing may follow
	for len(read.flying) > 0 && read.err == nil {
		read.take()
		read.ask()
	}
	if err := read.end(); errors.Is(err, errEnded) {
		return err
	}
	if _, err := s.call(fxClose, fxStatus, handle); err != nil {
		return s.refused(err, path.Dir(at))
	}
	if back && read.err == nil && digest() == e.Digest {
		return nil
	}
	sum, err := s.sum(at, e.Size)
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

// openToStore opens a file to write. back means that it can be read back by the same handle: not every server
// has files that are read and written.
func (s *sftpPush) openToStore(at string, how uint32, e *Entry) (handle string, back bool, err error) {
	mode := uint32(e.Mode & fs.ModePerm)
	if e.Size >= backFrom {
		f, err := s.call(fxOpen, fxHandle, at, how|openRead, uint32(attrPerm), mode)
		if err == nil || errors.Is(err, errEnded) {
			return f.text(), true, err
		}
	}
	f, err := s.call(fxOpen, fxHandle, at, how, uint32(attrPerm), mode)
	if err != nil {
		return "", false, s.refused(err, path.Dir(at))
	}
	return f.text(), false, nil
}

// sum returns the SHA-256 of a file there of this size; of one that is longer, which may have no
// end, that of a byte more.
func (s *sftpPush) sum(at string, size int64) (string, error) {
	hash := sha256.New()
	if err := s.read(at, hash, size+1); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", hash.Sum(nil)), nil
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
