package wire

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// strictServer is the server's answer to strictClient among the key exchange
// methods of the first KEXINIT: with both, strict key exchange holds (OpenSSH's
// PROTOCOL §1.10).
const strictServer = "kex-strict-s-v00@openssh.com"

// ErrNeedsStrict is the cause where what was chosen is safe with strict key
// exchange only (see [NeedsStrict]), and the server does not have that. Dialling
// again without such algorithms helps, unless a *NegotiationError is in the chain
// as well: the server has nothing else.
var ErrNeedsStrict = errors.New("the server lacks strict key exchange, so that packets could be cut out unnoticed")

// A direction is what protects the packets of one direction. mac is "" where
// the cipher authenticates by itself.
type direction struct{ cipher, mac string }

// NeedsStrict reports whether a cipher or a MAC is safe with strict key exchange
// only (CVE-2023-48795): with chacha20-poly1305@openssh.com packets can be cut out
// unnoticed, and the MACs of the encrypted packet do not notice it either; with
// AES in counter mode what follows is garbage, which may be taken for a message.
func NeedsStrict(name string) bool { return name == chachaPoly || strings.HasSuffix(name, etmSuffix) }

// WithoutStrict gives the names that do not need strict key exchange, never nil.
func WithoutStrict(names []string) []string {
	return slices.DeleteFunc(append([]string{}, names...), NeedsStrict)
}

// An agreement is what two KEXINITs come to.
type agreement struct {
	kex, hostKey string
	out, in      direction
	// strict: strict key exchange holds for the connection.
	strict bool
	// guessed: the server's next packet is a wrong guess, to be ignored.
	guessed bool
}

// negotiate finds the agreement of a connection's first two KEXINITs (RFC 4253
// §7.1).
func negotiate(client, server *kexInit) (*agreement, error) {
	strict := slices.Contains(client.kex, strictClient) && slices.Contains(server.kex, strictServer)
	return renegotiate(client, server, strict)
}

// renegotiate finds the agreement of later ones. There the names of strict key
// exchange mean nothing and may be missing: strict is what the first exchange
// came to.
func renegotiate(client, server *kexInit, strict bool) (*agreement, error) {
	var c chooser
	a := &agreement{
		kex:     c.choose("key exchange", client.kex, server.kex),
		hostKey: c.choose("host-key algorithm", client.hostKeys, server.hostKeys),
		strict:  strict,
		guessed: wrongGuess(client, server),
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

// lacksStrict is the failure where name was chosen and is not safe. It tells
// whether anything else is in common.
func lacksStrict(name string, client, server *kexInit) error {
	const source = "CVE-2023-48795"
	safe := *client
	safe.ciphersOut, safe.ciphersIn = WithoutStrict(client.ciphersOut), WithoutStrict(client.ciphersIn)
	safe.macsOut, safe.macsIn = WithoutStrict(client.macsOut), WithoutStrict(client.macsIn)
	if _, err := renegotiate(&safe, server, false); err != nil {
		return fail(KindNoCommonAlgorithm, source, "using %s: %w; without it: %w", name, ErrNeedsStrict, err)
	}
	return fail(KindNoCommonAlgorithm, source, "using %s: %w", name, ErrNeedsStrict)
}

// A chooser keeps the first failure.
type chooser struct{ err error }

// choose gives the first of the client's names that the server has, and "" after
// a failure.
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

// pseudo says whether a name among the key exchange methods is a mark and no
// method (RFC 8308 §2.1, OpenSSH's PROTOCOL).
func pseudo(name string) bool {
	return strings.HasPrefix(name, "ext-info-") || strings.HasPrefix(name, "kex-strict-")
}

// wrongGuess says whether the server sends a first key exchange message that is
// for another method or host key than the two first names of ours (RFC 4253 §7).
func wrongGuess(client, server *kexInit) bool {
	return server.firstFollows &&
		(first(client.kex) != first(server.kex) || first(client.hostKeys) != first(server.hostKeys))
}

// first gives the preferred algorithm of a list, "" where there is none.
func first(names []string) string {
	for _, name := range names {
		if !pseudo(name) {
			return name
		}
	}
	return ""
}
