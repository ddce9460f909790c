package openssh

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh/sshreason"
	"shoal/internal/ssh/wire"
)

// Message numbers of the key exchange (RFC 4253 §12, RFC 4419 §5, RFC 5656 §4).
const (
	msgKexInit  = 20
	msgNewKeys  = 21
	msgKexReply = 31 // with K_S first, except in group exchange, where it is the group
	msgGexReply = 33 // with K_S first
)

// maxPacket bounds a packet of the key exchange, in bytes (PACKET_MAX_SIZE of packet.h).
const maxPacket = 256 << 10

// bufferSize is that of each direction, in bytes.
const bufferSize = 16 << 10

// down carries the server's bytes to the program.
func (l *login) down() {
	from := bufio.NewReaderSize(l.server, bufferSize)
	err := carryPlain(from, l.process.stdin, l.received)
	if err == nil {
		_, err = io.Copy(onlyWriter{l.process.stdin}, onlyReader{from})
	} else {
		l.blame(err)
	}
	close(l.unread)
	wait := patience // for what it says
	switch {
	case l.letIn.Load():
		l.linger()
	case l.ctx.Err() != nil || sshreason.TimedOut(err):
		wait = 0
	}
	l.process.hangUp(wait)
}

// linger waits until the attempt has ended, or for a while: a program that is told that the server
// has ended the connection drops what it has not passed on over the control socket yet.
func (l *login) linger() {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-l.server.Done():
	case <-timer.C:
	}
}

// up carries the program's bytes to the server. It ends when the program has closed its
// output.
func (l *login) up() {
	defer l.process.closed()
	defer func() { _ = l.process.stdout.Close() }() // else the program waits to say goodbye
	from := bufio.NewReaderSize(l.process.stdout, bufferSize)
	to := toServer{l}
	if err := carryPlain(from, to, l.sent); err != nil {
		l.blame(err)
		return
	}
	if _, err := io.Copy(to, onlyReader{from}); sshreason.TimedOut(err) {
		_ = l.server.Raise(l.attempt.Fail(fleet.OutcomeNeverStarted, fleet.ReasonStalled, sshreason.TimeoutError(fleet.PhaseRun, l.timeouts, false)))
	}
}

// toServer writes to the server, and records that this fails.
type toServer struct{ l *login }

func (w toServer) Write(p []byte) (int, error) {
	n, err := w.l.server.Write(p)
	if err != nil {
		w.l.unwritable.Store(true)
	}
	return n, err
}

// onlyReader and onlyWriter keep io.Copy from the buffers of others: it uses one of its own.
type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)

// blame records a violation of the protocol, or a refused key, and ends the connection. Other
// errors are those of reading and writing, which end it by themselves.
func (l *login) blame(err error) {
	switch f, ok := errors.AsType[*fleet.Error](err); {
	case ok:
		_ = l.server.Raise(f)
	case errors.Is(err, errPacket):
		_ = l.server.Raise(l.attempt.Fail(fleet.OutcomeNeverStarted, fleet.ReasonProtocolError, err))
	default:
		return
	}
	_ = l.server.Close()
	l.process.stop()
}

var errPacket = errors.New("a packet of the key exchange has an impossible length")

// carryPlain carries the version line and the packets until NEWKEYS, after which everything
// is encrypted (RFC 4253 §7.3). Each packet is passed to see before it goes on.
func carryPlain(from *bufio.Reader, to io.Writer, see func(payload []byte) error) error {
	line, err := from.ReadSlice('\n')
	if err != nil {
		return err
	}
	if _, err := to.Write(line); err != nil {
		return err
	}
	for {
		packet := make([]byte, 4, 4<<10)
		if _, err := io.ReadFull(from, packet); err != nil {
			return err
		}
		n := binary.BigEndian.Uint32(packet)
		if n < 2 || n > maxPacket {
			return fmt.Errorf("%w: %d bytes", errPacket, n)
		}
		packet = slices.Grow(packet, int(n))[:4+n]
		if _, err := io.ReadFull(from, packet[4:]); err != nil {
			return err
		}
		padding := int(packet[4])
		if padding+2 > int(n) { // the padding's length and a message number
			return fmt.Errorf("%w: %d bytes of %d are padding", errPacket, padding, n)
		}
		payload := packet[5 : 4+int(n)-padding]
		if err := see(payload); err != nil {
			return err
		}
		if _, err := to.Write(packet); err != nil {
			return err
		}
		if payload[0] == msgNewKeys {
			return nil
		}
	}
}

// received sees a packet of the server before the program does.
func (l *login) received(payload []byte) error {
	switch payload[0] {
	case msgKexInit:
		return l.keepKexInit(&l.theirs, payload)
	case msgKexReply:
		if l.groupExchange() {
			return nil
		}
	case msgGexReply:
	default:
		return nil
	}
	if err := l.strict(); err != nil {
		return l.attempt.Fail(fleet.OutcomeNeverStarted, fleet.ReasonNoCommonAlgorithm, err)
	}
	var reply struct {
		HostKey []byte
		Rest    []byte `ssh:"rest"`
	}
	if err := xssh.Unmarshal(payload[1:], &reply); err != nil {
		return l.attempt.Fail(fleet.OutcomeNeverStarted, fleet.ReasonProtocolError, fmt.Errorf("reading the server's key exchange: %w", err))
	}
	l.mu.Lock()
	again := l.answered
	l.mu.Unlock()
	if again && !l.sameKey(reply.HostKey) {
		return l.attempt.FailIn(fleet.PhaseHostkey, fleet.OutcomeNeverStarted, fleet.ReasonHostkeyChanged,
			errors.New("the server brought another host key in the same key exchange"))
	} else if again {
		return nil
	}
	if f := l.judge(reply.HostKey); f != nil {
		return f
	}
	return nil
}

// sent sees a packet of the program before the server does.
func (l *login) sent(payload []byte) error {
	switch payload[0] {
	case msgKexInit:
		return l.keepKexInit(&l.ours, payload)
	case msgNewKeys:
		l.mu.Lock()
		verdict := l.answered
		l.mu.Unlock()
		if !verdict { // it must not log in
			return l.attempt.FailIn(fleet.PhaseHostkey, fleet.OutcomeNeverStarted, fleet.ReasonHostkeyFailed,
				errors.New("ssh went on without a host key that could be checked"))
		}
		l.attempt.Timeline.Enter(fleet.PhaseAuth)
		l.server.Until(l.timeouts.Auth)
		l.agent.begin(l.server.Deadline())
		close(l.encrypted)
	}
	return nil
}

// A kexInit is SSH_MSG_KEXINIT (RFC 4253 §7.1).
type kexInit struct {
	Cookie                [16]byte `sshtype:"20"`
	Kex, HostKeys         []string
	CiphersOut, CiphersIn []string // from client to server, and back
	MACsOut, MACsIn       []string
	CompressOut, Compress []string
	LanguagesOut, Langs   []string
	Guess                 bool
	Reserved              uint32
}

func (l *login) keepKexInit(to **kexInit, payload []byte) error {
	var m kexInit
	if err := xssh.Unmarshal(payload, &m); err != nil {
		return l.attempt.Fail(fleet.OutcomeNeverStarted, fleet.ReasonProtocolError, fmt.Errorf("reading a KEXINIT: %w", err))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	*to = &m
	return nil
}

// strict returns an error if an algorithm is used that is safe with strict key exchange only,
// and without it.
func (l *login) strict() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ours == nil || l.theirs == nil ||
		slices.Contains(l.ours.Kex, "kex-strict-c-v00@openssh.com") && slices.Contains(l.theirs.Kex, "kex-strict-s-v00@openssh.com") {
		return nil
	}
	for _, name := range negotiated(l.ours, l.theirs) {
		if wire.NeedsStrict(name) {
			return fmt.Errorf("ssh and the server agree on %s, which is safe with strict key exchange only (CVE-2023-48795)\n"+
				"hint: update both, or have the server offer aes128-gcm@openssh.com, or aes256-ctr with hmac-sha2-256", name)
		}
	}
	return nil
}

// groupExchange reports whether the method negotiated is that of RFC 4419.
func (l *login) groupExchange() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ours == nil || l.theirs == nil {
		return false
	}
	return strings.HasPrefix(firstCommon(l.ours.Kex, l.theirs.Kex), "diffie-hellman-group-exchange-")
}

// A kind is one of the lists that are negotiated.
type kind struct {
	what         string
	ours, theirs []string
}

// kinds returns the lists that must have something in common. Ciphers that authenticate need
// no MAC.
func kinds(ours, theirs *kexInit) []kind {
	list := []kind{
		{"key exchange method", ours.Kex, theirs.Kex},
		{"host key algorithm", ours.HostKeys, theirs.HostKeys},
		{"cipher", ours.CiphersOut, theirs.CiphersOut},
		{"cipher", ours.CiphersIn, theirs.CiphersIn},
	}
	for _, d := range []struct{ cipher, mac kind }{
		{list[2], kind{"MAC", ours.MACsOut, theirs.MACsOut}}, {list[3], kind{"MAC", ours.MACsIn, theirs.MACsIn}},
	} {
		cipher := firstCommon(d.cipher.ours, d.cipher.theirs)
		if !strings.Contains(cipher, "-gcm@") && !strings.HasPrefix(cipher, "chacha20-poly1305") {
			list = append(list, d.mac)
		}
	}
	return list
}

// negotiated returns the algorithms in use.
func negotiated(ours, theirs *kexInit) []string {
	if ours == nil || theirs == nil {
		return nil
	}
	var names []string
	for _, k := range kinds(ours, theirs) {
		names = append(names, firstCommon(k.ours, k.theirs))
	}
	return names
}

// firstCommon returns the first of ours that is in theirs (RFC 4253 §7.1), or "".
func firstCommon(ours, theirs []string) string {
	for _, name := range ours {
		if slices.Contains(theirs, name) {
			return name
		}
	}
	return ""
}
