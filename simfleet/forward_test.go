package simfleet

import (
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/crypto/ssh"
)

// A host forwards to the others, whom a password lets in, and to nothing else.
func TestForward(t *testing.T) {
	f := startFleet(t, Options{Hosts: 2, Forward: true, Password: "correct horse"})
	jump := dialSSH(t, f, 0)
	for password, want := range map[string]bool{"correct horse": true, "wrong": false} {
		c, err := jump.Dial("tcp", f.Host(1).String())
		if err != nil {
			t.Fatal(err)
		}
		conn, channels, requests, err := ssh.NewClientConn(c, "", &ssh.ClientConfig{
			User: "someone", Auth: []ssh.AuthMethod{ssh.Password(password)}, HostKeyCallback: ssh.FixedHostKey(f.HostKey(1)),
		})
		if (err == nil) != want {
			t.Errorf("password %q: %v", password, err)
		}
		if err != nil {
			_ = c.Close()
			continue
		}
		client := ssh.NewClient(conn, channels, requests)
		session, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		if out, err := session.Output("echo through"); err != nil || string(out) != "through\n" {
			t.Errorf("said %q: %v", out, err)
		}
		_ = client.Close()
	}
	outside, closed, err := RefusedPort()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = closed() }()
	for _, address := range []string{outside.String(), netip.AddrPortFrom(outside.Addr(), f.Port()).String(), "127.1.0.9:" + outside.String()[len("127.0.0.1:"):]} {
		_, err := jump.Dial("tcp", address)
		if refused, ok := errors.AsType[*ssh.OpenChannelError](err); !ok || refused.Reason != ssh.Prohibited {
			t.Errorf("%s: %v, want that it is prohibited", address, err)
		}
	}
}
