package engine_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/big"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// A peer is the server's end of one connection in memory: RFC 4253 with one
// algorithm of each kind, byte by byte, and RFC 4252 and 4254 as far as a scenario
// says. It works while the client writes; its answers can be read some time later.
// It is told of losses and cuts, which a socket could not do.
type peer struct {
	*scenario
	changed sync.Cond // with scenario.mu

	// The stream from the client. The kernel accepts bytes beyond lost, which never
	// arrive; a write that would exceed cut writes up to there and fails.
	in, head          []byte
	taken, lost, cut  int
	broken            bool // no more bytes of the stream are understood
	left              bool // the server hears no more
	closed            bool // the client has
	readBy, writeBy   time.Time
	out               []byte    // to the client
	due               time.Time // when it can be read
	end               error     // what comes behind it; nil: silence
	given, most       int       // bytes that the client has got, and gets at the most
	unlike            bool      // bytes that are no packet are among them
	sent              []sent
	clientInit        []byte
	recv, send        gcm
	nextRecv          gcm
	received          uint32 // packets since the client's NEWKEYS
	secured, accepted bool
	authenticated     bool
	queue             [][]byte // what came before authentication, kept for later
	open              bool
	number            byte           // of its channel
	script            func(m []byte) // processes encrypted messages instead of the scenario; nil: none
}

// sent is a message from the server and the offset of its end.
type sent struct {
	number byte
	end    int
}

// Message numbers (RFC 4250 §4.1.2).
const (
	msgDisconnect, msgUnimplemented, msgServiceRequest, msgServiceAccept = 1, 3, 5, 6
	msgKexInit, msgNewKeys, msgKexECDHInit, msgKexECDHReply              = 20, 21, 30, 31
	msgAuthRequest, msgAuthFailure, msgAuthSuccess, msgAuthKeyOK         = 50, 51, 52, 60
	msgOpen, msgOpenConfirmation, msgOpenFailure, msgData, msgEOF        = 90, 91, 92, 94, 96
	msgClose, msgRequest, msgSuccess, msgFailure                         = 97, 98, 99, 100
)

// A gcm is aes128-gcm@openssh.com in one direction (RFC 5647); zero: no keys yet.
type gcm struct {
	aead  cipher.AEAD
	nonce [12]byte
}

func newGCM(key, iv []byte) gcm {
	block, err := aes.NewCipher(key[:16])
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return gcm{aead, [12]byte(iv)}
}

func (g *gcm) step() {
	counter := binary.BigEndian.Uint64(g.nonce[4:])
	binary.BigEndian.PutUint64(g.nonce[4:], counter+1)
}

func appendText(p []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(p, uint32(len(s))), s...)
}

// text removes a string from the front.
func text(p []byte) (string, []byte) {
	if len(p) < 4 || uint64(binary.BigEndian.Uint32(p)) > uint64(len(p)-4) {
		return "", nil
	}
	n := binary.BigEndian.Uint32(p)
	return string(p[4 : 4+n]), p[4+n:]
}

// All peers have the same keys, of the curve that is the fastest here.
var (
	peerHost = func() ssh.Signer {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		signer, err := ssh.NewSignerFromKey(key)
		if err != nil {
			panic(err)
		}
		return signer
	}()
	peerKex, _ = ecdh.P256().NewPrivateKey(bytes.Repeat([]byte{7}, 32))
)

const peerVersion = "SSH-2.0-OpenSSH_9.9"

func peerInit() []byte {
	p := append([]byte{msgKexInit}, make([]byte, 16)...)
	for _, list := range []string{
		"ecdh-sha2-nistp256,kex-strict-s-v00@openssh.com", ssh.KeyAlgoECDSA256,
		"aes128-gcm@openssh.com", "aes128-gcm@openssh.com", "hmac-sha2-256", "hmac-sha2-256", "none", "none", "", "",
	} {
		p = appendText(p, list)
	}
	return append(p, 0, 0, 0, 0, 0)
}

// begin sends the version line and KEXINIT.
func (p *peer) begin() {
	p.out = append(p.out, peerVersion+"\r\n"...)
	p.message(peerInit())
}

// message sends one message.
func (p *peer) message(m []byte) {
	if p.end != nil {
		return
	}
	const block = 16
	pad := block - (5+len(m))%block
	if p.send.aead != nil {
		pad = block - (1+len(m))%block
	}
	if pad < 4 {
		pad += block
	}
	packet := binary.BigEndian.AppendUint32(nil, uint32(1+len(m)+pad))
	packet = append(append(append(packet, byte(pad)), m...), make([]byte, pad)...)
	if p.send.aead != nil {
		packet = append(packet[:4], p.send.aead.Seal(nil, p.send.nonce[:], packet[4:], packet[:4])...)
		p.send.step()
	}
	p.out = append(p.out, packet...)
	p.sent = append(p.sent, sent{m[0], p.given + len(p.out)})
	if p.secured && !p.unlike && p.chance(p.junk) {
		p.unlike = true
		garbage := make([]byte, 36)
		p.fill(garbage)
		p.out = append(p.out, garbage...)
	}
	p.due = time.Now().Add(p.delay)
	p.changed.Broadcast()
}

// leave ends the connection; nil means silently.
func (p *peer) leave(end error) {
	p.left = true
	if p.end == nil {
		p.end = end
	}
	p.changed.Broadcast()
}

// take processes the complete packets received.
func (p *peer) take() {
	for !p.broken {
		if p.head == nil {
			line, rest, ok := bytes.Cut(p.in, []byte("\r\n"))
			if !ok {
				return
			}
			p.head, p.in = line, rest
		}
		if len(p.in) < 4 {
			return
		}
		size := 4 + int(binary.BigEndian.Uint32(p.in))
		var m []byte
		if p.recv.aead == nil {
			if len(p.in) < size {
				return
			}
			m = p.in[4:size]
			p.in = p.in[size:]
		} else {
			size += p.recv.aead.Overhead()
			if len(p.in) < size {
				return
			}
			var err error
			m, err = p.recv.aead.Open(nil, p.recv.nonce[:], p.in[4:size], p.in[:4])
			p.recv.step()
			p.in = p.in[size:]
			if err != nil {
				p.broken = true
				return
			}
		}
		p.received++
		p.packet(m[1:len(m)-int(m[0])], p.taken-len(p.in) <= p.lost)
	}
}

// packet processes a message; arrived means that it has reached the server, and not
// only the client's kernel.
func (p *peer) packet(m []byte, arrived bool) {
	switch m[0] {
	case msgKexInit:
		p.clientInit = m
	case msgKexECDHInit:
		public, _ := text(m[1:])
		p.exchange([]byte(public), arrived)
	case msgNewKeys:
		p.recv, p.received, p.secured = p.nextRecv, 0, true
	default:
		if isExec(m) {
			p.execTaken = true
		}
		if arrived && !p.left {
			p.secureMessage(m)
		}
	}
}

func isExec(m []byte) bool {
	if m[0] != msgRequest {
		return false
	}
	kind, _ := text(m[5:])
	return kind == "exec"
}

// exchange is the key exchange (RFC 5656 §4, RFC 4253 §7.2).
func (p *peer) exchange(public []byte, arrived bool) {
	theirs, err := ecdh.P256().NewPublicKey(public)
	if err != nil {
		p.broken = true
		return
	}
	secret, err := peerKex.ECDH(theirs)
	if err != nil {
		p.broken = true
		return
	}
	k := ssh.Marshal(struct{ K *big.Int }{new(big.Int).SetBytes(secret)})
	blob := peerHost.PublicKey().Marshal()
	var h []byte
	for _, s := range [][]byte{p.head, []byte(peerVersion), p.clientInit, peerInit(), blob, public, peerKex.PublicKey().Bytes()} {
		h = appendText(h, string(s))
	}
	hash := sha256.Sum256(append(h, k...))
	derive := func(letter byte) []byte {
		sum := sha256.Sum256(append(append(append(append([]byte{}, k...), hash[:]...), letter), hash[:]...))
		return sum[:]
	}
	p.nextRecv = newGCM(derive('C'), derive('A')[:12])
	if !arrived {
		return
	}
	signature, err := peerHost.Sign(rand.Reader, hash[:])
	if err != nil {
		panic(err)
	}
	m := appendText([]byte{msgKexECDHReply}, string(blob))
	m = appendText(m, string(peerKex.PublicKey().Bytes()))
	p.message(appendText(m, string(ssh.Marshal(signature))))
	p.message([]byte{msgNewKeys})
	p.send = newGCM(derive('D'), derive('B')[:12])
}

// Read implements net.Conn.
func (p *peer) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		now := time.Now()
		switch {
		case p.closed:
			return 0, net.ErrClosed
		case !p.readBy.IsZero() && !now.Before(p.readBy):
			return 0, os.ErrDeadlineExceeded
		case p.given >= p.most && p.cutEnd != nil:
			p.left = true
			return 0, p.cutEnd
		case len(p.out) > 0 && p.given < p.most && !now.Before(p.due):
			n := min(len(b), len(p.out), p.most-p.given)
			if p.chance(0.3) {
				n = 1 + p.dice.IntN(n)
			}
			copy(b, p.out[:n])
			p.out, p.given = p.out[n:], p.given+n
			return n, nil
		case len(p.out) == 0 && p.end != nil:
			return 0, p.end
		}
		wait := time.Hour // of virtual time: far beyond every deadline
		if !p.readBy.IsZero() {
			wait = min(wait, p.readBy.Sub(now))
		}
		if len(p.out) > 0 && now.Before(p.due) {
			wait = min(wait, p.due.Sub(now))
		}
		timer := time.AfterFunc(wait, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.changed.Broadcast()
		})
		p.changed.Wait()
		timer.Stop()
	}
}

// Write implements net.Conn.
func (p *peer) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		p.late = true
	}
	switch {
	case p.closed:
		return 0, net.ErrClosed
	case !p.writeBy.IsZero() && !time.Now().Before(p.writeBy):
		return 0, os.ErrDeadlineExceeded
	case p.left && p.end != nil && errors.Is(p.end, syscall.ECONNRESET):
		return 0, syscall.EPIPE
	}
	n, err := len(b), error(nil)
	if p.taken+n > p.cut {
		n, err = max(p.cut-p.taken, 0), syscall.EPIPE
	}
	p.in, p.taken = append(p.in, b[:n]...), p.taken+n
	p.take()
	return n, err
}

// Close implements net.Conn.
func (p *peer) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.changed.Broadcast()
	return nil
}

// SetDeadline implements net.Conn.
func (p *peer) SetDeadline(t time.Time) error {
	_ = p.SetWriteDeadline(t)
	return p.SetReadDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (p *peer) SetReadDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.readBy = t
	p.changed.Broadcast()
	return nil
}

// SetWriteDeadline implements net.Conn.
func (p *peer) SetWriteDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writeBy = t
	return nil
}

// LocalAddr implements net.Conn.
func (p *peer) LocalAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// RemoteAddr implements net.Conn.
func (p *peer) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 22} }
