package sshtest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	xssh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"shoal/fleet"
	"shoal/internal/needs"
	"shoal/internal/ssh"
	"shoal/internal/ssh/auth"
	"shoal/internal/sshdtest"
)

// startAgent starts an agent with a key and returns its socket and the public key's file.
func startAgent(t testing.TB, key xssh.PublicKey, keyring agent.Agent) (socket, public string) {
	t.Helper()
	dir := t.TempDir()
	socket, public = filepath.Join(dir, "agent"), filepath.Join(dir, "key.pub")
	if err := os.WriteFile(public, xssh.MarshalAuthorizedKey(key), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				_ = agent.ServeAgent(keyring, c)
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return socket, public
}

// A lent is an agent that may be forwarded, and what forwards it.
type lent struct {
	socket, public string
	keyring        agent.Agent
	forwarder      *auth.Forwarder
}

func lend(t testing.TB) *lent {
	t.Helper()
	private, signer := newPrivateKey(t)
	l := &lent{keyring: agent.NewKeyring()}
	if err := l.keyring.Add(agent.AddedKey{PrivateKey: private, Comment: "lent"}); err != nil {
		t.Fatal(err)
	}
	l.socket, l.public = startAgent(t, signer.PublicKey(), l.keyring)
	var err error
	if l.forwarder, err = auth.NewForwarder(auth.ForwardOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.forwarder.Close() }) // before the agent ends
	return l
}

// attempt returns an attempt that forwards the agent.
func (l *lent) attempt(t fleet.Target, required bool) *ssh.Attempt {
	spec := ssh.AgentSpec{Socket: l.socket, Required: required}
	return &ssh.Attempt{Progress: new(ssh.Progress), Target: with(t, ssh.Settings{Agent: spec}), Agent: true}
}

func (l *lent) dialer(t testing.TB, newDialer Factory, s server, learned bool) ssh.Dialer {
	return newDialer(t, Config{
		HostKeys:   &exact{trusted: []xssh.PublicKey{s.hostKey}, learned: learned},
		Identities: keys{s.signer}, Timeouts: patient(), Agents: l.forwarder,
	})
}

// testAgent forwards an agent: to real servers, whose programs use it, and to hostile ones.
func testAgent(t *testing.T, newDialer Factory) {
	needs.Program(t, "ssh-add")
	needs.Program(t, "ssh-keygen")
	const known, none = fleet.FlagExitKnown, fleet.FlagNoAgent
	ok := func(t *testing.T, r report, flags fleet.Flags) {
		t.Helper()
		r.want(t, fleet.OutcomeOK, fleet.ReasonNone, fleet.PhaseDrain, flags)
		if t.Failed() {
			t.Fatalf("stdout %q, stderr %q", r.stdout, r.stderr)
		}
	}
	for _, s := range []server{realOne("openssh", sshdtest.OpenSSH(t)), realOne("dropbear", sshdtest.Dropbear(t))} {
		t.Run(s.name, func(t *testing.T) {
			l := lend(t)
			d := l.dialer(t, newDialer, s, false)
			command := "ssh-add -l && echo text | ssh-keygen -q -Y sign -n test -f " + l.public + "; ssh-add -qD; ssh-add -qx </dev/null; exit 0"
			for range 2 { // a known server may get requests early
				a := l.attempt(s.target(command), true)
				r := runAttempt(t.Context(), t, d, a)
				ok(t, r, known)
				if out := string(r.stdout); !strings.Contains(out, " lent (ED25519)") || !strings.Contains(out, "BEGIN SSH SIGNATURE") {
					t.Errorf("stdout %q, stderr %q", out, r.stderr)
				}
				if n := a.AgentUse.Signatures(); n != 1 {
					t.Errorf("%d signatures, want 1", n)
				}
			}
			if left, err := l.keyring.List(); err != nil || len(left) != 1 {
				t.Errorf("the agent has %d keys left, %v", len(left), err)
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		s, l := realOne("openssh", sshdtest.OpenSSH(t, sshdtest.WithConfig("AllowAgentForwarding no"))), lend(t)
		d := l.dialer(t, newDialer, s, false)
		for range 2 {
			r := runAttempt(t.Context(), t, d, l.attempt(s.target(`echo "<$SSH_AUTH_SOCK>"`), true))
			ok(t, r, known|none)
			if string(r.stdout) != "<>\n" {
				t.Errorf("stdout %q", r.stdout)
			}
		}
	})
	t.Run("learned", func(t *testing.T) {
		s, l := realOne("openssh", sshdtest.OpenSSH(t)), lend(t)
		d := l.dialer(t, newDialer, s, true)
		a := l.attempt(s.target("echo ran"), true)
		r := runAttempt(t.Context(), t, d, a)
		if r.Outcome != fleet.OutcomeNeverStarted || r.Reason != fleet.ReasonAgentWithheld || a.Execution.Queued() {
			t.Errorf("ended %v(%s), %v", r.Outcome, r.Reason, r.Err)
		}
		r = runAttempt(t.Context(), t, d, l.attempt(s.target(`echo "<$SSH_AUTH_SOCK>"`), false))
		ok(t, r, known|none)
		if string(r.stdout) != "<>\n" {
			t.Errorf("stdout %q", r.stdout)
		}
	})
	t.Run("hostile", func(t *testing.T) { testHostileAgent(t, newDialer) })
}

// An agentServer is a server whose command is a function.
type agentServer struct {
	server
	granted bool // what the request for the agent is answered
	serve   func(*xssh.ServerConn) error
	failed  chan error // of serve, sent once for each connection
}

func startAgentServer(t testing.TB, granted bool, serve func(*xssh.ServerConn) error) *agentServer {
	t.Helper()
	key := newKey(t)
	config := new(xssh.ServerConfig)
	config.AddHostKey(key)
	s := &agentServer{granted: granted, serve: serve, failed: make(chan error, 8)}
	config.PublicKeyCallback = func(xssh.ConnMetadata, xssh.PublicKey) (*xssh.Permissions, error) { return new(xssh.Permissions), nil }
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer func() { _ = nc.Close() }()
				sc, channels, requests, err := xssh.NewServerConn(nc, config)
				if err != nil {
					return
				}
				all.Go(func() { xssh.DiscardRequests(requests) })
				for opened := range channels {
					ch, requests, err := opened.Accept()
					if err != nil {
						return
					}
					all.Go(func() { s.session(sc, ch, requests) })
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	target := nameless("127.0.0.1", l.Addr().(*net.TCPAddr).AddrPort().Port())
	s.server = server{"x/crypto", target.Host, key.PublicKey(), newKey(t)}
	return s
}

func (s *agentServer) session(sc *xssh.ServerConn, ch xssh.Channel, requests <-chan *xssh.Request) {
	for r := range requests {
		_ = r.Reply(r.Type == "exec" || r.Type == "auth-agent-req@openssh.com" && s.granted, nil)
		if r.Type == "exec" {
			s.failed <- s.serve(sc)
			_, _ = ch.SendRequest("exit-status", false, make([]byte, 4))
			_ = ch.Close()
		}
	}
}

// openAgent opens a channel to the client's agent.
func openAgent(sc *xssh.ServerConn) (xssh.Channel, error) {
	ch, requests, err := sc.OpenChannel("auth-agent@openssh.com", nil)
	if err == nil {
		go xssh.DiscardRequests(requests)
	}
	return ch, err
}

// askAgent sends a request and returns the type of the answer.
func askAgent(ch xssh.Channel, request ...byte) (byte, error) {
	if _, err := ch.Write(ssh.FrameAgent(request)); err != nil {
		return 0, err
	}
	head := make([]byte, 4)
	if _, err := io.ReadFull(ch, head); err != nil {
		return 0, err
	}
	answer := make([]byte, binary.BigEndian.Uint32(head))
	_, err := io.ReadFull(ch, answer)
	return answer[0], err
}

// faults.md: A13
func testHostileAgent(t *testing.T, newDialer Factory) {
	refused := func(sc *xssh.ServerConn) error {
		_, err := openAgent(sc)
		if _, ok := errors.AsType[*xssh.OpenChannelError](err); !ok {
			return fmt.Errorf("a channel to the agent: %w, want a refusal", err)
		}
		return nil
	}
	for name, c := range map[string]struct{ asked, granted bool }{"not asked": {false, true}, "not granted": {true, false}} {
		t.Run(name, func(t *testing.T) {
			s, l := startAgentServer(t, c.granted, refused), lend(t)
			a := l.attempt(s.target("true"), false)
			flags := fleet.FlagExitKnown
			if a.Agent = c.asked; c.asked {
				flags |= fleet.FlagNoAgent
			}
			runAttempt(t.Context(), t, l.dialer(t, newDialer, s.server, false), a).want(t, fleet.OutcomeOK, fleet.ReasonNone, fleet.PhaseDrain, flags)
			if err := <-s.failed; err != nil {
				t.Error(err)
			}
		})
	}
	for name, serve := range map[string]func(*xssh.ServerConn) error{
		"many at once": func(sc *xssh.ServerConn) error {
			var open []xssh.Channel
			for range ssh.MaxAgentChannels {
				ch, err := openAgent(sc)
				if err != nil {
					return fmt.Errorf("channel %d: %w", len(open), err)
				}
				open = append(open, ch)
			}
			if ch, err := openAgent(sc); err == nil { // taken by the system's ssh, which closes it
				if _, err := askAgent(ch, 11); err == nil {
					return errors.New("one channel more than may be was served")
				}
			}
			for _, ch := range open {
				if kind, err := askAgent(ch, 11); err != nil || kind != 12 {
					return fmt.Errorf("the keys: message %d, %w", kind, err)
				}
			}
			if err := open[0].CloseWrite(); err != nil {
				return err
			}
			if _, err := open[0].Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				return fmt.Errorf("after EOF: %w, want EOF", err)
			}
			return nil
		},
		"denied": func(sc *xssh.ServerConn) error {
			ch, err := openAgent(sc)
			if err != nil {
				return err
			}
			for kind := range byte(32) {
				if kind == 11 {
					continue
				}
				if got, err := askAgent(ch, kind); err != nil || got != 5 {
					return fmt.Errorf("request %d: message %d, %w; want 5", kind, got, err)
				}
			}
			return nil
		},
		"too long": func(sc *xssh.ServerConn) error {
			for _, head := range [][]byte{{0, 0, 0, 0}, {0, 0, 128, 0}, {255, 255, 255, 255}} {
				ch, err := openAgent(sc)
				if err != nil {
					return err
				}
				if _, err := ch.Write(head); err != nil {
					return err
				}
				if _, err := ch.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
					return fmt.Errorf("after %v: %w, want EOF", head, err)
				}
			}
			return nil
		},
		"in parts": func(sc *xssh.ServerConn) error {
			ch, err := openAgent(sc)
			if err != nil {
				return err
			}
			for _, b := range ssh.FrameAgent(make([]byte, 300)) {
				if _, err := ch.Write([]byte{b}); err != nil {
					return err
				}
			}
			two := append(ssh.FrameAgent([]byte{11}), ssh.FrameAgent([]byte{11})...)
			if _, err := ch.Write(two); err != nil {
				return err
			}
			for i := range 3 {
				head := make([]byte, 4)
				if _, err := io.ReadFull(ch, head); err != nil {
					return err
				}
				answer := make([]byte, binary.BigEndian.Uint32(head))
				if _, err := io.ReadFull(ch, answer); err != nil || (answer[0] == 12) != (i > 0) {
					return fmt.Errorf("answer %d: message %d, %w", i, answer[0], err)
				}
			}
			return nil
		},
		"left open": func(sc *xssh.ServerConn) error { // the command ends, and the channel has an unread request
			ch, err := openAgent(sc)
			if err == nil {
				_, err = ch.Write([]byte{0, 0, 1})
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, l := startAgentServer(t, true, serve), lend(t)
			r := runAttempt(t.Context(), t, l.dialer(t, newDialer, s.server, false), l.attempt(s.target("true"), true))
			r.ok(t)
			if err := <-s.failed; err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("flood", func(t *testing.T) {
		s, l := startAgentServer(t, true, func(sc *xssh.ServerConn) error {
			for {
				ch, err := openAgent(sc)
				if _, refused := errors.AsType[*xssh.OpenChannelError](err); refused {
					continue
				}
				if err != nil {
					return err
				}
				_ = ch.Close()
			}
		}), lend(t)
		r := runAttempt(t.Context(), t, l.dialer(t, newDialer, s.server, false), l.attempt(s.target("true"), true))
		if r.Outcome != fleet.OutcomeUnknown || r.Reason != fleet.ReasonProtocolAbuse {
			t.Errorf("ended %v(%s): %v", r.Outcome, r.Reason, r.Err)
		}
	})
}
