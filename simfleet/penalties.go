package simfleet

import (
	"sync"
	"time"
)

// The penalties of OpenSSH 9.8 and later (sshd_config(5), PerSourcePenalties): what one address has
// accrued, over all hosts, which stand behind one listener.
const (
	penaltyNoAuth = time.Second      // for a session that ended without a login
	penaltyMin    = 15 * time.Second // accrued: from then on connections are refused
	// noticeTime is how long the listener takes to notice a login.
	noticeTime = 90 * time.Millisecond
)

type penalties struct {
	mu      sync.Mutex
	expire  time.Time
	refuses bool
	count   int // ever
}

// refused reports whether a connection is turned away.
func (p *penalties) refused(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses = p.refuses && now.Before(p.expire)
	return p.refuses
}

func (p *penalties) add(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.expire.Before(now) {
		p.expire = now
	}
	p.expire = p.expire.Add(penaltyNoAuth)
	p.refuses = p.refuses || p.expire.Sub(now) >= penaltyMin
	p.count++
}

func (p *penalties) given() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}
