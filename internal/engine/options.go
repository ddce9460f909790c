package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"shoal/fleet"
	"shoal/internal/clock"
	"shoal/internal/hint"
	"shoal/internal/ssh"
)

const (
	// DefaultMaxOutput is how many bytes of each stream are kept: 1 MiB.
	DefaultMaxOutput = 1 << 20
	// DefaultDials is the limit on connections being established at the same time with which a
	// run begins by default.
	DefaultDials = 256
	// DefaultStarts is the initial limit on those to one endpoint. sshd begins to drop
	// at 10 unauthenticated connections (sshd_config(5), MaxStartups), Dropbear at 5
	// from one address.
	DefaultStarts = 4
	// DefaultAttempts is the default maximum number of attempts per target.
	DefaultAttempts = 3
	// MaxAttempts is the largest valid Options.Attempts.
	MaxAttempts = 100
	// DefaultLookups is the default limit on concurrent name look-ups.
	DefaultLookups = 128
)

// Options configure a run. They must not be changed after use.
type Options struct {
	// Dialer connects to the targets. Run requires it.
	Dialer ssh.Dialer
	// Clock is the clock of the limiter, so that a stop of this process makes no
	// server look slow. nil means the ordinary time. The Dialer has its own.
	Clock *clock.Clock
	// Fanout limits the targets in flight, from the start of the connection until the
	// caller receives the result. 0 means as many as this machine can handle; see
	// DefaultFanout.
	Fanout int
	// Width changes Fanout during the run; 0 starts nothing. Targets in flight stay
	// so. Negative values are ignored, as are those with too little room for a
	// Barrier. It may be closed. nil disables it.
	Width <-chan int
	// Resized is called after each change by Width, with the number of targets in
	// flight. It must not block. nil disables it.
	Resized func(width, flying int)
	// Dials limits the connections being established at the same time. Those that take
	// more than twice the median time do not count. 0 means that the limit follows latency: it begins
	// with DefaultDials and grows up to Fanout while connections do not take longer, and those
	// that wait for nothing but their server do not count.
	Dials    int
	maxDials int // as limiter.Limits has it
	// Starts limits the connections being established at the same time to one endpoint
	// (host and port). 0 means that the engine adapts the number, starting from
	// DefaultStarts; negative means no limit.
	Starts int
	// Lookups limits the concurrent name look-ups. While so many go on, those that take more than
	// twice the median time of a connect cease to count, one after the other. 0 means
	// DefaultLookups; negative means no limit.
	Lookups int
	// KeyExchanges delays connection starts while this many connections have not
	// finished their key exchange. 0 means no limit.
	KeyExchanges int
	// Rate limits the connection starts per second. 0 means no limit.
	Rate float64

	// Attempts is the maximum number of attempts per target. A target is attempted
	// again only after a transient failure that certainly ran nothing. 0 means
	// DefaultAttempts, 1 means no retries, MaxAttempts is the maximum.
	Attempts int
	// Idempotent means that the command may run more than once: targets with an
	// unknown outcome are attempted again too.
	Idempotent bool
	// Intend is called before the bytes that carry the command are sent, with the
	// number of the attempt, from 1, and the address that was dialled (see
	// ssh.Progress). If it fails, the command is not sent. It is called from many
	// goroutines. Nothing more is started while 1,024 of its calls, or results that the
	// caller has not received, wait. nil disables it.
	Intend func(t fleet.Target, attempt int, address netip.AddrPort) error
	// Dialled is told the address of an attempt whose Intend came before it was known; see
	// ssh.Attempt. It must not block. nil disables it.
	Dialled func(t fleet.Target, attempt int, address netip.AddrPort)

	// Epilogue runs a further command on the connection of each target whose command has
	// ended. nil disables it.
	Epilogue *Epilogue

	// CommandTimeout replaces that of the Dialer. 0 means the Dialer's, negative no
	// limit.
	CommandTimeout time.Duration
	// Targets is the number of targets, for percentages of it. 0 means unknown.
	Targets int
	// Rollout starts the targets in stages: up to the first amount, then, when all of
	// these have ended, up to the second, and so on. The targets beyond the last
	// amount are one more stage. nil means one stage.
	Rollout []Amount
	// Pause is the time between a stage's end and the next stage.
	Pause time.Duration
	// Check is called between stages, with the number of the stage that has ended,
	// from 1; its error stops the run. nil disables it.
	Check func(ctx context.Context, stage int) error
	// MaxFail stops the run as Drain does when this many targets have failed (failed,
	// signalled, refused) or were never started, counted together. A percentage is of
	// the targets that the rollout has admitted so far, rounded up. 0 is an error; nil
	// means no limit.
	MaxFail *Amount
	// MaxUnknown is the same for targets with an unknown outcome.
	MaxUnknown *Amount
	// FailFast stops the run at the first target that is not ok.
	FailFast bool

	// Barrier starts no command before every target is authenticated or has ended. It
	// requires Targets, and a fanout that is at least as large.
	Barrier bool
	// Released is called when the barrier has opened. nil disables it.
	Released func(Release)

	// MaxOutput limits the bytes kept of each stream of each target. Excess bytes are
	// counted and dropped, and the result has fleet.FlagOutputTruncated. 0 means
	// DefaultMaxOutput; negative means no limit.
	MaxOutput int64
	// Spool takes what is beyond MaxMemory or MaxHeld, up to MaxOutput. Only what it has no
	// room for is dropped as above. nil: there is none.
	Spool Spool
	// MaxMemory limits the bytes of each stream that are held in memory if there is a
	// Spool. 0 means DefaultMaxMemory.
	MaxMemory int64
	// MaxHeld limits the bytes held in memory for all targets together whose results the
	// caller has not received yet. Excess goes to the Spool, or is dropped as above. 0 means a quarter of the free
	// memory; negative means no limit.
	MaxHeld int64
	// Drain, when closed, stops the starting of commands: targets without a recorded
	// intent (Intend) become cancelled, the others run to their end. nil means never.
	Drain <-chan struct{}
	// Drained returns the reason and the error of the targets that Drain cancels; it is
	// called once, after Drain was closed. nil means fleet.ReasonInterrupted.
	Drained func() (fleet.Reason, error)
	// Stopping is called once when the run starts nothing more: after a drain, at a failure
	// limit, at an abort, and when all targets have ended. It must not block. nil disables it.
	Stopping func()
	// Follow is called when a running command has written output since the last call
	// of Output.Next. It is called from many goroutines at the same time and must not
	// block. nil disables it.
	Follow func(*Output)
	// FollowAll has Output.Next also return what is not kept, as long as it is called in
	// time: for commands that run for long.
	FollowAll bool
	// Watch is called when an attempt begins to connect, when its connection is ready
	// for the command, when it has ended, and when it will be followed by another. It is
	// called from many goroutines at the same time and must not block. nil disables it.
	Watch func(v *View, s Step)
	// Cancellable makes View.Cancel work. It needs Watch.
	Cancellable bool
	// Verbose is called with what is chosen and learned about a target, and with the times
	// of its phases; see ssh.Attempt.Verbose. nil disables it.
	Verbose func(t fleet.Target, line string)
	// Staged is called when a stage of the rollout begins, and when the pause after it
	// does. It must not block. nil disables it.
	Staged func(Stage)
	// Notice is called with messages that a person should know but need not act on. It
	// is called by the goroutine that ranges over the results, between two of them.
	// nil disables it.
	Notice func(string)
}

// A Step is what Options.Watch tells of an attempt.
type Step uint8

// The steps of an attempt. Every attempt that begins also ends, and may do so without
// running. After its end comes a result or, told after Ended, another attempt.
const (
	Connecting Step = iota
	Running
	Ended
	Waiting // for another attempt
)

// A Stage is what Options.Staged tells of a rollout.
type Stage struct {
	Number, Stages int           // the stage, from 1, and how many there are; 0 if unknown
	Targets        int           // of this stage; 0 if unknown
	Pause          time.Duration // until the next stage begins; 0: this stage begins
}

// Validate returns an error for an invalid value. The Dialer and Targets may still be
// missing.
func (o Options) Validate() error {
	switch {
	case o.Fanout < 0:
		return fmt.Errorf("a fanout of %d is negative; 0 means the default", o.Fanout)
	case o.Dials < 0:
		return fmt.Errorf("%d dials at once are negative; 0 means the default", o.Dials)
	case o.KeyExchanges < 0:
		return fmt.Errorf("%d key exchanges at once are negative; 0 means no bound", o.KeyExchanges)
	case o.Attempts < 0:
		return fmt.Errorf("%d attempts are negative; 0 means the default", o.Attempts)
	case o.Attempts > MaxAttempts:
		return hint.Wrap(fmt.Errorf("%d attempts at each target are too many", o.Attempts),
			fmt.Sprintf("%d is the most", MaxAttempts))
	case !(o.Rate >= 0) || math.IsInf(o.Rate, 1): // NaN too
		return fmt.Errorf("a rate of %v starts a second is not one; 0 means no bound", o.Rate)
	case o.Pause < 0:
		return fmt.Errorf("a pause of %v is negative", o.Pause)
	case o.Barrier && o.Rollout != nil:
		return errors.New("a barrier lets all targets go at once, a rollout does not")
	}
	return o.validateShares()
}

// validateRun is Validate for options that Run uses now.
func (o Options) validateRun() error {
	if err := o.Validate(); err != nil {
		return err
	}
	switch {
	case o.Dialer == nil:
		return errors.New("no dialer: Options.Dialer is nil")
	case o.Barrier && o.Targets == 0:
		return errors.New("a barrier needs to know the number of targets")
	}
	for _, s := range o.Rollout {
		if s.Percent > 0 && o.Targets == 0 {
			return fmt.Errorf("a stage of %v needs to know the number of targets", s)
		}
	}
	return nil
}

func (o Options) validateShares() error {
	for _, brake := range []*Amount{o.MaxFail, o.MaxUnknown} {
		if brake != nil {
			if err := brake.Validate(); err != nil {
				return err
			}
			if *brake == (Amount{}) {
				return errors.New("a limit of 0 failures would be reached before the start; 1 stops at the first")
			}
		}
	}
	for _, s := range o.Rollout {
		if err := s.Validate(); err != nil {
			return err
		}
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.Fanout == 0 {
		o.Fanout = DefaultFanout().Fanout
	}
	if o.Dials == 0 {
		o.Dials, o.maxDials = DefaultDials, o.Fanout
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
		o.MaxHeld = DefaultMaxHeld()
	}
	if o.MaxMemory == 0 {
		o.MaxMemory = DefaultMaxMemory
	}
	if o.Notice == nil {
		o.Notice = func(string) {}
	}
	if o.Resized == nil {
		o.Resized = func(int, int) {}
	}
	return o
}
