// Package internal/engine fans one run out: it takes targets from an iterator, attempts
// each until its end is known, and gives a stream of results.
//
//	targets → feed ──▸ limiter.Limiter ──▸ workers ──▸ open sessions ──▸ results
//	            │       waits, by endpoint    (Dials)       (Fanout)     │
//	            │             ▴                                          │
//	            │             └──────────── retries ◂────────────────────┤
//	            └── cancelled ───────────────────────────────────────────┘
//
// Call [Run] and range over what it gives. Promised:
//
//   - every target gives exactly one result, also when the run is stopped;
//     the outcomes sum to the number of targets
//   - no command is started again unless it is certain that it has not run, or
//     Options.Idempotent allows it
//   - memory follows Options.Fanout, never the number of targets
//   - connection starts and open sessions are bounded apart
//   - a target that waits holds no slot and no goroutine, and a server that
//     takes no connections makes no other one wait
//   - what this machine lacks narrows the run and blames no host; where it lacks
//     it for good, such as an agent that has died, the rest is not tried
//   - a panic while one target is worked on is that target's result; one in a
//     function of Options, or in the iterator, is the run's error
//   - leaving the loop stops everything that Run has started, and waits for it
package engine
