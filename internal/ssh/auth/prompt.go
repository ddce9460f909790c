package auth

import (
	"regexp"
	"strings"
)

// maxPrompt bounds the prompts that are answered, in bytes.
const maxPrompt = 256

// passwordPrompt is what servers ask for the login password with: "Password:",
// "(me@host) Password:", "me@host's password:", "Password for me@host:". It
// stands at the end.
var passwordPrompt = regexp.MustCompile(`(?i)(^|[^\pL\pN_-])password( for [^\s:]+)?\s*:\s*$`)

// otherSecret are words that make it another secret: a new password, the old one
// before it is changed, a second factor, that of sudo.
var otherSecret = regexp.MustCompile(`(?i)\b(new|old|current|previous|expired|changed?|changing|retype|re-type|re-enter|reenter|` +
	`again|repeat|confirm|verify|verification|one-time|onetime|otp|token|passcode|pin|code|sudo)\b`)

// allowedPrompt says whether the login password answers a prompt (RFC 4256
// §3.2). Prompts are a server's words: what is not clearly the login password's
// gets none.
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
	// The last line counts; what stands above it may be a greeting, but no
	// other demand.
	prompt = strings.TrimRight(prompt, " \t\r\n")
	return passwordPrompt.MatchString(prompt) && !otherSecret.MatchString(prompt)
}
