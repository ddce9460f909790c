package keys

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"

	xssh "golang.org/x/crypto/ssh"

	"shoal"
	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/client"
	"shoal/internal/ssh/hostkeys"
	"shoal/internal/ssh/hostkeys/scan"
	"shoal/internal/ssh/tunnel"
	"shoal/internal/ssh/wire"
	"shoal/internal/ssh/xcrypto"
)

// A scanner is a ssh.Dialer for which a connection has done its work when
// the host key is recorded: nothing is authenticated, and the Conn that it gives
// runs nothing and is ok. One Dial makes a connection for each question, one
// after the other, so that a host never sees two at once.
type scanner struct {
	recorder scan.Recorder
	asks     []scanClient
	closers  []func()
}

// A scanClient asks one question. Servers that share no algorithm with best may
// share one with legacy, which is nil where that is not wanted.
type scanClient struct{ best, legacy ssh.Dialer }

// A scanPlan says what a scanner asks.
type scanPlan struct {
	// questions are the algorithms of each connection. With none there is one
	// connection, for the key that a run is shown: first those types that known
	// knows of the host.
	questions [][]string
	known     *hostkeys.Router
	// certificates says that hosts may show one there, where known knows an
	// authority for them.
	certificates bool
	// jumps are the jump hosts on the way.
	jumps []fleet.Target
}

// newScanner makes a scanner. Jump hosts are logged in to as in a run, which may
// need an answer of a person now.
func newScanner(ctx context.Context, opts shoal.Options, p scanPlan) (*scanner, error) {
	s := new(scanner)
	network := tunnel.New(tunnel.Options{Direct: opts.Network, Timeouts: opts.Timeouts})
	s.closers = append(s.closers, func() { _ = network.Close() })
	if len(p.jumps) > 0 {
		if err := s.useJumps(ctx, opts, network, p.jumps); err != nil {
			s.close()
			return nil, err
		}
	}
	for _, ask := range p.asks() {
		if err := s.add(opts, network, &question{recorder: &s.recorder, ask: ask}); err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

// asks gives for each connection what to offer to a target.
func (p scanPlan) asks() []func(fleet.Target) []string {
	if len(p.questions) == 0 {
		return []func(fleet.Target) []string{p.shownFirst}
	}
	var asks []func(fleet.Target) []string
	for _, algorithms := range p.questions {
		asks = append(asks, func(fleet.Target) []string { return algorithms })
	}
	return asks
}

// shownFirst lists what a run offers to the host: known types first, so that a
// host with several keys shows one that is known.
func (p scanPlan) shownFirst(t fleet.Target) []string {
	algorithms := p.known.Algorithms(t)
	if len(algorithms) == 0 { // known_hosts cannot be read, which comparing tells
		return slices.Concat(scan.KeyTypes()...)
	}
	if !p.certificates {
		algorithms = slices.DeleteFunc(algorithms, func(a string) bool { return strings.Contains(a, "-cert-v") })
	}
	return algorithms
}

// useJumps has the network log in to jump hosts by the ordinary policy, with the
// ordinary keys.
func (s *scanner) useJumps(ctx context.Context, opts shoal.Options, network *tunnel.Network, jumps []fleet.Target) error {
	opts.Client = shoal.ClientBest // the only one that carries streams
	opts.Entry, opts.Preview, opts.Jump = nil, slices.Values(jumps), ""
	dialer, closer, err := opts.OpenDialer(ctx)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, closer)
	opener, ok := dialer.(tunnel.Opener)
	if !ok {
		return errors.New("jump hosts cannot be used with this client")
	}
	network.Use(opener)
	return nil
}

// add makes the client for one question.
func (s *scanner) add(opts shoal.Options, network ssh.Network, q *question) error {
	legacy, err := xcrypto.New(xcrypto.Options{
		HostKeys: q, Identities: noIdentities{}, Timeouts: opts.Timeouts, Network: network,
	})
	if err != nil {
		return err
	}
	if opts.Client == shoal.ClientStandard {
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

// Close ends what the scanner has opened, the jump hosts' dialer last.
func (s *scanner) close() {
	for _, closer := range s.closers {
		closer()
	}
}

// Dial implements ssh.Dialer. It fails when a connection fails, whatever
// others have recorded, and when the host has no key of any type asked for.
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

// Ask makes one connection, or two where the first client is not understood. Its
// error is never nil.
func (c scanClient) ask(ctx context.Context, a *ssh.Attempt) error {
	err := refused(c.best.Dial(ctx, a))
	if f, ok := errors.AsType[*fleet.Error](err); !ok || f.Reason != fleet.ReasonNoCommonAlgorithm ||
		noKeyOfType(err) || c.legacy == nil || chooses(a.Target.Route) {
		return err
	}
	return refused(c.legacy.Dial(ctx, a))
}

// refused gives the error of a Dial that cannot succeed: every key is refused.
func refused(conn ssh.Conn, err error) error {
	if err != nil {
		return err
	}
	_ = conn.Close()
	return errors.New("a scan was let in, though it refuses every key")
}

// chooses says whether the route chooses algorithms, which only one client obeys.
func chooses(r *fleet.Route) bool {
	return r != nil && (r.Kex != nil || r.HostKeys != nil || r.Ciphers != nil || r.MACs != nil)
}

// noKeyOfType says whether the server has no host key of the types asked for.
func noKeyOfType(err error) bool {
	if e, ok := errors.AsType[*wire.NegotiationError](err); ok {
		return onlyHostKeys(e.Client)
	}
	if e, ok := errors.AsType[*xssh.AlgorithmNegotiationError](err); ok {
		return onlyHostKeys(e.SupportedAlgorithms)
	}
	return false
}

// onlyHostKeys says whether these are host-key algorithms. They may be none,
// where ssh_config forbids those that were asked for; of the others there is
// always one.
func onlyHostKeys(names []string) bool {
	all := wire.AllHostKeyAlgorithms()
	return !slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(all, n) })
}

// scanned is the Conn of a host whose keys are recorded.
type scanned struct{}

func (scanned) Start(_ context.Context, done func(fleet.End)) {
	done(fleet.End{Outcome: fleet.OutcomeOK, Phase: fleet.PhaseHostkey})
}

func (scanned) Close() error { return nil }

// noIdentities offers no key.
type noIdentities struct{}

func (noIdentities) Signers(context.Context, fleet.Target) ([]xssh.Signer, error) { return nil, nil }

// A question is the ssh.HostKeys of one connection to each host.
type question struct {
	recorder *scan.Recorder
	ask      func(fleet.Target) []string
}

func (q *question) Algorithms(t fleet.Target) []string { return q.ask(t) }

func (q *question) Check(t fleet.Target, remote net.Addr, key xssh.PublicKey) error {
	asked := q.ask(t)
	if slices.Contains(asked, xssh.CertAlgoRSASHA512v01) {
		asked = append(slices.Clip(asked), xssh.CertAlgoRSAv01) // the type of what these sign for
	}
	return q.recorder.Ask(asked).Check(t, remote, key)
}

func (q *question) Accepted(t fleet.Target, key xssh.PublicKey) error {
	return q.recorder.Ask(nil).Accepted(t, key)
}
