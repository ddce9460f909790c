package simfleet

import (
	"crypto/rand"
	"encoding/binary"

	"golang.org/x/crypto/ssh"
)

func closeAfterKexinit(c *conn) {
	if c.sayKexinit() {
		c.hangUp()
	}
}

func stallKex(c *conn) {
	if c.sayKexinit() {
		c.drain()
	}
}

func noCommonAlgorithm(_ *conn, config *ssh.ServerConfig) {
	config.KeyExchanges = []string{ssh.InsecureKeyExchangeDH1SHA1}
}

func wrongHostkey(c *conn, config *ssh.ServerConfig) {
	config.AddHostKey(c.fleet.keys.changed(c.host))
}

// sayKexinit sends the version line and the KEXINIT of a good host.
func (c *conn) sayKexinit() bool {
	all := ssh.SupportedAlgorithms()
	message := kexInit{
		KeyExchanges: all.KeyExchanges, HostKeys: []string{ssh.KeyAlgoED25519},
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
