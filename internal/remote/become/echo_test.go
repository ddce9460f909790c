package become_test

import (
	"bytes"
	"context"
	"io"
	"testing"
	"time"

	"shoal/fleet"
	"shoal/internal/remote"
	"shoal/internal/remote/become"
	"shoal/internal/ssh"
)

// A shown is a Dialer whose host has a terminal and shows texts on it.
type shown struct {
	texts func(remote.Become) []string
	sent  *bytes.Buffer // to it
}

func (d shown) Dial(_ context.Context, a *ssh.Attempt) (ssh.Conn, error) { return shownConn{d, a}, nil }

type shownConn struct {
	shown
	a *ssh.Attempt
}

func (c shownConn) Start(ctx context.Context, done func(fleet.End)) {
	c.a.Execution.Connected()
	c.a.Execution.Queue(1)
	c.a.Execution.Writing()
	c.a.Execution.Wrote(1)
	c.a.Execution.Started()
	c.a.Stream.Notify(func() {})
	take := func() {
		var p [100]byte
		n, _ := c.a.Stream.Next(p[:], int64(c.sent.Len()))
		c.sent.Write(p[:n])
	}
	for _, text := range c.texts(remote.Become{Nonce: nonceIn.FindStringSubmatch(c.a.Line)[1]}) {
		_, _ = io.WriteString(c.a.Stdout, text)
		take()
	}
	<-ctx.Done()
	take()
	done(fleet.End{Outcome: c.a.Execution.Failed(), Phase: fleet.PhaseRun, Reason: fleet.ReasonInterrupted, Err: context.Cause(ctx)})
}

func (shownConn) StartNext(context.Context, *ssh.Attempt, func(fleet.End)) { panic("not kept") }
func (shownConn) Close() error                                             { return nil }

// doas and su are answered when the terminal has ceased to show what is typed, and not because something looks like
// their question: no text decides that, in any language. A host whose key is not proven is then refused the password.
func TestPasswordOnlyWithoutEcho(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		texts  func(remote.Become) []string
		reason fleet.Reason
	}{
		"no echo": {func(b remote.Become) []string {
			return []string{b.Begun() + "\r\n", "Mot de passe : ", b.Secret() + "\r\n"}
		}, fleet.ReasonBecomePasswordNeeded},
		"echo": {func(b remote.Become) []string {
			return []string{b.Begun() + "\r\n", "doas (worker@host) password: ", "\r\nPassword: "}
		}, fleet.ReasonBecomeTimeout},
		"another nonce": {func(remote.Become) []string {
			return []string{remote.Become{Nonce: "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}.Secret() + "\r\n", "Password: "}
		}, fleet.ReasonBecomeTimeout},
	} {
		for _, m := range []remote.Method{remote.Doas, remote.Su} {
			t.Run(name+", "+string(m), func(t *testing.T) {
				t.Parallel()
				limit := time.Minute
				if c.reason == fleet.ReasonBecomeTimeout {
					limit = time.Millisecond // nothing else ends it
				}
				sent := new(bytes.Buffer)
				d, err := become.New(noted{shown{c.texts, sent}}, become.Options{Method: m, Passwords: password(t, "it is secret"), Timeout: limit})
				if err != nil {
					t.Fatal(err)
				}
				a := &ssh.Attempt{Progress: new(ssh.Progress), Target: ssh.Target{Target: fleet.Target{Command: "id"}}}
				if end := attempt(t, d, a); sent.Len() > 0 || end.Outcome != fleet.OutcomeNeverStarted || end.Reason != c.reason {
					t.Errorf("%v(%s), sent %q", end.Outcome, end.Reason, sent)
				}
			})
		}
	}
}
