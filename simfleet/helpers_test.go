package simfleet

import (
	"bytes"
	"io"
	"net"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startFleet starts a fleet that ends with the test.
func startFleet(tb testing.TB, o Options) *Fleet {
	tb.Helper()
	if o.Seed == "" {
		o.Seed = tb.Name()
	}
	f, err := Start(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := f.Close(); err != nil {
			tb.Error(err)
		}
		if len(f.open) != 0 || len(f.gate.open) != 0 {
			tb.Errorf("%d connections and %v unauthenticated ones are left", len(f.open), f.gate.open)
		}
	})
	return f
}

// clientConfig logs in to host i and to no other.
func clientConfig(f *Fleet, i int) *ssh.ClientConfig {
	return &ssh.ClientConfig{
		User:            "ada",
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(f.ClientKey())},
		HostKeyCallback: ssh.FixedHostKey(f.HostKey(i)),
	}
}

// dialTCP connects to host i.
func dialTCP(tb testing.TB, f *Fleet, i int) *net.TCPConn {
	tb.Helper()
	c, err := new(net.Dialer).DialContext(tb.Context(), "tcp", f.Host(i).String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c.(*net.TCPConn)
}

// dialSSH logs in to host i.
func dialSSH(tb testing.TB, f *Fleet, i int) *ssh.Client {
	tb.Helper()
	client, err := newClient(dialTCP(tb, f, i), clientConfig(f, i))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = client.Close() })
	return client
}

// startSSH starts a command in a session of its own, and returns its standard output.
func startSSH(tb testing.TB, client *ssh.Client, command string) io.Reader {
	tb.Helper()
	session, err := client.NewSession()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := session.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := session.Start(command); err != nil {
		tb.Fatal(err)
	}
	return out
}

func newClient(c net.Conn, config *ssh.ClientConfig) (*ssh.Client, error) {
	conn, channels, requests, err := ssh.NewClientConn(c, "", config)
	if err != nil {
		return nil, err
	}
	return ssh.NewClient(conn, channels, requests), nil
}

// runOn runs a command with the SSH library's own session.
func runOn(tb testing.TB, client *ssh.Client, command, stdin string) (stdout, stderr string, err error) {
	tb.Helper()
	session, err := client.NewSession()
	if err != nil {
		return "", "", err
	}
	defer func() { _ = session.Close() }()
	var out, errs bytes.Buffer
	session.Stdin, session.Stdout, session.Stderr = bytes.NewBufferString(stdin), &out, &errs
	err = session.Run(command)
	return out.String(), errs.String(), err
}
