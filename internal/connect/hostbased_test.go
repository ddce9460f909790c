package connect_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"shoal/fleet"
	"shoal/internal/connect"
	"shoal/internal/needs"
	"shoal/internal/sshdtest"
)

// Host-based authentication logs in where the server takes it and ssh_config enables it. Client
// and server get a directory of their own for /etc/ssh, which has the client's host key and the
// server's knowledge of it, and a home of their own.
func TestHostbased(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give ssh-keysign another /etc/ssh")
	}
	program, unshare := needs.Program(t, "ssh"), needs.Program(t, "unshare")
	needs.Program(t, "/usr/lib/openssh/ssh-keysign")
	dir := t.TempDir()
	etc, home := filepath.Join(dir, "etc"), filepath.Join(dir, "home")
	for _, d := range []string{etc, home} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	key := filepath.Join(etc, "ssh_host_ed25519_key")
	if out, err := exec.CommandContext(t.Context(), needs.Program(t, "ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	me := os.Getenv("USER")
	if me == "" {
		me = "root"
	}
	below := []string{
		unshare, "--mount", "sh", "-c", `mount --bind "$0" /etc/ssh && mount --bind "$1" /root && shift && exec "$@"`, etc, home,
	}
	bin := filepath.Join(dir, "bin")
	for path, text := range map[string]string{
		filepath.Join(etc, "ssh_config"):      "EnableSSHKeysign yes\n",
		filepath.Join(etc, "ssh_known_hosts"): "127.0.0.1 " + string(public),
		filepath.Join(home, ".shosts"):        "127.0.0.1 " + me + "\n",
		filepath.Join(bin, "ssh"): fmt.Sprintf("#!/bin/sh\nexec %s --mount sh -c 'mount --bind %s /etc/ssh && exec \"$@\"' sh %s \"$@\"\n",
			unshare, etc, program),
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	s := sshdtest.OpenSSH(t, sshdtest.WithBelow(below...), sshdtest.WithConfig("HostbasedAuthentication yes", "IgnoreRhosts no"))
	const enabled = "HostbasedAuthentication yes\n"
	for _, client := range []connect.Client{connect.ClientBest, connect.ClientSSH} {
		r := once(t, s, client, enabled, noKeys)
		if wantRan(t, r, viaSSH); t.Failed() {
			t.Fatal(s.Log())
		}
		wantNever(t, once(t, s, client, "", noKeys), fleet.ReasonNoIdentity, fleet.PhaseAuth)
	}
	wantRan(t, once(t, s, connect.ClientBest, enabled, nil), fleet.FlagExitKnown)
}
