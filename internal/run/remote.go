package run

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"shoal/internal/clock"
	"shoal/internal/hint"
	"shoal/internal/journal"
	"shoal/internal/remote"
	"shoal/internal/remote/become"
	"shoal/internal/remote/wrap"
	"shoal/internal/ssh"
	"shoal/internal/transfer"
)

// Remote says how the commands of a run are wrapped at the far end. The zero value
// does not wrap them.
type Remote struct {
	// Once leaves a marker that makes a second start impossible.
	Once bool
	// KillOnCancel kills the process group of a command that was given up: ctx has
	// ended, or the command timeout has passed. It leaves a marker.
	KillOnCancel bool
	// Detach lets a command run on without us; [Inquiry.Collect] fetches what came of
	// it. It leaves a marker.
	Detach bool
	// Timeout is the time after which the far end stops a command; 0 means never.
	Timeout time.Duration
	// Dir is the directory for markers; "" means remote.DefaultDir.
	Dir string
	// Env are variables, NAME=VALUE, Chdir is the working directory and Umask the umask of
	// the commands; see remote.Place. "" means what the host has.
	Env          []string
	Chdir, Umask string
	// Secrets are variables that the journal keeps the names of; see remote.Secrets. nil means
	// none.
	Secrets *remote.Secrets
	// Input is the standard input of every command; nil means none. Its InputDigest, the
	// SHA-256 in hexadecimal, must be set too.
	Input       ssh.Input
	InputDigest string
	// Script is run in place of a command: the command of each target is [Script.Words]. nil
	// runs commands.
	Script *Script
	// PTY is the pseudo-terminal of commands that get one; see plan.PTY. It goes with none
	// of the others.
	PTY ssh.PTY
	// Push copies files instead of running commands: the command of each target is the path
	// there. It goes with none of the above; nil runs commands.
	Push *transfer.Push
	// Pull is the same the other way.
	Pull *transfer.Pull

	// Become is the user as whom commands run, or files are copied; nil means the account.
	Become *become.Options

	// key is 80 random bits in the names of the run's markers, because runs of other
	// programs may have the same name. "" in runs of older programs.
	key string
}

// grace is the time between TERM and KILL.
const grace = 5 * time.Second

// Marked reports whether the hosts keep a marker.
func (r Remote) Marked() bool { return r.Once || r.KillOnCancel || r.Detach }

// Wraps reports whether commands are wrapped.
func (r Remote) Wraps() bool { return r.wrap("run", 0).Wraps() }

// Validate returns an error for a value that is out of range.
func (r Remote) Validate() error {
	if r.Become == nil {
		return r.wrap("run", 0).Validate()
	}
	if err := r.Become.Validate(); err != nil {
		return err
	}
	if r.Push != nil && r.Push.Options.Via.SFTP() || r.Pull != nil && r.Pull.Via.SFTP() {
		return hint.New("an SFTP server works as the account that logs in: --via sftp and auto cannot go with --become", "leave out --via, or log in as that user (-l)")
	}
	if r.Become.Direct && (r.Wraps() || r.Input != nil || r.Push != nil || r.Pull != nil) {
		return hint.New("with --become-direct no shell runs as the other user, so that no script, file, standard input, variable, directory, time limit or marker goes with it",
			"leave them out, or --become-direct, which needs sudoers that allow /bin/sh")
	}
	if r.Become.Terminal() && (r.Wraps() || r.Input != nil || r.Push != nil || r.Pull != nil) {
		return hint.New("doas and su read a password from a terminal only, which has no standard input and one stream for both outputs: "+
			"no script, file, variable, directory or marker goes with them", "use sudo, or let doas ask for no password (nopass)")
	}
	return r.wrap("run", 0).Validate()
}

// A Becomer is a Dialer that has other processes make the attempts: they have passwords of their own.
type Becomer interface {
	// Become returns a Dialer whose commands they run as the user that the options name.
	Become(o become.Options) ssh.Dialer
}

// Dialer returns a Dialer of connections through d whose commands run as r.Become says.
func (r Remote) Dialer(d ssh.Dialer, clock *clock.Clock) (ssh.Dialer, error) {
	if r.Become == nil {
		return d, nil
	}
	o := *r.Become
	if b, ok := d.(Becomer); ok {
		return b.Become(o), nil
	}
	o.Clock = clock
	return become.New(d, o)
}

// wrap returns the wrapper for one process (session) of a run.
func (r Remote) wrap(run string, session int) wrap.Options {
	if r.key != "" {
		run += "-" + r.key
	}
	o := wrap.Options{
		Place: r.place(), Secrets: r.Secrets, Becomes: r.Become != nil,
		Run: run, Session: session,
		Once: r.Once, Killable: r.KillOnCancel, Detach: r.Detach,
		Timeout: r.Timeout, Grace: grace, Dir: r.Dir, Input: r.Input, InputDigest: r.InputDigest, PTY: r.PTY,
	}
	if r.Script != nil {
		o.Script = r.Script.Script
	}
	return o
}

func (r Remote) place() *remote.Place {
	if len(r.Env) == 0 && r.Chdir == "" && r.Umask == "" {
		return nil
	}
	return &remote.Place{Env: r.Env, Dir: r.Chdir, Umask: r.Umask}
}

func newKey() string { return rand.Text()[:16] } // of 32 letters and digits

// The names under which the journal keeps a Remote. Those up to optionDir are
// values of flags of shoal run.
const (
	optionOnce    = "once"
	optionKill    = "kill-on-cancel"
	optionDetach  = "detach"
	optionTimeout = "remote-timeout"
	optionDir     = "run-dir"
	optionKey     = "marker-key"
	optionInput   = "stdin" // size and SHA-256
	optionEnv     = "env"   // quoted, as is the next: they may have any bytes
	optionChdir   = "chdir"
	optionUmask   = "umask"
	optionScript  = "script"     // quoted path and SHA-256
	optionSecrets = "env-secret" // names
	optionBecome  = "become"     // quoted method and user, and the time limit
	optionPush    = "push"       // see transfer.Recorded
	optionPull    = "pull"       // see transfer.Pull.Recorded
)

// RemoteOptions are the names of the options that are flags.
var RemoteOptions = []string{optionOnce, optionKill, optionDetach, optionTimeout, optionDir}

// options returns r as the journal keeps it.
func (r Remote) options() map[string]string {
	options := make(map[string]string)
	for name, value := range map[string]string{optionDir: r.Dir, optionEnv: quoted(r.Env...), optionChdir: quoted(r.Chdir), optionUmask: r.Umask, optionInput: r.input(), optionSecrets: strings.Join(r.Secrets.Names(), ","), optionScript: r.Script.recorded(), optionBecome: r.becomes()} {
		if value != "" {
			options[name] = value
		}
	}
	for name, set := range map[string]bool{optionOnce: r.Once, optionKill: r.KillOnCancel, optionDetach: r.Detach} {
		if set {
			options[name] = strconv.FormatBool(true)
		}
	}
	if r.Timeout != 0 {
		options[optionTimeout] = r.Timeout.String()
	}
	if r.Push != nil {
		options[optionPush] = r.Push.Recorded()
	}
	if r.Pull != nil {
		options[optionPull] = r.Pull.Recorded()
	}
	if r.Marked() && r.key != "" {
		options[optionKey] = r.key
	}
	return options
}

// recorded returns the options that the journal keeps, with noCommand only those from which
// nobody sees what the command was.
func (r Remote) recorded(noCommand bool) map[string]string {
	options := r.options()
	if noCommand {
		delete(options, optionEnv)
		delete(options, optionScript)
		delete(options, optionPush)
		delete(options, optionPull)
		delete(options, optionInput) // a short one can be found by its digest, and nobody asks for it
	}
	return options
}

// becomes returns r.Become without the password; "" for nil.
func (r Remote) becomes() string {
	if r.Become == nil {
		return ""
	}
	words := []string{string(r.Become.Method), r.Become.User, r.Become.Timeout.String()}
	if r.Become.Direct {
		words = append(words, "direct")
	}
	return quoted(words...)
}

// becomeOf is the reverse of becomes.
func becomeOf(text string) (*become.Options, error) {
	if text == "" {
		return nil, nil
	}
	words, err := unquoted(text)
	direct := len(words) == 4 && words[3] == "direct"
	if err != nil || len(words) != 3 && !direct {
		return nil, fmt.Errorf("the run's own --become is recorded as %.100q, which this program cannot read", text)
	}
	o := &become.Options{Method: remote.Method(words[0]), User: words[1], Direct: direct}
	if o.Timeout, err = time.ParseDuration(words[2]); err != nil {
		return nil, fmt.Errorf("the run's own --become-timeout: %w", err)
	}
	return o, o.Validate()
}

// SecretNames returns the names of the secret variables that the commands of a run had.
func SecretNames(info *journal.RunInfo) []string {
	if text := info.Options[optionSecrets]; text != "" {
		return strings.Split(text, ",")
	}
	return nil
}

// input returns size and SHA-256 of the input; "" if it has no bytes.
func (r Remote) input() string {
	if r.Input == nil || r.Input.Size() == 0 {
		return ""
	}
	return fmt.Sprintf("%d %s", r.Input.Size(), r.InputDigest)
}

// CheckInput returns an error unless r has the script and the standard input that the
// commands of a run in the journal had.
func (r Remote) CheckInput(info *journal.RunInfo) error {
	if (r.Push != nil) != (info.Options[optionPush] != "") || (r.Pull != nil) != (info.Options[optionPull] != "") {
		return fmt.Errorf("the run %s copied files, or this one does: its targets have paths in place of commands", info.Run)
	}
	if info.Settings != nil && info.Settings.NotCommands && !Copies(info) && info.Options[optionScript] == "" {
		return fmt.Errorf("the run %s: %w: its targets have something else in place of commands", info.Run, journal.ErrNewer)
	}
	if info.Options[optionScript] != r.Script.recorded() {
		return hint.Wrap(fmt.Errorf("the run %s ran a script, or this one does, and it is not the same: without it the script's arguments would be commands", info.Run), "shoal script makes a new run")
	}
	if had, has := SecretNames(info), r.Secrets.Names(); !slices.Equal(slices.Sorted(slices.Values(had)), slices.Sorted(slices.Values(has))) {
		return hint.Wrap(fmt.Errorf("the commands of the run %s had the secret variables %q, and now they are %q", info.Run, had, has), "give them again with --env-secret NAME")
	}
	switch had, has := info.Options[optionInput], r.input(); {
	case had == has:
		return nil
	case had == "":
		return hint.Wrap(fmt.Errorf("the commands of the run %s had no standard input", info.Run), "shoal run makes a new run with one")
	case has == "":
		return hint.Wrap(fmt.Errorf("the commands of the run %s had a standard input (bytes and SHA-256: %s), which is needed again", info.Run, had), "give it with --stdin or --stdin-from FILE")
	default:
		return fmt.Errorf("the standard input is not that of the run %s: bytes and SHA-256 are %s, and were %s", info.Run, has, had)
	}
}

// quoted joins words as Go strings; "" for no words, and for one that is empty.
func quoted(words ...string) string {
	if len(words) == 1 && words[0] == "" {
		return ""
	}
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = strconv.Quote(w)
	}
	return strings.Join(all, " ")
}

func unquoted(text string) (words []string, err error) {
	for text != "" {
		prefix, err := strconv.QuotedPrefix(text)
		if err != nil {
			return nil, err
		}
		word, err := strconv.Unquote(prefix)
		if err != nil {
			return nil, err
		}
		words, text = append(words, word), strings.TrimPrefix(text[len(prefix):], " ")
	}
	return words, nil
}

// Copies reports whether a run in the journal copied files.
func Copies(info *journal.RunInfo) bool {
	return info.Options[optionPush]+info.Options[optionPull] != ""
}

// openPull opens the directory for what is pulled, before anything starts.
func (r Remote) openPull() error {
	if r.Pull == nil {
		return nil
	}
	return r.Pull.Open()
}

// PullOf returns the pull of a run in the journal; nil if it was none. The caller closes it.
func PullOf(info *journal.RunInfo) (*transfer.Pull, error) {
	if text := info.Options[optionPull]; text != "" {
		return transfer.ReopenPull(text)
	}
	return nil, nil
}

// OpenPush reads again what a run in the journal pushed; nil if it ran commands. It fails
// unless the sources are what they were. The caller closes it.
func OpenPush(ctx context.Context, info *journal.RunInfo) (*transfer.Push, error) {
	if info.Options[optionPush] == "" {
		return nil, nil
	}
	was, err := transfer.ParseRecorded(info.Options[optionPush])
	if err != nil {
		return nil, fmt.Errorf("the run %s: %w", info.Run, err)
	}
	const again = "shoal push makes a new run of what is there now"
	m, err := transfer.Read(ctx, was.Sources, was.Options.CopyLinks)
	if err != nil {
		return nil, hint.Wrap(fmt.Errorf("what the run %s pushed cannot be read again: %w", info.Run, err), again)
	}
	if m.Digest != was.Digest {
		return nil, errors.Join(hint.Wrap(fmt.Errorf("what the run %s pushed has changed since: %q", info.Run, was.Sources), again), m.Close())
	}
	return &transfer.Push{Manifest: m, Options: was.Options}, nil
}

// Reopen sets what the run in the journal sent to or took from the hosts, script, files or
// directory, in r. It fails unless these are what they were. closeAll must be called when every
// attempt has ended, also after an error.
func Reopen(ctx context.Context, info *journal.RunInfo, r *Remote) (closeAll func(), err error) {
	var push *transfer.Push
	var pull *transfer.Pull
	closeAll = func() {
		if push != nil {
			_ = push.Close() // it was only read
		}
		if pull != nil {
			_ = pull.Close()
		}
	}
	if r.Script, err = OpenScript(info); err != nil {
		return closeAll, err
	}
	if push, err = OpenPush(ctx, info); err != nil {
		return closeAll, err
	}
	pull, err = PullOf(info)
	r.Push, r.Pull = push, pull
	return closeAll, err
}

// ByWorkers reports whether workers have sent the commands of a run in the journal.
func ByWorkers(info *journal.RunInfo) bool {
	return info.Settings != nil && len(info.Settings.Flags["cluster"]) > 0
}

// RemoteOf returns how the commands of a run in the journal were wrapped.
func RemoteOf(info *journal.RunInfo) (r Remote, err error) {
	for name, flag := range map[string]*bool{optionOnce: &r.Once, optionKill: &r.KillOnCancel, optionDetach: &r.Detach} {
		if text, kept := info.Options[name]; kept {
			if *flag, err = strconv.ParseBool(text); err != nil {
				return r, fmt.Errorf("the run's own --%s: %w", name, err)
			}
		}
	}
	if text, kept := info.Options[optionTimeout]; kept {
		if r.Timeout, err = time.ParseDuration(text); err != nil {
			return r, fmt.Errorf("the run's own --%s: %w", optionTimeout, err)
		}
	}
	if r.Env, err = unquoted(info.Options[optionEnv]); err != nil {
		return r, fmt.Errorf("the run's own --%s: %w", optionEnv, err)
	}
	if r.Become, err = becomeOf(info.Options[optionBecome]); err != nil {
		return r, err
	}
	dir, err := unquoted(info.Options[optionChdir])
	if err != nil {
		return r, fmt.Errorf("the run's own --%s: %w", optionChdir, err)
	}
	r.Chdir, r.Umask = strings.Join(dir, ""), info.Options[optionUmask]
	r.Dir, r.key = info.Options[optionDir], info.Options[optionKey]
	return r, nil
}
