// Package engine runs attempts at many targets concurrently: it takes targets from
// an iterator, attempts each until its outcome is final, and yields a stream of
// results.
//
//	targets → feed ──▸ limiter.Limiter ──▸ workers ──▸ open sessions ──▸ results
//	            │       waits, by endpoint    (Dials)       (Fanout)     │
//	            │             ▴                                          │
//	            │             └──────────── retries ◂────────────────────┤
//	            └── cancelled ───────────────────────────────────────────┘
//
// Call [Run] and range over its results. Guarantees:
//
//   - every target has exactly one result, also when the run is stopped; the
//     outcomes sum to the number of targets
//   - a command is started again only if it certainly has not run, or if
//     Options.Idempotent allows it
//   - memory depends on Options.Fanout, never on the number of targets
//   - connection starts and open sessions have separate limits
//   - a waiting target holds no slot and no goroutine, and a server that accepts no
//     connections delays no other server
//   - a lack of local resources lowers the fanout and is blamed on no host; if it
//     persists, the remaining targets are not tried; those that need no agent are not
//     affected by one that has died
//   - a panic while working on a target becomes that target's result; a panic in a
//     function of Options, or in the iterator, is the run's error
//   - leaving the loop stops everything that Run has started, and waits for it
package engine
