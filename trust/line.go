package trust

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// maxLine bounds a line of known_hosts, in bytes. An RSA key of 16384 bits, the
// largest that OpenSSH makes, takes less than 3 KiB.
const maxLine = 64 << 10

// A marker is what may stand before the names (sshd(8), SSH_KNOWN_HOSTS FILE
// FORMAT).
type marker uint8

const (
	markNone    marker = iota
	markCA             // @cert-authority
	markRevoked        // @revoked
)

// An entry is one good line.
type entry struct {
	file   string
	number int // from 1
	seq    int // place among all lines of its index
	mark   marker
	names  string // as they stand in the file
	key    ssh.PublicKey
	blob   string // key.Marshal()
}

// where says file and line as people and editors write them.
func (e *entry) where() string { return fmt.Sprintf("%s:%d", e.file, e.number) }

// parseLine reads one line without its newline. It gives nil and no error for
// a line that is blank or a comment.
func parseLine(line []byte) (*entry, error) {
	// OpenSSH's base64 decoder skips the CR of a CRLF file.
	line = bytes.TrimRight(line, " \t\r")
	word, rest := cutWord(line)
	if len(word) == 0 || word[0] == '#' {
		return nil, nil
	}
	if bytes.IndexByte(line, 0) >= 0 {
		return nil, errors.New("a NUL byte in the line")
	}
	e := new(entry)
	if word[0] == '@' {
		switch string(word) {
		case "@cert-authority":
			e.mark = markCA
		case "@revoked":
			e.mark = markRevoked
		default:
			return nil, fmt.Errorf("unknown marker %s", quote(word))
		}
		if word, rest = cutWord(rest); len(word) > 0 && word[0] == '@' {
			return nil, errors.New("more than one marker")
		}
	}
	e.names = string(word)
	keyType, rest := cutWord(rest)
	blob, _ := cutWord(rest) // what follows is a comment
	if len(blob) == 0 {
		return nil, errors.New("names, key type and key expected")
	}
	var err error
	e.key, err = parseKey(string(keyType), blob)
	if err != nil {
		return nil, err
	}
	e.blob = string(e.key.Marshal())
	return e, nil
}

// cutWord gives the first word of a line and what follows it.
func cutWord(line []byte) (word, rest []byte) {
	line = bytes.TrimLeft(line, " \t")
	end := bytes.IndexAny(line, " \t")
	if end < 0 {
		return line, nil
	}
	return line[:end], line[end:]
}

// parseKey decodes a plain public key (RFC 4253 §6.6).
func parseKey(keyType string, encoded []byte) (ssh.PublicKey, error) {
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
	// Before parsing: certificates hold keys, which may be certificates.
	if isCertificate(inner) {
		return nil, errors.New("a certificate cannot stand in known_hosts, only its authority's key can")
	}
	key, err := ssh.ParsePublicKey(blob)
	if err != nil {
		return nil, fmt.Errorf("parsing the key of type %s: %w", quote(inner), err)
	}
	return key, nil
}

// blobType reads the name that every public key begins with.
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

// isCertificate says whether a key type or algorithm is one of certificates,
// whose names all are "…-cert-v01@…" (PROTOCOL.certkeys).
func isCertificate(keyType string) bool { return strings.Contains(keyType, "-cert-v") }

// quote bounds and quotes text from a file.
func quote[T string | []byte](text T) string {
	const limit = 64
	if len(text) > limit {
		return fmt.Sprintf("%q…", text[:limit])
	}
	return fmt.Sprintf("%q", text)
}
