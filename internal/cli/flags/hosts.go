package flags

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"shoal/hosts"
	"shoal/hosts/groups"
	"shoal/internal/cli/console"
	"shoal/internal/connect"
	"shoal/internal/hint"
	"shoal/internal/plainfile"
	"shoal/internal/ssh"
	"shoal/internal/ssh/auth"
	"shoal/internal/ssh/client"
	"shoal/internal/ui"
)

// HostFlags are the flags of every command that connects: which hosts, and how
// to reach them.
type HostFlags struct {
	Hosts, exclude, Hostfiles []string
	groups                    []string
	all, configHosts          bool
	Inventories, limits       []string
	hostsFrom                 []string
	where, pick               string
	seed                      uint64
	sourceTimeout             Seconds
	cache                     maxAge

	SshConfig      string
	SshOptions     []string
	execTimeout    Seconds
	Jump           string
	AskPass        bool
	passwordFile   string
	user           string
	port           uint16
	Identities     []string
	maxKeys        int
	noAgent        bool
	HostKey        Choice
	knownHosts     []string
	connectTimeout Seconds
	dialTimeout    Seconds
	kexTimeout     Seconds
	authTimeout    Seconds
	sessionTimeout Seconds
	Pipeline       Choice
	PostQuantum    Choice
	Client         Choice
	StateDir       string
	Verbose        bool
}

// Targets returns the flags that name hosts.
func (f *HostFlags) Targets() FlagGroup {
	g := NewGroup("Targets")
	g.StringArrayVarP(&f.Hosts, "hosts", "w", nil, "hosts: `EXPR` such as node[001-100],root@db:2222; - reads them from standard input, ^FILE from a file; with a source of hosts, those of it")
	g.StringArrayVarP(&f.exclude, "exclude", "x", nil, "leave these hosts out: `EXPR` as for -w")
	g.StringArrayVar(&f.Hostfiles, "hostfile", nil, "read hosts from `FILE`, one expression a line, with [group] lines and name=value attributes; - is standard input")
	g.StringArrayVarP(&f.groups, "group", "g", nil, "the hosts of `GROUP`: @GROUP of ClusterShell's groups.conf, of a host file or of an inventory")
	g.BoolVarP(&f.all, "all", "a", false, "all hosts of the default source of groups")
	g.StringArrayVarP(&f.Inventories, "inventory", "i", nil, "Ansible inventory: a file (INI, YAML), a program or a directory at `PATH`")
	g.StringArrayVar(&f.limits, "limit", nil, "keep the hosts that match Ansible's `PATTERN`, such as web:!db:&eu or @site.retry")
	g.StringArrayVar(&f.hostsFrom, "hosts-from", nil, "read hosts from what `CMD` prints, run by sh -c")
	g.BoolVar(&f.configHosts, "config-hosts", false, "the hosts that ssh_config names")
	g.Var(&f.sourceTimeout, "source-timeout", "for each program that names hosts: of --hosts-from, an inventory or a group (default 60s)")
	g.Var(&f.cache, "cache", "use what these programs printed at most that long ago; 0 asks anew, and keeps the answer for later runs")
	g.StringVar(&f.where, "where", "", "only hosts whose attributes meet `CONDITION`, such as env==prod && az!=b")
	g.StringVar(&f.pick, "pick", "", "only `N` hosts at random, or N/attribute for N of each value")
	g.Uint64Var(&f.seed, "pick-seed", 0, "pick the same hosts again: the `SEED` that was printed")
	return g
}

// Naming returns a copy of f whose hosts are those of an expression, as -w has it.
func (f *HostFlags) Naming(expression string) *HostFlags {
	named := *f
	named.Hosts, named.groups, named.all, named.pick = []string{expression}, nil, false, ""
	return &named
}

// Connection returns the flags that say how to reach hosts.
func (f *HostFlags) Connection() FlagGroup {
	g := NewGroup("Connection")
	g.StringVarP(&f.SshConfig, "config", "F", "", "read `FILE` as ssh_config; none for none (default: ~/.ssh/config and /etc/ssh/ssh_config)")
	g.StringArrayVarP(&f.SshOptions, "option", "o", nil, "an option of ssh_config, `Key=Value`, as ssh takes it")
	g.Var(&f.execTimeout, "exec-timeout", "for each command of Match exec in ssh_config (default 10s)")
	g.StringVarP(&f.Jump, "jump", "J", "", "connect through these jump `HOSTS`, as ssh -J does; none for none")
	g.StringVarP(&f.user, "user", "l", "", "log in as `USER` where a host names none (default: the local user)")
	g.Uint16VarP(&f.port, "port", "p", 0, "connect to `PORT` where a host names none (default 22)")
	g.StringArrayVar(&f.Identities, "identity", nil, "offer the private key in `FILE` (default: those of ~/.ssh)")
	g.IntVar(&f.maxKeys, "max-keys", auth.DefaultMaxKeys, "offer a host at most `N` keys: sshd closes the connection at the sixth that it refuses")
	g.BoolVar(&f.noAgent, "no-agent", false, "do not use the SSH agent")
	g.BoolVar(&f.AskPass, "ask-pass", false, "ask for a password once; it goes to hosts with a known key that take none of ours")
	g.StringVar(&f.passwordFile, "password-file", "", "read that password from `FILE`")
	f.HostKey = Choice{Value: "config", Words: []string{"config", "strict", "accept-new", "insecure"}}
	g.Var(&f.HostKey, "host-key", "hosts that known_hosts does not know: as ssh_config says but never less than accept-new, refuse them, learn them, or accept anything")
	g.StringArrayVar(&f.knownHosts, "known-hosts", nil, "known_hosts `FILE` (default: ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts)")
	f.Pipeline = Choice{Value: "full", Words: []string{"full", "auth", "off"}}
	g.Var(&f.Pipeline, "pipeline", "send ahead of the server's answers: all it is known to take, all but the command, or nothing")
	f.PostQuantum = Choice{Value: "on", Words: []string{"on", "off"}}
	g.Var(&f.PostQuantum, "pq", "post-quantum key exchange where the server has it; off saves a round trip to unknown hosts")
	f.Client = Choice{Value: "best", Words: []string{"best", "standard", "ssh"}}
	g.Var(&f.Client, "client", "the SSH client: shoal's own, and the system's ssh where a host needs it; golang.org/x/crypto/ssh; or the system's ssh")
	g.StringVar(&f.StateDir, "state-dir", "", "remember in `DIR` what servers are like; none for nowhere (default: ~/.local/state/shoal)")
	g.BoolVarP(&f.Verbose, "verbose", "v", false, "tell on standard error how each host is reached and what is chosen there, with the times of the phases; each line begins with the host's name and -v")
	g.VarP(&f.connectTimeout, "connect-timeout", "t", "from the name look-up to being logged in, all together; a target that has used it up is not tried again (default: those of the phases)")
	g.Var(&f.dialTimeout, "dial-timeout", "name look-up and TCP connect (default 10s)")
	g.Var(&f.kexTimeout, "kex-timeout", "version and key exchange (default 15s)")
	g.Var(&f.authTimeout, "auth-timeout", "authentication (default 30s)")
	g.Var(&f.sessionTimeout, "session-timeout", "opening the session, the command accepted (default 15s)")
	return g
}

// Options returns the library's options that these flags set. The caller calls
// Validate.
func (f *HostFlags) Options() (connect.Options, error) {
	pipeline, err := client.ParsePipeline(f.Pipeline.Value)
	if err != nil {
		return connect.Options{}, err
	}
	o := connect.Options{
		SSHConfig:  f.SshConfig,
		SSHOptions: f.SshOptions, ExecTimeout: f.execTimeout.Duration(),
		Jump:       f.Jump,
		User:       f.user,
		Port:       f.port,
		Identities: f.Identities,
		MaxKeys:    f.maxKeys,
		Passphrase: console.AskPassphrase(f.Identities),
		KnownHosts: f.knownHosts,
		Timeouts:   f.Timeouts(),
		Pipeline:   pipeline,
		Classical:  f.PostQuantum.Value == "off",
		StateDir:   f.State(),
	}
	if f.maxKeys < 1 {
		return connect.Options{}, hint.Wrap(fmt.Errorf("--max-keys %d: at least one key must be allowed", f.maxKeys),
			"-o PubkeyAuthentication=no offers none")
	}
	if f.Client.Value != "best" && (f.Pipeline.Value != "full" || o.Classical) {
		return connect.Options{}, hint.Wrap(fmt.Errorf("--pipeline and --pq are for shoal's own client, which --client %s replaces", f.Client.Value),
			"leave them out, or --client")
	}
	if o.HostKeys, err = f.hostKeyPolicy(); err != nil {
		return connect.Options{}, err
	}
	if o.Passwords, err = f.passwords(); err != nil {
		return connect.Options{}, err
	}
	switch f.Client.Value {
	case "standard":
		o.Client = connect.ClientStandard
	case "ssh":
		o.Client = connect.ClientSSH
	}
	if f.noAgent {
		o.Agent = connect.NoAgent
	}
	return o, nil
}

// NoAgent reports whether the SSH agent is not used.
func (f *HostFlags) NoAgent() bool { return f.noAgent }

// hostKeyPolicy returns the policy that --host-key names; nil means that of ssh_config.
func (f *HostFlags) hostKeyPolicy() (*ssh.HostKeyPolicy, error) {
	if f.HostKey.Value == "config" {
		return nil, nil
	}
	policy, err := ssh.ParseHostKeyPolicy(f.HostKey.Value)
	return &policy, err
}

// passwords returns the source of passwords, or nil without a password flag.
func (f *HostFlags) passwords() (ssh.Passwords, error) {
	var source auth.Source
	switch {
	case f.AskPass && f.passwordFile != "":
		return nil, errors.New("--ask-pass and --password-file cannot go together")
	case f.AskPass:
		source = console.AskPassword(f.user)
	case f.passwordFile != "":
		source = auth.FromFile(f.passwordFile)
	default:
		return nil, nil
	}
	p, err := auth.NewPasswords(auth.PasswordOptions{
		Source: source,
		// Servers that fall silent leave the others time to get in.
		AnswerTime: min(5*time.Second, f.Timeouts().WithDefaults().Auth/3),
	})
	if err != nil {
		return nil, err
	}
	if err := p.Prepare(context.Background()); err != nil {
		return nil, err // it says that the password was asked for
	}
	return p, nil
}

// State returns the state directory; see [StateDir].
func (f *HostFlags) State() string { return StateDir(f.StateDir) }

// StateDir returns the state directory for a --state-dir value; "" means none.
func StateDir(flag string) string {
	switch flag {
	case "":
		return connect.DefaultStateDir()
	case "none":
		return ""
	}
	return flag
}

// Timeouts returns the timeouts that the flags set; zero fields mean the
// default.
func (f *HostFlags) Timeouts() ssh.Timeouts {
	return ssh.Timeouts{
		Connect: f.connectTimeout.Duration(),
		Dial:    f.dialTimeout.Duration(),
		Kex:     f.kexTimeout.Duration(),
		Auth:    f.authTimeout.Duration(),
		Session: f.sessionTimeout.Duration(),
	}
}

// Load reads the hosts, prints the warnings, and sets opts.Entry and
// opts.Engine.Notice.
func (f *HostFlags) Load(ctx context.Context, opts *connect.Options, stdio console.Stdio) (*hosts.List, error) {
	user, err := opts.LoginName()
	if err != nil {
		return nil, err
	}
	opts.Engine.Notice = func(text string) { console.Note(stdio.Err, text) }
	named, err := f.configNames(opts)
	if err != nil {
		return nil, err
	}
	waiting := func(program string) {
		console.Say(stdio.Err, "waiting for %s", ui.Visible(fmt.Sprintf("%.200q", program)))
	}
	cache, err := f.sourceCache()
	if err != nil {
		return nil, err
	}
	list, err := hosts.LoadContext(ctx, hosts.Options{
		Hosts:    f.expressions(),
		Exclude:  f.exclude,
		Files:    f.Hostfiles,
		Commands: f.hostsFrom, CommandTimeout: f.sourceTimeout.Duration(), Waiting: waiting, Cache: cache,
		ConfigHosts: named,
		Inventories: f.Inventories, VarsDir: ".",
		Patterns: f.limits,
		Groups:   ClusterShellGroups(ctx, groups.Limits{Timeout: f.sourceTimeout.Duration(), Waiting: waiting}),
		Where:    f.where,
		Pick:     f.pick,
		Seed:     f.seed,
		Stdin:    stdio.In,
		User:     user,
		Port:     f.port,
	})
	if err != nil {
		for _, path := range f.Inventories {
			if isPrivateKey(path) {
				return nil, hint.Wrap(fmt.Errorf("-i names an inventory, and %.200q is a private key", path), "--identity offers a key")
			}
		}
		return nil, fmt.Errorf("reading the hosts: %w", err)
	}
	for _, n := range list.Notices {
		console.Note(stdio.Err, n)
	}
	opts.Entry = list.EntryOf
	return list, nil
}

// sourceCache returns where the answers of programs that name hosts are kept; nil without --cache.
func (f *HostFlags) sourceCache() (*hosts.Cache, error) {
	if !f.cache.given {
		return nil, nil
	}
	state := f.State()
	if state == "" {
		return nil, hint.New("--cache keeps what programs printed in a directory, and there is none", "name one with --state-dir, or leave out --cache")
	}
	return &hosts.Cache{Dir: filepath.Join(state, "sources"), MaxAge: f.cache.Duration()}, nil
}

// isPrivateKey reports whether a file begins as private keys in PEM do.
func isPrivateKey(path string) bool {
	file, err := plainfile.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }()
	line, _ := io.ReadAll(io.LimitReader(file, 40)) // what cannot be read is no key
	return bytes.HasPrefix(line, []byte("-----BEGIN ")) && bytes.Contains(line, []byte("PRIVATE KEY"))
}

// expressions returns the values of -w and of the flags that are shorthand for
// one.
func (f *HostFlags) expressions() []string {
	all := f.Hosts
	for _, g := range f.groups {
		all = append(all, "@"+strings.TrimPrefix(g, "@"))
	}
	if f.all {
		all = append(all, "@*")
	}
	return all
}

// FromStdin reports whether hosts, or the password, come from standard input.
func (f *HostFlags) FromStdin() bool {
	return slices.ContainsFunc(slices.Concat(f.Hosts, f.exclude, f.Hostfiles, f.Inventories, []string{f.passwordFile}), func(source string) bool {
		return source == "-" || source == "^-" || IsStdin(strings.TrimPrefix(source, "^"))
	})
}

// IsStdin reports whether the named file is standard input.
func IsStdin(name string) bool {
	return name == "/dev/stdin" || name == "/dev/fd/0" || name == "/proc/self/fd/0"
}

// configNames returns the hosts that ssh_config names, if a flag asks for them.
func (f *HostFlags) configNames(opts *connect.Options) ([]string, error) {
	if !f.configHosts {
		return nil, nil
	}
	config, err := opts.ReadConfig()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, h := range config.Hosts() {
		names = append(names, h.Name)
	}
	return names, nil
}

// ClusterShellGroups returns the groups of groups.conf. Files are read at the
// first lookup.
func ClusterShellGroups(ctx context.Context, limits groups.Limits) *groups.Resolver {
	home, _ := os.UserHomeDir() // if it fails, only the system's files are read
	return groups.New(ctx, groups.Options{Files: groups.Paths(os.Getenv, home), Limits: limits})
}

// WarnInsecure prints a warning if host keys are not checked.
func WarnInsecure(w io.Writer, opts connect.Options) {
	if opts.HostKeys != nil && *opts.HostKeys == ssh.HostKeysInsecure {
		console.Say(w, "WARNING: host keys are not checked in this run (--host-key insecure): anybody in between can read and change everything")
		if opts.Passwords != nil {
			console.Say(w, "the password goes to no host in this run: under --host-key insecure anybody may answer")
		}
	}
}
