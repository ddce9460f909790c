package wire

import "golang.org/x/crypto/ssh"

// An Event is what the server did, as far as a driver has to know. What it
// holds of the server's is hostile bytes. Byte slices are valid until the next
// call of Next.
type Event interface{ event() }

// The events of the transport (RFC 4253).
type (
	// VersionReceived is the server's identification, without CR and LF.
	VersionReceived struct{ Identification string }
	// Negotiated is the server's KEXINIT of the first key exchange, and what
	// follows from it.
	Negotiated struct {
		Kex, HostKey, CipherOut, CipherIn string
		// Strict says that both sides keep to strict key exchange
		// (kex-strict-c-v00@openssh.com in OpenSSH's PROTOCOL).
		Strict bool
		// ServerKex and ServerHostKeys are the server's lists, whole.
		ServerKex, ServerHostKeys []string
	}
	// HostKey asks for the verdict on the server's key, whose signature over
	// this key exchange is right. The Client stands still until Trust; to refuse
	// the key, close the connection.
	HostKey struct {
		Algorithm string
		Key       ssh.PublicKey
	}
	// Rekeyed says that a later key exchange is over.
	Rekeyed struct{}
)

// The events of authentication (RFC 4252, RFC 4256).
type (
	// ServiceAccepted says that authentication may begin.
	ServiceAccepted struct{}
	// Banner is a text for the user.
	Banner struct{ Text []byte }
	// AuthFailure is the server's no to the last request. Methods can go on;
	// Partial says that the request was accepted and that more is wanted.
	AuthFailure struct {
		Methods []string
		Partial bool
	}
	// AuthSuccess ends authentication.
	AuthSuccess struct{}
	// PublicKeyOK answers QueryPublicKey: a signature by this key would do.
	PublicKeyOK struct{}
	// PasswordExpired asks for a new password (RFC 4252 §8).
	PasswordExpired struct{ Prompt []byte }
	// Prompts asks for answers (RFC 4256 §3.2), to be given with Answer.
	Prompts struct {
		Name, Instruction []byte
		Prompts           []Prompt
	}
)

// A Prompt is one question of the server's.
type Prompt struct {
	Text []byte
	Echo bool // what is typed may be shown
}

// The events of channels (RFC 4254).
type (
	// ChannelOpened says that the server has opened our channel.
	ChannelOpened struct{ Channel Channel }
	// ChannelRefused says that it has not. The Channel's number is free again.
	ChannelRefused struct {
		Channel Channel
		Code    uint32
		Text    string // at most 200 bytes
	}
	// ChannelIgnored says that the server did not know our CHANNEL_OPEN, because
	// it came before authentication had succeeded (RFC 4253 §11.4): what was sent
	// on the channel did not happen. Its number is free again.
	ChannelIgnored struct{ Channel Channel }
	// Data is output. Consumed opens the window again by what was dealt with.
	Data struct {
		Channel Channel
		Stderr  bool // SSH_EXTENDED_DATA_STDERR
		Bytes   []byte
	}
	// RequestAnswered answers a request that wanted it, in their order.
	RequestAnswered struct {
		Channel Channel
		Request Request
		OK      bool
	}
	// ExitStatus is the command's (RFC 4254 §6.10).
	ExitStatus struct {
		Channel Channel
		Status  uint32
	}
	// ExitSignal is the signal that ended it.
	ExitSignal struct {
		Channel Channel
		Signal  string // without "SIG", at most 64 bytes
		Core    bool
		Text    string // at most 200 bytes
	}
	// EOF says that no more output comes.
	EOF struct{ Channel Channel }
	// Closed says that the channel is closed in both directions. Its number is
	// free again.
	Closed struct{ Channel Channel }
	// Writable says that Send has room again: the window has grown, or a key
	// exchange is over that Send had met.
	Writable struct{ Channel Channel }
	// Alive answers Keepalive.
	Alive struct{}
)

func (VersionReceived) event() {}
func (Negotiated) event()      {}
func (HostKey) event()         {}
func (Rekeyed) event()         {}
func (ServiceAccepted) event() {}
func (Banner) event()          {}
func (AuthFailure) event()     {}
func (AuthSuccess) event()     {}
func (PublicKeyOK) event()     {}
func (PasswordExpired) event() {}
func (Prompts) event()         {}
func (ChannelOpened) event()   {}
func (ChannelRefused) event()  {}
func (ChannelIgnored) event()  {}
func (Data) event()            {}
func (RequestAnswered) event() {}
func (ExitStatus) event()      {}
func (ExitSignal) event()      {}
func (EOF) event()             {}
func (Closed) event()          {}
func (Writable) event()        {}
func (Alive) event()           {}
