package engine

import (
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"shoal/fleet"
	"shoal/internal/engine/limiter"
	"shoal/internal/ssh"
)

const (
	// The wait before an attempt is uniformly distributed from 0 to firstBackoff, then
	// to twice that, and so on up to maxBackoff ("full jitter").
	firstBackoff = time.Second
	maxBackoff   = 30 * time.Second
	// turnedBackoff replaces firstBackoff if the server said that it is busy; the
	// limiter bounds how often it is asked.
	turnedBackoff = 100 * time.Millisecond

	// At most one in retryShare of all attempts may be a retry, plus retryBurst, so
	// that a network that is down is not flooded.
	retryShare = 10
	retryBurst = 32
)

// maxStalls is how many attempts may end because the server stalls. One that stalls
// once may be busy; one that stalls twice is broken, and each attempt takes the
// whole deadline.
const maxStalls = 2

// retries decides which attempts are followed by another.
type retries struct {
	most       int
	idempotent bool

	attempts, again int // for all targets so far
}

// grant reports whether the n-th attempt at t, which ended with end, is followed by
// another, and counts it.
func (r *retries) grant(end fleet.End, t fleet.Target, n int) bool {
	if n >= r.most || !r.canPass(end, t, n) {
		return false
	}
	if end.Reason == fleet.ReasonThrottled {
		return true // the server is alive, and the limiter bounds the requests to it
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
		if errors.Is(end.Err, ssh.ErrConnectTimeout) || silentProxy(end, t) || namelessJump(end) {
			return false
		}
		stalled := end.Reason == fleet.ReasonBannerTimeout || end.Reason == fleet.ReasonKexTimeout
		// A server that closes during authentication rejects this client, not the load.
		byServer := end.Reason == fleet.ReasonConnClosed && end.Phase >= fleet.PhaseAuth
		return end.Reason.Transient() && !byServer && (!stalled || n < maxStalls)
	case fleet.OutcomeUnknown:
		return r.idempotent && mayEndOtherwise(end.Reason)
	}
	return false
}

// silentProxy reports whether a proxy command produced no bytes. The program hangs
// and would do so again; no server lost its banner.
func silentProxy(end fleet.End, t fleet.Target) bool {
	return end.Reason == fleet.ReasonBannerTimeout && t.Route != nil && t.Route.Via == nil && len(t.Route.ProxyCommand) > 0
}

// namelessJump reports whether the jump host's name does not exist, as it will not
// at another attempt either.
func namelessJump(end fleet.End) bool {
	dns, ok := errors.AsType[*net.DNSError](end.Err)
	return ok && dns.IsNotFound && end.Reason == fleet.ReasonJumpFailed
}

// mayEndOtherwise reports whether another attempt may end differently. Excluded are
// ends that do not depend on the network: a command that took too long would do so
// again, and one that was started once is refused each time.
func mayEndOtherwise(reason fleet.Reason) bool {
	switch reason {
	case fleet.ReasonInterrupted, fleet.ReasonInternal, fleet.ReasonTimeout, fleet.ReasonStoreFailed,
		fleet.ReasonAlreadyStarted, fleet.ReasonNoReceipt:
		return false
	}
	return true
}

// backoff returns the wait before the attempt that follows the n-th.
func backoff(reason fleet.Reason, n int) time.Duration {
	first := firstBackoff
	if reason == fleet.ReasonThrottled {
		first = turnedBackoff
	}
	return rand.N(min(first<<min(n-1, 10), maxBackoff)) // first<<10 exceeds maxBackoff for both
}

// timedOutConnecting reports whether a deadline of the connect passed, so that the
// next connect may take as long.
func timedOutConnecting(end fleet.End) bool {
	switch end.Reason {
	case fleet.ReasonDialTimeout, fleet.ReasonBannerTimeout, fleet.ReasonKexTimeout, fleet.ReasonResolveTimeout:
		return true
	}
	return false
}

// loadOutcome returns what a failed connect tells about the load of its server.
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

// mayHaveRunEarlier returns the last of the earlier attempts whose outcome is unknown: a
// later one that did not run does not change what is known of it.
func mayHaveRunEarlier(end fleet.End, earlier []fleet.Try) (last int, ok bool) {
	if !end.Outcome.DidNotRun() {
		return 0, false
	}
	for i, t := range slices.Backward(earlier) {
		if t.Outcome == fleet.OutcomeUnknown {
			return i, true
		}
	}
	return 0, false
}
