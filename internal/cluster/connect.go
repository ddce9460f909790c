package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"shoal/internal/hint"
)

// ConnectOptions say where NATS is and who we are there.
type ConnectOptions struct {
	URL string // nats://HOST:PORT or tls://HOST:PORT, several after commas
	// Creds is a file of NATS credentials, and NKey one with the seed of an NKey; "" means none.
	Creds, NKey string
	// CA is a file with the certificates that the server's must come from; "" means the system's.
	CA string
	// Name is shown by the server.
	Name string
	// Inbox is the first part of the subjects of answers, which permissions name: see WorkerInbox. ""
	// means CoordinatorInbox.
	Inbox string
	// Notice is told when the connection is lost and when it is back. nil disables it.
	Notice func(string)
}

// A Conn is a connection to NATS, and what both sides use of it.
type Conn struct {
	nc   *nats.Conn
	js   jetstream.JetStream
	pack *packer

	// patience is how long a record is tried to be appended, and NATS waited for.
	patience time.Duration
	notice   func(string)
	stuck    atomic.Int64 // when notice was told last that nothing is stored, in Unix seconds
}

// Patience is how long NATS may be away, or store nothing, before what waits for it is given up.
const Patience = 5 * time.Minute

// stuckAfter is how long nothing may be stored before that is said.
const stuckAfter = 10 * time.Second

// tellStuck says, once a minute, that records are not stored, and why.
func (c *Conn) tellStuck(err error) {
	now, last := time.Now().Unix(), c.stuck.Load()
	if now-last >= 60 && c.stuck.CompareAndSwap(last, now) {
		c.notice(fmt.Sprintf("NATS stores nothing, which hosts wait for: %.200s", err))
	}
}

// Connect connects, and keeps the connection: once it was there it is looked for without end.
func Connect(o ConnectOptions) (*Conn, error) {
	if err := checkURL(o); err != nil {
		return nil, err
	}
	notice := o.Notice
	if notice == nil {
		notice = func(string) {}
	}
	opts := []nats.Option{
		nats.Name(o.Name), nats.CustomInboxPrefix(cmp.Or(o.Inbox, CoordinatorInbox)), nats.MaxReconnects(-1), nats.Timeout(5 * time.Second),
		nats.ReconnectBufSize(-1), // an append that is sent later would not be what was decided then
		nats.PingInterval(10 * time.Second), nats.MaxPingsOutstanding(2),
		nats.CustomReconnectDelay(func(attempts int) time.Duration {
			most := min(time.Minute, 100*time.Millisecond<<min(attempts, 10))
			return most/2 + rand.N(most/2)
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				notice(fmt.Sprintf("the connection to NATS is lost: %.200s", err))
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { notice("the connection to NATS is back") }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { notice(fmt.Sprintf("NATS: %.200s", err)) }),
	}
	if strings.Contains(strings.ToLower(o.URL), "nats://") {
		opts = append(opts, nats.IgnoreDiscoveredServers()) // they may be on machines to which checkURL wants TLS
	}
	if o.Creds != "" {
		opts = append(opts, nats.UserCredentials(o.Creds))
	}
	if o.NKey != "" {
		key, err := nats.NkeyOptionFromSeed(o.NKey)
		if err != nil {
			return nil, fmt.Errorf("reading the NKey in %q: %w", o.NKey, err)
		}
		opts = append(opts, key)
	}
	if o.CA != "" {
		opts = append(opts, nats.RootCAs(o.CA))
	}
	nc, err := nats.Connect(o.URL, opts...)
	if err != nil {
		return nil, hint.Wrap(fmt.Errorf("connecting to NATS: %w", err), "shoal-hub serves it on this machine; without --cluster everything works without it")
	}
	if most := nc.MaxPayload(); most < maxMessage {
		nc.Close() // otherwise what is too large would be tried without end
		return nil, hint.Wrap(fmt.Errorf("NATS takes messages of at most %d bytes, and %d are needed", most, maxMessage), "its setting is max_payload")
	}
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(requestTimeout))
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("connecting to NATS: %w", err)
	}
	return &Conn{nc: nc, js: js, pack: newPacker(), patience: Patience, notice: notice}, nil
}

// CoordinatorInbox is where answers for coordinators, and for whoever only looks, go.
const CoordinatorInbox = "_INBOX.c"

// WorkerInbox is where answers for a worker go.
func WorkerInbox(pool, name string) string { return "_INBOX.w." + pool + "." + name }

const requestTimeout = 5 * time.Second

// Close ends the connection. Nothing may be under way.
func (c *Conn) Close() {
	c.nc.Close()
	c.pack.close()
}

// checkURL refuses secrets in the URL, which ps shows, and connections to other machines without TLS or
// without credentials.
func checkURL(o ConnectOptions) error {
	for one := range strings.SplitSeq(o.URL, ",") {
		u, err := url.Parse(one)
		if err != nil || u.Host == "" || u.Scheme != "nats" && u.Scheme != "tls" {
			return hint.Wrap(errors.New("the address of NATS cannot be read"), "it looks like nats://127.0.0.1:4222, or tls://nats.example.org:4222")
		}
		if u.User != nil {
			return hint.New("the address of NATS has a secret in it, which ps shows to everybody", "--nats-creds and --nats-nkey name files")
		}
		ip := net.ParseIP(u.Hostname())
		switch here := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback(); {
		case here:
		case u.Scheme != "tls":
			return hint.Wrap(fmt.Errorf("NATS at %q is on another machine, and would be spoken to without TLS", u.Host), "write tls:// in place of nats://")
		case o.Creds == "" && o.NKey == "":
			return hint.Wrap(fmt.Errorf("NATS at %q is on another machine, and no credentials are named", u.Host),
				"--nats-nkey or --nats-creds names a file with them; shoal-hub init makes keys and permissions")
		}
	}
	return nil
}

// signal signals a channel of capacity 1, whose receiver then looks at all that there is.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // it was signalled
	}
}

// pause waits a random time around d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error { return pauseUntil(ctx, d, nil) }

// pauseUntil is pause, which a signal on woken ends too.
func pauseUntil(ctx context.Context, d time.Duration, woken <-chan struct{}) error {
	select {
	case <-time.After(d/2 + rand.N(d)):
		return nil
	case <-woken:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
