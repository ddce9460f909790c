package wire

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"testing"

	"golang.org/x/crypto/ssh"
)

// testKey makes a signer.
func testKey(t testing.TB) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// connected returns both ends of a connection that has buffers, which net.Pipe has
// not: both sides of SSH write first.
func connected(t testing.TB) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// serve runs x/crypto's server on one connection: it answers exec with the
// command on stdout, "err" on stderr and exit status 3.
func serve(t testing.TB, conn net.Conn, config *ssh.ServerConfig) {
	t.Helper()
	sc, chans, reqs, err := ssh.NewServerConn(conn, config)
	if err != nil {
		_ = conn.Close()
		return
	}
	defer func() { _ = sc.Close() }()
	go ssh.DiscardRequests(reqs)
	for nc := range chans {
		ch, reqs, err := nc.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range reqs {
				_ = r.Reply(r.Type == "exec", nil)
				if r.Type != "exec" {
					continue
				}
				_, _ = io.Copy(io.Discard, ch)
				_, _ = ch.Write(r.Payload[4:])
				_, _ = ch.Stderr().Write([]byte("err"))
				_, _ = ch.SendRequest("exit-status", false, []byte{0, 0, 0, 3})
				_ = ch.Close()
			}
		}()
	}
}

// A driver runs one command the simple way, reading size bytes at a time.
type driver struct {
	client *Client
	conn   net.Conn
	key    ssh.Signer
	size   int
	early  bool

	events         []Event
	stdout, stderr bytes.Buffer
	status         *uint32
	flights        int
	wrote          bool
}

func (d *driver) flush() error {
	out := d.client.Output()
	if len(out) == 0 {
		return nil
	}
	if !d.wrote {
		d.flights++
		d.wrote = true
	}
	n, err := d.conn.Write(out)
	d.client.Sent(n)
	return err
}

var errDone = errors.New("done")

func (d *driver) run(command string) error {
	buf := make([]byte, d.size)
	for {
		if err := d.flush(); err != nil {
			return err
		}
		n, err := d.conn.Read(buf)
		d.wrote = false
		if err != nil {
			return err
		}
		d.client.Receive(buf[:n])
		for {
			ev, err := d.client.Next()
			if err != nil {
				return err
			}
			if ev == nil {
				break
			}
			if err := d.take(ev, command); err != nil {
				return err
			}
		}
	}
}

func (d *driver) take(ev Event, command string) error {
	c := d.client
	exec := func(ch Channel) {
		c.Exec(ch, command)
		c.SendEOF(ch)
	}
	switch ev := ev.(type) {
	case HostKey:
		c.Trust()
		pub := d.key.PublicKey()
		sig, err := d.key.Sign(rand.Reader, c.SignatureData("u", pub.Type(), pub.Marshal()))
		if err != nil {
			return err
		}
		c.AuthPublicKey("u", pub.Type(), pub.Marshal(), ssh.Marshal(sig))
		if d.early {
			exec(c.OpenSession())
		}
	case AuthSuccess:
		if !d.early {
			c.OpenSession()
		}
	case ChannelOpened:
		if !d.early { // x/crypto's server drops requests on a channel that it has not answered
			exec(ev.Channel)
		}
	case Data:
		if ev.Stderr {
			d.stderr.Write(ev.Bytes)
		} else {
			d.stdout.Write(ev.Bytes)
		}
		c.Consumed(ev.Channel, len(ev.Bytes))
	case ExitStatus:
		d.status = &ev.Status
	case Closed:
		return errDone
	}
	d.events = append(d.events, ev)
	return nil
}

func TestClientRunsACommandOnXCryptosServer(t *testing.T) {
	host, user := testKey(t), testKey(t)
	for _, kex := range KexAlgorithms() {
		for _, cipher := range []string{gcm128, gcm256, chachaPoly, ctr128, ctr256} {
			for _, size := range []int{1, 7, 32 << 10} {
				ours, theirs := connected(t)
				config := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
					return nil, nil
				}}
				config.AddHostKey(host)
				served := make(chan struct{})
				go func() { serve(t, theirs, config); close(served) }()
				d := &driver{conn: ours, key: user, size: size, client: New(&Config{
					Kex: []string{kex}, Ciphers: []string{cipher}, EarlyKex: size == 7,
				})}
				err := d.run("hello")
				_ = ours.Close()
				<-served
				if !errors.Is(err, errDone) || d.stdout.String() != "hello" || d.stderr.String() != "err" ||
					d.status == nil || *d.status != 3 {
					t.Errorf("%s, %s, %d bytes at a time: %v, stdout %q, stderr %q, status %v\nevents %#v",
						kex, cipher, size, err, d.stdout.String(), d.stderr.String(), d.status, d.events)
				}
			}
		}
	}
}

// Window is what the server accepts, and nothing once no more can be sent.
func TestWindow(t *testing.T) {
	s := newScripted(t, Config{})
	s.login()
	ch := s.opened(7, 100)
	if n := s.client.Send(ch, make([]byte, 70)); n != 70 || s.client.Window(ch) != 30 {
		t.Errorf("sent %d of 70, %d are left", n, s.client.Window(ch))
	}
	s.send(adjust(ch, 5))
	s.deliver()
	if n := s.client.Window(ch); n != 35 {
		t.Errorf("a window of %d, want 35", n)
	}
	s.client.SendEOF(ch)
	if n := s.client.Window(ch); n != 0 {
		t.Errorf("a window of %d after EOF", n)
	}
}
