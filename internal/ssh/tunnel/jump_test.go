package tunnel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/ssh"
	"shoal/internal/ssh/client"
	"shoal/internal/ssh/tcp"
	"shoal/internal/ssh/wire"
	"shoal/internal/sshdtest"
	"shoal/simfleet"
)

// relayTo makes this program a proxy command: it connects to the address and
// copies.
const relayTo = "SHOAL_TEST_RELAY_TO"

func TestMain(m *testing.M) {
	if address := os.Getenv(relayTo); address != "" {
		c, err := net.Dial("tcp", address)
		if err != nil {
			os.Exit(1)
		}
		go func() { _, _ = io.Copy(c, os.Stdin); os.Exit(0) }()
		_, _ = io.Copy(os.Stdout, c)
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// known trusts keys by host name and port.
type known map[string]xssh.PublicKey

func (k known) Algorithms(ssh.Target) []string { return nil }

func (k known) Check(t ssh.Target, _ net.Addr, key xssh.PublicKey) error {
	if want := k[t.Host.Name+":"+fmt.Sprint(t.Port)]; want == nil || !bytes.Equal(want.Marshal(), key.Marshal()) {
		return &fleet.Error{Reason: fleet.ReasonHostkeyUnknown, Err: errors.New("not this key")}
	}
	return nil
}

func (k known) Accepted(context.Context, ssh.Target, xssh.PublicKey) error { return nil }

type signers []xssh.Signer

func (s signers) Signers(context.Context, ssh.Target) ([]xssh.Signer, error) { return s, nil }

// A site is a fleet behind an OpenSSH server.
type site struct {
	fleet   *simfleet.Fleet
	bastion *sshdtest.Server
	keys    known
	signers signers
}

func newSite(t *testing.T, hosts int, opts ...sshdtest.Option) *site {
	t.Helper()
	f, err := simfleet.Start(t.Context(), simfleet.Options{Hosts: hosts})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	b := sshdtest.OpenSSH(t, opts...)
	s := &site{fleet: f, bastion: b, keys: known{}, signers: signers{b.Signer, f.ClientKey()}}
	s.keys[fmt.Sprintf("%s:%d", b.Host.Name, b.Host.Port)] = b.HostKey
	for i := range hosts {
		h := f.Host(i)
		s.keys[fmt.Sprintf("%s:%d", h.Name, h.Port)] = f.HostKey(i)
	}
	return s
}

func (s *site) hop() ssh.Target {
	return at(fleet.Target{Host: s.bastion.Host, User: s.bastion.User}, nil)
}

// dialer connects through the network.
func (s *site) dialer(t *testing.T, n *Network) *client.Dialer {
	t.Helper()
	d, err := client.New(client.Options{HostKeys: s.keys, Identities: s.signers, Network: n})
	if err != nil {
		t.Fatal(err)
	}
	n.Use(d)
	t.Cleanup(func() {
		_ = d.Close()
		_ = n.Close()
	})
	return d
}

// at returns t at an endpoint, which may be nil.
func at(t fleet.Target, e *ssh.Endpoint) ssh.Target {
	if t.Port == 0 {
		t.Port = t.Host.Port
	}
	if e != nil {
		t.Route = &e.Route
	}
	return ssh.Target{Target: t, Endpoint: e}
}

// behind returns an endpoint behind a proxy command.
func behind(argv ...string) *ssh.Endpoint {
	return &ssh.Endpoint{Route: fleet.Route{ProxyCommand: argv}}
}

// run returns the results of echo on the first hosts of the fleet.
func (s *site) run(t *testing.T, d ssh.Dialer, hosts int, endpoint *ssh.Endpoint) map[fleet.Outcome]int {
	t.Helper()
	targets := func(yield func(ssh.Target) bool) {
		for i := range hosts {
			if !yield(at(fleet.Target{
				Host: s.fleet.Host(i), Index: i, User: "someone", Command: fmt.Sprintf("echo target %d", i),
			}, endpoint)) {
				return
			}
		}
	}
	outcomes := map[fleet.Outcome]int{}
	for res, err := range engine.Run(t.Context(), engine.Options{Dialer: d}, targets) {
		if err != nil {
			t.Fatal(err)
		}
		outcomes[res.Outcome]++
		if want := fmt.Sprintf("target %d\n", res.Target.Index); res.Outcome == fleet.OutcomeOK && string(res.Stdout.Bytes) != want {
			t.Errorf("target %d wrote %q", res.Target.Index, res.Stdout.Bytes)
		}
		if res.Outcome != fleet.OutcomeOK && outcomes[res.Outcome] < 5 {
			t.Logf("%v: %v(%s) in %v: %v", res.Target.Host, res.Outcome, res.Reason, res.Phase, res.Err)
		}
	}
	return outcomes
}

// Two thousand targets behind one server with OpenSSH's default limits: none is
// lost, and none of our connections is turned away.
func TestManyTargetsBehindOneBastion(t *testing.T) {
	const hosts = 2000
	s := newSite(t, hosts)
	n := New(Options{})
	hop := s.hop()
	got := s.run(t, s.dialer(t, n), hosts, ssh.Via(hop))
	if got[fleet.OutcomeOK] != hosts {
		t.Errorf("outcomes %v, want %d ok", got, hosts)
	}
	if log := s.bastion.Log(); strings.Contains(log, "MaxStartups") || strings.Contains(log, "penalty") {
		t.Errorf("the bastion turned us away:\n%s", log)
	}
	if c := strings.Count(s.bastion.Log(), "Accepted publickey"); c > 2+hosts/DefaultStreams {
		t.Errorf("%d connections to the bastion for %d targets", c, hosts)
	}
}

// lacking has no file descriptor left.
type lacking struct{}

func (lacking) Open(_ context.Context, a *ssh.Attempt) (net.Conn, error) {
	return nil, a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonLocalFiles, syscall.EMFILE)
}

// A local lack that keeps the jump host from being reached is not its failure.
// faults.md: R05
func TestLocalLackBeforeABastion(t *testing.T) {
	s := newSite(t, 1)
	hop, host := s.hop(), s.fleet.Host(0)
	n := New(Options{Direct: lacking{}})
	d, err := client.New(client.Options{HostKeys: s.keys, Identities: s.signers, Network: n})
	if err != nil {
		t.Fatal(err)
	}
	n.Use(d)
	defer func() { _, _ = d.Close(), n.Close() }()
	target := at(fleet.Target{Host: host, User: "someone", Command: "true"}, ssh.Via(hop))
	_, err = d.Dial(t.Context(), &ssh.Attempt{Progress: new(ssh.Progress), Target: target})
	f, ok := errors.AsType[*fleet.Error](err)
	if !ok || f.Outcome != fleet.OutcomeNeverStarted || f.Reason != fleet.ReasonLocalFiles {
		t.Errorf("the error is %.200q", err)
	}
}

// An asking is an Opener whose runs are gone that would decide about the jump host.
type asking struct{ dials atomic.Int32 }

func (o *asking) Tunnels(_ context.Context, a *ssh.Attempt) (*client.Tunnels, error) {
	o.dials.Add(1)
	return nil, a.FailIn(fleet.PhaseHostkey, fleet.OutcomeNeverStarted, fleet.ReasonHolderLost, errors.New("the run has ended"))
}

// That nobody decides any more about a jump host that is being dialled is not its failure either, and keeps
// nobody else from dialling it.
func TestNobodyDecidesAboutABastion(t *testing.T) {
	n, o := New(Options{}), new(asking)
	n.Use(o)
	defer func() { _ = n.Close() }()
	via := ssh.Via(at(fleet.Target{Host: fleet.Host{Name: "jump", Port: 22}, User: "u"}, nil))
	for i := range 2 {
		a := &ssh.Attempt{Progress: new(ssh.Progress), Target: at(fleet.Target{Host: fleet.Host{Name: "h", Port: 22}, User: "u"}, via)}
		_, err := n.Open(t.Context(), a)
		if f, ok := errors.AsType[*fleet.Error](err); !ok || f.Reason != fleet.ReasonHolderLost {
			t.Errorf("the error is %v", err)
		}
		if got, want := o.dials.Load(), int32((i+1)*maxDials); got != want {
			t.Errorf("%d dials, want %d", got, want)
		}
	}
}

// silent waits until it is given up.
type silent struct{}

func (silent) Open(ctx context.Context, a *ssh.Attempt) (net.Conn, error) {
	<-ctx.Done()
	return nil, a.Fail(fleet.OutcomeCancelled, fleet.ReasonInterrupted, context.Cause(ctx))
}

// The connect timeout ends the wait for a jump host too.
func TestConnectTimeoutAtABastion(t *testing.T) {
	s := newSite(t, 1)
	hop, host := s.hop(), s.fleet.Host(0)
	timeouts := ssh.Timeouts{Connect: 100 * time.Millisecond}
	n := New(Options{Direct: silent{}, Timeouts: timeouts})
	d, err := client.New(client.Options{HostKeys: s.keys, Identities: s.signers, Network: n, Timeouts: timeouts})
	if err != nil {
		t.Fatal(err)
	}
	n.Use(d)
	defer func() { _, _ = d.Close(), n.Close() }()
	target := at(fleet.Target{Host: host, User: "someone", Command: "true"}, ssh.Via(hop))
	_, err = d.Dial(t.Context(), &ssh.Attempt{Progress: new(ssh.Progress), Target: target})
	f, ok := errors.AsType[*fleet.Error](err)
	if !ok || f.Outcome != fleet.OutcomeNeverStarted || f.Reason != fleet.ReasonDialTimeout || !errors.Is(err, ssh.ErrConnectTimeout) {
		t.Errorf("the error is %v", err)
	}
}

// panicking panics in Check.
type panicking struct{ known }

func (panicking) Algorithms(ssh.Target) []string { return nil }

func (panicking) Check(ssh.Target, net.Addr, xssh.PublicKey) error { panic("judged") }

// A panic during the login to a jump host is the failure of the targets behind it,
// a panic while reading from it that of the streams: neither ends the process.
func TestPanicAtABastion(t *testing.T) {
	s := newSite(t, 1)
	hop, host := s.hop(), s.fleet.Host(0)
	target := at(fleet.Target{Host: host, User: "someone", Command: "true"}, ssh.Via(hop))
	for name, o := range map[string]client.Options{
		"logging in": {HostKeys: panicking{s.keys}},
		"hearing": {HostKeys: s.keys, Trace: func(m wire.Message) {
			if m.Name == "CHANNEL_OPEN_CONFIRMATION" {
				panic("heard")
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			n := New(Options{})
			o.Identities, o.Network = s.signers, n
			d, err := client.New(o)
			if err != nil {
				t.Fatal(err)
			}
			n.Use(d)
			defer func() { _, _ = d.Close(), n.Close() }()
			_, err = d.Dial(t.Context(), &ssh.Attempt{Progress: new(ssh.Progress), Target: target})
			f, ok := errors.AsType[*fleet.Error](err)
			if !ok || f.Outcome != fleet.OutcomeNeverStarted || f.Reason != fleet.ReasonJumpFailed || !strings.Contains(f.Error(), "panic") {
				t.Errorf("the error is %.200q", err)
			}
		})
	}
}

func TestTwoBastionsInARow(t *testing.T) {
	s := newSite(t, 3)
	second := sshdtest.OpenSSH(t, sshdtest.WithAuthorized(s.bastion.Signer.PublicKey()))
	s.keys[fmt.Sprintf("%s:%d", second.Host.Name, second.Host.Port)] = second.HostKey
	first := s.hop()
	last := at(fleet.Target{Host: second.Host, User: second.User}, ssh.Via(first))
	got := s.run(t, s.dialer(t, New(Options{})), 3, ssh.Via(last))
	if got[fleet.OutcomeOK] != 3 {
		t.Errorf("outcomes %v, want 3 ok", got)
	}
	for name, b := range map[string]*sshdtest.Server{"first": s.bastion, "second": second} {
		if c := strings.Count(b.Log(), "Accepted publickey"); c != 1 {
			t.Errorf("%d connections to the %s bastion, want 1", c, name)
		}
	}
}

// Jump hosts at one address share connections if, and only if, their route and
// host-key checks are the same.
func TestPoolsAreApart(t *testing.T) {
	hop := func(e *ssh.Endpoint) ssh.Target {
		return at(fleet.Target{Host: fleet.Host{Name: "bastion"}, User: "me", Port: 22}, e)
	}
	address := func(name string) *ssh.Endpoint { return &ssh.Endpoint{Route: fleet.Route{Address: name}} }
	via := func(e *ssh.Endpoint) *ssh.Endpoint {
		through := ssh.Via(hop(e))
		through.Address = "10.0.0.6"
		return through
	}
	alias := func(name string) *ssh.Endpoint { return &ssh.Endpoint{Route: fleet.Route{HostKeyAlias: name}} }
	with := func(s ssh.Settings) *ssh.Endpoint { return &ssh.Endpoint{Settings: &s} }
	strict := with(ssh.Settings{Known: ssh.HostKeySpec{Files: []string{"a"}}})
	lax := with(ssh.Settings{Known: ssh.HostKeySpec{Files: []string{"b"}}})
	for name, c := range map[string]struct{ a, b *ssh.Endpoint }{
		"proxy":        {behind("vpn", "one"), behind("vpn", "two")},
		"no proxy":     {behind("vpn"), nil},
		"bind":         {with(ssh.Settings{Bind: "10.0.0.1"}), with(ssh.Settings{Bind: "10.0.0.2"})},
		"interface":    {with(ssh.Settings{BindInterface: "eth0"}), with(ssh.Settings{BindInterface: "eth1"})},
		"family":       {with(ssh.Settings{Family: "tcp4"}), with(ssh.Settings{Family: "tcp6"})},
		"alias":        {alias("one"), alias("two")},
		"host keys":    {strict, lax},
		"keys":         {with(ssh.Settings{Keys: ssh.KeySpec{Defaults: true}}), &ssh.Endpoint{}},
		"kex":          {with(ssh.Settings{Kex: []string{"curve25519-sha256"}}), &ssh.Endpoint{}},
		"nothing":      {with(ssh.Settings{Ciphers: []string{}}), &ssh.Endpoint{}},
		"user keys":    {with(ssh.Settings{UserKeys: []string{"ssh-ed25519"}}), &ssh.Endpoint{}},
		"failing":      {&ssh.Endpoint{Err: errors.New("unsupported")}, &ssh.Endpoint{}},
		"address":      {address("10.0.0.5"), address("10.0.0.6")},
		"hop before":   {via(strict), via(lax)},
		"its proxy":    {via(behind("a")), via(nil)},
		"a hop at all": {via(nil), address("10.0.0.6")},
	} {
		n := New(Options{})
		if n.pool(hop(c.a)) == n.pool(hop(c.b)) {
			t.Errorf("%s: one pool", name)
		}
		for _, e := range []*ssh.Endpoint{c.a, c.b} {
			same := e
			if e != nil {
				another := *e
				another.ProxyCommand = slices.Clone(e.ProxyCommand)
				if e.Err != nil {
					another.Err = errors.New(e.Err.Error())
				}
				if e.Jump != nil {
					before := *e.Jump
					another.Jump, another.Via = &before, &before.Target
				}
				same = &another
			}
			if n.pool(hop(e)) != n.pool(hop(same)) {
				t.Errorf("%s: two pools for equal endpoints %+v", name, e)
			}
		}
		_ = n.Close()
	}
	n := New(Options{})
	defer func() { _ = n.Close() }()
	other := hop(address("bastion"))
	other.Host.Name = "other"
	if n.pool(other) != n.pool(hop(&ssh.Endpoint{})) {
		t.Error("two names of one address, and all else equal: two pools")
	}
}

// Two aliases of one bastion behind two proxy commands: the targets of each leave
// through its own process.
func TestTwoProxiesToOneBastion(t *testing.T) {
	s := newSite(t, 4)
	bastion := s.hop()
	log := filepath.Join(t.TempDir(), "started")
	d := s.dialer(t, New(Options{}))
	for _, alias := range []string{"one", "two", "one"} {
		hop := at(bastion.Target, behind(
			"sh", "-c", `echo "$1" >>"$2"; exec env "$3" "$4"`, "sh", alias, log,
			fmt.Sprintf("%s=%s", relayTo, bastion.Address()), os.Args[0],
		))
		if got := s.run(t, d, 4, ssh.Via(hop)); got[fleet.OutcomeOK] != 4 {
			t.Errorf("%s: outcomes %v, want 4 ok", alias, got)
		}
	}
	started, err := os.ReadFile(log)
	if err != nil || string(started) != "one\ntwo\n" {
		t.Errorf("started were %q (%v), want one process for each alias", started, err)
	}
	if c := strings.Count(s.bastion.Log(), "Accepted publickey"); c != 2 {
		t.Errorf("%d connections to the bastion, want 2", c)
	}
}

// A bastion that cannot be reached is one failure, reported for every target, and
// is not dialled for each of them.
func TestLostBastionIsOneCause(t *testing.T) {
	s := newSite(t, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).AddrPort().Port()
	_ = l.Close() // nothing listens there now
	hop := at(fleet.Target{Host: fleet.Host{Name: "127.0.0.1", Port: port}, User: "u"}, nil)
	d := s.dialer(t, New(Options{}))
	texts := map[string]int{}
	for range 50 {
		h := s.fleet.Host(0)
		_, err := d.Dial(t.Context(), &ssh.Attempt{Progress: new(ssh.Progress), Target: at(fleet.Target{Host: h, User: "someone"}, ssh.Via(hop))})
		f, ok := errors.AsType[*fleet.Error](err)
		if !ok || f.Outcome != fleet.OutcomeNeverStarted || f.Reason != fleet.ReasonJumpFailed || f.Phase != fleet.PhaseDial {
			t.Fatalf("Dial gave %v", err)
		}
		texts[f.Err.Error()]++
	}
	if len(texts) != 1 {
		t.Errorf("%d different causes: %v", len(texts), texts)
	}
}

// A read deadline holds while bytes are there, as for every net.Conn: a server that
// never pauses must not outlive its timeouts. Afterwards the bytes are still there.
func TestDeadlineWhileBytesAreThere(t *testing.T) {
	s := newSite(t, 1)
	d := s.dialer(t, New(Options{}))
	all, err := d.Tunnels(t.Context(), &ssh.Attempt{Progress: new(ssh.Progress), Target: s.hop()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = all.Close() }()
	h := s.fleet.Host(0)
	stream, err := all.Open(t.Context(), h.Name, h.Port)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.AwaitRead(); err != nil { // the server's version line
		t.Fatal(err)
	}
	buf := make([]byte, 4)
	for _, by := range []time.Time{time.Unix(1, 0), {}} {
		_ = stream.SetReadDeadline(by)
		want := error(nil)
		if !by.IsZero() {
			want = os.ErrDeadlineExceeded
		}
		if err := stream.AwaitRead(); !errors.Is(err, want) {
			t.Errorf("deadline %v: AwaitRead: %v, want %v", by, err, want)
		}
		if n, err := stream.Read(buf); !errors.Is(err, want) || want == nil && string(buf[:n]) != "SSH-" {
			t.Errorf("deadline %v: Read: %q, %v", by, buf[:n], err)
		}
	}
}

func TestBastionRefusesATarget(t *testing.T) {
	s := newSite(t, 1)
	d := s.dialer(t, New(Options{}))
	hop := s.hop()
	_, err := d.Dial(t.Context(), &ssh.Attempt{Progress: new(ssh.Progress), Target: at(fleet.Target{
		Host: fleet.Host{Name: "127.0.0.1"}, User: "u", Port: 1,
	}, ssh.Via(hop))})
	f, ok := errors.AsType[*fleet.Error](err)
	if !ok || f.Outcome != fleet.OutcomeNeverStarted || f.Reason != fleet.ReasonDialFailed {
		t.Errorf("Dial gave %v", err)
	}
}

// A blackhole is a bastion that answers no opening of a stream before it is told to.
type blackhole struct {
	key xssh.Signer

	mu    sync.Mutex
	asked [][]xssh.NewChannel // of each connection
}

func (b *blackhole) serve(l net.Listener, all *sync.WaitGroup) {
	config := &xssh.ServerConfig{PublicKeyCallback: func(xssh.ConnMetadata, xssh.PublicKey) (*xssh.Permissions, error) { return nil, nil }}
	config.AddHostKey(b.key)
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		all.Go(func() {
			defer func() { _ = nc.Close() }()
			_, channels, requests, err := xssh.NewServerConn(nc, config)
			if err != nil {
				return
			}
			all.Go(func() { xssh.DiscardRequests(requests) })
			b.mu.Lock()
			n := len(b.asked)
			b.asked = append(b.asked, nil)
			b.mu.Unlock()
			for ch := range channels {
				b.mu.Lock()
				b.asked[n] = append(b.asked[n], ch)
				b.mu.Unlock()
			}
		})
	}
}

// openings returns how many streams were asked for on each connection, once there are n.
func (b *blackhole) openings(n int) (all []int) {
	for {
		b.mu.Lock()
		all = nil
		left := n
		for _, asked := range b.asked {
			all, left = append(all, len(asked)), left-len(asked)
		}
		b.mu.Unlock()
		if left <= 0 {
			return all
		}
		time.Sleep(time.Millisecond)
	}
}

// A stream that was given up has its place for as long as the bastion may try to connect, with a descriptor
// of which it has few.
func TestUnansweredOpeningsKeepTheirPlaces(t *testing.T) {
	s := newSite(t, 1)
	b := &blackhole{key: s.bastion.Signer}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() { b.serve(l, &all) })
	port := l.Addr().(*net.TCPAddr).AddrPort().Port()
	s.keys[fmt.Sprintf("127.0.0.1:%d", port)] = b.key.PublicKey()
	hop := at(fleet.Target{Host: fleet.Host{Name: "127.0.0.1", Port: port}, User: "u"}, nil)

	limits := ssh.Timeouts{Dial: 50 * time.Millisecond}
	n := New(Options{Streams: 2, Timeouts: limits, Direct: tcp.Dialer{Timeouts: ssh.Timeouts{}.WithDefaults()}})
	d, err := client.New(client.Options{HostKeys: s.keys, Identities: s.signers, Network: n})
	if err != nil {
		t.Fatal(err)
	}
	n.Use(d)
	defer func() {
		_, _ = d.Close(), n.Close()
		_ = l.Close()
		all.Wait()
	}()
	giveUp := func() {
		t.Helper()
		target := at(fleet.Target{Host: s.fleet.Host(0), User: "someone", Command: "true"}, ssh.Via(hop))
		_, err := d.Dial(t.Context(), &ssh.Attempt{Progress: new(ssh.Progress), Target: target})
		if f, ok := errors.AsType[*fleet.Error](err); !ok || f.Outcome != fleet.OutcomeNeverStarted || f.Reason != fleet.ReasonDialTimeout {
			t.Errorf("the error is %v", err)
		}
	}
	for range 5 {
		giveUp()
	}
	if got, want := b.openings(5), []int{2, 2, 1}; !slices.Equal(got, want) {
		t.Errorf("%v openings on the connections, want %v", got, want)
	}
	b.mu.Lock()
	for _, asked := range b.asked {
		for _, ch := range asked {
			_ = ch.Reject(xssh.ConnectionFailed, "after two minutes")
		}
	}
	b.mu.Unlock()
	for n.pool(hop).streams() > 0 {
		time.Sleep(time.Millisecond)
	}
	for range 3 {
		giveUp()
	}
	if got := len(b.openings(5 + 3)); got != 3 {
		t.Errorf("%d connections, want the 3 that have places again", got)
	}
}

// streams returns how many places are taken.
func (p *pool) streams() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.members {
		n += m.streams
	}
	return n
}

// A bastion dies under running commands: what was sent is unknown.
func TestBastionDiesUnderACommand(t *testing.T) {
	s := newSite(t, 1)
	d := s.dialer(t, New(Options{}))
	hop := s.hop()
	line := newLine(t, fmt.Sprintf("%s:%d", hop.Host.Name, hop.Port))
	s.keys[fmt.Sprintf("%s:%d", hop.Host.Name, line.port)] = s.bastion.HostKey
	hop.Host.Port, hop.Port = line.port, line.port
	h := s.fleet.Host(0)
	a := &ssh.Attempt{Progress: new(ssh.Progress), Target: at(fleet.Target{Host: h, User: "someone", Command: "echo started; sleep 3600"}, ssh.Via(hop))}
	started := make(chan struct{}, 1)
	a.Stdout = writerFunc(func(p []byte) (int, error) { started <- struct{}{}; return len(p), nil })
	c, err := d.Dial(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan fleet.End, 1)
	c.Start(t.Context(), func(e fleet.End) { done <- e })
	<-started
	line.cut()
	if end := <-done; end.Outcome != fleet.OutcomeUnknown || end.Reason != fleet.ReasonJumpFailed {
		t.Errorf("ended %v(%s): %v", end.Outcome, end.Reason, end.Err)
	}
}

// A retired connection to a jump host carries what goes through it to the end, and nothing else.
func TestRetire(t *testing.T) {
	s := newSite(t, 2)
	n := New(Options{})
	d := s.dialer(t, n)
	hop := s.hop()
	via := ssh.Via(hop)
	a := &ssh.Attempt{Progress: new(ssh.Progress), Target: at(fleet.Target{Host: s.fleet.Host(0), User: "someone", Command: "cat"}, via)}
	input := make(pending)
	a.Stream = input
	c, err := d.Dial(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan fleet.End, 1)
	c.Start(t.Context(), func(e fleet.End) { done <- e })
	p := n.pool(hop)
	p.mu.Lock()
	old := p.members[0]
	p.mu.Unlock()
	if n.Retire(time.Hour); p.currently() != 1 {
		t.Error("a young one is retired")
	}
	n.Retire(0)
	p.mu.Lock()
	renewed := p.renewed
	p.mu.Unlock()
	if n.Retire(time.Hour); p.renewed.Before(renewed) {
		t.Error("what was being dialled before all were retired may be used after all")
	}
	if got := s.run(t, d, 2, via); got[fleet.OutcomeOK] != 2 {
		t.Errorf("outcomes %v", got)
	}
	if n := p.currently(); n != 1 || !old.alive() {
		t.Errorf("%d connections; the retired one is there: %v", n, old.alive())
	}
	close(input)
	if end := <-done; end.Outcome != fleet.OutcomeOK {
		t.Errorf("ended %v(%s): %v", end.Outcome, end.Reason, end.Err)
	}
	_ = c.Close()
	<-old.tunnels.Done()
	if c := strings.Count(s.bastion.Log(), "Accepted publickey"); c != 2 {
		t.Errorf("%d logins at the jump host", c)
	}
}

// currently is current without mu.
func (p *pool) currently() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.current()
}

// A pending is input that is empty and ends when it is closed.
type pending chan struct{}

// Notify implements ssh.Stream.
func (p pending) Notify(f func()) {
	go func() { <-p; f() }()
}

// Next implements ssh.Stream.
func (p pending) Next([]byte, int64) (int, error) {
	select {
	case <-p:
		return 0, io.EOF
	default:
		return 0, nil
	}
}

// A line is a TCP relay that can be cut.
type line struct {
	port     uint16
	listener net.Listener
	mu       sync.Mutex
	conns    []net.Conn
	all      sync.WaitGroup
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &line{listener: l, port: l.Addr().(*net.TCPAddr).AddrPort().Port()}
	r.all.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			there, err := net.Dial("tcp", to)
			if err != nil {
				_ = from.Close()
				continue
			}
			r.mu.Lock()
			r.conns = append(r.conns, from, there)
			r.mu.Unlock()
			r.all.Go(func() { _, _ = io.Copy(there, from) })
			r.all.Go(func() { _, _ = io.Copy(from, there) })
		}
	})
	t.Cleanup(r.cut)
	return r
}

func (r *line) cut() {
	_ = r.listener.Close()
	r.mu.Lock()
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.mu.Unlock()
	r.all.Wait()
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestProxyCommand(t *testing.T) {
	s := newSite(t, 1)
	d := s.dialer(t, New(Options{}))
	h := s.fleet.Host(0)
	argv := []string{"env", fmt.Sprintf("%s=%s:%d", relayTo, h.Name, h.Port), os.Args[0]}
	if got := s.run(t, d, 1, behind(argv...)); got[fleet.OutcomeOK] != 1 {
		t.Errorf("outcomes %v, want 1 ok", got)
	}
	// As ssh_config's ProxyCommand is run, with what only a shell understands.
	argv = []string{"/bin/sh", "-c", fmt.Sprintf("exec env %s=%s:%d %s 2>/dev/null | cat", relayTo, h.Name, h.Port, os.Args[0])}
	if got := s.run(t, d, 1, behind(argv...)); got[fleet.OutcomeOK] != 1 {
		t.Errorf("by a shell: outcomes %v, want 1 ok", got)
	}
	for name, argv := range map[string][]string{
		"missing":             {"/nonexistent/proxy"},
		"missing, by a shell": {"/bin/sh", "-c", "exec /nonexistent/proxy secret"},
		"failing":             {"sh", "-c", "echo no way >&2; exit 7"},
	} {
		_, err := d.Dial(t.Context(), &ssh.Attempt{Progress: new(ssh.Progress), Target: at(fleet.Target{Host: h, User: "u"}, behind(argv...))})
		f, ok := errors.AsType[*fleet.Error](err)
		if !ok || f.Outcome != fleet.OutcomeNeverStarted || f.Reason != fleet.ReasonJumpFailed {
			t.Errorf("%s: Dial gave %v", name, err)
		}
		if name == "failing" && (f == nil || !strings.Contains(f.Err.Error(), "no way")) {
			t.Errorf("%s: the cause does not tell what the program said: %v", name, err)
		}
		if strings.HasPrefix(name, "missing") && (!strings.Contains(err.Error(), `"/nonexistent/proxy"`) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%s: the cause does not name the program alone: %v", name, err)
		}
	}
}

// What a proxy command that exits first has left running ends: at once, or with the
// connection if it still carries that.
func TestProxyCommandLeavesNothing(t *testing.T) {
	s := newSite(t, 1)
	d := s.dialer(t, New(Options{}))
	h := s.fleet.Host(0)
	relay := fmt.Sprintf("env %s=%s:%d %s", relayTo, h.Name, h.Port, os.Args[0])
	for name, c := range map[string]struct {
		script string
		ok     int
	}{
		"at once": {"sleep 600 </dev/null >/dev/null 2>&1 & echo $! >PID; exit 7", 0},
		// The relay has its end, and something else the other end too.
		"with the connection": {"exec 3<&0; sleep 600 <&3 2>/dev/null & echo $! >PID; " + relay + " <&3 2>/dev/null &", 1},
	} {
		noted := filepath.Join(t.TempDir(), "pid")
		script := strings.Replace(c.script, "PID", noted, 1)
		if got := s.run(t, d, 1, behind("sh", "-c", script)); got[fleet.OutcomeOK] != c.ok {
			t.Errorf("%s: %v", name, got)
		}
		note, err := os.ReadFile(noted)
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(note)))
		if err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			if err != nil && syscall.Kill(pid, 0) != nil || strings.Contains(string(state), ") Z ") {
				break
			}
			if time.Now().After(deadline) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
				t.Fatalf("%s: process %d is still there: %s", name, pid, state)
			}
		}
	}
}

// A bastion with which shoal's own client shares no algorithm is a failure like any
// other.
func TestBastionWithoutACommonAlgorithm(t *testing.T) {
	s := newSite(t, 1, sshdtest.WithKex("diffie-hellman-group14-sha256"))
	n := New(Options{})
	d, err := client.New(client.Options{
		HostKeys: s.keys, Identities: s.signers, Network: n, Fallback: noDialer{},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close(); _ = n.Close() }()
	n.Use(d)
	hop, h := s.hop(), s.fleet.Host(0)
	_, err = d.Dial(t.Context(), &ssh.Attempt{Progress: new(ssh.Progress), Target: at(fleet.Target{Host: h, User: "someone"}, ssh.Via(hop))})
	f, ok := errors.AsType[*fleet.Error](err)
	if !ok || f.Reason != fleet.ReasonJumpFailed || !strings.Contains(f.Err.Error(), "no_common_algorithm") {
		t.Errorf("Dial gave %v", err)
	}
}

type noDialer struct{ ssh.Dialer }
