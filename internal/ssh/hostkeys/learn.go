package hostkeys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// A learner remembers the keys accepted for unknown hosts and has them written. Like the file,
// its memory grows with the number of new hosts.
type learner struct {
	file *appender // used only by the leader

	mu      sync.Mutex
	claims  map[string]*claim
	waiting []*lesson
	leading bool
}

// A claim is the first key accepted for a name in this run.
type claim struct {
	key     ssh.PublicKey
	holders int // connections that were accepted with it and have neither authenticated nor ended
	written bool
}

// A lesson is a line to be written.
type lesson struct {
	target fleet.Target
	name   string
	key    ssh.PublicKey
	err    error
	done   bool
	waited bool // for the file for as long as the leader
	// wake receives one signal from the leader: this lesson is done, or it becomes the leader.
	// Capacity 1, so that the leader does not block.
	wake chan struct{}
}

func newLearner(file *appender) *learner {
	return &learner{file: file, claims: make(map[string]*claim)}
}

// claim reserves an unknown name for the key, so that no second key is accepted. It returns the
// first key if that differs, or nil if the claim succeeded.
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

// release undoes claim for one connection. The last release removes a claim that was never
// proven, so that a machine that answers first and disconnects does not block the name for the
// rest of the run.
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

// claimed returns the key claimed for a name, or nil.
func (l *learner) claimed(name string) ssh.PublicKey {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.claims[name]; c != nil {
		return c.key
	}
	return nil
}

// has reports whether the key was written for the name.
func (l *learner) has(name string, key ssh.PublicKey) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.claims[name]
	return c != nil && c.written && sameKey(c.key, key)
}

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }

// learn writes the key for the name unless it is already written. Lessons that arrive during a
// write wait and are then written together by the first of them, the leader. While the file is
// slow, no lock is held and only one thread is blocked. When ctx ends it gives up, and the others go on.
func (l *learner) learn(ctx context.Context, t fleet.Target, name string, key ssh.PublicKey) error {
	me := &lesson{target: t, name: name, key: key, wake: make(chan struct{}, 1)}
	if done, err := l.join(ctx, me); done {
		return err
	}
	if !me.done {
		l.lead(ctx, me)
	}
	return me.err
}

// join queues the lesson and waits until it is done or becomes the leader. It reports done at
// once if there is nothing to write.
func (l *learner) join(ctx context.Context, me *lesson) (done bool, err error) {
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
	if !wait {
		return false, nil
	}
	select {
	case <-me.wake:
		return false, nil
	case <-ctx.Done():
		return l.leave(ctx, me)
	}
}

// leave takes back a lesson that waits. It reports done unless the lesson was written or is to lead
// meanwhile. A lesson that is being written is written.
func (l *learner) leave(ctx context.Context, me *lesson) (done bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-me.wake:
		return false, nil
	default:
	}
	l.withdraw(me)
	return true, refuse(me.target, fleet.ReasonStoreFailed, notWritten(l.file.path, inTime(ctx)))
}

// withdraw removes a lesson from those that wait.
func (l *learner) withdraw(me *lesson) {
	l.waiting = slices.DeleteFunc(l.waiting, func(w *lesson) bool { return w == me })
}

// inTime returns the error of what did not happen before ctx ended.
func inTime(ctx context.Context) error {
	return fmt.Errorf("another process, or others here, had the file for too long: %w", context.Cause(ctx))
}

var errNotWritten = errors.New("writing host keys down has failed")

// lead writes the lessons that wait when the file is free, including the caller's, and passes
// leadership on, also if writing panics: the others would wait for ever. If ctx ends before the
// file is free, the others wait on.
func (l *learner) lead(ctx context.Context, me *lesson) {
	l.mu.Lock()
	for _, w := range l.waiting {
		w.waited = true
	}
	l.mu.Unlock()

	var batch []*lesson
	written := false
	defer func() { l.settle(me, batch, written) }()
	locked := l.file.write(ctx, func(locked bool) []*lesson {
		l.mu.Lock()
		defer l.mu.Unlock()
		n := len(l.waiting)
		for !locked && !l.waiting[n-1].waited { // who came meanwhile waits as long
			n--
		}
		batch, l.waiting = l.waiting[:n:n], slices.Clone(l.waiting[n:])
		return batch
	})
	if !locked {
		me.err = refuse(me.target, fleet.ReasonStoreFailed, notWritten(l.file.path, inTime(ctx)))
	}
	written = true
}

// settle wakes the lessons of a batch and the next leader. The batch is empty if the leader me had none.
func (l *learner) settle(me *lesson, batch []*lesson, written bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(batch) == 0 {
		l.withdraw(me)
		batch = []*lesson{me}
	}
	for _, done := range batch {
		if !written && done.err == nil {
			done.err = refuse(done.target, fleet.ReasonStoreFailed, errNotWritten)
		}
		if done.err == nil {
			c := l.claims[done.name]
			if c == nil || !sameKey(c.key, done.key) { // released during the write, and perhaps claimed for another key
				c = &claim{key: done.key}
				l.claims[done.name] = c
			}
			c.written = true
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
