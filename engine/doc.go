// Package engine fans one run out: it takes targets from an iterator, makes one
// attempt at each, and gives a stream of results.
//
//	targets → feed ──slot──▸ gate per endpoint ──▸ dial workers ──▸ open sessions ─┐
//	            │            (connection starts)    (Dials)          (Fanout)      │
//	            └── cancelled ─────────────────────────▸ results ◂────────────────┘
//
// Call [Run] and range over what it gives. Promised:
//
//   - every target gives exactly one result, also when the run is stopped;
//     the outcomes sum to the number of targets
//   - memory follows Options.Fanout, never the number of targets
//   - connection starts and open sessions are bounded apart
//   - a panic while one target is worked on is that target's result
//   - leaving the loop stops everything that Run has started, and waits for it
//
// The engine makes one attempt per target and never repeats one.
package engine
