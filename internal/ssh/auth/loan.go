package auth

import (
	"context"
	"time"
)

// A loan is the password given to one server. It counts against the limits of Passwords until
// the server has answered or its answer time is over.
type loan struct {
	passwords *Passwords
	account   account

	// The fields below are guarded by passwords.mu.
	status loanStatus
	timer  *time.Timer // of AnswerTime
	stop   func() bool // stops watching the context
}

type loanStatus uint8

const (
	loanOut        loanStatus = iota // waiting for the answer
	loanUnanswered                   // no answer in time, or the connection ended before it
	loanOver                         // the answer has arrived
)

// lendLocked creates a loan that ends with ctx. p.mu must be held.
func (p *Passwords) lendLocked(ctx context.Context, a account) *loan {
	l := &loan{passwords: p, account: a}
	if p.accounts[a] == fresh {
		p.accounts[a] = lent
	}
	p.out++
	l.timer = time.AfterFunc(p.opts.AnswerTime, l.giveBack)
	l.stop = context.AfterFunc(ctx, l.disconnected)
	return l
}

// answered records whether the server accepted the password. The first answer counts.
func (l *loan) answered(accepted bool) {
	p := l.passwords
	p.mu.Lock()
	defer p.mu.Unlock()
	switch l.status {
	case loanOut:
		p.out--
	case loanUnanswered:
		p.unanswered--
	case loanOver:
		return
	}
	l.status = loanOver
	l.timer.Stop()
	l.stop()
	if accepted {
		p.accounts[l.account], p.accepted = taken, true
	} else {
		p.accounts[l.account] = spent
		p.rejected++
	}
	p.notifyLocked()
}

// disconnected ends the loan: no answer will come.
func (l *loan) disconnected() {
	l.giveBack()
	p := l.passwords
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.accounts[l.account] == lent {
		p.accounts[l.account] = lost
		p.notifyLocked()
	}
}

// giveBack ends the wait for the answer that holds up other servers.
func (l *loan) giveBack() {
	p := l.passwords
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.status != loanOut {
		return
	}
	l.status = loanUnanswered
	l.timer.Stop()
	p.out--
	p.unanswered++
	p.notifyLocked()
}

// notifyLocked wakes all callers that wait in admit. p.mu must be held.
func (p *Passwords) notifyLocked() {
	close(p.changed)
	p.changed = make(chan struct{})
}
