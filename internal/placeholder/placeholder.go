package placeholder

import (
	"strconv"
	"strings"

	"shoal/fleet"
)

// A value returns what a placeholder expands to for a target.
type value func(fleet.Target) string

// A placeholder is one {word} or {word|sh} of a template.
type placeholder struct {
	word   string // as written
	value  value
	quoted bool
	within bool   // it stands within quotes of the command
	unsure bool   // whether it does is not known
	attr   string // the attribute's name; "" if it is not an attribute
}

func (p placeholder) expand(target fleet.Target) string {
	text := p.value(target)
	if p.quoted && !p.within {
		return quote(text)
	}
	return text // within quotes it has no character that needs any: see unquotable
}

func words() []string { return []string{"host", "user", "port", "index", "attr.NAME"} }

// attrPrefix begins the words that name an attribute of the host.
const attrPrefix = "attr."

// attribute returns the value of a host's attribute, "" if the host does not have it.
func attribute(name string) value {
	return func(t fleet.Target) string {
		if t.Attrs == nil {
			return ""
		}
		text, _ := t.Attrs.Attr(name)
		return text
	}
}

// valueOf returns nil for a word that is not a placeholder.
func valueOf(word string) value {
	if name, ok := strings.CutPrefix(word, attrPrefix); ok && name != "" {
		return attribute(name)
	}
	switch word {
	case "host":
		return func(t fleet.Target) string { return t.Host.Name }
	case "user":
		return user
	case "port":
		return func(t fleet.Target) string { return strconv.Itoa(int(port(t))) }
	case "index":
		return func(t fleet.Target) string { return strconv.Itoa(t.Index) }
	}
	return nil
}

func user(t fleet.Target) string {
	if t.User != "" {
		return t.User
	}
	return t.Host.User
}

func port(t fleet.Target) uint16 {
	switch {
	case t.Port != 0:
		return t.Port
	case t.Host.Port != 0:
		return t.Host.Port
	}
	return fleet.DefaultPort
}

// quote returns text as one word that sh, bash, dash, ksh, zsh, csh, tcsh and fish read as
// text. It uses single quotes, and puts characters that some shell interprets within them
// behind a backslash outside the quotes: fish interprets a backslash, csh an exclamation
// mark. A newline cannot be quoted for csh; see Unquotable.
func quote(text string) string {
	return "'" + quoter.Replace(text) + "'"
}

var quoter = strings.NewReplacer("'", `'\''`, `\`, `'\\'`, "!", `'\!'`)
