package config

import (
	"errors"
	"fmt"
	"strings"
)

// A forward is a port forwarding. It is parsed to detect the same errors as ssh, and never
// opened.
type forward struct {
	listenHost, listenPath   string
	connectHost, connectPath string
	listenPort, connectPort  int
	hasListenHost            bool
	socks                    bool
}

// maxForward is the maximum length that readconf.c accepts, in bytes.
const maxForward = 255

func readForward(l *line) error {
	spec, err := l.need()
	if err != nil {
		return err
	}
	dynamic, remote := l.op == opDynamicForward, l.op == opRemoteForward
	if !dynamic {
		target, _ := l.next()
		switch {
		case target != "":
			spec += ":" + target
		case remote:
			dynamic = true
		default:
			return errors.New("missing target")
		}
	}
	if len(spec) > maxForward {
		return fmt.Errorf("longer than %d bytes", maxForward)
	}
	spec, err = expandEnv(spec, l.loader.local.Getenv)
	if err != nil {
		return err
	}
	f, ok := parseForward(spec, dynamic, remote)
	if !ok {
		return fmt.Errorf("bad forwarding %.80q", spec)
	}
	o := opLocalForward
	if remote {
		o = opRemoteForward
	}
	l.set(o, "").value = f
	return nil
}

// A forwardField is a colon-separated part.
type forwardField struct {
	text   string
	isPath bool
}

// cutForwardField returns the next field of s and the rest (readconf.c, parse_fwd_field).
func cutForwardField(s string) (f forwardField, rest string, ok bool) {
	if s[0] == '[' {
		end := strings.IndexByte(s, ']')
		if end < 0 || end+1 < len(s) && s[end+1] != ':' {
			return f, s, false
		}
		return forwardField{s[1:end], strings.Contains(s[:end], "/")}, strings.TrimPrefix(s[end+1:], ":"), true
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if i++; i == len(s) {
				return f, s, false
			}
		case ':':
			f.text = b.String()
			return f, s[i+1:], true
		case '/':
			f.isPath = true
		}
		b.WriteByte(s[i])
	}
	f.text = b.String()
	return f, "", true
}

// parseForward parses [host:]port or path, then, unless dynamic, host:port or path (readconf.c,
// parse_forward).
func parseForward(s string, dynamic, remote bool) (forward, bool) {
	s = strings.TrimLeft(s, " \t")
	var fields []forwardField
	for s != "" && len(fields) < 4 {
		field, rest, ok := cutForwardField(s)
		if !ok {
			return forward{}, false
		}
		fields, s = append(fields, field), rest
	}
	if s != "" || len(fields) == 0 {
		return forward{}, false
	}
	f, n := assignForward(fields)
	return f, f.valid(n, dynamic, remote)
}

// assignForward assigns the fields to a forward by their number.
func assignForward(fields []forwardField) (forward, int) {
	var f forward
	n := len(fields)
	listen := func(host, port *forwardField) {
		if host != nil {
			f.listenHost, f.hasListenHost = host.text, true
		}
		f.listenPort = portOrBad(port.text)
	}
	connect := func(host, port *forwardField) { f.connectHost, f.connectPort = host.text, portOrBad(port.text) }
	switch {
	case n == 1 && fields[0].isPath:
		f.listenPath, f.socks = fields[0].text, true
	case n == 1:
		listen(nil, &fields[0])
		f.socks = true
	case n == 2 && fields[0].isPath && fields[1].isPath:
		f.listenPath, f.connectPath = fields[0].text, fields[1].text
	case n == 2 && fields[1].isPath:
		listen(nil, &fields[0])
		f.connectPath = fields[1].text
	case n == 2:
		listen(&fields[0], &fields[1])
		f.socks = true
	case n == 3 && fields[0].isPath:
		f.listenPath = fields[0].text
		connect(&fields[1], &fields[2])
	case n == 3 && fields[2].isPath:
		listen(&fields[0], &fields[1])
		f.connectPath = fields[2].text
	case n == 3:
		listen(nil, &fields[0])
		connect(&fields[1], &fields[2])
	default:
		listen(&fields[0], &fields[1])
		connect(&fields[2], &fields[3])
	}
	return f, n
}

func portOrBad(s string) int {
	n, err := parsePort(s)
	if err != nil {
		return -1
	}
	return n
}

// maxSocketPath is the size of sun_path on Linux, in bytes.
const maxSocketPath = 108

func (f *forward) valid(n int, dynamic, remote bool) bool {
	switch {
	case dynamic && n > 2:
		return false
	case !dynamic && n < 3 && f.connectPath == "" && f.listenPath == "":
		return false
	case !dynamic && f.connectPort <= 0 && f.connectPath == "":
		return false
	case f.listenPath == "" && (f.listenPort < 0 || !remote && f.listenPort == 0):
		return false
	}
	return len(f.connectPath) < maxSocketPath && len(f.listenPath) < maxSocketPath
}
