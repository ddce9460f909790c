package sshtest

import (
	"strings"
	"sync/atomic"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/sshdtest"
)

func ptyAttempt(target fleet.Target, p ssh.PTY) *ssh.Attempt {
	return &ssh.Attempt{
		Progress: new(ssh.Progress), Target: ssh.Target{Target: target}, PTY: &p, Input: strings.NewReader("\x04"),
	}
}

// testPTY asks for pseudo-terminals. Each server is met twice: a known one may get requests
// early.
func testPTY(t *testing.T, newDialer Factory) {
	for _, s := range everyKind(t) {
		t.Run(s.name, func(t *testing.T) {
			d := s.dialer(t, newDialer, patient())
			command, want := "echo out; echo err >&2; cat; echo end", "out\r\nerr\r\nend\r\n"
			if s.name != "simfleet" {
				command, want = command+"; echo $TERM; stty size; stty -a | grep -o -e '-echo '", want+"vt220\r\n50 132\r\n-echo \r\n"
			}
			for range 2 {
				r := runAttempt(t.Context(), t, d, ptyAttempt(s.target(command), ssh.PTY{Term: "vt220", Columns: 132, Rows: 50}))
				r.want(t, fleet.OutcomeOK, fleet.ReasonNone, fleet.PhaseDrain, fleet.FlagExitKnown|fleet.FlagPTY)
				if string(r.stdout) != want || len(r.stderr) > 0 {
					t.Errorf("stdout %q, stderr %q, want %q and none", r.stdout, r.stderr, want)
				}
				run(t.Context(), t, d, s.target("true")).ok(t) // without the flag
			}
		})
	}
	refused := func(t *testing.T, d ssh.Dialer, target fleet.Target) {
		t.Helper()
		for range 2 {
			a := ptyAttempt(target, ssh.PTY{})
			r := runAttempt(t.Context(), t, d, a)
			r.want(t, fleet.OutcomeNeverStarted, fleet.ReasonPTYRefused, fleet.PhaseExec, 0)
			if a.Execution.Queued() {
				t.Error("the command was sent")
			}
			if !strings.Contains(r.Err.Error(), "PermitTTY") {
				t.Errorf("the cause is %q", r.Err)
			}
		}
	}
	t.Run("refused", func(t *testing.T) {
		key := newKey(t)
		config := new(xssh.ServerConfig)
		config.AddHostKey(key)
		var ran atomic.Int32
		target := ownServer(t, config, func(xssh.Channel) { ran.Add(1) }) // refuses all but exec
		d := newDialer(t, Config{
			HostKeys: &exact{trusted: []xssh.PublicKey{key.PublicKey()}}, Identities: keys{newKey(t)}, Timeouts: patient(),
		})
		refused(t, d, target)
		if n := ran.Load(); n != 0 {
			t.Errorf("the command ran %d times", n)
		}
	})
	t.Run("PermitTTY no", func(t *testing.T) {
		s := realOne("openssh", sshdtest.OpenSSH(t, sshdtest.WithConfig("PermitTTY no")))
		refused(t, s.dialer(t, newDialer, patient()), s.target("echo no"))
	})
}
