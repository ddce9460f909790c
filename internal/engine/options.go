package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"shoal/fleet"
	"shoal/internal/clock"
	"shoal/internal/ssh"
)

const (
	// DefaultMaxOutput is how many bytes of each stream are kept: 1 MiB.
	DefaultMaxOutput = 1 << 20
	// DefaultDials is how many connections are started at once at the most.
	DefaultDials = 256
	// DefaultStarts is how many of them may be to one endpoint at first. sshd
	// begins to drop at 10 unauthenticated connections (sshd_config(5),
	// MaxStartups), Dropbear at 5 from one address.
	DefaultStarts = 4
	// DefaultAttempts is how many attempts a target gets at the most.
	DefaultAttempts = 3
	// MaxAttempts is the largest number of attempts that may be asked for.
	MaxAttempts = 100
	// DefaultLookups is how many names are looked up at once at the most.
	DefaultLookups = 128
)

// Options says how a run is fanned out. They are not changed after use.
type Options struct {
	// Dialer connects. Required.
	Dialer ssh.Dialer
	// Clock is what admission goes by: a stop of this process makes no server
	// look slow. nil means the time as it passes. The Dialer has its own.
	Clock *clock.Clock
	// Fanout bounds the targets in flight, from the start of the connection to
	// the result being taken. 0 means as many as this machine carries; see
	// DefaultFanout.
	Fanout int
	// Fanout changes Fanout while the run goes on; 0 lets nothing start. What is in
	// attempt stays there. Negative widths count for nothing, nor do those that
	// have no room for a Barrier. It may be closed. nil means that nothing changes
	// it.
	Width <-chan int
	// Resized is told of each width that was taken from Fanout, and how many
	// targets are in flight. It must not block. nil means that nobody is.
	Resized func(width, flying int)
	// Dials bounds the connections being started, of all in flight. Those that
	// take more than twice as long as most do not count. 0 means DefaultDials.
	Dials int
	// Starts bounds the connections being started to one endpoint (host and
	// port). 0 means that the engine finds out how many are best, beginning with
	// DefaultStarts; negative means no bound.
	Starts int
	// Lookups bounds the connections that are looking their name up. 0 means
	// DefaultLookups; negative means no bound.
	Lookups int
	// KeyExchanges withholds the start of connections while that many exchange
	// keys. 0 means that it never does.
	KeyExchanges int
	// Rate bounds the connections started in a second. 0 means no bound.
	Rate float64

	// Attempts is how many attempts a target gets at the most; all but the first
	// follow failures that are known to have run nothing and that can pass. 0
	// means DefaultAttempts, 1 means that nothing is tried again; MaxAttempts is
	// the most.
	Attempts int
	// Idempotent says that the command may run more than once: targets where it
	// cannot be known whether it ran are attempted again too.
	Idempotent bool
	// Intend is called before the bytes that carry the command leave, with the
	// number of the attempt, from 1. Its error keeps the command from being
	// sent. It is called from many goroutines. nil means that nobody is asked.
	Intend func(t fleet.Target, attempt int) error

	// Targets is how many there are, for shares of them. 0 means that it is not
	// known.
	Targets int
	// Rollout lets the targets go in stages: no more of them than the first says
	// until all of these have ended, then up to the second, and so on. What
	// comes after the last is one more stage. nil means one stage.
	Rollout []Amount
	// Pause is the time between a stage's end and the next stage.
	Pause time.Duration
	// Check is called between stages, with the number of the one that has
	// ended, from 1; its error is a brake. nil means that nothing is checked.
	Check func(ctx context.Context, stage int) error
	// MaxFail is a brake: it stops the run as a drain does when more targets
	// than this have failed (failed, signalled, refused), or more than this were
	// never started. A share is one of the targets that the rollout has let go
	// so far. nil means no brake.
	MaxFail *Amount
	// MaxUnknown is the same for targets of which it cannot be known whether
	// the command ran.
	MaxUnknown *Amount
	// FailFast is a brake at the first target that is not ok.
	FailFast bool

	// Barrier starts no command before every target is authenticated or has
	// ended otherwise. It needs Targets, and a fanout that has room for all of
	// them at once.
	Barrier bool
	// Released is told of the barrier when it has opened. nil means that nobody
	// is.
	Released func(Release)

	// MaxOutput bounds the bytes kept of each stream of each target. What
	// comes beyond it is counted and dropped, and the result says so. 0 means
	// DefaultMaxOutput; negative means no bound.
	MaxOutput int64
	// MaxHeld bounds the bytes kept of all targets whose results have not been
	// taken yet, together. What finds no room is dropped as above. 0 means a
	// quarter of the free memory; negative means no bound.
	MaxHeld int64
	// Drain, when closed, ends the starting of commands: targets whose command
	// is not about to be sent (Intend) become cancelled, the others are waited
	// for. nil means never.
	Drain <-chan struct{}
	// Follow is told when a running command has written something since the
	// Tail's last Next. It is called from many goroutines at once and must not
	// block. nil means that nobody follows.
	Follow func(*Output)
	// Notice is told what a person should know and need not act on. It is called by
	// whoever ranges over the results, between two of them. nil means that nobody is
	// told.
	Notice func(string)
}

// Validate tells what is missing or out of range.
func (o Options) Validate() error {
	switch {
	case o.Dialer == nil:
		return errors.New("no dialer: Options.Dialer is nil")
	case o.Fanout < 0:
		return fmt.Errorf("a fanout of %d is negative; 0 means the default", o.Fanout)
	case o.Dials < 0:
		return fmt.Errorf("%d dials at once are negative; 0 means the default", o.Dials)
	case o.KeyExchanges < 0:
		return fmt.Errorf("%d key exchanges at once are negative; 0 means no bound", o.KeyExchanges)
	case o.Attempts < 0:
		return fmt.Errorf("%d attempts are negative; 0 means the default", o.Attempts)
	case o.Attempts > MaxAttempts:
		return fmt.Errorf("%d attempts at each target are too many\nhint: %d is the most", o.Attempts, MaxAttempts)
	case !(o.Rate >= 0) || math.IsInf(o.Rate, 1): // NaN too
		return fmt.Errorf("a rate of %v starts a second is not one; 0 means no bound", o.Rate)
	case o.Pause < 0:
		return fmt.Errorf("a pause of %v is negative", o.Pause)
	case o.Barrier && o.Rollout != nil:
		return errors.New("a barrier lets all targets go at once, a rollout does not")
	case o.Barrier && o.Targets == 0:
		return errors.New("a barrier needs to know the number of targets")
	}
	return o.validateShares()
}

func (o Options) validateShares() error {
	shares := o.Rollout
	for _, brake := range []*Amount{o.MaxFail, o.MaxUnknown} {
		if brake != nil {
			if err := brake.Validate(); err != nil {
				return err
			}
		}
	}
	for _, s := range shares {
		if err := s.Validate(); err != nil {
			return err
		}
		if s.Percent > 0 && o.Targets == 0 {
			return fmt.Errorf("a stage of %v needs to know the number of targets", s)
		}
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.Fanout == 0 {
		o.Fanout = DefaultFanout().Fanout
	}
	if o.Dials == 0 {
		o.Dials = DefaultDials
	}
	if o.Attempts == 0 {
		o.Attempts = DefaultAttempts
	}
	if o.Lookups == 0 {
		o.Lookups = DefaultLookups
	}
	if o.MaxOutput == 0 {
		o.MaxOutput = DefaultMaxOutput
	}
	if o.MaxHeld == 0 {
		o.MaxHeld = defaultMaxHeld()
	}
	if o.Notice == nil {
		o.Notice = func(string) {}
	}
	if o.Resized == nil {
		o.Resized = func(int, int) {}
	}
	return o
}
