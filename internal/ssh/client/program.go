package client

import (
	"context"
	"errors"
	"slices"
	"strings"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/algorithms"
	"shoal/internal/ssh/sshreason"
	"shoal/internal/ssh/wire"
)

// A Program is a Dialer that uses the system's ssh.
type Program interface {
	ssh.Dialer
	// Available returns why there is no such program, or nil.
	Available() error
	// Ticket reports whether this user has a Kerberos ticket.
	Ticket(ctx context.Context) bool
}

// programHelps reports whether the target, at which an attempt failed with f, can be expected to
// let the program in: nothing has run, and the server wants what only the program has.
func (d *Dialer) programHelps(ctx context.Context, t ssh.Target, f *fleet.Error) bool {
	if d.opts.Program == nil || ctx.Err() != nil || f.Outcome != fleet.OutcomeNeverStarted ||
		errors.Is(f, ssh.ErrConnectTimeout) || d.opts.Program.Available() != nil {
		return false
	}
	switch f.Phase {
	case fleet.PhaseAuth:
		return d.programLogsIn(ctx, t, sshreason.TakenBy(f))
	case fleet.PhaseKex:
		var theirs []string
		if missing, ok := errors.AsType[*wire.NegotiationError](f); ok {
			theirs = missing.Server
		} else if missing, ok := errors.AsType[*xssh.AlgorithmNegotiationError](f); ok {
			theirs = missing.RequestedAlgorithms
		}
		return f.Reason == fleet.ReasonNoCommonAlgorithm && programSpeaks(t, theirs)
	}
	return false
}

// ProgramHelps reports whether Dial can be expected to log in to the target with Options.Program, where
// another Dialer of this package, without a Program, has failed with f.
func (d *Dialer) ProgramHelps(ctx context.Context, t ssh.Target, f *fleet.Error) bool {
	return d.programHelps(ctx, t, f) || f.Reason == fleet.ReasonNoIdentity && ctx.Err() == nil && d.asksMethods(ctx, t)
}

// programLogsIn reports whether one of the methods that a server takes is enabled for the target,
// and only the program has it. Kerberos needs a ticket.
func (d *Dialer) programLogsIn(ctx context.Context, t ssh.Target, methods []string) bool {
	own := t.Settings().Program.Methods
	both := func(method string) bool { return slices.Contains(own, method) && slices.Contains(methods, method) }
	return both("hostbased") || both("gssapi-with-mic") && d.opts.Program.Ticket(ctx)
}

// asksMethods reports whether the server is asked for its methods although there is no key to
// offer: the program might log in.
func (d *Dialer) asksMethods(ctx context.Context, t ssh.Target) bool {
	return d.opts.Program != nil && d.opts.Program.Available() == nil &&
		d.programLogsIn(ctx, t, []string{"hostbased", "gssapi-with-mic"})
}

// programSpeaks reports whether the program offers the target one of these algorithms: one that
// only it has, or one that ssh_config names.
func programSpeaks(t ssh.Target, server []string) bool {
	for _, line := range t.Settings().Program.Options {
		keyword, list, _ := strings.Cut(line, " ")
		switch keyword {
		case "KexAlgorithms", "Ciphers", "MACs", "HostKeyAlgorithms":
			if !strings.HasPrefix(list, "-") && firstCommon(strings.Split(strings.TrimLeft(list, "+^"), ","), server) != "" {
				return true
			}
		}
	}
	return firstCommon(algorithms.OnlyOpenSSH(), server) != ""
}
