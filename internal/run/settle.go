package run

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"time"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/hint"
	"shoal/internal/remote"
	"shoal/internal/ssh"
)

// A name, and even an address, may lead to several machines that have one host key: by DNS,
// a load balancer, or because one takes over from another. A marker is then looked for on a
// machine that has never seen the command. Three things help to notice that:
//
//   - A host that had run the command for a while, or sent output of it, contradicts a marker that
//     says never.
//   - Intents record the address that was dialled, which is dialled again.
//     Where workers have dialled it and have not told it, never is not believed.
//   - Answers name their machine. The answer never is asked for again, each time on a new
//     connection, and counts if all answers are from one machine.
//
// What cannot be noticed is a machine that takes over an address between the time when the
// command was sent and the first of these signs.

// settleAgain is how often never is asked for again. Of two machines that take turns at
// random, another one does not answer with a probability of 1/1024.
const settleAgain = 10

// NeverAnswers is how many answers never, each on a connection of its own, are believed.
const NeverAnswers = 1 + settleAgain

// QuerySettled is [Query] for questions that settle markers. The answer never is yielded
// after all others, when it was asked for again; it may have become another one, or an error.
// dialled returns the address that was dialled when the command was sent, or why never cannot be
// believed. It is called from other goroutines.
func QuerySettled(ctx context.Context, o engine.Options, answer time.Duration, planned iter.Seq[ssh.Target], question QueryFunc,
	dialled func(index int) (netip.AddrPort, error),
) iter.Seq2[Reply, error] {
	return func(yield func(Reply, error) bool) {
		never := make(map[int]Reply)
		for reply, err := range Query(ctx, o, answer, planned, question) {
			if err == nil && reply.never() {
				if _, reply.Err = dialled(reply.Target.Index); reply.Err == nil {
					never[reply.Target.Index] = brief(reply)
					continue
				}
			}
			if !yield(reply, err) || err != nil {
				return
			}
		}
		o.Dialer = redialer{o.Dialer, dialled}
		for range settleAgain {
			if len(never) == 0 {
				return
			}
			again := make([]ssh.Target, 0, len(never))
			for _, index := range slices.Sorted(maps.Keys(never)) {
				again = append(again, never[index].planned)
			}
			for reply, err := range Query(ctx, o, answer, slices.Values(again), question) {
				first := never[reply.Target.Index]
				if err == nil && reply.never() && reply.Report.Machine == first.Report.Machine {
					continue
				}
				delete(never, reply.Target.Index)
				if !yield(doubted(first, reply), err) || err != nil {
					return
				}
			}
		}
		for _, index := range slices.Sorted(maps.Keys(never)) {
			if !yield(never[index], nil) {
				return
			}
		}
	}
}

// never reports whether the host answers that the command never started.
func (r *Reply) never() bool { return r.Err == nil && r.Report.State == remote.StateNever }

var errMachines = hint.Wrap(errors.New("its marker says that it never started, but other connections lead to another machine, on which it may have run"),
	"name each machine by itself")

// errAddress is why a marker that says never is not believed where only a worker knew the address.
var errAddress = hint.Wrap(errors.New("its marker says that it never started, but which address of its name a worker had dialled is not known: it may have run on another machine"),
	"look there; hosts that are named by their address have no such doubt")

// dialledBy returns the address that was dialled for a target, or errAddress if only a worker knew it.
func dialledBy(workers bool, t fleet.Target, at netip.AddrPort) (netip.AddrPort, error) {
	if workers && !at.IsValid() {
		name := t.Host.Name
		if t.Route != nil && t.Route.Address != "" {
			name = t.Route.Address
		}
		if _, err := netip.ParseAddr(name); err != nil {
			return at, errAddress
		}
	}
	return at, nil
}

// doubted returns the reply of a target that had said never.
func doubted(first, again Reply) Reply {
	switch {
	case again.Err != nil:
		again.Err = fmt.Errorf("its marker says that it never started, but it did not say so again: %w", again.Err)
	case again.Report.Machine != first.Report.Machine && (again.never() || again.Report.State == remote.StateAbsent):
		again.Err = errMachines
	}
	return again
}

// A redialer is an ssh.Dialer that dials anew, and the addresses that were dialled before.
type redialer struct {
	ssh.Dialer
	dialled func(index int) (netip.AddrPort, error)
}

// Dial implements ssh.Dialer.
func (d redialer) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	given := *a
	given.At, given.Anew = nil, true
	if at, _ := d.dialled(a.Target.Index); at.IsValid() {
		given.At = &at
	}
	return d.Dialer.Dial(ctx, &given)
}
