package run

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"shoal/internal/cli/console"
	"shoal/internal/cli/flags"
	"shoal/internal/connect"
	"shoal/internal/hint"
	"shoal/internal/ssh/auth"
)

// agentFlags are the flags that forward an SSH agent.
type agentFlags struct {
	forward string // "config", or a value of ForwardAgent in ssh_config; "": the command has no such flags
	limit   int
	confirm bool
}

func (f *agentFlags) register(g flags.FlagGroup) {
	g.StringVar(&f.forward, "forward-agent", "config", "let programs on every host use our SSH agent: `yes`, no, or its socket, as ForwardAgent of ssh_config, which counts otherwise; never for hosts that this run learns")
	g.Lookup("forward-agent").NoOptDefVal = "yes"
	g.IntVar(&f.limit, "forward-agent-limit", auth.DefaultSignatures, "let a host have at most `N` signatures of the agent")
	g.BoolVar(&f.confirm, "forward-agent-confirm", false, "ask before each of these signatures, by the program in $SSH_ASKPASS")
}

// given reports whether one of the flags was given.
func (f *agentFlags) given() bool {
	return f.forward != "" && (f.forward != "config" || f.confirm || f.limit != auth.DefaultSignatures)
}

// forAll reports whether the agent is forwarded to all hosts.
func (f *agentFlags) forAll() bool {
	return f.forward != "" && f.forward != "config" && f.forward != "no"
}

// validate returns an error for values that are wrong or have no effect. noAgent is --no-agent.
func (f *agentFlags) validate(detach, noAgent bool) error {
	switch {
	case f.forward == "":
		return nil
	case f.forAll() && detach:
		return hint.New("--detach lets go of the command, so that no agent can be forwarded to it", "leave out one of them")
	case f.forward == "yes" && noAgent:
		return hint.New("--no-agent and --forward-agent cannot go together", "--forward-agent=SOCKET forwards another agent")
	case f.forAll() && f.forward != "yes" && !filepath.IsAbs(f.forward) && !strings.HasPrefix(f.forward, "$"):
		return hint.New(fmt.Sprintf("--forward-agent=%.80q is no yes, no, path from / on or variable", f.forward),
			"the value stands behind =, as in --forward-agent=/run/user/1000/agent")
	case f.limit < 1:
		return hint.New(fmt.Sprintf("--forward-agent-limit %d: at least one signature must be allowed", f.limit), "--forward-agent=no forwards none")
	case f.forward == "no" && (f.confirm || f.limit != auth.DefaultSignatures):
		return errors.New("--forward-agent=no forwards no agent, whose signatures --forward-agent-limit and --forward-agent-confirm are about")
	}
	return nil
}

// SetAgent sets which hosts may use an agent of ours, and how much. Files are copied without.
func (f *RemoteFlags) SetAgent(o *connect.Options) error {
	if f.Wrapper.Push != nil || f.Wrapper.Pull != nil || f.Wrapper.Detach {
		return nil
	}
	o.ForwardAgent, o.Forwarding.Signatures = f.agent.forward, f.agent.limit
	if name, ok := strings.CutPrefix(f.agent.forward, "$"); ok {
		if o.ForwardAgent = os.Getenv(name); !filepath.IsAbs(o.ForwardAgent) {
			return hint.New(fmt.Sprintf("--forward-agent=%.80q: the variable has no path", f.agent.forward), "start an agent, or name its socket")
		}
	}
	if f.agent.confirm {
		confirm, err := console.Confirmer()
		if err != nil {
			return err
		}
		o.Forwarding.Confirm = confirm
	}
	return nil
}
