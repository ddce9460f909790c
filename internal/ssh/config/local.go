package config

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/user"
	"strconv"
	"strings"
)

// Local describes this machine and its user, as far as the configuration depends on them. Load
// fills in zero fields.
type Local struct {
	User     string // login name: %u
	UID      int    // %i; looked up only if User is ""
	Home     string // home directory from the password database: ~ and %d
	Hostname string // including the domain: %l
	// Getenv looks up environment variables; nil means os.LookupEnv.
	Getenv func(name string) (value string, set bool)
	// Environ returns all of them, NAME=value, for SendEnv; nil means os.Environ.
	Environ func() []string
	// HomeOf returns the home directory for "~name"; nil means the password database.
	HomeOf func(name string) (string, error)
	// Addresses returns the addresses of this machine's interfaces, for Match localnetwork; nil
	// means those of the system.
	Addresses func() ([]netip.Addr, error)
}

// withDefaults fills in zero fields.
func (l Local) withDefaults() (*Local, error) {
	if l.User == "" || l.Home == "" {
		u, err := user.Current()
		if err != nil {
			return nil, fmt.Errorf("finding out who runs this: %w", err)
		}
		if l.User == "" {
			l.User, l.UID = u.Username, os.Getuid()
		}
		if l.Home == "" {
			l.Home = u.HomeDir
		}
	}
	if l.Hostname == "" {
		name, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("finding out this machine's name: %w", err)
		}
		l.Hostname = name
	}
	if l.Getenv == nil {
		l.Getenv = os.LookupEnv
	}
	if l.Environ == nil {
		l.Environ = os.Environ
	}
	if l.HomeOf == nil {
		l.HomeOf = homeOf
	}
	if l.Addresses == nil {
		l.Addresses = interfaceAddresses
	}
	return &l, nil
}

func homeOf(name string) (string, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return "", err
	}
	return u.HomeDir, nil
}

func interfaceAddresses() ([]netip.Addr, error) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for _, a := range list {
		if network, ok := a.(*net.IPNet); ok {
			if addr, ok := netip.AddrFromSlice(network.IP); ok {
				addrs = append(addrs, addr.Unmap())
			}
		}
	}
	return addrs, nil
}

// expandTilde replaces a leading "~" or "~name" (misc.c, tilde_expand).
func (l *Local) expandTilde(path string) (string, error) {
	rest, ok := strings.CutPrefix(path, "~")
	if !ok {
		return path, nil
	}
	name, rest, _ := strings.Cut(rest, "/")
	home := l.Home
	if name != "" {
		var err error
		if home, err = l.HomeOf(name); err != nil {
			return "", fmt.Errorf("home directory in %.80q: %w", path, err)
		}
	}
	return strings.TrimSuffix(home, "/") + "/" + strings.TrimLeft(rest, "/"), nil
}

// shell returns the shell that runs commands of the configuration.
func (l *Local) shell() string {
	if shell, _ := l.Getenv("SHELL"); shell != "" {
		return shell
	}
	return "/bin/sh" // _PATH_BSHELL
}

func (l *Local) uid() string { return strconv.Itoa(l.UID) }
