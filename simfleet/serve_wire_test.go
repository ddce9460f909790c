package simfleet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// servers runs a test with each of the servers.
func servers(t *testing.T, test func(t *testing.T, server Server)) {
	for _, server := range []Server{ServerWire, ServerXCrypto} {
		t.Run(string(server), func(t *testing.T) {
			t.Parallel()
			test(t, server)
		})
	}
}

// Many sessions of one connection at once, each with bulk in both directions, while keys are
// exchanged again and again.
func TestServersManySessions(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, server Server) {
		f := startFleet(t, Options{Hosts: 1, Server: server, RekeyBytes: 200_000})
		client := dialSSH(t, f, 0)
		var sessions sync.WaitGroup
		for i := range 8 {
			sessions.Go(func() {
				text := strings.Repeat(fmt.Sprintf("line of session %d\n", i), 20_000)
				if out, _, err := runOn(t, client, "cat", text); err != nil || out != text {
					t.Errorf("session %d: %d bytes came back of %d, %v", i, len(out), len(text), err)
				}
				if out, errs, err := runOn(t, client, fmt.Sprintf("echo out %d; echo err %d >&2; exit %d", i, i, i+1), ""); out != fmt.Sprintf("out %d\n", i) ||
					errs != fmt.Sprintf("err %d\n", i) || exitStatus(err) != i+1 {
					t.Errorf("session %d: %q, %q, %v", i, out, errs, err)
				}
			})
		}
		sessions.Wait()
	})
}

func exitStatus(err error) int {
	if e, ok := errors.AsType[*ssh.ExitError](err); ok {
		return e.ExitStatus()
	}
	return -1
}

// A command stays where it is when the client reads nothing, and ends when the connection does.
func TestServersWaitForTheClient(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, server Server) {
		f := startFleet(t, Options{Hosts: 1, Server: server})
		client := dialSSH(t, f, 0)
		out := startSSH(t, client, "yes")
		start := make([]byte, 4<<20) // more than a window
		if _, err := io.ReadFull(out, start); err != nil || !bytes.HasPrefix(start, []byte("y\ny\n")) {
			t.Errorf("got %.10q, %v", start, err)
		}
		_ = client.Close()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if log := f.Log(); len(log) != 1 || log[0].Ended.IsZero() || log[0].HasStatus || log[0].Stdout.Size < int64(len(start)) {
			t.Errorf("the log is %+v", log)
		}
	})
}

// Quick commands on channels with small windows still write everything.
func TestServersSmallWindows(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, server Server) {
		f := startFleet(t, Options{Hosts: 1, Server: server, Password: "secret"})
		config := clientConfig(f, 0)
		config.Auth = []ssh.AuthMethod{ssh.Password("wrong")}
		if _, err := newClient(dialTCP(t, f, 0), config); err == nil {
			t.Error("the wrong password lets in")
		}
		config.Auth = []ssh.AuthMethod{ssh.Password("secret")}
		client, err := newClient(dialTCP(t, f, 0), config)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = client.Close() }()
		want := strings.Repeat("x", 100_000)
		if out, _, err := runOn(t, client, "echo "+want, ""); err != nil || out != want+"\n" {
			t.Errorf("%d bytes, %v", len(out), err)
		}
	})
}
