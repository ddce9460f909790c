package engine_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/ssh/client"
)

// A server that refuses the command before it was sent does not get it: what is
// reported as refused has not run and will not.
func TestRefusedBeforeItWasSent(t *testing.T) {
	t.Parallel()
	for _, pipeline := range []client.Pipeline{client.Full, client.Auth} {
		for _, park := range []client.Park{client.ParkBest, client.ParkGoroutine} {
			t.Run(fmt.Sprintf("%v, %v", pipeline, park), func(t *testing.T) {
				t.Parallel()
				execs := 0
				s := startScripted(t, func(p *peer, m []byte) {
					switch {
					case m[0] == msgServiceRequest:
						p.message(appendText([]byte{msgServiceAccept}, "ssh-userauth"))
					case m[0] == msgAuthRequest: // all in one segment, for the channel that the client will open
						p.message([]byte{msgAuthSuccess})
						p.message([]byte{msgOpenConfirmation, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 128, 0})
						p.message([]byte{msgFailure, 0, 0, 0, 0})
					case isExec(m):
						execs++
					}
				})
				d, err := client.New(client.Options{
					HostKeys: trustAll{}, Identities: someSigners{&pretender{key: someKeys[0]}}, Pipeline: pipeline, Park: park,
				})
				if err != nil {
					t.Fatal(err)
				}
				target := fleet.Target{Host: fleet.Host{Name: "127.0.0.1", Port: s.port}, User: "u", Port: s.port, Command: "true"}
				opts := engine.Options{Dialer: d, Targets: 1, Fanout: 1}
				for r, err := range engine.Run(t.Context(), opts, engine.Direct(slices.Values([]fleet.Target{target}))) {
					if err != nil || r.Outcome != fleet.OutcomeRefused || r.Reason != fleet.ReasonExecRefused {
						t.Errorf("ended %v(%s) in %v: %v, %v", r.Outcome, r.Reason, r.Phase, r.Err, err)
					}
				}
				_ = d.Close()
				s.wait()
				if execs != 0 {
					t.Errorf("the command was sent %d times", execs)
				}
			})
		}
	}
}

// A scripted server is a peer on a socket.
type scripted struct {
	port uint16
	work sync.WaitGroup
}

// startScripted serves one connection. The script processes the encrypted messages; what it
// sends for one read leaves in one segment.
func startScripted(t *testing.T, script func(p *peer, m []byte)) *scripted {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	s := &scripted{port: l.Addr().(*net.TCPAddr).AddrPort().Port()}
	s.work.Go(func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = nc.Close() }()
		const all = 1 << 30
		p := &peer{scenario: &scenario{dice: rand.New(rand.NewPCG(1, 1))}, cut: all, lost: all, most: all}
		p.changed.L = &p.mu
		p.script = func(m []byte) { script(p, m) }
		p.begin()
		buf := make([]byte, 64<<10)
		for {
			if _, err := nc.Write(p.out); err != nil {
				return
			}
			p.out = nil
			n, err := nc.Read(buf)
			if err != nil {
				return
			}
			_, _ = p.Write(buf[:n])
		}
	})
	return s
}

// wait returns when the client has closed its connection and all that it sent was read.
func (s *scripted) wait() { s.work.Wait() }
