package shoal

import (
	"context"
	"io"
	"net"
	"time"

	"shoal/fleet"
	"shoal/hosts"
)

// Options configure a run. The zero value works as ssh does: the local user's name,
// ssh_config, the default identities and the agent, the default known_hosts files.
// They must not be changed while they are used.
type Options struct {
	Login    Login    // as whom
	Config   Config   // ssh_config and jump hosts
	HostKeys HostKeys // whom to trust
	Limits   Limits   // how much at a time, how often
	Timeouts Timeouts // of each attempt
	Rollout  Rollout  // stages and brakes
	Remote   Remote   // once, kill, detach
	Client   Client   // the SSH client

	// Stdin is the standard input of every command, read at the pace of each host. A
	// command need not read all of it. [Journal.Resume] and [Journal.Rerun] must get the
	// same bytes again. nil means EOF at once.
	Stdin Input
	// Terminal gives commands a pseudo-terminal: both streams are Stdout then, with CR LF, and the
	// result has fleet.FlagPTY. It goes with neither Stdin nor what of Remote is a wrapper. nil
	// means none.
	Terminal *Terminal
	// Inventory describes the hosts: addresses, key files. It must be the list whose
	// Targets are run. nil means nothing but names.
	Inventory *hosts.List
	// Journal records the run. nil records nothing. The methods of a [Journal] use that
	// one; another here is an error.
	Journal *Journal
	// Resume is what [Journal.Resume] may do.
	Resume ResumeOptions

	// Output is called with what is kept of the output of a running command, in order,
	// before its result comes, which has it too. It is never called twice at the same
	// time. Running commands do not wait for it, but results do, and so do the targets
	// that wait for one of Limits.Fanout. With Limits.Idempotent a target that is tried
	// again begins anew. If it panics while a command runs, nothing more is started, and
	// the panic is the run's error. nil disables it.
	Output func(t Target, s fleet.Stream, p []byte)
	// Notice is called with messages that a person should know but need not act on,
	// such as a skipped key file. nil disables it.
	Notice func(text string)
	// Drain, when closed, stops the starting of commands and lets running ones finish.
	// nil means never.
	Drain <-chan struct{}

	pool *Pool // has the connections; nil: the run makes its own
}

// An Input is the standard input of commands, such as a *bytes.Reader or an
// *io.SectionReader of a file. It is read at many places at the same time, and must not
// change.
type Input interface {
	io.ReaderAt
	Size() int64 // in bytes
}

// A Terminal is a pseudo-terminal on the hosts.
type Terminal struct {
	// Type is that of $TERM, at most 64 bytes. "" means dumb.
	Type string
	// Columns and Rows are its size. 0 means 80 and 24.
	Columns, Rows int
}

// Login says as whom to log in, and with what.
type Login struct {
	// User is the login name for targets that name none. "" means that of ssh_config,
	// or the local user's.
	User string
	// Port is the TCP port for targets that name none. 0 means that of ssh_config, or
	// 22.
	Port uint16
	// Identities are private key files, offered before those of ssh_config. nil means
	// only those of ssh_config, by default the usual files in ~/.ssh.
	Identities []string
	// MaxKeys bounds the keys offered to a host, including certificates. 0 means 5.
	MaxKeys int
	// Passphrase returns the passphrase of an encrypted key file. nil means that
	// encrypted files are skipped, with a notice.
	Passphrase func(path string) ([]byte, error)
	// Agent is the socket of the SSH agent. "" means that of ssh_config, by default
	// $SSH_AUTH_SOCK; NoAgent means no agent.
	Agent string
	// ForwardAgent says which hosts may use an agent of ours, in the values of ForwardAgent of
	// ssh_config: "yes", "no", or the path of a socket. "" means what ssh_config says. A host
	// that known_hosts did not list before the run never gets it: with "yes" or a path it has
	// fleet.ReasonAgentWithheld and runs nothing, otherwise its result has fleet.FlagNoAgent, as
	// that of a server which refuses. Not for Remote.Detach.
	ForwardAgent string
	// AgentSignatures bounds the signatures that a host gets from it. 0 means 100.
	AgentSignatures int
	// ConfirmAgent is called before each of these signatures, one at a time, with a question of
	// one line, and returns whether it may be made. ctx ends after a minute. nil allows all.
	ConfirmAgent func(ctx context.Context, question string) bool
	// Password returns the password for hosts that accept none of the keys. It is
	// called once, and the password is sent only to hosts whose key is known. nil
	// means that no password is sent.
	Password func(ctx context.Context) ([]byte, error)
}

// NoAgent as Login.Agent disables the SSH agent.
const NoAgent = "none"

// Config says what is read of ssh_config, and what takes precedence over it.
type Config struct {
	// File is the ssh_config file, as for ssh -F. "" means ~/.ssh/config and
	// /etc/ssh/ssh_config; "none" means no file.
	File string
	// Set are options, Key=Value, as for ssh -o.
	Set []string
	// Jump is the list of jump hosts for all targets, as for ssh -J. "" means those of
	// File; "none" means no jump host.
	Jump string
	// ExecTimeout bounds each command of Match exec. 0 means 10 s.
	ExecTimeout time.Duration
}

// HostKeys says how host keys are checked.
type HostKeys struct {
	// Files are the known_hosts files; new keys are added to the first. nil means
	// those of ssh_config, by default ~/.ssh/known_hosts and the system's.
	Files []string
	// Policy is for hosts that the files do not list, jump hosts included.
	Policy HostKeyPolicy
}

// A HostKeyPolicy is how hosts are treated that known_hosts does not list.
type HostKeyPolicy uint8

// The policies. All refuse a revoked key, and all but the last a changed one.
const (
	HostKeysConfig    HostKeyPolicy = iota // refuse them, unless ssh_config says accept-new
	HostKeysStrict                         // refuse them
	HostKeysAcceptNew                      // add their keys
	HostKeysInsecure                       // accept anything
)

// Limits are how much is done at a time, how often, and how much is kept.
type Limits struct {
	// Fanout limits the targets in progress. 0 means as many as this machine can
	// handle.
	Fanout int
	// Dials limits the connections being established, over all servers. 0 means 256.
	Dials int
	// Starts limits the connections being established to one host and port. 0 means
	// that the number is adapted to the server; negative means no limit.
	Starts int
	// Rate limits the connections started per second. 0 means no limit.
	Rate float64
	// Attempts is the maximum number of attempts at a target; only what certainly did
	// not run is tried again. 0 means 3.
	Attempts int
	// Idempotent means that the command may run more than once: a target is tried
	// again too if it is unknown whether it ran.
	Idempotent bool
	// MaxOutput limits the bytes kept of each stream of each target. 0 means 1 MiB;
	// negative means no limit. Dropped bytes are counted, and the result has
	// fleet.FlagOutputTruncated.
	MaxOutput int64
	// MaxHeld limits the bytes kept for all targets together whose results were not
	// received yet. 0 means a quarter of the free memory; negative means no limit.
	MaxHeld int64
}

// Timeouts are the deadlines of one attempt. 0 means the default.
type Timeouts struct {
	Connect time.Duration // from the name look-up to the end of authentication; by default no limit
	Dial    time.Duration // name look-up and TCP connect; by default 10 s
	Kex     time.Duration // version line, key exchange and host key; by default 15 s
	Auth    time.Duration // user authentication; by default 30 s
	Session time.Duration // opening the channel, and the answer to exec; by default 15 s
	Command time.Duration // from the answer to exec on; by default no limit. Then TERM is sent
	Drain   time.Duration // from the exit status to the channel's close; by default 5 s
	// Alive is the time without a message from the server after which a keepalive is
	// sent; after three without an answer the server counts as vanished. By default
	// 15 s; negative disables it.
	Alive time.Duration
	// AliveMax replaces the three. 0 means 3; negative means none.
	AliveMax int
}

// An Amount is a number of targets, or a percentage of them. Both are an error.
type Amount struct {
	Count   int
	Percent float64
}

// A Rollout starts targets in stages, and stops when too much goes wrong. What is not
// started then is cancelled. The zero value starts all targets.
type Rollout struct {
	// Stages are how many targets are started before all of them have ended and the
	// next stage begins. The rest is one more stage.
	Stages []Amount
	// Pause is the time between two stages.
	Pause time.Duration
	// Check is called between two stages with the number of the stage that has ended,
	// from 1. An error stops the run. nil disables it.
	Check func(ctx context.Context, stage int) error
	// MaxFail stops the run when this many targets have failed or were never started,
	// counted together; MaxUnknown when it is unknown of this many whether the command
	// ran. A percentage is of the targets that the stages have admitted so far, rounded
	// up. 0 is an error; nil means no limit.
	MaxFail, MaxUnknown *Amount
	// FailFast stops the run at the first target that is not ok.
	FailFast bool
	// Barrier logs in everywhere and then starts all commands together.
	Barrier bool
}

// Remote wraps commands for the POSIX shell of the host. The zero value sends them as
// they are.
type Remote struct {
	// Once leaves a marker on the host that makes a second start impossible.
	Once bool
	// KillOnCancel kills the command's process group on the host when ctx ends, or
	// Timeouts.Command has passed.
	KillOnCancel bool
	// Detach lets the command run on without us: its outcome is fleet.OutcomeDetached,
	// and [Journal.Collect] fetches the result.
	Detach bool
	// Timeout is the time after which the host itself stops the command. 0 means
	// never.
	Timeout time.Duration
	// Env are variables, NAME=VALUE, for the command. They stand in the wrapper's command
	// line, which ps on the host shows, and in the journal: they are not for secrets.
	Env []string
	// EnvSecret are variables by their names whose values are secret, 64 KiB in all without NUL
	// bytes: they go to hosts with a known key only, through standard input, and stand in no
	// command line; others run nothing, with fleet.ReasonSecretWithheld. The journal keeps the
	// names, and [Journal.Resume] and [Journal.Rerun] need the values again. Not for Detach, nor
	// for names that shells use themselves.
	EnvSecret map[string][]byte
	// Chdir is the working directory; a relative one is seen from the account's home. Where
	// it cannot be entered nothing runs: the reason is fleet.ReasonChdirFailed. "" means
	// that home.
	Chdir string
	// Umask is in octal digits. "" means that of the host.
	Umask string
	// Dir is the directory for markers on the host. "" means
	// .local/state/shoal/marks in the account's home.
	Dir string
	// Become is the user as whom commands run, after Env, Chdir and the markers, which are
	// that user's too. nil means the account.
	Become *Become
}

// A Become says how the account becomes another user on the host. A command that could not do so
// was never started, with one of the reasons fleet.ReasonBecome….
type Become struct {
	// User is the user to become; "" means root.
	User string
	// Method is sudo, doas or su; "" means sudo. With a password doas and su need a terminal:
	// the result has fleet.FlagPTY, and neither Options.Stdin nor the rest of Remote goes with
	// them.
	Method string
	// Direct has sudo start the command's words themselves, for sudoers that allow certain
	// commands only: no shell runs as the user, so that the command has words and quotes alone,
	// and neither Options.Stdin, a Terminal nor the rest of Remote goes with it. Exit status 1
	// with text on the standard error may be sudo's own then: the outcome is unknown.
	Direct bool
	// Password returns the password that Method may ask for. It is called once, and the
	// password is sent, once for each command, only to hosts whose key is known, and to no
	// second one before one has accepted it. [Journal.Resume] and [Journal.Rerun] need it
	// again. nil means that what asks for a password fails.
	Password func(ctx context.Context) ([]byte, error)
	// Timeout is the time to become the user, and again from the password on. 0 means 1 min.
	Timeout time.Duration
}

// Client configures the SSH client. Standard and OpenSSH exclude each other, and both
// exclude Pipeline and Classical, which are for shoal's own client.
type Client struct {
	// Pipeline is how much is sent before the server has answered.
	Pipeline Pipeline
	// Classical prefers key exchange without post-quantum protection: it saves a round
	// trip with hosts that are new.
	Classical bool
	// Standard uses golang.org/x/crypto/ssh alone. Otherwise it is only for servers
	// with which shoal's own client shares no algorithm; the result then has
	// fleet.FlagFallback.
	Standard bool
	// OpenSSH uses the system's ssh alone. Otherwise, unless Standard is set, it is only for
	// hosts that want what only it has, such as Kerberos; the result then has
	// fleet.FlagOpenSSH.
	OpenSSH bool
	// StateDir keeps properties of servers, which saves round trips in later runs. It
	// holds no secrets, and nothing in it makes a host trusted. "" keeps nothing; see
	// [DefaultStateDir].
	StateDir string
	// Dial opens the connections to hosts and to jump hosts, as net.Dialer.DialContext
	// does. Targets for which ssh_config has a BindAddress or BindInterface are refused
	// then. nil means TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// A Pipeline is how much is sent before the server has answered.
type Pipeline uint8

// The pipelines.
const (
	PipelineFull Pipeline = iota // all that the server is known to accept: the fastest
	PipelineAuth                 // all but the command
	PipelineOff                  // nothing: the fewest unknown outcomes when connections are lost
)

// ResumeOptions are what [Journal.Resume] may do beside what is certain. [Journal.Rerun] reads
// only IgnoreSettings.
type ResumeOptions struct {
	// RerunUnknown also runs commands that may have run already.
	RerunUnknown bool
	// PastBrake also resumes a run that its own Rollout has stopped.
	PastBrake bool
	// PastRerun also runs targets that a later rerun of the run has taken: commands may
	// run a second time.
	PastRerun bool
	// IgnoreSettings also takes a run that had settings of which these Options say
	// nothing, such as flags of the program shoal. They do not hold for what is run now.
	IgnoreSettings bool
}
