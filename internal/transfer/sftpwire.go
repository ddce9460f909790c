package transfer

import (
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"path"
	"strconv"
	"sync"

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
	return s
}

// begin starts work, which ends with the attempt.
func (s *sftpPush) begin() {
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
	s.next()
}

// Notify implements ssh.Stream.
func (s *sftpPush) Notify(wake func()) {
	s.exchange.Notify(wake)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.broken {
		s.begin()
	}
}

// end releases s when the attempt has ended.
func (s *sftpPush) end() {
	s.mu.Lock()
	if s.stop != nil {
		s.stop()
	}
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
	if s.stop != nil {
		s.stop()
	}
	s.send(part{}, true)
}

func (s *sftpPush) arrived(b []byte) {
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
