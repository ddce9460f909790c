package simfleet

import (
	"bytes"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
)

// All floods of a fleet together send what a link brings, and each has its part of it.
func TestFloodsShareALink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const floods, piece, pieces = 5, 1 << 20, 50
		c := &conn{fleet: &Fleet{}, ctx: t.Context()}
		start := time.Now()
		var all sync.WaitGroup
		for range floods {
			all.Go(func() {
				for range pieces {
					if !c.link(piece) {
						t.Error("the connection has ended")
					}
				}
			})
		}
		all.Wait()
		took, want := time.Since(start), time.Duration(floods*pieces*piece)*time.Second/linkRate
		if took > want || took < want*95/100 {
			t.Errorf("it took %v, want %v", took, want)
		}
	})
}

// A host with a fault is served by our own server, whoever serves the good ones.
func TestFaultsBesideXCrypto(t *testing.T) {
	f := startFleet(t, Options{Hosts: 1, Server: ServerXCrypto, RekeyBytes: 256, Fault: func(int) Fault { return FaultNoEOF }})
	if out, _, err := runOn(t, dialSSH(t, f, 0), "echo hello", ""); out != "hello\n" || err != nil || f.Stats().Rekeys == 0 {
		t.Errorf("%q, %v, after %d key exchanges that package wire counts", out, err, f.Stats().Rekeys)
	}
}

// A login that is answered late takes what came behind it: a command sent early runs.
func TestLateLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const delay = 3 * time.Second
		f, c := pipeFleet(t, Options{Latency: latency, AuthDelay: delay})
		start := time.Now()
		client, err := newClient(c, clientConfig(f, 0))
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < delay || took > delay+time.Second {
			t.Errorf("the login took %v, want %v and some round trips", took, delay)
		}
		if out, _, err := runOn(t, client, "echo hello", ""); out != "hello\n" || err != nil {
			t.Errorf("%q, %v", out, err)
		}
	})
}

// A flood of questions goes on for as long as they are answered.
func TestKeepaliveFlood(t *testing.T) {
	f := faulty(t, FaultKeepaliveFlood)
	client, _, global, err := ssh.NewClientConn(dialTCP(t, f, 0), "", clientConfig(f, 0))
	if err != nil {
		t.Fatal(err)
	}
	_, requests := startExec(t, client, "true")
	for range 10 * inFlight {
		r := <-global
		if r.Type != "keepalive@openssh.com" || !r.WantReply {
			t.Fatalf("got a global request %q", r.Type)
		}
		if err := r.Reply(false, nil); err != nil {
			t.Fatal(err)
		}
	}
	_ = client.Close()
	for range global {
	}
	for range requests {
	}
}

// The questions of a host that asks over and over are as many as it says.
func TestPromptFlood(t *testing.T) {
	f := faulty(t, FaultPromptFlood)
	rounds := 0
	config := clientConfig(f, 0)
	config.Auth = append(config.Auth, ssh.KeyboardInteractive(func(_, _ string, questions []string, _ []bool) ([]string, error) {
		if rounds++; rounds == 20 {
			return nil, io.ErrUnexpectedEOF
		}
		if len(questions) != 1000 {
			t.Errorf("%d questions", len(questions))
		}
		return questions, nil
	}))
	if _, err := newClient(dialTCP(t, f, 0), config); err == nil || rounds != 20 {
		t.Errorf("%v after %d rounds", err, rounds)
	}
}

// Keys are exchanged again and again, with few bytes in between, none of which is lost.
func TestRekeyStorm(t *testing.T) {
	f := faulty(t, FaultRekeyStorm)
	client := dialSSH(t, f, 0)
	out := startSSH(t, client, "true")
	for heard := make([]byte, 300); f.Stats().Rekeys < 20; {
		if _, err := io.ReadFull(out, heard); err != nil || !bytes.Equal(heard, bytes.Repeat([]byte("few bytes\n"), 30)) {
			t.Fatalf("%q, %v, after %d key exchanges", heard, err, f.Stats().Rekeys)
		}
	}
}
