package simfleet

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh/wire"
	"shoal/simfleet/internal/posix"
)

// A Fleet is running from Start to Close. Its methods are safe for concurrent
// use.
type Fleet struct {
	options   Options
	listener  net.Listener
	keys      *keyring
	clientKey []byte // the public half, in wire format

	wireConfig *wire.Config
	gate       *gate
	penalties  penalties
	link       link
	oracle     *oracle

	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup // the accept loop, and per connection its handler and its transport

	begun      time.Time
	machinesMu sync.Mutex // held while a host begins, and by nothing that holds mu
	machines   map[int]*posix.Host
	nameRoom   atomic.Int64 // bytes that names may still take

	mu     sync.Mutex
	closed bool
	open   map[*conn]struct{}
	boots  map[int]boot // of the hosts that Reboot has rebooted
	stats  Stats
	// answered counts the commands to which each host gave an answer that changes; nil: none.
	answered map[int]int
}

// Start starts a fleet. When ctx ends, every connection is dropped; Close must
// be called all the same.
func Start(ctx context.Context, o Options) (*Fleet, error) {
	f, err := newFleet(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("starting the fleet: %w", err)
	}
	// Keepalive would cost four system calls per connection, and multipath TCP
	// a second handshake's state: neither says anything on loopback.
	config := net.ListenConfig{Control: bindLoopback, KeepAlive: -1}
	config.SetMultipathTCP(false)
	f.listener, err = config.Listen(ctx, "tcp4", net.JoinHostPort(listenerAny, strconv.Itoa(int(o.Port))))
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("starting the fleet: %w", err)
	}
	f.work.Go(f.accept)
	f.work.Go(func() {
		<-f.ctx.Done()
		_ = f.listener.Close()
	})
	return f, nil
}

// newFleet is a fleet without a listener: serve gives it its connections.
func newFleet(ctx context.Context, o Options) (*Fleet, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	keys, err := newKeyring(o.Seed, o.Hosts)
	if err != nil {
		return nil, err
	}
	f := &Fleet{
		options: o,
		keys:    keys,
		gate:    newGate(o.MaxStartups, keys.dice("MaxStartups")),
		oracle:  &oracle{tell: o.Oracle, keep: !o.DiscardLog},
		open:    make(map[*conn]struct{}),
		boots:   make(map[int]boot),

		begun:    time.Now(),
		machines: make(map[int]*posix.Host),
	}
	f.wireConfig = &wire.Config{Version: serverVersion, RekeyBytes: o.RekeyBytes}
	f.oracle.room.Store(prefixBudget)
	f.nameRoom.Store(nameBudget)
	f.clientKey = f.ClientKey().PublicKey().Marshal()
	f.ctx, f.cancel = context.WithCancel(ctx)
	f.work.Go(func() {
		<-f.ctx.Done()
		f.abort()
	})
	return f, nil
}

// Close drops every connection and returns when nothing of the fleet runs any
// more. It may be repeated.
func (f *Fleet) Close() error {
	f.cancel()
	f.work.Wait()
	f.stopMachines()
	return nil
}

// abort ends every connection, and waits for none.
func (f *Fleet) abort() {
	f.mu.Lock()
	f.closed = true
	open := make([]*conn, 0, len(f.open))
	for c := range f.open {
		open = append(open, c)
	}
	f.mu.Unlock()
	for _, c := range open {
		c.abort()
	}
}

// Host is host i as a client names it.
func (f *Fleet) Host(i int) fleet.Host {
	return fleet.Host{Name: address(i).String(), Port: f.Port()}
}

// name is what host i is called.
func (f *Fleet) name(i int) string {
	if f.options.Names != nil {
		return f.options.Names[i]
	}
	return address(i).String()
}

// Port is the port of every host.
func (f *Fleet) Port() uint16 {
	return f.listener.Addr().(*net.TCPAddr).AddrPort().Port() // a "tcp4" listener's is
}

// HostKey is the key that host i shows, unless its fault is FaultWrongHostkey.
func (f *Fleet) HostKey(i int) ssh.PublicKey { return f.keys.host(i).PublicKey() }

// ClientKey is the key that may log in everywhere, unless Options.Allow says
// otherwise.
func (f *Fleet) ClientKey() ssh.Signer { return f.keys.signer("client key") }

// Log returns a copy of every exec seen so far, in the order in which they came;
// nil under Options.DiscardLog.
func (f *Fleet) Log() []Exec { return f.oracle.log() }

// Stats are counts since Start.
type Stats struct {
	Accepted      int // connections that the kernel handed over
	Strays        int // of those, closed at once: to no host of the fleet
	Dropped       int // of those, turned away by MaxStartups or Penalties
	Authenticated int // of those, let in
	Execs         int // exec requests seen
	Subsystems    int // SFTP sessions that began
	Rekeys        int // key exchanges of hosts after the first of a connection; 0 with ServerXCrypto
	Open          int // connections open now
	PeakOpen      int // the most that were open at once
	Penalties     int // given under Options.Penalties
	PeakStartups  int // the most unauthenticated ones that one host had at once
	AcceptErrors  int // times that the kernel had no connection to give, for want of files or memory
}

// Stats returns the counts as they stand.
func (f *Fleet) Stats() Stats {
	f.mu.Lock()
	s := f.stats
	s.Open = len(f.open)
	f.mu.Unlock()
	s.PeakStartups = f.gate.most()
	s.Penalties = f.penalties.given()
	s.Execs = f.oracle.seen()
	return s
}

// count changes the counts.
func (f *Fleet) count(change func(*Stats)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.stats)
}

// acceptPause is how long the accept loop waits when this process has no file
// descriptor left; nothing tells it when there is one again.
const acceptPause = 5 * time.Millisecond

func (f *Fleet) accept() {
	for {
		raw, err := f.listener.Accept()
		switch {
		case err == nil:
			f.admit(raw)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			f.count(func(s *Stats) { s.AcceptErrors++ })
			select {
			case <-time.After(acceptPause):
			case <-f.ctx.Done():
				return
			}
		}
	}
}

// admit hands a connection to its host. The accept loop waits for it, so it
// does no more than it must.
func (f *Fleet) admit(raw net.Conn) {
	host, ok := hostAt(raw.LocalAddr(), f.options.Hosts)
	if !ok {
		_ = raw.Close()
		f.count(func(s *Stats) { s.Accepted++; s.Strays++ })
		return
	}
	f.serve(raw, host)
}

// serve starts host's side of raw, after the time that the connection should
// have taken to be made.
func (f *Fleet) serve(raw net.Conn, host int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		_ = raw.Close()
		return
	}
	f.stats.Accepted++
	if b, rebooted := f.boots[host]; rebooted && time.Now().Before(b.until) {
		if tcp, ok := raw.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // RST
		}
		_ = raw.Close()
		return
	}
	c := newConn(f, raw, host, uint64(f.stats.Accepted)) // counts up from 1
	f.open[c] = struct{}{}
	f.stats.PeakOpen = max(f.stats.PeakOpen, len(f.open))
	f.work.Add(2)
	if f.options.Latency == 0 && f.options.Jitter == 0 {
		go c.run()
		return
	}
	c.start = time.AfterFunc(c.lag(), c.run)
}

// forget is called once for each connection, when it is closed.
func (f *Fleet) forget(c *conn) {
	f.mu.Lock()
	delete(f.open, c)
	f.mu.Unlock()
	f.work.Done()
}

// address is where host i listens: firstHost + i, read as a 32-bit number.
func address(i int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], firstHost+uint32(i)) // i < MaxHosts
	return netip.AddrFrom4(b)
}

// hostAt is the inverse of address, for a fleet of n hosts.
func hostAt(a net.Addr, n int) (int, bool) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return 0, false
	}
	ip := tcp.IP.To4()
	if ip == nil || !ip.IsLoopback() {
		return 0, false
	}
	return indexOf([4]byte(ip), n)
}

func indexOf(ip [4]byte, n int) (int, bool) {
	i := int64(binary.BigEndian.Uint32(ip[:])) - firstHost
	return int(i), i >= 0 && i < int64(n)
}

// Targets yields every host as a target, in order.
func (f *Fleet) Targets() iter.Seq[fleet.Target] {
	return func(yield func(fleet.Target) bool) {
		for i := range f.options.Hosts {
			if !yield(fleet.Target{Host: f.Host(i), Index: i}) {
				return
			}
		}
	}
}

// Index returns the number of the host with this address, as WriteHosts writes
// it; a port counts for nothing.
func Index(text string) (int, error) {
	name, _, _ := strings.Cut(text, ":")
	addr, err := netip.ParseAddr(name)
	if err != nil || !addr.Is4() {
		return 0, fmt.Errorf("%.60q is not the address of a simulated host", text)
	}
	i, ok := indexOf(addr.As4(), MaxHosts)
	if first := address(0); !ok {
		return 0, fmt.Errorf("%s is not the address of a simulated host: they begin at %s", addr, first)
	}
	return i, nil
}
