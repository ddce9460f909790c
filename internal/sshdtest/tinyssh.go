package sshdtest

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/crypto/ssh"

	"shoal/internal/needs"
)

var tinySSH = Kind{
	Name:     "TinySSH",
	HostKeys: []KeyType{Ed25519},
	UserKeys: []KeyType{Ed25519},
	Kex:      []string{ssh.KeyExchangeCurve25519},
	Ciphers:  []string{ssh.CipherChaCha20Poly1305},
	settings: []Setting{Args},
}

// TinySSH starts TinySSH, with a process for each connection.
//
// It reads authorized_keys from the same place as Dropbear, so it also sees a
// password file of its own. It gives commands a new environment, so the shell
// in that file restores the variable by which commands are found. Version
// 2023-01 has chacha20-poly1305@openssh.com but no strict key exchange.
func TinySSH(t testing.TB, opts ...Option) *Server {
	t.Helper()
	o := tinySSH.apply(t, opts)
	bin := needs.Program(t, "/usr/sbin/tinysshd")
	s := newServer(t, o)
	keys := filepath.Join(s.dir, "tinyssh_keys")
	s.HostKeys = []ssh.PublicKey{tinySSHKey(t, keys)}
	write(t, filepath.Join(s.dir, "shell"), fmt.Appendf(nil, "#!/bin/sh\n%s='%s' exec /bin/sh \"$@\"\n", markName, s.dir), 0o700)
	inetd := s.unpack(t, "inetd.py")

	port, proc := startOnFreePort(t, s.dir, func(port uint16) launch {
		argv := []string{needs.Program(t, python), pythonFlags, inetd, loopback, strconv.Itoa(int(port)), bin, "-v"}
		return launched(s.withHome(t, home+"/shell", append(append(argv, o.args...), keys)), port)
	})
	s.listensOn(t, port, proc)
	return s
}

// tinySSHKey creates the directory with a host key.
func tinySSHKey(t testing.TB, dir string) ssh.PublicKey {
	t.Helper()
	bin := needs.Program(t, "/usr/sbin/tinysshd-makekey")
	if out, err := exec.CommandContext(t.Context(), bin, dir).CombinedOutput(); err != nil {
		t.Fatalf("making TinySSH's host key: %v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), needs.Program(t, "/usr/sbin/tinysshd-printkey"), dir).Output()
	if err != nil {
		t.Fatalf("reading TinySSH's host key: %v", err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(out)
	if err != nil {
		t.Fatalf("parsing what tinysshd-printkey says: %v\n%s", err, out)
	}
	return key
}
