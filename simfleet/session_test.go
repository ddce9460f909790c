package simfleet

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/crypto/ssh"
)

// TestCommands asserts what a client gets, and that the log says the same.
func TestCommands(t *testing.T) {
	f := startFleet(t, Options{Hosts: 3})
	client := dialSSH(t, f, 2)
	random, again := make([]byte, 100_000), make([]byte, 100_000)
	_, _ = io.ReadFull(f.keys.random("random 127.1.0.3"), random)
	for n, test := range []struct {
		command, stdin, stdout, stderr string
		status                         int
		signal                         string
	}{
		{command: "echo hello world 7", stdout: "hello world 7\n"},
		{command: "echo out; echo err >&2; exit 3", stdout: "out\n", stderr: "err\n", status: 3},
		{command: "true"},
		{command: "foo", stderr: "sh: foo: not found\n", status: 127},
		{command: "hostname; whoami", stdout: "127.1.0.3\nada\n"},
		{command: "cat", stdin: strings.Repeat("0123456789", 500_000), stdout: strings.Repeat("0123456789", 500_000)},
		{command: "head -c 5000000 /dev/zero", stdout: strings.Repeat("\x00", 5_000_000)},
		{command: "head -c 100000 /dev/urandom", stdout: string(random)},
		{command: "kill -TERM $$", signal: "TERM"},
		{command: "echo \xff\x00 \n", stdout: "\xff\x00\n"},
	} {
		stdout, stderr, err := runOn(t, client, test.command, test.stdin)
		if stdout != test.stdout || stderr != test.stderr {
			t.Errorf("%q: got %.80q and %.80q, want %.80q and %.80q", test.command, stdout, stderr, test.stdout, test.stderr)
		}
		var status int
		var signal string
		if exit := new(ssh.ExitError); errors.As(err, &exit) {
			if signal = exit.Signal(); signal == "" {
				status = exit.ExitStatus()
			}
		} else if err != nil {
			t.Errorf("%q: %v", test.command, err)
		}
		if status != test.status || signal != test.signal {
			t.Errorf("%q: ended with %d and %q, want %d and %q", test.command, status, signal, test.status, test.signal)
		}
		want := Exec{
			ID: uint64(n + 1), Index: 2, Host: "127.1.0.3", Conn: 1, Command: test.command, Accepted: true,
			HasStatus: test.signal == "", Status: uint32(test.status), Signal: test.signal,
		}
		want.wrote(test.stdout, test.stderr)
		got := waitForEnd(t, f, n)
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Exec{}, "Received", "Ended", "Prefixes")); diff != "" {
			t.Errorf("%q: the log (-want +got):\n%s", test.command, diff)
		}
		if !reflect.DeepEqual(got.Prefixes, want.Prefixes) { // cmp.Diff takes seconds for megabytes
			t.Errorf("%q: the log has other beginnings of the output", test.command)
		}
	}
	_, _ = io.ReadFull(f.keys.random("random 127.1.0.1"), again)
	if bytes.Equal(random, again) {
		t.Error("two hosts have the same random bytes")
	}
}

// waitForEnd returns the log's n-th exec once it has ended.
func waitForEnd(t *testing.T, f *Fleet, n int) Exec {
	t.Helper()
	for t.Context().Err() == nil {
		if log := f.Log(); len(log) > n && !log[n].Ended.IsZero() {
			return log[n]
		}
	}
	t.Fatalf("exec %d has not ended", n)
	return Exec{}
}

func TestRefusedRequests(t *testing.T) {
	f := startFleet(t, Options{Hosts: 1})
	client := dialSSH(t, f, 0)
	if ok, _, err := client.SendRequest("keepalive@openssh.com", true, nil); ok || err != nil {
		t.Errorf("a global request: %v, %v, want a refusal", ok, err)
	}
	for _, kind := range []string{"direct-tcpip", "x11", "nonsense"} {
		_, _, err := client.OpenChannel(kind, nil)
		var refused *ssh.OpenChannelError
		if !errors.As(err, &refused) || refused.Reason != ssh.UnknownChannelType {
			t.Errorf("opening %s: %v, want %v", kind, err, ssh.UnknownChannelType)
		}
	}
	channel, requests, err := client.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []struct{ kind, payload string }{
		{"pty-req", ""},
		{"env", ""},
		{"shell", ""},
		{"subsystem", "\x00\x00\x00\x07netconf"},
		{"auth-agent-req@openssh.com", ""},
		{"signal", "\x00\x00\x00\x04TERM"},
		{"exec", "bad"},
	} {
		if ok, err := channel.SendRequest(r.kind, true, []byte(r.payload)); ok || err != nil {
			t.Errorf("%s: %v, %v, want a refusal", r.kind, ok, err)
		}
	}
	// None of it is in the way of a command, and there is one in a session.
	exec := func() (bool, error) {
		return channel.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{"cat"}))
	}
	if ok, err := exec(); !ok || err != nil {
		t.Errorf("exec: %v, %v", ok, err)
	}
	if ok, err := exec(); ok || err != nil {
		t.Errorf("a second exec: %v, %v, want a refusal", ok, err)
	}
	_ = channel.CloseWrite()
	if r := <-requests; r.Type != "exit-status" || !bytes.Equal(r.Payload, make([]byte, 4)) {
		t.Errorf("got %q with %v, want exit-status 0", r.Type, r.Payload)
	}
}

// TestSignals asserts that a signal request ends a command that sleeps, one
// that waits for input, and one whose output nobody reads.
func TestSignals(t *testing.T) {
	f := startFleet(t, Options{Hosts: 1})
	client := dialSSH(t, f, 0)
	for n, command := range []string{"sleep infinity", "cat", "yes", "sleep 1000; echo never"} {
		channel, requests := startExec(t, client, command)
		for _, signal := range []string{"WINCH", "INT", "TERM"} { // the first does nothing
			if _, err := channel.SendRequest("signal", false, ssh.Marshal(struct{ Name string }{signal})); err != nil {
				if signal == "TERM" && errors.Is(err, io.EOF) {
					continue // INT has ended the channel already
				}
				t.Fatalf("%s: %v", command, err)
			}
		}
		r := <-requests
		want := ssh.Marshal(exitSignal{Name: "INT"})
		if r == nil || r.Type != "exit-signal" || !bytes.Equal(r.Payload, want) {
			t.Fatalf("%s: got %+v, want an exit signal INT", command, r)
		}
		ssh.DiscardRequests(requests)
		if e := waitForEnd(t, f, n); e.Signal != "INT" || e.HasStatus {
			t.Errorf("%s: the log has signal %q, status %v", command, e.Signal, e.HasStatus)
		}
	}
}

// TestCommandEndsWithItsClient asserts that nothing goes on running when the
// channel or the connection is closed.
func TestCommandEndsWithItsClient(t *testing.T) {
	f := startFleet(t, Options{Hosts: 1})
	n := 0
	for _, command := range []string{"sleep infinity", "cat", "yes"} {
		for _, closing := range []func(ssh.Conn, ssh.Channel) error{
			func(c ssh.Conn, _ ssh.Channel) error { return c.Close() },
			func(_ ssh.Conn, c ssh.Channel) error { return c.Close() },
		} {
			client := dialSSH(t, f, 0)
			channel, _ := startExec(t, client, command)
			if err := closing(client, channel); err != nil {
				t.Fatal(err)
			}
			if e := waitForEnd(t, f, n); e.HasStatus || e.Signal != "" || !e.Accepted {
				t.Errorf("%s: the log is %+v, want no status", command, e)
			}
			n++
		}
	}
}

// TestManySessions asserts that sessions of one connection do not wait for each
// other.
func TestManySessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := pipeFleet(t, Options{Latency: latency})
		client, err := newClient(c, clientConfig(f, 0))
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		done := make(chan string)
		for range 10 {
			go func() {
				out, _, err := runOn(t, client, "sleep 1; echo $$", "")
				if err != nil {
					t.Error(err)
				}
				done <- out
			}()
		}
		pids := make(map[string]bool)
		for range 10 {
			pids[<-done] = true
		}
		if took := time.Since(start); took != time.Second+4*latency || len(pids) != 10 {
			t.Errorf("it took %v with %d process numbers, want 1s and 10", took, len(pids))
		}
	})
}
