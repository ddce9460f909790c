package cluster

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/internal/hint"
	"shoal/internal/plainfile"
)

// Namespace is that of the signatures of shards: ssh-keygen -Y verify -n shoal-run checks them too.
const Namespace = "shoal-run"

// The format is that of OpenSSH's PROTOCOL.sshsig.
const (
	sigMagic = "SSHSIG"
	sigHash  = "sha512"
	sigBlock = "SSH SIGNATURE"
)

type sigBlob struct {
	Version                              uint32
	PublicKey                            []byte
	Namespace, Reserved, Hash, Signature string
}

type sigData struct {
	Namespace, Reserved, Hash, Digest string
}

func signedData(message []byte) []byte {
	sum := sha512.Sum512(message)
	return append([]byte(sigMagic), xssh.Marshal(sigData{Namespace, "", sigHash, string(sum[:])})...)
}

// Sign returns an armoured signature of the message.
func Sign(signer xssh.Signer, message []byte) ([]byte, error) {
	var sig *xssh.Signature
	var err error
	if s, ok := signer.(xssh.AlgorithmSigner); ok && signer.PublicKey().Type() == xssh.KeyAlgoRSA {
		sig, err = s.SignWithAlgorithm(rand.Reader, signedData(message), xssh.KeyAlgoRSASHA512)
	} else {
		sig, err = signer.Sign(rand.Reader, signedData(message))
	}
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	blob := xssh.Marshal(sigBlob{1, signer.PublicKey().Marshal(), Namespace, "", sigHash, string(xssh.Marshal(sig))})
	return armour(append([]byte(sigMagic), blob...)), nil
}

// armour is PEM with the lines of 70 characters that ssh-keygen writes.
func armour(blob []byte) []byte {
	var b bytes.Buffer
	b.WriteString("-----BEGIN " + sigBlock + "-----\n")
	for line := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString(blob)), 70) {
		b.Write(line)
		b.WriteByte('\n')
	}
	b.WriteString("-----END " + sigBlock + "-----\n")
	return b.Bytes()
}

// verify returns the key that made the signature of the message.
func verify(message, armoured []byte) (xssh.PublicKey, error) {
	block, rest := pem.Decode(armoured)
	if block == nil || block.Type != sigBlock || len(bytes.TrimSpace(rest)) > 0 || !bytes.HasPrefix(block.Bytes, []byte(sigMagic)) {
		return nil, errors.New("its signature is none of SSH")
	}
	var blob sigBlob
	if err := xssh.Unmarshal(block.Bytes[len(sigMagic):], &blob); err != nil || blob.Version != 1 || blob.Hash != sigHash {
		return nil, errors.New("its signature has a form that is not known here")
	}
	if blob.Namespace != Namespace {
		return nil, fmt.Errorf("its signature is for %.40q, not for %q", blob.Namespace, Namespace)
	}
	key, err := xssh.ParsePublicKey(blob.PublicKey)
	if err != nil {
		return nil, errors.New("its signature has no key that is known here")
	}
	var sig xssh.Signature
	if err := xssh.Unmarshal([]byte(blob.Signature), &sig); err != nil {
		return nil, errors.New("its signature cannot be read")
	}
	if sig.Format == xssh.KeyAlgoRSA { // SHA-1
		return nil, errors.New("its signature is made with SHA-1")
	}
	if err := key.Verify(signedData(message), &sig); err != nil {
		return nil, errors.New("its signature is not of what it says")
	}
	return key, nil
}

// Signers are the keys whose shards a worker runs.
type Signers struct{ keys []allowedKey }

type allowedKey struct {
	principals    string
	key           xssh.PublicKey
	after, before time.Time // zero: no limit
}

// ReadSigners reads a file in the format of ALLOWED SIGNERS of ssh-keygen(1): principals, options,
// key. Certificate authorities are refused.
func ReadSigners(path string) (*Signers, error) {
	file, err := plainfile.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the allowed signers: %w", err)
	}
	defer func() { _ = file.Close() }()
	s, err := parseSigners(file)
	if err != nil {
		return nil, fmt.Errorf("reading the allowed signers in %q: %w", path, err)
	}
	if len(s.keys) == 0 {
		return nil, hint.Wrap(fmt.Errorf("%q allows no signer", path), "a line in it has a name and a public key: ops@example.org ssh-ed25519 AAAA…")
	}
	return s, nil
}

func parseSigners(r io.Reader) (*Signers, error) {
	s := new(Signers)
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		k, err := parseSigner(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if k != nil {
			s.keys = append(s.keys, *k)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

// parseSigner returns nil for a key of other namespaces.
func parseSigner(line string) (*allowedKey, error) {
	end := strings.IndexAny(line, " \t") // an option that is taken for a part of the name limits nothing
	if end < 0 {
		return nil, errors.New("it has a name and no key")
	}
	principals, rest := line[:end], line[end+1:]
	// The rest is as in authorized_keys: options, which may have quotes, and a key.
	key, _, options, _, err := xssh.ParseAuthorizedKey([]byte(rest))
	if err != nil {
		return nil, errors.New("it has no key that can be read")
	}
	k := &allowedKey{principals: principals, key: key}
	for _, o := range options {
		name, value, _ := strings.Cut(o, "=")
		value = strings.Trim(value, `"`)
		switch strings.ToLower(name) {
		case "namespaces":
			if !slices.Contains(strings.Split(value, ","), Namespace) {
				return nil, nil
			}
		case "valid-after":
			k.after, err = parseTime(value)
		case "valid-before":
			k.before, err = parseTime(value)
		default: // cert-authority too: an option that is not known must not widen who may sign
			return nil, fmt.Errorf("the option %.40q is not known here", name)
		}
		if err != nil {
			return nil, err
		}
	}
	return k, nil
}

// parseTime reads YYYYMMDD[HHMM[SS]][Z]; without Z it is the local time.
func parseTime(value string) (time.Time, error) {
	zone := time.Local
	digits, utc := strings.CutSuffix(value, "Z")
	if utc {
		zone = time.UTC
	}
	for _, layout := range []string{"20060102", "200601021504", "20060102150405"} {
		if len(digits) == len(layout) {
			if t, err := time.ParseInLocation(layout, digits, zone); err == nil {
				return t, nil
			}
		}
	}
	return time.Time{}, fmt.Errorf("%.40q is no time such as 20260131", value)
}

// Check returns who signed the message, or an error if nobody who is allowed has.
func (s *Signers) Check(message, signature []byte, now time.Time) (principals string, err error) {
	key, err := verify(message, signature)
	if err != nil {
		return "", err
	}
	err = fmt.Errorf("its signer %s is not among the allowed signers", xssh.FingerprintSHA256(key))
	for _, k := range s.keys {
		switch {
		case !bytes.Equal(k.key.Marshal(), key.Marshal()):
		case !k.after.IsZero() && now.Before(k.after), !k.before.IsZero() && !now.Before(k.before):
			err = fmt.Errorf("its signer %s is not valid now", xssh.FingerprintSHA256(key))
		default:
			return k.principals, nil
		}
	}
	return "", err
}
