package config

import (
	"fmt"
	"slices"
	"strings"
)

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
	v.sendEnv = slices.DeleteFunc(v.sendEnv, func(o *setting) bool { return matchPattern(o.text, pattern) })
}
