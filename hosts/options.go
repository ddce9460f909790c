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
	// MaxHosts bounds the hosts of all sources together, including duplicates.
	MaxHosts = 10_000_000
)

// Options specify the sources of hosts. The zero value has none.
type Options struct {
	// Hosts (-w) each hold a host expression, "^FILE" for a host file, or "-"
	// for standard input. They come before Files in the list.
	Hosts []string
	// Exclude (-x) takes the same three forms. An entry without user or port
	// excludes the host with any user or port.
	Exclude []string
	// Files (--hostfile) are paths of host files; "-" is standard input.
	Files []string
	// Commands (--hosts-from) are run by sh -c; their output is read like a host
	// file. A command that fails is a problem.
	Commands []string
	// ConfigHosts are the names in the Host lines of an ssh_config, in its order. The
	// caller reads the file.
	ConfigHosts []string
	// Inventories (--inventory) are Ansible's: files, programs, directories, or
	// host lists with a comma in them. With Hosts and without Patterns they only
	// describe those hosts; otherwise their hosts are selected.
	Inventories []string
	// Patterns (--limit) select hosts from Files, Commands and Inventories by Ansible's
	// host patterns, such as web:!db:&eu (package limit). Hosts and ConfigHosts are
	// always selected. Empty selects all.
	Patterns []string
	// Groups resolves @group in Hosts and Exclude if neither Files nor Inventories
	// have the group; nil means that there are no others. The groups of Files and
	// Inventories are the source "inventory".
	Groups expr.Groups
	// Where (--where) is a condition on attributes (package filter); "" means none.
	Where string
	// Pick (--pick) is how many of the remaining hosts are chosen at random: N or, for
	// every value of an attribute, N/attribute. "" chooses all.
	Pick string
	// Seed makes Pick repeat its choice from the same hosts; 0 means a random seed,
	// which a notice shows.
	Seed uint64
	// CommandTimeout bounds each of Commands and each program of Inventories; 0
	// means 60 s.
	CommandTimeout time.Duration
	// Waiting is called once, from another goroutine, for each of these programs that
	// runs for longer than 2 s. nil disables it.
	Waiting func(program string)
	// User is the run's login name for hosts without one. It is used to find
	// duplicates and is not filled in.
	User string
	// Port is filled in for hosts without a port. 0 leaves them without one, which
	// means fleet.DefaultPort.
	Port uint16
	// Stdin is read for "-", which may occur once. If it is nil, "-" is a
	// problem.
	Stdin io.Reader
}
