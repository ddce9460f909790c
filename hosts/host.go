package hosts

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"shoal/fleet"
	"shoal/hosts/limit"
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
func canonical(name string) string { return limit.Fold(name) }

// maxName bounds host and user names, in bytes.
const maxName = 255

func checkName(name string) error {
	switch {
	case name == "":
		return &fault{"no host name", "write [user@]host[:port]"}
	case name[0] == '-':
		return &fault{"host name begins with '-'", "to leave hosts out, name them with -x"}
	case len(name) > maxName:
		return &fault{fmt.Sprintf("host name of %d bytes", len(name)), "a host name has at most 255"}
	}
	named := false
	for i := range len(name) {
		c := name[i]
		switch {
		case isAlphanumeric(c):
			named = true
		case c == '.' || c == '-' || c == '_':
		default:
			return badCharacter(name[i:])
		}
	}
	if !named {
		return &fault{"host name without a letter or digit", "write [user@]host[:port]"}
	}
	return nil
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// badCharacter returns an error about the first character of rest.
func badCharacter(rest string) error {
	r, _ := utf8.DecodeRuneInString(rest)
	if r >= utf8.RuneSelf {
		return &fault{
			fmt.Sprintf("character %q (%U) in a host name", r, r),
			"write an international name in its punycode form, xn--…",
		}
	}
	return &fault{
		fmt.Sprintf("character %q in a host name", r),
		"a host name has letters, digits, '.', '-' and '_'",
	}
}

// checkAddress accepts IPv6 addresses. Zones become part of displayed names and file names,
// so that only characters of host names are allowed in them.
func checkAddress(text string) error {
	const hint = "write an IPv6 address as ::1, or with a port as [::1]:22"
	addr, err := netip.ParseAddr(text)
	if err != nil || !addr.Is6() {
		return &fault{fmt.Sprintf("%.60q is not an IPv6 address", text), hint}
	}
	if zone := addr.Zone(); zone != "" && checkName(zone) != nil {
		return &fault{fmt.Sprintf("zone %.40q of an IPv6 address", zone), "a zone is an interface name, as in fe80::1%eth0"}
	}
	return nil
}

// CheckUser returns an error unless a login name is safe to pass on: OpenSSH's rule (ssh.c,
// valid_ruser), in UTF-8, without blanks, and at most 255 bytes. Not allowed are
// control characters, any of '`";&<>|(){} and a '-' at the beginning or a '\' at
// the end. Errors have a method Hint() string.
func CheckUser(user string) error {
	const hint = "a user name has no blanks, control characters, or any of '`\";&<>|(){}"
	switch {
	case user == "":
		return &fault{"no user name before '@'", "write user@host, or the host alone"}
	case user[0] == '-':
		return &fault{"user name begins with '-'", "write [user@]host[:port]"}
	case len(user) > maxName:
		return &fault{fmt.Sprintf("user name of %d bytes", len(user)), "a user name has at most 255"}
	case user[len(user)-1] == '\\':
		return &fault{`user name ends in '\'`, `write a domain's user as DOMAIN\user@host`}
	case !utf8.ValidString(user):
		return &fault{"user name is not valid UTF-8", hint}
	}
	for _, r := range user {
		if strings.ContainsRune("'`\";&<>|(){}", r) || unicode.IsControl(r) || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) {
			return &fault{fmt.Sprintf("character %q in a user name", r), hint}
		}
	}
	return nil
}
