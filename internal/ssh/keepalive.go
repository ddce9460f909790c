package ssh

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// MaxSilent is the number of keepalives that a server may leave unanswered.
const MaxSilent = 3

// A Keepalive decides when a silent server is asked for a sign of life, and when it counts
// as vanished (faults.md T10). It does no I/O; the instants that it gets are of a clock that
// stands still while this process is stopped.
type Keepalive struct {
	every     time.Duration // 0 or negative: never
	most      int           // keepalives that may stay unanswered
	next      time.Time
	silent    int           // keepalives without an answer
	suspended time.Duration // at the last keepalive
}

// Keepalive returns the decisions for one connection. Heard begins it.
func (t Timeouts) Keepalive() Keepalive {
	k := Keepalive{every: t.Alive, most: MaxSilent}
	if t.AliveMax != 0 {
		k.most = max(t.AliveMax, 0)
	}
	return k
}

// Heard says that the server has sent something.
func (k *Keepalive) Heard(now time.Time) {
	k.silent = 0
	if k.every > 0 {
		k.next = now.Add(k.every)
	}
}

// HeardIdle is Heard for one of many connections on which nothing runs: Next is at a random time
// of the second half of the interval, so that they are not all asked at once. Answers to keepalives
// are spread already: the next one is at most an eighth earlier.
func (k *Keepalive) HeardIdle(now time.Time) {
	spread := k.every / 2
	if k.silent > 0 {
		spread = k.every / 8
	}
	k.silent = 0
	if k.every > 0 {
		k.next = now.Add(k.every - rand.N(spread+1))
	}
}

// Answered reports whether the server owes no sign of life.
func (k *Keepalive) Answered() bool { return k.silent == 0 }

// Next returns when Silent has to be called unless the server sends something before; zero:
// never.
func (k *Keepalive) Next() time.Time { return k.next }

// Silent says that the server has been silent until Next, and that this process has been
// stopped for so long in all. The caller must send a keepalive, unless the error says that
// the server counts as vanished. After a stop it is asked once more before it does.
func (k *Keepalive) Silent(now time.Time, suspended time.Duration) error {
	if k.silent == k.most && suspended == k.suspended {
		return fmt.Errorf("the server gave no sign of life for %v", time.Duration(k.most+1)*k.every)
	}
	k.silent = min(k.silent+1, k.most)
	k.suspended = suspended
	k.next = now.Add(k.every)
	return nil
}
