package hostkeys

import (
	"bytes"
	"sync"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// A learner remembers the keys that were accepted for unknown hosts and has
// them written down. Its memory follows the number of new hosts, as the file
// does.
type learner struct {
	file *appender // used by the one lesson that leads

	mu      sync.Mutex
	claims  map[string]*claim
	waiting []*lesson
	leading bool
}

// A claim is the key that was accepted for a name first in this run.
type claim struct {
	key     ssh.PublicKey
	holders int // connections that were let in by it, and have not ended before they proved anything
	written bool
}

// A lesson is a line to be written.
type lesson struct {
	target fleet.Target
	name   string
	key    ssh.PublicKey
	err    error
	done   bool
	// wake has room for the one signal that a waiting lesson gets, from the
	// lesson that leads: either it is done, or it is to lead.
	wake chan struct{}
}

func newLearner(file *appender) *learner {
	return &learner{file: file, claims: make(map[string]*claim)}
}

// claim takes the key for a name of which nothing is known, so that no second
// key can be. It gives the first one where that is another; nil means taken.
func (l *learner) claim(name string, key ssh.PublicKey) (first ssh.PublicKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.claims[name]
	if c == nil {
		c = &claim{key: key}
		l.claims[name] = c
	}
	if !sameKey(c.key, key) {
		return c.key
	}
	c.holders++
	return nil
}

// release takes back what claim gave to one connection. With the last of them a
// claim goes that was never proven: whoever answers first and breaks off is not the
// host for the rest of the run.
func (l *learner) release(name string, key ssh.PublicKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.claims[name]
	if c == nil || c.written || !sameKey(c.key, key) {
		return
	}
	if c.holders--; c.holders <= 0 {
		delete(l.claims, name)
	}
}

// claimed gives the key that was taken for a name, or nil.
func (l *learner) claimed(name string) ssh.PublicKey {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.claims[name]; c != nil {
		return c.key
	}
	return nil
}

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }

// learn writes the key down for the name, unless it is there already. Lessons
// that come while the file is being written wait and are then written together,
// by the first of them: no lock is held, and no more than one thread is, while
// the file is slow.
func (l *learner) learn(t fleet.Target, name string, key ssh.PublicKey) error {
	me := &lesson{target: t, name: name, key: key, wake: make(chan struct{}, 1)}
	if done, err := l.join(me); done {
		return err
	}
	if !me.done {
		l.lead()
	}
	return me.err
}

// join queues the lesson and waits until it is done or is to lead. It is done
// at once when there is nothing to write.
func (l *learner) join(me *lesson) (done bool, err error) {
	l.mu.Lock()
	c := l.claims[me.name]
	if c == nil || !sameKey(c.key, me.key) {
		l.mu.Unlock()
		return true, refuse(me.target, fleet.ReasonHostkeyFailed, errNotChecked)
	}
	if c.written {
		l.mu.Unlock()
		return true, nil
	}
	l.waiting = append(l.waiting, me)
	wait := l.leading
	l.leading = true
	l.mu.Unlock()
	if wait {
		<-me.wake
	}
	return false, nil
}

// lead writes everything that waits, the caller's lesson included, and hands
// the lead on.
func (l *learner) lead() {
	l.mu.Lock()
	batch := l.waiting
	l.waiting = nil
	l.mu.Unlock()

	l.file.write(batch)

	l.mu.Lock()
	defer l.mu.Unlock()
	for _, done := range batch {
		if done.err == nil {
			if l.claims[done.name] == nil { // released though it is used
				l.claims[done.name] = &claim{key: done.key}
			}
			l.claims[done.name].written = true
		}
		done.done = true
		done.wake <- struct{}{}
	}
	if len(l.waiting) == 0 {
		l.leading = false
		return
	}
	l.waiting[0].wake <- struct{}{}
}
