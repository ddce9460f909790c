package wire

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// A dialogue is a Client and a Server in memory, with drivers that a test directs. Whatever one
// sends arrives at the other in pieces of random sizes.
type dialogue struct {
	tb     testing.TB
	client *Client
	server *Server
	dice   *mathrand.Rand

	onClient, onServer   func(Event)
	clientErr, serverErr error
	flights              int // of the client, that begin after it has received something
	// spoil replaces what the client has sent; nil leaves it.
	spoil func([]byte) []byte
}

func newDialogue(tb testing.TB, client, server Config, keys ...ssh.Signer) *dialogue {
	tb.Helper()
	if len(keys) == 0 {
		keys = []ssh.Signer{testHost(tb)}
	}
	return &dialogue{
		tb: tb, client: New(&client), server: NewServer(&server, keys...), dice: mathrand.New(mathrand.NewPCG(1, 2)),
		onClient: func(Event) {}, onServer: func(Event) {},
	}
}

// run moves bytes until nobody has any. Both sides have sent before either receives.
func (p *dialogue) run() {
	for range 10_000 {
		up, down := bytes.Clone(p.client.Take(nil)), bytes.Clone(p.server.Take(nil))
		if len(up)+len(down) == 0 {
			return
		}
		if len(up) > 0 {
			p.flights++
		}
		if p.spoil != nil {
			up = p.spoil(up)
		}
		p.pass(up, &p.server.endpoint, p.onServer, &p.serverErr)
		p.pass(down, &p.client.endpoint, p.onClient, &p.clientErr)
	}
	p.tb.Fatal("it does not end")
}

func (p *dialogue) pass(text []byte, to *endpoint, on func(Event), failed *error) {
	for len(text) > 0 {
		n := min(1+p.dice.IntN(2000), len(text))
		to.Receive(text[:n])
		text = text[n:]
		for {
			ev, err := to.Next()
			if err != nil {
				*failed = err
			}
			if ev == nil {
				break
			}
			on(ev)
		}
	}
}

func (p *dialogue) healthy() {
	p.tb.Helper()
	if p.clientErr != nil || p.serverErr != nil {
		p.tb.Fatalf("the client ended with %v, the server with %v", p.clientErr, p.serverErr)
	}
}

// echoing has the server let a user's key in and answer exec with the command, "err" on standard
// error and status 3.
func (p *dialogue) echoing(key ssh.PublicKey) {
	s := p.server
	p.onServer = func(ev Event) {
		switch ev := ev.(type) {
		case AuthRequest:
			if !bytes.Equal(ev.Key, key.Marshal()) || ev.Signed && !s.Verify() {
				s.Reject(false, MethodPublicKey)
				return
			}
			s.Accept()
		case ChannelRequested:
			s.Confirm(ev.Channel)
		case ChannelRequest:
			if ev.WantReply {
				s.Reply(ev.Channel, ev.Kind == KindExec)
			}
			s.Send(ev.Channel, ev.Payload[4:])
			s.SendStderr(ev.Channel, []byte("err"))
			s.SendExitStatus(ev.Channel, 3)
			s.SendEOF(ev.Channel)
			s.CloseChannel(ev.Channel)
		}
	}
}

// commanding has the client log in with these keys and run a command, all in one flight.
func (p *dialogue) commanding(command string, keys ...ssh.Signer) *commanded {
	c, result := p.client, &commanded{}
	next := func() {
		if len(keys) == 0 {
			return
		}
		key := keys[0]
		keys = keys[1:]
		result.tries++
		public := key.PublicKey()
		algorithm := algorithmsOf(public.Type())[0]
		base, _ := strings.CutSuffix(algorithm, certSuffix)
		signature, err := key.(ssh.AlgorithmSigner).SignWithAlgorithm(rand.Reader, c.SignatureData("u", algorithm, public.Marshal()), base)
		if err != nil {
			p.tb.Fatal(err)
		}
		c.AuthPublicKey("u", algorithm, public.Marshal(), ssh.Marshal(signature))
	}
	early := func() {
		ch := c.OpenSession()
		c.Exec(ch, command)
		c.SendEOF(ch)
	}
	p.onClient = func(ev Event) {
		switch ev := ev.(type) {
		case HostKey:
			result.host = ev.Key
			c.Trust()
			next()
			early()
		case AuthFailure:
			next()
		case ChannelIgnored:
			result.ignored++
			early()
		case Data:
			if ev.Stderr {
				result.stderr += string(ev.Bytes)
			} else {
				result.stdout += string(ev.Bytes)
			}
			c.Consumed(ev.Channel, len(ev.Bytes))
		case ExitStatus:
			result.status, result.flights = ev.Status, p.flights
		case Closed:
			result.closed = true
		}
	}
	return result
}

// A commanded is what the client saw.
type commanded struct {
	host           ssh.PublicKey
	tries, ignored int
	stdout, stderr string
	status         uint32
	closed         bool
	flights        int // before the exit status
}

func (c *commanded) check(t *testing.T, p *dialogue, command string) {
	t.Helper()
	p.healthy()
	if c.stdout != command || c.stderr != "err" || c.status != 3 || !c.closed {
		t.Errorf("got %+v", *c)
	}
}

func newKeys(t *testing.T) map[string]ssh.Signer {
	t.Helper()
	keys := make(map[string]ssh.Signer)
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		private, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := ssh.NewSignerFromKey(private)
		if err != nil {
			t.Fatal(err)
		}
		keys[signer.PublicKey().Type()] = signer
	}
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	keys[ssh.KeyAlgoRSA] = signer
	keys[ssh.KeyAlgoED25519] = testKey(t)
	return keys
}

// certified returns a certificate of a key, and the key behind it.
func certified(t *testing.T, key ssh.Signer, kind uint32) ssh.Signer {
	t.Helper()
	cert := &ssh.Certificate{Key: key.PublicKey(), CertType: kind, ValidPrincipals: []string{"u"}, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, testKey(t)); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewCertSigner(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// Every algorithm works with every kind of key on both sides, also in certificates, and a command
// that comes with the authentication is answered in the second flight.
func TestServerWithClient(t *testing.T) {
	keys := newKeys(t)
	for _, kex := range KexAlgorithms() {
		for _, cipher := range Ciphers() {
			for _, mac := range MACs() {
				if authenticates(cipher) && mac != MACs()[0] {
					continue
				}
				c := Config{Kex: []string{kex}, Ciphers: []string{cipher}, MACs: []string{mac}, EarlyKex: true}
				p := newDialogue(t, c, Config{})
				p.echoing(keys[ssh.KeyAlgoED25519].PublicKey())
				got := p.commanding("hello", keys[ssh.KeyAlgoED25519])
				p.run()
				got.check(t, p, "hello")
				if got.flights != 2 {
					t.Errorf("%s, %s: %d flights", kex, cipher, got.flights)
				}
			}
		}
	}
	for kind, key := range keys {
		for _, host := range []ssh.Signer{key, certified(t, key, ssh.HostCert)} {
			for _, user := range []ssh.Signer{key, certified(t, key, ssh.UserCert)} {
				for _, algorithm := range algorithmsOf(host.PublicKey().Type()) {
					p := newDialogue(t, Config{HostKeys: []string{algorithm}}, Config{}, testKey(t), host)
					if kind == ssh.KeyAlgoED25519 {
						p.server.keys = p.server.keys[1:] // two of one type: the first one counts
					}
					p.echoing(user.PublicKey())
					got := p.commanding(kind, user)
					p.run()
					got.check(t, p, kind)
					if !bytes.Equal(got.host.Marshal(), host.PublicKey().Marshal()) {
						t.Errorf("%s: the host key is another", algorithm)
					}
				}
			}
		}
	}
}

// What came with a rejected key is answered with UNIMPLEMENTED, and the next key follows on the
// same connection.
func TestServerRejectsEarlyCommand(t *testing.T) {
	wrong, right := testKey(t), testKey(t)
	p := newDialogue(t, Config{Kex: []string{kexCurve25519}, EarlyKex: true}, Config{})
	p.echoing(right.PublicKey())
	got := p.commanding("hello", wrong, right)
	p.run()
	got.check(t, p, "hello")
	if got.ignored != 1 || got.tries != 2 {
		t.Errorf("%d tries, %d channels ignored", got.tries, got.ignored)
	}
}

func TestServerEndsAfterTooManyFailures(t *testing.T) {
	p := newDialogue(t, Config{}, Config{})
	p.echoing(testKey(t).PublicKey())
	var keys []ssh.Signer
	for range MaxAuthTries + 2 {
		keys = append(keys, testKey(t))
	}
	got := p.commanding("hello", keys...)
	p.run()
	d, ok := errors.AsType[*DisconnectError](p.clientErr)
	if !ok || d.Code != disconnectProtocol || d.Text != "Too many authentication failures" || got.tries != MaxAuthTries || kindOf(p.serverErr) != KindAbuse {
		t.Errorf("after %d tries the client ended with %v, the server with %v", got.tries, p.clientErr, p.serverErr)
	}
}

// A signature that is not of this connection, or of another user's name, does not verify.
func TestServerVerifies(t *testing.T) {
	key := testKey(t)
	algorithm, blob := key.PublicKey().Type(), key.PublicKey().Marshal()
	for _, c := range []struct {
		name  string
		data  func(*Client) []byte
		valid bool
	}{
		{"right", func(c *Client) []byte { return c.SignatureData("u", algorithm, blob) }, true},
		{"another user", func(c *Client) []byte { return c.SignatureData("root", algorithm, blob) }, false},
		{"another session", func(c *Client) []byte {
			data := c.SignatureData("u", algorithm, blob)
			data[4] ^= 1
			return data
		}, false},
	} {
		p := newDialogue(t, Config{}, Config{})
		p.onClient = func(ev Event) {
			if _, ok := ev.(HostKey); ok {
				p.client.Trust()
				signature, err := key.Sign(rand.Reader, c.data(p.client))
				if err != nil {
					t.Fatal(err)
				}
				p.client.AuthPublicKey("u", algorithm, blob, ssh.Marshal(signature))
			}
		}
		asked := 0
		p.onServer = func(ev Event) {
			if _, ok := ev.(AuthRequest); ok {
				asked++
				if got := p.server.Verify(); got != c.valid {
					t.Errorf("%s: verified %t", c.name, got)
				}
				p.server.Reject(false)
			}
		}
		p.run()
		p.healthy()
		if asked != 1 {
			t.Errorf("%s: %d requests", c.name, asked)
		}
	}
}

// Passwords, prompts, banners, queries and the method "none", and their answers.
func TestServerMethods(t *testing.T) {
	p := newDialogue(t, Config{}, Config{})
	c, s := p.client, p.server
	var log []string
	p.onClient = func(ev Event) {
		log = append(log, fmt.Sprintf("%T", ev))
		switch ev := ev.(type) {
		case HostKey:
			c.Trust()
			c.AuthNone("u")
		case AuthFailure:
			log = append(log, strings.Join(ev.Methods, ","), fmt.Sprint(ev.Partial))
			if ev.Partial {
				c.AuthInteractive("u")
				return
			}
			c.QueryPublicKey("u", "ssh-ed25519", []byte("key"))
		case PublicKeyOK:
			c.AuthPassword("u", []byte("old"))
		case PasswordExpired:
			c.AuthPassword("u", []byte("new"))
		case Prompts:
			log = append(log, string(ev.Prompts[0].Text))
			c.Answer([][]byte{[]byte("blue")})
		}
	}
	p.onServer = func(ev Event) {
		switch ev := ev.(type) {
		case AuthRequest:
			log = append(log, ev.Method+":"+string(ev.Password))
			switch {
			case ev.Method == MethodNone:
				s.SendBanner("hello")
				s.Reject(false, MethodPublicKey, MethodPassword)
			case ev.Method == MethodPublicKey:
				s.Accept()
			case string(ev.Password) == "old":
				s.AskNewPassword("too old")
			case ev.Method == MethodPassword:
				s.Reject(true, MethodInteractive)
			default:
				s.Ask("n", "i", Prompt{Text: []byte("colour? "), Echo: true})
			}
		case AuthAnswers:
			log = append(log, string(ev.Answers[0]))
			s.Accept()
		}
	}
	p.run()
	p.healthy()
	want := []string{
		"wire.VersionReceived", "wire.Negotiated", "wire.HostKey", "none:", "wire.ServiceAccepted", "wire.Banner",
		"wire.AuthFailure", "publickey,password", "false",
		"publickey:", "wire.PublicKeyOK", "password:old", "wire.PasswordExpired", "password:new",
		"wire.AuthFailure", "keyboard-interactive", "true", "keyboard-interactive:", "wire.Prompts", "colour? ", "blue", "wire.AuthSuccess",
	}
	if !slices.Equal(log, want) {
		t.Errorf("got\n%q\nwant\n%q", log, want)
	}
}

// Bulk goes in both directions while both sides exchange keys again and again.
func TestServerRekeys(t *testing.T) {
	const size = 3 << 20
	for _, rekey := range []struct{ client, server uint64 }{{1 << 18, 0}, {0, 1 << 18}, {1 << 18, 1 << 18}} {
		p := newDialogue(t, Config{RekeyBytes: rekey.client}, Config{RekeyBytes: rekey.server})
		c, s := p.client, p.server
		sent := make([]byte, size)
		_, _ = mathrand.NewChaCha8([32]byte{7}).Read(sent)
		var arrivedUp, arrivedDown []byte
		rekeyed := 0
		p.onClient = func(ev Event) {
			switch ev := ev.(type) {
			case HostKey:
				c.Trust()
				c.AuthPassword("u", []byte("secret"))
				c.Exec(c.OpenSession(), "cat")
			case Rekeyed:
				rekeyed++
			case Data:
				arrivedDown = append(arrivedDown, ev.Bytes...)
				c.Consumed(ev.Channel, len(ev.Bytes))
			}
		}
		p.onServer = func(ev Event) {
			switch ev := ev.(type) {
			case AuthRequest:
				s.Accept()
			case ChannelRequested:
				s.Confirm(ev.Channel)
			case Data:
				arrivedUp = append(arrivedUp, ev.Bytes...)
				s.Consumed(ev.Channel, len(ev.Bytes))
			}
		}
		p.run()
		for up, down := sent, sent; p.clientErr == nil && p.serverErr == nil && len(up)+len(down) > 0; p.run() {
			up = up[c.Send(0, up[:min(len(up), 40_000)]):]
			down = down[s.Send(0, down[:min(len(down), 40_000)]):]
		}
		p.healthy()
		if !bytes.Equal(arrivedUp, sent) || !bytes.Equal(arrivedDown, sent) {
			t.Errorf("%+v: %d bytes arrived at the server, %d at the client, or others", rekey, len(arrivedUp), len(arrivedDown))
		}
		if rekeyed < 8 {
			t.Errorf("%+v: %d key exchanges", rekey, rekeyed)
		}
	}
}
