package auth

import (
	"regexp"
	"strings"
)

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
