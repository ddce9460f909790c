package hostkeys

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"shoal/internal/ssh/hostkeys/krl"
)

// maxRevocations bounds a file of revoked keys, in bytes.
const maxRevocations = 64 << 20

// revocations are the keys revoked by a RevokedHostKeys file: a KRL or a list of keys.
type revocations struct {
	path string
	krl  *krl.List      // nil for a list of keys
	keys map[string]int // marshalled key to line number
}

func readRevocations(open func(string) (fs.File, error), path string) (*revocations, error) {
	f, _, err := openRegular(open, path)
	if err != nil {
		return nil, err
	}
	if f == nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	defer func() { _ = f.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(f, maxRevocations+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if len(text) > maxRevocations {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, maxRevocations)
	}
	r := &revocations{path: path}
	if krl.Is(text) {
		r.krl, err = krl.Parse(text)
	} else {
		r.keys, err = parseKeyList(text)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// parseKeyList parses public keys, one per line (sshkey_in_file in OpenSSH's authfile.c). A
// line that cannot be read is an error: it may revoke the key in question.
func parseKeyList(text []byte) (map[string]int, error) {
	keys := make(map[string]int)
	number := 0
	for line := range bytes.Lines(text) {
		number++
		keyType, rest := cutWord(bytes.TrimRight(line, " \t\r\n"))
		if len(keyType) == 0 || keyType[0] == '#' {
			continue
		}
		encoded, _ := cutWord(rest) // the rest is a comment
		key, err := revokedKey(string(keyType), encoded)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if _, ok := keys[string(key)]; !ok {
			keys[string(key)] = number
		}
	}
	return keys, nil
}

func revokedKey(keyType string, encoded []byte) ([]byte, error) {
	if len(encoded) > maxLine {
		return nil, fmt.Errorf("a key longer than %d bytes", maxLine)
	}
	if len(encoded) == 0 {
		return nil, errors.New("key type and key expected")
	}
	key, err := parseKey(keyType, encoded)
	if err != nil {
		return nil, err
	}
	return key.Marshal(), nil
}

// revokes describes what the file revokes of the presented key or certificate; "" means
// nothing.
func (r *revocations) revokes(k shown) string {
	if r.krl != nil {
		if what := r.krl.Revokes(k.whole()); what != "" {
			return r.path + " revokes " + what
		}
		return ""
	}
	if line, ok := r.keys[k.blob]; ok {
		return fmt.Sprintf("%s:%d revokes this key", r.path, line)
	}
	if line, ok := r.keys[k.authority]; ok {
		return fmt.Sprintf("%s:%d revokes the authority of its certificate", r.path, line)
	}
	return ""
}
