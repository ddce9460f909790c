package engine

import (
	"errors"
	"math/rand/v2"
	"time"

	"shoal/fleet"
	"shoal/internal/engine/limiter"
	"shoal/internal/ssh"
)

const (
	// The wait before an attempt is evenly spread from 0 to firstBackoff, then to
	// twice that, and so on up to maxBackoff ("full jitter").
	firstBackoff = time.Second
	maxBackoff   = 30 * time.Second
	// turnedBackoff is firstBackoff where the server was reached and said that it
	// is busy; the limiter sees to it that it is not asked too often.
	turnedBackoff = 100 * time.Millisecond

	// Of all attempts one in retryShare may be a repeated one, and retryBurst
	// beside, so that a network that is down is not hammered.
	retryShare = 10
	retryBurst = 32
)

// maxTries is how many attempts may end for a reason that can pass; none of the
// others can. 0 means as many as Options.Attempts says.
var maxTries = map[fleet.Reason]int{
	fleet.ReasonResolveTimeout: 0,
	fleet.ReasonResolveFailed:  0,
	fleet.ReasonDialTimeout:    0,
	fleet.ReasonJumpFailed:     0,
	fleet.ReasonConnReset:      0,
	fleet.ReasonConnClosed:     0,
	fleet.ReasonThrottled:      0,
	// A server that stalls once may be busy. One that stalls twice is broken, and
	// each time costs the whole deadline.
	fleet.ReasonBannerTimeout: 2,
	fleet.ReasonKexTimeout:    2,
}

// retries decides which attempts are made again.
type retries struct {
	most       int
	idempotent bool

	attempts, again int // of all targets so far
}

// grant says whether an attempt that ended so, the n-th of target t, is followed
// by another, and counts it.
func (r *retries) grant(end fleet.End, t fleet.Target, n int) bool {
	if n >= r.most || !r.canPass(end, t, n) {
		return false
	}
	if end.Reason == fleet.ReasonThrottled {
		return true // the server lives, and the limiter bounds what it is asked
	}
	if r.again >= r.attempts/retryShare+retryBurst {
		return false
	}
	r.again++
	return true
}

func (r *retries) canPass(end fleet.End, t fleet.Target, n int) bool {
	switch end.Outcome {
	case fleet.OutcomeNeverStarted:
		if errors.Is(end.Err, ssh.ErrConnectTimeout) || silentProxy(end, t) {
			return false
		}
		most, ok := maxTries[end.Reason]
		// Servers close during authentication because of who asks.
		byServer := end.Reason == fleet.ReasonConnClosed && end.Phase >= fleet.PhaseAuth
		return ok && !byServer && (most == 0 || n < most)
	case fleet.OutcomeUnknown:
		return r.idempotent && isTransient(end.Reason)
	}
	return false
}

// silentProxy reports whether nothing came from a proxy command. It is not a
// server's greeting that got lost: the program hangs, as it would again.
func silentProxy(end fleet.End, t fleet.Target) bool {
	return end.Reason == fleet.ReasonBannerTimeout && t.Route != nil && t.Route.Via == nil && len(t.Route.ProxyCommand) > 0
}

// isTransient leaves out ends that say nothing of the network: a command that took
// longer than it was given would do so again, and one that has been started
// once is refused each time.
func isTransient(reason fleet.Reason) bool {
	switch reason {
	case fleet.ReasonInterrupted, fleet.ReasonInternal, fleet.ReasonTimeout, fleet.ReasonStoreFailed,
		fleet.ReasonAlreadyStarted, fleet.ReasonNoReceipt:
		return false
	}
	return true
}

// backoff is the wait before the attempt that follows the n-th.
func backoff(reason fleet.Reason, n int) time.Duration {
	first := firstBackoff
	if reason == fleet.ReasonThrottled {
		first = turnedBackoff
	}
	return rand.N(min(first<<min(n-1, 10), maxBackoff)) // 2^10 is beyond maxBackoff for both
}

// timedOutConnecting says that the end came by a deadline of the connect, so that another
// may well take as long.
func timedOutConnecting(end fleet.End) bool {
	switch end.Reason {
	case fleet.ReasonDialTimeout, fleet.ReasonBannerTimeout, fleet.ReasonKexTimeout, fleet.ReasonResolveTimeout:
		return true
	}
	return false
}

// loadOutcome is what a failed connect says of its server.
func loadOutcome(end fleet.End) limiter.Outcome {
	switch end.Reason {
	case fleet.ReasonThrottled:
		return limiter.TurnedAway
	case fleet.ReasonJumpFailed:
		return limiter.JumpFailed
	case fleet.ReasonConnReset, fleet.ReasonConnClosed, fleet.ReasonDialTimeout, fleet.ReasonBannerTimeout:
		if end.Phase <= fleet.PhaseBanner {
			return limiter.Dropped
		}
	}
	return limiter.Inconclusive
}

// mayHaveRunEarlier gives the earlier attempt of which it cannot be known whether the
// command ran. A later one that did not run does not make that known.
func mayHaveRunEarlier(end fleet.End, earlier []fleet.Try) (fleet.End, bool) {
	if !end.Outcome.DidNotRun() {
		return end, false
	}
	for _, t := range earlier {
		if t.Outcome == fleet.OutcomeUnknown {
			return t.End, true
		}
	}
	return end, false
}
