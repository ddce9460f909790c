package cli_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"shoal/internal/cli"
	"shoal/internal/cli/console"
	"shoal/internal/sshdtest"
	"shoal/simfleet"
)

// keys runs shoal keys and returns its exit code, standard output and error.
func keys(t testing.TB, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	args = append([]string{"keys", args[0], "-F", "none", "--no-agent"}, args[1:]...)
	code = cli.Main(t.Context(), args, console.Stdio{In: strings.NewReader(""), Out: &out, Err: &errs})
	return code, out.String(), errs.String()
}

// line returns a line of known_hosts.
func line(s *sshdtest.Server, key ssh.PublicKey) string {
	return fmt.Sprintf("[%s]:%d %s", s.Host.Name, s.Host.Port, ssh.MarshalAuthorizedKey(key))
}

// A real server with three keys shows the known one, its best if none is known,
// and all when asked for all. It never sees a login attempt.
func TestKeysOfOpenSSH(t *testing.T) {
	s := sshdtest.OpenSSH(t, sshdtest.WithHostKeys(sshdtest.RSA, sshdtest.ECDSA, sshdtest.Ed25519))
	rsa, ecdsa, ed25519 := s.HostKeys[0], s.HostKeys[1], s.HostKeys[2]
	host := fmt.Sprintf("%s:%d", s.Host.Name, s.Host.Port)
	none := filepath.Join(t.TempDir(), "none")
	onlyRSA := filepath.Join(t.TempDir(), "rsa")
	put(t, onlyRSA, line(s, rsa))

	for _, c := range []struct {
		args []string
		code int
		want []ssh.PublicKey
	}{
		{[]string{"--known-hosts", none}, 0, []ssh.PublicKey{ed25519}},
		{[]string{"--known-hosts", onlyRSA}, 0, []ssh.PublicKey{rsa}},
		{[]string{"--known-hosts", none, "--types", "all"}, 0, []ssh.PublicKey{ecdsa, ed25519, rsa}},
		{[]string{"--known-hosts", none, "--types", "rsa,ecdsa,rsa"}, 0, []ssh.PublicKey{ecdsa, rsa}},
		{[]string{"--known-hosts", none, "--client", "standard", "--types", "all"}, 0, []ssh.PublicKey{ecdsa, ed25519, rsa}},
	} {
		code, stdout, stderr := keys(t, append([]string{"scan", "-w", host}, c.args...)...)
		var want []string
		for _, key := range c.want {
			want = append(want, line(s, key))
		}
		got := slices.Sorted(strings.Lines(stdout))
		slices.Sort(want)
		if code != c.code || !slices.Equal(got, want) {
			t.Errorf("scan %q: exit code %d, want %d, and\n%swant\n%s%s", c.args, code, c.code, stdout, strings.Join(want, ""), stderr)
		}
	}

	// A run would see the RSA key, so nothing differs; with all types there are
	// two more.
	if code, stdout, _ := keys(t, "diff", "-w", host, "--known-hosts", onlyRSA); code != 0 || !strings.HasPrefix(stdout, "known    127.0.0.1 ") {
		t.Errorf("diff: exit code %d, want 0, and\n%s", code, stdout)
	}
	code, stdout, _ := keys(t, "diff", "-w", host, "--known-hosts", onlyRSA, "--types", "all")
	for _, want := range []string{
		"added    127.0.0.1 ", "= ssh-rsa " + ssh.FingerprintSHA256(rsa),
		"+ ssh-ed25519 " + ssh.FingerprintSHA256(ed25519), "+ ecdsa-sha2-nistp256 " + ssh.FingerprintSHA256(ecdsa),
	} {
		if code != 1 || !strings.Contains(stdout, want) {
			t.Errorf("diff --types all: exit code %d, want 1 and %q:\n%s", code, want, stdout)
		}
	}
	if log := s.Log(); strings.Contains(log, "Accepted") || strings.Contains(log, "Failed") || strings.Contains(log, "invalid user") {
		t.Errorf("the server saw somebody log in:\n%s", log)
	}
}

// Hosts behind a jump host are scanned through one connection to it, with the
// usual host-key check and login.
func TestKeysBehindJumpHost(t *testing.T) {
	f, dir := startFleet(t, simfleet.Options{Hosts: 20})
	bastion := sshdtest.OpenSSH(t)
	jump := fmt.Sprintf("%s@%s:%d", bastion.User, bastion.Host.Name, bastion.Host.Port)
	code, stdout, stderr := keys(t, "diff", "-J", jump, "--identity", bastion.KeyFile,
		"--known-hosts", bastion.KnownHosts, "--hostfile", filepath.Join(dir, "hosts"))
	if code != 1 || strings.Count(stdout, "new      127.1.0.") != 20 {
		t.Errorf("exit code %d, want 1, and not 20 new hosts:\n%s%s", code, stdout, stderr)
	}
	if n := strings.Count(bastion.Log(), "Accepted publickey"); n != 1 {
		t.Errorf("%d logins at the jump host, want 1", n)
	}
	if execs := f.Stats().Execs; execs != 0 {
		t.Errorf("%d commands ran", execs)
	}
}

// If the CA of a host's certificate is known, the host is known and is not
// asked for its plain key. A certificate that does not count is replaced by its
// key, which can be approved.
func TestKeysWithCertificates(t *testing.T) {
	for _, kind := range []sshdtest.KeyType{sshdtest.Ed25519, sshdtest.RSA} {
		dir := t.TempDir()
		s := sshdtest.OpenSSH(t, sshdtest.WithHostKeys(kind), sshdtest.WithConfig("HostCertificate "+filepath.Join(dir, "cert.pub")))
		host := fmt.Sprintf("%s:%d", s.Host.Name, s.Host.Port)
		known := filepath.Join(dir, "known")
		certify := func(before uint64) {
			cert := &ssh.Certificate{
				Key: s.HostKey, CertType: ssh.HostCert, ValidPrincipals: []string{s.Host.Name}, ValidBefore: before,
			}
			if err := cert.SignCert(rand.Reader, s.Signer); err != nil {
				t.Fatal(err)
			}
			put(t, filepath.Join(dir, "cert.pub"), string(ssh.MarshalAuthorizedKey(cert)))
		}
		authority := "@cert-authority * " + string(ssh.MarshalAuthorizedKey(s.Signer.PublicKey()))
		put(t, known, authority)

		certify(ssh.CertTimeInfinity)
		if code, stdout, stderr := keys(t, "diff", "-w", host, "--known-hosts", known); code != 0 || !strings.HasPrefix(stdout, "known    127.0.0.1 ") {
			t.Errorf("%s: exit code %d, want 0, and\n%s%s", kind, code, stdout, stderr)
		}
		if code, stdout, stderr := keys(t, "scan", "-w", host, "--known-hosts", known); code != 0 || stdout != line(s, s.HostKey) {
			t.Errorf("%s: a scan gives exit code %d and\n%s%s", kind, code, stdout, stderr)
		}
		certify(1) // expired in 1970
		code, stdout, stderr := keys(t, "approve", "--yes-new", "-o", "HashKnownHosts=no", "-w", host, "--known-hosts", known)
		if written, err := os.ReadFile(known); code != 0 || err != nil || string(written) != authority+line(s, s.HostKey) {
			t.Errorf("%s: exit code %d, want 0, and %q (%v)\n%s%s", kind, code, written, err, stdout, stderr)
		}
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A server that only the other client supports is asked by that one, and a
// missing key type is still no failure.
func TestKeysOfAnOldServer(t *testing.T) {
	s := sshdtest.OpenSSH(t, sshdtest.WithKex("diffie-hellman-group14-sha256"), sshdtest.WithHostKeys(sshdtest.ECDSA, sshdtest.Ed25519))
	code, stdout, stderr := keys(t, "scan", "--types", "all", "--known-hosts", filepath.Join(t.TempDir(), "none"),
		"-w", fmt.Sprintf("%s:%d", s.Host.Name, s.Host.Port))
	if want := line(s, s.HostKeys[1]) + line(s, s.HostKeys[0]); code != 0 || stdout != want {
		t.Errorf("exit code %d, want 0, and\n%swant\n%s%s", code, stdout, want, stderr)
	}
}

// An interrupted scan is not approved: it was not seen completely.
func TestKeysStopped(t *testing.T) {
	ours := make(chan os.Signal, 100) // signals too early or too late must not end the test
	signal.Notify(ours, os.Interrupt)
	defer signal.Stop(ours)
	_, dir := startFleet(t, simfleet.Options{Hosts: 2, Fault: func(i int) simfleet.Fault {
		return []simfleet.Fault{simfleet.FaultNone, simfleet.FaultSilent}[i]
	}})
	code := make(chan int)
	var stderr string
	go func() {
		var got int
		got, _, stderr = keys(t, "approve", "--yes-new", "--known-hosts", filepath.Join(dir, "new"), "--hostfile", filepath.Join(dir, "hosts"))
		code <- got
	}()
	for ended := false; !ended; {
		if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-code:
			if ended = true; got != 130 || !strings.Contains(stderr, "nothing is written") {
				t.Errorf("exit code %d, want 130, and\n%s", got, stderr)
			}
		case <-time.After(50 * time.Millisecond):
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "new")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was written: %v", err)
	}
}

// BenchmarkKeysScan scans 1,000 simulated hosts, with both sides in this
// process.
func BenchmarkKeysScan(b *testing.B) {
	_, dir := startFleet(b, simfleet.Options{Hosts: 1000, DiscardLog: true})
	for b.Loop() {
		code, stdout, stderr := keys(b, "scan", "--known-hosts", filepath.Join(dir, "none"), "--hostfile", filepath.Join(dir, "hosts"))
		if n := strings.Count(stdout, "\n"); code != 0 || n != 1000 {
			b.Fatalf("exit code %d, %d keys\n%s", code, n, stderr)
		}
	}
}
