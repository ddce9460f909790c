package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"

	"golang.org/x/crypto/ssh"

	"shoal/internal/hint"
)

// maxIterations bounds the cost of PBKDF2. OpenSSL's default is 2,048 iterations, common advice
// is some 600,000; the maximum takes a few seconds.
const maxIterations = 5_000_000

// A sealed is an EncryptedPrivateKeyInfo (RFC 5958 §3) with scheme PBES2 (RFC 8018 §6.2),
// PBKDF2 and AES in CBC mode, as openssl and ssh-keygen write it.
type sealed struct {
	salt, iv   []byte
	iterations int
	keySize    int // in bytes
	prf        func() hash.Hash
	data       []byte
}

type encryptedKey struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

type pbes2Params struct { // RFC 8018 §A.4
	KDF, Cipher pkix.AlgorithmIdentifier
}

type pbkdf2Params struct { // RFC 8018 §A.2
	Salt       []byte
	Iterations int
	KeySize    int                      `asn1:"optional"`
	PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
}

// Object identifiers (RFC 8018 §C; AES: NIST).
const (
	oidPBES2      = "1.2.840.113549.1.5.13"
	oidPBKDF2     = "1.2.840.113549.1.5.12"
	oidHMACSHA1   = "1.2.840.113549.2.7"
	oidHMACSHA256 = "1.2.840.113549.2.9"
	oidHMACSHA384 = "1.2.840.113549.2.10"
	oidHMACSHA512 = "1.2.840.113549.2.11"
	oidAES128CBC  = "2.16.840.1.101.3.4.1.2"
	oidAES192CBC  = "2.16.840.1.101.3.4.1.22"
	oidAES256CBC  = "2.16.840.1.101.3.4.1.42"
)

var errSealed = hint.New("its encryption (PKCS #8) cannot be read", "rewrite it in OpenSSH's format with ssh-keygen -p")

// parseSealed parses the key without deriving anything.
func parseSealed(der []byte) (*sealed, error) {
	var outer encryptedKey
	var scheme pbes2Params
	var kdf pbkdf2Params
	s := new(sealed)
	if !readDER(der, &outer) || outer.Algorithm.Algorithm.String() != oidPBES2 ||
		!readDER(outer.Algorithm.Parameters.FullBytes, &scheme) || scheme.KDF.Algorithm.String() != oidPBKDF2 ||
		!readDER(scheme.KDF.Parameters.FullBytes, &kdf) ||
		!readDER(scheme.Cipher.Parameters.FullBytes, &s.iv) || len(s.iv) != aes.BlockSize {
		return nil, errSealed
	}
	switch scheme.Cipher.Algorithm.String() {
	case oidAES128CBC:
		s.keySize = 16
	case oidAES192CBC:
		s.keySize = 24
	case oidAES256CBC:
		s.keySize = 32
	}
	switch kdf.PRF.Algorithm.String() {
	case "", oidHMACSHA1: // the default
		s.prf = sha1.New
	case oidHMACSHA256:
		s.prf = sha256.New
	case oidHMACSHA384:
		s.prf = sha512.New384
	case oidHMACSHA512:
		s.prf = sha512.New
	}
	s.salt, s.iterations, s.data = kdf.Salt, kdf.Iterations, outer.Data
	if s.keySize == 0 || s.prf == nil || kdf.KeySize != 0 && kdf.KeySize != s.keySize ||
		s.iterations < 1 || len(s.data) == 0 || len(s.data)%aes.BlockSize != 0 {
		return nil, errSealed
	}
	if s.iterations > maxIterations {
		return nil, fmt.Errorf("its passphrase takes %d iterations of PBKDF2, more than %d", s.iterations, maxIterations)
	}
	return s, nil
}

// readDER decodes exactly one value and reports whether it succeeded.
func readDER(der []byte, value any) bool {
	rest, err := asn1.Unmarshal(der, value)
	return err == nil && len(rest) == 0
}

// errPassphrase names both causes: the format has no integrity check to tell them apart.
var errPassphrase = errors.New("the passphrase is wrong, or the file is damaged")

func (s *sealed) open(passphrase []byte) (ssh.Signer, error) {
	secret, err := pbkdf2.Key(s.prf, string(passphrase), s.salt, s.iterations, s.keySize)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	data := make([]byte, len(s.data))
	defer clear(data)
	cipher.NewCBCDecrypter(block, s.iv).CryptBlocks(data, s.data)
	body, ok := unpad(data)
	if !ok {
		return nil, errPassphrase
	}
	key, err := x509.ParsePKCS8PrivateKey(body)
	if err != nil {
		return nil, errPassphrase
	}
	return ssh.NewSignerFromKey(key)
}

// unpad removes the padding (RFC 8018 §6.1.1). Timing does not matter: a local file is opened
// once.
func unpad(b []byte) ([]byte, bool) {
	n := int(b[len(b)-1])
	if n == 0 || n > aes.BlockSize || n > len(b) {
		return nil, false
	}
	for _, pad := range b[len(b)-n:] {
		if int(pad) != n {
			return nil, false
		}
	}
	return b[:len(b)-n], true
}
