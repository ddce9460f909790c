package config

import (
	"fmt"
	"strings"

	"shoal/internal/hint"
)

// A refusal is a keyword that is not honoured, although the security of a connection or what
// runs on the host depends on it.
type refusal struct {
	op op
	// harmless is the value that requests nothing.
	harmless string
	// why says what would be lost.
	why string
}

var refusals = []refusal{
	{opKnownHostsCommand, "none", "commands are not asked for host keys"},
	{opPKCS11Provider, "none", "PKCS#11 libraries are not loaded; their keys are used through an agent"},
	{opRemoteCommand, "none", "the command to run is given with each run"},
	{opSessionType, "default", "each host runs a command"},
}

// refused returns an error for a keyword that is not honoured and matters, and for a connection
// that the configuration itself refuses (RefuseConnection).
func (r *Resolved) refused() error {
	if s := r.values.first[opRefuseConnection]; s != nil {
		return r.problem(opRefuseConnection, fmt.Errorf("the configuration refuses it: %.200q", s.text))
	}
	for i := range refusals {
		f := &refusals[i]
		if text := r.text(f.op); text != "" && !strings.EqualFold(text, f.harmless) {
			return r.problem(f.op, notHonoured(f.why, r.config.name(f.op)+"="+f.harmless))
		}
	}
	if r.ProxyCommand != "" && r.flag(opProxyUseFdpass, false) {
		const why = "a ProxyCommand is talked to by its input and output"
		return r.problem(opProxyUseFdpass, notHonoured(why, "proxyusefdpass=no"))
	}
	return nil
}

func notHonoured(why, option string) error {
	if option == "sessiontype=default" || option == "remotecommand=none" {
		return hint.New("not honoured: "+why, "-o "+option+" for this run")
	}
	return hint.New("not honoured: "+why, "-o "+option+" does without it; -F none leaves the files out")
}
