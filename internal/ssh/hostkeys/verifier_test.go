package hostkeys_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/hostkeys"
)

func TestVerifierJudgesEachByItsOwn(t *testing.T) {
	t.Parallel()
	global := file(t, line("*", edKey(9)), "rubbish\n")
	web, db := file(t, line("web", edKey(1))), file(t, line("db", edKey(2)))
	revoked := file(t, strings.TrimPrefix(line("", edKey(9)), " "))
	r := hostkeys.NewVerifier()
	at := func(name string, port uint16) ssh.Target {
		known := ssh.HostKeySpec{Files: []string{global}}
		switch name[:2] {
		case "we":
			known.Files = []string{web, global}
		case "db":
			known.Files, known.Revoked = []string{db, global}, []string{revoked}
		case "no":
			known.Policy = hostkeys.Insecure
		case "le":
			known.Policy, known.HashNames = hostkeys.AcceptNew, true
			known.Files = []string{filepath.Join(filepath.Dir(web), "learned")}
		}
		e := &ssh.Endpoint{Port: port, Settings: &ssh.Settings{Known: known}}
		e.HostKeyAlias = strings.TrimRight(name, "0123456789")
		return e.Target(target(name, port))
	}
	for _, c := range []struct {
		host string
		key  xssh.PublicKey
		want fleet.Reason
	}{
		{"web1", edKey(1), isTrusted},
		{"web2", edKey(2), isChanged},
		{"web3", edKey(9), isTrusted},
		{"db1", edKey(2), isTrusted},
		{"db1", edKey(1), isChanged},
		{"db2", edKey(9), isRevoked},
		{"node", edKey(3), isTrusted},
		{"other", edKey(9), isTrusted},
		{"other", edKey(1), isChanged},
		{"learn1", edKey(5), isTrusted},
	} {
		to := at(c.host, 22)
		if got := reason(t, r.Check(to, nil, c.key)); got != c.want {
			t.Errorf("%s: %q, want %q", c.host, got, c.want)
		}
		if got := r.Algorithms(to); len(got) == 0 || got[0] != xssh.KeyAlgoED25519 {
			t.Errorf("%s: algorithms %q", c.host, got)
		}
	}
	if err := r.Accepted(context.Background(), at("learn1", 22), edKey(5)); err != nil {
		t.Error(err)
	}
	if got := readFile(t, filepath.Join(filepath.Dir(web), "learned")); !strings.HasPrefix(got, "|1|") || strings.Count(got, "\n") != 1 {
		t.Errorf("learned: %q", got)
	}
	// The global file is read once for all stores.
	if p := r.Problems(); len(p) != 1 || p[0].File != global || p[0].Line != 2 {
		t.Errorf("problems %v", p)
	}
	a, errA := r.Store(at("web1", 22))
	b, errB := r.Store(at("web2", 2222))
	if a != b || errA != nil || errB != nil {
		t.Errorf("two stores for the same files: %v, %v", errA, errB)
	}
}

// A list of revoked keys that cannot be read refuses every host, as ssh(1) does.
func TestRevocationListsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	good := file(t, "# comment\n\n", strings.TrimPrefix(line("", edKey(1)), " "))
	for name, path := range map[string]string{
		"missing":       filepath.Join(t.TempDir(), "none"),
		"a directory":   t.TempDir(),
		"a device":      "/dev/zero",
		"a bad line":    file(t, readFile(t, good), "ssh-ed25519 AAAA\n"),
		"only a type":   file(t, "ssh-ed25519\n"),
		"a known_hosts": file(t, line("h", edKey(1))),
		"a broken KRL":  file(t, "SSHKRL\n\x00\x00\x00\x00\x01"),
		"a certificate": file(t, xssh.CertAlgoED25519v01+" "+strings.Fields(line("h", certify(t, edKey(1), edSigner(2))))[2]),
	} {
		s, err := hostkeys.Open(hostkeys.Options{Revoked: []string{good, path}, Policy: hostkeys.Insecure})
		if err == nil || s != nil || !strings.Contains(err.Error(), fmt.Sprintf("hint: no host is trusted while this list cannot be read; mend %q", path)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := openAtNoon(t, hostkeys.Options{Revoked: []string{good}, Policy: hostkeys.Insecure})
	if err := s.Check(target("h", 22), nil, edKey(1)); reason(t, err) != isRevoked || !strings.Contains(err.Error(), good+":3 revokes this key") {
		t.Error(err)
	}
	if err := s.Check(target("h", 22), nil, edKey(2)); err != nil {
		t.Error(err)
	}
}

func TestRSABits(t *testing.T) {
	t.Parallel()
	path := file(t, line("h", rsaKey(2048)), line("g", rsaKey(3072)))
	for bits, want := range map[int]fleet.Reason{0: isTrusted, 1024: isTrusted, 2048: isTrusted, 3072: isWeak} {
		s := openAtNoon(t, hostkeys.Options{Files: []string{path}, RSABits: bits})
		if got := reason(t, s.Check(target("h", 22), nil, rsaKey(2048))); got != want {
			t.Errorf("%d bits at least: %q, want %q", bits, got, want)
		}
		if err := s.Check(target("g", 22), nil, rsaKey(3072)); err != nil {
			t.Error(err)
		}
	}
}

func TestVerifierOpensEachOnce(t *testing.T) {
	t.Parallel()
	path := file(t, line("h", edKey(1)))
	r := hostkeys.NewVerifier()
	at := func(port uint16) ssh.Target {
		e := &ssh.Endpoint{Port: port, Settings: &ssh.Settings{Known: ssh.HostKeySpec{Files: []string{path}}}}
		return e.Target(target("h", port))
	}
	var wg sync.WaitGroup
	stores := make([]*hostkeys.Store, 8)
	for i := range stores {
		wg.Go(func() { stores[i], _ = r.Store(at(uint16(i))) })
	}
	wg.Wait()
	for _, s := range stores {
		if s == nil || s != stores[0] {
			t.Fatal("more than one store was opened")
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := r.Check(at(22), nil, edKey(1)); err != nil {
		t.Errorf("what was read once is read again: %v", err)
	}
}

// A key that was learned, or accepted by an insecure policy, gets no agent; one that known_hosts
// had before does.
func TestAllowAgent(t *testing.T) {
	for _, policy := range []hostkeys.Policy{hostkeys.AcceptNew, hostkeys.Insecure} {
		path := filepath.Join(t.TempDir(), "known")
		if err := os.WriteFile(path, []byte("known "+string(xssh.MarshalAuthorizedKey(edKey(1)))), 0o600); err != nil {
			t.Fatal(err)
		}
		v := hostkeys.NewVerifier()
		at := func(name string) ssh.Target {
			return ssh.Target{
				Target:   fleet.Target{Host: fleet.Host{Name: name}, Port: 22},
				Endpoint: &ssh.Endpoint{Settings: &ssh.Settings{Known: ssh.HostKeySpec{Files: []string{path}, Policy: policy}}},
			}
		}
		for name, allowed := range map[string]bool{"known": true, "new": false} {
			if err := v.Check(at(name), nil, edKey(1)); err != nil {
				t.Fatal(err)
			}
			for range 2 { // before and after the key is learned
				if err := v.AllowAgent(at(name), edKey(1)); (err == nil) != allowed {
					t.Errorf("%v, %s: %v", policy, name, err)
				}
				if err := v.Accepted(context.Background(), at(name), edKey(1)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
