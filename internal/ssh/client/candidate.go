package client

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// A candidate is a key to offer.
type candidate struct {
	signer   ssh.Signer
	blob     []byte // the public key, in wire form
	askFirst bool   // a signature needs a touch: query the server first
	sha1     bool   // offered as ssh-rsa
}

// candidates returns the keys to offer, the one with the remembered fingerprint
// first. With sha1 each RSA key is followed by itself as ssh-rsa.
func (d *Dialer) candidates(signers []ssh.Signer, remembered string, sha1 bool) []candidate {
	list := make([]candidate, 0, len(signers))
	for _, s := range signers {
		c := candidate{signer: s, blob: s.PublicKey().Marshal(), askFirst: asksFirst(s)}
		if remembered != "" && len(list) > 0 && d.fingerprint(c.blob) == remembered {
			list = slices.Insert(list, 0, c)
			continue
		}
		list = append(list, c)
	}
	for i := 0; sha1 && i < len(list); i++ {
		if again := list[i]; strings.TrimSuffix(again.signer.PublicKey().Type(), certSuffix) == ssh.KeyAlgoRSA {
			again.sha1 = true
			i++
			list = slices.Insert(list, i, again)
		}
	}
	return list
}

// maxFingerprints limits the cache of fingerprints of a Dialer.
const maxFingerprints = 64

// fingerprint returns ssh.FingerprintSHA256 of a key, cached: a run has few keys.
func (d *Dialer) fingerprint(blob []byte) string {
	d.fingerprints.Lock()
	defer d.fingerprints.Unlock()
	text, ok := d.fingerprints.of[string(blob)]
	if !ok {
		sum := sha256.Sum256(blob)
		text = "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
		if len(d.fingerprints.of) < maxFingerprints {
			d.fingerprints.of[string(blob)] = text
		}
	}
	return text
}

// asksFirst reports whether a signature needs a person, as FIDO keys do.
func asksFirst(s ssh.Signer) bool {
	if a, ok := s.(interface{ AskFirst() bool }); ok {
		return a.AskFirst()
	}
	return strings.HasPrefix(s.PublicKey().Type(), "sk-")
}

const certSuffix = "-cert-v01@openssh.com"

// algorithm returns the name under which the key is offered (RFC 8332 §3.2 for
// RSA), or "" if the server or the target's settings accept none of the key's algorithms.
// taken are those that the server has named; nil means that it has named none yet.
func (c *candidate) algorithm(taken []string, t traits, allowed func(string) bool) string {
	kind := c.signer.PublicKey().Type()
	plain, suffix := kind, ""
	if base, isCert := strings.CutSuffix(kind, certSuffix); isCert {
		plain, suffix = base, certSuffix
	}
	if plain != ssh.KeyAlgoRSA || c.sha1 {
		if c.sha1 && taken != nil && !slices.Contains(taken, plain) || !allowed(kind) {
			return ""
		}
		return kind
	}
	sha2 := []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	if t.rsa256 && taken == nil {
		sha2 = []string{ssh.KeyAlgoRSASHA256}
	}
	for _, name := range sha2 {
		if (taken == nil || slices.Contains(taken, name)) && c.signsWith(name) && allowed(name+suffix) {
			return name + suffix
		}
	}
	return ""
}

// signsWith reports whether the signer supports the algorithm. A signer that cannot
// choose makes SHA-1 signatures, which servers refuse.
func (c *candidate) signsWith(algorithm string) bool {
	switch s := c.signer.(type) {
	case ssh.MultiAlgorithmSigner:
		return slices.Contains(s.Algorithms(), algorithm)
	case ssh.AlgorithmSigner:
		return true
	}
	return false
}

// sign returns the signature in wire form.
func (c *candidate) sign(data []byte, algorithm string) ([]byte, error) {
	var (
		sig *ssh.Signature
		err error
	)
	plain := strings.TrimSuffix(algorithm, certSuffix)
	if s, ok := c.signer.(ssh.AlgorithmSigner); ok && (strings.HasPrefix(plain, "rsa-") || plain == ssh.KeyAlgoRSA) {
		sig, err = s.SignWithAlgorithm(rand.Reader, data, plain)
	} else {
		sig, err = c.signer.Sign(rand.Reader, data)
	}
	if err != nil {
		return nil, err
	}
	wire := make([]byte, 0, 4+len(sig.Format)+4+len(sig.Blob)+len(sig.Rest))
	wire = append(binary.BigEndian.AppendUint32(wire, uint32(len(sig.Format))), sig.Format...)
	wire = append(binary.BigEndian.AppendUint32(wire, uint32(len(sig.Blob))), sig.Blob...)
	return append(wire, sig.Rest...), nil
}
