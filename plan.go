package shoal

import (
	"context"
	"fmt"
	"iter"
	"os"

	"shoal/fleet"
	"shoal/internal/placeholder"
	"shoal/internal/plan"
	"shoal/internal/ssh/auth"
	"shoal/internal/ssh/hostkeys"
)

// Planner reads ssh_config and returns a planner, which resolves how each target is
// reached.
func (o Options) Planner() (*plan.Planner, error) {
	config, err := plan.Load(plan.Config{
		File: o.SSHConfig, Set: o.SSHOptions, ExecTimeout: o.ExecTimeout,
		Waiting: func(command string) {
			o.notice(fmt.Sprintf("waiting for the command of Match exec: %.200q", command))
		},
	})
	if err != nil {
		return nil, fmt.Errorf("reading ssh_config: %w", err)
	}
	home, _ := os.UserHomeDir() // without a home directory, ~ is not expanded
	return plan.New(plan.Options{
		Config:     config,
		Entry:      o.Entry,
		User:       o.User,
		Port:       o.Port,
		Jump:       o.Jump,
		Identities: o.Identities,
		Agent:      o.Agent,
		KnownHosts: o.KnownHosts,
		Policy:     o.HostKeys,
		Plain:      o.Client == ClientStandard,
		Home:       home,
		Notice:     o.Notice,
	})
}

// Plan returns the targets with user, port, route and command filled in. A target
// that cannot be tried has the reason in Route.Err.
func (o Options) Plan(ctx context.Context, targets iter.Seq[Target], template *placeholder.Template) (iter.Seq[Target], error) {
	planner, err := o.Planner()
	if err != nil {
		return nil, err
	}
	return func(yield func(Target) bool) {
		for t := range targets {
			t = planner.Target(ctx, t)
			t.Command = template.Expand(t)
			if err := template.Check(t); err != nil && t.Route.Err == nil {
				t.Route = &fleet.Route{Err: err}
			}
			if !yield(t) {
				return
			}
		}
	}, nil
}

// prepare asks for every passphrase that Preview's targets need and opens their
// known_hosts files, so that no prompt or missing file interrupts the run.
func (o Options) prepare(ctx context.Context, keys *hostkeys.Router, keyring *auth.Keyring) error {
	if err := o.checkNamed(ctx, keyring); err != nil {
		return err
	}
	if o.Preview == nil {
		return nil
	}
	planner, err := o.Planner()
	if err != nil {
		return err
	}
	seen := make(map[*fleet.Route]bool)
	var wants []auth.KeySpec
	for t := range o.Preview {
		for t := planner.Target(ctx, t); t.Route.Err == nil && !seen[t.Route]; t = *t.Route.Via {
			seen[t.Route] = true
			want, err := plan.Want(t)
			if err != nil {
				return err
			}
			wants = append(wants, want)
			if _, err := keys.Store(t); err != nil {
				return fmt.Errorf("reading known_hosts: %w", err)
			}
			if t.Route.Via == nil {
				break
			}
		}
	}
	return keyring.Prepare(ctx, func(yield func(auth.KeySpec) bool) {
		for _, w := range wants {
			if !yield(w) {
				return
			}
		}
	})
}

// checkNamed returns an error if a key file or known_hosts file named in Options is
// unusable.
func (o Options) checkNamed(ctx context.Context, keyring *auth.Keyring) error {
	if len(o.Identities) > 0 {
		set, err := keyring.Set(ctx, auth.KeySpec{Files: o.Identities, AgentSocket: o.agentSocket()})
		if err == nil {
			err = set.Unusable()
		}
		if err != nil {
			return fmt.Errorf("loading identities: %w", err)
		}
	}
	if o.KnownHosts != nil {
		if _, err := hostkeys.Open(hostkeys.Options{Files: o.KnownHosts}); err != nil {
			return fmt.Errorf("reading known_hosts: %w", err)
		}
	}
	return nil
}

// agentSocket returns the agent's socket without regard to ssh_config.
func (o Options) agentSocket() string {
	switch o.Agent {
	case "":
		return os.Getenv("SSH_AUTH_SOCK")
	case NoAgent:
		return ""
	}
	return o.Agent
}
