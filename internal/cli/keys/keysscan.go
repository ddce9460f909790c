package keys

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"shoal/internal/cli/console"
	"shoal/internal/cli/display"
	"shoal/internal/cli/flags"
	"shoal/internal/cli/run"
	"shoal/internal/cli/signals"
	"shoal/internal/connect"
	"shoal/internal/engine"
	"shoal/internal/ssh"
	"shoal/internal/ssh/hostkeys"
	"shoal/internal/ssh/hostkeys/scan"
	"shoal/record"
)

func newKeysScan(stdio console.Stdio) *cobra.Command {
	var f keysFlags
	var path string
	cmd := &cobra.Command{
		Use:   "scan [flags]",
		Short: "Collect the host keys of a fleet, as ssh-keyscan does",
		Long: `Collect the host keys of a fleet and print them as ssh-keyscan does.

Each host is asked once, for the key that a run would be shown: one of a type that
known_hosts has for it, otherwise the best. That is enough to know the host by,
and servers count connections that log in to nothing (sshd's PerSourcePenalties).
--types asks for more, one connection after the other.`,
		Example: `  shoal keys scan -w web[01-20] > scan
  shoal keys scan --hostfile hosts --types all --output scan
  shoal keys scan -J bastion -w db[1-3]`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return keysScan(cmd.Context(), &f, path, stdio) },
	}
	f.register(cmd, func(g flags.FlagGroup) {
		g.StringVar(&path, "output", "", "write the keys to `FILE`, once all are there (default: standard output)")
	})
	return cmd
}

// keysScan implements shoal keys scan.
func keysScan(ctx context.Context, f *keysFlags, path string, stdio console.Stdio) error {
	file, err := newScanFile(path)
	if err != nil {
		return err
	}
	defer file.discard()
	c, err := f.scan(ctx, false, stdio)
	if err != nil {
		return err
	}
	text := c.text(stdio.Err)
	if file == nil {
		_, err = stdio.Out.Write(text)
	} else {
		err = file.commit(text)
	}
	if err != nil {
		console.Complain(stdio.Err, fmt.Errorf("writing the host keys: %w", err))
		return console.ExitError(console.ExitUnknown)
	}
	return c.ended()
}

// A collection is a set of host keys from a scan or a file.
type collection struct {
	seen   []scan.Seen
	router *hostkeys.Verifier // compares them with known_hosts
	code   int                // of the scan; ExitOK for keys from a file
}

// ended returns the scan's exit code as an error.
func (c *collection) ended() error {
	if c.code == console.ExitOK {
		return nil
	}
	return console.ExitError(c.code)
}

// text returns the collection in the format of ssh-keyscan. Hosts whose name is
// not valid in known_hosts are reported and left out.
func (c *collection) text(complaints io.Writer) []byte {
	var b bytes.Buffer
	for _, s := range c.seen {
		if err := scan.Write(&b, []scan.Seen{s}); err != nil {
			console.Complain(complaints, err)
			c.code = max(c.code, console.ExitNotStarted)
		}
	}
	return b.Bytes()
}

// scan collects the keys of the hosts that the flags name, and shows the
// progress as shoal run does. certificates allows host certificates where
// known_hosts has a CA for the host.
func (f *keysFlags) scan(ctx context.Context, certificates bool, stdio console.Stdio) (*collection, error) {
	if err := f.validate(false); err != nil {
		return nil, err
	}
	questions, err := keyTypes(f.types)
	if err != nil {
		return nil, err
	}
	opts, err := f.scanOptions(stdio)
	if err != nil {
		return nil, err
	}
	verbose := display.NewVerbose(f.Verbose, stdio)
	defer verbose.Close()
	opts.Engine.Verbose = verbose.Func()
	list, err := f.Load(ctx, &opts, stdio)
	if err != nil {
		return nil, err
	}
	plan, err := opts.Plan(ctx, list.Targets(1), nil)
	if err != nil {
		return nil, err
	}
	defer plan.Close()
	jumps, err := plan.OpenJumps(ctx) // as a run does, which may ask for a secret now
	if err != nil {
		return nil, err
	}
	if jumps != nil {
		flags.WarnInsecure(stdio.Err, opts) // only jump hosts' keys are checked
	}
	router := hostkeys.NewVerifier()
	s, err := newScanner(opts, scanPlan{questions: questions, known: router, certificates: certificates, jumps: jumps})
	if err != nil {
		return nil, err
	}
	defer s.close()
	opts.Engine.Fanout = run.Fanout(f.fanout, list.Len(), stdio)
	code, err := f.collect(ctx, opts, s, plan.Targets(), list.Len(), verbose, stdio)
	if err != nil {
		return nil, err
	}
	return &collection{seen: s.recorder.Seen(), router: router, code: code}, nil
}

// scanOptions returns the library's options for a scan.
func (f *keysFlags) scanOptions(stdio console.Stdio) (connect.Options, error) {
	opts, err := f.Options()
	if err != nil {
		return opts, err
	}
	opts.Engine.Dials, opts.Engine.Starts = f.dials, cmp.Or(f.starts, engine.DefaultStarts)
	opts.Engine.Notice = func(text string) { console.Note(stdio.Err, text) }
	return opts, opts.Validate()
}

// collect dials every target and returns the exit code of a run with these
// outcomes.
func (f *keysFlags) collect(ctx context.Context, opts connect.Options, s *scanner, targets iter.Seq[ssh.Target], total int,
	verbose *display.Verbose, stdio console.Stdio,
) (int, error) {
	started := time.Now()
	out, err := display.New(&display.OutputFlags{Progress: f.progress}, stdio, record.Header{
		Program: "shoal " + console.Version, Run: rand.Text(), Started: started, Targets: total, Fanout: opts.Engine.Fanout,
	}, nil)
	if err != nil {
		return console.ExitUsage, err
	}
	verbose.To(out.Stderr)
	ctx, stop := signals.Watch(ctx, func(bool) { console.Say(out.Stderr, "stopping: what was collected is kept") })
	defer stop.End()
	defer out.Showing.AbortWith(ctx, stop.Hurried())()
	if limit := f.timeout.Duration(); limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, fmt.Errorf("the scan's timeout of %v passed", limit))
		defer cancel()
	}
	control := opts.Engine
	control.Dialer, control.Drain, control.Notice = s, stop.Drained, nil
	for res, err := range engine.Run(ctx, control, targets) {
		if err != nil {
			return console.ExitUsage, errors.Join(err, out.Abandon(stop.Patience()))
		}
		out.Take(res)
	}
	out.Summary.Elapsed = time.Since(started)
	out.Summary.Interrupted = stop.Requested() || ctx.Err() != nil
	out.Settle(stop.Patience(), "")
	out.Close(stop.Patience())
	return console.ExitCode(&out.Summary, out.Failure() == nil), nil
}
