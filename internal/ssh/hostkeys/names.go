package hostkeys

import (
	"errors"
	"fmt"
	"strings"

	"shoal/fleet"
)

// hostNames are the names under which known_hosts is searched for a target.
type hostNames struct {
	// look is the name to look up and to learn: in lower case, and as
	// "[name]:port" for a port other than 22 (put_host_port in OpenSSH's
	// misc.c).
	look string
	// fallback is the name without the port, which counts only where look is
	// unknown (check_host_key in OpenSSH's sshconnect.c); "" for port 22 and for
	// an alias.
	fallback string
	// principal is the name that a certificate must be for: without the port.
	principal string
}

// maxName bounds a host name, in bytes: DNS has 253, an IPv6 address with its
// zone is shorter.
const maxName = 255

// namesOf gives the names of a target, whose HostKeyAlias is alias or "".
func namesOf(t fleet.Target, alias string) (hostNames, error) {
	if alias != "" {
		// As it is written, port or not (get_hostfile_hostname_ipaddr in
		// sshconnect.c): brackets mean themselves.
		alias = lower(alias)
		return hostNames{look: alias, principal: alias}, checkName(alias, inNames+"#@")
	}
	name := lower(t.Dialled()) // after HostName, as ssh looks it up
	if err := checkName(name, inNames+"#@[]"); err != nil {
		return hostNames{}, err
	}
	port := t.Port
	if port == 0 {
		port = t.Host.Port
	}
	if port == 0 || port == fleet.DefaultPort {
		return hostNames{look: name, principal: name}, nil
	}
	return hostNames{look: fmt.Sprintf("[%s]:%d", name, port), fallback: name, principal: name}, nil
}

// inNames has a meaning between or in the names of a line.
const inNames = " \t,*?!|\x7f"

// checkName refuses what would have a meaning of its own in known_hosts: such a
// name could match, or be written as, something else.
func checkName(name, forbidden string) error {
	switch {
	case name == "":
		return errors.New("the target has no host name")
	case len(name) > maxName:
		return fmt.Errorf("the host name %s is longer than %d bytes", quote(name), maxName)
	case strings.ContainsAny(name, forbidden) || strings.ContainsFunc(name, isControl):
		return fmt.Errorf("the host name %s cannot stand in known_hosts", quote(name))
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' }
