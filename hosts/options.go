package hosts

import (
	"io"
	"time"

	"shoal/hosts/expr"
)

// Limits of an inventory.
const (
	// MaxLine bounds a line of a host file, in bytes.
	MaxLine = 64 << 10
	// MaxSource bounds one host file or standard input, in bytes.
	MaxSource = 1 << 30
	// MaxHosts bounds the hosts of all sources together, duplicates counted.
	MaxHosts = 10_000_000
)

// Options say where hosts come from. The zero value names none.
type Options struct {
	// Hosts (-w) each hold a host expression, "^FILE" for a host file, or "-"
	// for standard input. They come before Files in the list.
	Hosts []string
	// Exclude (-x) takes the same three forms. What is written without user or
	// port excludes the host whatever its user or port.
	Exclude []string
	// Files (--hostfile) are paths of host files; "-" is standard input.
	Files []string
	// Commands (--hosts-from) run by sh -c; what they print is read as a host
	// file is. A command that fails is a problem.
	Commands []string
	// ConfigHosts are the names that an ssh_config has Host lines for, in its
	// order, as whoever reads it gives them.
	ConfigHosts []string
	// Inventories (--inventory) are Ansible's: files, programs, directories, or
	// host lists with a comma in them. With Hosts and without Patterns they
	// only tell what is known of those hosts; otherwise their hosts are meant.
	Inventories []string
	// Patterns (--limit) choose hosts by Ansible's host patterns, such as
	// web:!db:&eu (package pattern), from Files, Commands and Inventories. Hosts
	// and ConfigHosts are meant in any case. Empty means all.
	Patterns []string
	// Groups answers for @group in Hosts and Exclude where neither Files nor
	// Inventories have the group; nil knows none. The groups of Files and
	// Inventories are the source "inventory".
	Groups expr.Groups
	// Where (--where) is a condition on attributes (package where); "" is none.
	Where string
	// Pick (--pick) is how many hosts are chosen at random from those left: N or,
	// for every value of an attribute, N/attribute. "" chooses all.
	Pick string
	// Seed makes Pick choose the same again from the same hosts; 0 means another
	// choice every time, of which a notice tells the seed.
	Seed uint64
	// CommandTimeout bounds each of Commands and each program of Inventories; 0
	// means 60 s.
	CommandTimeout time.Duration
	// Waiting is told of one of these programs that runs for longer than 2 s,
	// once, from another goroutine. nil: nobody is.
	Waiting func(program string)
	// User is the login name that the run uses where none is written. It
	// decides what is a duplicate and is not written into the hosts.
	User string
	// Port is the port of hosts that are written without one, and is filled
	// in. 0 leaves them without a port, which means fleet.DefaultPort.
	Port uint16
	// Stdin is read where "-" is named, which may be once. nil makes that a
	// problem.
	Stdin io.Reader
}
