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

// Options specify the sources of hosts and the choice among them. The zero value has none.
//
// Files, Commands, ConfigHosts and Inventories are sources: they say which hosts exist. Hosts
// choose from them; without Hosts all are chosen. Patterns, Exclude, Where and Pick then narrow
// the choice. Hosts that no source has are taken as they are, with a notice if there are
// sources.
type Options struct {
	// Hosts (-w) each hold a host expression, "^FILE" for a host file, or "-"
	// for standard input.
	Hosts []string
	// Exclude (-x) takes the same three forms. An entry without user or port
	// excludes the host with any user or port. Wildcards match the names that Hosts
	// spell as well as those of the sources, with the user and port that are written
	// there and without.
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
	// host lists with a comma in them.
	Inventories []string
	// VarsDir is a directory whose group_vars and host_vars count for Inventories too, as
	// Ansible's working directory does; "" means none.
	VarsDir string
	// Patterns (--limit) keep the hosts that match Ansible's host patterns, such as
	// web:!db:&eu (package limit); @FILE stands for the lines of a file. Empty keeps all.
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
	// Cache keeps the answers of these programs; nil runs them each time.
	Cache *Cache
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

// A Cache keeps what Commands and programs of Inventories printed. An answer is used for the same
// command line in the same directory, by the same user, with the same environment but for
// what differs in each terminal. A notice says whose answers were used, and how old these are.
type Cache struct {
	// Dir is a directory that only this user can read; it is made if it does not exist.
	Dir string
	// MaxAge is how old an answer may be that is used; 0 uses none, but keeps new ones.
	MaxAge time.Duration
}
