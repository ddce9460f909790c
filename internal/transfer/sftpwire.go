package transfer

import (
	"encoding/binary"
	"errors"
	"iter"
	"path"
	"strconv"
	"sync"
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
	fxFstat         = 8
	fxSetstat       = 9
	fxOpendir       = 11
	fxReaddir       = 12
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

	attrExtended = 1 << 31

	modeType = 0o170000
	modeFile = 0o100000
	modeDir  = 0o040000
	modeLink = 0o120000
)

// Limits, in bytes. A server's own are taken within them.
const (
	maxPacket   = 256<<10 + 1024 // of what a server sends
	minPiece    = 4 << 10
	usualPiece  = 32 << 10  // what every server takes
	maxPiece    = 128 << 10 // where the server says that it takes so much
	aroundPiece = 1024      // more than a packet has around a piece
	flyingBytes = 2 << 20   // that are written or read without an answer: OpenSSH's window
	maxHandle   = 256       // of a handle (section 6 of the draft); requests repeat it
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

// An sftpSession is one attempt to copy by SFTP. work is a coroutine: it runs, on the goroutine that
// brings an answer, until it needs the next one.
type sftpSession struct {
	sender

	work func() error // after the versions

	turn   sync.Mutex // guards what follows, and work
	next   func() (struct{}, bool)
	stop   func()
	yield  func(struct{}) bool
	packet []byte // what has come of the next one
	broken bool

	id      uint32
	replies map[uint32]reply
	version []byte
	has     map[string]bool
	piece   int
	early   map[string][]uint32 // requests that were sent ahead, by what they ask: numbers in their order
	ahead   func()              // sends more of them; nil: nothing is asked ahead
	last    []byte              // the reply that answer has returned
	spare   []byte              // memory for the next one
}

// A reply is the answer to a request.
type reply struct {
	limit   int    // the largest, in bytes
	packet  []byte // type and the rest behind the number; nil: it has not come
	dropped bool   // nobody waits for it
}

func newSFTPSession(work func() error) sftpSession {
	return sftpSession{work: work, replies: make(map[uint32]reply), early: make(map[string][]uint32), has: make(map[string]bool), piece: usualPiece}
}

// begin starts the coroutine, which ends with the attempt.
func (s *sftpSession) begin() {
	s.next, s.stop = iter.Pull(func(yield func(struct{}) bool) {
		s.yield = yield
		err := s.greet()
		if err == nil {
			err = s.work()
		}
		if !errors.Is(err, errEnded) {
			s.send(part{}, true)
		}
	})
	s.next()
}

// greet exchanges versions, and learns what the server can do.
func (s *sftpSession) greet() error {
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
	if !s.has[extLimits] {
		return nil
	}
	f, err := s.call(fxExtended, fxExtendedReply, extLimits)
	if err != nil {
		if errors.Is(err, errEnded) {
			return err
		}
		return nil // it has none
	}
	packet, read, write := f.uint64(), f.uint64(), f.uint64()
	s.piece = pieceWithin(packet, read, write)
	return nil
}

// pieceWithin returns the size of a piece where the server has limits for packets, reads and writes;
// 0: it does not say.
func pieceWithin(packet, read, write uint64) int {
	size := uint64(maxPiece)
	if packet != 0 {
		size = min(size, packet-min(packet, aroundPiece))
	}
	for _, n := range []uint64{read, write} {
		if n == 0 {
			n = usualPiece
		}
		size = min(size, n)
	}
	return int(max(size, minPiece)) //nolint:gosec // a piece
}

// flying is how many requests to read or write may be without an answer.
func (s *sftpSession) flying() int { return flyingBytes / s.piece }

// Notify implements ssh.Stream.
func (s *sftpSession) Notify(wake func()) {
	s.sender.Notify(wake)
	s.turn.Lock()
	defer s.turn.Unlock()
	if !s.broken {
		s.begin()
	}
}

// end releases s when the attempt has ended.
func (s *sftpSession) end() {
	s.turn.Lock()
	if s.stop != nil {
		s.stop()
	}
	s.turn.Unlock()
	s.sender.end()
}

// Write implements io.Writer: it takes what the server says.
func (s *sftpSession) Write(p []byte) (int, error) {
	s.turn.Lock()
	defer s.turn.Unlock()
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
func (s *sftpSession) fail() {
	s.broken = true
	if s.stop != nil {
		s.stop()
	}
	s.send(part{}, true)
}

func (s *sftpSession) arrived(b []byte) {
	s.answered()
	if s.version == nil {
		if b[0] != fxVersion || s.next == nil { // nil: before we have said anything
			s.fail()
			return
		}
		s.version = append([]byte{}, b[1:]...)
		s.next()
		return
	}
	id := binary.BigEndian.Uint32(b[1:])
	r, asked := s.replies[id]
	if !asked || r.packet != nil || len(b) > r.limit {
		s.fail()
		return
	}
	if r.dropped {
		delete(s.replies, id)
		s.next()
		return
	}
	r.packet = append(append(s.spare, b[0]), b[5:]...)
	s.spare = nil
	s.replies[id] = r
	s.next()
}

// ask sends a request and returns its number. data, if not empty, follows it.
func (s *sftpSession) ask(kind byte, data part, fields ...any) uint32 {
	s.id++
	b := append(make([]byte, 4, 64), kind)
	b = binary.BigEndian.AppendUint32(b, s.id)
	b = appendFields(b, fields)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4+int(data.size()))) //nolint:gosec // small
	s.replies[s.id] = reply{limit: maxPacket}
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
func (s *sftpSession) answer(id uint32, kind byte) (fields, error) {
	for s.replies[id].packet == nil {
		if s.ahead != nil {
			s.ahead()
		}
		if !s.yield(struct{}{}) {
			return nil, errEnded
		}
	}
	b := s.replies[id].packet
	delete(s.replies, id)
	s.last = b
	rest := fields(b[1:])
	switch {
	case b[0] == fxStatus:
		code := rest.uint32()
		if code == 0 && kind == fxStatus {
			return nil, nil
		}
		return nil, status(code)
	case b[0] != kind || kind == fxHandle && len(rest) > 4+maxHandle:
		return nil, status(5)
	}
	return rest, nil
}

func (s *sftpSession) call(kind, want byte, fields ...any) (fields, error) {
	id, ok := s.asked(kind, fields)
	if !ok {
		id = s.ask(kind, part{}, fields...)
	}
	return s.answer(id, want)
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

func (f *fields) text() string { return string(f.bytes()) }

// bytes is text without a copy.
func (f *fields) bytes() []byte {
	n := f.uint32()
	if uint64(n) > uint64(len(*f)) {
		*f = nil
		return nil
	}
	b := (*f)[:n]
	*f = (*f)[n:]
	return b
}

// An attributes has what a server says of a file. What it does not say is not 0: has tells.
type attributes struct {
	has            uint32
	size           uint64
	uid, gid, perm uint32
	mtime          uint32 // seconds since 1970; 0 also if it is not known
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
	if a.has&attrTimes != 0 {
		f.uint32()
		a.mtime = f.uint32()
	}
	if a.has&attrExtended != 0 {
		for n := f.uint32(); n > 0 && len(*f) > 0; n-- {
			f.text()
			f.text()
		}
	}
	return a
}

func (a attributes) is(kind uint32) bool { return a.has&attrPerm != 0 && a.perm&modeType == kind }

// stat returns what is at a path; ok is false if there is nothing.
func (s *sftpSession) stat(kind byte, name string) (a attributes, ok bool, err error) {
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
func (s *sftpSession) refused(err error, dir string) error {
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

func (s *sftpSession) statfs(dir string) (r room, known bool) {
	if !s.has[extStatfs] {
		return r, false
	}
	f, err := s.call(fxExtended, fxExtendedReply, extStatfs, dir)
	if err != nil || len(f) < 11*8 {
		return r, false
	}
	_, unit := f.uint64(), f.uint64()
	blocks, _ := f.uint64(), f.uint64()
	available := f.uint64()
	_, _, _, _ = f.uint64(), f.uint64(), f.uint64(), f.uint64()
	r.readOnly = f.uint64()&1 != 0
	r.free = available * unit
	if blocks == 0 || unit != 0 && r.free/unit != available { // of the first, nothing is known
		r.free = 1<<64 - 1
	}
	return r, true
}
