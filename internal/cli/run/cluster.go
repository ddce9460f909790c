package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/cli/console"
	"shoal/internal/cli/flags"
	"shoal/internal/cluster"
	"shoal/internal/connect"
	"shoal/internal/hint"
	"shoal/internal/run"
	"shoal/internal/ssh"
	"shoal/internal/ssh/auth"
)

// clusterFlags are the flags of a run on workers.
type clusterFlags struct {
	flags.ClusterFlags
	signKey     string
	poolTimeout flags.Seconds
}

func (f *clusterFlags) group() flags.FlagGroup {
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
	notYet: {
		"stdin", "stdin-from", "env", "env-secret", "chdir", "umask", "forward-agent", "forward-agent-limit", "forward-agent-confirm", "pty", "script",
		"become", "once", "remote-timeout", "kill-on-cancel", "detach", "run-dir", "barrier", "follow", "verbose",
	},
	"it is about this machine, or the way from it; shoal workers shows who is there": {"estimate", "dry-run"},
}

// notYet is the advice for flags that say what is to happen: they count too if the configuration
// has them.
const notYet = "workers do not have it yet: leave out one of them"

// maxWorkerOutput is how much of each stream workers keep: results travel and are stored whole.
const (
	defaultWorkerOutput = 8 << 20
	maxWorkerOutput     = 16 << 20
)

// onWorkers is the coordinator's side of a run on workers.
type onWorkers struct {
	conn        *cluster.Conn
	coordinator *cluster.Coordinator
	keyring     *auth.Keyring
	stderr      atomic.Pointer[io.Writer] // of notices, which other goroutines have
}

// notify has notices go to stderr from now on.
func (w *onWorkers) notify(stderr io.Writer) { w.stderr.Store(&stderr) }

// validateCluster returns an error for flags that go only with --cluster, or not with it.
func (f *RunFlags) validateCluster() error {
	given := f.Given.Changed
	if f.cluster.URL == "" {
		for _, name := range []string{"nats-creds", "nats-nkey", "nats-ca", "sign-key", "pool-timeout"} {
			if f.Given.Lookup(name) != nil && given(name) {
				return hint.Wrap(fmt.Errorf("--%s has no effect without --cluster", name), "--cluster names NATS")
			}
		}
		return nil
	}
	for why, names := range notOnWorkers {
		for _, name := range names {
			if given(name) || why == notYet && flags.IsGiven(f.Given, name) {
				return hint.Wrap(fmt.Errorf("--%s cannot go with --cluster", name), why)
			}
		}
	}
	if f.Jump != "" && f.Jump != "none" {
		return hint.New("--jump cannot go with --cluster: workers go their own way", "give it to shoal worker")
	}
	if kept := f.Kept(); flags.IsGiven(f.Given, "max-output") && (kept < 0 || kept > maxWorkerOutput) {
		return hint.New("--max-output is more than workers keep", "16M is the most with --cluster")
	}
	return nil
}

// connectCluster connects to NATS and sets opts so that workers make the attempts.
func (f *RunFlags) connectCluster(ctx context.Context, opts *connect.Options, total int, stdio console.Stdio) (_ *onWorkers, err error) {
	w := new(onWorkers)
	w.notify(stdio.Err)
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	signer, err := w.signer(ctx, f.cluster.signKey)
	if err != nil {
		return nil, err
	}
	notice := func(text string) { console.Note(*w.stderr.Load(), text) }
	if w.conn, err = f.cluster.Connect("shoal run", notice); err != nil {
		return nil, err
	}
	e := &opts.Engine
	output := int64(defaultWorkerOutput)
	if flags.IsGiven(f.Given, "max-output") {
		output = f.Kept()
	}
	w.coordinator, err = cluster.NewCoordinator(w.conn, cluster.CoordinatorOptions{
		Signer: signer, PoolTimeout: f.cluster.poolTimeout.Duration(), Notice: notice,
		Options: cluster.Options{Timeouts: opts.Timeouts, Attempts: e.Attempts, Idempotent: e.Idempotent, MaxOutput: output},
	})
	if err != nil {
		return nil, err
	}
	e.Dialer, e.Stopping = w.coordinator, w.coordinator.Stop
	// Workers make the attempts, and have congestion windows of their own.
	e.Attempts, e.Idempotent, e.Starts, e.Dials = 1, false, -1, clusterDials
	if e.Fanout == 0 {
		e.Fanout = min(max(total, 1), clusterFanout)
	}
	return w, nil
}

const (
	clusterDials = 1024 // hosts whose intents wait for the journal
	// clusterFanout is how many hosts are with workers or wait for them: more would expire in the queue.
	clusterFanout = 20_000
)

// begin returns a function that begins a run on workers.
func (w *onWorkers) begin(begin func(context.Context) (*run.Run, error)) func(context.Context) (*run.Run, error) {
	return func(ctx context.Context) (*run.Run, error) {
		r, err := begin(ctx)
		if err != nil {
			return nil, err
		}
		if err := w.coordinator.Begin(ctx, r.ID); err != nil {
			return nil, errors.Join(err, r.Abandon())
		}
		return r, nil
	}
}

func (w *onWorkers) close() {
	if w.coordinator != nil {
		w.coordinator.Close()
	}
	if w.conn != nil {
		w.conn.Close()
	}
	if w.keyring != nil {
		_ = w.keyring.Close()
	}
}

// signer returns the signer of a key file, or of the agent.
func (w *onWorkers) signer(ctx context.Context, path string) (_ xssh.Signer, err error) {
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
