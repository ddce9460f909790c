package auth

import (
	"bytes"
	"fmt"
	"log/slog"
	"regexp"
	"runtime"
	"strings"
)

// A Secret holds bytes that are never printed: it formats as "[secret]" in every format, in
// JSON and in logs. The zero value is empty. Copies share the bytes.
type Secret struct {
	held *held
}

type held struct{ bytes []byte }

const hidden = "[secret]"

// NewSecret copies b and overwrites b.
func NewSecret(b []byte) Secret {
	s := Secret{&held{bytes.Clone(b)}}
	clear(b)
	return s
}

// Reveal returns a copy, which the caller overwrites after use.
func (s Secret) Reveal() []byte {
	if s.held == nil {
		return nil
	}
	return bytes.Clone(s.held.bytes)
}

// Empty reports whether there are no bytes, or they have been wiped.
func (s Secret) Empty() bool { return s.held == nil || len(s.held.bytes) == 0 }

// Wipe overwrites the bytes and leaves the Secret and all its copies empty. It must not be
// called while another goroutine uses one of them.
func (s Secret) Wipe() {
	if s.held == nil {
		return
	}
	clear(s.held.bytes)
	runtime.KeepAlive(s.held.bytes) // so that the writes are not optimised away
	s.held.bytes = nil
}

// String returns "[secret]", like the methods below in their formats.
func (s Secret) String() string { return hidden }

// GoString implements %#v.
func (s Secret) GoString() string { return hidden }

// Format implements all other verbs of package fmt.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// MarshalText implements JSON, XML and other text encodings.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// maxPrompt bounds a prompt that is answered, in bytes.
const maxPrompt = 256

// passwordPrompt matches prompts for the login password: "Password:", "(me@host) Password:",
// "me@host's password:", "Password for me@host:". It matches at the end of the text.
var passwordPrompt = regexp.MustCompile(`(?i)(^|[^\pL\pN_-])password( for [^\s:]+)?\s*:\s*$`)

// otherSecret matches words that indicate another secret: a new password, the old one before a
// change, a second factor, the password for sudo.
var otherSecret = regexp.MustCompile(`(?i)\b(new|old|current|previous|expired|changed?|changing|retype|re-type|re-enter|reenter|` +
	`again|repeat|confirm|verify|verification|one-time|onetime|otp|token|passcode|pin|code|sudo)\b`)

// allowedPrompt reports whether the login password may answer a prompt (RFC 4256 §3.2). The
// server chooses the prompt's text, so only a prompt that clearly asks for the login password
// is allowed.
func allowedPrompt(prompt string, allowed []*regexp.Regexp) bool {
	if len(prompt) > maxPrompt {
		return false
	}
	if len(allowed) > 0 {
		for _, r := range allowed {
			if r.MatchString(prompt) {
				return true
			}
		}
		return false
	}
	// The last line decides. Lines above it may be a greeting but must not ask for another
	// secret.
	prompt = strings.TrimRight(prompt, " \t\r\n")
	return passwordPrompt.MatchString(prompt) && !otherSecret.MatchString(prompt)
}
