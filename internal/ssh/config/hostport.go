package config

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// cutHostPort splits a host, with or without brackets, from the text after its colon (misc.c,
// hpdelim and cleanhostname).
func cutHostPort(s string) (host, port string, err error) {
	end := strings.IndexAny(s, ":/")
	if strings.HasPrefix(s, "[") {
		end = strings.IndexByte(s, ']') + 1
		if end == 0 {
			return "", "", errors.New("no closing bracket")
		}
	}
	if end < 0 || end == len(s) {
		return cleanHost(s), "", nil
	}
	if s[end] != ':' {
		return "", "", fmt.Errorf("%q behind the host name", s[end])
	}
	return cleanHost(s[:end]), s[end+1:], nil
}

// cleanHost removes the brackets around a host name.
func cleanHost(s string) string {
	if len(s) >= 2 && s[0] == '[' && s[len(s)-1] == ']' {
		return s[1 : len(s)-1]
	}
	return s
}

// parsePort parses a number from 0 to 65535 or the name of a TCP service (misc.c, a2port).
func parsePort(s string) (int, error) {
	if n, err := strconv.ParseUint(strings.TrimPrefix(s, "+"), 10, 16); err == nil {
		return int(n), nil
	}
	if s == "" || !isAlphanumeric(s[0]) {
		return 0, fmt.Errorf("bad port %.80q", s)
	}
	return net.LookupPort("tcp", s)
}
