package shoal

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"path/filepath"
	"slices"

	"shoal/hosts"
	"shoal/internal/clock"
	"shoal/internal/connect"
	"shoal/internal/engine"
	"shoal/internal/placeholder"
	"shoal/internal/plan"
	"shoal/internal/remote"
	"shoal/internal/remote/become"
	"shoal/internal/run"
	"shoal/internal/spool"
	"shoal/internal/ssh"
	"shoal/internal/ssh/auth"
	"shoal/internal/ssh/client"
	"shoal/internal/ssh/tcp"
)

// DefaultStateDir returns the directory in which the program shoal keeps its journal
// and the properties of servers: shoal in $XDG_STATE_HOME, or in ~/.local/state if that
// is not set; "" if there is no home directory.
func DefaultStateDir() string { return connect.DefaultStateDir() }

// Validate returns an error for a value that is out of range, and for one that has no
// effect beside the others. It opens no file.
func (o Options) Validate() error {
	c, _, err := o.connect()
	if err != nil {
		return err
	}
	c.Engine.Targets = 1 // percentages need a number, and the real one is not known yet
	if err := c.Validate(); err != nil {
		return err
	}
	if r := o.Rollout; len(r.Stages) == 0 && (r.Check != nil || r.Pause > 0) {
		return errors.New("Rollout.Check and Rollout.Pause are for the time between two Rollout.Stages, and there is one stage only")
	}
	for _, a := range append(slices.Clone(o.Rollout.Stages), deref(o.Rollout.MaxFail), deref(o.Rollout.MaxUnknown)) {
		if a.Count != 0 && a.Percent != 0 {
			return fmt.Errorf("an Amount is a Count or a Percent, and has both: %d and %v", a.Count, a.Percent)
		}
	}
	switch c := o.Client; {
	case c.Standard && c.OpenSSH:
		return errors.New("Client.Standard and Client.OpenSSH are different clients, and only one is used")
	case (c.Standard || c.OpenSSH) && (c.Pipeline != PipelineFull || c.Classical):
		return errors.New("Client.Pipeline and Client.Classical are for shoal's own client, which Client.Standard and Client.OpenSSH replace")
	}
	switch l := o.Login; {
	case l.ForwardAgent != "" && l.ForwardAgent != "no" && o.Remote.Detach:
		return errors.New("Remote.Detach lets go of the command, so that Login.ForwardAgent cannot be for it")
	case l.ForwardAgent == "yes" && l.Agent == NoAgent:
		return errors.New("Login.Agent is NoAgent, so that there is none for Login.ForwardAgent")
	case l.ForwardAgent != "" && l.ForwardAgent != "no" && l.ForwardAgent != "yes" && !filepath.IsAbs(l.ForwardAgent):
		return fmt.Errorf("Login.ForwardAgent is %.80q: it is yes, no, or an absolute path", l.ForwardAgent)
	case l.ForwardAgent == "no" && (l.AgentSignatures != 0 || l.ConfirmAgent != nil):
		return errors.New("Login.ForwardAgent is no, so that Login.AgentSignatures and ConfirmAgent have no effect")
	}
	switch r := o.Remote; {
	case r.Detach && r.KillOnCancel:
		return errors.New("with Remote.Detach there is nothing to kill on cancel")
	case r.Dir != "" && !r.remote().Marked():
		return errors.New("Remote.Dir is for markers, which Remote.Once, KillOnCancel and Detach make")
	case (r.Once || r.Detach) && o.Journal == nil:
		return errors.New("without a Journal nobody knows later where Remote.Once and Remote.Detach have left markers")
	}
	if _, err := remote.NewSecrets(o.Remote.secretNames()); err != nil {
		return err
	}
	r := o.Remote.remote()
	if t := o.Terminal; t != nil {
		switch {
		case len(t.Type) > 64 || t.Columns < 0 || t.Rows < 0 || t.Columns > math.MaxInt16 || t.Rows > math.MaxInt16:
			return errors.New("a Terminal has a Type of at most 64 bytes, and up to 32,767 columns and rows")
		case o.Stdin != nil || r.Wraps():
			return errors.New("a Terminal goes with neither Stdin nor what of Remote is a wrapper: all but Become")
		case r.Become != nil && r.Become.Direct:
			return errors.New("a Terminal does not go with Become.Direct")
		}
	}
	r.Input = o.Stdin
	return r.Validate()
}

func (r Remote) secretNames() []string { return slices.Sorted(maps.Keys(r.EnvSecret)) }

func deref(a *Amount) Amount {
	if a == nil {
		return Amount{}
	}
	return *a
}

func (r Remote) remote() run.Remote {
	secrets, _ := remote.NewSecrets(r.secretNames()) // Validate has the error
	return run.Remote{Secrets: secrets, Become: r.Become.options(), Once: r.Once, KillOnCancel: r.KillOnCancel, Detach: r.Detach, Timeout: r.Timeout, Dir: r.Dir, Env: r.Env, Chdir: r.Chdir, Umask: r.Umask}
}

// options returns b for package run; nil for nil.
func (b *Become) options() *become.Options {
	if b == nil {
		return nil
	}
	o := &become.Options{Method: remote.Method(cmp.Or(b.Method, string(remote.Sudo))), User: cmp.Or(b.User, "root"), Timeout: cmp.Or(b.Timeout, become.DefaultTimeout), Direct: b.Direct}
	if b.Password != nil {
		if p, err := auth.NewBecomePasswords(b.Password, true, o.Timeout); err == nil { // else the options are invalid
			o.Passwords = p
		}
	}
	return o
}

// secret adds to how commands became another user what the journal does not keep of it.
func (o Options) secret(had *become.Options) {
	if now := o.Remote.Become.options(); had != nil && now != nil {
		had.Passwords = now.Passwords
	}
}

// wipe overwrites the password and the values of secret variables.
func wipe(r run.Remote) {
	r.Secrets.Wipe()
	if r.Become == nil {
		return
	}
	if p, ok := r.Become.Passwords.(*auth.Passwords); ok {
		p.Wipe()
	}
}

// input adds what r sends through standard input, and reads that once.
func (o Options) input(ctx context.Context, r run.Remote) (run.Remote, error) {
	if t := o.Terminal; t != nil {
		r.PTY = ssh.PTY{Term: t.Type, Columns: uint32(t.Columns), Rows: uint32(t.Rows)} //nolint:gosec // Validate
	}
	if names := o.Remote.secretNames(); len(names) > 0 {
		secrets, err := remote.NewSecrets(names)
		if err != nil {
			return r, err
		}
		values := make([][]byte, len(names))
		for i, name := range names {
			values[i] = bytes.Clone(o.Remote.EnvSecret[name]) // Fill overwrites them
		}
		if err := secrets.Fill(values); err != nil {
			return r, err
		}
		r.Secrets = secrets
	}
	if o.Stdin == nil {
		return r, nil
	}
	digest, err := spool.Digest(ctx, o.Stdin)
	r.Input, r.InputDigest = o.Stdin, digest
	return r, err
}

// entry returns what the inventory knows of a target; nil for nothing.
func (o Options) entry() func(Target) hosts.Entry {
	if o.Inventory == nil {
		return nil
	}
	return o.Inventory.EntryOf
}

// connect returns the options of package connect, and the passwords in them to wipe
// after the run; nil without one.
func (o Options) connect() (c connect.Options, p *auth.Passwords, err error) {
	c = connect.Options{
		User: o.Login.User, Port: o.Login.Port,
		SSHConfig: o.Config.File, SSHOptions: o.Config.Set, ExecTimeout: o.Config.ExecTimeout, Jump: o.Config.Jump,
		Identities: o.Login.Identities, MaxKeys: o.Login.MaxKeys, Agent: o.Login.Agent, Passphrase: o.Login.Passphrase,
		KnownHosts: o.HostKeys.Files, HostKeys: o.HostKeys.policy(),
		ForwardAgent: cmp.Or(o.Login.ForwardAgent, "config"),
		Forwarding:   auth.ForwardOptions{Signatures: o.Login.AgentSignatures, Confirm: o.Login.ConfirmAgent},
		Timeouts:     ssh.Timeouts(o.Timeouts),
		Pipeline:     client.Pipeline(o.Client.Pipeline), Classical: o.Client.Classical, StateDir: o.Client.StateDir,
		Engine: o.engine(),
	}
	if o.Terminal != nil {
		c.PTY = plan.PTYForAll
	}
	switch {
	case o.Client.Standard:
		c.Client = connect.ClientStandard
	case o.Client.OpenSSH:
		c.Client = connect.ClientSSH
	}
	if o.pool != nil {
		c.Hold, c.Passwords = o.pool.held, o.pool.passwords()
		return c, nil, nil
	}
	if o.Login.Password != nil {
		if p, err = auth.NewPasswords(auth.PasswordOptions{Source: o.Login.Password}); err != nil {
			return c, nil, err
		}
		c.Passwords = p
	}
	return c, p, nil
}

// policy returns the policy; nil means that of ssh_config.
func (k HostKeys) policy() *ssh.HostKeyPolicy {
	if k.Policy == HostKeysConfig {
		return nil
	}
	p := ssh.HostKeyPolicy(k.Policy - HostKeysStrict)
	return &p
}

func (o Options) engine() engine.Options {
	e := engine.Options{
		Fanout: o.Limits.Fanout, Dials: o.Limits.Dials, Starts: o.Limits.Starts, Rate: o.Limits.Rate,
		Attempts: o.Limits.Attempts, Idempotent: o.Limits.Idempotent,
		MaxOutput: o.Limits.MaxOutput, MaxHeld: o.Limits.MaxHeld,
		Pause: o.Rollout.Pause, Check: o.Rollout.Check, FailFast: o.Rollout.FailFast, Barrier: o.Rollout.Barrier,
		MaxFail: (*engine.Amount)(o.Rollout.MaxFail), MaxUnknown: (*engine.Amount)(o.Rollout.MaxUnknown),
		Drain: o.Drain, Notice: o.Notice,
	}
	for _, a := range o.Rollout.Stages {
		e.Rollout = append(e.Rollout, engine.Amount(a))
	}
	return e
}

// work is what a run, or a question about one, needs: planned targets, and what was
// opened to connect to them.
type work struct {
	opts      Options
	plan      *connect.Plan
	engine    engine.Options
	clock     *clock.Clock // nil: that of the pool
	passwords *auth.Passwords
	config    []string // the files of ssh_config that were read
}

// open plans the targets and opens what connecting to them needs. It may ask for
// passphrases. A nil template leaves the targets their commands.
func (o Options) open(ctx context.Context, targets iter.Seq[Target], template *placeholder.Template, entry func(Target) hosts.Entry) (_ *work, err error) {
	w := &work{opts: o}
	if o.pool == nil {
		w.clock = clock.New()
	}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	var c connect.Options
	if c, w.passwords, err = o.connect(); err != nil {
		return nil, err
	}
	c.Entry, c.Engine.Clock = entry, w.clock
	if o.Client.Dial != nil {
		c.Network = tcp.Dialer{Timeouts: c.Timeouts.WithDefaults(), Clock: w.clock, Connect: o.Client.Dial}
	}
	if w.plan, err = c.Plan(ctx, targets, template); err != nil {
		return nil, err
	}
	config, err := c.ReadConfig() // the plan's
	if err != nil {
		return nil, err
	}
	w.config = config.Files()
	if err = w.plan.Same(); err != nil {
		return nil, err
	}
	if w.engine, err = w.plan.Engine(ctx); err != nil {
		return nil, err
	}
	w.engine.Targets = w.plan.Len()
	return w, nil
}

func (w *work) close() {
	if w.plan != nil {
		w.plan.Close()
	}
	if w.passwords != nil {
		w.passwords.Wipe()
	}
	if w.clock != nil {
		w.clock.Close()
	}
}
