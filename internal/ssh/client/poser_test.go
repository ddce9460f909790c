package client

import (
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/sshdtest"
)

// A poser is golang.org/x/crypto/ssh's server under any identification. It runs
// nothing, prints "hello" and counts.
type poser struct {
	listener net.Listener
	config   *ssh.ServerConfig
	host     fleet.Host
	hostKey  ssh.PublicKey
	work     sync.WaitGroup
	execs    atomic.Int32
	deaf     atomic.Bool // drops requests without an answer
	// wrap is applied to each connection, and ready called when it is authenticated;
	// nil disables them.
	wrap  func(net.Conn) net.Conn
	ready func(*ssh.ServerConn)
}

// startPoser serves until the test ends. Without a callback for keys, it accepts
// every key; prepare may change anything before the first connection.
func startPoser(t testing.TB, version string, prepare func(*poser)) *poser {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	key := newSigner(t, sshdtest.Ed25519)
	p := &poser{
		listener: l, hostKey: key.PublicKey(), config: &ssh.ServerConfig{ServerVersion: "SSH-2.0-" + version},
		host: fleet.Host{Name: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).AddrPort().Port(), User: "someone"},
	}
	p.config.AddHostKey(key)
	prepare(p)
	if p.config.PublicKeyCallback == nil {
		p.config.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
			return new(ssh.Permissions), nil
		}
	}
	p.work.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.work.Wait()
	})
	return p
}

func (p *poser) accept() {
	for {
		nc, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.work.Go(func() { p.serve(nc) })
	}
}

func (p *poser) serve(nc net.Conn) {
	defer func() { _ = nc.Close() }()
	if p.wrap != nil {
		nc = p.wrap(nc)
	}
	sc, channels, requests, err := ssh.NewServerConn(nc, p.config)
	if err != nil {
		return
	}
	p.work.Go(func() { ssh.DiscardRequests(requests) })
	if p.ready != nil {
		p.ready(sc)
	}
	for opened := range channels {
		ch, requests, err := opened.Accept()
		if err != nil {
			return
		}
		p.work.Go(func() { p.session(ch, requests) })
	}
}

func (p *poser) session(ch ssh.Channel, requests <-chan *ssh.Request) {
	for r := range requests {
		if p.deaf.Load() {
			continue
		}
		_ = r.Reply(r.Type == "exec", nil)
		if r.Type == "exec" {
			p.execs.Add(1)
			_, _ = ch.Write([]byte("hello " + strconv.Itoa(int(p.execs.Load())) + "\n"))
			_, _ = ch.SendRequest("exit-status", false, make([]byte, 4))
			_ = ch.Close()
		}
	}
}

func (p *poser) rig(signers ...ssh.Signer) *rig {
	return newRig(p.host, []ssh.PublicKey{p.hostKey}, signers...)
}
