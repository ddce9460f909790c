package wire

import (
	"fmt"
	"strings"
)

// A Kind classifies an Error.
type Kind uint8

// The kinds.
const (
	// KindProtocol: the server broke the protocol.
	KindProtocol Kind = iota + 1
	// KindNotSSH: the peer sent no SSH version line (RFC 4253 §4.2).
	KindNotSSH
	// KindNoCommonAlgorithm: negotiation failed (RFC 4253 §7.1); the cause is a
	// *NegotiationError.
	KindNoCommonAlgorithm
	// KindIntegrity: a packet was altered, cut or forged in transit (RFC 4253 §6.4).
	KindIntegrity
	// KindHostKey: the host key cannot be used, or its signature is wrong
	// (RFC 4253 §8).
	KindHostKey
	// KindHostKeyChanged: a later key exchange used another host key.
	KindHostKeyChanged
	// KindAbuse: allowed by the protocol, but beyond a limit in limits.go.
	KindAbuse
	// KindWrongGuess: what was sent early does not match what the server chose: the
	// key exchange method (RFC 4253 §7.1) or the channel's number (RFC 4254
	// §5.1). No command has run on this connection.
	KindWrongGuess
	// KindDisconnect: SSH_MSG_DISCONNECT was received (RFC 4253 §11.1); the cause is a
	// *DisconnectError.
	KindDisconnect
)

// An Error ends a connection. After it the Client accepts no bytes and sends none except the
// message that informs the server.
type Error struct {
	Kind Kind
	// Source names the specification of the violated rule, such as "RFC 4253 §6".
	Source string
	// Err is the cause; bytes of the server in its text are quoted and bounded.
	Err error
}

func (e *Error) Error() string {
	if e.Source == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("%v (%s)", e.Err, e.Source)
}

func (e *Error) Unwrap() error { return e.Err }

// fail returns an Error; format and args are as for fmt.Errorf.
func fail(k Kind, source, format string, args ...any) *Error {
	return &Error{Kind: k, Source: source, Err: fmt.Errorf(format, args...)}
}

// A DisconnectError is the reason in the server's SSH_MSG_DISCONNECT (RFC 4253 §11.1).
type DisconnectError struct {
	Code uint32
	// Text is the server's description, at most 200 bytes; untrusted, to be escaped.
	Text string
}

func (e *DisconnectError) Error() string {
	return fmt.Sprintf("the server disconnected, reason code %d: %q", e.Code, e.Text)
}

// A NegotiationError means that client and server share no algorithm (RFC 4253 §7.1).
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
