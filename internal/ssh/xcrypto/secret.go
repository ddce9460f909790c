package xcrypto

import (
	"fmt"
	"slices"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// A secret is the password's state in a handshake: one attempt per host, so that no account is
// locked.
type secret struct {
	spent  bool                // it was given to the library
	method string              // the method by which it was sent
	told   func(accepted bool) // reports the server's answer; nil if none is expected
}

// password returns the method by which to send the password, or nil if the server accepts none
// or has already received it.
func (h *handshake) password(taken []string) (xssh.AuthMethod, error) {
	if h.dialer.opts.Passwords == nil || h.secret.method != "" {
		return nil, nil
	}
	for _, m := range []struct {
		name string
		auth xssh.AuthMethod
	}{
		{"password", xssh.PasswordCallback(h.reveal)},
		{"keyboard-interactive", xssh.KeyboardInteractive(h.prompted)},
	} {
		if !slices.Contains(taken, m.name) {
			continue
		}
		if err := ssh.AllowPassword(h.dialer.opts.HostKeys, h.attempt.Target, h.wire.pinnedKey()); err != nil {
			return nil, h.refuse(fleet.ReasonAuthFailed, err)
		}
		h.secret.method = m.name
		return m.auth, nil
	}
	return nil, nil
}

// reveal returns the password to the library, as a string, which cannot be overwritten.
func (h *handshake) reveal() (string, error) {
	password, told, err := h.dialer.opts.Passwords.Password(h.login, h.attempt.Target.Target)
	if err != nil {
		return "", h.refuse(fleet.ReasonAuthFailed, err)
	}
	defer clear(password)
	h.secret.spent, h.secret.told = true, told
	return string(password), nil
}

// prompted answers the server's prompts (RFC 4256 §3.2). A second round that asks again gets no
// answer: the first was wrong.
func (h *handshake) prompted(_, _ string, questions []string, echos []bool) ([]string, error) {
	switch {
	case len(questions) == 0:
		return nil, nil
	case len(questions) > 1:
		return nil, h.refuse(fleet.ReasonAuthFailed, fmt.Errorf(
			"the server asks %d questions at once, the first %.100q: nothing was answered", len(questions), questions[0]))
	case h.secret.spent:
		h.answered(false)
		return nil, h.refuse(fleet.ReasonAuthFailed, fmt.Errorf("the server asks once more: %.100q", questions[0]))
	}
	answer, told, err := h.dialer.opts.Passwords.Answer(h.login, h.attempt.Target.Target, questions[0], echos[0])
	if err != nil {
		return nil, h.refuse(fleet.ReasonAuthFailed, err)
	}
	defer clear(answer)
	h.secret.spent, h.secret.told = true, told
	return []string{string(answer)}, nil
}

// answered reports the server's answer to the password. If it is not called, the end of the
// login context means that there was no answer.
func (h *handshake) answered(accepted bool) {
	if told := h.secret.told; told != nil {
		h.secret.told = nil
		told(accepted)
	}
}
