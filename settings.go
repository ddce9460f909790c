package shoal

import (
	"os"
	"strconv"
	"strings"
	"time"

	"shoal/internal/engine"
	"shoal/internal/journal"
	"shoal/internal/run"
)

// flags returns what o has of the flags of shoal run, by name, as the journal keeps them for
// shoal resume and rerun. What has no flag has the name of its field, so that the program
// refuses the run instead of going on without it. Deadlines after the exit status,
// keepalives and MaxHeld change nothing that runs and are not kept; nor are passwords, and
// Remote but for Become, which the journal keeps apart.
func (o Options) flags() map[string][]string {
	kept := make(map[string][]string)
	set := func(condition bool, name string, values ...string) {
		if condition {
			kept[name] = values
		}
	}
	number := func(name string, n int) { set(n != 0, name, strconv.Itoa(n)) }
	span := func(name string, d time.Duration) { set(d != 0, name, d.String()) }
	amount := func(name string, a *Amount) {
		if a != nil {
			kept[name] = []string{engine.Amount(*a).String()}
		}
	}

	set(o.Login.User != "", "user", o.Login.User)
	number("port", int(o.Login.Port))
	set(len(o.Login.Identities) > 0, "identity", run.Absolute(o.Login.Identities)...)
	number("max-keys", o.Login.MaxKeys)
	set(o.Login.ForwardAgent != "", "forward-agent", o.Login.ForwardAgent)
	number("forward-agent-limit", o.Login.AgentSignatures)
	set(o.Login.ConfirmAgent != nil, "Login.ConfirmAgent", "")
	options := o.Config.Set
	switch o.Login.Agent {
	case "":
	case NoAgent:
		set(true, "no-agent", "true")
	default:
		socket := strings.ReplaceAll(run.Absolute([]string{o.Login.Agent})[0], "%", "%%") // ssh_config has tokens there
		options = append(options[:len(options):len(options)], `IdentityAgent="`+socket+`"`)
	}
	set(len(options) > 0, "option", options...)
	set(o.Config.File != "", "config", run.Absolute([]string{o.Config.File})...)
	set(o.Config.Jump != "", "jump", o.Config.Jump)
	span("exec-timeout", o.Config.ExecTimeout)
	set(len(o.HostKeys.Files) > 0, "known-hosts", run.Absolute(o.HostKeys.Files)...)
	if p := o.HostKeys.policy(); p != nil {
		kept["host-key"] = []string{p.String()}
	}

	number("fanout", o.Limits.Fanout)
	number("dials", o.Limits.Dials)
	number("starts-per-host", o.Limits.Starts)
	number("attempts", o.Limits.Attempts)
	set(o.Limits.Rate != 0, "rate", strconv.FormatFloat(o.Limits.Rate, 'g', -1, 64))
	set(o.Limits.Idempotent, "idempotent", "true")
	set(o.Limits.MaxOutput != 0, "max-output", strconv.FormatInt(max(0, o.Limits.MaxOutput), 10))
	span("connect-timeout", o.Timeouts.Connect)
	span("dial-timeout", o.Timeouts.Dial)
	span("kex-timeout", o.Timeouts.Kex)
	span("auth-timeout", o.Timeouts.Auth)
	span("session-timeout", o.Timeouts.Session)
	span("command-timeout", o.Timeouts.Command)

	stages := ""
	for _, a := range o.Rollout.Stages {
		stages += "," + engine.Amount(a).String()
	}
	set(stages != "", "rollout", stages[min(1, len(stages)):])
	span("pause", o.Rollout.Pause)
	amount("max-fail", o.Rollout.MaxFail)
	amount("max-unknown", o.Rollout.MaxUnknown)
	set(o.Rollout.FailFast, "fail-fast", "true")
	set(o.Rollout.Barrier, "barrier", "true")
	set(o.Rollout.Check != nil, "Rollout.Check", "")

	if b := o.Remote.Become.options(); b != nil { // so that no program resumes it as the account
		set(true, "become", "true")
		set(true, "become-user", b.User)
		set(true, "become-method", string(b.Method))
		span("become-timeout", b.Timeout)
		set(b.Direct, "become-direct", "true")
	}
	set(o.Terminal != nil, "pty", "true")
	set(o.Client.Pipeline == PipelineAuth, "pipeline", "auth")
	set(o.Client.Pipeline == PipelineOff, "pipeline", "off")
	set(o.Client.Classical, "pq", "off")
	set(o.Client.OpenSSH, "client", "ssh")
	set(o.Client.Standard, "client", "standard")
	set(o.Client.Dial != nil, "Client.Dial", "")
	return kept
}

// settings returns what the journal keeps of o, and of the files of ssh_config that were read;
// nil if nothing in o is a flag, or no journal keeps it.
func (o Options) settings(config []string) *journal.Settings {
	kept := o.flags()
	if o.Journal == nil || len(kept) == 0 {
		return nil
	}
	dir, _ := os.Getwd() // "" is no other directory
	return &journal.Settings{Directory: dir, Flags: kept, Files: run.Files(config, nil, o.Login.Identities)}
}
