package limit

import (
	"net/netip"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"shoal/hosts/internal/problem"
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

// matcher compiles ~regex, found at the beginning as Python's match does, or a
// shell pattern.
func matcher(expr string) (*regexp.Regexp, error) {
	text := `^(?:` + strings.TrimPrefix(expr, "~") + `)`
	if expr[0] != '~' {
		text = `(?s)^` + globRegexp(expr) + `$`
	}
	compiled, err := regexp.Compile(text)
	if err != nil {
		return nil, problem.Faultf("the syntax is RE2's, without look-around and back-references", "pattern %q: %v", problem.Bounded(expr), err)
	}
	return compiled, nil
}

// globRegexp translates * ? [abc] [!abc] as Python's fnmatch does: a bracket that
// is not closed is itself.
func globRegexp(glob string) string {
	var b strings.Builder
	for i := 0; i < len(glob); i++ {
		switch c := glob[i]; c {
		case '*':
			b.WriteString(".*")
		case '?':
			b.WriteString(".")
		case '[':
			end := classEnd(glob, i)
			if end < 0 {
				b.WriteString(`\[`)
				continue
			}
			class := strings.ReplaceAll(glob[i+1:end], `\`, `\\`)
			class = strings.ReplaceAll(class, "[", `\[`)
			switch class[0] {
			case '!':
				class = "^" + class[1:]
			case '^':
				class = `\` + class
			}
			b.WriteString("[" + class + "]")
			i = end
		default:
			if c < utf8.RuneSelf {
				b.WriteString(regexp.QuoteMeta(string(rune(c))))
			} else {
				b.WriteByte(c)
			}
		}
	}
	return b.String()
}

// classEnd finds the bracket that closes the class at start; one right at its
// beginning belongs to it.
func classEnd(glob string, start int) int {
	from := start + 1
	if from < len(glob) && glob[from] == '!' {
		from++
	}
	if from < len(glob) && glob[from] == ']' {
		from++
	}
	if from > len(glob) {
		return -1
	}
	end := strings.IndexByte(glob[from:], ']')
	if end < 0 {
		return -1
	}
	return from + end
}
