package simfleet

import (
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"
)

// Options say what a fleet is like. They are not changed after Start.
type Options struct {
	// Hosts is how many there are, 1 to MaxHosts.
	Hosts int
	// Seed is what every key and every random choice follows from. "" means a
	// random one.
	Seed string
	// Port is the TCP port of every host; 0 means any free one.
	Port uint16
	// Latency is the time that a byte takes from one side to the other: a round
	// trip takes twice as long. 0 means none.
	//
	// All of it is put on what the server sends, which a client that waits for
	// answers cannot tell from the real thing, but for one point: its TCP
	// connect returns at once, and the round trip that it should have taken is
	// added to the wait for the version line. Go's timers on an idle machine are
	// up to 1 ms late, and so are the bytes.
	Latency time.Duration
	// Jitter adds a random time, evenly spread from 0 up to this, to each
	// direction. Bytes keep their order. 0 means none.
	Jitter time.Duration
	// MaxStartups drops connections as sshd does, each host for itself. The
	// zero value drops none.
	MaxStartups Startups
	// Fault says what host i does wrong. It is called once per connection, from
	// many goroutines. A text that is no fault, and nil, mean a good host.
	Fault func(i int) Fault
	// Allow says whether a user with this key may log in to host i. It is
	// called from many goroutines. nil means any user with the fleet's client
	// key.
	Allow func(i int, user string, key ssh.PublicKey) bool
	// Oracle, where not nil, is told of every exec twice: before its answer
	// leaves, with Ended zero, and when its end is known. It is called from many
	// goroutines, each of which waits for it.
	Oracle func(Exec)
	// DiscardLog keeps nothing for Fleet.Log; Oracle is still called.
	DiscardLog bool
}

// Validate gives the first thing that is wrong with o, or nil.
func (o Options) Validate() error {
	switch {
	case o.Hosts < 1 || o.Hosts > MaxHosts:
		return fmt.Errorf("fleet of %d hosts: want 1 to %d", o.Hosts, MaxHosts)
	case o.Latency < 0:
		return fmt.Errorf("latency of %v: want 0 or more", o.Latency)
	case o.Jitter < 0:
		return fmt.Errorf("jitter of %v: want 0 or more", o.Jitter)
	}
	return o.MaxStartups.validate()
}

// rtt is the latency of both directions.
func (o Options) rtt() time.Duration { return 2 * o.Latency }
