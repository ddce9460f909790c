package openssh

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"shoal/fleet"
	"shoal/internal/clock"
	"shoal/internal/hint"
	"shoal/internal/ssh"
	"shoal/internal/ssh/config"
	"shoal/internal/ssh/sshreason"
	"shoal/internal/ssh/tcp"
	"shoal/internal/ssh/xcrypto"
)

// Options configure a Dialer. They must not be changed after New.
type Options struct {
	// HostKeys checks every host key. Required.
	HostKeys ssh.HostKeys
	// Identities returns the keys to offer. Required.
	Identities ssh.Identities
	// Agents passes on what hosts ask the agents that are forwarded to them. nil forwards none.
	Agents ssh.Agents
	// Timeouts are the phases' deadlines; zero values are the defaults.
	Timeouts ssh.Timeouts
	// Clock measures the timeouts. nil means real time.
	Clock *clock.Clock
	// Network opens the connections. nil means TCP.
	Network ssh.Network
	// Program is the path of ssh; "" means that of PATH.
	Program string
	// Processes bounds the number of processes; 0 means Processes().
	Processes int
}

// A Dialer connects with the system's ssh. It implements ssh.Dialer.
type Dialer struct {
	opts  Options
	slots chan struct{} // has an element for each process
	next  atomic.Uint64 // number of the next connection

	mu  sync.Mutex
	dir string // private directory for sockets; "": not made yet

	krb    sync.Mutex
	asked  bool // whether ticket is set
	ticket bool
}

// New returns a Dialer. The program is looked for when it is first needed. Close removes the
// Dialer's files.
func New(opts Options) (*Dialer, error) {
	switch {
	case opts.HostKeys == nil:
		return nil, errors.New("no host-key policy: Options.HostKeys is nil")
	case opts.Identities == nil:
		return nil, errors.New("no identities: Options.Identities is nil")
	case opts.Processes < 0:
		return nil, fmt.Errorf("%d processes of ssh; 0 means the default", opts.Processes)
	}
	if err := opts.Timeouts.Validate(); err != nil {
		return nil, err
	}
	opts.Timeouts = opts.Timeouts.WithDefaults()
	if opts.Network == nil {
		opts.Network = tcp.Dialer{Timeouts: opts.Timeouts, Clock: opts.Clock}
	}
	if opts.Processes == 0 {
		opts.Processes = Processes()
	}
	return &Dialer{opts: opts, slots: make(chan struct{}, opts.Processes)}, nil
}

// Available returns an error if there is no ssh program.
func (d *Dialer) Available() error {
	_, err := d.program()
	return err
}

func (d *Dialer) program() (string, error) {
	if d.opts.Program != "" {
		return d.opts.Program, nil
	}
	path, err := exec.LookPath("ssh")
	if err != nil {
		return "", hint.Wrap(fmt.Errorf("there is no ssh program: %w", err), "install OpenSSH's client")
	}
	return filepath.Abs(path)
}

// Close removes the Dialer's files. Its connections must be closed.
func (d *Dialer) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	dir := d.dir
	if d.dir = ""; dir == "" {
		return nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("removing the directory of ssh's sockets: %w", err)
	}
	return nil
}

const (
	maxSocketPath = 103 // bytes in sun_path of the BSDs, without NUL
	ownSuffix     = 17  // what ssh adds to ControlPath while it makes the socket
	longestName   = 22  // of a file in the directory
)

// place returns the path for the files of one connection, in the private directory.
func (d *Dialer) place() (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dir == "" {
		for _, parent := range []string{os.Getenv("XDG_RUNTIME_DIR"), os.TempDir(), "/tmp"} {
			// "shoal-" and up to ten digits are the directory's own name. ssh replaces ${NAME}.
			if strings.Contains(parent, "${") || parent == "" || len(parent)+len("/shoal-0123456789/")+longestName+ownSuffix > maxSocketPath {
				continue
			}
			if dir, err := os.MkdirTemp(parent, "shoal-"); err == nil { // with mode 0700
				d.dir = dir
				break
			}
		}
		if d.dir == "" {
			return "", hint.New("no directory for ssh's sockets could be made", "set TMPDIR to a short path of a directory that can be written to")
		}
	}
	return filepath.Join(d.dir, strconv.FormatUint(d.next.Add(1), 10)), nil
}

// Dial implements ssh.Dialer.
func (d *Dialer) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	if ctx.Err() != nil {
		return nil, sshreason.Interrupted(ctx, a)
	}
	if c, f := d.shared(ctx, a); c != nil || f != nil {
		return c, nilOr(f)
	}
	program, err := d.program()
	if err != nil {
		return nil, a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonBadTarget, err)
	}
	for _, err := range []error{config.ValidHostName(host(a.Target)), config.ValidUser(a.Target.User)} {
		if err != nil {
			return nil, a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonBadTarget, err)
		}
	}
	timeouts := d.opts.Timeouts.For(a)
	connectBy := a.ConnectBy(d.opts.Clock.Now(), timeouts.Connect)
	if f := d.acquire(ctx, a, connectBy); f != nil {
		return nil, f
	}
	nc, err := d.opts.Network.Open(ctx, a)
	if err != nil {
		d.release()
		return nil, err
	}
	l := &login{dialer: d, ctx: ctx, attempt: a, timeouts: timeouts, connectBy: connectBy, encrypted: make(chan struct{}), unread: make(chan struct{})}
	l.server = xcrypto.NewCarrier(nc, a, d.opts.Clock, connectBy)
	defer func() {
		if l != nil { // also after a panic
			l.Release()
		}
	}()
	c, f := l.connect(program)
	if f != nil {
		return nil, f
	}
	l = nil
	return c, nil
}

// asFailure returns the *fleet.Error in err's chain.
func asFailure(a *ssh.Attempt, err error) *fleet.Error {
	if f, ok := errors.AsType[*fleet.Error](err); ok {
		return f
	}
	return a.Fail(a.Execution.Failed(), fleet.ReasonInternal, err)
}

// nilOr returns f as an error, which is nil if f is.
func nilOr(f *fleet.Error) error {
	if f == nil {
		return nil
	}
	return f
}

// acquire takes a place for a process. While none is free it waits for as long as a dial may
// take, and not beyond connectBy: then the engine does with fewer targets at once.
func (d *Dialer) acquire(ctx context.Context, a *ssh.Attempt, connectBy time.Time) *fleet.Error {
	wait := d.opts.Timeouts.Dial
	if !connectBy.IsZero() {
		wait = min(wait, connectBy.Sub(d.opts.Clock.Now()))
	}
	late := make(chan struct{})
	defer d.opts.Clock.AfterFunc(wait, sync.OnceFunc(func() { close(late) }))()
	select {
	case d.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return sshreason.Interrupted(ctx, a)
	case <-late:
		return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonLocalMemory,
			fmt.Errorf("%d processes of ssh run, and there is memory for no more", cap(d.slots)))
	}
}

func (d *Dialer) release() { <-d.slots }

// patience is how long a process may take to exit once its connection is gone.
const patience = time.Second
