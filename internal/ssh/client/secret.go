package client

import (
	"fmt"

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

// sendPassword sends the password by a method that the server accepts. It is called
// only after the host key was trusted and a request was answered. sent is false where no
// password may be sent: the other methods remain.
func (l *login) sendPassword(method string) (sent bool, f *fleet.Error) {
	h := l.handshake
	user := h.attempt.Target.User
	if err := ssh.AllowPassword(l.ctx, h.dialer.opts.HostKeys, h.attempt.Target, h.hostKey); err != nil {
		l.barred = true
		return false, l.withhold(err)
	}
	if method == "keyboard-interactive" {
		l.asked = true
		h.link.client.AuthInteractive(user)
		return true, nil
	}
	secret, told, err := h.dialer.opts.Passwords.Password(l.ctx, h.attempt.Target.Target)
	if err != nil {
		l.barred = true
		return false, l.withhold(err)
	}
	h.link.client.AuthPassword(user, secret)
	clear(secret)
	l.password, l.told, l.withheld, l.abandoned = passwordSent, told, nil, false
	return true, nil
}

// prompted answers the server's prompts (RFC 4256 §3.2). A second prompt is not
// answered: the first answer was wrong.
func (l *login) prompted(ev wire.Prompts) *fleet.Error {
	h := l.handshake
	if len(ev.Prompts) > 1 {
		return l.abandon(fmt.Errorf(
			"the server asks %d questions at once, the first %.100q: nothing was answered", len(ev.Prompts), ev.Prompts[0].Text))
	}
	answers := make([][]byte, len(ev.Prompts))
	for i, p := range ev.Prompts {
		if l.password != passwordUnused {
			l.passwordAnswered(false)
			return l.abandon(fmt.Errorf("the server asks once more: %.100q", p.Text))
		}
		answer, told, err := h.dialer.opts.Passwords.Answer(l.ctx, h.attempt.Target.Target, string(p.Text), p.Echo)
		if err != nil {
			return l.abandon(err)
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

// abandon leaves the prompts without an answer and goes on with the next method.
func (l *login) abandon(why error) *fleet.Error {
	if f := l.withhold(why); f != nil {
		return f
	}
	l.abandoned = true
	l.handshake.link.client.Abandon()
	return l.proceed()
}

// withhold records why the server gets no password. It returns the failure if a wait for
// it exceeded the deadline.
func (l *login) withhold(why error) *fleet.Error {
	l.withheld = why
	return l.overdue(why)
}

// refused returns the failure of a login that withheld the password.
func (l *login) refused() *fleet.Error {
	return sshreason.Refusal(l.handshake.attempt, fleet.PhaseAuth, fleet.ReasonAuthFailed, l.withheld)
}

// passwordAnswered reports the server's answer to the password. If it is not
// called, the end of the login's context means that no answer came.
func (l *login) passwordAnswered(accepted bool) {
	if l.password == passwordSent {
		l.password = passwordAnsweredState
		l.told(accepted)
	}
}
