package config

import (
	"crypto/sha1" // %C is defined as a SHA-1 hash, used as a socket's name
	"encoding/hex"
	"fmt"
	"strings"
)

// The tokens that keywords accept (ssh_config(5), TOKENS). %j is later than 9.2.
const (
	tokensCommon = "CLdhijklnpru"
	tokensProxy  = "hknpr"
	tokensHost   = "h"
	tokensUser   = "Ldhijklnpu" // all but %r and %C, which depend on the user
)

// tokens are the values of %-tokens for one host.
type tokens struct {
	thisHost string // %l; %L is its first label
	home     string // %d
	host     string // %h
	uid      string // %i
	jump     string // %j
	alias    string // %k
	original string // %n
	port     string // %p
	remote   string // %r
	user     string // %u
}

// lookup returns the value of %c.
func (t *tokens) lookup(c byte) string {
	switch c {
	case 'C':
		return t.hash()
	case 'L':
		short, _, _ := strings.Cut(t.thisHost, ".")
		return short
	case 'l':
		return t.thisHost
	case 'd':
		return t.home
	case 'h':
		return t.host
	case 'i':
		return t.uid
	case 'j':
		return t.jump
	case 'k':
		return t.alias
	case 'n':
		return t.original
	case 'p':
		return t.port
	case 'r':
		return t.remote
	}
	return t.user
}

// hash returns %C: the SHA-1 of %l%h%p%r%j (readconf.c, ssh_connection_hash).
func (t *tokens) hash() string {
	sum := sha1.Sum([]byte(t.thisHost + t.host + t.port + t.remote + t.jump))
	return hex.EncodeToString(sum[:])
}

// maxExpanded bounds a value with its tokens expanded, in bytes.
const maxExpanded = 64 << 10

// expand expands the tokens in allowed, and if getenv is set also ${NAME} (misc.c,
// percent_dollar_expand).
func (t *tokens) expand(s, allowed string, getenv func(string) (string, bool)) (string, error) {
	if !strings.ContainsAny(s, "%$") {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if b.Len() > maxExpanded {
			return "", fmt.Errorf("longer than %d bytes when its tokens are replaced", maxExpanded)
		}
		switch {
		case getenv != nil && strings.HasPrefix(s[i:], "${"):
			name, _, closed := strings.Cut(s[i+2:], "}")
			if !closed || name == "" {
				return "", fmt.Errorf("bad environment variable in %.80q", s)
			}
			value, ok := getenv(name)
			if !ok {
				return "", fmt.Errorf("environment variable %.80q is not set", name)
			}
			b.WriteString(value)
			i += len("${}") + len(name) - 1
		case t == nil || s[i] != '%':
			b.WriteByte(s[i])
		case strings.HasPrefix(s[i:], "%%"):
			b.WriteByte('%')
			i++
		case i+1 == len(s) || strings.IndexByte(allowed, s[i+1]) < 0:
			return "", fmt.Errorf("unknown token in %.80q: of %%-tokens, this keyword takes %%%% and %s", s, spell(allowed))
		default:
			b.WriteString(t.lookup(s[i+1]))
			i++
		}
	}
	return b.String(), nil
}

// checkRemote returns an error if a shell would expand a variable in what %r stands for in a
// command.
func (t *tokens) checkRemote(command string) error {
	if strings.Contains(strings.ReplaceAll(command, "%%", ""), "%r") && strings.Contains(t.remote, "$") {
		return fmt.Errorf("%%r is the user name %.80q, in which the shell would expand a variable", t.remote)
	}
	return nil
}

// spell formats tokens for an error message.
func spell(allowed string) string { return "%" + strings.Join(strings.Split(allowed, ""), " %") }

// expandEnv expands ${NAME} only (misc.c, dollar_expand).
func expandEnv(s string, getenv func(string) (string, bool)) (string, error) {
	return (*tokens)(nil).expand(s, "", getenv)
}
