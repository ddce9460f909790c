package identity

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// maxFile bounds a key file, in bytes; the largest keys take some KiB.
const maxFile = 1 << 20

// A keyFile is a key file as far as it can be read without a passphrase.
type keyFile struct {
	path      string
	content   []byte
	private   bool          // it has a private key
	encrypted bool          // and that needs a passphrase
	public    ssh.PublicKey // nil when only the passphrase would tell
}

var errEncrypted = errors.New("it is encrypted and there is no way to ask for its passphrase")

func readKeyFile(path string) (*keyFile, error) {
	content, info, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	f := &keyFile{path: path, content: content}
	block, _ := pem.Decode(content)
	if block == nil {
		f.public, err = parseAuthorized(content)
		return f, err
	}
	f.private = true
	if err := checkMode(info); err != nil {
		return nil, err
	}
	return f, f.inspect(block)
}

// inspect finds out whether the key is encrypted, what its public half is, and
// whether opening it is safe.
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
	case block.Type == "ENCRYPTED PRIVATE KEY":
		return errors.New("encrypted PKCS #8 cannot be read\nhint: rewrite it in OpenSSH's format with ssh-keygen -p")
	case strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"): // RFC 1421 §4.6.1.1
		f.encrypted = true
		f.public = publicBeside(f.path)
	}
	return nil
}

// open gives the signer of a private key. passphrase may be nil when the key is
// not encrypted.
func (f *keyFile) open(passphrase func(string) ([]byte, error)) (ssh.Signer, error) {
	signer, err := f.parse(passphrase)
	if err != nil {
		return nil, err
	}
	if err := usable(signer.PublicKey()); err != nil {
		return nil, err
	}
	able, ok := signer.(ssh.AlgorithmSigner)
	if !ok {
		return nil, fmt.Errorf("keys of type %q cannot choose how they sign", signer.PublicKey().Type())
	}
	return ssh.NewSignerWithAlgorithms(able, algorithmsOf(signer.PublicKey()))
}

func (f *keyFile) parse(ask func(string) ([]byte, error)) (ssh.Signer, error) {
	if !f.encrypted {
		return ssh.ParsePrivateKey(f.content)
	}
	if ask == nil {
		return nil, errEncrypted
	}
	passphrase, err := ask(f.path)
	if err != nil {
		return nil, fmt.Errorf("asking for the passphrase: %w", err)
	}
	defer clear(passphrase)
	signer, err := ssh.ParsePrivateKeyWithPassphrase(f.content, passphrase)
	if err != nil {
		// The cause names no secret, but tells a wrong passphrase badly.
		return nil, fmt.Errorf("opening it with the passphrase: %w", err)
	}
	return signer, nil
}

func parseAuthorized(content []byte) (ssh.PublicKey, error) {
	fields := bytes.Fields(content)
	if len(fields) > 0 && bytes.Contains(fields[0], []byte("-cert-v")) {
		return nil, errCertificate
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(content)
	if err != nil {
		return nil, errors.New("it is neither a private nor a public key")
	}
	return key, usable(key)
}

// publicBeside reads the .pub file of a private key that does not tell its
// public half; nil when there is none that can be used.
func publicBeside(path string) ssh.PublicKey {
	content, _, err := readBounded(path + ".pub")
	if err != nil {
		return nil
	}
	key, err := parseAuthorized(content)
	if err != nil {
		return nil
	}
	return key
}

// readBounded reads a regular file of at most maxFile bytes.
func readBounded(path string) ([]byte, os.FileInfo, error) {
	// Opening a FIFO would wait for its writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, errors.New("it is not a regular file")
	}
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, nil, err
	}
	if len(content) > maxFile {
		return nil, nil, fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	return content, info, nil
}

// checkMode refuses a private key of ours that others may read or change
// (sshkey_perm_ok in OpenSSH's authfile.c).
func checkMode(info os.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if ok && int(stat.Uid) != os.Getuid() {
		return nil // its owner's matter, as in OpenSSH
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("its mode %#o lets others at it\nhint: chmod 600 the file", mode)
	}
	return nil
}
