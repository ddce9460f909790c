package hostkeys

import (
	"errors"
	"fmt"
	"strings"

	"shoal/fleet"
	"shoal/internal/ssh/match"
)

// hostNames are the names under which a target is looked up in known_hosts.
type hostNames struct {
	// look is the name to look up and to learn: in lower case, and as "[name]:port" for a port
	// other than 22 (put_host_port in OpenSSH's misc.c).
	look string
	// fallback is the name without the port, used only if look is unknown (check_host_key in
	// OpenSSH's sshconnect.c); "" for port 22 and for an alias.
	fallback string
	// principal is the name that a certificate must have: without the port.
	principal string
}

// maxName bounds a host name, in bytes: DNS allows 253; an IPv6 address with its zone is
// shorter.
const maxName = 255

// namesOf returns the names of a target.
func namesOf(t fleet.Target) (hostNames, error) {
	if t.Route != nil && t.Route.HostKeyAlias != "" {
		// An alias is used as written, without a port (get_hostfile_hostname_ipaddr in
		// sshconnect.c); brackets have no special meaning.
		alias := match.Lower(t.Route.HostKeyAlias)
		return hostNames{look: alias, principal: alias}, checkName(alias, inNames+"#@")
	}
	return ownNamesOf(t)
}

// NameOf returns the name under which a target is looked up in known_hosts, and learned.
func NameOf(t fleet.Target) (string, error) {
	n, err := namesOf(t)
	return n.look, err
}

// ownNamesOf returns the names of a target without regard to its HostKeyAlias.
func ownNamesOf(t fleet.Target) (hostNames, error) {
	name := match.Lower(t.Dialled()) // the name after HostName is applied, as ssh looks it up
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

// inNames are the characters with a meaning between or in the names of a line.
const inNames = " \t,*?!|\x7f"

// checkName refuses names with characters that are special in known_hosts: such a name could
// match, or be written as, something else.
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

// isPlain reports whether a list of names has no wildcard and no negation.
func isPlain(names string) bool { return !strings.ContainsAny(names, "*?!") }

// matchList reports whether a lower-case name matches a list of patterns: at least one matches,
// and none that begins with "!" does (match_pattern_list and match_hostname in OpenSSH's
// match.c).
func matchList(name, patterns string) bool {
	matched := false
	for pattern := range strings.SplitSeq(patterns, ",") {
		pattern, negated := strings.CutPrefix(pattern, "!")
		if !match.Pattern(name, match.Lower(pattern)) {
			continue
		}
		if negated {
			return false
		}
		matched = true
	}
	return matched
}
