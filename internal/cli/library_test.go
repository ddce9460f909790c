package cli_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"shoal"
	"shoal/fleet"
	"shoal/internal/cli"
	"shoal/internal/cli/console"
	"shoal/internal/sshdtest"
)

// A run of a program that uses the library is resumed and rerun by shoal with the keys,
// known hosts and brakes that it had; what shoal has no flag for is refused.
func TestAgainAfterTheLibrary(t *testing.T) {
	server := sshdtest.OpenSSH(t)
	state := t.TempDir()
	command := func(args ...string) (int, string, string) {
		var out, errs strings.Builder
		code := cli.Main(t.Context(), append([]string{args[0], "--state-dir", state}, args[1:]...), console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
		return code, out.String(), errs.String()
	}
	targets := func(yield func(fleet.Target) bool) {
		for i := range 3 {
			if !yield(fleet.Target{Host: server.Host, Index: i}) {
				return
			}
		}
	}
	j, err := shoal.OpenJournal(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	opts := shoal.Options{
		Login:    shoal.Login{User: server.User, Identities: []string{server.KeyFile}, Agent: shoal.NoAgent},
		Config:   shoal.Config{File: "none"},
		HostKeys: shoal.HostKeys{Files: []string{server.KnownHosts}, Policy: shoal.HostKeysStrict},
		Limits:   shoal.Limits{Attempts: 2, Rate: 100, MaxOutput: -1},
		Rollout:  shoal.Rollout{Stages: []shoal.Amount{{Count: 1}, {Percent: 50}}, MaxFail: &shoal.Amount{Count: 1}},
		Client:   shoal.Client{Pipeline: shoal.PipelineAuth, Classical: true},
		Journal:  j,
	}
	run := func(o shoal.Options) {
		t.Helper()
		for _, err := range shoal.Run(t.Context(), targets, "exit {index}5", o) {
			if err != nil {
				t.Fatal(err)
			}
		}
	}

	run(opts)
	code, stdout, stderr := command("resume", "--past-brake", "last")
	expect(t, "resume", 3, code, stdout, stderr, "1 failed", "1 cancelled")
	code, stdout, stderr = command("rerun", "--dry-run", "last", "failed")
	expect(t, "rerun --dry-run", 0, code, stdout, stderr,
		"--rollout=1,50%", "--max-fail=1", "--attempts=2", "--rate=100", "--max-output=0", "--pipeline=auth", "--pq=off", "--host-key=strict",
		"--no-agent=true", "--config=none", fmt.Sprintf("--user=%s", server.User), "--identity="+server.KeyFile, "--known-hosts="+server.KnownHosts)

	opts.Rollout.Check = func(context.Context, int) error { return nil }
	run(opts)
	code, stdout, stderr = command("resume", "--past-brake", "last")
	expect(t, "resume with a check", 2, code, stdout, stderr, "was made with --Rollout.Check, which this program does not have")
}
