package sshtest

import (
	"net"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// testContradictions has servers contradict what they reported about a command. Output or an
// exit report outweighs a later refusal, the first exit status or signal counts, and a
// different one is flagged.
// faults.md: S23
func testContradictions(t *testing.T, newDialer Factory) {
	const twice = fleet.FlagExitKnown | fleet.FlagExitConflict
	exit := func(ch ssh.Channel, status byte) {
		_, _ = ch.SendRequest("exit-status", false, []byte{0, 0, 0, status})
	}
	killed := func(ch ssh.Channel) {
		_, _ = ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
			Name      string
			Core      bool
			Text, Tag string
		}{Name: "KILL"}))
	}
	for name, c := range map[string]struct {
		serve   func(ch ssh.Channel, exec *ssh.Request)
		outcome fleet.Outcome
		reason  fleet.Reason
		phase   fleet.Phase
		flags   fleet.Flags
		stdout  string
	}{
		"refused after output": {func(ch ssh.Channel, exec *ssh.Request) {
			_, _ = ch.Write([]byte("x\n"))
			_ = exec.Reply(false, nil)
		}, fleet.OutcomeUnknown, fleet.ReasonProtocolError, fleet.PhaseExec, 0, "x\n"},
		"refused after an exit status": {func(ch ssh.Channel, exec *ssh.Request) {
			_, _ = ch.Write([]byte("x\n"))
			exit(ch, 0)
			_ = exec.Reply(false, nil)
		}, fleet.OutcomeOK, "", fleet.PhaseDrain, twice, "x\n"},
		"a variable refused": {func(ch ssh.Channel, exec *ssh.Request) {
			_ = exec.Reply(true, nil)
			_, _ = ch.Write([]byte("x\n"))
			exit(ch, 0)
		}, fleet.OutcomeOK, "", fleet.PhaseDrain, fleet.FlagExitKnown, "x\n"},
		"refused": {func(_ ssh.Channel, exec *ssh.Request) {
			_ = exec.Reply(false, nil)
		}, fleet.OutcomeRefused, fleet.ReasonExecRefused, fleet.PhaseExec, 0, ""},
		"two exit statuses": {func(ch ssh.Channel, exec *ssh.Request) {
			_ = exec.Reply(true, nil)
			exit(ch, 0)
			exit(ch, 3)
		}, fleet.OutcomeOK, "", fleet.PhaseDrain, twice, ""},
		"exit status and signal": {func(ch ssh.Channel, exec *ssh.Request) {
			_ = exec.Reply(true, nil)
			exit(ch, 3)
			killed(ch)
		}, fleet.OutcomeFailed, "", fleet.PhaseDrain, twice, ""},
		"exit signal and status": {func(ch ssh.Channel, exec *ssh.Request) {
			_ = exec.Reply(true, nil)
			killed(ch)
			exit(ch, 0)
		}, fleet.OutcomeSignalled, "", fleet.PhaseDrain, twice, ""},
		"one exit status twice": {func(ch ssh.Channel, exec *ssh.Request) {
			_ = exec.Reply(true, nil)
			exit(ch, 3)
			exit(ch, 3)
		}, fleet.OutcomeFailed, "", fleet.PhaseDrain, fleet.FlagExitKnown, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := newKey(t)
			target := contrary(t, key, c.serve)
			d := newDialer(t, Config{
				HostKeys: &exact{trusted: []ssh.PublicKey{key.PublicKey()}}, Identities: keys{newKey(t)}, Timeouts: patient(),
			})
			r := runAt(t.Context(), t, d, withEnv(target, "NAME=value"))
			r.Flags &^= fleet.FlagOutputIncomplete // a client that closes the channel itself to be sure cannot know
			r.want(t, c.outcome, c.reason, c.phase, c.flags)
			if string(r.stdout) != c.stdout {
				t.Errorf("output %q, want %q", r.stdout, c.stdout)
			}
		})
	}
}

// contrary is a server that leaves all answers to exec to serve, and then closes the channel. It
// refuses variables, also those whose client wants no answer: just before that to exec.
func contrary(t testing.TB, key ssh.Signer, serve func(ssh.Channel, *ssh.Request)) fleet.Target {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := &ssh.ServerConfig{
		PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return new(ssh.Permissions), nil },
	}
	config.AddHostKey(key)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer func() { _ = nc.Close() }()
				sc, channels, requests, err := ssh.NewServerConn(nc, config)
				if err != nil {
					return
				}
				go ssh.DiscardRequests(requests)
				for opened := range channels {
					ch, requests, err := opened.Accept()
					if err != nil {
						return
					}
					var unasked []*ssh.Request
					for r := range requests {
						if r.Type == "env" && r.WantReply {
							_ = r.Reply(false, nil)
						} else if r.Type == "env" {
							unasked = append(unasked, r)
						}
						if r.Type == "exec" {
							for _, u := range unasked {
								u.WantReply = true
								_ = u.Reply(false, nil)
							}
							serve(ch, r)
							_ = ch.Close()
						}
					}
				}
				_ = sc.Wait()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return nameless("127.0.0.1", l.Addr().(*net.TCPAddr).AddrPort().Port())
}
