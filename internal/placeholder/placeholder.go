package placeholder

import (
	"strconv"
	"strings"

	"shoal/fleet"
)

// A value gives what a placeholder stands for on one target.
type value func(fleet.Target) string

// placeholder is one {word} or {word|sh} of a template.
type placeholder struct {
	word   string // as it is written
	value  value
	quoted bool
	attr   string // the attribute that it stands for; "" for none
}

func (p placeholder) expand(target fleet.Target) string {
	text := p.value(target)
	if p.quoted {
		return quote(text)
	}
	return text
}

func words() []string { return []string{"host", "user", "port", "index", "attr.NAME"} }

// attrPrefix begins the words that stand for an attribute of the host.
const attrPrefix = "attr."

// attribute gives a host's attribute, "" when it has none.
func attribute(name string) value {
	return func(t fleet.Target) string {
		if t.Attrs == nil {
			return ""
		}
		text, _ := t.Attrs.Attr(name)
		return text
	}
}

// valueOf gives nil for a word that is no placeholder.
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

// quote makes one word that sh, bash, dash, ksh, zsh, csh, tcsh and fish read as
// text: between single quotes, but for what one of them reads there, which stands
// behind a backslash outside the quotes. fish reads a backslash there, and csh an
// exclamation mark. No quoting carries a newline through csh; see Unquotable.
func quote(text string) string {
	return "'" + quoter.Replace(text) + "'"
}

var quoter = strings.NewReplacer("'", `'\''`, `\`, `'\\'`, "!", `'\!'`)
