// Package internal/plan decides how each target is reached: by what address, as whom, on
// which port, through which jump hosts, with which keys, and whom to trust. It
// puts together what a person said on the command line, what the inventory knows
// of a host, and what ssh_config says of it, in this order.
//
// Call [New] once for a run and [Planner.Target] for each target; it fills in
// User, Port and Route. [Want] and [Trust] then answer for package internal/ssh/auth and
// package internal/ssh/hostkeys. Nothing is looked up or connected to, but what ssh_config itself
// asks for (Match exec, CanonicalizeHostname).
//
// A host that cannot be reached as it is configured, because ssh_config asks for
// something that shoal does not honour and that matters for security, gets a
// Route with an error: the target is not tried.
package plan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"shoal/fleet"
	"shoal/hosts"
	"shoal/internal/ssh/config"
	"shoal/internal/ssh/hostkeys"
	"shoal/internal/ssh/wire"
)

// Options say what was asked for. They are not changed after New.
type Options struct {
	// Config is the resolved ssh_config. Required; see Load.
	Config *config.Config
	// Entry gives what the inventory knows of a target. nil means nothing.
	Entry func(fleet.Target) hosts.Entry
	// User and Port are used where a target names none; they win over ssh_config.
	User string
	Port uint16
	// Jump are the jump hosts of all targets, as ssh -J takes them; "" means
	// those of ssh_config, "none" means none.
	Jump string
	// Identities are key files offered before all others.
	Identities []string
	// Agent is the socket of the agent; "" means that of ssh_config, NoAgent none.
	Agent string
	// KnownHosts are used instead of those of ssh_config. nil means those.
	KnownHosts []string
	// Policy wins over ssh_config unless it is hostkeys.Strict.
	Policy hostkeys.Policy
	// Plain says that the client cannot be told which algorithms to use; a host
	// for which ssh_config names some is then not tried.
	Plain bool
	// Home replaces ~ in the inventory's paths.
	Home string
	// Notice is told what a person should know, once. nil means that nobody is.
	Notice func(string)
}

// NoAgent as Options.Agent means that no agent is asked.
const NoAgent = "none"

// Config says which ssh_config is read, and how.
type Config struct {
	File string   // as ssh -F takes it
	Set  []string // as ssh -o takes them
	// ExecTimeout bounds each command of Match exec; 0 means 10 s.
	ExecTimeout time.Duration
	// Waiting is told of a command of Match exec that runs for longer than 2 s,
	// once, from another goroutine; nil: nobody is.
	Waiting func(command string)
}

// Load reads ssh_config with what shoal can do.
func Load(c Config) (*config.Config, error) {
	var local config.Local
	if home, err := os.UserHomeDir(); err == nil {
		local.Home = home // $HOME, as everywhere in shoal
	}
	return config.Load(config.LoadOptions{
		File: c.File, Set: c.Set, Local: local, ExecTimeout: c.ExecTimeout, Waiting: c.Waiting,
		Algorithms: config.Algorithms{
			Kex:     both(wire.KexAlgorithms()),
			Ciphers: both(wire.Ciphers()),
			MACs:    both(wire.MACs()),
			HostKey: both(wire.AllHostKeyAlgorithms()),
		},
	})
}

func both(names []string) config.AlgorithmList {
	return config.AlgorithmList{Default: names, Supported: names}
}

// A Planner plans targets. It is safe for concurrent use.
type Planner struct {
	opts Options

	mu       sync.Mutex
	routes   map[string]*fleet.Route // equal ones are one
	details  map[string]*detail
	numbered int // details
	told     map[string]bool
}

// New gives a Planner.
func New(o Options) (*Planner, error) {
	if o.Config == nil {
		return nil, errors.New("no ssh_config: Options.Config is nil")
	}
	if _, err := config.ParseJumps(o.Jump); o.Jump != "" && err != nil {
		return nil, fmt.Errorf("reading the jump hosts: %w", err)
	}
	return &Planner{
		opts: o, routes: make(map[string]*fleet.Route), details: make(map[string]*detail), told: make(map[string]bool),
	}, nil
}

// Target gives t with User, Port and Route filled in. A Route that t brings is that
// of an earlier run: its way stays, whatever ssh_config says of it now, and what it
// lacks is filled in.
func (p *Planner) Target(ctx context.Context, t fleet.Target) fleet.Target {
	t, _ = p.Explained(ctx, t)
	return t
}

// Explained gives in addition what ssh_config says of the target, for people who
// want to know why. It is nil when the target cannot be resolved.
func (p *Planner) Explained(ctx context.Context, t fleet.Target) (fleet.Target, *config.Resolved) {
	var e hosts.Entry
	earlier := t.Route
	switch {
	case earlier != nil:
		e = hosts.Entry{Address: earlier.Listed, IdentityFile: earlier.KeyFile}
	case p.opts.Entry != nil:
		e = p.opts.Entry(t)
	}
	hops, err := p.opts.Config.Route(ctx, cmp.Or(e.Address, t.Host.Name), config.Options{
		User:    cmp.Or(t.User, t.Host.User, p.opts.User),
		Port:    cmp.Or(t.Port, t.Host.Port, p.opts.Port),
		Jump:    p.opts.Jump,
		Command: t.Command,
	})
	if err != nil {
		t.User = cmp.Or(t.User, t.Host.User, p.opts.User)
		t.Port = cmp.Or(t.Port, t.Host.Port, p.opts.Port, fleet.DefaultPort)
		t.Route = &fleet.Route{Err: fmt.Errorf("reading ssh_config for %s: %w", t.Host, err)}
		return t, nil
	}
	var via *fleet.Target
	last := len(hops) - 1
	for _, r := range hops[:last] {
		hop := fleet.Target{Host: fleet.Host{Name: r.Host}, User: r.User, Port: r.Port}
		hop.Route = p.route(r, r.Host, hosts.Entry{}, via)
		via = &hop
	}
	t.User, t.Port = hops[last].User, hops[last].Port
	t.Route = p.route(hops[last], t.Host.Name, e, via)
	if earlier != nil {
		t.Route = p.keep(ctx, t.Route, earlier)
	}
	return t, hops[last]
}

// route makes the route from what ssh_config says. name is what people call the
// host.
func (p *Planner) route(r *config.Resolved, name string, e hosts.Entry, via *fleet.Target) *fleet.Route {
	route := &fleet.Route{
		HostKeyAlias:  r.HostKeyAlias,
		Via:           via,
		Family:        family(r.AddressFamily),
		Bind:          r.BindAddress,
		BindInterface: r.BindInterface,
		Connect:       r.ConnectTimeout,
		Alive:         r.ServerAliveInterval,
		Kex:           changed(r.KexAlgorithms, wire.KexAlgorithms()),
		Ciphers:       changed(r.Ciphers, wire.Ciphers()),
		MACs:          changed(r.MACs, wire.MACs()),
		HostKeys:      changed(r.HostKeyAlgorithms, wire.AllHostKeyAlgorithms()),
		HostKeysFixed: r.HostKeyAlgorithmsSet,
		RekeyBytes:    uint64(max(r.RekeyBytes, 0)),
		Env:           r.SetEnv,
		Listed:        e.Address,
		KeyFile:       e.IdentityFile,
	}
	if r.Why("pubkeyacceptedalgorithms") != (config.Source{}) {
		route.UserKeys = r.PubkeyAcceptedAlgorithms
	}
	if r.HostName != name {
		route.Address = r.HostName
	}
	if via == nil {
		route.ProxyCommand, route.Err = r.ProxyArgv()
	}
	if route.Err == nil {
		route.Err = p.unusable(route)
	}
	d := p.shareDetail(p.detail(r, e))
	route.Detail = d
	return p.shareRoute(route, d)
}

func family(s string) string {
	switch s {
	case "inet":
		return "tcp4"
	case "inet6":
		return "tcp6"
	}
	return ""
}

// changed gives the list where it is not the default.
func changed(list, standard []string) []string {
	if strings.Join(list, ",") == strings.Join(standard, ",") {
		return nil
	}
	return append([]string{}, list...) // not nil, even when nothing is left
}

// unusable says which list leaves nothing to offer.
func (p *Planner) unusable(r *fleet.Route) error {
	for _, l := range []struct {
		keyword string
		names   []string
	}{
		{"KexAlgorithms", r.Kex},
		{"Ciphers", r.Ciphers},
		{"MACs", r.MACs},
		{"HostKeyAlgorithms", r.HostKeys},
		{"PubkeyAcceptedAlgorithms", r.UserKeys},
	} {
		switch {
		case l.names != nil && p.opts.Plain:
			return fmt.Errorf("%s of ssh_config is not honoured by this client\nhint: use --client best", l.keyword)
		case l.names != nil && len(l.names) == 0 && l.keyword != "PubkeyAcceptedAlgorithms": // a password may do
			return fmt.Errorf("%s of ssh_config names none that shoal has\nhint: add one, or leave the keyword out", l.keyword)
		}
	}
	return nil
}
