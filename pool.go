package shoal

import (
	"context"
	"errors"
	"iter"
	"time"

	"shoal/internal/connect"
	"shoal/internal/ssh"
	"shoal/internal/ssh/auth"
	"shoal/internal/ssh/hold"
)

// Hold says how long connections are held.
type Hold struct {
	// MaxAge is how long after its login a connection is used: a login has the rights of its
	// time, and does not see groups that were added or keys that were removed later. 0 means
	// an hour; negative means no limit.
	MaxAge time.Duration
	// Max limits the connections that are held while no command runs on them. Beyond it the one
	// that was used the longest ago is closed. 0 means as many as there are descriptors.
	Max int
}

// A Pool runs commands and scripts, and copies files, over connections that it holds from one run to the next: a further command
// takes one round trip where the server allows it, and no login. Result.Connection says which
// connection a command had. A connection that has ended is dialled again, but only where the command
// has certainly not run on it. A command with a forwarded agent has a connection of its own, because
// servers forward one once. It is safe for concurrent use.
type Pool struct {
	opts Options
	held *connect.Hold
	auth *auth.Passwords // nil: no password is sent
}

// NewPool returns a Pool whose runs have these Options. It connects to nothing yet: each target is
// dialled when its first command comes. Call Close after the last run.
func NewPool(o Options, h Hold) (*Pool, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.pool != nil {
		return nil, errors.New("the Options are those of another Pool")
	}
	held, err := connect.NewHold(hold.Options{MaxAge: h.MaxAge, Max: h.Max, Dials: o.Limits.Dials})
	if err != nil {
		return nil, err
	}
	p := &Pool{held: held}
	if o.Login.Password != nil {
		if p.auth, err = auth.NewPasswords(auth.PasswordOptions{Source: o.Login.Password}); err != nil {
			return nil, errors.Join(err, held.Close())
		}
	}
	p.opts, p.opts.pool = o, p
	return p, nil
}

func (p *Pool) passwords() ssh.Passwords {
	if p.auth == nil {
		return nil
	}
	return p.auth
}

// Run is [Run] with the Options of the Pool. Runs may overlap; known_hosts and ssh_config are read
// for each.
func (p *Pool) Run(ctx context.Context, targets iter.Seq[Target], command string) iter.Seq2[Result, error] {
	return Run(ctx, targets, command, p.opts)
}

// Script is [Script] with the Options of the Pool.
func (p *Pool) Script(ctx context.Context, targets iter.Seq[Target], path string, args []string) iter.Seq2[Result, error] {
	return Script(ctx, targets, path, args, p.opts)
}

// Push is [Push] with the Options of the Pool.
func (p *Pool) Push(ctx context.Context, targets iter.Seq[Target], sources []string, dest string, o PushOptions) iter.Seq2[Result, error] {
	return Push(ctx, targets, sources, dest, o, p.opts)
}

// Pull is [Pull] with the Options of the Pool.
func (p *Pool) Pull(ctx context.Context, targets iter.Seq[Target], sources []string, dir string, o PullOptions) iter.Seq2[Result, error] {
	return Pull(ctx, targets, sources, dir, o, p.opts)
}

// Idle returns the number of connections that are held and on which no command runs.
func (p *Pool) Idle() int { return p.held.Pool.Idle() }

// Refresh closes the connections on which no command runs, and those to jump hosts once nothing goes
// through them: the next command there logs in anew.
func (p *Pool) Refresh() { p.held.Refresh() }

// Close closes all connections. Commands that run are abandoned.
func (p *Pool) Close() error {
	err := p.held.Close()
	if p.auth != nil {
		p.auth.Wipe()
	}
	return err
}
