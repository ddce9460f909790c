package cluster

import (
	"context"
	"strings"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/connect"
	"shoal/internal/remote/become"
	"shoal/internal/ssh"
	"shoal/internal/ssh/auth"
	"shoal/simfleet"
)

// Commands become another user by the worker's password; without one, or with a wrong one, none starts,
// and no password is in what NATS stores.
func TestBecome(t *testing.T) {
	const secret = "a canary of 24 characters"
	reading := func(text string) func(time.Duration) (ssh.Passwords, error) {
		return func(limit time.Duration) (ssh.Passwords, error) {
			return auth.NewBecomePasswords(func(context.Context) ([]byte, error) { return []byte(text), nil }, true, limit)
		}
	}
	for _, c := range []struct {
		name      string
		passwords func(time.Duration) (ssh.Passwords, error)
		outcome   fleet.Outcome
		reasons   []fleet.Reason
	}{
		{"right", reading(secret), fleet.OutcomeOK, []fleet.Reason{fleet.ReasonNone}},
		{"wrong", reading("x"), fleet.OutcomeNeverStarted, []fleet.Reason{fleet.ReasonBecomePasswordWrong, fleet.ReasonBecomePasswordNeeded, fleet.ReasonAuthFailed, fleet.ReasonBecomeNotAllowed}},
		{"none", nil, fleet.OutcomeNeverStarted, []fleet.Reason{fleet.ReasonBecomePasswordNeeded}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, simfleet.Options{Hosts: 10, SudoPassword: secret, Sudo: func(int) simfleet.Sudo { return simfleet.SudoPlain }})
			s.connect.User = "script" // whose commands run
			s.become = &become.Options{User: "root"}
			s.prepare = func(c *Coordinator) { c.Keep() } // to look into what NATS stores
			s.worker("one", func(o *WorkerOptions) { o.BecomePasswords = c.passwords })
			results, coordinator := s.run(t.Context(), "id -un", func(o *CoordinatorOptions, _ *connect.Options) { o.ShardSize = 4 })
			records := 0
			for shard := range coordinator.shards {
				err := coordinator.conn.messages(t.Context(), runStream(coordinator.run), logSubject(DefaultPool, coordinator.run, shard, "*"), 1, func(_ uint64, _ string, data []byte) error {
					if records++; strings.Contains(string(data), secret) {
						t.Error("the password is in the log")
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
			if records < len(coordinator.shards) {
				t.Errorf("%d records of %d shards", records, len(coordinator.shards))
			}
			for _, r := range results {
				found := false
				for _, reason := range c.reasons {
					found = found || r.Reason == reason
				}
				if r.Outcome != c.outcome || !found {
					t.Errorf("%v: %v, %s, %v", r.Target.Host, r.Outcome, r.Reason, r.Err)
				}
				if c.outcome == fleet.OutcomeOK && strings.TrimSpace(string(r.Stdout.Bytes)) != "root" {
					t.Errorf("%v ran as %q", r.Target.Host, r.Stdout.Bytes)
				}
			}
		})
	}
}
