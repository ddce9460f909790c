package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// A Notice says that a value of the configuration has no effect. It is for people.
type Notice struct {
	Keyword string // in lower case
	Text    string // names the line
}

// reports are the keywords of class Reported that need no more than a look at their value.
var reports = []struct {
	op       op
	name     string
	harmless []string // values that ask for nothing
	why      string
}{
	{opCheckHostIP, "CheckHostIP", []string{"no"}, "host keys are looked up by the host's name alone"},
	{opVerifyHostKeyDNS, "VerifyHostKeyDNS", []string{"false"}, "host keys are looked up in known_hosts alone"},
	{opGSSAPITrustDNS, "GSSAPITrustDNS", []string{"no"}, "Kerberos looks up host names as krb5.conf says"},
	{opChannelTimeout, "ChannelTimeout", []string{"none"}, "see --command-timeout"},
}

// Notices returns what the configuration asks for and does not get: the keywords of class
// Reported with a value that would make a difference for this host.
func (r *Resolved) Notices() []Notice {
	var list []Notice
	say := func(o op, name, value, why string) {
		keyword := r.config.name(o)
		setting := strings.TrimSpace(fmt.Sprintf("%s %.80s", name, value))
		list = append(list, Notice{keyword, fmt.Sprintf("%s (%v) has no effect: %s", setting, r.Why(keyword), why)})
	}
	for _, k := range reports {
		if value := r.text(k.op); value != "" && !slices.Contains(k.harmless, strings.ToLower(value)) {
			say(k.op, k.name, asWritten(value), k.why)
		}
	}
	if r.flag(opNoHostAuthenticationForLocalhost, false) && isLoopback(r.HostName) {
		say(opNoHostAuthenticationForLocalhost, "NoHostAuthenticationForLocalhost", "yes", "this machine's host key is checked like all others")
	}
	if r.flag(opPermitLocalCommand, false) && r.textNotNone(opLocalCommand) != "" {
		say(opLocalCommand, "LocalCommand", "", "no command is run here")
	}
	if len(r.values.remote) > 0 && !r.flag(opClearAllForwardings, false) {
		say(opRemoteForward, "RemoteForward", "", "no port is forwarded")
	}
	return list
}

// Trust returns those of Notices that are about the host's key, for a jump host: no command runs
// there, and ssh opens nothing else on it either.
func (r *Resolved) Trust() []Notice {
	return slices.DeleteFunc(r.Notices(), func(n Notice) bool { return !slices.Contains(aboutTrust, n.Keyword) })
}

var aboutTrust = []string{"checkhostip", "verifyhostkeydns", "nohostauthenticationforlocalhost"}

// Unused returns the settings for this host that ssh would honour and that are no use to whoever runs
// commands on many hosts: the keywords of class WithoutEffect with a value that is not the default. They
// are for those who ask.
func (r *Resolved) Unused() []Notice {
	var list []Notice
	say := func(o op, value string, s *setting) {
		keyword := r.config.name(o)
		list = append(list, Notice{keyword, fmt.Sprintf("%s (%v)", strings.TrimSpace(fmt.Sprintf("%s %.80s", keyword, value)), *s.source)})
	}
	for i := range keywordTable {
		k := &keywordTable[i]
		s := r.values.first[k.op]
		standard := k.standard
		if k.op == opGSSAPIKeyExchange { // which only some ssh have, and print
			standard = "no"
		}
		if k.class != WithoutEffect || k.op == opClearAllForwardings || s == nil || strings.EqualFold(s.text, standard) {
			continue
		}
		say(k.op, asWritten(s.text), s)
	}
	if r.flag(opClearAllForwardings, false) {
		return list
	}
	for _, f := range []struct {
		op    op
		socks bool
	}{{opDynamicForward, true}, {opLocalForward, false}} {
		if i := slices.IndexFunc(r.values.local, func(s *setting) bool { return s.value.(forward).socks == f.socks }); i >= 0 {
			say(f.op, "", r.values.local[i])
		}
	}
	return list
}

// asWritten returns the usual word for a value.
func asWritten(value string) string {
	if value == "true" {
		return "yes"
	}
	return value
}

// isLoopback reports whether a name or address is this machine's loopback interface. Other
// names are not looked up.
func isLoopback(name string) bool {
	if address, err := netip.ParseAddr(name); err == nil {
		return address.Unmap().IsLoopback()
	}
	return strings.EqualFold(name, "localhost")
}
