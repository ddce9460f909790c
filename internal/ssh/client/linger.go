package client

import (
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// noticeTime is how long after its login a connection stays open at a server that counts
	// sessions which end before its listener has noticed the login as sessions without one. They
	// cost this machine's address a second each, and from 15 s on it is refused (OpenSSH 9.8 and
	// later, PerSourcePenalties noauth).
	noticeTime = 100 * time.Millisecond
	// maxLingering is how many connections stay open without a slot. Their descriptors are of the
	// reserve that the fanout leaves. More of them keep their slots.
	maxLingering = 32
)

// lingering are the connections that are open only to be noticed.
type lingering struct {
	all sync.WaitGroup

	mu     sync.Mutex
	n      int // without a slot
	closed bool
}

// wait waits for the last one, for noticeTime at most. From now on none is kept.
func (l *lingering) wait() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.all.Wait()
}

// keep calls hangUp after the time d, and tell at once if there is room, which frees the slot.
func (l *lingering) keep(d time.Duration, hangUp, tell func()) {
	kept, room := l.enter()
	if !kept {
		hangUp()
		tell()
		return
	}
	time.AfterFunc(d, func() {
		defer l.all.Done()
		hangUp()
		if room {
			l.leave()
		} else {
			tell()
		}
	})
	if room {
		tell()
	}
}

func (l *lingering) enter() (kept, room bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false, false
	}
	l.all.Add(1)
	if room = l.n < maxLingering; room {
		l.n++
	}
	return true, room
}

func (l *lingering) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n--
}

// part hangs up, as soon as the server will not mind, and tells of the attempt's end.
func (c *conn) part(hangUp, tell func()) {
	wait := noticeTime - time.Duration(c.dialer.millis()-c.loggedIn)*time.Millisecond
	if wait <= 0 || c.session.mute || !givesPenalties(c.session.link.client.ServerVersion()) {
		hangUp()
		tell()
		return
	}
	// Without a DISCONNECT: nothing is sent once the attempt has ended.
	c.dialer.lingering.keep(wait, func() { _ = c.session.link.conn.Close() }, tell)
}

// givesPenalties reports whether a server may count a session that ends at once as one without a login:
// OpenSSH from 9.8 on, also one that puts the name of a product before its own.
func givesPenalties(identification string) bool {
	_, number, named := strings.Cut(identification, "OpenSSH_")
	version, err := strconv.ParseFloat(leadingNumber(number), 64)
	return named && (err != nil || version >= 9.8)
}

// millis returns the milliseconds since the Dialer was made, of which only differences mean
// something.
func (d *Dialer) millis() uint32 { return uint32(time.Since(d.began).Milliseconds()) }
