package wire

import "bytes"

// Names of the methods (RFC 4252 §5.2, §7, §8; RFC 4256).
const (
	MethodNone        = "none"
	MethodPublicKey   = "publickey"
	MethodPassword    = "password"
	MethodInteractive = "keyboard-interactive"
)

// A pendingAuth is a request that the driver has to answer.
type pendingAuth struct {
	AuthRequest
	signature []byte
	prompts   int // of INFO_REQUEST that the client has to answer
}

// takeEarly answers a message that comes before authentication has succeeded as sshd does.
func (s *Server) takeEarly(number byte) error { return s.refuseMessage(number) }

// takeAuth processes a message of authentication from the client (RFC 4252).
func (s *Server) takeAuth(p []byte) (Event, error) {
	switch number := p[0]; {
	case number == msgServiceRequest:
		return nil, s.takeService(p)
	case number == msgUserAuthRequest && s.auth == nil:
		return nil, s.useless(number) // RFC 4252 §5.1: silently ignored
	case number == msgUserAuthRequest && s.auth.accepted:
		return s.takeRequestToAuth(p)
	case number == msgUserAuthRequest:
		return nil, unexpected(number, "before its service was requested", "RFC 4253 §10")
	case number == msgUserAuthAnswer && s.auth != nil && s.request.prompts > 0:
		return s.takeAnswers(p)
	default:
		return nil, s.refuseMessage(number)
	}
}

// takeService processes SERVICE_REQUEST (RFC 4253 §10).
func (s *Server) takeService(p []byte) error {
	r := read(p[1:])
	name := r.string()
	if !r.done() {
		return malformed(msgServiceRequest, "RFC 4253 §10")
	}
	if string(name) != serviceAuth || s.auth == nil || s.auth.accepted {
		return fail(KindProtocol, "RFC 4253 §10", "the client requests the service %.40q", name)
	}
	s.auth.accepted = true
	s.send(appendString(message(msgServiceAccept), serviceAuth))
	return nil
}

// takeRequestToAuth processes USERAUTH_REQUEST (RFC 4252 §5). Nothing is processed after it before
// the driver has answered.
func (s *Server) takeRequestToAuth(p []byte) (Event, error) {
	r := read(bytes.Clone(p[1:])) // the driver may answer later
	s.request = pendingAuth{AuthRequest: AuthRequest{User: string(r.string())}}
	q := &s.request
	service := r.string()
	q.Method = string(r.string())
	switch q.Method {
	case MethodPublicKey:
		q.Signed = r.bool()
		q.Algorithm, q.Key = string(r.string()), r.string()
		if q.Signed {
			q.signature = r.string()
		}
	case MethodPassword:
		change := r.bool()
		q.Password = r.string()
		if change {
			q.NewPassword = r.string()
		}
	case MethodInteractive:
		_, _ = r.string(), r.string() // language, submethods
	default:
		r.rest = nil
	}
	if !r.done() || string(service) != serviceConnection {
		return nil, malformed(msgUserAuthRequest, "RFC 4252 §5")
	}
	s.waiting = true
	return q.AuthRequest, nil
}

// answering panics unless the driver has to answer.
func (s *Server) answering() {
	if s.auth == nil || !s.waiting {
		panic("wire: an answer without an AuthRequest")
	}
	s.waiting = false
}

// Verify reports whether the signature of an AuthRequest is the key's, over the data of RFC 4252
// §7. It answers nothing.
func (s *Server) Verify() bool {
	q := &s.request
	if s.auth == nil || !s.waiting || !q.Signed {
		panic("wire: Verify without a signed AuthRequest")
	}
	data := make([]byte, 0, 4+len(s.sessionID)+requestRoom+len(q.User)+len(q.Algorithm)+len(q.Key))
	data = appendSignedRequest(appendString(data, s.sessionID), q.User, q.Algorithm, q.Key)
	_, err := verifyHostKey(q.Algorithm, q.Key, q.signature, data)
	return err == nil
}

// Accept answers an AuthRequest: a key that is only asked about would be accepted, everything
// else succeeds. It does not verify signatures; see Verify.
func (s *Server) Accept() {
	s.answering()
	if q := &s.request; q.Method == MethodPublicKey && !q.Signed {
		s.send(appendString(appendString(message(msgUserAuthMethod), q.Algorithm), q.Key))
		return
	}
	s.send([]byte{msgUserAuthSuccess})
	s.auth, s.request = nil, pendingAuth{}
	s.out.free()
}

// Reject answers an AuthRequest with these methods that can continue; partial means that the
// request itself has succeeded (RFC 4252 §5.1). After MaxAuthTries failures, those of method "none"
// not counted, it ends the connection instead.
func (s *Server) Reject(partial bool, methods ...string) {
	s.answering()
	if !partial && s.request.Method != MethodNone {
		s.failures++
	}
	s.request = pendingAuth{}
	if s.failures >= MaxAuthTries {
		s.disconnectFor(disconnectProtocol, "Too many authentication failures")
		s.err = fail(KindAbuse, "RFC 4252 §4", "the client has failed to authenticate %d times", s.failures)
		return
	}
	s.send(appendBool(appendNames(message(msgUserAuthFailure), methods), partial))
}

// Ask answers an AuthRequest or AuthAnswers of keyboard-interactive with prompts (RFC 4256 §3.2);
// AuthAnswers follows, or another AuthRequest.
func (s *Server) Ask(name, instruction string, prompts ...Prompt) {
	s.answering()
	s.request.prompts = len(prompts)
	p := appendString(appendString(message(msgUserAuthMethod), name), instruction)
	p = appendUint32(appendString(p, ""), uint32(len(prompts)))
	for _, prompt := range prompts {
		p = appendBool(appendString(p, prompt.Text), prompt.Echo)
	}
	s.send(p)
}

// takeAnswers processes INFO_RESPONSE (RFC 4256 §3.4).
func (s *Server) takeAnswers(p []byte) (Event, error) {
	r := read(bytes.Clone(p[1:]))
	if n := r.uint32(); uint64(n) != uint64(s.request.prompts) {
		return nil, malformed(msgUserAuthAnswer, "RFC 4256 §3.4")
	}
	answers := make([][]byte, s.request.prompts)
	for i := range answers {
		answers[i] = r.string()
	}
	if !r.done() {
		return nil, malformed(msgUserAuthAnswer, "RFC 4256 §3.4")
	}
	s.request.prompts, s.waiting = 0, true
	return AuthAnswers{answers}, nil
}

// AskNewPassword answers an AuthRequest with a password that has expired (RFC 4252 §8).
func (s *Server) AskNewPassword(prompt string) {
	s.answering()
	s.send(appendString(appendString(message(msgUserAuthMethod), prompt), ""))
}

// SendBanner sends a text for the user (RFC 4252 §5.4), until authentication has succeeded.
func (s *Server) SendBanner(text string) {
	if !s.ready || s.auth == nil {
		panic("wire: a banner before the key exchange or after authentication")
	}
	s.send(appendString(appendString(message(msgUserAuthBanner), text), ""))
}
