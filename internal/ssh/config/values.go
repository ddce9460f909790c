package config

import (
	"fmt"
	"slices"
	"strings"
)

// values are what one host has been given so far.
type values struct {
	first [numOps]*setting // of keywords whose first value wins

	// Of keywords whose values add up.
	identities, certificates, sendEnv, local, remote []*setting
}

// The limits of readconf.h.
const (
	maxIdentities   = 100
	maxCertificates = 100
)

// actsAlways says that a keyword takes effect on hosts that its line is not for,
// a slip of readconf.c that does no harm.
func (o op) actsAlways() bool { return o == opSyslogFacility || o == opStreamLocalBindMask }

// apply takes a line's value into account.
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

// jumps are the hosts of ProxyJump; none when it is not set or "none".
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

// addEnv adds a pattern of variables, or with '-' takes away those it fits.
func (v *values) addEnv(s *setting) {
	pattern, remove := strings.CutPrefix(s.text, "-")
	if !remove {
		v.sendEnv = append(v.sendEnv, s)
		return
	}
	v.sendEnv = slices.DeleteFunc(v.sendEnv, func(o *setting) bool { return matchPattern(o.text, pattern) })
}
