package xcrypto

import (
	"fmt"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// A secret is the password's state in a handshake: one attempt per host, so that no account is
// locked.
type secret struct {
	spent  bool                // it was given to the library
	method string              // the method by which it was sent, last
	asked  bool                // keyboard-interactive authentication was begun
	barred bool                // the server gets no password
	told   func(accepted bool) // reports the server's answer; nil if none is expected
	// withheld is why the server got none, or no further one.
	withheld error
	// abandoned means that prompts were left without an answer, after which some servers end
	// the connection.
	abandoned bool
}

// password returns the way to send the password by this method, or nil if there is none, the
// server has already received it or gets none: the other methods remain.
func (h *handshake) password(method string) (xssh.AuthMethod, error) {
	s := &h.secret
	if h.dialer.opts.Passwords == nil || s.spent || s.barred || method == s.method || method == "keyboard-interactive" && s.asked {
		return nil, nil
	}
	if err := ssh.AllowPassword(h.login, h.dialer.opts.HostKeys, h.attempt.Target, h.wire.pinnedKey()); err != nil {
		s.barred = true
		if err := h.withhold(err); h.login.Err() != nil {
			return nil, err
		}
		return nil, nil
	}
	s.method, s.asked = method, s.asked || method == "keyboard-interactive"
	if method == "password" {
		return xssh.PasswordCallback(h.reveal), nil
	}
	return xssh.KeyboardInteractive(h.prompted), nil
}

// reveal returns the password to the library, as a string, which cannot be overwritten.
func (h *handshake) reveal() (string, error) {
	password, told, err := h.dialer.opts.Passwords.Password(h.login, h.attempt.Target.Target)
	if err != nil {
		h.secret.barred = true
		return "", h.withhold(err)
	}
	defer clear(password)
	s := &h.secret
	s.spent, s.told, s.withheld, s.abandoned = true, told, nil, false
	return string(password), nil
}

// prompted answers the server's prompts (RFC 4256 §3.2). A second round that asks again gets no
// answer: the first was wrong.
func (h *handshake) prompted(_, _ string, questions []string, echos []bool) ([]string, error) {
	switch {
	case len(questions) == 0:
		return nil, nil
	case len(questions) > 1:
		return nil, h.abandon(fmt.Errorf(
			"the server asks %d questions at once, the first %.100q: nothing was answered", len(questions), questions[0]))
	case h.secret.spent:
		h.answered(false)
		return nil, h.abandon(fmt.Errorf("the server asks once more: %.100q", questions[0]))
	}
	answer, told, err := h.dialer.opts.Passwords.Answer(h.login, h.attempt.Target.Target, questions[0], echos[0])
	if err != nil {
		return nil, h.abandon(err)
	}
	defer clear(answer)
	h.secret.spent, h.secret.told = true, told
	return []string{string(answer)}, nil
}

// abandon leaves prompts without an answer. The library goes on with the next method, which
// replaces this one (RFC 4252 §5).
func (h *handshake) abandon(why error) error {
	h.secret.abandoned = true
	return h.withhold(why)
}

// withhold records why the server gets no password. It ends authentication if the deadline has
// passed.
func (h *handshake) withhold(why error) error {
	h.secret.withheld = why
	if h.login.Err() != nil {
		return h.refuse(fleet.ReasonAuthFailed, why)
	}
	return why
}

// answered reports the server's answer to the password. If it is not called, the end of the
// login context means that there was no answer.
func (h *handshake) answered(accepted bool) {
	if told := h.secret.told; told != nil {
		h.secret.told = nil
		told(accepted)
	}
}
