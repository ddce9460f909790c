package config

import (
	"fmt"
	"strings"

	"shoal/internal/ssh/match"
)

// maxHost bounds host names, in bytes (NI_MAXHOST of netdb.h).
const maxHost = 1024

// ValidHostName returns an error unless a host name is safe to pass to a shell, by the rule of
// OpenSSH since 9.6 (valid_hostname): no leading '-', no control characters or blanks, and none
// of '`"$\;&<>|(){},. It also refuses the empty name and names longer than 1024 bytes.
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

// ValidUser returns an error unless a login name is safe to pass to a shell, by the rule of
// OpenSSH (valid_ruser): no '-' at the beginning or after a blank, no control characters, none
// of '`";&<>|(){} and no '\' at the end. It also refuses the empty name and names longer than
// 1024 bytes.
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

// cleanDomain checks a domain name and returns it in lower case without a trailing dot (misc.c,
// valid_domain).
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
	return match.Lower(strings.TrimSuffix(name, ".")), nil
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// validEnvName implements valid_env_name of misc.c.
func validEnvName(name string) bool {
	for i := range len(name) {
		if !isAlphanumeric(name[i]) && name[i] != '_' {
			return false
		}
	}
	return name != ""
}
