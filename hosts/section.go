package hosts

import (
	"regexp"
	"strings"
)

// header is a line of a host file that begins a group. The name has no colon and does
// not begin with a digit, because [::1] is an address and [1-9] a range.
var header = regexp.MustCompile(`^\[\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*\]$`)

// ansibleHeader is a section header that only Ansible has.
var ansibleHeader = regexp.MustCompile(`^\[[^\]\s]+:(vars|children)\]`)

// section begins a group if the line is a header, and reports whether no host is on the line.
func (l *loader) section(at place, text string) bool {
	if text[0] != '[' {
		return false
	}
	if m := header.FindStringSubmatch(text); m != nil {
		l.group = m[1]
		l.universe.AddGroup(l.group)
		return true
	}
	if ansibleHeader.MatchString(text) {
		l.problem(at, text, "a section of an Ansible inventory", "read the file with --inventory")
		return true
	}
	return false
}

// cutAttributes cuts name=value words from the end of a line: the expression itself contains
// no =. The rest may have blanks around its commas.
func cutAttributes(text string) (expression string, f *facts, err error) {
	equals := strings.IndexByte(text, '=')
	if equals < 0 {
		return text, nil, nil
	}
	start := strings.LastIndexAny(text[:equals], " \t") + 1
	if start == 0 {
		return text, nil, nil // package expr reports what is wrong with a host that contains =
	}
	f = new(facts)
	rest := text[start:]
	for rest != "" {
		var name, value string
		if name, value, rest, err = cutAttribute(rest); err != nil {
			return "", nil, err
		}
		if err = f.set(name, value); err != nil {
			return "", nil, err
		}
	}
	return strings.TrimRight(text[:start], " \t"), f, nil
}

// cutAttribute reads name=value, name="va lue" or name='va lue' and returns the rest
// too.
func cutAttribute(text string) (name, value, rest string, err error) {
	const hint = "write attributes behind the host as name=value or name=\"two words\""
	name, text, found := strings.Cut(text, "=")
	if !found {
		return "", "", "", &fault{"a word without = behind attributes", hint}
	}
	if text != "" && (text[0] == '"' || text[0] == '\'') {
		end := strings.IndexByte(text[1:], text[0])
		if end < 0 {
			return "", "", "", &fault{"a quote that is not closed", hint}
		}
		value, rest = text[1:1+end], text[end+2:]
		if rest != "" && rest[0] != ' ' && rest[0] != '\t' {
			return "", "", "", &fault{"text right behind a closing quote", hint}
		}
	} else if end := strings.IndexAny(text, " \t"); end >= 0 {
		value, rest = text[:end], text[end:]
	} else {
		value = text
	}
	return name, value, strings.TrimLeft(rest, " \t"), nil
}
