package config

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"shoal/internal/ssh/match"
)

func readNothing(l *line) error {
	l.args = nil
	return nil
}

// readFirst keeps the first word of a keyword of which not every ssh checks the values.
func readFirst(l *line) error {
	word, _ := l.next()
	l.args = nil
	l.set(l.op, word)
	return nil
}

func readText(l *line) error {
	arg, err := l.need()
	if err != nil {
		return err
	}
	l.set(l.op, arg)
	return nil
}

// readCommand reads the rest of the line as written, including quotes and comment signs.
func readCommand(l *line) error {
	l.args = nil
	l.set(l.op, strings.TrimLeft(l.rest, whitespace+"="))
	return nil
}

func readInt(l *line) error {
	arg, err := l.need()
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(arg, 10, 32)
	if err != nil || n < 0 {
		return fmt.Errorf("%.80q is not a number from 0 to %d", arg, math.MaxInt32)
	}
	l.set(l.op, strconv.FormatInt(n, 10)).num = n
	return nil
}

func readPort(l *line) error {
	arg, err := l.need()
	if err != nil {
		return err
	}
	port, err := parsePort(arg)
	if err != nil || port == 0 {
		return fmt.Errorf("bad port %.80q", arg)
	}
	l.set(l.op, strconv.Itoa(port)).num = int64(port)
	return nil
}

// An enum is the words that a keyword accepts, case-insensitive. Of words for the same value,
// ssh -G prints the first.
type enum [][]string

var (
	flags           = enum{{"yes", "true"}, {"no", "false"}}
	yesNo           = enum{{"yes"}, {"no"}}
	yesNoAsk        = enum{{"true", "yes"}, {"false", "no"}, {"ask"}}
	addKeys         = enum{{"true", "yes"}, {"false", "no"}, {"ask"}, {"confirm"}}
	strictness      = enum{{"true", "yes"}, {"false", "no", "off"}, {"ask"}, {"accept-new"}}
	addressFamilies = enum{{"inet"}, {"inet6"}, {"any"}}
	controlMaster   = enum{{"true", "yes"}, {"false", "no"}, {"auto"}, {"ask"}, {"autoask"}}
	tunnels         = enum{{"ethernet"}, {"point-to-point", "true", "yes"}, {"false", "no"}}
	requestTTY      = enum{{"true", "yes"}, {"false", "no"}, {"force"}, {"auto"}}
	sessionTypes    = enum{{"none"}, {"subsystem"}, {"default"}}
	canonicalize    = enum{{"true", "yes"}, {"false", "no"}, {"always"}}
	pubkeyAuth      = enum{{"true", "yes"}, {"false", "no"}, {"unbound"}, {"host-bound"}}
	digests         = enum{{"MD5"}, {"SHA1"}, {"SHA256"}, {"SHA384"}, {"SHA512"}}
	logLevels       = enum{{"SILENT", "QUIET"}, {"FATAL"}, {"ERROR"}, {"INFO"}, {"VERBOSE"}, {"DEBUG", "DEBUG1"}, {"DEBUG2"}, {"DEBUG3"}}
	facilities      = enum{
		{"DAEMON"},
		{"USER"},
		{"AUTH"},
		{"AUTHPRIV"},
		{"LOCAL0"},
		{"LOCAL1"},
		{"LOCAL2"},
		{"LOCAL3"},
		{"LOCAL4"},
		{"LOCAL5"},
		{"LOCAL6"},
		{"LOCAL7"},
	}
)

var errMissing = errors.New("missing argument")

// canonical returns the word that ssh -G prints for s.
func (e enum) canonical(s string) (string, bool) {
	for _, words := range e {
		for _, word := range words {
			if strings.EqualFold(word, s) {
				return words[0], true
			}
		}
	}
	return "", false
}

func (e enum) list() string {
	var all []string
	for _, words := range e {
		all = append(all, words...)
	}
	return strings.Join(all, ", ")
}

func readEnum(e enum) func(*line) error {
	return func(l *line) error {
		arg, err := l.need()
		if err != nil {
			return err
		}
		word, ok := e.canonical(arg)
		if !ok {
			return fmt.Errorf("%.80q is none of %s", arg, e.list())
		}
		l.set(l.op, word)
		return nil
	}
}

// values are the settings found so far for one host.
type values struct {
	first [numOps]*setting // for keywords whose first value wins

	// For keywords whose values accumulate.
	identities, certificates, sendEnv, local, remote []*setting
}

// The limits of readconf.h.
const (
	maxIdentities   = 100
	maxCertificates = 100
)

// actsAlways reports whether a keyword takes effect even where its line does not apply: a
// harmless bug of readconf.c.
func (o op) actsAlways() bool { return o == opSyslogFacility || o == opStreamLocalBindMask }

// apply applies a line's value.
func (v *values) apply(s *setting, active bool) error {
	if !active && !s.op.actsAlways() {
		return nil
	}
	switch s.op {
	case opIdentityFile:
		return addFile(&v.identities, s, "identityfile", maxIdentities)
	case opCertificateFile:
		return addFile(&v.certificates, s, "certificatefile", maxCertificates)
	case opSendEnv:
		v.addEnv(s)
	case opLocalForward:
		addForward(&v.local, s)
	case opRemoteForward:
		addForward(&v.remote, s)
	case opStreamLocalBindMask:
		v.first[s.op] = s // the last value wins
	case opProxyCommand:
		if v.first[s.op] == nil && len(v.jumps()) == 0 {
			v.first[s.op] = s
		}
	case opProxyJump:
		if v.first[s.op] == nil && v.first[opProxyCommand] == nil {
			v.first[s.op] = s
		}
	default:
		if v.first[s.op] == nil {
			v.first[s.op] = s
		}
	}
	return nil
}

// jumps returns the hosts of ProxyJump; none if it is not set or "none".
func (v *values) jumps() []Jump {
	if s := v.first[opProxyJump]; s != nil {
		return s.value.(*jumpList).jumps
	}
	return nil
}

func addFile(list *[]*setting, s *setting, keyword string, limit int) error {
	same := func(o *setting) bool { return o.text == s.text && o.user == s.user }
	if len(*list) >= limit {
		return &Problem{*s.source, keyword, fmt.Errorf("more than %d files for one host", limit)}
	}
	if !slices.ContainsFunc(*list, same) {
		*list = append(*list, s)
	}
	return nil
}

func addForward(list *[]*setting, s *setting) {
	if !slices.ContainsFunc(*list, func(o *setting) bool { return o.value == s.value }) {
		*list = append(*list, s)
	}
}

// addEnv adds a pattern of variables, or with '-' removes the patterns that it matches.
func (v *values) addEnv(s *setting) {
	pattern, remove := strings.CutPrefix(s.text, "-")
	if !remove {
		v.sendEnv = append(v.sendEnv, s)
		return
	}
	v.sendEnv = slices.DeleteFunc(v.sendEnv, func(o *setting) bool { return match.Pattern(o.text, pattern) })
}
