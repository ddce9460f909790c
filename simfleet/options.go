package simfleet

import (
	"fmt"
	"io"
	"time"

	"golang.org/x/crypto/ssh"
)

// Options configure a fleet. They must not be changed after Start.
type Options struct {
	// Hosts is the number of hosts, 1 to MaxHosts.
	Hosts int
	// Names are what the hosts are called: by themselves, in the log, and in what WriteHosts and
	// WriteKnownHosts write. They need be nowhere else, since WriteHosts writes the addresses too. nil: their addresses.
	Names []string
	// Seed determines every key and every random choice. "" means a random seed.
	Seed string
	// Port is the TCP port of every host; 0 means any free one.
	Port uint16
	// Latency is the time that a byte takes from one side to the other: a round
	// trip takes twice as long. 0 means none.
	//
	// The whole round trip is added to what the server sends. A client that waits for
	// answers cannot distinguish this from real latency, with one exception: its TCP
	// connect returns at once, and that round trip is added to the wait for the version
	// line. Go's timers on an idle machine are up to 1 ms late, and so are the bytes.
	Latency time.Duration
	// Jitter adds a random time, evenly spread from 0 up to this, to each
	// direction. Bytes keep their order. 0 means none.
	Jitter time.Duration
	// AuthDelay is how long each host takes to accept a login, as with a slow directory. 0 means
	// no time.
	AuthDelay time.Duration
	// MaxStartups drops connections as sshd does, separately for each host. The
	// zero value drops none.
	MaxStartups Startups
	// Penalties has the fleet refuse its clients as the listener of OpenSSH 9.8 does that has
	// counted too many sessions without a login; those that end within 90 ms after it count too.
	Penalties bool
	// Fault returns the fault of host i. It is called once per connection, from
	// many goroutines. nil and unknown faults mean a good host.
	Fault func(i int) Fault
	// Answer returns what host i answers to every command instead of running it; nil runs
	// it. It is called once per command, from many goroutines. nil runs every command.
	Answer func(i int) *Answer
	// Allow reports whether a user with this key may log in to host i. It is
	// called from many goroutines. nil allows any user with the fleet's client key.
	Allow func(i int, user string, key ssh.PublicKey) bool
	// Password lets any user in who sends it. "" means that no password is accepted.
	Password string
	// Forward makes every host a jump host for the others: it opens direct-tcpip
	// channels to them (RFC 4254 §7.2), and to nothing else.
	Forward bool
	// SudoPassword is what the hosts' sudo asks users but root for; "" means that it
	// asks nothing. It reads the answer from standard input (sudo -S).
	SudoPassword string
	// Sudo returns what is special about host i's sudo. It is called once for each host. nil
	// means that nothing is.
	Sudo func(i int) Sudo
	// NoSFTP leaves out the SFTP subsystem.
	NoSFTP bool
	// Play, if not nil, is asked about each command before the host runs it, and may play
	// a host that answers anything: played reports that it has, with this exit status. It is
	// called from many goroutines; a write fails once the client has gone.
	Play func(i int, command string, stdin io.Reader, stdout, stderr io.Writer) (status uint32, played bool)
	// Oracle, if not nil, is called twice for every exec: before its answer is sent,
	// with Ended zero, and when its end is known. It is called from many goroutines,
	// each of which waits for it.
	Oracle func(Exec)
	// RecordNames has Fleet.Files tell every name that a file ever had, as long as
	// there is room for them.
	RecordNames bool
	// RekeyBytes is after how many bytes in one direction a host exchanges keys again, at least
	// 256. 0 means that it does not.
	RekeyBytes uint64
	// Server is who serves connections. "" means ServerWire.
	Server Server
	// DiscardLog keeps nothing for Fleet.Log; Oracle is still called.
	DiscardLog bool
}

// A Server is an implementation of SSH.
type Server string

// The servers.
const (
	// ServerWire is package wire's: cheap, and it takes commands early, as sshd does.
	ServerWire Server = "wire"
	// ServerXCrypto is golang.org/x/crypto/ssh's: independent of the clients of this module.
	// Hosts with faults, AuthDelay or Penalties are served by the other one all the same.
	ServerXCrypto Server = "xcrypto"
)

// A Sudo is what is special about a host's sudo.
type Sudo string

// The kinds of sudo. What those that are hostile read, they store in /tmp/taken.
const (
	SudoPlain   Sudo = ""
	SudoRust    Sudo = "rust"    // its prompts are those of sudo-rs
	SudoMissing Sudo = "missing" // there is none
	SudoDenies  Sudo = "denies"  // it takes the password and allows nothing
	SudoSilent  Sudo = "silent"  // hostile: it says nothing and reads
	SudoTwice   Sudo = "twice"   // hostile: it asks for a code after the password
	SudoEndless Sudo = "endless" // hostile: it asks over and over
	SudoEchoes  Sudo = "echoes"  // hostile: it shows the password and its prompt, and ends
)

// Validate returns the first thing that is wrong with o, or nil.
func (o Options) Validate() error {
	switch {
	case o.Hosts < 1 || o.Hosts > MaxHosts:
		return fmt.Errorf("fleet of %d hosts: want 1 to %d", o.Hosts, MaxHosts)
	case o.Names != nil && len(o.Names) != o.Hosts:
		return fmt.Errorf("%d names for %d hosts", len(o.Names), o.Hosts)
	case o.Latency < 0:
		return fmt.Errorf("latency of %v: want 0 or more", o.Latency)
	case o.Server != "" && o.Server != ServerWire && o.Server != ServerXCrypto:
		return fmt.Errorf("unknown server %.40q: want %s or %s", o.Server, ServerWire, ServerXCrypto)
	case o.AuthDelay < 0:
		return fmt.Errorf("delay of logins of %v: want 0 or more", o.AuthDelay)
	case o.Jitter < 0:
		return fmt.Errorf("jitter of %v: want 0 or more", o.Jitter)
	}
	return o.MaxStartups.validate()
}

// rtt is the latency of both directions.
func (o Options) rtt() time.Duration { return 2 * o.Latency }
