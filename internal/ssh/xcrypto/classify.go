package xcrypto

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/ssh/algorithms"
	"shoal/internal/ssh/sshreason"
	"shoal/internal/ssh/wire"
)

// reasonDeadline means that the phase's deadline passed, until the phase replaces it by its own
// reason. It never leaves the package.
const reasonDeadline fleet.Reason = "deadline"

// classify returns the reason why an open connection ended. err is the library's error, wireErr
// that which ended the connection, if any.
func classify(err, wireErr error) (fleet.Reason, error) {
	if missing, ok := errors.AsType[*ssh.AlgorithmNegotiationError](err); ok {
		return fleet.ReasonNoCommonAlgorithm, nothingInCommon(tame(err), missing.RequestedAlgorithms)
	}
	if isDisconnect(err) {
		return fleet.ReasonDisconnected, tame(err)
	}
	for _, e := range []error{sshreason.Ended(wireErr, err), wireErr} {
		if sshreason.TimedOut(e) {
			return reasonDeadline, e
		}
		// The library returns io.EOF for other things too.
		if r, named, ok := sshreason.Link(e); ok && !errors.Is(e, io.EOF) {
			return r, named
		}
	}
	return fleet.ReasonProtocolError, tame(err)
}

// nothingInCommon adds why the algorithms of the server are not offered.
func nothingInCommon(err error, theirs []string) error {
	i := slices.IndexFunc(theirs, func(name string) bool { return wire.NeedsStrict(name) && modern(name) })
	if i < 0 {
		return algorithms.Explain(err, theirs)
	}
	return hint.Wrap(fmt.Errorf("%w: the server wants %s, which is safe with strict key exchange only (CVE-2023-48795) and not offered by this client",
		err, theirs[i]),
		"use --client best where the server has strict key exchange; else update its SSH, or have it offer "+
			"aes128-gcm@openssh.com, or aes256-ctr with hmac-sha2-256")
}

// modern reports whether the library considers a cipher or MAC free of known weaknesses.
func modern(name string) bool {
	all := ssh.SupportedAlgorithms()
	return slices.Contains(all.Ciphers, name) || slices.Contains(all.MACs, name)
}

// isDisconnect reports whether err is an SSH_MSG_DISCONNECT. The library's error type is not
// exported, so its name has to be compared; a test fails when it changes.
func isDisconnect(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if fmt.Sprintf("%T", err) == "*ssh.disconnectMsg" {
			return true
		}
	}
	return false
}

// maxErrorText bounds the text of a library error, in bytes; it may contain text from the peer.
const maxErrorText = 600

// tame returns err with a bounded text without control characters.
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
