package simfleet

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
)

func TestFaultNames(t *testing.T) {
	all := Faults()
	known := 0
	for _, table := range tables() {
		known += len(table)
	}
	if len(all) != known-1 {
		t.Errorf("Faults lists %d, want %d", len(all), known-1)
	}
	for _, f := range all {
		got, err := ParseFault(string(f))
		if got != f || err != nil {
			t.Errorf("ParseFault(%q) = %q, %v", f, got, err)
		}
		if f == FaultNone || f.Doc() == "" {
			t.Errorf("%q has the sentence %q", f, f.Doc())
		}
	}
	if got, err := ParseFault(""); got != FaultNone || err != nil {
		t.Errorf("ParseFault(\"\") = %q, %v", got, err)
	}
	if _, err := ParseFault("nonsense"); err == nil {
		t.Error("nonsense is a fault")
	}
}

// Faults go together unless they take the place of the same thing; the one that strikes first decides
// what to expect.
func TestFaultsTogether(t *testing.T) {
	for text, want := range map[string]string{
		"slow-auth+escapes":          "ok",
		"slow-auth+exit-signal":      "signalled",
		"dribble+drop-mid-output":    "unknown for [conn_closed conn_reset]",
		"exit-signal+auth-refused":   "never_started for [auth_failed]",
		"no-eof+hang+slow-auth":      "unknown for [timeout vanished]",
		"reset+exec-refused":         "never_started for [conn_reset]",
		"exec-refused+disk-full":     "refused for [exec_refused]",
		"reset+silent":               "",
		"hang+escapes":               "",
		"slow-auth+nonsense":         "",
		"session-limit+session-drop": "",
	} {
		f, err := ParseFault(text)
		switch {
		case want == "" && err == nil:
			t.Errorf("%s go together", text)
		case want != "" && (err != nil || f.Expect().String() != want):
			t.Errorf("%s: %v, %v; want %s", text, f.Expect(), err, want)
		}
	}
}

// A mix has each fault as often as any other, and depends on its seed alone.
func TestMix(t *testing.T) {
	one, err := Mix("seed", 1000, 3)
	again, errAgain := Mix("seed", 1000, 3)
	other, errOther := Mix("another", 1000, 3)
	if err != nil || errAgain != nil || errOther != nil {
		t.Fatal(err, errAgain, errOther)
	}
	count, differ := map[Fault]int{}, false
	for i := range 1000 {
		count[one(i)]++
		if one(i) != again(i) {
			t.Fatalf("host %d is %q and %q", i, one(i), again(i))
		}
		differ = differ || one(i) != other(i)
		if _, err := ParseFault(string(one(i))); err != nil {
			t.Fatal(err)
		}
	}
	kinds := len(Faults()) + len(pairs)
	if kinds < 40 || count[FaultNone] != 1000-3*kinds || len(count) != kinds+1 || !differ {
		t.Errorf("%d kinds, %d good hosts, differ %v", len(count)-1, count[FaultNone], differ)
	}
	for f, n := range count {
		if f != FaultNone && n != 3 {
			t.Errorf("%q on %d hosts", f, n)
		}
	}
	if _, err := Mix("seed", 10, 3); err == nil {
		t.Error("ten hosts have room for all")
	}
}

// faulty starts a fleet of one host with this fault.
func faulty(t *testing.T, fault Fault) *Fleet {
	t.Helper()
	return startFleet(t, Options{Hosts: 1, Fault: func(int) Fault { return fault }})
}

// TestFaultsBeforeKeys asserts every byte that a client hears which says its
// version and waits, with latency and without.
func TestFaultsBeforeKeys(t *testing.T) {
	t.Run("direct", func(t *testing.T) { faultsBeforeKeys(t, 0) })
	t.Run("delayed", func(t *testing.T) { faultsBeforeKeys(t, time.Millisecond) })
}

func faultsBeforeKeys(t *testing.T, latency time.Duration) {
	t.Helper()
	kexinit := func(heard string) bool {
		packet, ok := strings.CutPrefix(heard, serverVersion+"\r\n")
		return ok && len(packet) > 500 && packet[5] == 20 && len(packet)%8 == 0
	}
	is := func(want string) func(string) bool { return func(heard string) bool { return heard == want } }
	for _, test := range []struct {
		fault Fault
		heard func(string) bool
		reset bool // RST may end it
	}{
		{fault: FaultReset, heard: is(""), reset: true},
		{fault: FaultNotSSH, heard: is(httpAnswer)},
		{fault: FaultThrottle, heard: is("Not allowed at this time\r\n"), reset: true},
		{fault: FaultThrottleOld, heard: is("Exceeded MaxStartups\r\n"), reset: true},
		{fault: FaultCloseAfterVersion, heard: is(serverVersion + "\r\n")},
		{fault: FaultCloseAfterKexinit, heard: kexinit},
	} {
		t.Run(string(test.fault), func(t *testing.T) {
			f := startFleet(t, Options{Hosts: 1, Latency: latency, Fault: func(int) Fault { return test.fault }})
			c := dialTCP(t, f, 0)
			if _, err := io.WriteString(c, "SSH-2.0-test\r\n"); err != nil && !test.reset {
				t.Fatal(err)
			}
			heard, err := io.ReadAll(c)
			if !test.heard(string(heard)) {
				t.Errorf("heard %q", heard)
			}
			if isReset := errors.Is(err, syscall.ECONNRESET); err != nil && (!isReset || !test.reset) {
				t.Errorf("the end is %v", err)
			}
			if test.fault == FaultReset && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the end is %v, want %v", err, syscall.ECONNRESET)
			}
		})
	}
}

func TestEndlessBanner(t *testing.T) {
	c := dialTCP(t, faulty(t, FaultEndlessBanner), 0)
	heard := make([]byte, 4<<20)
	if _, err := io.ReadFull(c, heard); err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(heard), "\r\n") {
		if strings.HasPrefix(line, "SSH-") || len(line) > 255 {
			t.Fatalf("a line is %q", line)
		}
	}
}

// TestFaultsThatStall runs each for a virtual hour.
func TestFaultsThatStall(t *testing.T) {
	t.Run("silent", func(t *testing.T) {
		stalled(t, FaultSilent, func(_ *testing.T, _ *Fleet, c net.Conn) string {
			_, _ = io.WriteString(c, "SSH-2.0-test\r\n")
			return hear(c)
		}, "")
	})
	t.Run("slow banner", func(t *testing.T) {
		stalled(t, FaultSlowBanner, func(t *testing.T, _ *Fleet, c net.Conn) string {
			line, start := serverVersion+"\r\n", time.Now().Add(4*latency)
			for i := range line {
				var b [1]byte
				if _, err := c.Read(b[:]); err != nil || b[0] != line[i] || time.Since(start) != time.Duration(i)*time.Second {
					t.Fatalf("byte %d is %q, %v after %v", i, b, err, time.Since(start))
				}
			}
			return hear(c)
		}, "")
	})
	t.Run("key exchange", func(t *testing.T) {
		stalled(t, FaultStallKex, func(t *testing.T, f *Fleet, c net.Conn) string {
			_, err := newClient(deadline(c), clientConfig(f, 0))
			return err.Error()
		}, "ssh: handshake failed: deadline")
	})
	t.Run("authentication", func(t *testing.T) {
		stalled(t, FaultAuthStall, func(t *testing.T, f *Fleet, c net.Conn) string {
			verified := false
			config := clientConfig(f, 0)
			fixed := config.HostKeyCallback
			config.HostKeyCallback = func(host string, at net.Addr, key ssh.PublicKey) error {
				verified = true
				return fixed(host, at, key)
			}
			_, err := newClient(deadline(c), config)
			if !verified {
				t.Error("it did not get as far as the host key")
			}
			return err.Error()
		}, "ssh: handshake failed: deadline")
	})
	t.Run("session", func(t *testing.T) {
		stalled(t, FaultSessionStall, func(t *testing.T, f *Fleet, c net.Conn) string {
			client, err := newClient(deadline(c), clientConfig(f, 0))
			if err != nil {
				t.Fatal(err)
			}
			_, err = client.NewSession()
			return err.Error()
		}, "ssh: unexpected packet in response to channel open: <nil>")
	})
	t.Run("exec", func(t *testing.T) {
		stalled(t, FaultExecStall, func(t *testing.T, f *Fleet, c net.Conn) string {
			client, err := newClient(deadline(c), clientConfig(f, 0))
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = runOn(t, client, "echo hello", "")
			if log := f.Log(); len(log) != 1 || log[0].Command != "echo hello" || log[0].Accepted {
				t.Errorf("the log is %+v, want one exec that was not accepted", log)
			}
			return err.Error()
		}, "EOF")
	})
}

// stalled gives do a pipe to a host with this fault, and asserts what it
// returns and that the whole took at least an hour.
func stalled(t *testing.T, fault Fault, do func(*testing.T, *Fleet, net.Conn) string, want string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		// A pipe has no buffer; the latency's queue is one.
		f, c := pipeFleet(t, Options{Latency: latency, Fault: func(int) Fault { return fault }})
		if got := do(t, f, c); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if took := time.Since(start); took < time.Hour {
			t.Errorf("it ended after %v", took)
		}
	})
}

// hear reads for an hour.
func hear(c net.Conn) string {
	_ = c.SetReadDeadline(time.Now().Add(time.Hour))
	heard, _ := io.ReadAll(c)
	return string(heard)
}

var errDeadline = errors.New("deadline")

// deadline ends a connection's reads in an hour.
func deadline(c net.Conn) net.Conn {
	_ = c.SetReadDeadline(time.Now().Add(time.Hour))
	return deadlineConn{c}
}

type deadlineConn struct{ net.Conn }

func (d deadlineConn) Read(p []byte) (int, error) {
	n, err := d.Conn.Read(p)
	if err != nil {
		err = errDeadline
	}
	return n, err
}

func TestFaultsOfKexAndAuth(t *testing.T) {
	for fault, right := range map[Fault]func(error) bool{
		FaultNoCommonAlgorithm: func(err error) bool {
			var negotiation *ssh.AlgorithmNegotiationError
			return errors.As(err, &negotiation) && negotiation.RequestedAlgorithms[0] == ssh.InsecureKeyExchangeDH1SHA1
		},
		FaultWrongHostkey: func(err error) bool { return strings.Contains(err.Error(), "host key mismatch") },
		FaultAuthRefused:  func(err error) bool { return strings.Contains(err.Error(), "unable to authenticate") },
	} {
		f := faulty(t, fault)
		if _, err := newClient(dialTCP(t, f, 0), clientConfig(f, 0)); err == nil || !right(err) {
			t.Errorf("%s: the client says %v", fault, err)
		}
	}
}

func TestAuthBannerFlood(t *testing.T) {
	f := faulty(t, FaultAuthBannerFlood)
	config, c, banners := clientConfig(f, 0), dialTCP(t, f, 0), 0
	config.BannerCallback = func(message string) error {
		// An error from here would leave the client's reader behind for ever,
		// with more packets than its channel takes.
		if banners++; banners == 1000 {
			_ = c.Close()
		}
		if len(message) != 128*len("All activity may be monitored.\r\n") {
			t.Errorf("a banner is %q", message)
		}
		return nil
	}
	if _, err := newClient(c, config); err == nil || banners < 1000 {
		t.Errorf("the client says %v after %d banners", err, banners)
	}
}

func TestSessionAndExecRefused(t *testing.T) {
	_, _, err := runOn(t, dialSSH(t, faulty(t, FaultSessionRefused), 0), "true", "")
	var refused *ssh.OpenChannelError
	if !errors.As(err, &refused) || refused.Reason != ssh.Prohibited {
		t.Errorf("opening: %v, want %v", err, ssh.Prohibited)
	}
	f := faulty(t, FaultExecRefused)
	_, _, err = runOn(t, dialSSH(t, f, 0), "true", "")
	if err == nil || err.Error() != "ssh: command true failed" {
		t.Errorf("exec: %v, want a refusal", err)
	}
	if log := f.Log(); len(log) != 1 || log[0].Accepted || log[0].HasStatus || log[0].Ended.IsZero() {
		t.Errorf("the log is %+v, want one exec that was refused", log)
	}
}

func TestFaultsOfOutputAndEnd(t *testing.T) {
	missing := func(err error) bool {
		var e *ssh.ExitMissingError
		return errors.As(err, &e)
	}
	for _, test := range []struct {
		fault                   Fault
		command, stdout, stderr string
		right                   func(error) bool
	}{
		{FaultNoExitStatus, "echo hello; exit 3", "hello\n", "", missing},
		{FaultDropMidOutput, "echo hello; echo never", "hel", "", missing},
		{FaultDropMidOutput, "true", "", "", missing},
		{FaultDropAfterExit, "echo hello; exit 3", "hello\n", "", func(err error) bool {
			var e *ssh.ExitError
			return errors.As(err, &e) && e.ExitStatus() == 3
		}},
		{FaultExitSignal, "echo hello", "hello\n", "", func(err error) bool {
			var e *ssh.ExitError
			return errors.As(err, &e) && e.Signal() == "SEGV" && strings.HasPrefix(e.Msg(), "\x1b[31mstack smashed")
		}},
		{FaultEscapes, "echo hello", nasty, nasty, func(err error) bool { return err == nil }},
	} {
		t.Run(string(test.fault), func(t *testing.T) {
			stdout, stderr, err := runOn(t, dialSSH(t, faulty(t, test.fault), 0), test.command, "")
			if stdout != test.stdout || stderr != test.stderr || !test.right(err) {
				t.Errorf("got %q, %q and %v, want %q, %q", stdout, stderr, err, test.stdout, test.stderr)
			}
		})
	}
}

func TestEndlessOutput(t *testing.T) {
	client := dialSSH(t, faulty(t, FaultEndlessOutput), 0)
	out := startSSH(t, client, "true")
	heard := make([]byte, 16<<20)
	if _, err := io.ReadFull(out, heard); err != nil {
		t.Fatal(err)
	}
	const line = "this never ends\n"
	if !bytes.Equal(heard, bytes.Repeat([]byte(line), len(heard)/len(line))) {
		t.Error("the output is not that of yes")
	}
}

func TestNoClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := pipeFleet(t, Options{Latency: latency, Fault: func(int) Fault { return FaultNoClose }})
		client, err := newClient(c, clientConfig(f, 0))
		if err != nil {
			t.Fatal(err)
		}
		channel, requests := startExec(t, client, "echo hello; exit 3")
		if out, err := io.ReadAll(channel); string(out) != "hello\n" || err != nil {
			t.Errorf("got %q, %v", out, err)
		}
		r := <-requests
		if r.Type != "exit-status" || !bytes.Equal(r.Payload, []byte{0, 0, 0, 3}) {
			t.Errorf("got %q with %v, want exit-status 3", r.Type, r.Payload)
		}
		select {
		case r, ok := <-requests:
			t.Errorf("after that came %+v, %v, want nothing", r, ok)
		case <-time.After(time.Hour):
		}
	})
}

// startExec opens a session by hand and starts a command in it.
func startExec(t *testing.T, client ssh.Conn, command string) (ssh.Channel, <-chan *ssh.Request) {
	t.Helper()
	channel, requests, err := client.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := channel.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{command})); !ok || err != nil {
		t.Fatalf("exec: %v, %v", ok, err)
	}
	return channel, requests
}

func TestRequestFlood(t *testing.T) {
	f := faulty(t, FaultRequestFlood)
	client, _, global, err := ssh.NewClientConn(dialTCP(t, f, 0), "", clientConfig(f, 0))
	if err != nil {
		t.Fatal(err)
	}
	_, requests := startExec(t, client, "true")
	first := <-requests
	if first.Type != "exit-status" || len(first.Payload) != 2 {
		t.Errorf("first came %q with %v, want an exit-status of two bytes", first.Type, first.Payload)
	}
	for range 1000 {
		if r := <-requests; r.Type != "flood@simfleet" {
			t.Fatalf("got a channel request %q", r.Type)
		}
		if r := <-global; r.Type != "hostkeys-00@openssh.com" {
			t.Fatalf("got a global request %q", r.Type)
		}
	}
	_ = client.Close()
	var rest sync.WaitGroup
	rest.Go(func() { ssh.DiscardRequests(requests) })
	rest.Go(func() { ssh.DiscardRequests(global) })
	rest.Wait()
}

func TestOpenFlood(t *testing.T) {
	f := faulty(t, FaultOpenFlood)
	client, channels, _, err := ssh.NewClientConn(dialTCP(t, f, 0), "", clientConfig(f, 0))
	if err != nil {
		t.Fatal(err)
	}
	startExec(t, client, "true")
	types := make(map[string]int)
	for n := range channels {
		types[n.ChannelType()]++
		if err := n.Reject(ssh.Prohibited, "no"); err != nil {
			t.Fatal(err)
		}
		if sum := types["x11"] + types["auth-agent@openssh.com"] + types["session"]; sum == 1000 {
			break
		}
	}
	if len(types) != 5 {
		t.Errorf("channels of the types %v were opened, want 5", types)
	}
	_ = client.Close()
	for range channels {
	}
}
