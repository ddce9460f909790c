package wire

import "golang.org/x/crypto/ssh"

// An Event is something the other side did that a driver has to know. Bytes and texts from it
// are untrusted. Byte slices are valid until the next call of Next.
type Event interface{ event() }

// The events of the transport (RFC 4253).
type (
	// VersionReceived is the server's identification string without CR and LF.
	VersionReceived struct{ Identification string }
	// Negotiated is the result of the first key exchange's two KEXINITs.
	Negotiated struct {
		Kex, HostKey, CipherOut, CipherIn string
		// Strict reports that both sides use strict key exchange
		// (kex-strict-c-v00@openssh.com in OpenSSH's PROTOCOL).
		Strict bool
		// ServerKex and ServerHostKeys are the server's complete lists.
		ServerKex, ServerHostKeys []string
	}
	// HostKey asks the driver to verify the server's key, whose signature over this
	// key exchange is valid. The Client waits for Trust; to reject the key, close the
	// connection.
	HostKey struct {
		Algorithm string
		Key       ssh.PublicKey
		// Signature is the key's own, of SessionID (RFC 4253 §7.2, §8).
		Signature, SessionID []byte
	}
	// Rekeyed means that a later key exchange is complete.
	Rekeyed struct{}
)

// The events of authentication (RFC 4252, RFC 4256).
type (
	// ServiceAccepted means that authentication may begin.
	ServiceAccepted struct{}
	// Banner is a text for the user.
	Banner struct{ Text []byte }
	// AuthFailure means that the last request did not complete authentication. Methods
	// lists those that can continue; Partial means that the request itself succeeded.
	AuthFailure struct {
		Methods []string
		Partial bool
	}
	// AuthSuccess means that authentication is complete.
	AuthSuccess struct{}
	// PublicKeyOK answers QueryPublicKey: a signature by this key would be accepted.
	PublicKeyOK struct{}
	// PasswordExpired asks for a new password (RFC 4252 §8).
	PasswordExpired struct{ Prompt []byte }
	// Prompts are questions (RFC 4256 §3.2) to be answered with Answer.
	Prompts struct {
		Name, Instruction []byte
		Prompts           []Prompt
	}
)

// A Prompt is one question from the server.
type Prompt struct {
	Text []byte
	Echo bool // what is typed may be shown
}

// The events of channels (RFC 4254).
type (
	// ChannelOpened means that the server has opened our channel.
	ChannelOpened struct{ Channel Channel }
	// ChannelRefused means that it has not. The Channel's number is free again.
	ChannelRefused struct {
		Channel Channel
		Code    uint32
		Text    string // at most 200 bytes
	}
	// ChannelIgnored means that the server answered UNIMPLEMENTED to our CHANNEL_OPEN
	// because authentication had not succeeded (RFC 4253 §11.4): nothing that was sent on
	// the channel had an effect. Its number is free again.
	ChannelIgnored struct{ Channel Channel }
	// AgentOpened means that the server has opened a channel to our agent, which
	// ForwardAgent has offered. The driver closes it when EOF follows.
	AgentOpened struct{ Channel Channel }
	// Data is output. Call Consumed when it was processed, to extend the window.
	Data struct {
		Channel Channel
		Stderr  bool // SSH_EXTENDED_DATA_STDERR
		Bytes   []byte
	}
	// RequestAnswered is the answer to a request, in the order of the requests.
	RequestAnswered struct {
		Channel Channel
		Request Request
		OK      bool
	}
	// ExitStatus is the command's exit status (RFC 4254 §6.10).
	ExitStatus struct {
		Channel Channel
		Status  uint32
	}
	// ExitSignal is the signal that ended the command.
	ExitSignal struct {
		Channel Channel
		Signal  string // without "SIG", at most 64 bytes
		Core    bool
		Text    string // at most 200 bytes
	}
	// EOF means that no more output follows.
	EOF struct{ Channel Channel }
	// Closed means that the channel is closed in both directions. Its number is
	// free again.
	Closed struct{ Channel Channel }
	// Writable means that Send can send more: the window was enlarged, or a key
	// exchange that had blocked Send is complete.
	Writable struct{ Channel Channel }
	// Alive answers Keepalive.
	Alive struct{}
)

// The events of a Server.
type (
	// AuthRequest asks the driver to answer with Accept, Reject, Ask or AskNewPassword. The
	// Server waits for that.
	AuthRequest struct {
		User, Method string
		// Key is the user's key or certificate, in wire format. Unless Signed, the client only
		// asks whether it would be accepted; otherwise see Verify.
		Algorithm string
		Key       []byte
		Signed    bool
		// NewPassword is not nil if the client changes its password (RFC 4252 §8).
		Password, NewPassword []byte
	}
	// AuthAnswers are the answers to Ask, in their order. The Server waits as for AuthRequest.
	AuthAnswers struct{ Answers [][]byte }
	// ChannelRequested asks the driver to Confirm or Refuse a channel before any other message
	// of the client about it.
	ChannelRequested struct {
		Channel Channel
		Kind    string
		Extra   []byte // what depends on Kind
	}
	// ChannelRequest asks the driver to do something and, with WantReply, to call Reply.
	ChannelRequest struct {
		Channel   Channel
		Kind      string
		WantReply bool
		Payload   []byte // what depends on Kind
	}
)

func (AuthRequest) event()      {}
func (AuthAnswers) event()      {}
func (ChannelRequested) event() {}
func (ChannelRequest) event()   {}

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
func (AgentOpened) event()     {}
func (Data) event()            {}
func (RequestAnswered) event() {}
func (ExitStatus) event()      {}
func (ExitSignal) event()      {}
func (EOF) event()             {}
func (Closed) event()          {}
func (Writable) event()        {}
func (Alive) event()           {}
