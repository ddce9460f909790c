package config

import (
	"errors"
	"fmt"
	"strings"
)

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
