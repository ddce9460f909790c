package client

import (
	"fmt"
	"slices"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/sshreason"
	"shoal/internal/ssh/wire"
)

// passwordState is the state of the one password attempt that a login makes: more
// could lock the account.
type passwordState uint8

const (
	passwordUnused passwordState = iota
	passwordSent                 // not yet answered
	passwordAnsweredState
)

// tryPassword sends the password by a method that the server accepts. It is called
// only after the host key was trusted and a request was answered.
func (l *login) tryPassword(methods []string) (sent bool, f *fleet.Error) {
	h := l.handshake
	if h.dialer.opts.Passwords == nil || l.password != passwordUnused {
		return false, nil
	}
	user := h.attempt.Target.User
	password, interactive := slices.Contains(methods, "password"), slices.Contains(methods, "keyboard-interactive") && !l.asked
	if !password && !interactive {
		return false, nil
	}
	if err := ssh.AllowPassword(h.dialer.opts.HostKeys, h.attempt.Target, h.hostKey); err != nil {
		return false, l.refused(err)
	}
	if !password {
		l.asked = true
		h.link.client.AuthInteractive(user)
		return true, nil
	}
	secret, told, err := h.dialer.opts.Passwords.Password(l.ctx, h.attempt.Target.Target)
	if err != nil {
		return false, l.refused(err)
	}
	h.link.client.AuthPassword(user, secret)
	clear(secret)
	l.password, l.told = passwordSent, told
	return true, nil
}

// prompted answers the server's prompts (RFC 4256 §3.2). A second prompt is not
// answered: the first answer was wrong.
func (l *login) prompted(ev wire.Prompts) *fleet.Error {
	h := l.handshake
	if len(ev.Prompts) > 1 {
		return h.fail(fleet.ReasonAuthFailed, fmt.Errorf(
			"the server asks %d questions at once, the first %.100q: nothing was answered", len(ev.Prompts), ev.Prompts[0].Text))
	}
	answers := make([][]byte, len(ev.Prompts))
	for i, p := range ev.Prompts {
		if l.password != passwordUnused {
			l.passwordAnswered(false)
			return h.fail(fleet.ReasonAuthFailed, fmt.Errorf("the server asks once more: %.100q", p.Text))
		}
		answer, told, err := h.dialer.opts.Passwords.Answer(l.ctx, h.attempt.Target.Target, string(p.Text), p.Echo)
		if err != nil {
			return l.refused(err)
		}
		answers[i], l.told = answer, told
	}
	if len(answers) > 0 {
		l.password = passwordSent
	}
	h.link.client.Answer(answers)
	for _, a := range answers {
		clear(a)
	}
	return nil
}

func (l *login) refused(err error) *fleet.Error {
	if f := l.overdue(err); f != nil {
		return f
	}
	return sshreason.Refusal(l.handshake.attempt, fleet.PhaseAuth, fleet.ReasonAuthFailed, err)
}

// passwordAnswered reports the server's answer to the password. If it is not
// called, the end of the login's context means that no answer came.
func (l *login) passwordAnswered(accepted bool) {
	if l.password == passwordSent {
		l.password = passwordAnsweredState
		l.told(accepted)
	}
}
