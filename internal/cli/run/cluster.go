package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/spf13/pflag"
	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/cli/console"
	"shoal/internal/cli/flags"
	"shoal/internal/cluster"
	"shoal/internal/connect"
	"shoal/internal/hint"
	"shoal/internal/journal"
	"shoal/internal/run"
	"shoal/internal/ssh"
	"shoal/internal/ssh/auth"
	"shoal/internal/transfer"
	"shoal/internal/ui"
)

// ClusterFlags are the flags of a run on workers.
type ClusterFlags struct {
	flags.ClusterFlags
	signKey     string
	poolTimeout flags.Seconds
	follow      bool           // set by Validate
	pull        *transfer.Pull // set by SetCopy; nil: none
}

// clusterNames are their names.
var clusterNames = []string{keptCluster, "nats-creds", "nats-nkey", "nats-ca", "sign-key", "pool-timeout"}

// Group returns the flags, and adds the names of those that the journal keeps.
func (f *ClusterFlags) Group(kept *[]string) flags.FlagGroup {
	*kept = append(*kept, clusterNames...)
	g := flags.NewGroup("Workers")
	f.Register(g, "have workers near the hosts run the command, those of the pool that a host's attribute pool names, else of \"default\"")
	g.StringVar(&f.signKey, "sign-key", "", "sign what workers are asked with the key in `FILE`, or of which FILE is the public part and the agent has the other (default: ~/.ssh/id_ed25519)")
	g.Var(&f.poolTimeout, "pool-timeout", "give up on hosts when no worker of their pool is there for this time (default 30s)")
	return g
}

// notOnWorkers are the flags that workers do not carry out, with what to do instead.
var notOnWorkers = map[string][]string{
	"the way to the hosts is the worker's: give it to shoal worker": {
		"option", "identity", "max-keys", "no-agent", "ask-pass", "password-file", "host-key", "known-hosts", "pipeline", "pq", "client", "dials", "starts-per-host", "persist", "hold-max-age",
	},
	noAgent:   {"forward-agent", "forward-agent-limit", "forward-agent-confirm"},
	noBarrier: {"barrier"},
	noSecret:  {"env-secret"},
	"workers connect, and only they know how: leave it out":                          {"verbose"},
	"no secret goes through NATS: shoal worker --become-password-file names its own": {"ask-become-pass", "become-password-file"},
	"it is about this machine, or the way from it; shoal workers shows who is there": {"estimate"},
}

// The advice for flags that say what is to happen: they count too if the configuration has them.
const (
	noAgent   = "what signs for you stays on this machine: give the hosts or the worker a key of their own, or leave out --cluster"
	noBarrier = "workers begin with a host when its turn comes: leave out one of them"
	noSecret  = "no secret goes through NATS: put it into a file on the hosts"
)

// leftToWorkers reports whether workers do not carry out a flag, which is an error if it is typed.
func leftToWorkers(name string) bool {
	for _, names := range notOnWorkers {
		if slices.Contains(names, name) {
			return true
		}
	}
	return false
}

// staysOnWorkers reports whether an earlier run was on workers, and the flags do not take that away.
func staysOnWorkers(s *journal.Settings, now *pflag.FlagSet) bool {
	flag := now.Lookup(keptCluster)
	return len(s.Flags[keptCluster]) > 0 && flag != nil && (!flag.Changed || flag.Value.String() != "")
}

// maxWorkerOutput is how much of each stream workers keep: results travel and are stored whole.
const (
	defaultWorkerOutput = 8 << 20
	maxWorkerOutput     = 16 << 20
	maxWorkerPull       = 1 << 30  // of a host; it lies on the server's disk until the run has ended
	pullRecords         = 64 << 20 // what is beside the bytes of files: names, modes, digests
)

// Workers are the coordinator's side of a run on workers.
type Workers struct {
	conn        *cluster.Conn
	coordinator *cluster.Coordinator // nil: they are only asked
	asker       *cluster.Asker
	keyring     *auth.Keyring
	stderr      atomic.Pointer[io.Writer] // of notices, which other goroutines have
}

// notify has notices go to stderr from now on.
func (w *Workers) notify(stderr io.Writer) { w.stderr.Store(&stderr) }

// Validate returns an error for flags that go only with --cluster, or not with it. maxOutput is what
// --max-output says.
func (f *ClusterFlags) Validate(all *pflag.FlagSet, jump string, maxOutput int64) error {
	if f.URL == "" {
		if all.Changed(keptCluster) { // --cluster '' takes away what an earlier run had
			return nil
		}
		for _, name := range clusterNames[1:] {
			if all.Changed(name) {
				return hint.Wrap(fmt.Errorf("--%s has no effect without --cluster", name), "--cluster names NATS")
			}
		}
		return nil
	}
	for why, names := range notOnWorkers {
		for _, name := range names {
			if all.Changed(name) || (why == noAgent || why == noBarrier || why == noSecret) && flags.IsGiven(all, name) {
				return hint.Wrap(fmt.Errorf("--%s cannot go with --cluster", name), why)
			}
		}
	}
	if f.follow = flags.IsGiven(all, "follow") && all.Lookup("follow").Value.String() == "true"; f.follow && all.Lookup("idempotent").Value.String() == "true" {
		return hint.New("--follow and --idempotent cannot go together with --cluster: what was shown of a command that runs twice stays", "leave out one of them")
	}
	if jump != "" && jump != "none" {
		return hint.New("--jump cannot go with --cluster: workers go their own way", "give it to shoal worker")
	}
	if flags.IsGiven(all, "max-output") && (maxOutput < 0 || maxOutput > maxWorkerOutput) {
		return hint.New("--max-output is more than workers keep", "16M is the most with --cluster")
	}
	return nil
}

// SetCopy has files go to workers as standard input.
func (f *ClusterFlags) SetCopy(push *transfer.Push, pull *transfer.Pull) error {
	switch {
	case f.URL == "":
	case pull != nil && pull.Via.SFTP():
		return hint.New("--via cannot go with --cluster: nobody talks with a host while a worker pulls", "leave it out")
	case pull != nil && pull.MaxSize > maxWorkerPull:
		return hint.New("--max-size is more than workers pull", "1G of a host is the most with --cluster")
	case pull != nil:
		pull.Queued, f.pull = true, pull
	case push != nil && (push.Options.Via.SFTP() || push.Options.DryRun || push.Options.Diff || push.Options.Checksum == "always"):
		return hint.New("--via, --dry-run, --diff and --checksum=always cannot go with --cluster: nobody talks with a host while a worker pushes", "leave them out")
	case push != nil && push.Options.Bandwidth+push.Options.BandwidthPerJump > 0:
		return hint.New("--bandwidth-limit cannot go with --cluster: the bytes go from workers to their hosts", "leave it out")
	case push != nil:
		push.Plain = true
	}
	return nil
}

// Join connects to NATS and sets opts so that workers make the attempts.
func (f *ClusterFlags) Join(ctx context.Context, opts *connect.Options, total int, stdio console.Stdio) (_ *Workers, err error) {
	w, co, err := f.join(ctx, "shoal run", stdio)
	if err != nil {
		return nil, err
	}
	e := &opts.Engine
	output := e.MaxOutput
	if output <= 0 || output > maxWorkerOutput { // the default: Validate has refused others
		output = defaultWorkerOutput
	}
	w.ask(co, opts)
	options := cluster.Options{Timeouts: opts.Timeouts, Attempts: e.Attempts, Idempotent: e.Idempotent, MaxOutput: output}
	attempts := 1
	switch {
	case f.pull != nil: // each attempt stores its own files here
		options.Pull, options.Stream, options.Attempts, options.Idempotent = true, f.pull.MaxSize+pullRecords, 1, false
		attempts = e.Attempts
	case f.follow:
		options.Stream = output
	}
	co.Options = options
	co.Asker = w.asker
	if w.coordinator, err = cluster.NewCoordinator(w.conn, co); err != nil {
		w.Close()
		return nil, err
	}
	e.Dialer, e.Stopping = w.coordinator, w.coordinator.Stop
	// Workers make the attempts, and have congestion windows of their own.
	e.Attempts, e.Idempotent = attempts, false
	pass(opts, total)
	return w, nil
}

// JoinToAsk connects to NATS and sets opts so that workers ask the hosts of an earlier run.
func (f *ClusterFlags) JoinToAsk(ctx context.Context, opts *connect.Options, total int, stdio console.Stdio) (*Workers, error) {
	w, co, err := f.join(ctx, "shoal", stdio)
	if err != nil {
		return nil, err
	}
	w.ask(co, opts)
	opts.Engine.Dialer = w.asker
	pass(opts, total)
	return w, nil
}

// join connects to NATS as whoever signs what workers are asked.
func (f *ClusterFlags) join(ctx context.Context, name string, stdio console.Stdio) (_ *Workers, o cluster.CoordinatorOptions, err error) {
	w := new(Workers)
	w.notify(stdio.Err)
	defer func() {
		if err != nil {
			w.Close()
		}
	}()
	signer, err := w.signer(ctx, f.signKey)
	if err != nil {
		return nil, o, err
	}
	notice := func(text string) { console.Note(*w.stderr.Load(), text) }
	if w.conn, err = f.Connect(name, notice); err != nil {
		return nil, o, err
	}
	return w, cluster.CoordinatorOptions{Signer: signer, PoolTimeout: f.poolTimeout.Duration(), Notice: notice}, nil
}

// ask makes the Asker for questions about markers.
func (w *Workers) ask(o cluster.CoordinatorOptions, opts *connect.Options) {
	o.Options = cluster.Options{Timeouts: opts.Timeouts, MaxOutput: maxWorkerOutput}
	w.asker = cluster.NewAsker(w.conn, o)
}

// pass has targets go to workers as fast as NATS takes them, each to the pool that was recorded.
func pass(opts *connect.Options, total int) {
	opts.Pool = cluster.PoolNamed
	e := &opts.Engine
	e.Starts, e.Dials = -1, clusterDials
	if e.Fanout == 0 {
		e.Fanout = min(max(total, 1), clusterFanout)
	}
}

// asking returns the Dialer for questions about commands that were given up; nil without workers.
func (w *Workers) asking() ssh.Dialer {
	if w == nil {
		return nil
	}
	return w.asker
}

const (
	clusterDials = 1024 // hosts whose intents wait for the journal
	// clusterFanout is how many hosts are with workers or wait for them: more would expire in the queue.
	clusterFanout = 20_000
)

// Begin returns a function that begins a run on workers. A run that is resumed has another log.
func (w *Workers) Begin(begin func(context.Context) (*run.Run, error)) func(context.Context) (*run.Run, error) {
	return func(ctx context.Context) (*run.Run, error) {
		r, err := begin(ctx)
		if err != nil {
			return nil, err
		}
		session := r.Session()
		if session > 0 {
			w.sayOlder(ctx, r.ID)
		}
		if err := w.coordinator.Begin(ctx, logOf(r.ID, session)); err != nil {
			return nil, errors.Join(err, r.Abandon())
		}
		return r, nil
	}
}

// logOf returns the name of the log of a run's session, which counts from 0.
func logOf(run string, session int) string {
	if session == 0 {
		return run
	}
	return fmt.Sprintf("%s-%d", run, session+1)
}

// SessionOfLog is the inverse of the naming of a run's logs; -1: it is no log of the run.
func SessionOfLog(run, log string) int {
	number, later := strings.CutPrefix(log, run+"-")
	if !later && log == run {
		return 0
	}
	if n, err := strconv.Atoi(number); later && err == nil && n > 1 {
		return n - 1
	}
	return -1
}

// sayOlder says that workers may know more of hosts that are unknown here.
func (w *Workers) sayOlder(ctx context.Context, run string) {
	if names, err := w.conn.Logs(ctx, run); err == nil && len(names) > 0 {
		console.Say(*w.stderr.Load(), "NATS has a log of the run still: shoal attach %s gets what workers know of the hosts that are unknown", run)
	}
}

// Close ends the coordinator and the connection.
func (w *Workers) Close() {
	if w.coordinator != nil {
		w.coordinator.Close()
	}
	if w.asker != nil {
		w.asker.Close()
	}
	if w.conn != nil {
		w.conn.Close()
	}
	if w.keyring != nil {
		_ = w.keyring.Close()
	}
}

// signer returns the signer of a key file, or of the agent.
func (w *Workers) signer(ctx context.Context, path string) (_ xssh.Signer, err error) {
	if path == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, hint.New("there is no key to sign with", "--sign-key names one")
		}
		path = filepath.Join(home, ".ssh", "id_ed25519")
	}
	if w.keyring, err = auth.NewKeyring(auth.KeyringOptions{Passphrase: console.AskPassphrase([]string{path})}); err != nil {
		return nil, fmt.Errorf("loading the key to sign with: %w", err)
	}
	set, err := w.keyring.Set(ctx, ssh.KeySpec{Files: []string{path}, AgentSocket: os.Getenv("SSH_AUTH_SOCK"), Only: true})
	if err == nil {
		err = set.Unusable()
	}
	if err != nil {
		return nil, hint.Wrap(fmt.Errorf("loading the key to sign with: %w", err), "--sign-key names another")
	}
	signers, err := set.Signers(ctx, fleet.Target{})
	for _, signer := range signers {
		if _, certificate := signer.PublicKey().(*xssh.Certificate); !certificate {
			return signer, nil
		}
	}
	return nil, hint.Wrap(errors.Join(fmt.Errorf("%q cannot sign", path), err), "--sign-key names another key")
}

// TellWorkers says which pools the targets go to, and which workers are there now. Workers go their
// own way: what a dry run says of jump hosts, keys and known_hosts is about this machine.
func (f *ClusterFlags) TellWorkers(ctx context.Context, targets iter.Seq[fleet.Target], stdio console.Stdio) error {
	conn, err := f.Connect("shoal run --dry-run", func(text string) { console.Note(stdio.Err, text) })
	if err != nil {
		return err
	}
	defer conn.Close()
	there, err := conn.Workers(ctx)
	if err != nil {
		return err
	}
	hosts := make(map[string]int)
	for t := range targets {
		pool, err := cluster.PoolOf(t)
		if err != nil {
			return fmt.Errorf("%s: %w", t.Host, err)
		}
		hosts[pool]++
	}
	for _, pool := range slices.Sorted(maps.Keys(hosts)) {
		var names []string
		for _, w := range there {
			if w.Pool == pool && w.Here() {
				names = append(names, w.Worker)
			}
		}
		who := "no worker is there"
		if len(names) > 0 {
			who = "its workers are " + strings.Join(names, ", ")
		}
		console.Say(stdio.Err, "the pool %s gets %s of the targets; %s", pool, ui.Count(int64(hosts[pool])), ui.Visible(who))
	}
	console.Say(stdio.Err, "workers use their own keys, known_hosts and way to the hosts; what follows is what this machine would do")
	return nil
}
