package xcrypto

import (
	"fmt"
	"slices"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// A secret is how far a handshake is with the password: one attempt per host, so
// that no account is locked.
type secret struct {
	spent  bool                // it was given to the library
	method string              // by which it was sent
	told   func(accepted bool) // takes the server's answer; nil: there is none to come
}

// password gives the method by which to send the password; nil when the server
// takes none, or has had it.
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

// reveal gives the password to the library. It takes a string, which cannot be
// overwritten.
func (h *handshake) reveal() (string, error) {
	password, told, err := h.dialer.opts.Passwords.Password(h.login, h.attempt.Target)
	if err != nil {
		return "", h.refuse(fleet.ReasonAuthFailed, err)
	}
	defer clear(password)
	h.secret.spent, h.secret.told = true, told
	return string(password), nil
}

// prompted answers the server's questions (RFC 4256 §3.2). A second round that
// asks again gets nothing: the first answer was wrong.
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
	answer, told, err := h.dialer.opts.Passwords.Answer(h.login, h.attempt.Target, questions[0], echos[0])
	if err != nil {
		return nil, h.refuse(fleet.ReasonAuthFailed, err)
	}
	defer clear(answer)
	h.secret.spent, h.secret.told = true, told
	return []string{string(answer)}, nil
}

// answered passes on what became of the password. Where it is not called, the end
// of the login's context tells that no answer came.
func (h *handshake) answered(accepted bool) {
	if told := h.secret.told; told != nil {
		h.secret.told = nil
		told(accepted)
	}
}
