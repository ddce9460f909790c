package xcrypto

import (
	"io"

	"golang.org/x/crypto/ssh"
)

// watchSigner calls signed with every signature or failure; the library hides a failure when it
// continues with another key. The wrapper implements the same interfaces as s, because the library
// chooses the signature algorithm by them (RFC 8332).
func watchSigner(s ssh.Signer, signed func(*ssh.Signature, error)) ssh.Signer {
	w := watched{s, signed}
	switch s := s.(type) {
	case ssh.MultiAlgorithmSigner:
		return watchedMulti{watchedAlgorithm{w, s}, s}
	case ssh.AlgorithmSigner:
		return watchedAlgorithm{w, s}
	}
	return w
}

type watched struct {
	ssh.Signer
	signed func(*ssh.Signature, error)
}

func (w watched) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return w.report(w.Signer.Sign(rand, data))
}

func (w watched) report(sig *ssh.Signature, err error) (*ssh.Signature, error) {
	w.signed(sig, err)
	return sig, err
}

type watchedAlgorithm struct {
	watched
	signer ssh.AlgorithmSigner
}

func (w watchedAlgorithm) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	return w.report(w.signer.SignWithAlgorithm(rand, data, algorithm))
}

type watchedMulti struct {
	watchedAlgorithm
	multi ssh.MultiAlgorithmSigner
}

func (w watchedMulti) Algorithms() []string { return w.multi.Algorithms() }
