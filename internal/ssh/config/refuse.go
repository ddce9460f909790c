package config

import (
	"fmt"
	"slices"
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
	{opRemoteCommand, "none", "the command to run is given with each run"},
	{opSessionType, "default", "each host runs a command"},
}

// refused returns an error for a keyword that is not honoured and matters, and for a connection
// that the configuration itself refuses (RefuseConnection). With program the system's ssh can
// be used.
func (r *Resolved) refused(program bool) error {
	if s := r.values.first[opRefuseConnection]; s != nil {
		return r.problem(opRefuseConnection, fmt.Errorf("the configuration refuses it: %.200q", s.text))
	}
	if r.ProxyCommand != "" && r.flag(opProxyUseFdpass, false) {
		const why = "a ProxyCommand is talked to by its input and output"
		return r.problem(opProxyUseFdpass, notHonoured(why, "proxyusefdpass=no"))
	}
	list := refusals // last, because refusedAsHop passes over them
	if !program {
		list = slices.Concat(onlyProgram, refusals)
	}
	for i := range list {
		f := &list[i]
		if text := r.text(f.op); text != "" && !strings.EqualFold(text, f.harmless) {
			return r.problem(f.op, notHonoured(f.why, r.config.name(f.op)+"="+f.harmless))
		}
	}
	return nil
}

func notHonoured(why, option string) error {
	if option == "sessiontype=default" || option == "remotecommand=none" {
		return hint.New("not honoured: "+why, "-o "+option+" for this run")
	}
	return hint.New("not honoured: "+why, "-o "+option+" does without it; -F none leaves the files out")
}
