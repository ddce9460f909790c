package wire

import (
	"bytes"
	"slices"
)

// An authentication is the state of user authentication (RFC 4252) until it succeeds.
// At most one request is in flight.
type authentication struct {
	asked    bool // SERVICE_REQUEST was sent
	accepted bool // SERVICE_ACCEPT was received (RFC 4253 §10)
	pending  method
	query    []byte // the queried key, as PK_OK repeats it
	asking   bool   // prompts were received and not yet answered
	prompts  int    // number of these prompts

	signatureAlgorithms []string // server-sig-algs (RFC 8308 §3.1)
	banners             int
	bannerBytes         int
	rounds              int // number of INFO_REQUESTs

	lent *[]byte // of Config.Memory: the output's memory; nil: it has none, or its own
}

// A method is the kind of the request in flight.
type method uint8

const (
	methodNone method = iota // no request is in flight
	methodProbeNone
	methodQuery
	methodPublicKey
	methodPassword
	methodInteractive
)

// Services (RFC 4250 §4.7).
const (
	serviceAuth       = "ssh-userauth"
	serviceConnection = "ssh-connection"
)

// SignatureAlgorithms returns the signature algorithms that the server accepts from user
// keys (server-sig-algs), nil if it has not announced them (yet). Requests pipelined with the
// first messages are sent before it is known.
func (c *Client) SignatureAlgorithms() []string {
	if c.auth == nil {
		return nil
	}
	return c.auth.signatureAlgorithms
}

// beginAuth requests the service once and records the method in flight.
func (c *Client) beginAuth(m method) {
	switch {
	case !c.ready:
		panic("wire: authentication before the host key is trusted")
	case c.auth == nil:
		panic("wire: authentication after it has succeeded")
	case c.auth.pending != methodNone:
		panic("wire: a second authentication request while one is in flight")
	}
	c.requestService()
	c.auth.pending = m
}

// RequestService requests the ssh-userauth service (RFC 4253 §10); ServiceAccepted follows.
// The first authentication request does this by itself, without waiting for the answer.
// Call RequestService before it for servers that cannot handle that.
func (c *Client) RequestService() {
	if !c.ready || c.auth == nil {
		panic("wire: RequestService before the host key is trusted, or after authentication")
	}
	c.requestService()
}

func (c *Client) requestService() {
	if !c.auth.asked {
		c.auth.asked = true
		c.send(appendString(message(msgServiceRequest), serviceAuth))
	}
}

// authRequest returns the beginning of a USERAUTH_REQUEST (RFC 4252 §5).
func authRequest(user, method string) []byte { return appendAuthRequest(nil, user, method) }

func appendAuthRequest(dst []byte, user, method string) []byte {
	p := appendString(append(dst, msgUserAuthRequest), user)
	p = appendString(p, serviceConnection)
	return appendString(p, method)
}

// AuthNone requests method "none" (RFC 4252 §5.2). A failure lists the methods that can
// continue.
func (c *Client) AuthNone(user string) {
	c.beginAuth(methodProbeNone)
	c.send(authRequest(user, "none"))
}

// QueryPublicKey asks whether the server would accept a signature by the key (RFC 4252 §7);
// PublicKeyOK or AuthFailure follows. key is in wire format.
func (c *Client) QueryPublicKey(user, algorithm string, key []byte) {
	c.beginAuth(methodQuery)
	p := appendBool(authRequest(user, "publickey"), false)
	c.auth.query = slices.Clone(key)
	c.send(appendString(appendString(p, algorithm), key))
}

// SignatureData returns the data to be signed for AuthPublicKey (RFC 4252 §7). It is valid
// for this connection only.
func (c *Client) SignatureData(user, algorithm string, key []byte) []byte {
	if !c.ready {
		panic("wire: a signature before the host key is trusted")
	}
	p := make([]byte, 0, 4+len(c.sessionID)+requestRoom+len(user)+len(algorithm)+len(key))
	return appendSignedRequest(appendString(p, c.sessionID), user, algorithm, key)
}

// requestRoom bounds the size of a publickey request without its names and blobs, in bytes.
const requestRoom = 64

func appendSignedRequest(dst []byte, user, algorithm string, key []byte) []byte {
	p := appendBool(appendAuthRequest(dst, user, "publickey"), true)
	return appendString(appendString(p, algorithm), key)
}

// AuthPublicKey authenticates with a signature over SignatureData of the same
// arguments. signature is in wire format: format identifier and blob (RFC 4253 §6.6).
func (c *Client) AuthPublicKey(user, algorithm string, key, signature []byte) {
	c.beginAuth(methodPublicKey)
	p := make([]byte, 0, requestRoom+len(user)+len(algorithm)+len(key)+len(signature))
	c.send(appendString(appendSignedRequest(p, user, algorithm, key), signature))
}

// AuthPassword authenticates with a password (RFC 4252 §8). The password is encrypted at
// once and not kept.
func (c *Client) AuthPassword(user string, password []byte) {
	c.beginAuth(methodPassword)
	p := appendBool(authRequest(user, "password"), false)
	p = appendString(p, password)
	c.send(p)
	clear(p)
}

// takeAuth processes an authentication message (RFC 4252).
func (c *Client) takeAuth(p []byte) (Event, error) {
	number, a := p[0], c.auth
	switch number {
	default: // only servers get it, or nobody knows it
		return nil, c.refuseMessage(number)
	case msgServiceAccept, msgUserAuthFailure, msgUserAuthSuccess, msgUserAuthBanner, msgUserAuthMethod:
	}
	if a == nil {
		return nil, unexpected(number, "after authentication was over", "RFC 4252 §5.1")
	}
	if number == msgServiceAccept {
		return a.takeAccept(p)
	}
	if number == msgUserAuthBanner {
		return a.takeBanner(p)
	}
	if a.pending == methodNone || !a.accepted {
		return nil, unexpected(number, "with no request in flight", "RFC 4252 §5")
	}
	switch number {
	case msgUserAuthFailure:
		return a.takeFailure(p)
	case msgUserAuthMethod:
		return a.takeMethod(p)
	default: // USERAUTH_SUCCESS
		if a.pending == methodQuery {
			return nil, unexpected(number, "out of turn", "RFC 4252 §5.1")
		}
		if len(p) != 1 {
			return nil, malformed(number, "RFC 4252 §5.1")
		}
		c.auth = nil
		c.out.free()
		return AuthSuccess{}, nil
	}
}

// takeAccept processes SERVICE_ACCEPT (RFC 4253 §10). Some servers omit the service name;
// OpenSSH accepts that too.
func (a *authentication) takeAccept(p []byte) (Event, error) {
	r := read(p[1:])
	if len(p) > 1 && (string(r.string()) != serviceAuth || !r.done()) {
		return nil, malformed(msgServiceAccept, "RFC 4253 §10")
	}
	if !a.asked || a.accepted {
		return nil, unexpected(msgServiceAccept, "unasked", "RFC 4253 §10")
	}
	a.accepted = true
	return ServiceAccepted{}, nil
}

// takeBanner processes USERAUTH_BANNER (RFC 4252 §5.4).
func (a *authentication) takeBanner(p []byte) (Event, error) {
	r := read(p[1:])
	text := r.string()
	_ = r.string() // language
	if !r.done() {
		return nil, malformed(msgUserAuthBanner, "RFC 4252 §5.4")
	}
	a.banners++
	a.bannerBytes += len(text)
	if a.banners > MaxBanners || a.bannerBytes > MaxBannerBytes {
		return nil, fail(KindAbuse, "RFC 4252 §5.4", "banners without end: %d of them, %d bytes", a.banners, a.bannerBytes)
	}
	return Banner{text}, nil
}

// takeFailure processes USERAUTH_FAILURE (RFC 4252 §5.1).
func (a *authentication) takeFailure(p []byte) (Event, error) {
	r := read(p[1:])
	list, partial := r.string(), r.bool()
	if !r.done() {
		return nil, malformed(msgUserAuthFailure, "RFC 4252 §5.1")
	}
	if len(list) > maxMethodsText {
		return nil, fail(KindAbuse, "RFC 4252 §5.1", "the list of methods has %d bytes", len(list))
	}
	methods, _, ok := splitNames(string(list), nil)
	if !ok || len(methods) > maxMethods {
		return nil, malformed(msgUserAuthFailure, "RFC 4252 §5.1")
	}
	a.pending, a.rounds, a.asking, a.query = methodNone, 0, false, nil
	return AuthFailure{methods, partial}, nil
}

// takeMethod processes the message whose meaning depends on the method (RFC 4252 §6).
func (a *authentication) takeMethod(p []byte) (Event, error) {
	switch a.pending {
	case methodQuery:
		return a.takeKeyOK(p)
	case methodPassword:
		r := read(p[1:])
		prompt := r.string()
		_ = r.string() // language
		if !r.done() {
			return nil, malformed(msgUserAuthMethod, "RFC 4252 §8")
		}
		a.pending = methodNone
		return PasswordExpired{prompt}, nil
	case methodInteractive:
		return a.takePrompts(p)
	}
	return nil, unexpected(msgUserAuthMethod, "out of turn", "RFC 4252 §6")
}

// takeKeyOK processes PK_OK. Some servers send the key type instead of the queried
// algorithm; therefore only the key is compared, as in OpenSSH.
func (a *authentication) takeKeyOK(p []byte) (Event, error) {
	r := read(p[1:])
	_ = r.string() // algorithm
	key := r.string()
	if !r.done() {
		return nil, malformed(msgUserAuthMethod, "RFC 4252 §7")
	}
	if !bytes.Equal(key, a.query) {
		return nil, fail(KindProtocol, "RFC 4252 §7", "the server says yes to a key that was not asked about")
	}
	a.pending, a.query = methodNone, nil
	return PublicKeyOK{}, nil
}
