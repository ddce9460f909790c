package wire

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// strictServer is the server's counterpart of strictClient among the key exchange methods of
// the first KEXINIT: if both are sent, strict key exchange is used (OpenSSH's PROTOCOL §1.10).
const strictServer = "kex-strict-s-v00@openssh.com"

// ErrNeedsStrict means that a chosen algorithm is safe only with strict key exchange (see
// [NeedsStrict]), which the server does not support. Dialling again without such algorithms
// helps, unless the chain contains a *NegotiationError too: then the server has no others.
var ErrNeedsStrict = errors.New("the server lacks strict key exchange, so that packets could be cut out unnoticed")

// A direction holds the algorithms of one direction. mac is "" if the cipher is an AEAD.
type direction struct{ cipher, mac string }

// NeedsStrict reports whether a cipher or MAC is safe only with strict key exchange
// (CVE-2023-48795). With chacha20-poly1305@openssh.com packets can be removed without being
// detected; encrypt-then-MAC does not detect it either: with AES-CTR the packets that follow
// decrypt to garbage, which may be taken for a message.
func NeedsStrict(name string) bool { return name == chachaPoly || strings.HasSuffix(name, etmSuffix) }

// WithoutStrict returns the names that do not need strict key exchange, never nil.
func WithoutStrict(names []string) []string {
	return slices.DeleteFunc(append([]string{}, names...), NeedsStrict)
}

// An agreement is the result of negotiating two KEXINITs. out is from the client to the server,
// and endpoint.agree makes it the direction that we send in.
type agreement struct {
	kex, hostKey string
	out, in      direction
	// strict means that the connection uses strict key exchange.
	strict bool
	// guessed means that the peer's next packet is a wrong guess, to be ignored.
	guessed bool
}

// negotiate returns the agreement of a connection's first two KEXINITs (RFC 4253 §7.1).
// theirs is that of the peer.
func negotiate(client, server, theirs *kexInit) (*agreement, error) {
	strict := slices.Contains(client.kex, strictClient) && slices.Contains(server.kex, strictServer)
	return renegotiate(client, server, theirs, strict)
}

// renegotiate returns the agreement of later KEXINITs. In these the names of strict key
// exchange have no meaning and may be missing: strict is the result of the first exchange.
func renegotiate(client, server, theirs *kexInit, strict bool) (*agreement, error) {
	var c chooser
	a := &agreement{
		kex:     c.choose("key exchange", client.kex, server.kex),
		hostKey: c.choose("host-key algorithm", client.hostKeys, server.hostKeys),
		strict:  strict,
		guessed: theirs.firstFollows && differs(client, server),
	}
	a.out.cipher = c.choose("cipher, client to server", client.ciphersOut, server.ciphersOut)
	a.in.cipher = c.choose("cipher, server to client", client.ciphersIn, server.ciphersIn)
	if !authenticates(a.out.cipher) {
		a.out.mac = c.choose("MAC, client to server", client.macsOut, server.macsOut)
	}
	if !authenticates(a.in.cipher) {
		a.in.mac = c.choose("MAC, server to client", client.macsIn, server.macsIn)
	}
	c.choose("compression, client to server", client.compOut, server.compOut)
	c.choose("compression, server to client", client.compIn, server.compIn)
	if c.err != nil {
		return nil, c.err
	}
	for _, name := range []string{a.out.cipher, a.in.cipher, a.out.mac, a.in.mac} {
		if !strict && NeedsStrict(name) {
			return nil, lacksStrict(name, client, server)
		}
	}
	return a, nil
}

// lacksStrict returns the error for a chosen algorithm that is unsafe without strict key
// exchange. It contains a *NegotiationError if there is no other common algorithm.
func lacksStrict(name string, client, server *kexInit) error {
	const source = "CVE-2023-48795"
	safe := *client
	safe.ciphersOut, safe.ciphersIn = WithoutStrict(client.ciphersOut), WithoutStrict(client.ciphersIn)
	safe.macsOut, safe.macsIn = WithoutStrict(client.macsOut), WithoutStrict(client.macsIn)
	if _, err := renegotiate(&safe, server, server, false); err != nil {
		return fail(KindNoCommonAlgorithm, source, "using %s: %w; without it: %w", name, ErrNeedsStrict, err)
	}
	return fail(KindNoCommonAlgorithm, source, "using %s: %w", name, ErrNeedsStrict)
}

// A chooser chooses algorithms and keeps the first error.
type chooser struct{ err error }

// choose returns the first of the client's names that the server lists, "" after an error.
func (c *chooser) choose(what string, client, server []string) string {
	if c.err != nil {
		return ""
	}
	for _, name := range client {
		if !pseudo(name) && slices.Contains(server, name) {
			return name
		}
	}
	c.err = &Error{
		Kind:   KindNoCommonAlgorithm,
		Source: "RFC 4253 §7.1",
		Err:    fmt.Errorf("negotiating: %w", &NegotiationError{What: what, Client: client, Server: server}),
	}
	return ""
}

// pseudo reports whether a name among the key exchange methods is an extension marker and not
// a method (RFC 8308 §2.1, OpenSSH's PROTOCOL).
func pseudo(name string) bool {
	return strings.HasPrefix(name, "ext-info-") || strings.HasPrefix(name, "kex-strict-")
}

// differs reports whether a guessed first key exchange packet is wrong: the first method or
// host-key algorithm of one side is not that of the other (RFC 4253 §7).
func differs(client, server *kexInit) bool {
	return first(client.kex) != first(server.kex) || first(client.hostKeys) != first(server.hostKeys)
}

// first returns the first name that is no marker, "" if there is none.
func first(names []string) string {
	for _, name := range names {
		if !pseudo(name) {
			return name
		}
	}
	return ""
}
