package krl

import (
	"crypto/sha1" // legacy fingerprints; a forged one only gets a key revoked
	"crypto/sha256"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// A List is a key revocation list. It is safe for concurrent use.
type List struct {
	// Version is a number that increases from list to list; 0 if the issuer does not use it.
	Version uint64
	// Comment is the issuer's comment, as it is in the file.
	Comment string

	keys        map[string]struct{} // marshalled plain keys
	sha1        map[[sha1.Size]byte]struct{}
	sha256      map[[sha256.Size]byte]struct{}
	authorities map[string]*certificates // by marshalled key; "" for any authority
}

// Revokes returns a description, for people, of what the list revokes about a key. For a
// certificate that may be the certificate, its key or its authority's key. "" means that
// nothing is revoked.
//
// A certificate with serial number 0 is not revoked by serial number: authorities that do not
// number their certificates write 0.
func (l *List) Revokes(key ssh.PublicKey) string {
	cert, ok := key.(*ssh.Certificate)
	if !ok {
		if l.revokesKey(key.Marshal()) {
			return "this key"
		}
		return ""
	}
	authority := cert.SignatureKey.Marshal()
	switch {
	case l.revokesKey(cert.Key.Marshal()):
		return "this key"
	case l.revokesKey(authority):
		return "the authority of its certificate"
	case l.authorities[string(authority)].revoke(cert), l.authorities[""].revoke(cert):
		return fmt.Sprintf("its certificate, serial number %d", cert.Serial)
	}
	return ""
}

func (l *List) revokesKey(blob []byte) bool {
	if _, ok := l.keys[string(blob)]; ok {
		return true
	}
	if _, ok := l.sha256[sha256.Sum256(blob)]; ok {
		return true
	}
	if len(l.sha1) == 0 {
		return false
	}
	_, ok := l.sha1[sha1.Sum(blob)]
	return ok
}

// The sections of a list.
const (
	sectionCertificates = 1
	sectionKeys         = 2
	sectionSHA1         = 3
	sectionSignature    = 4
	sectionSHA256       = 5
	sectionExtension    = 255
)

const (
	magic         = "SSHKRL\n\x00"
	formatVersion = 1
)

// Is reports whether a file begins as a key revocation list does.
func Is(file []byte) bool { return len(file) >= len(magic) && string(file[:len(magic)]) == magic }

// Parse reads a whole list. It does not retain file.
func Parse(file []byte) (*List, error) {
	if !Is(file) {
		return nil, errors.New("not a key revocation list")
	}
	r := reader{rest: file[len(magic):]}
	format := r.uint32()
	if r.err == nil && format != formatVersion {
		return nil, fmt.Errorf("a key revocation list in the format %d; only 1 is known", format)
	}
	l := &List{
		Version:     r.uint64(),
		keys:        make(map[string]struct{}),
		sha1:        make(map[[sha1.Size]byte]struct{}),
		sha256:      make(map[[sha256.Size]byte]struct{}),
		authorities: make(map[string]*certificates),
	}
	r.uint64() // creation time
	r.uint64() // flags: none are defined
	r.string() // reserved
	l.Comment = string(r.string())
	for r.more() {
		kind := r.byte()
		section := reader{rest: r.string()}
		if r.err == nil {
			r.err = l.section(kind, &section)
		}
	}
	if r.err != nil {
		return nil, fmt.Errorf("reading a key revocation list: %w", r.err)
	}
	for _, c := range l.authorities {
		c.sort()
	}
	return l, nil
}

// section reads one section. Errors of r are returned as well.
func (l *List) section(kind byte, r *reader) error {
	switch kind {
	case sectionCertificates:
		l.certificates(r)
	case sectionKeys:
		for r.more() {
			l.keys[string(r.string())] = struct{}{}
		}
	case sectionSHA1:
		for r.more() {
			l.sha1[[sha1.Size]byte(r.exactly(sha1.Size))] = struct{}{}
		}
	case sectionSHA256:
		for r.more() {
			l.sha256[[sha256.Size]byte(r.exactly(sha256.Size))] = struct{}{}
		}
	case sectionSignature:
		return errors.New("it is signed, and signatures of lists are not judged")
	case sectionExtension:
		r.extension()
	default:
		return fmt.Errorf("a section of the unknown kind %d", kind)
	}
	return r.err
}
