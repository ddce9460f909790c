package auth_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
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
)

var _ ssh.Identities = (*auth.Keyring)(nil)

// wanting returns a target whose keys are specified.
func wanting(name string, w auth.KeySpec) ssh.Target {
	return ssh.Target{
		Target:   fleet.Target{Host: fleet.Host{Name: name}},
		Endpoint: &ssh.Endpoint{Settings: &ssh.Settings{Keys: w}},
	}
}

func keyring(t testing.TB, o auth.KeyringOptions) *auth.Keyring {
	t.Helper()
	k, err := auth.NewKeyring(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return k
}

func offered(t testing.TB, k *auth.Keyring, target ssh.Target) []string {
	t.Helper()
	list, err := k.Signers(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	var prints []string
	for _, s := range list {
		prints = append(prints, xssh.FingerprintSHA256(s.PublicKey()))
	}
	return prints
}

func TestEachTargetGetsItsOwnKeys(t *testing.T) {
	t.Parallel()
	web, db, common, held := edKey(t), edKey(t), ecdsaKey(t), edKey(t)
	webFile, dbFile, commonFile := keyFile(t, web, ""), keyFile(t, db, ""), keyFile(t, common, "")
	socket, _ := goAgent(t, held)
	k := keyring(t, auth.KeyringOptions{})
	specs := map[string]auth.KeySpec{
		"web":  {Files: []string{webFile, commonFile}},
		"db":   {Files: []string{dbFile, commonFile}, AgentSocket: socket},
		"only": {Files: []string{commonFile}, AgentSocket: socket, Only: true},
	}
	for name, want := range map[string][]string{
		"web":  {fingerprint(t, web), fingerprint(t, common)},
		"db":   {fingerprint(t, db), fingerprint(t, common), fingerprint(t, held)},
		"only": {fingerprint(t, common)},
	} {
		if got := offered(t, k, wanting(name, specs[name])); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for name, c := range map[string]struct {
		target ssh.Target
		text   string
	}{
		"bad":  {ssh.Target{Target: fleet.Target{Host: fleet.Host{Name: "bad"}}}, "choosing keys: the target was not planned"},
		"none": {wanting("none", auth.KeySpec{}), "there is no key to offer\nhint: "},
	} {
		_, err := k.Signers(t.Context(), c.target)
		var e *fleet.Error
		if !errors.As(err, &e) || e.Reason != fleet.ReasonNoIdentity || e.Host != name || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Ten thousand targets with one file and one agent read and list once: the file is deleted
// after the first.
func TestManyTargetsLoadOnce(t *testing.T) {
	t.Parallel()
	path := keyFile(t, edKey(t), canary)
	var conns atomic.Int32
	held := agent.NewKeyring()
	if err := held.Add(agent.AddedKey{PrivateKey: edKey(t)}); err != nil {
		t.Fatal(err)
	}
	socket := listenUnix(t, func(c net.Conn) {
		conns.Add(1)
		_ = agent.ServeAgent(held, c)
	})
	var asked atomic.Int32
	k := keyring(t, auth.KeyringOptions{Passphrase: func(string) ([]byte, error) {
		asked.Add(1)
		return []byte(canary), os.Remove(path)
	}})
	// Different spellings of its path denote the same file.
	spelled := []string{path, filepath.Dir(path) + "/./" + filepath.Base(path)}
	var wg sync.WaitGroup
	for i := range 10_000 {
		wg.Go(func() {
			list, err := k.Signers(t.Context(), wanting("h", auth.KeySpec{Files: spelled[i%2 : i%2+1], AgentSocket: socket}))
			if err != nil || len(list) != 2 {
				t.Errorf("%d signers, %v", len(list), err)
			}
		})
	}
	wg.Wait()
	if asked.Load() != 1 || conns.Load() != 1 {
		t.Errorf("asked %d times on %d connections, want 1 on 1", asked.Load(), conns.Load())
	}
}

func TestPrepareAsksForAllAndThenNoMore(t *testing.T) {
	t.Parallel()
	early := []string{keyFile(t, edKey(t), canary), keyFile(t, edKey(t), canary)}
	late := keyFile(t, edKey(t), canary)
	var asked []string
	k := keyring(t, auth.KeyringOptions{Passphrase: func(path string) ([]byte, error) {
		asked = append(asked, path)
		return []byte(canary), nil
	}})
	err := k.Prepare(t.Context(), func(yield func(auth.KeySpec) bool) {
		for _, path := range append(early, early...) {
			if !yield(auth.KeySpec{Files: []string{path}}) {
				return
			}
		}
	})
	if err != nil || !slices.Equal(asked, early) {
		t.Errorf("asked for %q, want %q: %v", asked, early, err)
	}
	s, err := k.Set(t.Context(), auth.KeySpec{Files: []string{late}})
	if err != nil || len(s.Keys()) != 0 || len(asked) != 2 {
		t.Errorf("late: %d keys, asked %q, %v", len(s.Keys()), asked, err)
	}
	want := []string{fmt.Sprintf("key file %q: it is encrypted, and the time to ask for its passphrase is over", late)}
	if !slices.Equal(k.Notices(), want) {
		t.Errorf("notices %q, want %q", k.Notices(), want)
	}
	wantNoCanary(t, fmt.Sprintf("%+v", s), fmt.Sprint(k.Notices()))
}

// With BatchMode no passphrase is asked for; a target without it has the key.
func TestBatchMode(t *testing.T) {
	t.Parallel()
	path, asked := keyFile(t, edKey(t), canary), 0
	k := keyring(t, auth.KeyringOptions{Passphrase: askFor(canary, &asked)})
	s, err := k.Set(t.Context(), auth.KeySpec{Files: []string{path}, NoPassphrase: true})
	if err != nil || len(s.Keys()) != 0 || asked != 0 {
		t.Errorf("%d keys, asked %d times, %v", len(s.Keys()), asked, err)
	}
	if n := k.Notices(); len(n) != 1 || !strings.Contains(n[0], "BatchMode asks for no passphrase") {
		t.Errorf("notices %q", n)
	}
	if s, err = k.Set(t.Context(), auth.KeySpec{Files: []string{path}}); err != nil || len(s.Keys()) != 1 || asked != 1 {
		t.Errorf("without it %d keys, asked %d times, %v", len(s.Keys()), asked, err)
	}
}

// Files named in a target's configuration that cannot be used are left out; without any other
// key, the error says why.
func TestFilesOfATargetThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	none, good := filepath.Join(t.TempDir(), "none"), edKey(t)
	k := keyring(t, auth.KeyringOptions{})
	s, err := k.Set(t.Context(), auth.KeySpec{Files: []string{none, keyFile(t, good, "")}})
	if err != nil || !slices.Equal(fingerprints(s), []string{fingerprint(t, good)}) {
		t.Errorf("%q, %v", fingerprints(s), err)
	}
	if s, err = k.Set(t.Context(), auth.KeySpec{Files: []string{none}}); err != nil {
		t.Fatal(err)
	}
	_, err = s.Signers(t.Context(), someTarget)
	wantReason(t, err, fleet.ReasonNoIdentity)
	if !strings.Contains(err.Error(), fmt.Sprintf("key file %q: open ", none)) {
		t.Error(err)
	}
	if n := k.Notices(); len(n) != 1 {
		t.Errorf("notices %q, want one", n)
	}
	if s, err = k.Set(t.Context(), auth.KeySpec{Files: []string{keyFile(t, edKey(t), canary)}}); err != nil {
		t.Fatal(err)
	}
	_, err = s.Signers(t.Context(), someTarget)
	wantReason(t, err, fleet.ReasonNoIdentity)
	if !strings.Contains(err.Error(), "it is encrypted and there is no way to ask") {
		t.Error(err)
	}
}

// If one caller gives up while the keys are loaded, the next continues.
func TestLoadingIsNotSpoiltByOneWhoGivesUp(t *testing.T) {
	t.Parallel()
	asked := 0
	ctx, cancel := context.WithCancel(t.Context())
	k := keyring(t, auth.KeyringOptions{Passphrase: func(string) ([]byte, error) {
		asked++
		if asked == 1 {
			cancel()
			return nil, errors.New("interrupted")
		}
		return []byte(canary), nil
	}})
	w := auth.KeySpec{Files: []string{keyFile(t, edKey(t), canary)}}
	_, err := k.Signers(ctx, wanting("h", w))
	wantReason(t, err, fleet.ReasonInterrupted)
	if list, err := k.Signers(t.Context(), wanting("h", w)); err != nil || len(list) != 1 {
		t.Errorf("%d signers, %v", len(list), err)
	}
	if len(k.Notices()) != 0 {
		t.Errorf("notices %q", k.Notices())
	}
}

func TestTwoAgents(t *testing.T) {
	t.Parallel()
	one, two := edKey(t), edKey(t)
	socket1, _ := goAgent(t, one)
	socket2, process := sshAgent(t, two)
	k := keyring(t, auth.KeyringOptions{})
	for socket, key := range map[string]any{socket1: one, socket2: two} {
		s, err := k.Set(t.Context(), auth.KeySpec{AgentSocket: socket})
		if err != nil || !slices.Equal(fingerprints(s), []string{fingerprint(t, key)}) {
			t.Errorf("%q, %v", fingerprints(s), err)
		}
	}
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	s, err := k.Set(t.Context(), auth.KeySpec{AgentSocket: socket1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signers(t, s)[0].Sign(rand.Reader, []byte("data")); err != nil {
		t.Errorf("the death of one agent is the other's: %v", err)
	}
}

// RSA keys sign with SHA-1 only for a target that wants it, and only if they are asked to.
func TestSHA1OnlyWhereWanted(t *testing.T) {
	t.Parallel()
	key := rsaKey()
	socket, _ := goAgent(t, key)
	k := keyring(t, auth.KeyringOptions{})
	for name, w := range map[string]auth.KeySpec{"file": {Files: []string{keyFile(t, key, "")}}, "agent": {AgentSocket: socket}} {
		for _, sha1 := range []bool{true, false} {
			w.SHA1 = sha1
			set, err := k.Set(t.Context(), w)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range signers(t, set) {
				able := s.(xssh.MultiAlgorithmSigner)
				sig, err := able.SignWithAlgorithm(rand.Reader, []byte("data"), xssh.KeyAlgoRSA)
				if (err == nil) != sha1 || sha1 && (sig.Format != xssh.KeyAlgoRSA || s.PublicKey().Verify([]byte("data"), sig) != nil) {
					t.Errorf("%s, wanted %t: %v", name, sha1, err)
				}
				if slices.Contains(able.Algorithms(), xssh.KeyAlgoRSA) {
					t.Errorf("%s: ssh-rsa is among %q", name, able.Algorithms())
				}
			}
		}
	}
}

// A key that the agent has got or lost since is offered, or not, after Renew.
func TestAgentsRenewed(t *testing.T) {
	t.Parallel()
	file, first, second := edKey(t), edKey(t), edKey(t)
	socket, has := goAgent(t, first)
	k := keyring(t, auth.KeyringOptions{})
	target := wanting("web", auth.KeySpec{Files: []string{keyFile(t, file, "")}, AgentSocket: socket})
	check := func(when string, want ...string) {
		t.Helper()
		k.Renew(t.Context())
		if got := offered(t, k, target); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", when, got, want)
		}
	}
	check("at first", fingerprint(t, file), fingerprint(t, first))
	if err := errors.Join(has.RemoveAll(), has.Add(agent.AddedKey{PrivateKey: second})); err != nil {
		t.Fatal(err)
	}
	check("with another key", fingerprint(t, file), fingerprint(t, second))
	if err := has.RemoveAll(); err != nil {
		t.Fatal(err)
	}
	check("with none", fingerprint(t, file))
}

// An agent that was given up is asked again after Renew, as in a watch that goes on for days.
func TestAnAgentThatHungOnceIsRenewed(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var calls atomic.Int32
	socket := faulty(t, func(good agent.Agent, key xssh.PublicKey, data []byte) (*xssh.Signature, error) {
		if calls.Add(1) == 1 {
			<-release
		}
		return good.(agent.ExtendedAgent).SignWithFlags(key, data, agent.SignatureFlagRsaSha512)
	})
	t.Cleanup(func() { close(release) }) // before the listener waits for its servers
	k := keyring(t, auth.KeyringOptions{SignTimeout: 500 * time.Millisecond})
	target := wanting("h", auth.KeySpec{AgentSocket: socket})
	sign := func() error {
		list, err := k.Signers(t.Context(), target)
		if err != nil {
			return err
		}
		_, err = list[0].Sign(rand.Reader, []byte("data"))
		return err
	}
	for range 2 {
		wantReason(t, sign(), fleet.ReasonAgentUnavailable)
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("it was asked %d times, want once", n)
	}
	k.Renew(t.Context())
	if err := sign(); err != nil {
		t.Errorf("after Renew: %v", err)
	}
}

// An RSA key that is shorter than RequiredRSASize is offered to nobody who asks for that, wherever
// it is, with its certificate.
func TestRequiredRSASize(t *testing.T) {
	t.Parallel()
	path, ed := keyFile(t, rsaKey(), ""), edKey(t)
	cert := certificate(t, rsaKey(), nil)
	if err := os.WriteFile(path+"-cert.pub", xssh.MarshalAuthorizedKey(cert), 0o600); err != nil {
		t.Fatal(err)
	}
	socket, _ := goAgent(t, rsaKey(), ed)
	k := keyring(t, auth.KeyringOptions{})
	spec := auth.KeySpec{Files: []string{path}, AgentSocket: socket, RSABits: 2048}
	if got := offered(t, k, wanting("h", spec)); len(got) != 3 || got[1] != fingerprint(t, rsaKey()) {
		t.Errorf("with 2048 bits: %q", got)
	}
	spec.RSABits = 2049
	if got, want := offered(t, k, wanting("h", spec)), []string{fingerprint(t, ed)}; !slices.Equal(got, want) {
		t.Errorf("with 2049 bits: %q, want %q", got, want)
	}
	spec.AgentSocket = ""
	_, err := k.Signers(t.Context(), wanting("h", spec))
	wantReason(t, err, fleet.ReasonNoIdentity)
	if !strings.Contains(err.Error(), "an RSA key of 2048 bits, less than 2049 (RequiredRSASize)") {
		t.Error(err)
	}
}
