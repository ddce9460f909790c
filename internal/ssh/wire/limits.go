package wire

// Limits of every connection. They bound what a server can make us hold, read or compute;
// exceeding one is a KindAbuse or KindProtocol error.
const (
	// MaxPacket is the longest packet accepted, in bytes, including its length field
	// and tag. RFC 4253 §6.1 requires at least 35,000; OpenSSH's packet.c allows
	// 256 KiB.
	MaxPacket = 256 << 10
	// MaxPreAuth bounds all bytes received before authentication has succeeded,
	// including the greeting and all key exchanges.
	MaxPreAuth = 1 << 20
	// MaxGreetingLines bounds the lines before the version line (RFC 4253
	// §4.2), as OpenSSH's kex.c does.
	MaxGreetingLines = 1024
	// MaxVersionLine is the longest version line, CR and LF included (RFC 4253
	// §4.2).
	MaxVersionLine = 255
	// MaxGreetingLine is the longest line before the version line, in bytes; the RFC
	// sets no limit.
	MaxGreetingLine = 8 << 10
	// MaxGreeting is how many bytes of what precedes the version line are kept.
	MaxGreeting = 4 << 10
	// MaxBanners and MaxBannerBytes bound the USERAUTH_BANNER messages
	// (RFC 4252 §5.4) of a connection.
	MaxBanners     = 16
	MaxBannerBytes = 64 << 10
	// MaxPrompts bounds the prompts of one INFO_REQUEST, MaxPromptRounds the number of
	// INFO_REQUESTs (RFC 4256 §3.2 limits neither).
	MaxPrompts      = 8
	MaxPromptRounds = 8
	// DefaultWindow is how many bytes a server may send on a channel before Consumed is
	// called (RFC 4254 §5.2).
	DefaultWindow = 2 << 20
	// AgentWindow is the window of each channel to our agent, in bytes, and MaxAgentChannels
	// how many of them a server may have open at a time.
	AgentWindow      = 32 << 10
	MaxAgentChannels = 32
	// MaxServerChannels is how many channels a client may have open at a time, and
	// MaxAuthTries how often it may fail to authenticate, as sshd's default.
	MaxServerChannels = 64
	MaxAuthTries      = 6
	// MaxData is the most data accepted in one channel message, in bytes (RFC 4254
	// §5.1, maximum packet size).
	MaxData = 32 << 10
	// turnPackets bounds the messages that Window counts.
	turnPackets = 256
	// minAgentData is the least that a server's channel to our agent must accept in one message,
	// in bytes: an answer is sent in one go.
	minAgentData = 256
	// DefaultRekeyBytes is how many bytes are transferred in one direction before we
	// rekey (RFC 4253 §9).
	DefaultRekeyBytes = 1 << 30
	// MaxRekeyPackets is how many packets are transferred in one direction before we
	// rekey (RFC 4344 §3.1).
	MaxRekeyPackets = 1 << 31

	// freeRekeys is how many key exchanges a server may begin beyond one per
	// MiB; the budget refills by rekeysPerSecond. All of them at once cost us some 30 ms, and half a
	// second with P-521. A server that exchanges keys every 64 KiB has 8 MiB of output with them.
	freeRekeys      = 128
	rekeysPerSecond = 1
	// freeNoise is how many useless messages a server may send in a burst; the
	// budget refills by noisePerSecond. One keepalive per second never exhausts it.
	freeNoise      = 1000
	noisePerSecond = 10
	// maxQueued bounds, in bytes, the messages queued during a key exchange, and the
	// answers in Output that accumulate while a server does not read them.
	maxQueued = 1 << 20
	// maxDisconnectText bounds the bytes kept of a DISCONNECT's text (RFC 4253 §11.1).
	maxDisconnectText = 200
	// maxExtensions bounds the extensions of an EXT_INFO (RFC 8308 §2.3).
	maxExtensions = 64
	// maxMethods bounds the methods of a USERAUTH_FAILURE (RFC 4252 §5.1), and
	// maxMethodsText their list, in bytes.
	maxMethods     = 64
	maxMethodsText = 4 << 10
	// maxAlgorithmsText bounds server-sig-algs (RFC 8308 §3.1), in bytes; a
	// longer list is ignored.
	maxAlgorithmsText = 4 << 10
)

// A budget counts down and is refilled.
type budget float32

// take spends one unit and reports whether there was one.
func (b *budget) take() bool {
	if *b < 1 {
		return false
	}
	*b--
	return true
}

// give adds n units, up to full.
func (b *budget) give(n float64, full budget) { *b = min(full, *b+budget(n)) }
