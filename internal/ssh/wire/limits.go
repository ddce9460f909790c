package wire

import "time"

// Limits that hold for every connection. They bound what a server can make us
// hold, read or compute; what goes beyond is a KindAbuse or KindProtocol error.
const (
	// MaxPacket is the longest packet taken, in bytes, its length field and tag
	// included. RFC 4253 §6.1 asks for 35,000 at least; OpenSSH's packet.c
	// allows 256 KiB.
	MaxPacket = 256 << 10
	// MaxPreAuth bounds all bytes received before authentication has succeeded,
	// over all key exchanges and with the greeting.
	MaxPreAuth = 1 << 20
	// MaxGreetingLines bounds the lines before the version line (RFC 4253
	// §4.2), as OpenSSH's kex.c does.
	MaxGreetingLines = 1024
	// MaxVersionLine is the longest version line, CR and LF included (RFC 4253
	// §4.2).
	MaxVersionLine = 255
	// MaxGreetingLine is the longest line before it, which the RFC leaves open.
	MaxGreetingLine = 8 << 10
	// MaxGreeting is how much is kept of what came before the version line.
	MaxGreeting = 4 << 10
	// MaxBanners and MaxBannerBytes bound the USERAUTH_BANNER messages
	// (RFC 4252 §5.4) of a connection.
	MaxBanners     = 16
	MaxBannerBytes = 64 << 10
	// MaxPrompts bounds the prompts of one INFO_REQUEST and MaxPromptRounds
	// their number (RFC 4256 §3.2 leaves both open).
	MaxPrompts      = 8
	MaxPromptRounds = 8
	// DefaultWindow is how much a server may send on a channel before what it
	// sent has been consumed (RFC 4254 §5.2), in bytes.
	DefaultWindow = 2 << 20
	// MaxData is the longest channel data message taken, in bytes (RFC 4254
	// §5.1, maximum packet size).
	MaxData = 32 << 10
	// DefaultRekeyBytes is how many bytes go in one direction before we exchange
	// keys anew (RFC 4253 §9).
	DefaultRekeyBytes = 1 << 30
	// MaxRekeyPackets is how many packets go in one direction before that
	// (RFC 4344 §3.1).
	MaxRekeyPackets = 1 << 31

	// freeRekeys is how many key exchanges a server may begin beyond one per
	// MiB; each second gives one back.
	freeRekeys = 128
	// freeNoise is how many messages without use a server may send at once;
	// each second gives noisePerSecond back. A keepalive a second never reaches
	// it.
	freeNoise      = 1000
	noisePerSecond = 10
	// maxQueued bounds what waits for the end of a key exchange to be sent, and
	// the answers in Output that a server makes pile up by not reading them, in
	// bytes.
	maxQueued = 1 << 20
	// maxDisconnectText bounds what is kept of a reason (RFC 4253 §11.1).
	maxDisconnectText = 200
	// maxExtensions bounds the extensions of an EXT_INFO (RFC 8308 §2.3).
	maxExtensions = 64
	// maxMethods bounds the methods of a USERAUTH_FAILURE (RFC 4252 §5.1), and
	// maxMethodsText their list, in bytes.
	maxMethods     = 64
	maxMethodsText = 4 << 10
	// maxAlgorithmsText bounds server-sig-algs (RFC 8308 §3.1), in bytes; a
	// longer one counts as not sent.
	maxAlgorithmsText = 4 << 10
)

// A budget counts down; time gives back.
type budget struct {
	left, full float64
	perSecond  float64
}

func newBudget(full, perSecond float64) budget {
	return budget{left: full, full: full, perSecond: perSecond}
}

// take spends one and says whether it was there.
func (b *budget) take() bool {
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

func (b *budget) pass(d time.Duration) {
	b.left = min(b.full, b.left+b.perSecond*d.Seconds())
}

func (b *budget) give(n float64) { b.left = min(b.full, b.left+n) }
