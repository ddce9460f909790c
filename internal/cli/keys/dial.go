package keys

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/connect"
	"shoal/internal/ssh"
	"shoal/internal/ssh/client"
	"shoal/internal/ssh/hostkeys"
	"shoal/internal/ssh/hostkeys/scan"
	"shoal/internal/ssh/tunnel"
	"shoal/internal/ssh/wire"
	"shoal/internal/ssh/xcrypto"
)

// A scanner is an ssh.Dialer that only records host keys: it does not
// authenticate, and the Conn it returns runs nothing and reports OK. Dial opens
// one connection per question, one after the other, so that a host never has
// two at once.
type scanner struct {
	recorder scan.Recorder
	asks     []scanClient
	closers  []func()
}

// A scanClient asks one question. best may share no algorithm with an old
// server; legacy then tries again, and nil disables it.
type scanClient struct{ best, legacy ssh.Dialer }

// A scanPlan is what a scanner asks each host.
type scanPlan struct {
	// questions are the host key algorithms to offer on each connection. If
	// empty, there is one connection with the algorithms of a run: first the
	// types known for the host.
	questions [][]string
	known     *hostkeys.Verifier
	// certificates allows a host certificate on that connection if a CA is
	// known for the host.
	certificates bool
	// jumps logs in to jump hosts; nil means that there are none.
	jumps ssh.Dialer
}

// newScanner returns a scanner.
func newScanner(opts connect.Options, p scanPlan) (*scanner, error) {
	s := new(scanner)
	network := tunnel.New(tunnel.Options{Direct: opts.Network, Timeouts: opts.Timeouts, Verbose: opts.Engine.Verbose})
	s.closers = append(s.closers, func() { _ = network.Close() })
	if p.jumps != nil {
		opener, ok := p.jumps.(tunnel.Opener)
		if !ok {
			s.close()
			return nil, errors.New("jump hosts cannot be used with this client")
		}
		network.Use(opener)
	}
	for _, ask := range p.asks() {
		if err := s.add(opts, network, &question{recorder: &s.recorder, ask: ask}); err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

// asks returns for each connection a function with the algorithms to offer to a
// target.
func (p scanPlan) asks() []func(ssh.Target) []string {
	if len(p.questions) == 0 {
		return []func(ssh.Target) []string{p.shownFirst}
	}
	var asks []func(ssh.Target) []string
	for _, algorithms := range p.questions {
		asks = append(asks, func(ssh.Target) []string { return algorithms })
	}
	return asks
}

// shownFirst returns the algorithms that a run offers to the host: known types
// first, so that a host with several keys shows a known one.
func (p scanPlan) shownFirst(t ssh.Target) []string {
	algorithms := p.known.Algorithms(t)
	if len(algorithms) == 0 { // known_hosts cannot be read, which the comparison reports
		return slices.Concat(scan.KeyTypes()...)
	}
	if !p.certificates {
		algorithms = slices.DeleteFunc(algorithms, func(a string) bool { return strings.Contains(a, "-cert-v") })
	}
	return algorithms
}

// add creates the client for one question.
func (s *scanner) add(opts connect.Options, network ssh.Network, q *question) error {
	legacy, err := xcrypto.New(xcrypto.Options{
		HostKeys: q, Identities: noIdentities{}, Timeouts: opts.Timeouts, Network: network,
	})
	if err != nil {
		return err
	}
	if opts.Client == connect.ClientStandard {
		s.asks = append(s.asks, scanClient{best: legacy})
		return nil
	}
	best, err := client.New(client.Options{
		HostKeys: q, Identities: noIdentities{}, Timeouts: opts.Timeouts, Network: network, Classical: opts.Classical,
	})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, func() { _ = best.Close() })
	s.asks = append(s.asks, scanClient{best, legacy})
	return nil
}

// close closes everything that the scanner has opened.
func (s *scanner) close() {
	for _, closer := range s.closers {
		closer()
	}
}

// Dial implements ssh.Dialer. It fails if any connection fails, even if others
// have recorded keys, and if the host has no key of the requested types.
func (s *scanner) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	var missing error
	recorded := false
	for _, c := range s.asks {
		switch err := c.ask(ctx, a); {
		case errors.Is(err, scan.ErrRecorded):
			recorded = true
		case noKeyOfType(err):
			missing = err
		default:
			return nil, err
		}
	}
	if !recorded {
		return nil, missing
	}
	return scanned{}, nil
}

// ask makes one connection, or two if the first client shares no algorithm with
// the server. It always returns a non-nil error.
func (c scanClient) ask(ctx context.Context, a *ssh.Attempt) error {
	err := refused(c.best.Dial(ctx, a))
	if f, ok := errors.AsType[*fleet.Error](err); !ok || f.Reason != fleet.ReasonNoCommonAlgorithm ||
		noKeyOfType(err) || c.legacy == nil || chooses(a.Target.Settings()) {
		return err
	}
	return refused(c.legacy.Dial(ctx, a))
}

// refused returns the error of a Dial that can only fail: every key is refused.
func refused(conn ssh.Conn, err error) error {
	if err != nil {
		return err
	}
	_ = conn.Close()
	return errors.New("a scan was let in, though it refuses every key")
}

// chooses reports whether the settings name algorithms, which only one of the
// clients supports.
func chooses(s *ssh.Settings) bool {
	return s.Kex != nil || s.HostKeys != nil || s.Ciphers != nil || s.MACs != nil
}

// noKeyOfType reports whether the server has no host key of the requested
// types.
func noKeyOfType(err error) bool {
	if e, ok := errors.AsType[*wire.NegotiationError](err); ok {
		return onlyHostKeys(e.Client)
	}
	if e, ok := errors.AsType[*xssh.AlgorithmNegotiationError](err); ok {
		return onlyHostKeys(e.SupportedAlgorithms)
	}
	return false
}

// onlyHostKeys reports whether names are host key algorithms. An empty list
// counts too: ssh_config may forbid all that were requested, while every other
// list has at least one.
func onlyHostKeys(names []string) bool {
	all := wire.AllHostKeyAlgorithms()
	return !slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(all, n) })
}

// scanned is the Conn returned once the host's keys are recorded.
type scanned struct{}

// Start implements ssh.Conn.
func (scanned) Start(_ context.Context, done func(fleet.End)) {
	done(fleet.End{Outcome: fleet.OutcomeOK, Phase: fleet.PhaseHostkey})
}

// StartNext implements ssh.Conn: no connection is kept.
func (scanned) StartNext(_ context.Context, a *ssh.Attempt, done func(fleet.End)) {
	done(a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonConnClosed, errors.New("a scan keeps no connection")).End())
}

// Close implements ssh.Conn.
func (scanned) Close() error { return nil }

// noIdentities is a source of client keys that has none.
type noIdentities struct{}

// Signers returns no key.
func (noIdentities) Signers(context.Context, ssh.Target) ([]xssh.Signer, error) { return nil, nil }

// A question implements ssh.HostKeys for one connection to each host.
type question struct {
	recorder *scan.Recorder
	ask      func(ssh.Target) []string
}

// Algorithms implements ssh.HostKeys.
func (q *question) Algorithms(t ssh.Target) []string { return q.ask(t) }

// Check implements ssh.HostKeys: it records the key and refuses it.
func (q *question) Check(t ssh.Target, remote net.Addr, key xssh.PublicKey) error {
	asked := q.ask(t)
	if slices.Contains(asked, xssh.CertAlgoRSASHA512v01) {
		asked = append(slices.Clip(asked), xssh.CertAlgoRSAv01) // their key type
	}
	return q.recorder.Ask(asked).Check(t, remote, key)
}

// Accepted implements ssh.HostKeys.
func (q *question) Accepted(ctx context.Context, t ssh.Target, key xssh.PublicKey) error {
	return q.recorder.Ask(nil).Accepted(ctx, t, key)
}
