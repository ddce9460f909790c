package inventory

import "io"

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
