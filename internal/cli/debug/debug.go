// Package debug implements shoal debug: commands that show what shoal does on
// the wire. It does not change how a run works.
package debug

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shoal/fleet"
	"shoal/hosts"
	"shoal/internal/cli/console"
	"shoal/internal/cli/display"
	"shoal/internal/cli/flags"
	"shoal/internal/cli/signals"
	"shoal/internal/connect"
	"shoal/internal/placeholder"
	"shoal/internal/ssh"
	"shoal/internal/ssh/tcp"
)

// New returns shoal debug with its subcommands.
func New(stdio console.Stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "debug",
		Short: "Look into how shoal works",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTrace(stdio))
	return cmd
}

func newTrace(stdio console.Stdio) *cobra.Command {
	var f flags.HostFlags
	cmd := &cobra.Command{
		Use:   "trace [flags] HOST [COMMAND...]",
		Short: "Run a command on one host and print every message of the connection",
		Long: `Run a command on one host (true, unless one is given) and print every SSH
message, decrypted, with the round trip to which it belongs. No secret is printed:
no signature, no password, no input or output of the command.

The second run shows what is sent earlier to a host that is remembered.`,
		Example: `  shoal debug trace web1
  shoal debug trace --pipeline off web1 uptime`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text := "true"
			if len(args) > 1 {
				text = strings.Join(args[1:], " ")
			}
			return trace(cmd.Context(), &f, args[0], text, stdio)
		},
	}
	flags.AddInGroups(cmd, f.Connection())
	cmd.Flags().SetInterspersed(false)
	return cmd
}

// trace makes one attempt and prints every message of its connections.
func trace(ctx context.Context, f *flags.HostFlags, name, text string, stdio console.Stdio) error {
	opts, err := f.Options()
	if err != nil {
		return err
	}
	if err := opts.Validate(); err != nil {
		return err
	}
	flags.WarnInsecure(stdio.Err, opts)
	t := newTracer(tcp.Dialer{Timeouts: opts.Timeouts.WithDefaults()})
	opts.Engine.Notice = func(text string) { console.Note(stdio.Err, text) }
	opts.Trace, opts.Network = t.message, t
	verbose := display.NewVerbose(f.Verbose, stdio)
	defer verbose.Close()
	opts.Engine.Verbose = verbose.Func()
	plan, err := planTarget(ctx, opts, name, text)
	if err != nil {
		return err
	}
	defer plan.Close()
	dialer, err := plan.Open(ctx)
	if err != nil {
		return err
	}
	t.attempt = &ssh.Attempt{Progress: new(ssh.Progress), Stdout: io.Discard, Stderr: io.Discard}
	for target := range plan.Targets() {
		t.attempt.Target = target
		if verbose != nil {
			t.attempt.Verbose = func(line string) { verbose.Tell(target.Target, line) }
		}
	}
	ctx, stop := signals.Watch(ctx, func(bool) {})
	defer stop.End()
	end := attemptOnce(ctx, dialer, t.attempt)
	if err := t.print(stdio.Out, end); err != nil {
		return fmt.Errorf("printing the trace: %w", err)
	}
	if end.Err != nil {
		console.Complain(stdio.Err, end.Err)
	}
	return traceExit(end)
}

// planTarget plans the one target.
func planTarget(ctx context.Context, opts connect.Options, name, text string) (*connect.Plan, error) {
	host, err := hosts.ParseHost(name)
	if err != nil {
		return nil, fmt.Errorf("reading the host %q: %w", name, err)
	}
	template, err := placeholder.Parse(text, placeholder.Unquoted)
	if err != nil {
		return nil, fmt.Errorf("reading the command: %w", err)
	}
	return opts.Plan(ctx, func(yield func(fleet.Target) bool) { yield(fleet.Target{Host: host}) }, template)
}

// attemptOnce dials, runs the command and waits for its end.
func attemptOnce(ctx context.Context, d ssh.Dialer, a *ssh.Attempt) fleet.End {
	conn, err := d.Dial(ctx, a)
	if err != nil {
		if f, ok := errors.AsType[*fleet.Error](err); ok {
			return f.End()
		}
		return a.Fail(fleet.OutcomeUnknown, fleet.ReasonInternal, err).End()
	}
	defer func() { _ = conn.Close() }()
	done := make(chan fleet.End, 1) // sent once, by the Conn
	conn.Start(ctx, func(e fleet.End) { done <- e })
	return <-done
}

// traceExit maps the attempt's end to the exit code of a run with this one
// target.
func traceExit(end fleet.End) error {
	switch {
	case end.Outcome == fleet.OutcomeOK:
		return nil
	case end.Outcome == fleet.OutcomeUnknown:
		return console.ExitError(console.ExitUnknown)
	case end.Outcome.Ran():
		return console.ExitError(console.ExitFailed)
	case end.Outcome == fleet.OutcomeCancelled:
		return console.ExitError(console.ExitInterrupted)
	}
	return console.ExitError(console.ExitNotStarted)
}

// milliseconds formats d for the trace.
func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f", float64(d.Microseconds())/1000)
}
