// Package plan resolves for each target how to connect: address, user, port, jump hosts,
// keys to offer, and known_hosts. It combines the command line, the inventory and
// ssh_config, in this order of precedence.
//
// Call [New] once for a run and [Planner.Target] for each target; it sets User, Port and
// Route. [Want] and [Trust] then return the settings for packages auth and hostkeys. The
// package resolves no names and opens no connections, except those that ssh_config requires
// (Match exec, CanonicalizeHostname).
//
// If ssh_config asks for something that shoal does not support and that matters for
// security, the target gets a Route with an error and is not tried.
package plan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"shoal/fleet"
	"shoal/hosts"
	"shoal/internal/ssh/algorithms"
	"shoal/internal/ssh/config"
	"shoal/internal/ssh/hostkeys"
)

// Options configure a Planner. They must not be changed after New.
type Options struct {
	// Config is the parsed ssh_config. Required; see Load.
	Config *config.Config
	// Entry returns what the inventory knows about a target. nil means nothing.
	Entry func(fleet.Target) hosts.Entry
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
	// Policy takes precedence over ssh_config unless it is hostkeys.Strict.
	Policy hostkeys.Policy
	// Plain is set if the client is package xcrypto, which knows no time of RekeyLimit.
	Plain bool
	// Home replaces ~ in the inventory's paths.
	Home string
	// Notice is called once for each message to the user. nil disables it.
	Notice func(string)
}

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

// A Planner plans targets. It is safe for concurrent use.
type Planner struct {
	opts     Options
	standard algorithms.Lists // of hosts for which ssh_config names none

	mu       sync.Mutex
	routes   map[string]*fleet.Route // equal routes are shared
	details  map[string]*detail
	numbered int // the last number given to a detail
	told     map[string]bool
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
		opts: o, standard: algorithms.Default(), routes: make(map[string]*fleet.Route), details: make(map[string]*detail), told: make(map[string]bool),
	}, nil
}

// Target returns t with User, Port and Route set. If t has a Route from an earlier run,
// its address, alias, jump hosts and proxy command are kept whatever ssh_config says now,
// and the rest is set.
func (p *Planner) Target(ctx context.Context, t fleet.Target) fleet.Target {
	t, _ = p.Explained(ctx, t)
	return t
}

// Explained also returns the settings of ssh_config for the target, for explaining them to
// people. They are nil if the target cannot be resolved.
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
	for _, n := range hops[last].Notices() {
		p.tellOnce(n.Keyword, n.Text)
	}
	t.User, t.Port = hops[last].User, hops[last].Port
	t.Route = p.route(hops[last], t.Host.Name, e, via)
	if earlier != nil {
		t.Route = p.keep(ctx, t.Route, earlier)
	}
	return t, hops[last]
}

// route returns the route for the settings in r. name is the host's name for people.
func (p *Planner) route(r *config.Resolved, name string, e hosts.Entry, via *fleet.Target) *fleet.Route {
	route := &fleet.Route{
		HostKeyAlias:  r.HostKeyAlias,
		Via:           via,
		Family:        family(r.AddressFamily),
		Bind:          r.BindAddress,
		BindInterface: r.BindInterface,
		Connect:       r.ConnectTimeout,
		Attempts:      r.ConnectionAttempts,
		KeepAlive:     r.TCPKeepAlive && r.Why("tcpkeepalive") != (config.Source{}),
		Alive:         r.ServerAliveInterval,
		AliveMax:      aliveMax(r),
		Kex:           changed(r.KexAlgorithms, p.standard.Kex),
		Ciphers:       changed(r.Ciphers, p.standard.Ciphers),
		MACs:          changed(r.MACs, p.standard.MACs),
		HostKeys:      changed(r.HostKeyAlgorithms, p.standard.HostKeys),
		HostKeysFixed: r.HostKeyAlgorithmsSet,
		RekeyBytes:    uint64(max(r.RekeyBytes, 0)),
		RekeyAfter:    r.RekeyInterval,
		Env:           r.Env(),
		Listed:        e.Address,
		KeyFile:       e.IdentityFile,
	}
	if r.Why("pubkeyacceptedalgorithms") != (config.Source{}) {
		route.UserKeys = r.PubkeyAcceptedAlgorithms
	}
	if p.opts.Plain && r.RekeyInterval > 0 {
		p.tellOnce("rekeylimit", fmt.Sprintf("the time of RekeyLimit (%v) has no effect with this client", r.Why("rekeylimit")))
	}
	if r.HostName != name {
		route.Address = r.HostName
	}
	if via == nil {
		route.ProxyCommand, route.Err = r.ProxyArgv()
	}
	if route.Err == nil {
		route.Methods, route.Err = r.AuthMethods()
	}
	if route.Err == nil {
		route.Err = unusable(route)
	}
	d := p.shareDetail(p.detail(r, e))
	route.Detail = d
	return p.shareRoute(route, d)
}

// aliveMax returns ServerAliveCountMax as fleet.Route has it.
func aliveMax(r *config.Resolved) int {
	if r.ServerAliveCountMax == 0 {
		return -1
	}
	return r.ServerAliveCountMax
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

// changed returns the list if it differs from the default, otherwise nil.
func changed(list, standard []string) []string {
	if strings.Join(list, ",") == strings.Join(standard, ",") {
		return nil
	}
	return append([]string{}, list...) // not nil, even if it is empty
}

// unusable returns an error that names the list that has no usable algorithm.
func unusable(r *fleet.Route) error {
	for _, l := range []struct {
		keyword string
		names   []string
	}{
		{"KexAlgorithms", r.Kex},
		{"Ciphers", r.Ciphers},
		{"MACs", r.MACs},
		{"HostKeyAlgorithms", r.HostKeys},
	} {
		if l.names != nil && len(l.names) == 0 {
			return fmt.Errorf("%s of ssh_config names none that shoal has\nhint: add one, or leave the keyword out", l.keyword)
		}
	}
	return nil
}
