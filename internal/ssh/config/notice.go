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
