package shoal

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"os/user"
	"path/filepath"
	"time"

	"shoal/hosts"
	"shoal/internal/engine"
	"shoal/internal/plan"
	"shoal/internal/remote/wrap"
	"shoal/internal/ssh"
	"shoal/internal/ssh/client"
	"shoal/internal/ssh/hostkeys"
	"shoal/internal/ssh/wire"
)

// Options say how to run. The zero value works as ssh does: the local user's
// name, the usual identities and the agent, the usual known_hosts, strictly
// checked. They are not changed after use.
type Options struct {
	// User is the login name where a target names none. "" means the local
	// user's.
	User string
	// Port is the TCP port where a target names none. 0 means 22.
	Port uint16

	// SSHConfig is the ssh_config to read, as ssh -F takes it: "" means
	// ~/.ssh/config and /etc/ssh/ssh_config, "none" none at all.
	SSHConfig string
	// SSHOptions are options of ssh_config, Key=Value, that win over its files,
	// as ssh -o takes them.
	SSHOptions []string
	// ExecTimeout bounds each command of Match exec in ssh_config. 0 means 10 s.
	ExecTimeout time.Duration
	// Jump are the jump hosts of all targets, as ssh -J takes them. "" means those
	// of ssh_config; "none" means none.
	Jump string
	// Entry gives what the inventory knows of a target beside its name; see
	// hosts.List. nil means nothing.
	Entry func(Target) hosts.Entry
	// Preview are the targets of the runs to come, or some of them: what has to
	// be asked for them is asked by OpenDialer. nil means that nothing is asked
	// in advance but for Identities.
	Preview iter.Seq[Target]

	// Identities are private key files, offered before those of ssh_config. nil
	// means those alone, which by default are the usual ones of ~/.ssh.
	Identities []string
	// Agent is the socket of an SSH agent. "" means that of ssh_config, by
	// default $SSH_AUTH_SOCK; NoAgent means none.
	Agent string
	// Passwords answers servers that ask for a password, after all keys. nil
	// means that none is sent.
	Passwords ssh.Passwords
	// Passphrase is asked for the passphrase of an encrypted key file. nil
	// means that encrypted files are passed over, with a notice.
	Passphrase func(path string) ([]byte, error)

	// KnownHosts are the known_hosts files; new keys go into the first. nil
	// means those of ssh_config, by default ~/.ssh/known_hosts and the system's.
	KnownHosts []string
	// HostKeys says what becomes of a host that they do not know. The zero
	// value, hostkeys.Strict, refuses it, unless ssh_config says accept-new.
	HostKeys hostkeys.Policy

	// Fanout bounds the targets worked on at once. 0 means as many as this
	// machine carries: see engine.DefaultFanout.
	Fanout int
	// Dials bounds the connections being started, of all in flight. 0 means
	// engine.DefaultDials.
	Dials int
	// Starts bounds the connections being started to one host and port. 0
	// means engine.DefaultStarts; negative means no bound.
	Starts int
	// Timeouts are the deadlines of each attempt. 0 means the default of each.
	Timeouts ssh.Timeouts
	// MaxOutput bounds the bytes kept of each stream of each target. 0 means
	// 1 MiB; negative means no bound. What is dropped is counted, and the
	// result says so.
	MaxOutput int64
	// MaxHeld bounds the bytes kept of all targets whose results have not been
	// taken yet, together, in the same way. 0 means a quarter of the free
	// memory; negative means no bound.
	MaxHeld int64

	// Engine has what else there is to say of the fan-out: attempts, rate,
	// rollout, brakes, barrier. What this struct has fields for is set from them.
	// Its Clock is the Dialer's too; nil means one of the run's own, so that no
	// deadline passes because this process was stopped.
	Engine engine.Options

	// Drain, when closed, ends the starting of commands and lets those that
	// run end. nil means never.
	Drain <-chan struct{}
	// Follow is told when a running command has written something. It must not
	// block. nil means that nobody follows.
	Follow func(*engine.Output)
	// Notice is told what a person should know and need not act on, such as a
	// key file that was passed over. nil means that nobody is.
	Notice func(string)

	// Pipeline is how much is sent before the server has answered what came
	// before it. The zero value, client.Full, is the fastest; with client.Off
	// a connection that is lost is least often unknown.
	Pipeline client.Pipeline
	// Classical prefers key exchange without post-quantum protection: one round
	// trip less to a host that is not remembered.
	Classical bool
	// StateDir is where it is remembered what servers are like, so that the next
	// run takes fewer round trips. Nothing secret is kept, and nothing that makes
	// a host trusted. "" keeps nothing; DefaultStateDir is what shoal run takes.
	StateDir string
	// Client is the SSH implementation. The zero value is the best.
	Client Client

	// Remote says what is asked of the far end: that a command runs once, ends
	// in time, can be killed, or runs on without us. The zero value asks for
	// nothing.
	Remote wrap.Options

	// Network opens the connections. nil means TCP.
	Network ssh.Network
	// Trace is told of every SSH message of connect/express; see
	// wire.Config. nil means that nobody is.
	Trace func(wire.Message)

	// Dialer connects instead of what the fields from Identities to HostKeys,
	// Timeouts and those from Pipeline on describe. nil means that they do.
	Dialer ssh.Dialer
}

// A Client is an implementation of SSH.
type Client uint8

// The implementations.
const (
	// ClientBest is connect/express, and connect/standard for servers that share
	// no algorithm with it; the result says so (fleet.FlagFallback).
	ClientBest Client = iota
	// ClientStandard is connect/standard alone, on golang.org/x/crypto/ssh.
	ClientStandard
)

// DefaultStateDir is shoal's directory in $XDG_STATE_HOME, which is
// ~/.local/state where that is not set; "" when there is no home.
func DefaultStateDir() string {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "shoal")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "state", "shoal")
	}
	return ""
}

// NoAgent as Options.Agent means that no agent is asked.
const NoAgent = plan.NoAgent

// Validate tells what is out of range. It opens no file.
func (o Options) Validate() error {
	if o.HostKeys > hostkeys.Insecure {
		return fmt.Errorf("unknown host-key policy %d", o.HostKeys)
	}
	if o.Pipeline > client.Off {
		return fmt.Errorf("unknown pipelining %d", o.Pipeline)
	}
	if o.Client > ClientStandard {
		return fmt.Errorf("unknown client %d", o.Client)
	}
	if o.ExecTimeout < 0 {
		return fmt.Errorf("a time limit of %v for Match exec is negative; 0 means the default", o.ExecTimeout)
	}
	if err := o.Timeouts.Validate(); err != nil {
		return err
	}
	if err := o.Remote.Validate(); err != nil {
		return err
	}
	return o.engine(nopDialer{}).Validate()
}

// nopDialer stands for the dialer that does not exist yet.
type nopDialer struct{ ssh.Dialer }

func (o Options) engine(d ssh.Dialer) engine.Options {
	e := o.Engine
	e.Dialer = d
	e.Fanout, e.Dials, e.Starts = o.Fanout, o.Dials, o.Starts
	e.MaxOutput, e.MaxHeld = o.MaxOutput, o.MaxHeld
	e.Drain, e.Follow, e.Notice = o.Drain, o.Follow, o.Notice
	return e
}

// LoginName is the user for targets that name none.
func (o Options) LoginName() (string, error) {
	if o.User != "" {
		return o.User, nil
	}
	if local, err := user.Current(); err == nil {
		return local.Username, nil
	}
	if name := os.Getenv("USER"); name != "" {
		return name, nil
	}
	return "", errors.New("the local user's name is not known\nhint: name the login user with -l or Options.User")
}
