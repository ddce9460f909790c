package auth

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"hash"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

func oid(t testing.TB, text string) asn1.ObjectIdentifier {
	t.Helper()
	var id asn1.ObjectIdentifier
	for part := range strings.SplitSeq(text, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			t.Fatal(err)
		}
		id = append(id, n)
	}
	return id
}

func der(t testing.TB, value any) []byte {
	t.Helper()
	b, err := asn1.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func algorithm(t testing.TB, id string, params any) pkix.AlgorithmIdentifier {
	t.Helper()
	a := pkix.AlgorithmIdentifier{Algorithm: oid(t, id)}
	if params != nil {
		a.Parameters = asn1.RawValue{FullBytes: der(t, params)}
	}
	return a
}

// seal encrypts a key as openssl does.
func seal(t testing.TB, passphrase, cipherID string, size int, prfID string, prf func() hash.Hash, iterations int) []byte {
	t.Helper()
	body, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	salt, iv := []byte("saltsalt"), []byte("0123456789abcdef")
	secret, err := pbkdf2.Key(prf, passphrase, salt, min(iterations, 1000), size)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		t.Fatal(err)
	}
	pad := aes.BlockSize - len(body)%aes.BlockSize
	body = append(body, bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(body, body)
	kdf := pbkdf2Params{Salt: salt, Iterations: iterations}
	if prfID != "" {
		kdf.PRF = algorithm(t, prfID, nil)
	}
	return der(t, encryptedKey{
		Algorithm: algorithm(t, oidPBES2, pbes2Params{
			KDF: algorithm(t, oidPBKDF2, kdf), Cipher: algorithm(t, cipherID, iv),
		}),
		Data: body,
	})
}

func TestEncryptedPKCS8(t *testing.T) {
	t.Parallel()
	want, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		cipher string
		size   int
		prfID  string
		prf    func() hash.Hash
	}{
		{oidAES128CBC, 16, oidHMACSHA256, sha256.New},
		{oidAES192CBC, 24, oidHMACSHA384, sha512.New384},
		{oidAES256CBC, 32, oidHMACSHA512, sha512.New},
		{oidAES256CBC, 32, oidHMACSHA1, sha1.New},
		{oidAES256CBC, 32, "", sha1.New},
	} {
		s, err := parseSealed(seal(t, "x", c.cipher, c.size, c.prfID, c.prf, 10))
		if err != nil {
			t.Fatal(err)
		}
		signer, err := s.open([]byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(signer.PublicKey().Marshal(), want.PublicKey().Marshal()) {
			t.Errorf("%+v: another key", c)
		}
		if _, err := s.open([]byte("y")); !errors.Is(err, errPassphrase) {
			t.Errorf("a wrong passphrase: %v", err)
		}
	}
}

func TestEncryptedPKCS8ThatIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		der  []byte
		want string
	}{
		"iterations":     {seal(t, "x", oidAES256CBC, 32, oidHMACSHA256, sha256.New, maxIterations+1), "5000001 iterations of PBKDF2, more than 5000000"},
		"no iterations":  {seal(t, "x", oidAES256CBC, 32, oidHMACSHA256, sha256.New, 0), "hint: rewrite it"},
		"another cipher": {seal(t, "x", "1.2.840.113549.3.7", 32, oidHMACSHA256, sha256.New, 1), "hint: rewrite it"},
		"another PRF":    {seal(t, "x", oidAES256CBC, 32, "1.2.840.113549.2.8", sha256.New, 1), "hint: rewrite it"},
		"nothing":        {nil, "hint: rewrite it"},
	} {
		if _, err := parseSealed(c.der); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// Whatever is parsed can be opened without a panic and within the limits.
func FuzzSealed(f *testing.F) {
	f.Add(seal(f, "x", oidAES128CBC, 16, oidHMACSHA256, sha256.New, 10))
	f.Add(seal(f, "x", oidAES256CBC, 32, "", sha1.New, 1))
	f.Add([]byte{0x30, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseSealed(b)
		if err != nil {
			return
		}
		if s.iterations < 1 || s.iterations > maxIterations || len(s.data)%aes.BlockSize != 0 || len(s.iv) != aes.BlockSize {
			t.Fatalf("%+v was let through", s)
		}
		s.iterations = 1 // many take longer and change nothing
		_, _ = s.open([]byte("x"))
	})
}
