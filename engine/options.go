package engine

import (
	"errors"
	"fmt"

	"shoal/connect"
)

const (
	// DefaultMaxOutput is how many bytes of each stream are kept: 1 MiB.
	DefaultMaxOutput = 1 << 20
	// DefaultDials is how many connections are started at once at the most.
	DefaultDials = 256
	// DefaultStarts is how many of them may be to one endpoint. sshd begins to
	// drop at 10 unauthenticated connections (sshd_config(5), MaxStartups),
	// Dropbear at 5 from one address.
	DefaultStarts = 4
)

// Options says how a run is fanned out. They are not changed after use.
type Options struct {
	// Dialer connects. Required.
	Dialer connect.Dialer
	// Fanout bounds the targets in flight, from the start of the connection to
	// the result being taken. 0 means as many as this machine carries; see
	// DefaultFanout.
	Fanout int
	// Dials bounds the connections being started, of all in flight. 0 means
	// DefaultDials, never more than Fanout.
	Dials int
	// Starts bounds the connections being started to one endpoint (host and
	// port). 0 means DefaultStarts; negative means no bound.
	Starts int
	// MaxOutput bounds the bytes kept of each stream of each target. What
	// comes beyond it is counted and dropped, and the result says so. 0 means
	// DefaultMaxOutput; negative means no bound.
	MaxOutput int64
	// MaxHeld bounds the bytes kept of all targets whose results have not been
	// taken yet, together. What finds no room is dropped as above. 0 means a
	// quarter of the free memory; negative means no bound.
	MaxHeld int64
	// Drain, when closed, ends the starting of commands: targets whose command
	// was not sent become cancelled, those that run are waited for. nil means
	// never.
	Drain <-chan struct{}
	// Follow is told when a running command has written something since the
	// Tail's last Next. It is called from many goroutines at once and must not
	// block. nil means that nobody follows.
	Follow func(*Tail)
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
	o.Dials = min(o.Dials, o.Fanout)
	if o.Starts == 0 {
		o.Starts = DefaultStarts
	}
	if o.MaxOutput == 0 {
		o.MaxOutput = DefaultMaxOutput
	}
	if o.MaxHeld == 0 {
		o.MaxHeld = defaultMaxHeld()
	}
	return o
}
