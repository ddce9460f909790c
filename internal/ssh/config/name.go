package config

import (
	"fmt"
	"strings"
)

// maxHost bounds host names, in bytes (NI_MAXHOST of netdb.h).
const maxHost = 1024

// ValidHostName says whether a host name is safe to hand on to a shell: the
// rule of OpenSSH since 9.6 (valid_hostname). It has no '-' at the beginning, no
// control characters or blanks, and none of '`"$\;&<>|(){}, in it. The empty
// name and names beyond 1024 bytes are refused, too.
func ValidHostName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("empty host name")
	case len(name) > maxHost:
		return fmt.Errorf("host name of %d bytes", len(name))
	case name[0] == '-':
		return fmt.Errorf("host name %.80q begins with '-'", name)
	}
	for i := range len(name) {
		if c := name[i]; isBlankOrControl(c) || strings.IndexByte("'`\"$\\;&<>|(){},", c) >= 0 {
			return fmt.Errorf("character %q in host name %.80q", c, name)
		}
	}
	return nil
}

// ValidUser says whether a login name is safe to hand on to a shell: the rule
// of OpenSSH (valid_ruser). It has no '-' at the beginning or behind a blank, no
// control characters, none of '`";&<>|(){} in it and no '\' at the end. The
// empty name and names beyond 1024 bytes are refused, too.
func ValidUser(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("empty user name")
	case len(name) > maxHost:
		return fmt.Errorf("user name of %d bytes", len(name))
	case name[0] == '-':
		return fmt.Errorf("user name %.80q begins with '-'", name)
	case name[len(name)-1] == '\\':
		return fmt.Errorf("user name %.80q ends in a backslash", name)
	}
	for i := range len(name) {
		c := name[i]
		blankDash := c == ' ' && i+1 < len(name) && name[i+1] == '-'
		if blankDash || c != ' ' && isBlankOrControl(c) || strings.IndexByte("'`\";&<>|(){}", c) >= 0 {
			return fmt.Errorf("character %q in user name %.80q", c, name)
		}
	}
	return nil
}

func isBlankOrControl(c byte) bool { return c <= ' ' || c == 0x7f }

// cleanDomain checks a domain name and gives it in lower case without the dot
// at its end (misc.c, valid_domain).
func cleanDomain(name string) (string, error) {
	if name == "" || !isAlphanumeric(name[0]) {
		return "", fmt.Errorf("domain name %.80q begins with an invalid character", name)
	}
	if strings.Contains(name, "..") {
		return "", fmt.Errorf("domain name %.80q has consecutive dots", name)
	}
	for i := range len(name) {
		if c := name[i]; !isAlphanumeric(c) && c != '.' && c != '-' && c != '_' {
			return "", fmt.Errorf("character %q in domain name %.80q", c, name)
		}
	}
	return lower(strings.TrimSuffix(name, ".")), nil
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// validEnvName is valid_env_name of misc.c.
func validEnvName(name string) bool {
	for i := range len(name) {
		if !isAlphanumeric(name[i]) && name[i] != '_' {
			return false
		}
	}
	return name != ""
}
