package connect

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"os"

	"shoal/fleet"
	"shoal/internal/clock"
	"shoal/internal/engine"
	"shoal/internal/placeholder"
	"shoal/internal/plan"
	"shoal/internal/ssh"
	"shoal/internal/ssh/config"
	"shoal/internal/ssh/openssh"
)

// ReadConfig reads ssh_config, the first time that it is called.
func (o *Options) ReadConfig() (*config.Config, error) {
	if o.config != nil {
		return o.config, nil
	}
	c, err := plan.Load(plan.Config{
		File: o.SSHConfig, Set: o.SSHOptions, ExecTimeout: o.ExecTimeout,
		Waiting: func(command string) {
			o.notice(fmt.Sprintf("waiting for the command of Match exec: %.200q", command))
		},
	})
	if err != nil {
		return nil, err // it says what was being read
	}
	o.config = c
	return c, nil
}

// Planner returns a planner, which resolves how each target is reached. It reads
// ssh_config if ReadConfig has not.
func (o *Options) Planner() (*plan.Planner, error) {
	config, err := o.ReadConfig()
	if err != nil {
		return nil, err
	}
	home, _ := os.UserHomeDir() // without a home directory, ~ is not expanded
	return plan.New(plan.Options{
		Config:     config,
		Entry:      o.Entry,
		Pool:       o.Pool,
		User:       o.User,
		Port:       o.Port,
		Jump:       o.Jump,
		Identities: o.Identities,
		Agent:      o.Agent,
		KnownHosts: o.KnownHosts,
		Policy:     o.HostKeys,
		Plain:      o.Client == ClientStandard,
		Program:    o.program(),
		PTY:        o.PTY,

		ForwardAgent: o.ForwardAgent,
		Home:         home,
		Notice:       o.Engine.Notice,
		Verbose:      o.Engine.Verbose,
	})
}

// Bounded returns Engine with a fanout for which this machine can run enough processes of ssh.
func (o *Options) Bounded() engine.Options {
	e := o.Engine
	if o.Client == ClientSSH && e.Dialer == nil {
		e.Fanout = min(cmp.Or(e.Fanout, engine.DefaultFanout().Fanout), openssh.Processes())
	}
	return e
}

// program returns what the client makes of the system's ssh.
func (o *Options) program() plan.Program {
	switch {
	case o.Engine.Dialer != nil || o.Client == ClientStandard:
		return plan.NoProgram
	case o.Client == ClientSSH:
		return plan.ProgramForAll
	}
	return plan.ProgramAtNeed
}

// A Plan is the targets of a run, each resolved once, and the connections to them. It
// keeps little for each target: those that are reached alike share what is known of the
// way. Its methods must not be called at the same time, except Planned.
type Plan struct {
	opts  Options
	plan  *plan.Plan
	clock *clock.Clock // closed with the plan; nil: it is the caller's
	open  *connections // nil: not opened
}

// Plan resolves how each target is reached and fills in User, Port, Route and Command;
// the command of a nil template is the one that the target has. The targets must be the
// same each time that they are iterated. Call Close after the last run.
func (o *Options) Plan(ctx context.Context, targets iter.Seq[fleet.Target], template *placeholder.Template) (*Plan, error) {
	planner, err := o.Planner()
	if err != nil {
		return nil, err
	}
	resolved, err := planner.Plan(ctx, targets, commandOf(template))
	if err != nil {
		return nil, err
	}
	p := &Plan{opts: *o, plan: resolved}
	p.opts.Engine = o.Bounded()
	switch {
	case o.Hold != nil:
		p.opts.Engine.Clock = o.Hold.clock
	case o.Engine.Clock == nil:
		p.clock = clock.New()
		p.opts.Engine.Clock = p.clock
	}
	return p, nil
}

func commandOf(template *placeholder.Template) plan.Command {
	if template == nil {
		return nil
	}
	return template
}

// Targets returns the planned targets, as often as wanted.
func (p *Plan) Targets() iter.Seq[ssh.Target] { return p.plan.Targets() }

// Same returns an error if the targets are others now than those that were resolved.
func (p *Plan) Same() error { return p.plan.Same() }

// Recorded returns the planned targets without what only connecting needs.
func (p *Plan) Recorded() iter.Seq[fleet.Target] { return p.plan.Recorded() }

// Len returns the number of targets.
func (p *Plan) Len() int { return p.plan.Len() }

// Planned returns t, which is one of the plan's targets by its Index, with the endpoint.
func (p *Plan) Planned(t fleet.Target) ssh.Target { return p.plan.Of(t) }

// Clock returns the clock of the plan's runs.
func (p *Plan) Clock() *clock.Clock { return p.opts.Engine.Clock }

// Open reads the files that the targets need and asks for the passphrases of their
// keys, so that no prompt or missing file interrupts a run. It returns the Dialer of
// the plan's targets.
func (p *Plan) Open(ctx context.Context) (ssh.Dialer, error) {
	if p.open == nil {
		open, err := p.opts.connect(ctx, p.plan.Endpoints())
		if err != nil {
			return nil, err
		}
		p.open = open
	}
	return p.open.dialer, nil
}

// OpenJumps is Open for a caller that connects to the targets with a client of its own:
// the Dialer is for the jump hosts only. It returns nil if there are none.
func (p *Plan) OpenJumps(ctx context.Context) (ssh.Dialer, error) {
	for range p.plan.Jumps() {
		o := p.opts
		o.Client = ClientBest // the only client that carries streams
		open, err := o.connect(ctx, p.plan.Jumps())
		if err != nil {
			return nil, err
		}
		p.open = open
		return open.dialer, nil
	}
	return nil, nil
}

// Close closes the connections to jump hosts and to agents, and writes the host cache. If
// Options.Hold or the Engine's Clock was set, Open and Engine may follow it: they read known_hosts
// again.
func (p *Plan) Close() {
	if p.open != nil {
		p.open.close()
		p.open = nil
	}
	if p.clock != nil {
		p.clock.Close()
	}
}

// Engine opens what connecting needs, as Open does, and returns the settings of the
// fan-out with the plan's Dialer and Clock.
func (p *Plan) Engine(ctx context.Context) (engine.Options, error) {
	d, err := p.Open(ctx)
	o := p.opts.Engine
	o.Dialer = d
	return o, err
}
