// Package plan resolves for each target how to connect: address, user, port, jump hosts,
// keys to offer, and known_hosts. It combines the command line, the inventory and
// ssh_config, in this order of precedence.
//
// Call [New] once for a run and [Planner.Plan] for its targets, or [Planner.Stream] for
// targets that are needed only once. The package resolves no names and opens no
// connections, except those that ssh_config requires (Match exec, CanonicalizeHostname).
//
// If ssh_config asks for something that shoal does not support and that matters for
// security, the target gets an Endpoint with an error and is not tried.
package plan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"shoal/fleet"
	"shoal/hosts"
	"shoal/internal/hint"
	"shoal/internal/ssh"
	"shoal/internal/ssh/algorithms"
	"shoal/internal/ssh/config"
)

// Options configure a Planner. They must not be changed after New.
type Options struct {
	// Config is the parsed ssh_config. Required; see Load.
	Config *config.Config
	// Entry returns what the inventory knows about a target. nil means nothing.
	Entry func(fleet.Target) hosts.Entry
	// Pool returns the pool of workers that run a target, to be recorded. nil means that there are
	// no workers.
	Pool func(fleet.Target) string
	// User and Port are used for targets that name none; they take precedence over
	// ssh_config.
	User string
	Port uint16
	// Jump are the jump hosts of all targets, in the form of ssh -J; "" means those of
	// ssh_config, "none" means none.
	Jump string
	// Identities are key files offered before all others.
	Identities []string
	// Agent is the agent's socket; "" means that of ssh_config, NoAgent means none.
	Agent string
	// KnownHosts are the known_hosts files; nil means those of ssh_config.
	KnownHosts []string
	// Policy is the policy for host keys of all targets and jump hosts. nil means that of
	// ssh_config, which does not apply -o to jump hosts.
	Policy *ssh.HostKeyPolicy
	// Plain is set if the client is package xcrypto, which knows no time of RekeyLimit.
	Plain bool
	// Program is what the client makes of the system's ssh.
	Program Program
	// PTY says which commands get a pseudo-terminal.
	PTY PTY
	// ForwardAgent says which hosts may use an agent of ours: "" none, with a notice where
	// ForwardAgent of ssh_config asks for one; "config" those for which it does; "no" none; all
	// others all hosts, with a value of ForwardAgent: "yes" or a socket, whose variables the
	// caller has replaced.
	ForwardAgent string
	// Home replaces ~ in the inventory's paths.
	Home string
	// Verbose is told how each target is reached, and what says so; see
	// ssh.Attempt.Verbose. nil disables it.
	Verbose func(t fleet.Target, line string)
	// Notice is called once for each message to the user. nil disables it.
	Notice func(string)
}

// A Program says whether targets are reached with the system's ssh. Jump hosts never are.
type Program uint8

// The values of Program.
const (
	NoProgram     Program = iota
	ProgramAtNeed         // where our own clients cannot
	ProgramForAll         // only with it
)

// A PTY says which commands get a pseudo-terminal.
type PTY uint8

// The values of PTY.
const (
	NoPTY           PTY = iota // a notice says where RequestTTY of ssh_config asks for one
	PTYAsConfigured            // where RequestTTY of ssh_config is yes or force
	PTYForAll
)

// NoAgent as Options.Agent means that no agent is used.
const NoAgent = "none"

// Config is how to read ssh_config.
type Config struct {
	File string   // as ssh -F takes it
	Set  []string // as ssh -o takes them
	// ExecTimeout bounds each command of Match exec; 0 means 10 s.
	ExecTimeout time.Duration
	// Waiting is called once, from another goroutine, if a command of Match exec runs for
	// longer than 2 s; nil disables it.
	Waiting func(command string)
}

// Load parses ssh_config with the algorithms that shoal supports.
func Load(c Config) (*config.Config, error) {
	var local config.Local
	if home, err := os.UserHomeDir(); err == nil {
		local.Home = home // $HOME, as everywhere in shoal
	}
	standard, legacy := algorithms.Default(), algorithms.Legacy()
	return config.Load(config.LoadOptions{
		File: c.File, Set: c.Set, Local: local, ExecTimeout: c.ExecTimeout, Waiting: c.Waiting,
		Algorithms: config.Algorithms{
			Kex:     list(standard.Kex, legacy.Kex),
			Ciphers: list(standard.Ciphers, legacy.Ciphers),
			MACs:    list(standard.MACs, legacy.MACs),
			HostKey: list(standard.HostKeys, legacy.HostKeys),
		},
	})
}

func list(standard, legacy []string) config.AlgorithmList {
	return config.AlgorithmList{Default: standard, Supported: slices.Concat(standard, legacy)}
}

// A Planner resolves targets. It is safe for concurrent use.
type Planner struct {
	opts     Options
	standard algorithms.Lists // of hosts for which ssh_config names none

	mu        sync.Mutex
	last      *ssh.Settings // of the target before
	settings  table[string, ssh.Settings]
	endpoints table[endpointKey, ssh.Endpoint]
	jumps     table[jumpKey, ssh.Target]
	told      map[string]bool
}

// New returns a Planner.
func New(o Options) (*Planner, error) {
	if o.Config == nil {
		return nil, errors.New("no ssh_config: Options.Config is nil")
	}
	if _, err := config.ParseJumps(o.Jump); o.Jump != "" && err != nil {
		return nil, fmt.Errorf("reading the jump hosts: %w", err)
	}
	return &Planner{
		opts: o, standard: algorithms.Default(), settings: make(table[string, ssh.Settings]), endpoints: make(table[endpointKey, ssh.Endpoint]),
		jumps: make(table[jumpKey, ssh.Target]), told: make(map[string]bool),
	}, nil
}

// Target returns t with User, Port, Route and endpoint. If t has a Route from an earlier
// run, its address, alias, jump hosts and proxy command are kept whatever ssh_config says
// now, and the rest is set.
func (p *Planner) Target(ctx context.Context, t fleet.Target) ssh.Target {
	planned, _ := p.Explained(ctx, t)
	return planned
}

// Explained also returns the settings of ssh_config for the target, for explaining them to
// people. They are nil if the target cannot be resolved.
func (p *Planner) Explained(ctx context.Context, t fleet.Target) (ssh.Target, *config.Resolved) {
	planned, why := p.explained(ctx, t)
	if p.opts.Verbose != nil {
		from := why
		if t.Route != nil && !t.Route.Unresolved {
			from = nil // an earlier run says so
		}
		p.opts.Verbose(planned.Target, wayOf(planned, from))
		if unused := p.unused(from); unused != "" {
			p.opts.Verbose(planned.Target, "no effect here, for this and other hosts: "+unused)
		}
	}
	return planned, why
}

// unused lists the settings of ssh_config that have no effect, each once; r may be nil.
func (p *Planner) unused(r *config.Resolved) string {
	if r == nil {
		return ""
	}
	var list []string
	for _, n := range r.Unused() {
		if p.first("unused: " + n.Text) {
			list = append(list, n.Text)
		}
	}
	return strings.Join(list, ", ")
}

func (p *Planner) explained(ctx context.Context, t fleet.Target) (ssh.Target, *config.Resolved) {
	var e hosts.Entry
	earlier := t.Route
	switch {
	case earlier != nil:
		e = hosts.Entry{Address: earlier.Listed, IdentityFile: earlier.KeyFile, SSHOptions: earlier.Options}
	case p.opts.Entry != nil:
		e = p.opts.Entry(t)
	}
	port := t.Port
	if earlier != nil && earlier.Unresolved && port == fleet.DefaultPort {
		port = 0 // what was recorded without asking ssh_config
	}
	hops, err := p.opts.Config.Route(ctx, cmp.Or(e.Address, t.Host.Name), config.Options{
		User:    cmp.Or(t.User, t.Host.User, p.opts.User),
		Port:    cmp.Or(port, t.Host.Port, p.opts.Port),
		Jump:    p.opts.Jump,
		Command: t.Command,
		Set:     e.SSHOptions,
		Program: p.opts.Program != NoProgram,
	})
	if err != nil {
		failed := &ssh.Endpoint{
			User: cmp.Or(t.User, t.Host.User, p.opts.User),
			Port: cmp.Or(port, t.Host.Port, p.opts.Port, fleet.DefaultPort),
			Err:  fmt.Errorf("ssh_config: %w", err),
		}
		if failed.Route = (fleet.Route{Listed: e.Address, KeyFile: e.IdentityFile, Options: e.SSHOptions, Unresolved: true}); earlier != nil {
			failed.Route = *earlier
		}
		return failed.Target(t), nil
	}
	var jump *ssh.Target
	last := len(hops) - 1
	for _, r := range hops[:last] {
		p.tellTrust(r)
		hop := p.endpoint(r, r.Host, hosts.Entry{}, jump, NoProgram).Target(fleet.Target{Host: fleet.Host{Name: r.Host}})
		jump = p.shareJump(hop)
	}
	for _, n := range hops[last].Notices() {
		p.tellOnce(n.Keyword, n.Text)
	}
	if p.opts.PTY == NoPTY && hops[last].RequestTTY {
		p.tellOnce("requesttty", fmt.Sprintf("RequestTTY (%v) has no effect: only commands without a standard input and a wrapper get a terminal",
			hops[last].Why("requesttty")))
	}
	if p.opts.ForwardAgent == "" && hops[last].ForwardAgent != "" {
		p.tellOnce("forwardagent", fmt.Sprintf("ForwardAgent (%v) has no effect: only commands of shoal run get an agent", hops[last].Why("forwardagent")))
	}
	planned := p.endpoint(hops[last], t.Host.Name, e, jump, p.opts.Program)
	if earlier != nil && !earlier.Unresolved {
		planned = p.keep(ctx, planned, earlier)
	}
	if pool := p.pool(t); pool != "" {
		made := *planned
		made.Pool = pool
		planned = p.shareEndpoint(&made)
	}
	return planned.Target(t), hops[last]
}

// pool returns the pool of workers that an earlier run or the inventory names.
func (p *Planner) pool(t fleet.Target) string {
	switch {
	case t.Route != nil && t.Route.Pool != "":
		return t.Route.Pool
	case p.opts.Pool == nil:
		return ""
	}
	return p.opts.Pool(t)
}

// endpoint returns the endpoint for the settings in r. name is the host's name for people.
func (p *Planner) endpoint(r *config.Resolved, name string, e hosts.Entry, jump *ssh.Target, program Program) *ssh.Endpoint {
	methods, noMethod := r.AuthMethods()
	made := &ssh.Endpoint{User: r.User, Port: r.Port, Jump: jump, Settings: p.settingsOf(r, e, methods, program)}
	made.Route = fleet.Route{HostKeyAlias: r.HostKeyAlias, Listed: e.Address, KeyFile: e.IdentityFile, Options: e.SSHOptions}
	if r.HostName != name {
		made.Address = r.HostName
	}
	if jump != nil {
		made.Via = &jump.Target
	} else {
		made.ProxyCommand, made.Err = r.ProxyArgv()
		made.Unresolved = made.Err != nil
	}
	if lacking := cmp.Or(noMethod, unusable(made.Settings)); program != ProgramForAll || len(made.Settings.Program.Methods) == 0 {
		if program == ProgramAtNeed && noMethod != nil && len(made.Settings.Program.Methods) > 0 {
			lacking = hint.Wrap(noMethod, "--client ssh offers "+strings.Join(made.Settings.Program.Methods, ", "))
		}
		made.Err = cmp.Or(made.Err, lacking)
	}
	return p.shareEndpoint(made)
}

// A Command is what is run, as a *placeholder.Template expands it for each target. nil
// keeps Target.Command.
type Command interface {
	Expand(t fleet.Target) string
	Check(t fleet.Target) error // why it must not be run on t
}

// check returns a resolved target, refused if the command must not be run on it, and
// whether it may be.
func check(c Command, t ssh.Target) (ssh.Target, bool) {
	err := c.Check(t.Target)
	if err == nil {
		return t, true
	}
	// What is recorded of the target must be nothing that a later run could send.
	if t.Command = ""; t.Err() == nil {
		t = Refuse(t, err)
	}
	return t, false
}

// expand sets the command of a resolved target.
func expand(c Command, t ssh.Target) ssh.Target {
	if c == nil {
		return t
	}
	t, may := check(c, t)
	if may {
		t.Command = c.Expand(t.Target)
	}
	return t
}

// Refuse returns t as a target that is not tried, because of err.
func Refuse(t ssh.Target, err error) ssh.Target {
	e := ssh.Endpoint{User: t.User, Port: t.Port, Err: err}
	if t.Route != nil {
		e.Route = *t.Route
	}
	return e.Target(t.Target)
}

// Stream returns the targets as they are resolved, one after the other. It keeps none.
func (p *Planner) Stream(ctx context.Context, targets iter.Seq[fleet.Target], command Command) iter.Seq[ssh.Target] {
	return func(yield func(ssh.Target) bool) {
		for t := range targets {
			if !yield(expand(command, p.Target(ctx, t))) {
				return
			}
		}
	}
}

// A Plan is the targets of a run, each resolved once. It keeps a pointer and a hash for
// each target, and the endpoints.
type Plan struct {
	targets   iter.Seq[fleet.Target]
	command   Command
	endpoints []*ssh.Endpoint // of the targets, in their order
	seed      maphash.Seed
	names     []uint64 // hashes of the targets, to know them by
	counted   bool     // the Index of each target is its place

	index   sync.Once
	byIndex map[int]*ssh.Endpoint // unless counted
}

// Plan resolves the targets, which must be the same each time they are iterated and have
// an Index each. Their commands are expanded only then.
func (p *Planner) Plan(ctx context.Context, targets iter.Seq[fleet.Target], command Command) (*Plan, error) {
	made := &Plan{targets: targets, command: command, seed: maphash.MakeSeed(), counted: true}
	var seen indexes
	for t := range p.Stream(ctx, targets, nil) {
		switch {
		case ctx.Err() != nil:
			return nil, fmt.Errorf("resolving the targets: %w", context.Cause(ctx))
		case !seen.add(t.Index):
			return nil, hint.Wrap(fmt.Errorf("two targets have the index %d", t.Index), "Target.Index counts the targets of a run")
		}
		if command != nil {
			t, _ = check(command, t)
		}
		made.counted = made.counted && t.Index == len(made.endpoints)
		made.endpoints = append(made.endpoints, t.Endpoint)
		made.names = append(made.names, made.name(t.Target))
	}
	return made, nil
}

// indexes are a set of indexes of targets: those from 0 on without a gap, and the others.
type indexes struct {
	below int
	other map[int]bool
}

// add reports whether an index is new.
func (s *indexes) add(i int) bool {
	switch {
	case i == s.below:
		for s.below++; s.other[s.below]; s.below++ {
			delete(s.other, s.below)
		}
		return true
	case i >= 0 && i < s.below || s.other[i]:
		return false
	case s.other == nil:
		s.other = make(map[int]bool)
	}
	s.other[i] = true
	return true
}

// name returns a hash of what the target is.
func (p *Plan) name(t fleet.Target) uint64 {
	return maphash.Comparable(p.seed, struct {
		host  fleet.Host
		index int
	}{t.Host, t.Index})
}

// errOthers is why a target is not tried that is another than the one that was resolved.
var errOthers = errors.New("the targets are not the same each time that they are iterated")

// Same returns an error if the targets are others now than those that were resolved.
func (p *Plan) Same() error {
	n := 0
	for t := range p.targets {
		if n == len(p.names) || p.name(t) != p.names[n] {
			return errOthers
		}
		n++
	}
	if n < len(p.names) {
		return errOthers
	}
	return nil
}

// Targets returns the resolved targets, as often as wanted.
func (p *Plan) Targets() iter.Seq[ssh.Target] {
	return func(yield func(ssh.Target) bool) {
		for t := range p.resolved() {
			if !errors.Is(t.Err(), errOthers) {
				t = expand(p.command, t)
			}
			if !yield(t) {
				return
			}
		}
	}
}

// resolved returns the targets without their commands.
func (p *Plan) resolved() iter.Seq[ssh.Target] {
	return func(yield func(ssh.Target) bool) {
		i := 0
		for t := range p.targets {
			var planned ssh.Target
			if i < len(p.names) && p.name(t) == p.names[i] {
				planned = p.endpoints[i].Target(t)
			} else {
				t.Command = "" // nothing that a later run could send
				planned = Refuse(ssh.Target{Target: t}, errOthers)
			}
			if !yield(planned) {
				return
			}
			i++
		}
	}
}

// Recorded returns the resolved targets as they are recorded.
func (p *Plan) Recorded() iter.Seq[fleet.Target] {
	return func(yield func(fleet.Target) bool) {
		for t := range p.Targets() {
			if !yield(t.Target) {
				return
			}
		}
	}
}

// Len returns the number of targets.
func (p *Plan) Len() int { return len(p.endpoints) }

// Of returns t, which has the Index of a target of the plan, as a target of its endpoint.
func (p *Plan) Of(t fleet.Target) ssh.Target {
	if p.counted {
		if t.Index < 0 || t.Index >= len(p.endpoints) {
			return Refuse(ssh.Target{Target: t}, ssh.ErrUnplanned)
		}
		return p.endpoints[t.Index].Target(t)
	}
	p.index.Do(func() {
		p.byIndex = make(map[int]*ssh.Endpoint, len(p.endpoints))
		for t := range p.resolved() {
			p.byIndex[t.Index] = t.Endpoint
		}
	})
	e := p.byIndex[t.Index]
	if e == nil {
		return Refuse(ssh.Target{Target: t}, ssh.ErrUnplanned)
	}
	return e.Target(t)
}

// Endpoints returns the endpoints of the targets and of their jump hosts, each once.
func (p *Plan) Endpoints() iter.Seq[*ssh.Endpoint] { return p.distinct(true) }

// Jumps returns the endpoints of the jump hosts, each once.
func (p *Plan) Jumps() iter.Seq[*ssh.Endpoint] { return p.distinct(false) }

func (p *Plan) distinct(targets bool) iter.Seq[*ssh.Endpoint] {
	return func(yield func(*ssh.Endpoint) bool) {
		seen := make(map[*ssh.Endpoint]bool)
		for _, e := range p.endpoints {
			if targets && !seen[e] && !yield(e) {
				return
			}
			seen[e] = seen[e] || targets
			for jump := e.Jump; jump != nil && !seen[jump.Endpoint]; jump = jump.Jump() {
				seen[jump.Endpoint] = true
				if !yield(jump.Endpoint) {
					return
				}
			}
		}
	}
}
