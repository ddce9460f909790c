package limit

import (
	"net/netip"
	"regexp"
	"strings"
	"unicode"
)

var (
	bracketedPort = regexp.MustCompile(`^\[(.+)\]:([0-9]+)$`)
	plainPort     = regexp.MustCompile(`^((?:[^:\[\]]|\[[^\]]*\])*):([0-9]+)$`)
	hostRange     = regexp.MustCompile(`^(?:[A-Za-z]:[A-Za-z]|[0-9]+:[0-9]+)(?::[0-9]+)?$`)
)

// SplitPort takes the port from a host name, an address, or one of them with
// ranges such as [01:10:2] and [a:f] in it; any other text has none
// (parsing/utils/addresses.py, parse_address).
func SplitPort(pattern string) (host, port string) {
	host = pattern
	if strings.IndexByte(pattern, ':') < 0 {
		return host, ""
	}
	for _, form := range [...]*regexp.Regexp{bracketedPort, plainPort} {
		if m := form.FindStringSubmatch(host); m != nil {
			host, port = m[1], m[2]
		}
	}
	if !isHostPattern(host) {
		return pattern, ""
	}
	return host, port
}

// isHostPattern reports whether a text is an address, or a host name in which ranges
// may stand.
func isHostPattern(text string) bool {
	if addr, err := netip.ParseAddr(text); err == nil {
		return addr.Zone() == ""
	}
	start, last := true, rune(0) // start of a label; last character before
	for i := 0; i < len(text); {
		if text[i] == '[' {
			end := strings.IndexByte(text[i:], ']')
			if end < 0 || !hostRange.MatchString(text[i+1:i+end]) {
				return false
			}
			i += end + 1
			start, last = false, 'x'
			continue
		}
		r := rune(text[i])
		size := 1
		if r >= 0x80 {
			r, size = firstRune(text[i:])
		}
		switch {
		case r == '.':
			if start || last == '-' || last == '_' {
				return false
			}
			start = true
		case r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' && !start:
			start = false
		default:
			return false
		}
		last = r
		i += size
	}
	return !start && last != '-' && last != '_'
}

func firstRune(text string) (rune, int) {
	for _, r := range text {
		return r, len(string(r))
	}
	return 0, 1
}

// isSingle reports whether the whole text is one name or address, perhaps with a port.
func isSingle(text string) bool {
	host, _ := SplitPort(text)
	return isHostPattern(host)
}
