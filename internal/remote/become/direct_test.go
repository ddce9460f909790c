package become_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"regexp"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/remote"
	"shoal/internal/remote/become"
	"shoal/internal/ssh"
)

// noted is a Dialer that knows of every host that it asks for a password.
type noted struct{ ssh.Dialer }

func (noted) Noted(ssh.Target, string) bool { return true }
func (noted) Note(ssh.Target, string, bool) {}

// scripted is a Dialer whose host says something on the standard error, takes what is sent, and
// whose connection is then lost.
type scripted struct{ say []string }

func (d scripted) Dial(_ context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	return scriptedConn{d, a}, nil
}

type scriptedConn struct {
	scripted
	a *ssh.Attempt
}

var nonceIn = regexp.MustCompile(`shoal/1 ([A-Z0-9]+) begun`)

// Start answers as sudo does whose -l wants a password. The command may be on its way to its start
// when the connection ends: nobody here knows.
func (c scriptedConn) Start(_ context.Context, done func(fleet.End)) {
	c.a.Execution.Connected()
	c.a.Execution.Queue(1)
	c.a.Execution.Writing()
	c.a.Execution.Wrote(1)
	c.a.Execution.Started()
	b := remote.Become{Nonce: nonceIn.FindStringSubmatch(c.a.Line)[1]}
	texts := map[string]string{"begun": b.Begun() + "\n", "prompt": b.Prompt(), "became": b.Became() + "\n"}
	wake := make(chan struct{}, 1)
	if c.a.Stream != nil {
		c.a.Stream.Notify(func() {
			select {
			case wake <- struct{}{}:
			default:
			}
		})
	}
	at, buf := int64(0), make([]byte, 100)
	for _, word := range c.say {
		if word != "take" {
			_, _ = io.WriteString(c.a.Stderr, texts[word])
			continue
		}
		for n := 0; n == 0; {
			<-wake
			n, _ = c.a.Stream.Next(buf, at)
			at += int64(n)
		}
	}
	done(fleet.End{Outcome: c.a.Execution.Failed(), Phase: fleet.PhaseRun, Reason: fleet.ReasonConnReset, Err: errors.New("reset")})
}

func (scriptedConn) StartNext(context.Context, *ssh.Attempt, func(fleet.End)) { panic("not kept") }
func (scriptedConn) Close() error                                             { return nil }

// A command that sudo starts directly waits for no word of ours: once sudo has the password, or wants
// none, a lost connection proves nothing, and the command must not be started again.
func TestDirectLost(t *testing.T) {
	t.Parallel()
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := xssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		direct bool
		say    []string
		want   fleet.Outcome
	}{
		{true, []string{"begun", "prompt"}, fleet.OutcomeNeverStarted},
		{true, []string{"begun", "prompt", "take"}, fleet.OutcomeUnknown},
		{true, []string{"begun", "prompt", "take", "prompt"}, fleet.OutcomeNeverStarted},
		{true, []string{"begun"}, fleet.OutcomeUnknown},
		{true, []string{"begun", "prompt", "take", "became"}, fleet.OutcomeUnknown},
		{false, []string{"begun", "prompt", "take"}, fleet.OutcomeNeverStarted},
		{false, []string{"begun"}, fleet.OutcomeNeverStarted},
	} {
		d, err := become.New(noted{scripted{c.say}}, become.Options{Direct: c.direct, Passwords: password(t, "secret")})
		if err != nil {
			t.Fatal(err)
		}
		a := &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: fleet.Target{Command: "id -un"}}}
		a.Identified(trusting{key}, key)
		end := attempt(t, d, a)
		if end.Outcome != c.want || a.Execution.Check(end.Outcome) != c.want {
			t.Errorf("direct %t, %q: %v(%s), checked %v; want %v", c.direct, c.say, end.Outcome, end.Reason, a.Execution.Check(end.Outcome), c.want)
		}
	}
}
