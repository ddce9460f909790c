package config

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// A Jump is a jump host as written in ProxyJump. It has its own part of the configuration: see
// Config.Route.
type Jump struct {
	User string // "" if none was written
	Host string // without brackets
	Port uint16 // 0 if none was written
}

// String returns [user@]host[:port].
func (j Jump) String() string {
	s := j.Host
	if j.Port != 0 {
		s = net.JoinHostPort(j.Host, strconv.Itoa(int(j.Port)))
	}
	if j.User != "" {
		s = j.User + "@" + s
	}
	return s
}

// maxJumps bounds the length of a route.
const maxJumps = 16

// A jumpList is the value of ProxyJump.
type jumpList struct {
	jumps []Jump // in the order of connecting; empty for "none"
	extra string // all but the last, as written
}

func readProxyJump(l *line) error {
	l.args = nil
	list, err := parseJumps(strings.TrimLeft(l.rest, whitespace+"="))
	if err != nil {
		return err
	}
	l.set(opProxyJump, "").value = list
	return nil
}

// ParseJumps parses an argument of -J or ProxyJump: comma-separated hosts, each
// [user@]host[:port] or an ssh:// URI, in the order of connecting. For "none" it returns an
// empty list.
func ParseJumps(s string) ([]Jump, error) {
	list, err := parseJumps(s)
	if err != nil {
		return nil, err
	}
	return list.jumps, nil
}

func parseJumps(s string) (*jumpList, error) {
	s, _, _ = strings.Cut(s, "#")
	s = strings.TrimRight(s, whitespace)
	if strings.EqualFold(s, "none") {
		return &jumpList{}, nil
	}
	list := &jumpList{}
	if last := strings.LastIndexByte(s, ','); last > 0 {
		list.extra = s[:last]
	}
	for hop := range strings.SplitSeq(s, ",") {
		j, err := parseJump(hop)
		if err != nil {
			return nil, fmt.Errorf("jump host %.80q: %w", hop, err)
		}
		list.jumps = append(list.jumps, j)
	}
	if len(list.jumps) > maxJumps {
		return nil, fmt.Errorf("more than %d jump hosts", maxJumps)
	}
	return list, nil
}

func parseJump(s string) (Jump, error) {
	if uri, ok := strings.CutPrefix(s, "ssh://"); ok {
		return parseURI(uri)
	}
	var j Jump
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		if at == 0 {
			return j, errors.New("empty user name")
		}
		j.User, s = s[:at], s[at+1:]
	}
	return j, j.setHostPort(s)
}

// parseURI parses what follows "ssh://" (misc.c, parse_uri): the user may be URL-encoded, and a
// path is not allowed.
func parseURI(s string) (Jump, error) {
	var j Jump
	if user, rest, ok := strings.Cut(s, "@"); ok {
		user, _, _ = strings.Cut(user, ";")
		decoded, err := decodeURL(user)
		if err != nil || user == "" {
			return j, errors.New("bad user name")
		}
		j.User, s = decoded, rest
	}
	s = strings.TrimSuffix(s, "/")
	if err := j.setHostPort(s); err != nil {
		return j, err
	}
	clean, err := cleanDomain(j.Host)
	if err != nil {
		return j, err
	}
	j.Host = j.Host[:len(clean)]
	return j, nil
}

func (j *Jump) setHostPort(s string) error {
	host, port, err := cutHostPort(s)
	if err != nil {
		return err
	}
	if host == "" {
		return errors.New("empty host name")
	}
	j.Host = host
	if port == "" {
		return nil
	}
	n, err := parsePort(port)
	if err != nil || n == 0 {
		return fmt.Errorf("bad port %.80q", port)
	}
	j.Port = uint16(n)
	return nil
}

// decodeURL decodes like urldecode in misc.c.
func decodeURL(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '+':
			b.WriteByte(' ')
		case '%':
			if i+2 >= len(s) {
				return "", errors.New("bad URL encoding")
			}
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", errors.New("bad URL encoding")
			}
			b.WriteByte(byte(n))
			i += 2
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), nil
}
