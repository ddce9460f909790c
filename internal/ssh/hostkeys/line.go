package hostkeys

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"shoal/internal/ssh/wire"
)

// maxLine bounds a line of known_hosts, in bytes. An RSA key of 16384 bits, the
// largest that OpenSSH makes, takes less than 3 KiB.
const maxLine = 64 << 10

// A marker may precede the names (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).
type marker uint8

const (
	markNone    marker = iota
	markCA             // @cert-authority
	markRevoked        // @revoked
)

// An entry is a parsed line.
type entry struct {
	file   string
	number int // from 1
	mark   marker
	names  string        // as written in the file
	key    ssh.PublicKey // for a certificate, which may only be revoked, the key in it
	blob   string        // key.Marshal()
	unread error         // why a revoked key cannot be read; key is nil then
	lost   bool          // unread is why the line itself cannot, whatever it was
	place  place         // set while a file is read
}

// A place is where a line is in its file.
type place struct {
	offset int64 // in bytes
	length int   // without the newline
	sum    uint32
}

// where returns the place as "file:line".
func (e *entry) where() string { return fmt.Sprintf("%s:%d", e.file, e.number) }

// parseLine parses one line without its newline. It returns nil and no error for a blank line
// or a comment.
func parseLine(line []byte) (*entry, error) {
	// OpenSSH's base64 decoder skips the CR of a CRLF file.
	line = bytes.TrimRight(line, " \t\r")
	word, rest := cutWord(line)
	if len(word) == 0 || word[0] == '#' {
		return nil, nil
	}
	e, err := parseMarked(word, rest)
	if err != nil && revokes(line) {
		return e.unreadable(err)
	}
	if err != nil {
		return nil, err
	}
	return e, nil
}

// parseMarked parses a line from its first word on. On error the entry has the names if they
// could be read.
func parseMarked(word, rest []byte) (*entry, error) {
	e := new(entry)
	var err error
	for markers := 0; len(word) > 0 && word[0] == '@'; markers++ {
		switch string(word) {
		case "@cert-authority":
			e.mark = markCA
		case "@revoked":
			e.mark = markRevoked
		default:
			err = fmt.Errorf("unknown marker %s", quote(word))
		}
		if markers > 0 && err == nil {
			err = errors.New("more than one marker")
		}
		word, rest = cutWord(rest)
	}
	e.names = string(word)
	keyType, rest := cutWord(rest)
	blob, _ := cutWord(rest) // the rest is a comment
	switch {
	case err != nil:
		return e, err
	case bytes.IndexByte(word, 0) >= 0 || bytes.IndexByte(keyType, 0) >= 0 || bytes.IndexByte(rest, 0) >= 0:
		return e, errors.New("a NUL byte in the line")
	case len(blob) == 0:
		return e, errors.New("names, key type and key expected")
	case e.mark == markRevoked:
		e.key, err = parseRevoked(string(keyType), blob)
	default:
		e.key, err = parseKey(string(keyType), blob)
	}
	if err != nil {
		return e, err
	}
	e.blob = string(e.key.Marshal())
	return e, nil
}

// revokes reports whether a line, or the beginning of one, has the marker @revoked.
func revokes(line []byte) bool {
	for word, rest := cutWord(line); len(word) > 0 && word[0] == '@'; word, rest = cutWord(rest) {
		if string(word) == "@revoked" {
			return true
		}
	}
	return false
}

// A lostRevocation is a revocation line whose key and names cannot be read: no line of its file
// can be trusted.
type lostRevocation struct{ error }

func (l lostRevocation) Unwrap() error { return l.error }

// unreadable converts a revocation line whose key cannot be read into an entry that refuses
// every key of its names. OpenSSH ignores such a line.
func (e *entry) unreadable(why error) (*entry, error) {
	switch {
	case errors.Is(why, errUnknownType):
		return nil, why // no server can present such a key
	case e.names == "" || looksLikeType(e.names) || strings.Contains(e.names, "\x00"):
		return nil, lostRevocation{fmt.Errorf("whose keys it revokes cannot be told: %w", why)}
	}
	return &entry{mark: markRevoked, names: e.names, unread: why}, nil
}

// looksLikeType reports whether the first word is a key type, which means that the names are
// missing.
func looksLikeType(word string) bool {
	return keyTypes[word] || isCertificate(word)
}

// keyTypes are the key types that can be parsed, without certificates.
var keyTypes = map[string]bool{
	ssh.KeyAlgoRSA: true, "ssh-dss": true, ssh.KeyAlgoED25519: true, ssh.KeyAlgoSKED25519: true,
	ssh.KeyAlgoECDSA256: true, ssh.KeyAlgoECDSA384: true, ssh.KeyAlgoECDSA521: true, ssh.KeyAlgoSKECDSA256: true,
	ssh.KeyAlgoMLDSA44: true, ssh.KeyAlgoMLDSA65: true, ssh.KeyAlgoMLDSA87: true,
}

// cutWord returns the first word of a line and the rest.
func cutWord(line []byte) (word, rest []byte) {
	line = bytes.TrimLeft(line, " \t")
	end := bytes.IndexAny(line, " \t")
	if end < 0 {
		return line, nil
	}
	return line[:end], line[end:]
}

// errUnknownType means that a key seems well formed but its type is unknown.
var errUnknownType = errors.New("unknown key type")

// parseKey decodes a plain public key (RFC 4253 §6.6).
func parseKey(keyType string, encoded []byte) (ssh.PublicKey, error) {
	blob, err := decodeKey(keyType, encoded)
	if err != nil {
		return nil, err
	}
	// Check before parsing: certificates contain keys, which may be certificates.
	if isCertificate(keyType) {
		return nil, errors.New("a certificate cannot stand in known_hosts, only its authority's key can")
	}
	return parseBlob(keyType, blob)
}

// parseRevoked decodes a key, or a certificate, of which it returns the key. OpenSSH considers
// both equal here (sshkey_equal_public in its sshkey.c), so that the key is revoked with all
// its certificates.
func parseRevoked(keyType string, encoded []byte) (ssh.PublicKey, error) {
	blob, err := decodeKey(keyType, encoded)
	if err != nil {
		return nil, err
	}
	key, err := parseBlob(keyType, blob)
	if err != nil {
		return nil, err
	}
	k, err := newShown(key)
	if err != nil {
		return nil, errors.New("the certificate is not whole, or holds another one")
	}
	return k.plain, nil
}

func decodeKey(keyType string, encoded []byte) ([]byte, error) {
	blob, err := base64.StdEncoding.AppendDecode(nil, encoded)
	if err != nil {
		return nil, fmt.Errorf("decoding the key: %w", err)
	}
	inner, ok := blobType(blob)
	if !ok {
		return nil, errors.New("the key is cut short")
	}
	if inner != keyType {
		return nil, fmt.Errorf("the key says that it is %s, the line says %s", quote(inner), quote(keyType))
	}
	return blob, nil
}

// parseBlob keeps blob.
func parseBlob(keyType string, blob []byte) (ssh.PublicKey, error) {
	if key, ok := wire.Ed25519Key(blob); ok { // nearly all, and the library's takes a dozen allocations
		return key, nil
	}
	key, err := ssh.ParsePublicKey(blob)
	if err != nil && !looksLikeType(keyType) {
		err = errUnknownType
	}
	if err != nil {
		return nil, fmt.Errorf("parsing the key of type %s: %w", quote(keyType), err)
	}
	return key, nil
}

// blobType returns the type name at the beginning of a public key.
func blobType(blob []byte) (string, bool) {
	if len(blob) < 4 {
		return "", false
	}
	n := binary.BigEndian.Uint32(blob)
	if blob = blob[4:]; uint64(n) > uint64(len(blob)) {
		return "", false
	}
	return string(blob[:n]), true
}

// isCertificate reports whether a key type or algorithm is a certificate type: these have names
// like "…-cert-v01@…" (PROTOCOL.certkeys).
func isCertificate(keyType string) bool { return strings.Contains(keyType, "-cert-v") }

// quote bounds and quotes text from a file.
func quote[T string | []byte](text T) string {
	const limit = 64
	if len(text) > limit {
		return fmt.Sprintf("%q…", text[:limit])
	}
	return fmt.Sprintf("%q", text)
}
