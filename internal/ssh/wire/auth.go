package wire

import (
	"bytes"
	"slices"
)

// An authentication is the state of RFC 4252 until it has succeeded. One request
// is in flight at a time.
type authentication struct {
	asked    bool // SERVICE_REQUEST has left
	accepted bool // and was accepted (RFC 4253 §10)
	pending  method
	query    []byte // the key that was asked about, as PK_OK repeats it
	asking   bool   // prompts have come and were not answered
	prompts  int    // so many

	signatureAlgorithms []string // server-sig-algs (RFC 8308 §3.1)
	banners             int
	bannerBytes         int
	rounds              int // of prompts
}

// A method is what the request in flight asked for.
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

// SignatureAlgorithms are those that the server takes from keys, nil if it has
// not said so (yet); what is sent with the first messages goes without knowing.
func (c *Client) SignatureAlgorithms() []string {
	if c.auth == nil {
		return nil
	}
	return c.auth.signatureAlgorithms
}

// beginAuth asks for the service once, and notes the request.
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

// RequestService asks for authentication to begin (RFC 4253 §10):
// ServiceAccepted follows. The first request does it by itself, without waiting
// for the answer; call this before it for servers that do not like that.
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

// authRequest begins a USERAUTH_REQUEST (RFC 4252 §5).
func authRequest(user, method string) []byte { return appendAuthRequest(nil, user, method) }

func appendAuthRequest(dst []byte, user, method string) []byte {
	p := appendString(append(dst, msgUserAuthRequest), user)
	p = appendString(p, serviceConnection)
	return appendString(p, method)
}

// AuthNone asks to be let in without proof (RFC 4252 §5.2). The answer lists the
// methods.
func (c *Client) AuthNone(user string) {
	c.beginAuth(methodProbeNone)
	c.send(authRequest(user, "none"))
}

// QueryPublicKey asks whether a signature by the key would do (RFC 4252 §7):
// PublicKeyOK or AuthFailure. key is its wire form.
func (c *Client) QueryPublicKey(user, algorithm string, key []byte) {
	c.beginAuth(methodQuery)
	p := appendBool(authRequest(user, "publickey"), false)
	c.auth.query = slices.Clone(key)
	c.send(appendString(appendString(p, algorithm), key))
}

// SignatureData is what the key's owner has to sign for AuthPublicKey (RFC 4252
// §7): it belongs to this connection alone.
func (c *Client) SignatureData(user, algorithm string, key []byte) []byte {
	if !c.ready {
		panic("wire: a signature before the host key is trusted")
	}
	p := make([]byte, 0, 4+len(c.sessionID)+requestRoom+len(user)+len(algorithm)+len(key))
	return appendSignedRequest(appendString(p, c.sessionID), user, algorithm, key)
}

// requestRoom is what a request by a key has beside its names and blobs, at most.
const requestRoom = 64

func appendSignedRequest(dst []byte, user, algorithm string, key []byte) []byte {
	p := appendBool(appendAuthRequest(dst, user, "publickey"), true)
	return appendString(appendString(p, algorithm), key)
}

// AuthPublicKey authenticates with a signature over SignatureData of the same
// arguments. signature is in wire form: its format and its blob (RFC 4253 §6.6).
func (c *Client) AuthPublicKey(user, algorithm string, key, signature []byte) {
	c.beginAuth(methodPublicKey)
	p := make([]byte, 0, requestRoom+len(user)+len(algorithm)+len(key)+len(signature))
	c.send(appendString(appendSignedRequest(p, user, algorithm, key), signature))
}

// AuthPassword authenticates with a password (RFC 4252 §8). It is encrypted at
// once and not kept.
func (c *Client) AuthPassword(user string, password []byte) {
	c.beginAuth(methodPassword)
	p := appendBool(authRequest(user, "password"), false)
	p = appendString(p, password)
	c.send(p)
	clear(p)
}

// handleAuth takes a message of RFC 4252.
func (c *Client) handleAuth(p []byte) (Event, error) {
	number, a := p[0], c.auth
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

// takeAccept is the server's yes to the service (RFC 4253 §10). Some servers
// leave the service's name out, and OpenSSH lets them.
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

// takeBanner gives a text for the user (RFC 4252 §5.4).
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

// takeFailure is the server's no (RFC 4252 §5.1).
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

// takeMethod takes the message whose meaning is the method's (RFC 4252 §6).
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

// takeKeyOK is the server's yes to a query. Some servers name the key's type and
// not the algorithm that was asked about, so that only the key counts, as in
// OpenSSH.
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
