package connect_test

import (
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/hosts"
	"shoal/internal/connect"
	"shoal/internal/engine"
	"shoal/internal/ssh"
	"shoal/internal/ssh/auth"
	"shoal/internal/sshdtest"
	"shoal/simfleet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// writeFleet writes the files that opts name.
func writeFleet(fl *simfleet.Fleet, opts connect.Options) error {
	return errors.Join(
		writeTo(opts.Identities[0], fl.WriteKey),
		writeTo(opts.KnownHosts[0], fl.WriteKnownHosts),
	)
}

func writeTo(path string, write func(io.Writer) error) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}

// fleetOf starts a simulated fleet and returns options that reach it.
func fleetOf(t *testing.T, o simfleet.Options) (*simfleet.Fleet, connect.Options) {
	t.Helper()
	fl, err := simfleet.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fl.Close() })
	dir := t.TempDir()
	opts := connect.Options{
		User:       "someone",
		Identities: []string{filepath.Join(dir, "key")},
		KnownHosts: []string{filepath.Join(dir, "known_hosts")},
		Agent:      connect.NoAgent,
	}
	if err := writeFleet(fl, opts); err != nil {
		t.Fatal(err)
	}
	return fl, opts
}

func collect(t *testing.T, run iter.Seq2[fleet.Result, error]) []fleet.Result {
	t.Helper()
	var results []fleet.Result
	for res, err := range run {
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, res)
	}
	return results
}

// A thousand hosts, one in ten with a fault that ends by itself: the oracle agrees
// with every result.
func TestOracleAgrees(t *testing.T) {
	faults := []simfleet.Fault{
		simfleet.FaultReset, simfleet.FaultThrottle, simfleet.FaultNotSSH, simfleet.FaultWrongHostkey,
		simfleet.FaultAuthRefused, simfleet.FaultSessionRefused, simfleet.FaultExecRefused,
		simfleet.FaultNoExitStatus, simfleet.FaultDropMidOutput, simfleet.FaultExitSignal,
	}
	fl, opts := fleetOf(t, simfleet.Options{Hosts: 1000, Fault: func(i int) simfleet.Fault {
		if i%10 == 0 {
			return faults[i/10%len(faults)]
		}
		return simfleet.FaultNone
	}})
	opts.Engine.Attempts = 1 // whoever turns us away would be left alone for a minute
	results := collect(t, connect.Run(t.Context(), opts, fl.Targets(), "echo {index} {host}; exit {index|sh}"))
	_ = fl.Close()
	report := simfleet.Check(fl.Log(), slices.Values(results), 1000)
	if !report.OK() {
		t.Error(report)
	}
	want := [fleet.NumOutcomes]int{
		// echo, then exit with the index modulo 256: index 0, 256, 512 and 768
		// of the good hosts exit 0; hosts 0 and 10·k have a fault.
		fleet.OutcomeOK: 3, fleet.OutcomeFailed: 897, fleet.OutcomeSignalled: 10,
		fleet.OutcomeNeverStarted: 60, fleet.OutcomeRefused: 10, fleet.OutcomeUnknown: 20,
	}
	if report.Outcomes != want {
		t.Errorf("outcomes %v, want %v", report.Outcomes, want)
	}
}

// A server drops connections beyond its MaxStartups: only these are throttled, and
// the run ends.
// faults.md: T08
func TestMaxStartups(t *testing.T) {
	limit, err := simfleet.ParseStartups("20")
	if err != nil {
		t.Fatal(err)
	}
	fl, opts := fleetOf(t, simfleet.Options{Hosts: 1, MaxStartups: limit, Latency: 5 * time.Millisecond})
	opts.Engine.Starts, opts.Engine.Dials, opts.Engine.Fanout = -1, 300, 300
	opts.Engine.Attempts = 1
	again := func(yield func(fleet.Target) bool) {
		for i := range 300 {
			if !yield(fleet.Target{Host: fl.Host(0), Index: i}) {
				return
			}
		}
	}
	results := collect(t, connect.Run(t.Context(), opts, again, "echo {index}"))
	_ = fl.Close()
	if report := simfleet.Check(fl.Log(), slices.Values(results), 300); !report.OK() {
		t.Error(report)
	}
	throttled := 0
	for _, r := range results {
		switch {
		case r.Outcome == fleet.OutcomeNeverStarted && r.Reason == fleet.ReasonThrottled && r.Phase == fleet.PhaseBanner:
			throttled++
		case r.Outcome != fleet.OutcomeOK:
			t.Errorf("target %d: %v(%s) in %v: %v", r.Target.Index, r.Outcome, r.Reason, r.Phase, r.Err)
		}
	}
	if dropped := fl.Stats().Dropped; throttled != dropped || dropped == 0 {
		t.Errorf("%d throttled, and the server dropped %d", throttled, dropped)
	}
}

// Short commands on many addresses of one listener cost no penalty, and none is turned away: the
// connections stay open until the listener must have noticed their logins.
func TestNoPenalties(t *testing.T) {
	// faults.md: T13
	const hosts = 200
	fl, opts := fleetOf(t, simfleet.Options{Hosts: hosts, Penalties: true})
	opts.Engine.Attempts = 1
	for i, r := range collect(t, connect.Run(t.Context(), opts, fl.Targets(), "echo {index}")) {
		if r.Outcome != fleet.OutcomeOK {
			t.Fatalf("result %d: %v(%s) in %v: %v", i, r.Outcome, r.Reason, r.Phase, r.Err)
		}
	}
	_ = fl.Close() // has counted all
	if s := fl.Stats(); s.Penalties != 0 || s.Dropped != 0 || s.Authenticated != hosts {
		t.Errorf("%d penalties, %d turned away, %d let in", s.Penalties, s.Dropped, s.Authenticated)
	}
}

// Endless output is counted, kept up to the limit, and ends at the command timeout
// by the signal sent then.
// faults.md: S08
func TestEndlessOutput(t *testing.T) {
	fl, opts := fleetOf(t, simfleet.Options{Hosts: 1})
	opts.Engine.MaxOutput = 10_000
	opts.Timeouts = ssh.Timeouts{Command: 500 * time.Millisecond}
	res := collect(t, connect.Run(t.Context(), opts, fl.Targets(), "yes"))[0]
	if res.Outcome != fleet.OutcomeSignalled || res.Reason != fleet.ReasonTimeout || res.Phase != fleet.PhaseDrain ||
		res.Flags != fleet.FlagExitKnown|fleet.FlagOutputTruncated {
		t.Errorf("ended %v(%s) in %v [%v]", res.Outcome, res.Reason, res.Phase, res.Flags)
	}
	if len(res.Stdout.Bytes) != 10_000 || res.Stdout.Size <= 10_000 || strings.Trim(string(res.Stdout.Bytes), "y\n") != "" {
		t.Errorf("kept %d of %d bytes", len(res.Stdout.Bytes), res.Stdout.Size)
	}
}

// The example of docs/examples.md: 200 targets on one real server, results in the order
// of the input.
func TestRealServerTwoHundredTimes(t *testing.T) {
	s := sshdtest.OpenSSH(t)
	opts := connect.Options{
		Identities: []string{s.KeyFile}, KnownHosts: []string{s.KnownHosts}, Agent: connect.NoAgent,
	}
	list, err := hosts.Load(hosts.Options{Hosts: []string{s.Host.String()}})
	if err != nil {
		t.Fatal(err)
	}
	answers := make([]string, 200)
	for _, r := range collect(t, connect.Run(t.Context(), opts, list.Targets(200), "echo hello world {index}")) {
		if r.Outcome != fleet.OutcomeOK {
			t.Errorf("target %d: %v(%s) in %v: %v", r.Target.Index, r.Outcome, r.Reason, r.Phase, r.Err)
		}
		answers[r.Target.Index] = string(r.Stdout.Bytes)
	}
	for i, got := range answers {
		if want := fmt.Sprintf("hello world %d\n", i); got != want {
			t.Errorf("target %d said %q, want %q", i, got, want)
		}
	}
}

// TestRunFailsBeforeItStarts has one case for each step before the first connection; which
// values are invalid is judged through the library, which has the same Validate.
func TestRunFailsBeforeItStarts(t *testing.T) {
	fl, good := fleetOf(t, simfleet.Options{Hosts: 1})
	for name, c := range map[string]struct {
		change  func(*connect.Options)
		command string
	}{
		"empty command":   {func(*connect.Options) {}, ""},
		"negative fanout": {func(o *connect.Options) { o.Engine.Fanout = -1 }, "true"},
		"password for ssh": {func(o *connect.Options) {
			o.Client, o.Passwords = connect.ClientSSH, new(auth.Passwords)
		}, "true"},
		"no key file": {func(o *connect.Options) { o.Identities = []string{"no-such-file"} }, "true"},
	} {
		opts := good
		c.change(&opts)
		var errs, results int
		for _, err := range connect.Run(t.Context(), opts, fl.Targets(), c.command) {
			if err != nil {
				errs++
			} else {
				results++
			}
		}
		if errs != 1 || results != 0 {
			t.Errorf("%s: %d errors and %d results, want one error", name, errs, results)
		}
	}
	if n := fl.Stats().Accepted; n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

// With BatchMode nobody is asked for the passphrase of a key file that Options name.
func TestBatchModeAsksNoPassphrase(t *testing.T) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := xssh.MarshalPrivateKeyWithPassphrase(key, "", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	one := slices.Values([]fleet.Target{{Host: fleet.Host{Name: "h"}}})
	for set, want := range map[string]int{"BatchMode=yes": 0, "BatchMode=no": 1} {
		asked := 0
		var notices []string
		o := connect.Options{
			SSHConfig: "none", SSHOptions: []string{set}, Identities: []string{path}, Agent: connect.NoAgent,
			Passphrase: func(string) ([]byte, error) { asked++; return []byte("secret"), nil },
		}
		o.Engine.Notice = func(text string) { notices = append(notices, text) }
		p, err := o.Plan(t.Context(), one, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Open(t.Context()); err != nil || asked != want {
			t.Errorf("%s: asked %d times, want %d: %v", set, asked, want, err)
		}
		p.Close()
		if said := len(notices) == 1 && strings.Contains(notices[0], "BatchMode asks for no passphrase"); said != (want == 0) {
			t.Errorf("%s: notices %q", set, notices)
		}
	}
}

func TestPlanFillsIn(t *testing.T) {
	opts := connect.Options{User: "someone", Port: 2022, Engine: engine.Options{Dialer: refusing{}}}
	targets := slices.Values([]fleet.Target{
		{Host: fleet.Host{Name: "a"}},
		{Host: fleet.Host{Name: "b", User: "root", Port: 22}, Index: 1},
		{Host: fleet.Host{Name: "c"}, Index: 2, User: "me", Port: 7},
	})
	want := []string{"someone a:2022 0", "root b:22 1", "me c:7 2"}
	for _, r := range collect(t, connect.Run(t.Context(), opts, targets, "{user} {host}:{port} {index}")) {
		if got := r.Target.Command; got != want[r.Target.Index] {
			t.Errorf("target %d: %q, want %q", r.Target.Index, got, want[r.Target.Index])
		}
	}
}

// refusing is a Dialer whose dials all fail.
type refusing struct{}

func (refusing) Dial(_ context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	return nil, a.FailIn(fleet.PhaseDial, fleet.OutcomeNeverStarted, fleet.ReasonConnRefused, errors.New("refused"))
}
