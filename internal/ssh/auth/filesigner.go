package auth

import (
	"fmt"
	"io"

	"golang.org/x/crypto/ssh"
)

// A fileSigner is a private key that was read from a file.
type fileSigner struct {
	public  ssh.PublicKey // the offered key: the plain key or its certificate
	private ssh.AlgorithmSigner
	sha1    bool // see KeySpec.SHA1
	from    string
}

// From returns where the key is from, for people.
func (s fileSigner) From() string { return s.from }

var _ ssh.MultiAlgorithmSigner = fileSigner{}

func newFileSigner(private ssh.Signer) (fileSigner, error) {
	able, ok := private.(ssh.AlgorithmSigner)
	if !ok {
		return fileSigner{}, fmt.Errorf("keys of type %q cannot choose how they sign", private.PublicKey().Type())
	}
	return fileSigner{public: private.PublicKey(), private: able}, usable(private.PublicKey())
}

func (s fileSigner) PublicKey() ssh.PublicKey { return s.public }

func (s fileSigner) Algorithms() []string { return algorithmsOf(s.public) }

func (s fileSigner) Sign(random io.Reader, data []byte) (*ssh.Signature, error) {
	return s.SignWithAlgorithm(random, data, "")
}

// SignWithAlgorithm signs with one of Algorithms; "" means the first.
func (s fileSigner) SignWithAlgorithm(random io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	algorithm, err := chooseAlgorithm(s.public, algorithm, s.sha1)
	if err != nil {
		return nil, err
	}
	return s.private.SignWithAlgorithm(random, data, algorithm)
}
