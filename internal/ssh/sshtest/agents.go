package sshtest

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/auth"
	"shoal/simfleet"
)

// A hungAgent lists a key and answers no signature request.
type hungAgent struct {
	agent.ExtendedAgent // the other methods; nil, since they are not called
	key                 xssh.PublicKey
	stop                chan struct{} // closed when the test ends
	asked               atomic.Int32
}

func (h *hungAgent) List() ([]*agent.Key, error) {
	return []*agent.Key{{Format: h.key.Type(), Blob: h.key.Marshal(), Comment: "hung"}}, nil
}

func (h *hungAgent) SignWithFlags(xssh.PublicKey, []byte, agent.SignatureFlags) (*xssh.Signature, error) {
	h.asked.Add(1)
	<-h.stop
	return nil, errWrong
}

// startHungAgent starts the agent and returns its key, followed by others.
func startHungAgent(
	t testing.TB, key xssh.PublicKey, limit time.Duration, others ...xssh.Signer,
) (*hungAgent, ssh.Identities) {
	t.Helper()
	h := &hungAgent{key: key, stop: make(chan struct{})}
	socket := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				_ = agent.ServeAgent(h, c)
				_ = c.Close()
			})
		}
	})
	keyring, err := auth.NewKeyring(auth.KeyringOptions{SignTimeout: limit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = keyring.Close()
		close(h.stop)
		_ = l.Close()
		all.Wait()
	})
	want := auth.KeySpec{AgentSocket: socket}
	if _, err := keyring.Set(t.Context(), want); err != nil { // the list needs no test deadline
		t.Fatal(err)
	}
	return h, &withOthers{keyring, want, others}
}

// withOthers offers its own keys after those of an agent.
type withOthers struct {
	keyring *auth.Keyring
	keys    ssh.KeySpec
	others  []xssh.Signer
}

func (w *withOthers) Signers(ctx context.Context, t ssh.Target) ([]xssh.Signer, error) {
	t.Endpoint = &ssh.Endpoint{Settings: &ssh.Settings{Keys: w.keys}}
	list, err := w.keyring.Signers(ctx, t)
	if len(w.others) > 0 {
		err = nil // as a keyring with files does
	}
	return append(list, w.others...), err
}

// testHungAgent has an agent hang while many hosts need its signature (faults.md A09): each
// attempt ends at its deadline at the latest, the agent is not asked again once found hung, and
// other keys and the password still work.
// faults.md: A09
func testHungAgent(t *testing.T, newDialer Factory) {
	const hosts = 20
	f := startFleet(t, simfleet.Options{Hosts: hosts})
	key := f.ClientKey().PublicKey()
	trusted := &exact{}
	for i := range hosts {
		trusted.trusted = append(trusted.trusted, f.HostKey(i))
	}
	all := func(t *testing.T, d ssh.Dialer, check func(report)) {
		t.Helper()
		var wg sync.WaitGroup
		for i := range hosts {
			wg.Go(func() { check(run(t.Context(), t, d, simulated(f, i).target("true"))) })
		}
		wg.Wait()
	}
	unavailable := func(t *testing.T) func(report) {
		return func(r report) {
			t.Helper()
			r.want(t, fleet.OutcomeNeverStarted, fleet.ReasonAgentUnavailable, fleet.PhaseAuth, 0)
		}
	}
	t.Run("until its limit", func(t *testing.T) {
		hung, ids := startHungAgent(t, key, 100*time.Millisecond)
		d := newDialer(t, Config{HostKeys: trusted, Identities: ids, Timeouts: patient()})
		all(t, d, unavailable(t))
		all(t, d, unavailable(t))
		if n := hung.asked.Load(); n > 1 { // 0 if it was too slow to list its key
			t.Errorf("it was asked %d times by %d attempts, want once", n, 2*hosts)
		}
	})
	t.Run("until the deadline of authentication", func(t *testing.T) {
		_, ids := startHungAgent(t, key, time.Hour)
		timeouts := patient()
		timeouts.Auth = 3 * short // must suffice for all hosts to ask for their signature
		d := newDialer(t, Config{HostKeys: trusted, Identities: ids, Timeouts: timeouts})
		all(t, d, func(r report) {
			r.want(t, fleet.OutcomeNeverStarted, fleet.ReasonAgentUnavailable, fleet.PhaseAuth, 0)
			if r.Err != nil && !strings.Contains(r.Err.Error(), "authentication did not end within 2.1s") {
				t.Errorf("the cause is %q", r.Err)
			}
		})
	})
	t.Run("until the deadline of the connect", func(t *testing.T) {
		_, ids := startHungAgent(t, key, time.Hour)
		timeouts := patient()
		timeouts.Connect = 2 * short // must suffice for the key exchange
		d := newDialer(t, Config{HostKeys: trusted, Identities: ids, Timeouts: timeouts})
		run(t.Context(), t, d, simulated(f, 0).target("true")).want(t,
			fleet.OutcomeNeverStarted, fleet.ReasonAgentUnavailable, fleet.PhaseAuth, 0)
	})
	t.Run("until the run ends", func(t *testing.T) {
		hung, ids := startHungAgent(t, key, time.Hour)
		d := newDialer(t, Config{HostKeys: trusted, Identities: ids, Timeouts: patient()})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			for hung.asked.Load() == 0 && ctx.Err() == nil {
				time.Sleep(time.Millisecond)
			}
			cancel()
		}()
		run(ctx, t, d, simulated(f, 0).target("true")).want(t,
			fleet.OutcomeCancelled, fleet.ReasonInterrupted, fleet.PhaseAuth, 0)
	})
	t.Run("and another key", func(t *testing.T) {
		_, ids := startHungAgent(t, key, 100*time.Millisecond, f.ClientKey())
		d := newDialer(t, Config{HostKeys: trusted, Identities: ids, Timeouts: patient()})
		all(t, d, func(r report) { r.ok(t) })
	})
	t.Run("and a password", func(t *testing.T) {
		_, ids := startHungAgent(t, key, 100*time.Millisecond)
		s := startPasswordServer(t, nil)
		d := newDialer(t, Config{HostKeys: s.known(), Identities: ids, Passwords: newPasswords(t, passphrase), Timeouts: patient()})
		run(t.Context(), t, d, s.target).ok(t)
	})
}
