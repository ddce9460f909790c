package standard

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"golang.org/x/crypto/ssh"

	"shoal/connect/cause"
	"shoal/fleet"
)

// reasonDeadline stands for "the phase's deadline passed" until the phase names
// it. It never leaves the package.
const reasonDeadline fleet.Reason = "deadline"

// classify names the end of an open connection: err is what the library gave,
// wireErr what reading from the connection gave, if it ended.
func classify(err, wireErr error) (fleet.Reason, error) {
	if _, ok := errors.AsType[*ssh.AlgorithmNegotiationError](err); ok {
		return fleet.ReasonNoCommonAlgorithm, tame(err)
	}
	if isDisconnect(err) {
		return fleet.ReasonDisconnected, tame(err)
	}
	for _, e := range []error{err, wireErr} {
		if cause.TimedOut(e) {
			return reasonDeadline, e
		}
		// The library gives io.EOF for other things too.
		if r, named, ok := cause.Link(e); ok && !errors.Is(e, io.EOF) {
			return r, named
		}
	}
	return fleet.ReasonProtocolError, tame(err)
}

// isDisconnect finds SSH_MSG_DISCONNECT, which the library gives as an error of
// a type that it does not export. The type's name is all there is to go by; a
// test fails when it changes.
func isDisconnect(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if fmt.Sprintf("%T", err) == "*ssh.disconnectMsg" {
			return true
		}
	}
	return false
}

// maxErrorText bounds the text of a library error, which may hold what the peer
// sent.
const maxErrorText = 600

// tame gives err with a text that is bounded and has no control characters.
func tame(err error) error { return tamed{err} }

type tamed struct{ error }

func (t tamed) Unwrap() error { return t.error }

func (t tamed) Error() string {
	text := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, strings.TrimPrefix(t.error.Error(), "ssh: handshake failed: "))
	if len(text) > maxErrorText {
		text = strings.ToValidUTF8(text[:maxErrorText], "") + "…"
	}
	return text
}
