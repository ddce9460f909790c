package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The readers of this file are for keywords with their own syntax and no effect: they refuse
// the values that ssh refuses and store the others as ssh -G prints them.

func readAddKeys(l *line) error {
	arg, err := l.need()
	if err != nil {
		return err
	}
	lifetime, more := l.next()
	word, known := addKeys.canonical(arg)
	switch {
	case known && !more:
		l.set(l.op, word)
		return nil
	case !known && !more:
		lifetime, word = arg, ""
	case word != "confirm":
		return fmt.Errorf("%.80q takes no lifetime", arg)
	}
	secs, err := parseTime(lifetime)
	if err != nil {
		return err
	}
	switch {
	case secs == 0 && word == "":
		word = "true"
	case secs > 0:
		word = strings.TrimSpace(word + " " + strconv.FormatInt(secs, 10))
	}
	l.set(l.op, word)
	return nil
}

func readControlPersist(l *line) error {
	arg, err := l.need()
	if err != nil {
		return err
	}
	switch arg {
	case "no", "false":
		l.set(l.op, "no")
		return nil
	case "yes", "true":
		l.set(l.op, "yes")
		return nil
	}
	secs, err := parseTime(arg)
	if err != nil {
		return err
	}
	text := "yes"
	if secs > 0 {
		text = strconv.FormatInt(secs, 10)
	}
	l.set(l.op, text)
	return nil
}

func readEscapeChar(l *line) error {
	arg, err := l.need()
	if err != nil {
		return err
	}
	var c byte
	switch {
	case arg == "none":
		l.set(l.op, arg)
		return nil
	case len(arg) == 1:
		c = arg[0]
	case len(arg) == 2 && arg[0] == '^' && arg[1] >= 64 && arg[1] < 128:
		c = arg[1] & 31
	default:
		return fmt.Errorf("bad escape character %.80q", arg)
	}
	l.set(l.op, visible(c))
	return nil
}

// visible encodes a byte as vis(3) does.
func visible(c byte) string {
	switch {
	case c == '\\':
		return `\\`
	case c == ' ':
		return `\040`
	case c < ' ' || c == 0x7f:
		return `\^` + string(rune(c^0x40))
	}
	return string(rune(c))
}

// maxTunnel is SSH_TUNID_MAX of misc.h.
const maxTunnel = 0x7fffffff - 2

func readTunnelDevice(l *line) error {
	arg, err := l.need()
	if err != nil {
		return err
	}
	local, remote, both := strings.Cut(arg, ":")
	if !both {
		remote = "any"
	}
	for _, side := range []*string{&local, &remote} {
		if strings.EqualFold(*side, "any") {
			*side = "any"
			continue
		}
		n, err := strconv.ParseUint(*side, 10, 31)
		if err != nil || n > maxTunnel {
			return fmt.Errorf("bad tunnel device %.80q", arg)
		}
		*side = strconv.FormatUint(n, 10)
	}
	l.set(l.op, local+":"+remote)
	return nil
}

// ipqos are the names of DSCP and TOS values (misc.c). Of names for the same value, ssh -G
// prints the first.
var ipqos = []struct {
	name  string
	value int64
}{
	{"af11", 0x28},
	{"af12", 0x30},
	{"af13", 0x38},
	{"af21", 0x48},
	{"af22", 0x50},
	{"af23", 0x58},
	{"af31", 0x68},
	{"af32", 0x70},
	{"af33", 0x78},
	{"af41", 0x88},
	{"af42", 0x90},
	{"af43", 0x98},
	{"cs0", 0x00},
	{"cs1", 0x20},
	{"cs2", 0x40},
	{"cs3", 0x60},
	{"cs4", 0x80},
	{"cs5", 0xa0},
	{"cs6", 0xc0},
	{"cs7", 0xe0},
	{"ef", 0xb8},
	{"le", 0x01},
	{"va", 0xb0},
	{"lowdelay", 0x10},
	{"throughput", 0x08},
	{"reliability", 0x04},
}

func readIPQoS(l *line) error {
	first, err := l.need()
	if err != nil {
		return err
	}
	second, more := l.next()
	if !more {
		second = first
	}
	var names []string
	for _, arg := range []string{first, second} {
		name, err := qosName(arg)
		if err != nil {
			return err
		}
		names = append(names, name)
	}
	l.set(l.op, strings.Join(names, " "))
	return nil
}

func qosName(s string) (string, error) {
	for _, q := range ipqos {
		if strings.EqualFold(q.name, s) {
			return q.name, nil
		}
	}
	if strings.EqualFold(s, "none") {
		return "none", nil
	}
	n, err := strconv.ParseInt(s, 0, 16)
	if err != nil || n < 0 || n > 255 {
		return "", fmt.Errorf("bad value %.80q", s)
	}
	for _, q := range ipqos {
		if q.value == n {
			return q.name, nil
		}
	}
	return fmt.Sprintf("0x%02x", n), nil
}

func readBindMask(l *line) error {
	arg, err := l.need()
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(arg, 8, 9)
	if err != nil {
		return fmt.Errorf("bad mask %.80q", arg)
	}
	l.set(l.op, fmt.Sprintf("0%o", n))
	return nil
}

func readPermitOpen(l *line) error {
	words := l.args
	l.args = nil
	if len(words) == 0 || words[0] == "" {
		return errMissing
	}
	if words[0] == "any" || words[0] == "none" {
		if len(words) > 1 {
			return fmt.Errorf("extra argument %.80q at the end of the line", words[1])
		}
		return l.setWords(words)
	}
	for _, w := range words {
		host, port, err := cutHostPort(w)
		if err != nil || host == "" {
			return fmt.Errorf("%.80q is not host:port", w)
		}
		if n, err := parsePort(port); port != "*" && (err != nil || n == 0) {
			return fmt.Errorf("bad port in %.80q", w)
		}
	}
	return l.setWords(words)
}

// AuthMethods returns the methods to try of publickey, password and keyboard-interactive, in the
// order of trying; nil if the configuration says nothing about them. It is an error if none is
// left. Methods that are not offered here, such as gssapi-with-mic, are left out.
//
// A password is sent at most once, so that NumberOfPasswordPrompts matters only if it is 0.
func (r *Resolved) AuthMethods() ([]string, error) {
	order := []string{"publickey", "password", "keyboard-interactive"}
	if r.PreferredAuthentications != nil {
		order = r.PreferredAuthentications
	}
	asks := !r.BatchMode && r.NumberOfPasswordPrompts > 0
	allowed := map[string]bool{
		"publickey":            r.PubkeyAuthentication,
		"password":             r.PasswordAuthentication && asks,
		"keyboard-interactive": r.KbdInteractiveAuthentication && asks,
	}
	methods := []string{}
	for _, m := range order {
		if allowed[m] && !slices.Contains(methods, m) {
			methods = append(methods, m)
		}
	}
	switch {
	case len(methods) == 0 && r.PreferredAuthentications != nil:
		return nil, r.problem(opPreferredAuthentications, fmt.Errorf("no method is left that is offered here"))
	case len(methods) == 0:
		return nil, r.problem(opPubkeyAuthentication, fmt.Errorf("no authentication method is left"))
	case len(methods) == len(order) && r.PreferredAuthentications == nil:
		return nil, nil
	}
	return methods, nil
}
