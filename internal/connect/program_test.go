package connect_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/connect"
	"shoal/internal/needs"
	"shoal/internal/ssh"
	"shoal/internal/sshdtest"
)

const viaSSH = fleet.FlagExitKnown | fleet.FlagOpenSSH

// once runs a command on a server and returns the result.
func once(t *testing.T, s *sshdtest.Server, client connect.Client, config string, change func(*connect.Options)) fleet.Result {
	t.Helper()
	o := connect.Options{
		SSHConfig: filepath.Join(t.TempDir(), "config"), Client: client,
		Identities: []string{s.KeyFile}, KnownHosts: []string{s.KnownHosts}, Agent: connect.NoAgent,
	}
	if err := os.WriteFile(o.SSHConfig, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Engine.Attempts = 1
	if change != nil {
		change(&o)
	}
	results := collect(t, connect.Run(t.Context(), o, slices.Values([]fleet.Target{{Host: s.Host}}), "echo ran; exit 3"))
	if len(results) != 1 {
		t.Fatalf("%d results", len(results))
	}
	return results[0]
}

// wantRan asserts that the command ran with these flags.
func wantRan(t *testing.T, r fleet.Result, flags fleet.Flags) {
	t.Helper()
	if r.Outcome != fleet.OutcomeFailed || r.Status != 3 || string(r.Stdout.Bytes) != "ran\n" || r.Flags != flags {
		t.Errorf("ended %v(%s) in %v, status %d, stdout %q, flags %v; want flags %v\n%v",
			r.Outcome, r.Reason, r.Phase, r.Status, r.Stdout.Bytes, r.Flags, flags, r.Err)
	}
}

// wantNever asserts that the command certainly did not run, for this reason.
func wantNever(t *testing.T, r fleet.Result, reason fleet.Reason, p fleet.Phase) {
	t.Helper()
	if r.Outcome != fleet.OutcomeNeverStarted || r.Reason != reason || r.Phase != p {
		t.Errorf("ended %v(%s) in %v, want never_started(%s) in %v\n%v", r.Outcome, r.Reason, r.Phase, reason, p, r.Err)
	}
}

// noKeys leaves out all keys.
func noKeys(o *connect.Options) {
	o.Identities = nil
	o.SSHOptions = append(o.SSHOptions, "IdentityFile=none")
}

// Kerberos logs in where the server takes it, it is enabled and there is a ticket; a key that is
// accepted needs no ssh, whatever stands in the file.
func TestKerberos(t *testing.T) {
	needs.Program(t, "ssh")
	realm := sshdtest.Kerberos(t)
	const enabled = "GSSAPIAuthentication yes\n"
	s := sshdtest.OpenSSH(t, sshdtest.WithConfig("GSSAPIAuthentication yes", "GSSAPIStrictAcceptorCheck no"))
	plain := sshdtest.OpenSSH(t)

	wantNever(t, once(t, s, connect.ClientBest, enabled, noKeys), fleet.ReasonNoIdentity, fleet.PhaseAuth) // no ticket
	wantNever(t, once(t, s, connect.ClientSSH, enabled, noKeys), fleet.ReasonAuthFailed, fleet.PhaseAuth)
	realm.Login(t)
	for _, client := range []connect.Client{connect.ClientBest, connect.ClientSSH} {
		wantRan(t, once(t, s, client, enabled, noKeys), viaSSH)
		wantRan(t, once(t, s, client, enabled, func(o *connect.Options) { o.Identities = []string{plain.KeyFile} }), viaSSH)
		wantRan(t, once(t, s, client, enabled+"GSSAPIServerIdentity 127.0.0.1\n", noKeys), viaSSH)
		wantRan(t, once(t, s, client, enabled+"PreferredAuthentications gssapi-with-mic,publickey\n", noKeys), viaSSH)
	}
	wantRan(t, once(t, s, connect.ClientBest, enabled, nil), fleet.FlagExitKnown)
	wantRan(t, once(t, plain, connect.ClientBest, enabled, nil), fleet.FlagExitKnown)
	wantNever(t, once(t, plain, connect.ClientBest, enabled, noKeys), fleet.ReasonNoIdentity, fleet.PhaseAuth)
	wantNever(t, once(t, s, connect.ClientBest, "", noKeys), fleet.ReasonNoIdentity, fleet.PhaseAuth) // not enabled
	wantNever(t, once(t, s, connect.ClientStandard, enabled, noKeys), fleet.ReasonNoIdentity, fleet.PhaseAuth)
	stranger := func(o *connect.Options) { noKeys(o); o.KnownHosts = []string{plain.KnownHosts} }
	for _, client := range []connect.Client{connect.ClientBest, connect.ClientSSH} { // no login without a verdict
		wantNever(t, once(t, s, client, enabled, stranger), fleet.ReasonHostkeyUnknown, fleet.PhaseHostkey)
	}
}

// An algorithm that only ssh has is used by ssh alone, and SHA-1 only if configured.
func TestAlgorithmsOfSSH(t *testing.T) {
	needs.Program(t, "ssh")
	for _, c := range []struct {
		server, config string
		best, ssh      fleet.Flags // 0: nothing in common
	}{
		{"KexAlgorithms sntrup761x25519-sha512@openssh.com", "", viaSSH, viaSSH},
		{"KexAlgorithms diffie-hellman-group18-sha512", "", viaSSH, viaSSH},
		{"MACs umac-128@openssh.com\nCiphers aes256-ctr", "", viaSSH, viaSSH},
		{"Ciphers aes256-cbc", "", 0, 0},
		{"Ciphers aes256-cbc", "Ciphers +aes256-cbc\n", viaSSH, viaSSH},
		{"KexAlgorithms diffie-hellman-group14-sha1", "", 0, 0},
		{
			"KexAlgorithms diffie-hellman-group14-sha1", "KexAlgorithms +diffie-hellman-group14-sha1\n",
			fleet.FlagExitKnown | fleet.FlagFallback | fleet.FlagLegacy, viaSSH | fleet.FlagLegacy,
		},
		{"MACs hmac-sha1\nCiphers aes128-ctr", "", 0, 0},
	} {
		t.Run(c.server+" "+c.config, func(t *testing.T) {
			t.Parallel()
			s := sshdtest.OpenSSH(t, sshdtest.WithConfig(strings.Split(c.server, "\n")...))
			for client, flags := range map[connect.Client]fleet.Flags{connect.ClientBest: c.best, connect.ClientSSH: c.ssh} {
				r := once(t, s, client, c.config, nil)
				if flags == 0 {
					wantNever(t, r, fleet.ReasonNoCommonAlgorithm, fleet.PhaseKex)
				} else {
					wantRan(t, r, flags)
				}
			}
		})
	}
	t.Run("without strict key exchange", func(t *testing.T) { // CVE-2023-48795
		s := sshdtest.TinySSH(t)
		for _, client := range []connect.Client{connect.ClientBest, connect.ClientSSH} {
			wantNever(t, once(t, s, client, "", nil), fleet.ReasonNoCommonAlgorithm, fleet.PhaseKex)
		}
	})
}

// A key that known_hosts does not know may be known to KnownHostsCommand. Another key in
// known_hosts refuses the host all the same.
// faults.md: K15
func TestKnownHostsCommand(t *testing.T) {
	needs.Program(t, "ssh")
	s := sshdtest.OpenSSH(t)
	other := sshdtest.OpenSSH(t)
	line := func(of *sshdtest.Server) string {
		text, err := os.ReadFile(of.KnownHosts)
		if err != nil {
			t.Fatal(err)
		}
		_, key, _ := strings.Cut(string(text), " ")
		return fmt.Sprintf("[%s]:%d %s", s.Host.Name, s.Host.Port, key)
	}
	none := filepath.Join(t.TempDir(), "none")
	changed := filepath.Join(t.TempDir(), "changed")
	if err := os.WriteFile(changed, []byte(line(other)), 0o600); err != nil {
		t.Fatal(err)
	}
	command := func(text string) string {
		path := filepath.Join(t.TempDir(), "command")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		return "KnownHostsCommand " + path + " %H\n"
	}
	knows := command("echo '" + strings.TrimSpace(line(s)) + "'")
	strict := func(file string) func(o *connect.Options) {
		return func(o *connect.Options) { o.KnownHosts = []string{file} }
	}
	for _, client := range []connect.Client{connect.ClientBest, connect.ClientSSH} {
		wantRan(t, once(t, s, client, knows, strict(none)), viaSSH)
		wantRan(t, once(t, s, client, command("exit 0"), nil), viaSSH) // known_hosts knows it
		wantNever(t, once(t, s, client, command("exit 1"), nil), fleet.ReasonHostkeyFailed, fleet.PhaseKex)
		wantNever(t, once(t, s, client, command("exit 0"), strict(none)), fleet.ReasonHostkeyUnknown, fleet.PhaseHostkey)
		wantNever(t, once(t, s, client, command("echo '"+strings.TrimSpace(line(other))+"'"), strict(none)), fleet.ReasonHostkeyUnknown, fleet.PhaseHostkey)
		wantNever(t, once(t, s, client, knows, strict(changed)), fleet.ReasonHostkeyChanged, fleet.PhaseHostkey)
	}
	wantNever(t, once(t, s, connect.ClientStandard, knows, nil), fleet.ReasonBadTarget, fleet.PhaseResolve)
	if _, err := os.Stat(none); err == nil {
		t.Error("a key that only the command knows was written to known_hosts")
	}
}

// A connection that the user's ssh holds open is used and stays open. A path that may lead to
// another host is not.
func TestOpenMaster(t *testing.T) {
	program := needs.Program(t, "ssh")
	s := sshdtest.OpenSSH(t)
	dir := t.TempDir()
	named := fmt.Sprintf("%s/%s-%s-%d", dir, s.User, s.Host.Name, s.Host.Port)
	config := func(path string) string {
		return "ControlPath " + path + "\nUserKnownHostsFile none\nGlobalKnownHostsFile none\n"
	}
	good, vague := config(dir+"/%r-%h-%p"), config(dir+"/%r")
	stranger := func(o *connect.Options) { noKeys(o); o.KnownHosts = nil }

	wantNever(t, once(t, s, connect.ClientSSH, good, stranger), fleet.ReasonHostkeyUnknown, fleet.PhaseHostkey)
	for _, path := range []string{named, dir + "/" + s.User} {
		master := exec.Command(program, "-F", "none", "-M", "-N", "-S", path, "-i", s.KeyFile, "-p", fmt.Sprint(s.Host.Port),
			"-o", "UserKnownHostsFile="+s.KnownHosts, "-o", "BatchMode=yes", s.User+"@"+s.Host.Name)
		if err := master.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = master.Process.Kill(); _ = master.Wait() })
		for {
			if c, err := net.Dial("unix", path); err == nil {
				_ = c.Close()
				break
			}
			if t.Context().Err() != nil {
				t.Fatal("no master")
			}
		}
	}
	// The server logs the login of a master perhaps after that has its socket.
	awaitLog(t, func() bool { return loggedIn(s) >= 2 })
	for range 3 {
		wantRan(t, once(t, s, connect.ClientSSH, good, stranger), viaSSH)
	}
	last, err := net.Dial("tcp", net.JoinHostPort(s.Host.Name, fmt.Sprint(s.Host.Port))) // whose lines come behind all of the runs
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = last.Close() }()
	awaitLog(t, func() bool {
		return strings.Contains(s.Log(), fmt.Sprintf("port %d ", last.LocalAddr().(*net.TCPAddr).Port))
	})
	if n := loggedIn(s); n != 2 {
		t.Errorf("%d logins, want the 2 of the masters", n)
	}
	wantNever(t, once(t, s, connect.ClientSSH, vague, stranger), fleet.ReasonHostkeyUnknown, fleet.PhaseHostkey)
	wantRan(t, once(t, s, connect.ClientBest, good, nil), fleet.FlagExitKnown) // our own client has no need
	var notices []string
	asked := func(o *connect.Options) { // for a verdict by these files
		noKeys(o)
		o.KnownHosts = []string{filepath.Join(dir, "none")}
		o.Engine.Notice = func(text string) { notices = append(notices, text) }
	}
	wantNever(t, once(t, s, connect.ClientSSH, good, asked), fleet.ReasonHostkeyUnknown, fleet.PhaseHostkey)
	if !slices.ContainsFunc(notices, func(text string) bool { return strings.HasPrefix(text, "ControlPath (") }) {
		t.Errorf("notices %q", notices)
	}
}

func loggedIn(s *sshdtest.Server) int { return strings.Count(s.Log(), "Accepted publickey") }

// awaitLog waits until a server's log has something.
func awaitLog(t *testing.T, has func() bool) {
	t.Helper()
	for !has() {
		if t.Context().Err() != nil {
			t.Fatal("the server does not log it")
		}
		time.Sleep(time.Millisecond)
	}
}

// What ssh_config can only have from ssh has it, and keys work as ever. Jump hosts are reached by
// our own client, which refuses it.
func TestPKCS11Provider(t *testing.T) {
	needs.Program(t, "ssh")
	s := sshdtest.OpenSSH(t)
	const configured = "PKCS11Provider /nonexistent.so\n"
	for _, client := range []connect.Client{connect.ClientBest, connect.ClientSSH} {
		wantRan(t, once(t, s, client, configured, nil), viaSSH)
	}
	wantNever(t, once(t, s, connect.ClientStandard, configured, nil), fleet.ReasonBadTarget, fleet.PhaseResolve)
	jump := func(o *connect.Options) { o.Jump = s.Host.String() }
	wantNever(t, once(t, s, connect.ClientBest, configured, jump), fleet.ReasonBadTarget, fleet.PhaseResolve)
	hop := sshdtest.OpenSSH(t)
	wantRan(t, once(t, s, connect.ClientSSH, "", func(o *connect.Options) {
		o.Jump = hop.Host.String()
		o.Identities, o.KnownHosts = append(o.Identities, hop.KeyFile), append(o.KnownHosts, hop.KnownHosts)
	}), viaSSH)
}

// Without an ssh program nothing else changes, and what needs it says so before anything ran.
func TestNoProgram(t *testing.T) {
	s := sshdtest.OpenSSH(t)
	old := sshdtest.OpenSSH(t, sshdtest.WithConfig("KexAlgorithms sntrup761x25519-sha512@openssh.com"))
	t.Setenv("PATH", t.TempDir())
	wantRan(t, once(t, s, connect.ClientBest, "GSSAPIAuthentication yes\n", nil), fleet.FlagExitKnown)
	r := once(t, s, connect.ClientBest, "PKCS11Provider /x.so\n", nil)
	if wantNever(t, r, fleet.ReasonBadTarget, fleet.PhaseNone); !strings.Contains(r.Err.Error(), "there is no ssh program") {
		t.Error(r.Err)
	}
	r = once(t, old, connect.ClientBest, "", nil)
	if wantNever(t, r, fleet.ReasonNoCommonAlgorithm, fleet.PhaseKex); !strings.Contains(r.Err.Error(), "sntrup761") {
		t.Error(r.Err)
	}
	o := connect.Options{Client: connect.ClientSSH, Identities: []string{s.KeyFile}, KnownHosts: []string{s.KnownHosts}, Agent: connect.NoAgent}
	for _, err := range connect.Run(t.Context(), o, slices.Values([]fleet.Target{{Host: s.Host}}), "true") {
		if err == nil || !strings.Contains(err.Error(), "there is no ssh program") {
			t.Errorf("%v", err)
		}
	}
}

// The verdict on a host key is ours, by known_hosts and the policy, and ssh accepts this key only.
func TestHostKeysOfSSH(t *testing.T) {
	needs.Program(t, "ssh")
	dir := t.TempDir()
	run := func(program string, args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), needs.Program(t, program), args...).CombinedOutput(); err != nil {
			t.Fatalf("%s %q: %v\n%s", program, args, err, out)
		}
	}
	key, ca := filepath.Join(dir, "key"), filepath.Join(dir, "ca")
	for _, path := range []string{key, ca} {
		run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path)
	}
	run("ssh-keygen", "-q", "-s", ca, "-I", "host", "-h", "-n", "127.0.0.1", key+".pub")
	s := sshdtest.OpenSSH(t)
	certified := sshdtest.OpenSSH(t, sshdtest.WithConfig("HostKey "+key, "HostCertificate "+key+"-cert.pub"))
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return string(text)
	}
	_, authority, _ := strings.Cut(read(ca+".pub"), " ")
	authority = "ssh-ed25519 " + authority
	_, shown, _ := strings.Cut(read(s.KnownHosts), " ")
	for name, c := range map[string]struct {
		server *sshdtest.Server
		known  string
		policy ssh.HostKeyPolicy
		reason fleet.Reason // "": it runs
		learns bool
	}{
		"known":             {s, read(s.KnownHosts), ssh.HostKeysStrict, "", false},
		"new":               {s, "", ssh.HostKeysAcceptNew, "", true},
		"unknown":           {s, "", ssh.HostKeysStrict, fleet.ReasonHostkeyUnknown, false},
		"changed":           {s, "[127.0.0.1]:* " + authority, ssh.HostKeysAcceptNew, fleet.ReasonHostkeyChanged, false},
		"insecure, changed": {s, "[127.0.0.1]:* " + authority, ssh.HostKeysInsecure, "", false},
		"revoked":           {s, "@revoked * " + shown, ssh.HostKeysInsecure, fleet.ReasonHostkeyRevoked, false},
		"certificate":       {certified, "@cert-authority [127.0.0.1]:* " + authority, ssh.HostKeysStrict, "", false},
		"other authority":   {certified, "@cert-authority [127.0.0.1]:* " + shown, ssh.HostKeysStrict, fleet.ReasonHostkeyUnknown, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "known_hosts")
			if err := os.WriteFile(path, []byte(c.known), 0o600); err != nil {
				t.Fatal(err)
			}
			r := once(t, c.server, connect.ClientSSH, "", func(o *connect.Options) { o.KnownHosts, o.HostKeys = []string{path}, &c.policy })
			if c.reason == "" {
				wantRan(t, r, viaSSH)
			} else {
				wantNever(t, r, c.reason, fleet.PhaseHostkey)
			}
			after := read(path)
			if learned := after != c.known; learned != c.learns || learned && !strings.Contains(after, strings.TrimSpace(shown)) {
				t.Errorf("known_hosts is %q now", after)
			}
		})
	}
}

// The file of a security key is offered by ssh without an agent; other keys as ever.
func TestSecurityKeyWithoutAgent(t *testing.T) {
	needs.Program(t, "ssh")
	point := make([]byte, 32)
	point[0] = 1
	blob := xssh.Marshal(struct{ Type, Point, Application string }{"sk-ssh-ed25519@openssh.com", string(point), "ssh:"})
	public, err := xssh.ParsePublicKey(blob)
	if err != nil {
		t.Fatal(err)
	}
	s := sshdtest.OpenSSH(t, sshdtest.WithAuthorized(public), sshdtest.WithConfig("LogLevel DEBUG2"))
	path := filepath.Join(t.TempDir(), "id sk%h")
	for file, text := range map[string]string{path: "not read before the server takes the key\n", path + ".pub": string(xssh.MarshalAuthorizedKey(public))} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := fmt.Sprintf("IdentityFile \"%s\"\n", strings.ReplaceAll(path, "%", "%%"))
	r := once(t, s, connect.ClientSSH, config, func(o *connect.Options) { o.Identities = nil })
	wantNever(t, r, fleet.ReasonAuthFailed, fleet.PhaseAuth) // there is no such key here to sign with
	if !strings.Contains(s.Log(), "test pkalg sk-ssh-ed25519@openssh.com") {
		t.Errorf("the security key was not offered: %v\n%s", r.Err, s.Log())
	}
	wantRan(t, once(t, s, connect.ClientSSH, config, nil), viaSSH)
}
