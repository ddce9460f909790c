package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"shoal/fleet"
	"shoal/internal/cli/console"
	"shoal/internal/connect"
	"shoal/internal/ui"
	"shoal/simfleet"
)

// demoCommand is the command of the reference experiment.
const demoCommand = "echo hello world {index}"

// NewDemo returns shoal demo.
func NewDemo(stdio console.Stdio) *cobra.Command {
	var hosts int
	var latency time.Duration
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a command on a simulated fleet, one host at a time and then all at once",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return demo(cmd.Context(), stdio, hosts, latency)
		},
	}
	cmd.Flags().IntVar(&hosts, "hosts", 200, "how many simulated hosts")
	cmd.Flags().DurationVar(&latency, "latency", 6*time.Millisecond, "time in each direction")
	return cmd
}

// demo measures shoal with one and with the default fanout against the same
// fleet. It checks every output against the command and the servers' own
// records.
func demo(ctx context.Context, stdio console.Stdio, hosts int, latency time.Duration) (err error) {
	dir, err := os.MkdirTemp("", "shoal-demo-")
	if err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fl, err := simfleet.Start(ctx, simfleet.Options{Hosts: hosts, Latency: latency})
	if err != nil {
		return err
	}
	defer func() { _ = fl.Close() }()
	opts, err := optionsFor(fl, dir)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(stdio.Out, "%s simulated hosts, %v in each direction (round trip %v), host keys checked\ncommand: %s\n\n",
		ui.Count(int64(hosts)), latency, 2*latency, demoCommand); err != nil {
		return err
	}
	serial, err := demoRun(ctx, stdio, fl, opts, 1)
	if err != nil {
		return err
	}
	concurrent, err := demoRun(ctx, stdio, fl, opts, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdio.Out, "\nspeed-up: %.1f times\n", serial.Seconds()/concurrent.Seconds())
	return err
}

// optionsFor writes the files that a client of the fleet needs into dir.
func optionsFor(fl *simfleet.Fleet, dir string) (connect.Options, error) {
	opts := connect.Options{
		SSHConfig:  "none",
		User:       "demo",
		Identities: []string{filepath.Join(dir, "key")},
		KnownHosts: []string{filepath.Join(dir, "known_hosts")},
		Agent:      connect.NoAgent,
	}
	if err := writeFile(opts.Identities[0], fl.WriteKey); err != nil {
		return opts, err
	}
	return opts, writeFile(opts.KnownHosts[0], fl.WriteKnownHosts)
}

// demoRun runs the command once on the fleet and prints a line about it. Fanout
// 0 means the default.
func demoRun(ctx context.Context, stdio console.Stdio, fl *simfleet.Fleet, opts connect.Options, fanout int) (time.Duration, error) {
	opts.Engine.Fanout = fanout
	before := len(fl.Log())
	begun := time.Now()
	var results []fleet.Result
	right := 0
	for res, err := range connect.Run(ctx, opts, fl.Targets(), demoCommand) {
		if err != nil {
			return 0, err
		}
		want := fmt.Appendf(nil, "hello world %d\n", res.Target.Index)
		if res.Outcome == fleet.OutcomeOK && bytes.Equal(res.Stdout.Bytes, want) && res.Stderr.Size == 0 {
			right++
		}
		results = append(results, res)
	}
	took := time.Since(begun)
	report := simfleet.Check(fl.Log()[before:], slices.Values(results), len(results))
	name := "all at once:  "
	if fanout == 1 {
		name = "one at a time:"
	}
	seen := "as the servers saw them"
	if !report.OK() {
		seen = "but:\n" + report.String()
	}
	if _, err := fmt.Fprintf(stdio.Out, "%s %8.2f s   %d of %d outputs right, %s\n",
		name, took.Seconds(), right, len(results), seen); err != nil {
		return 0, err
	}
	if !report.OK() || right != len(results) {
		return 0, errors.New("the demo's outputs are not what they should be")
	}
	return took, nil
}
