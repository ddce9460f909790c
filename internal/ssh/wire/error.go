package wire

import (
	"fmt"
	"strings"
)

// A Kind says what sort of end an Error is.
type Kind uint8

// The kinds.
const (
	// KindProtocol: the server broke the protocol.
	KindProtocol Kind = iota + 1
	// KindNotSSH: what came is no SSH server's greeting (RFC 4253 §4.2).
	KindNotSSH
	// KindNoCommonAlgorithm: negotiation failed (RFC 4253 §7.1); the cause is a
	// *NegotiationError.
	KindNoCommonAlgorithm
	// KindIntegrity: a packet was altered, cut or made up on its way (RFC 4253 §6.4).
	KindIntegrity
	// KindHostKey: the host key cannot be used, or its signature is wrong
	// (RFC 4253 §8).
	KindHostKey
	// KindHostKeyChanged: a later key exchange brought another host key.
	KindHostKeyChanged
	// KindAbuse: within the protocol, but beyond a limit of ours; see Limits.
	KindAbuse
	// KindWrongGuess: what was sent early does not fit what the server chose: the
	// key exchange method (RFC 4253 §7.1) or the channel's number (RFC 4254
	// §5.1). No command has run on this connection.
	KindWrongGuess
	// KindDisconnect: SSH_MSG_DISCONNECT came (RFC 4253 §11.1); the cause is a
	// *DisconnectError.
	KindDisconnect
)

// An Error is the end of a connection. After one a Client takes and gives no
// more bytes, but for those that tell the server.
type Error struct {
	Kind Kind
	// Source is where the rule stands that was broken, such as "RFC 4253 §6".
	Source string
	// Err is the cause; what the server sent is quoted in it and bounded.
	Err error
}

func (e *Error) Error() string {
	if e.Source == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("%v (%s)", e.Err, e.Source)
}

func (e *Error) Unwrap() error { return e.Err }

// fail makes an Error; the format's arguments follow fmt.Errorf.
func fail(k Kind, source, format string, args ...any) *Error {
	return &Error{Kind: k, Source: source, Err: fmt.Errorf(format, args...)}
}

// A DisconnectError is the server's reason for leaving (RFC 4253 §11.1).
type DisconnectError struct {
	Code uint32
	// Text is what the server wrote, at most 200 bytes: hostile until escaped.
	Text string
}

func (e *DisconnectError) Error() string {
	return fmt.Sprintf("the server disconnected, reason code %d: %q", e.Code, e.Text)
}

// A NegotiationError tells that client and server share no algorithm
// (RFC 4253 §7.1).
type NegotiationError struct {
	What           string // such as "key exchange" or "cipher, server to client"
	Client, Server []string
}

func (e *NegotiationError) Error() string {
	return fmt.Sprintf("no %s in common: we have %s, the server has %s",
		e.What, bounded(strings.Join(e.Client, ",")), bounded(strings.Join(e.Server, ",")))
}

// bounded quotes the first 200 bytes of s.
func bounded(s string) string {
	if len(s) > 200 {
		return fmt.Sprintf("%.200q…", s)
	}
	return fmt.Sprintf("%q", s)
}
