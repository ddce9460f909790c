package auth_test

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"shoal/fleet"
	"shoal/internal/ssh/auth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAgentsSign(t *testing.T) {
	t.Parallel()
	goSocket, _ := goAgent(t, edKey(t), rsaKey(), ecdsaKey(t))
	realSocket, _ := sshAgent(t, edKey(t), rsaKey(), ecdsaKey(t))
	for name, socket := range map[string]string{"x/crypto": goSocket, "ssh-agent": realSocket} {
		s := load(t, auth.Options{AgentSocket: socket})
		list := signers(t, s)
		if len(list) != 3 {
			t.Fatalf("%s: %d keys, want 3: %q", name, len(list), s.Notices())
		}
		for _, signer := range list {
			signer := signer.(ssh.MultiAlgorithmSigner)
			for _, a := range signer.Algorithms() {
				signature, err := signer.SignWithAlgorithm(rand.Reader, []byte("data"), a)
				if err != nil || signature.Format != a {
					t.Errorf("%s: %s: %v, %v", name, a, signature, err)
				}
			}
			if _, err := signer.SignWithAlgorithm(rand.Reader, nil, "ssh-rsa"); err == nil {
				t.Errorf("%s: signs with SHA-1", name)
			}
		}
	}
}

// All targets share one connection, and the list is requested once.
func TestOneConnection(t *testing.T) {
	t.Parallel()
	keyring := agent.NewKeyring()
	if err := keyring.Add(agent.AddedKey{PrivateKey: edKey(t)}); err != nil {
		t.Fatal(err)
	}
	var conns atomic.Int32
	socket := listenUnix(t, func(c net.Conn) {
		conns.Add(1)
		_ = agent.ServeAgent(keyring, c)
	})
	s := load(t, auth.Options{AgentSocket: socket})
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			for _, signer := range signers(t, s) {
				if _, err := signer.Sign(rand.Reader, []byte("data")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestAnAgentThatIsNotThere(t *testing.T) {
	t.Parallel()
	socket := t.TempDir() + "/none"
	s := load(t, auth.Options{AgentSocket: socket})
	if n := s.Notices(); len(n) != 1 || !strings.Contains(n[0], socket) {
		t.Errorf("notices %q", n)
	}
	_, err := s.Signers(t.Context(), someTarget)
	wantReason(t, err, fleet.ReasonAgentUnavailable)

	// Keys from files still work.
	s = load(t, auth.Options{AgentSocket: socket, Files: []string{keyFile(t, edKey(t), "")}})
	if list := signers(t, s); len(list) != 1 {
		t.Errorf("%d signers, want 1", len(list))
	}
}

// faults.md: A09
func TestAnAgentThatDies(t *testing.T) {
	t.Parallel()
	socket, process := sshAgent(t, edKey(t))
	s := load(t, auth.Options{AgentSocket: socket})
	signer := signers(t, s)[0]
	if _, err := signer.Sign(rand.Reader, []byte("data")); err != nil {
		t.Fatal(err)
	}
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := process.Wait(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err := signer.Sign(rand.Reader, []byte("data"))
		wantReason(t, err, fleet.ReasonAgentUnavailable)
	}
}

// A faultyAgent lists one key and handles signature requests as the test specifies.
type faultyAgent struct {
	agent.ExtendedAgent
	sign func(key ssh.PublicKey, data []byte) (*ssh.Signature, error)
}

func (a faultyAgent) SignWithFlags(key ssh.PublicKey, data []byte, _ agent.SignatureFlags) (*ssh.Signature, error) {
	return a.sign(key, data)
}

func faulty(t *testing.T, sign func(good agent.Agent, key ssh.PublicKey, data []byte) (*ssh.Signature, error)) string {
	t.Helper()
	good := agent.NewKeyring()
	if err := good.Add(agent.AddedKey{PrivateKey: rsaKey()}); err != nil {
		t.Fatal(err)
	}
	return listenUnix(t, func(c net.Conn) {
		_ = agent.ServeAgent(faultyAgent{good.(agent.ExtendedAgent), func(key ssh.PublicKey, data []byte) (*ssh.Signature, error) {
			return sign(good, key, data)
		}}, c)
	})
}

// faults.md: A09
func TestAnAgentThatRefusesOrAnswersWrongly(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sign func(good agent.Agent, key ssh.PublicKey, data []byte) (*ssh.Signature, error)
		text string
	}{
		"refuses": {func(agent.Agent, ssh.PublicKey, []byte) (*ssh.Signature, error) {
			return nil, errors.New("no")
		}, "the agent refuses\nhint: it may be locked"},
		"signs with SHA-1": {func(good agent.Agent, key ssh.PublicKey, data []byte) (*ssh.Signature, error) {
			return good.Sign(key, data)
		}, `the agent signed with "ssh-rsa" instead of "rsa-sha2-512"`},
		"signs something else": {func(good agent.Agent, key ssh.PublicKey, data []byte) (*ssh.Signature, error) {
			return good.(agent.ExtendedAgent).SignWithFlags(key, append(data, 'x'), agent.SignatureFlagRsaSha512)
		}, "the agent's signature is wrong"},
	} {
		s := load(t, auth.Options{AgentSocket: faulty(t, c.sign)})
		_, err := signers(t, s)[0].Sign(rand.Reader, []byte("data"))
		wantReason(t, err, fleet.ReasonAgentUnavailable)
		if !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %q lacks %q", name, err, c.text)
		}
	}
}

// The first signature hangs and is cancelled; the next reconnects to the agent.
func TestAnAgentThatHangsOnce(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	var calls atomic.Int32
	socket := faulty(t, func(good agent.Agent, key ssh.PublicKey, data []byte) (*ssh.Signature, error) {
		if calls.Add(1) == 1 {
			close(arrived)
			<-release
		}
		return good.(agent.ExtendedAgent).SignWithFlags(key, data, agent.SignatureFlagRsaSha512)
	})
	t.Cleanup(func() { close(release) }) // before the listener waits for its servers
	s := load(t, auth.Options{AgentSocket: socket, SignTimeout: time.Hour})

	ctx, cancel := context.WithCancelCause(t.Context())
	list, err := s.Signers(ctx, someTarget)
	if err != nil {
		t.Fatal(err)
	}
	stopped := errors.New("the attempt's time is up")
	hung := make(chan error)
	go func() {
		_, err := list[0].Sign(rand.Reader, []byte("data"))
		hung <- err
	}()
	<-arrived
	cancel(stopped)
	err = <-hung
	wantReason(t, err, fleet.ReasonAgentUnavailable)
	if !errors.Is(err, stopped) {
		t.Errorf("%v does not tell why it ended", err)
	}
	if _, err := signers(t, s)[0].Sign(rand.Reader, []byte("data")); err != nil {
		t.Errorf("the next signature: %v", err)
	}
}

func TestAnAgentThatHangsEndsAtTheDeadline(t *testing.T) {
	t.Parallel()
	silent := listenUnix(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	const limit = 10 * time.Millisecond
	s := load(t, auth.Options{AgentSocket: silent, SignTimeout: limit})
	_, err := s.Signers(t.Context(), someTarget)
	wantReason(t, err, fleet.ReasonAgentUnavailable)
	if !strings.Contains(err.Error(), "no answer from the agent in 10ms") {
		t.Error(err)
	}

	release := make(chan struct{})
	hangs := faulty(t, func(agent.Agent, ssh.PublicKey, []byte) (*ssh.Signature, error) {
		<-release
		return nil, errors.New("released")
	})
	t.Cleanup(func() { close(release) })
	s = load(t, auth.Options{AgentSocket: hangs, SignTimeout: 100 * time.Millisecond})
	_, err = signers(t, s)[0].Sign(rand.Reader, []byte("data"))
	wantReason(t, err, fleet.ReasonAgentUnavailable)
}

// A reply is refused by its length, before it is read.
// faults.md: A09
func TestAnAgentWithAHugeReply(t *testing.T) {
	t.Parallel()
	socket := listenUnix(t, func(c net.Conn) {
		_, _ = c.Write(binary.BigEndian.AppendUint32(nil, 1<<31))
		_, _ = io.Copy(io.Discard, c)
	})
	s := load(t, auth.Options{AgentSocket: socket})
	_, err := s.Signers(t.Context(), someTarget)
	wantReason(t, err, fleet.ReasonAgentUnavailable)
	if !strings.Contains(err.Error(), "the agent announces a reply of 2147483648 bytes, want 1 to 262144") {
		t.Error(err)
	}
}

// Keys from files work without the agent, wherever its keys are in the order.
func TestFileKeysOutliveTheAgent(t *testing.T) {
	t.Parallel()
	inAgent, inFile := edKey(t), edKey(t)
	socket, process := sshAgent(t, inAgent)
	named := plainFile(t, ssh.MarshalAuthorizedKey(public(t, inAgent)))
	s := load(t, auth.Options{AgentSocket: socket, Files: []string{named, keyFile(t, inFile, "")}})
	before := signers(t, s)
	if len(before) != 2 {
		t.Fatalf("%d signers, want 2", len(before))
	}
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := process.Wait(); err != nil {
		t.Fatal(err)
	}
	_, err := before[0].Sign(rand.Reader, []byte("data"))
	wantReason(t, err, fleet.ReasonAgentUnavailable)
	after := signers(t, s)
	if len(after) != 1 || ssh.FingerprintSHA256(after[0].PublicKey()) != fingerprint(t, inFile) {
		t.Fatalf("%d signers, want the file's", len(after))
	}
	if _, err := after[0].Sign(rand.Reader, []byte("data")); err != nil {
		t.Error(err)
	}
}

// The agent returns on the same socket with its keys.
func TestAnAgentThatComesBack(t *testing.T) {
	t.Parallel()
	key := edKey(t)
	socket, process := sshAgent(t, key)
	s := load(t, auth.Options{AgentSocket: socket, Files: []string{keyFile(t, edKey(t), "")}})
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := process.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	sshAgentAt(t, socket, key)
	list := signers(t, s)
	if len(list) != 2 {
		t.Fatalf("%d signers, want 2", len(list))
	}
	for _, signer := range list {
		if _, err := signer.Sign(rand.Reader, []byte("data")); err != nil {
			t.Error(err)
		}
	}
}

// A refusal affects only that key: the connection stays, and other keys sign.
func TestALockedAgentRefuses(t *testing.T) {
	t.Parallel()
	key := edKey(t)
	keyring := agent.NewKeyring()
	if err := keyring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		t.Fatal(err)
	}
	var conns atomic.Int32
	socket := listenUnix(t, func(c net.Conn) {
		conns.Add(1)
		_ = agent.ServeAgent(keyring, c)
	})
	signer := signers(t, load(t, auth.Options{AgentSocket: socket}))[0]
	if err := keyring.Lock([]byte("x")); err != nil {
		t.Fatal(err)
	}
	_, err := signer.Sign(rand.Reader, []byte("data"))
	wantReason(t, err, fleet.ReasonAgentUnavailable)
	if !errors.Is(err, auth.ErrAgentRefused) {
		t.Errorf("%v is not ErrAgentRefused", err)
	}
	if err := keyring.Unlock([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := signer.Sign(rand.Reader, []byte("data")); err != nil {
		t.Error(err)
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}
