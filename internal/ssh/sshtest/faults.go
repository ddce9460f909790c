package sshtest

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/simfleet"
)

// A faultCase is a host's fault and how the attempt must end.
type faultCase struct {
	fault   simfleet.Fault
	outcome fleet.Outcome
	reason  fleet.Reason
	phase   fleet.Phase
	flags   fleet.Flags
	command string // "" means echo hello
	stdout  string // asserted if the command ran or may have run
	timeout func(*ssh.Timeouts)
}

func faultCases() []faultCase {
	const (
		never     = fleet.OutcomeNeverStarted
		unknown   = fleet.OutcomeUnknown
		exitKnown = fleet.FlagExitKnown
		lost      = fleet.FlagExitKnown | fleet.FlagOutputIncomplete
	)
	kex := func(t *ssh.Timeouts) { t.Kex = short }
	session := func(t *ssh.Timeouts) { t.Session = short }
	return []faultCase{
		{fault: simfleet.FaultReset, outcome: never, reason: fleet.ReasonConnReset, phase: fleet.PhaseBanner},
		{fault: simfleet.FaultSilent, outcome: never, reason: fleet.ReasonBannerTimeout, phase: fleet.PhaseBanner, timeout: kex},
		{fault: simfleet.FaultSlowBanner, outcome: never, reason: fleet.ReasonBannerTimeout, phase: fleet.PhaseBanner, timeout: kex},
		{fault: simfleet.FaultEndlessBanner, outcome: never, reason: fleet.ReasonProtocolError, phase: fleet.PhaseBanner},
		{fault: simfleet.FaultNotSSH, outcome: never, reason: fleet.ReasonProtocolError, phase: fleet.PhaseBanner},
		{fault: simfleet.FaultThrottle, outcome: never, reason: fleet.ReasonThrottled, phase: fleet.PhaseBanner},
		{fault: simfleet.FaultThrottleOld, outcome: never, reason: fleet.ReasonThrottled, phase: fleet.PhaseBanner},
		{fault: simfleet.FaultCloseAfterVersion, outcome: never, reason: fleet.ReasonConnClosed, phase: fleet.PhaseKex},

		{fault: simfleet.FaultCloseAfterKexinit, outcome: never, reason: fleet.ReasonConnClosed, phase: fleet.PhaseKex},
		{fault: simfleet.FaultStallKex, outcome: never, reason: fleet.ReasonKexTimeout, phase: fleet.PhaseKex, timeout: kex},
		{
			fault: simfleet.FaultStallVersion, outcome: never, reason: fleet.ReasonKexTimeout, phase: fleet.PhaseKex,
			timeout: func(t *ssh.Timeouts) { t.Connect = short },
		},
		{fault: simfleet.FaultNoCommonAlgorithm, outcome: never, reason: fleet.ReasonNoCommonAlgorithm, phase: fleet.PhaseKex},
		{fault: simfleet.FaultWrongHostkey, outcome: never, reason: fleet.ReasonHostkeyChanged, phase: fleet.PhaseHostkey},

		{fault: simfleet.FaultAuthRefused, outcome: never, reason: fleet.ReasonAuthFailed, phase: fleet.PhaseAuth},
		{
			fault: simfleet.FaultAuthStall, outcome: never, reason: fleet.ReasonAuthTimeout, phase: fleet.PhaseAuth,
			timeout: func(t *ssh.Timeouts) { t.Auth = short },
		},
		{fault: simfleet.FaultAuthBannerFlood, outcome: never, reason: fleet.ReasonProtocolAbuse, phase: fleet.PhaseAuth},

		{fault: simfleet.FaultSessionStall, outcome: never, reason: fleet.ReasonSessionTimeout, phase: fleet.PhaseSession, timeout: session},
		{fault: simfleet.FaultSessionRefused, outcome: never, reason: fleet.ReasonSessionRefused, phase: fleet.PhaseSession},
		{fault: simfleet.FaultExecRefused, outcome: fleet.OutcomeRefused, reason: fleet.ReasonExecRefused, phase: fleet.PhaseExec},
		{fault: simfleet.FaultExecStall, outcome: unknown, reason: fleet.ReasonExecTimeout, phase: fleet.PhaseExec, timeout: session},

		{
			fault: simfleet.FaultEndlessOutput, outcome: unknown, reason: fleet.ReasonTimeout, phase: fleet.PhaseRun,
			timeout: func(t *ssh.Timeouts) { t.Command = short },
		},
		{fault: simfleet.FaultDropMidOutput, outcome: unknown, reason: fleet.ReasonConnClosed, phase: fleet.PhaseRun, stdout: "hel"},
		{fault: simfleet.FaultRequestFlood, outcome: unknown, reason: fleet.ReasonProtocolError, phase: fleet.PhaseRun},
		{fault: simfleet.FaultOpenFlood, outcome: unknown, reason: fleet.ReasonProtocolAbuse, phase: fleet.PhaseRun},

		{fault: simfleet.FaultNoExitStatus, outcome: unknown, reason: fleet.ReasonExitMissing, phase: fleet.PhaseRun, stdout: "hello\n"},
		{fault: simfleet.FaultExitSignal, outcome: fleet.OutcomeSignalled, phase: fleet.PhaseDrain, flags: exitKnown, stdout: "hello\n"},
		{
			fault: simfleet.FaultNoClose, outcome: fleet.OutcomeOK, phase: fleet.PhaseDrain, flags: lost, stdout: "hello\n",
			timeout: func(t *ssh.Timeouts) { t.Drain = short },
		},
		{fault: simfleet.FaultDropAfterExit, outcome: fleet.OutcomeOK, phase: fleet.PhaseDrain, flags: lost, stdout: "hello\n"},
		{
			fault: simfleet.FaultDropAfterExit, outcome: fleet.OutcomeFailed, phase: fleet.PhaseDrain, flags: lost,
			command: "echo late; exit 9", stdout: "late\n",
		},
	}
}

// testFaults covers every fault of the simulated fleet, beside a good host that must not be
// affected.
// faults.md: T01 T04 T05 T06 T07 T08 T09 T12 K07 K09 K13 A01 A02 S01 S02 S03 S04 S08 S12 S13 S14 S15 S17 S18 S19
func testFaults(t *testing.T, newDialer Factory) {
	cases := faultCases()
	met := map[simfleet.Fault]bool{simfleet.FaultEscapes: true} // testEscapes
	for _, c := range cases {
		met[c.fault] = true
		name := string(c.fault)
		if c.command != "" {
			name += "/" + c.command
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testFault(t, newDialer, c)
		})
	}
	t.Run("escapes", func(t *testing.T) { testEscapes(t, newDialer) })
	for _, f := range simfleet.Faults() {
		if !met[f] {
			t.Run(string(f), func(t *testing.T) {
				t.Parallel()
				testExpected(t, newDialer, f)
			})
		}
	}
}

// testExpected runs on a host whose fault declares what may be reported.
func testExpected(t *testing.T, newDialer Factory, fault simfleet.Fault) {
	f := startFleet(t, simfleet.Options{Hosts: 3, Seed: "faults", Fault: func(int) simfleet.Fault { return fault }})
	timeouts := patient()
	if slices.ContainsFunc(fault.Expect().Reasons, func(r fleet.Reason) bool { return strings.HasSuffix(string(r), "timeout") }) {
		timeouts.Kex, timeouts.Auth, timeouts.Session, timeouts.Command = short, short, short, short
	} else if len(fault.Expect().Outcomes) > 1 {
		timeouts.Kex, timeouts.Auth, timeouts.Session, timeouts.Command = 5*short, 5*short, 5*short, 5*short
	}
	var results []fleet.Result
	for i := range 3 {
		s := simulated(f, i)
		target := s.target("echo hello")
		target.Index = i
		r := run(t.Context(), t, s.dialer(t, newDialer, timeouts), target)
		results = append(results, fleet.Result{
			Target: target, End: r.End,
			Stdout: fleet.Output{Bytes: r.stdout, Size: int64(len(r.stdout))},
			Stderr: fleet.Output{Bytes: r.stderr, Size: int64(len(r.stderr))},
		})
	}
	_ = f.Close() // the log is complete only after Close
	for _, text := range simfleet.CheckExpected(slices.Values(results), func(int) simfleet.Fault { return fault }) {
		t.Error(text)
	}
	if report := simfleet.Check(f.Log(), slices.Values(results), len(results)); !report.OK() {
		t.Error(report)
	}
}

func testFault(t *testing.T, newDialer Factory, c faultCase) {
	f := startFleet(t, simfleet.Options{Hosts: 2, Fault: func(i int) simfleet.Fault {
		if i == 0 {
			return c.fault
		}
		return simfleet.FaultNone
	}})
	timeouts := patient()
	if c.timeout != nil {
		c.timeout(&timeouts)
	}
	command := c.command
	if command == "" {
		command = "echo hello"
	}
	d := newDialer(t, Config{
		HostKeys:   &exact{trusted: []xssh.PublicKey{f.HostKey(0), f.HostKey(1)}},
		Identities: keys{f.ClientKey()},
		Timeouts:   timeouts,
	})
	r := run(t.Context(), t, d, simulated(f, 0).target(command))
	r.want(t, c.outcome, c.reason, c.phase, c.flags)
	if c.command == "" && !c.fault.Expect().Allows(r.End) {
		t.Errorf("the fault declares %v", c.fault.Expect())
	}
	if c.stdout != "" && string(r.stdout) != c.stdout {
		t.Errorf("stdout %q, want %q", r.stdout, c.stdout)
	}
	if r.Err != nil {
		if text := r.Err.Error(); len(text) > 1000 || strings.ContainsFunc(text, hidden) {
			t.Errorf("the cause is not bounded or not printable: %.200q", text)
		}
	}
	if execs := f.Log(); r.Outcome.DidNotRun() && slices.ContainsFunc(execs, func(e simfleet.Exec) bool { return e.Accepted }) {
		t.Errorf("%v, and the server ran %+v", r.Outcome, execs)
	}

	d = newDialer(t, Config{HostKeys: &exact{trusted: []xssh.PublicKey{f.HostKey(1)}}, Identities: keys{f.ClientKey()}, Timeouts: patient()})
	run(t.Context(), t, d, simulated(f, 1).target("true")).ok(t)
}

func hidden(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }

// testEscapes checks that terminal escapes arrive unchanged.
// faults.md: S11
func testEscapes(t *testing.T, newDialer Factory) {
	f := startFleet(t, simfleet.Options{Hosts: 1, Fault: func(int) simfleet.Fault { return simfleet.FaultEscapes }})
	s := simulated(f, 0)
	r := run(t.Context(), t, s.dialer(t, newDialer, patient()), s.target("echo hello"))
	r.ok(t)
	if !bytes.Contains(r.stdout, []byte{0x1b}) {
		t.Fatalf("stdout has no escapes: %q", r.stdout)
	}
	_ = f.Close() // the log is complete only after Close
	log := f.Log()
	if len(log) != 1 || log[0].Stdout != simfleet.WrittenOf(r.stdout) || log[0].Stderr != simfleet.WrittenOf(r.stderr) {
		t.Errorf("the server wrote other bytes than came: %+v", log)
	}
}
