package config

import (
	"context"
	"fmt"
	"strconv"
)

// Options are settings of a host besides the configuration. They override it, including -o
// options. The zero value sets nothing.
type Options struct {
	// User is the login name, as ssh -l takes it; "" means none.
	User string
	// Port is the TCP port, as ssh -p takes it; 0 means none.
	Port uint16
	// Jump is what ssh -J takes; "" means none.
	Jump string
	// Command is the remote command, for Match command.
	Command string
	// Set are options for this host only, as ssh -o takes them. Those of LoadOptions come
	// before them.
	Set []string
	// Program means that the host can be reached with the system's ssh: what only that has is
	// no error. See Resolved.Program.
	Program bool
}

// Resolve returns the configuration of a host, named as on ssh's command line but without user
// and port. It runs Match exec and looks up names as the configuration requests, until ctx
// ends.
//
// An error is a [Problem] with its line, if it comes from one: a value that cannot be used for
// this host, a refused keyword (see [Keywords]), or RefuseConnection.
func (c *Config) Resolve(ctx context.Context, host string, o Options) (*Resolved, error) {
	r, err := c.resolve(ctx, host, &o, true)
	if err == nil {
		err = r.refused(o.Program)
	}
	if err != nil {
		return nil, fmt.Errorf("resolving %.80q: %w", host, err)
	}
	return r, nil
}

// resolve is Resolve without refusing keywords. If commandLine is false, -o options are
// ignored: they do not apply to jump hosts.
func (c *Config) resolve(ctx context.Context, host string, o *Options, commandLine bool) (*Resolved, error) {
	if err := ValidHostName(host); err != nil {
		return nil, err
	}
	e := &evaluation{ctx: ctx, config: c, options: o, original: host, host: host}
	if err := e.applyOptions(commandLine); err != nil {
		return nil, err
	}
	if err := e.pass(); err != nil {
		return nil, err
	}
	if s := e.values.first[opHostName]; s != nil {
		name, err := e.currentHost()
		if err != nil {
			return nil, &Problem{*s.source, "hostname", err}
		}
		e.host = name
	}
	if err := e.canonicalize(); err != nil {
		return nil, err
	}
	if err := e.finalPass(); err != nil {
		return nil, err
	}
	return e.finish()
}

// literal marks the value of a setting in which tokens are not expanded, because it did not
// come from a configuration.
type literal struct{}

// applyOptions applies the caller's options and then those of -o.
func (e *evaluation) applyOptions(commandLine bool) error {
	source := &Source{File: CommandLine}
	set := func(o op, text string) *setting {
		s := &setting{op: o, source: source, user: true, text: text}
		e.values.first[o] = s
		return s
	}
	if e.options.User != "" {
		set(opUser, e.options.User).value = literal{}
	}
	if e.options.Port != 0 {
		set(opPort, strconv.Itoa(int(e.options.Port))).num = int64(e.options.Port)
	}
	if e.options.Jump != "" {
		list, err := parseJumps(e.options.Jump)
		if err != nil {
			return err
		}
		set(opProxyJump, "").value = list
	}
	if !commandLine {
		return nil
	}
	active := true
	if err := e.file(e.config.commandLine, &active, false); err != nil {
		return err
	}
	f, err := e.config.perHost.read(e.options.Set)
	if f == nil || err != nil {
		return err
	}
	return e.file(f, &active, false)
}

// finalPass evaluates the files once more if canonicalization or a Match final requires it:
// Host lines are now compared with the final host name.
func (e *evaluation) finalPass() error {
	mode := e.text(opCanonicalizeHostname)
	if !e.config.wantFinal && (mode == "" || mode == "false") {
		return nil
	}
	// Values that have been used already no longer change (ssh.c,
	// fill_default_options_for_canonicalization).
	for _, s := range []*setting{
		{op: opHostName, text: e.host},
		{op: opCanonicalizeHostname, text: "false"},
		{op: opCanonicalizeFallbackLocal, text: "yes"},
		{op: opCanonicalizeMaxDots, text: "1", num: 1},
	} {
		if e.values.first[s.op] == nil {
			s.source = &Source{}
			e.values.first[s.op] = s
		}
	}
	e.final = true
	return e.pass()
}
