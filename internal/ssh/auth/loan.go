package auth

import (
	"context"
	"time"
)

// A loan is the password in the hands of one server: it counts against the places
// of Passwords until the server has answered, or has had its time for that.
type loan struct {
	passwords *Passwords
	account   account

	// All below is guarded by passwords.mu.
	status loanStatus
	timer  *time.Timer // of AnswerTime
	stop   func() bool // ends the watch over the context
}

type loanStatus uint8

const (
	loanOut        loanStatus = iota // the answer is waited for
	loanUnanswered                   // it has not come in time, or the connection ended before it
	loanOver                         // it has come
)

// lendLocked makes a loan that ends with ctx. p.mu must be held.
func (p *Passwords) lendLocked(ctx context.Context, a account) *loan {
	l := &loan{passwords: p, account: a}
	if p.accounts[a] == fresh {
		p.accounts[a] = spent
	}
	p.out++
	l.timer = time.AfterFunc(p.opts.AnswerTime, l.giveBack)
	l.stop = context.AfterFunc(ctx, l.giveBack)
	return l
}

// answered notes what the server said to the password. The first answer counts.
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

// giveBack ends the wait for the answer.
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

// notifyLocked wakes everybody who waits for a place. p.mu must be held.
func (p *Passwords) notifyLocked() {
	close(p.changed)
	p.changed = make(chan struct{})
}
