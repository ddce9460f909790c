package cli

import (
	"fmt"
	"io"

	"shoal"
	"shoal/connect"
	"shoal/connect/express"
	"shoal/internal/ui"
	"shoal/inventory"
	"shoal/trust"
)

// hostFlags say which hosts are meant and how they are reached. Every command
// that connects has them.
type hostFlags struct {
	hosts, exclude, hostfiles []string

	user           string
	port           uint16
	identities     []string
	noAgent        bool
	hostKey        choice
	knownHosts     []string
	connectTimeout seconds
	dialTimeout    seconds
	kexTimeout     seconds
	authTimeout    seconds
	sessionTimeout seconds
	pipeline       choice
	postQuantum    choice
	client         choice
	stateDir       string
}

// targets gives the flags that name hosts.
func (f *hostFlags) targets() flagGroup {
	g := newGroup("Targets")
	g.StringArrayVarP(&f.hosts, "hosts", "w", nil, "hosts: `EXPR` such as node[001-100],root@db:2222; - reads them from standard input, ^FILE from a file")
	g.StringArrayVarP(&f.exclude, "exclude", "x", nil, "leave these hosts out: `EXPR` as for -w")
	g.StringArrayVar(&f.hostfiles, "hostfile", nil, "read hosts from `FILE`, one expression a line; - is standard input")
	return g
}

// connection gives the flags that say how hosts are reached.
func (f *hostFlags) connection() flagGroup {
	g := newGroup("Connection")
	g.StringVarP(&f.user, "user", "l", "", "log in as `USER` where a host names none (default: the local user)")
	g.Uint16VarP(&f.port, "port", "p", 0, "connect to `PORT` where a host names none (default 22)")
	g.StringArrayVar(&f.identities, "identity", nil, "offer the private key in `FILE` (default: those of ~/.ssh)")
	g.BoolVar(&f.noAgent, "no-agent", false, "do not use the SSH agent")
	f.hostKey = choice{value: "strict", words: []string{"strict", "accept-new", "insecure"}}
	g.Var(&f.hostKey, "host-key", "hosts that known_hosts does not know: refuse them, learn them, or accept anything")
	g.StringArrayVar(&f.knownHosts, "known-hosts", nil, "known_hosts `FILE` (default: ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts)")
	f.pipeline = choice{value: "full", words: []string{"full", "auth", "off"}}
	g.Var(&f.pipeline, "pipeline", "send ahead of the server's answers: all it is known to take, all but the command, or nothing")
	f.postQuantum = choice{value: "on", words: []string{"on", "off"}}
	g.Var(&f.postQuantum, "pq", "post-quantum key exchange where the server has it; off saves a round trip to unknown hosts")
	f.client = choice{value: "best", words: []string{"best", "standard"}}
	g.Var(&f.client, "client", "the SSH client: shoal's own, or golang.org/x/crypto/ssh")
	g.StringVar(&f.stateDir, "state-dir", "", "remember in `DIR` what servers are like; none for nowhere (default: ~/.local/state/shoal)")
	g.VarP(&f.connectTimeout, "connect-timeout", "t", "from the name look-up to being logged in, all together (default: those of the phases)")
	g.Var(&f.dialTimeout, "dial-timeout", "name look-up and TCP connect (default 10s)")
	g.Var(&f.kexTimeout, "kex-timeout", "version and key exchange (default 15s)")
	g.Var(&f.authTimeout, "auth-timeout", "authentication (default 30s)")
	g.Var(&f.sessionTimeout, "session-timeout", "opening the session, the command accepted (default 15s)")
	return g
}

// options are the library's as far as these flags tell them; Validate is the
// caller's.
func (f *hostFlags) options() (shoal.Options, error) {
	policy, err := trust.ParsePolicy(f.hostKey.value)
	if err != nil {
		return shoal.Options{}, err
	}
	pipeline, err := express.ParsePipeline(f.pipeline.value)
	if err != nil {
		return shoal.Options{}, err
	}
	o := shoal.Options{
		User:       f.user,
		Port:       f.port,
		Identities: f.identities,
		Passphrase: askPassphrase(f.identities),
		KnownHosts: f.knownHosts,
		HostKeys:   policy,
		Timeouts:   f.timeouts(),
		Pipeline:   pipeline,
		Classical:  f.postQuantum.value == "off",
		StateDir:   f.state(),
	}
	if f.client.value == "standard" {
		o.Client = shoal.ClientStandard
	}
	if f.noAgent {
		o.Agent = shoal.NoAgent
	}
	return o, nil
}

// state is the directory of --state-dir.
func (f *hostFlags) state() string {
	switch f.stateDir {
	case "":
		return shoal.DefaultStateDir()
	case "none":
		return ""
	}
	return f.stateDir
}

func (f *hostFlags) timeouts() connect.Timeouts {
	return connect.Timeouts{
		Connect: f.connectTimeout.duration(),
		Dial:    f.dialTimeout.duration(),
		Kex:     f.kexTimeout.duration(),
		Auth:    f.authTimeout.duration(),
		Session: f.sessionTimeout.duration(),
	}
}

// load reads the hosts and passes on what the inventory has to say.
func (f *hostFlags) load(opts shoal.Options, stdio Stdio) (*inventory.List, error) {
	user, err := opts.LoginName()
	if err != nil {
		return nil, err
	}
	list, err := inventory.Load(inventory.Options{
		Hosts:   f.hosts,
		Exclude: f.exclude,
		Files:   f.hostfiles,
		Stdin:   stdio.In,
		User:    user,
		Port:    f.port,
	})
	if err != nil {
		return nil, fmt.Errorf("reading the hosts: %w", err)
	}
	for _, n := range list.Notices {
		say(stdio.Err, "%s", ui.Visible(n))
	}
	return list, nil
}

// warnInsecure says loudly that host keys are not checked.
func warnInsecure(w io.Writer, opts shoal.Options) {
	if opts.HostKeys == trust.Insecure {
		say(w, "WARNING: host keys are not checked in this run (--host-key insecure): anybody in between can read and change everything")
	}
}
