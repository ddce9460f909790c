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
	"shoal/internal/ssh/sshreason"
	"shoal/internal/ssh/wire"
)

// reasonDeadline stands for "the phase's deadline passed" until the phase names
// it. It never leaves the package.
const reasonDeadline fleet.Reason = "deadline"

// classify names the end of an open connection: err is what the library gave,
// wireErr what reading from the connection gave, if it ended.
func classify(err, wireErr error) (fleet.Reason, error) {
	if missing, ok := errors.AsType[*ssh.AlgorithmNegotiationError](err); ok {
		return fleet.ReasonNoCommonAlgorithm, nothingInCommon(tame(err), missing.RequestedAlgorithms)
	}
	if isDisconnect(err) {
		return fleet.ReasonDisconnected, tame(err)
	}
	for _, e := range []error{err, wireErr} {
		if sshreason.TimedOut(e) {
			return reasonDeadline, e
		}
		// The library gives io.EOF for other things too.
		if r, named, ok := sshreason.Link(e); ok && !errors.Is(e, io.EOF) {
			return r, named
		}
	}
	return fleet.ReasonProtocolError, tame(err)
}

// nothingInCommon adds why what the server has is not offered.
func nothingInCommon(err error, theirs []string) error {
	i := slices.IndexFunc(theirs, func(name string) bool { return wire.NeedsStrict(name) && modern(name) })
	if i < 0 {
		return err
	}
	return fmt.Errorf("%w: the server wants %s, which is safe with strict key exchange only (CVE-2023-48795) and not offered by this client\n"+
		"hint: use --client best where the server has strict key exchange; else update its SSH, or have it offer "+
		"aes128-gcm@openssh.com, or aes256-ctr with hmac-sha2-256", err, theirs[i])
}

// modern reports whether the library counts a cipher or a MAC among those without
// known weakness.
func modern(name string) bool {
	all := ssh.SupportedAlgorithms()
	return slices.Contains(all.Ciphers, name) || slices.Contains(all.MACs, name)
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
