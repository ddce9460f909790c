package auth

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"shoal/internal/hint"
)

// maxFile bounds a key file, in bytes; the largest keys take a few KiB.
const maxFile = 1 << 20

// A keyFile is what can be read of a key file without a passphrase.
type keyFile struct {
	path      string
	content   []byte
	private   bool          // the file has a private key
	encrypted bool          // the private key needs a passphrase
	hardware  bool          // the private key is a handle for a FIDO authenticator
	sealed    *sealed       // encrypted PKCS #8; otherwise nil
	public    ssh.PublicKey // nil if it cannot be read without the passphrase
	unread    error         // why only the .pub file beside it is used; nil: the file itself is
}

// A leftOut is the reason why a valid file cannot be used here: a notice, not an error.
type leftOut struct{ error }

var (
	errEncrypted = leftOut{errors.New("it is encrypted and there is no way to ask for its passphrase")}
	errBatch     = leftOut{hint.New("it is encrypted, and BatchMode asks for no passphrase", "add it to the agent with ssh-add")}
	errTooLate   = leftOut{errors.New("it is encrypted, and the time to ask for its passphrase is over")}
	errHardware  = leftOut{hint.New("it is a FIDO key, which only an agent can use",
		"add it to the agent with ssh-add, and have SSH_AUTH_SOCK name the agent")}
)

// readKeyFile reads a key file. If that fails, the .pub file beside it may tell which key of
// the agent is meant, as in ssh.
func readKeyFile(path string) (*keyFile, error) {
	f, err := readKey(path)
	if err == nil {
		return f, nil
	}
	if public := publicBeside(path); public != nil {
		return &keyFile{path: path, public: public, hardware: isHardware(public), unread: err}, nil
	}
	return nil, err
}

func readKey(path string) (*keyFile, error) {
	content, info, err := readBounded(path, maxFile)
	if err != nil {
		return nil, err
	}
	f := &keyFile{path: path, content: content}
	block, _ := pem.Decode(content)
	if block == nil {
		f.public, err = parseAuthorized(content)
		return f, err
	}
	defer clear(block.Bytes)
	f.private = true
	if err := checkMode(info); err != nil {
		return nil, err
	}
	return f, f.inspect(block)
}

// inspect determines whether the key is encrypted, its public key, and whether it is safe to
// open.
func (f *keyFile) inspect(block *pem.Block) error {
	switch {
	case block.Type == "OPENSSH PRIVATE KEY":
		c, err := parseContainer(block.Bytes)
		if err == nil {
			err = c.check()
		}
		if err != nil {
			return err
		}
		f.encrypted, f.public = c.kdf != "none", c.publicKey()
		f.hardware = f.public != nil && isHardware(f.public)
	case block.Type == "ENCRYPTED PRIVATE KEY": // RFC 5958 §3
		sealed, err := parseSealed(block.Bytes)
		if err != nil {
			return err
		}
		f.encrypted, f.sealed = true, sealed
		f.public = publicBeside(f.path)
	case strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"): // RFC 1421 §4.6.1.1
		f.encrypted = true
		f.public = publicBeside(f.path)
	}
	return nil
}

// open returns the private key. ask may be nil if the key is not encrypted.
func (f *keyFile) open(ask func(string) ([]byte, error)) (fileSigner, error) {
	signer, err := f.parse(ask)
	if err != nil {
		return fileSigner{}, err
	}
	return newFileSigner(signer)
}

func (f *keyFile) parse(ask func(string) ([]byte, error)) (ssh.Signer, error) {
	if !f.encrypted {
		defer clear(f.content) // it is the private key, and is parsed only once
		return ssh.ParsePrivateKey(f.content)
	}
	if ask == nil {
		return nil, errEncrypted
	}
	var wrong []byte
	defer func() { clear(wrong) }()
	for try := 1; ; try++ {
		passphrase, err := ask(f.path)
		if err != nil {
			return nil, fmt.Errorf("asking for the passphrase: %w", err)
		}
		signer, err := f.decrypt(passphrase)
		again := isWrong(err) && try < maxPassphrases && !bytes.Equal(passphrase, wrong)
		clear(wrong)
		wrong = passphrase
		switch {
		case err == nil:
			return signer, nil
		case again:
		case errors.Is(err, x509.IncorrectPasswordError):
			return nil, errors.New("opening it: the passphrase is wrong")
		default:
			return nil, fmt.Errorf("opening it: %w", err)
		}
	}
}

// maxPassphrases is how often a passphrase is asked for, as ssh does. The same
// wrong one twice, as a program would give it, ends it earlier.
const maxPassphrases = 3

func isWrong(err error) bool {
	return errors.Is(err, x509.IncorrectPasswordError) || errors.Is(err, errPassphrase)
}

func (f *keyFile) decrypt(passphrase []byte) (ssh.Signer, error) {
	if f.sealed != nil {
		return f.sealed.open(passphrase)
	}
	return ssh.ParsePrivateKeyWithPassphrase(f.content, passphrase)
}

func parseAuthorized(content []byte) (ssh.PublicKey, error) {
	key, _, _, _, err := ssh.ParseAuthorizedKey(content)
	if err != nil {
		return nil, errors.New("it is neither a private nor a public key")
	}
	return parsePublic(key.Marshal())
}

// publicBeside reads the .pub file of a private key whose public key is not readable; it
// returns nil if there is no usable one.
func publicBeside(path string) ssh.PublicKey {
	content, _, err := readBounded(path+".pub", maxFile)
	if err != nil {
		return nil
	}
	key, err := parseAuthorized(content)
	if _, ok := key.(*ssh.Certificate); err != nil || ok {
		return nil
	}
	return key
}

func readCertificate(path string) (*ssh.Certificate, error) {
	content, _, err := readBounded(path, maxFile)
	if err != nil {
		return nil, err
	}
	key, err := parseAuthorized(content)
	if err != nil {
		return nil, err
	}
	cert, ok := key.(*ssh.Certificate)
	if !ok {
		return nil, errors.New("it is not a certificate")
	}
	return cert, nil
}
