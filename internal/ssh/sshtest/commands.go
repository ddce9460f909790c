package sshtest

import (
	"bytes"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// testCommands runs commands that end by themselves on every kind of server.
func testCommands(t *testing.T, newDialer Factory) {
	type want struct {
		outcome        fleet.Outcome
		status         uint32
		signal         string
		stdout, stderr string
	}
	for _, s := range everyKind(t) {
		d := s.dialer(t, newDialer, patient())
		for command, w := range map[string]want{
			"echo hello world 7": {outcome: fleet.OutcomeOK, stdout: "hello world 7\n"},
			"true":               {outcome: fleet.OutcomeOK},
			"exit 3":             {outcome: fleet.OutcomeFailed, status: 3},
			"exit 255":           {outcome: fleet.OutcomeFailed, status: 255},
			"kill -TERM $$":      {outcome: fleet.OutcomeSignalled, signal: "TERM"},
			"echo out; echo err >&2; exit 2": {
				outcome: fleet.OutcomeFailed, status: 2, stdout: "out\n", stderr: "err\n",
			},
			"printf 'no newline'":                     {outcome: fleet.OutcomeOK, stdout: "no newline"},
			"printf '\\001\\377\\000\\033[2J\\r\\n'":  {outcome: fleet.OutcomeOK, stdout: "\x01\xff\x00\x1b[2J\r\n"},
			"cat":                                     {outcome: fleet.OutcomeOK}, // standard input is empty
			"head -c 300000 /dev/zero":                {outcome: fleet.OutcomeOK, stdout: strings.Repeat("\x00", 300000)},
			"head -c 5000000 /dev/zero >&2; echo end": {outcome: fleet.OutcomeOK, stdout: "end\n", stderr: strings.Repeat("\x00", 5000000)},
		} {
			t.Run(s.name+"/"+command, func(t *testing.T) {
				r := run(t.Context(), t, d, s.target(command))
				r.want(t, w.outcome, fleet.ReasonNone, fleet.PhaseDrain, fleet.FlagExitKnown)
				if r.Status != w.status || r.Signal != w.signal {
					t.Errorf("status %d, signal %q, want %d, %q", r.Status, r.Signal, w.status, w.signal)
				}
				if string(r.stdout) != w.stdout {
					t.Errorf("stdout %.80q (%d bytes), want %.80q (%d)", r.stdout, len(r.stdout), w.stdout, len(w.stdout))
				}
				if string(r.stderr) != w.stderr {
					t.Errorf("stderr %.80q (%d bytes), want %.80q (%d)", r.stderr, len(r.stderr), w.stderr, len(w.stderr))
				}
				for _, p := range []fleet.Phase{fleet.PhaseDial, fleet.PhaseKex, fleet.PhaseAuth, fleet.PhaseSession} {
					if r.took[p] <= 0 {
						t.Errorf("phase %v was not measured: %v", p, r.took)
					}
				}
			})
		}
		t.Run(s.name+"/limit", func(t *testing.T) { testLimit(t, s, newDialer) })
		t.Run(s.name+"/many at once", func(t *testing.T) {
			var all sync.WaitGroup
			for range 4 { // Dropbear allows five unauthenticated connections
				all.Go(func() {
					for range 5 {
						r := run(t.Context(), t, d, s.target("echo same"))
						r.ok(t)
						if !bytes.Equal(r.stdout, []byte("same\n")) {
							t.Errorf("stdout %q", r.stdout)
						}
					}
				})
			}
			all.Wait()
		})
	}
}

// testLimit checks that an attempt's command timeout overrides the Dialer's, and that an
// overlong command ends by TERM where possible.
// faults.md: S08
func testLimit(t *testing.T, s server, newDialer Factory) {
	timeouts := patient()
	timeouts.Command = time.Millisecond
	d := s.dialer(t, newDialer, timeouts)
	for _, limit := range []time.Duration{-1, time.Minute} {
		a := &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: s.target("sleep 0.3")}, Limit: limit}
		runAttempt(t.Context(), t, d, a).ok(t)
	}
	patiently := s.dialer(t, newDialer, patient())
	ends := map[string]ending{
		"sleep 3600": {fleet.OutcomeSignalled, fleet.PhaseDrain, fleet.FlagExitKnown},
	}
	if s.name != "simfleet" { // its shell has no traps
		ends["trap 'exit 3' TERM; while :; do sleep 0.1; done"] = ending{fleet.OutcomeFailed, fleet.PhaseDrain, fleet.FlagExitKnown}
		ends["trap '' TERM; while :; do sleep 0.1; done"] = ending{fleet.OutcomeUnknown, fleet.PhaseRun, 0}
	}
	for command, e := range ends {
		if s.name == "openssh" && os.Geteuid() == 0 { // it does not deliver signals to root's commands
			e = ending{fleet.OutcomeUnknown, fleet.PhaseRun, 0}
		}
		r := runAttempt(t.Context(), t, patiently, &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: s.target(command)}, Limit: short})
		r.want(t, e.outcome, fleet.ReasonTimeout, e.phase, e.flags)
		if signalled := e.outcome == fleet.OutcomeSignalled; signalled != (r.Signal == "TERM") {
			t.Errorf("signal %q", r.Signal)
		}
		for _, text := range []string{"TERM was sent", "may still be running", "\nhint: ", "--remote-timeout", "--kill-on-cancel"} {
			if e.outcome == fleet.OutcomeUnknown && !strings.Contains(r.Err.Error(), text) {
				t.Errorf("cause %q does not say %q", r.Err, text)
			}
		}
	}
}

type ending struct {
	outcome fleet.Outcome
	phase   fleet.Phase
	flags   fleet.Flags
}
