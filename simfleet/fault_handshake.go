package simfleet

import (
	"crypto/rand"
	"encoding/binary"
	"net"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"shoal/internal/ssh/wire"
)

func closeAfterKexinit(c *conn) {
	if c.sayKexinit(nil) {
		c.hangUp()
	}
}

func stallKex(c *conn) {
	if c.sayKexinit(nil) {
		c.drain()
	}
}

func noCommonAlgorithm(c *conn) {
	if c.sayKexinit([]string{ssh.InsecureKeyExchangeDH1SHA1}) {
		c.drain()
	}
}

func wrongHostkey(c *conn, s *setup) { s.key = c.fleet.keys.changed(c.host) }

// sayKexinit sends a version line and the KEXINIT of a host with these key exchange methods; nil means
// a good host's.
func (c *conn) sayKexinit(methods []string) bool {
	all := ssh.SupportedAlgorithms()
	if methods == nil {
		methods = all.KeyExchanges
	}
	message := kexInit{
		KeyExchanges: methods, HostKeys: []string{ssh.KeyAlgoED25519},
		CiphersIn: all.Ciphers, CiphersOut: all.Ciphers,
		MACsIn: all.MACs, MACsOut: all.MACs,
		CompressionIn: []string{"none"}, CompressionOut: []string{"none"},
	}
	_, _ = rand.Read(message.Cookie[:])
	return c.say(serverVersion + "\r\n" + string(plainPacket(ssh.Marshal(message))))
}

// kexInit is SSH_MSG_KEXINIT (RFC 4253 §7.1).
type kexInit struct {
	Cookie                        [16]byte `sshtype:"20"`
	KeyExchanges, HostKeys        []string
	CiphersIn, CiphersOut         []string
	MACsIn, MACsOut               []string
	CompressionIn, CompressionOut []string
	LanguagesIn, LanguagesOut     []string
	FirstFollows                  bool
	Reserved                      uint32
}

// plainPacket wraps a payload for the time before encryption (RFC 4253 §6).
func plainPacket(payload []byte) []byte {
	const block, leastPadding, lengths = 8, 4, 4 + 1
	padding := block - (lengths+len(payload))%block
	if padding < leastPadding {
		padding += block
	}
	packet := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)+padding)) // small
	packet = append(packet, byte(padding))
	packet = append(packet, payload...)
	return append(packet, make([]byte, padding)...)
}

// What sshd says to a client that it turns away, before any version line.
const (
	exceededMaxStartups = "Exceeded MaxStartups\r\n"     // OpenSSH before 9.8
	notAllowedNow       = "Not allowed at this time\r\n" // since 9.8
)

// throttle is sshd's: the text, and the connection closed without a look at
// what the client has sent, so that after the text the client sees EOF or RST.
func throttle(c *conn, text string) { c.say(text) }

// reset makes the close an RST. It waits for the client's first byte, or the
// RST could overtake the end of the client's connect and look like a failed
// dial.
func reset(c *conn) {
	_, _ = c.Read(make([]byte, readAhead))
	if tcp, ok := c.raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

func slowBanner(c *conn) {
	for line := range strings.SplitSeq(serverVersion+"\r\n", "") {
		if !c.say(line) || !c.pause(time.Second) {
			return
		}
	}
	c.drain()
}

// endlessBanner sends lines that RFC 4253 §4.2 allows before the version line,
// but for their number.
func endlessBanner(c *conn) {
	lines := strings.Repeat("This is not the version line yet.\r\n", 100)
	for c.link(len(lines)) && c.say(lines) {
	}
}

const httpAnswer = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n" +
	"<html><body><h1>400 Bad Request</h1></body></html>\r\n"

func notSSH(c *conn) {
	var request [512]byte
	if _, err := c.Read(request[:]); err == nil && c.say(httpAnswer) {
		c.hangUp()
	}
}

func closeAfterVersion(c *conn) {
	if c.say(serverVersion + "\r\n") {
		c.hangUp()
	}
}

// say sends text as it is, and says whether the connection took it.
func (c *conn) say(text string) bool {
	_, err := c.Write([]byte(text))
	return err == nil
}

func authRefused(_ *conn, s *setup) {
	s.login = func(w *wireServer, _ wire.AuthRequest) { w.server.Reject(false, wire.MethodPublicKey) }
}

func authStall(_ *conn, s *setup) {
	s.login = func(*wireServer, wire.AuthRequest) {}
}

func authBannerFlood(_ *conn, s *setup) {
	banner := strings.Repeat("All activity may be monitored.\r\n", 128)
	s.login = func(w *wireServer, _ wire.AuthRequest) {
		w.commands.Go(func() { w.flood(func() bool { w.server.SendBanner(banner); return true }) })
	}
}
