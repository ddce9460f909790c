package hosts

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"shoal/fleet"
)

// ParseHost reads one entry without ranges: [user@]host[:port], [v6]:port or a
// bare IPv6 address. The user ends at the last @.
//
// A host name is an IPv6 address, optionally with a zone, or at most 255 bytes
// (RFC 1035 §2.3.4) of letters, digits, '.', '-' and '_', at least one of them a
// letter or digit, not beginning with '-'. OpenSSH accepts more (ssh.c,
// valid_hostname); this excludes all characters with a meaning for a shell, a path, an
// option parser or a known_hosts pattern. User names follow OpenSSH's rule (ssh.c,
// valid_ruser), except that blanks are not allowed; see [CheckUser].
//
// Errors do not repeat the text; they have a method Hint() string.
func ParseHost(text string) (fleet.Host, error) {
	if strings.HasPrefix(text, "ssh://") {
		return fleet.Host{}, &fault{"a URI is not a host", "write user@host:port"}
	}
	var h fleet.Host
	rest := text
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		if err := CheckUser(rest[:at]); err != nil {
			return fleet.Host{}, err
		}
		h.User, rest = rest[:at], rest[at+1:]
	}
	name, port, err := splitPort(rest)
	if err != nil {
		return fleet.Host{}, err
	}
	h.Name, h.Port = name, port
	return h, nil
}

// splitPort reads host[:port] and checks both.
func splitPort(text string) (name string, port uint16, err error) {
	name, portText, hasPort := text, "", false
	switch {
	case strings.HasPrefix(text, "["):
		end := strings.IndexByte(text, ']')
		if end < 0 {
			return "", 0, &fault{"bracket is not closed", "write an IPv6 address with a port as [::1]:22"}
		}
		after := text[end+1:]
		name = text[1:end]
		portText, hasPort = strings.CutPrefix(after, ":")
		if after != "" && !hasPort {
			return "", 0, &fault{fmt.Sprintf("%.40q after the address", after), "a port is written as [::1]:22"}
		}
		if err := checkAddress(name); err != nil {
			return "", 0, err
		}
	case strings.Count(text, ":") > 1:
		if err := checkAddress(name); err != nil {
			return "", 0, err
		}
	default:
		name, portText, hasPort = strings.Cut(text, ":")
		if err := checkName(name); err != nil {
			return "", 0, err
		}
	}
	if !hasPort {
		return name, 0, nil
	}
	port, err = parsePort(portText)
	return name, port, err
}

func parsePort(text string) (uint16, error) {
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return 0, &fault{fmt.Sprintf("port %.20q", text), "a port is a number from 1 to 65535"}
	}
	return uint16(port), nil
}

// canonical returns the name used to find duplicates: host names in one case
// (RFC 4343), addresses in their shortest form.
func canonical(name string) string {
	if strings.IndexByte(name, ':') >= 0 {
		if addr, err := netip.ParseAddr(name); err == nil {
			return addr.String()
		}
	}
	return strings.ToLower(name)
}
