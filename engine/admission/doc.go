// Package admission decides which targets may start to connect, and when.
//
// A [Desk] holds the targets that wait. [Desk.Enqueue] puts one there,
// [Desk.Next] gives the one that may start now, [Desk.Over] tells how its
// connect went, [Desk.Landed] that its result has been taken, and [Desk.Wake]
// says when Next may have more to give though nothing else happens.
//
//	Enqueue ─▸ waits at its server ─▸ Next ─▸ being connected ─▸ Over ─▸ in flight ─▸ Landed
//	   ▴       (and jump hosts)               fresh, then slow                │
//	   └───────────────── Later: after a time ◂──────────────────────────────┘
//
// What it promises:
//
//   - a waiting target costs its [Ticket] and nothing else
//   - every bound of [Limits] holds, whatever is told
//   - a server that turns connections away is given fewer at once, and rest; no
//     other server is made to wait for it
//   - connects that take far longer than most leave the bound on connects to
//     the others, up to a bound of their own
//
// The package starts nothing, reads no clock and takes no lock: every call is
// told the time, and the caller lets one in after the other.
package admission
