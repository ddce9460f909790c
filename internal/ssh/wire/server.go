package wire

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"unique"

	"golang.org/x/crypto/ssh"
)

// A Server is the server side of one SSH connection, under the same limits as Client. It must
// not be used concurrently.
//
//	bytes from the client → Receive → Next → events → the driver
//	the driver → Accept, Confirm, Reply, Send, … → Output → bytes to the client
//
// It takes early messages as OpenSSH's sshd does: what comes together with the authentication is
// processed once that has succeeded. If it has failed, messages about channels are answered with
// UNIMPLEMENTED. The numbers of channels are the lowest that are free.
//
// It exists for simulated servers: there is no limit on time, and Inject sends anything.
type Server struct {
	endpoint
	keys    []ssh.Signer
	key     ssh.Signer // that signs this key exchange
	extInfo bool       // the client wants EXT_INFO (RFC 8308 §2.1)

	request  pendingAuth // that waits for the driver
	failures int
}

// NewServer returns a Server whose first bytes are in Output. Each of keys is a host key or a
// certificate with its key; config.HostKeys, EarlyKex and StepByStep have no meaning. It panics
// where config.Validate fails, but for a Version of SSH-1.99, which a server may have (RFC 4253
// §5.1). Many Servers may share config, which must not be changed any more.
func NewServer(config *Config, keys ...ssh.Signer) *Server {
	s := &Server{keys: keys}
	s.start(config, s, true)
	return s
}

// ClientVersion returns the client's identification line without its end, "" before
// VersionReceived.
func (s *Server) ClientVersion() string { return s.theirVersion() }

// Inject sends a payload as it is, for servers that break the protocol. During a key exchange it
// may have to wait, as all messages.
func (s *Server) Inject(payload []byte) {
	if len(payload) == 0 {
		panic("wire: a message without its number")
	}
	s.send(payload)
}

// hostKeyAlgorithms lists the algorithms of the keys, in their order.
func (s *Server) hostKeyAlgorithms() []string {
	var all []string
	for _, key := range s.keys {
		all = append(all, algorithmsOf(key.PublicKey().Type())...)
	}
	return all
}

// algorithmsOf returns the algorithms that a type of keys signs with (RFC 8332 §3).
func algorithmsOf(keyType string) []string {
	base, suffix := keyType, ""
	if plain, cert := strings.CutSuffix(keyType, certSuffix); cert {
		base, suffix = plain, certSuffix
	}
	if base == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512 + suffix, ssh.KeyAlgoRSASHA256 + suffix}
	}
	return []string{base + suffix}
}

// negotiated chooses the host key.
func (s *Server) negotiated(first bool) (Event, error) {
	k := s.kex
	i := slices.IndexFunc(s.keys, func(key ssh.Signer) bool {
		return slices.Contains(algorithmsOf(key.PublicKey().Type()), k.agreed.hostKey)
	})
	s.key = s.keys[i] // the algorithm is one of ours
	if first {
		s.extInfo = slices.Contains(k.theirs.kex, extInfoClient)
	}
	return nil, nil
}

// takeKex takes the client's ephemeral key and answers with ours, the host key and its signature
// of the exchange hash, and NEWKEYS (RFC 5656 §4, draft-ietf-sshm-mlkem-hybrid-kex §2).
func (s *Server) takeKex(p []byte) (Event, error) {
	k := s.kex
	if k == nil || k.agreed == nil || k.next != nil {
		return nil, unexpected(msgKexInitMethod, "out of turn", "RFC 4253 §8")
	}
	r := read(p[1:])
	public := r.string()
	if !r.done() {
		return nil, malformed(msgKexInitMethod, "RFC 5656 §4")
	}
	reply, secret, err := respond(k.agreed.kex, public)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	blob := s.key.PublicKey().Marshal()
	h := endExchangeHash(k.hash, blob, public, reply, secret)
	signature, err := s.sign(h)
	if err != nil {
		return nil, err
	}
	first := s.sessionID == nil
	if first {
		s.sessionID = h
		s.hostKey, s.later = sha256.Sum256(blob), unique.Make(methods{k.agreed.kex, k.agreed.hostKey})
	}
	if err := s.deriveKeys(keyMaterial{k.hash, secret, h, s.sessionID}); err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, 1+3*4+len(blob)+len(reply)+len(signature)), msgKexReplyMethod)
	s.send(appendString(appendString(appendString(out, blob), reply), signature))
	s.useNewSealer()
	if first {
		s.ready = true
		s.sendExtInfo()
	}
	return nil, nil
}

// sign returns the host key's signature of h in wire format (RFC 4253 §6.6).
func (s *Server) sign(h []byte) ([]byte, error) {
	algorithm, _ := strings.CutSuffix(s.kex.agreed.hostKey, certSuffix)
	var signature *ssh.Signature
	var err error
	if signer, ok := s.key.(ssh.AlgorithmSigner); ok {
		signature, err = signer.SignWithAlgorithm(rand.Reader, h, algorithm)
	} else {
		signature, err = s.key.Sign(rand.Reader, h)
	}
	if err != nil {
		return nil, fmt.Errorf("signing a key exchange: %w", err)
	}
	p := appendString(make([]byte, 0, 2*4+len(algorithm)+len(signature.Blob)), signature.Format)
	return appendString(p, signature.Blob), nil
}

// sendExtInfo announces the signature algorithms for user keys (RFC 8308 §3.1).
func (s *Server) sendExtInfo() {
	if !s.extInfo {
		return
	}
	p := appendUint32(message(msgExtInfo), 1)
	p = appendString(p, "server-sig-algs")
	s.send(appendString(p, strings.Join(HostKeyAlgorithms(), ",")))
}
