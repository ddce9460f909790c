package wire

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

// Section A of the catalogue of faults.

// faults.md: A02
func TestA02Banners(t *testing.T) {
	s := newScripted(t, Config{})
	s.handshake()
	for range MaxBanners {
		s.send(banner("\x1b[31mhello"))
	}
	s.deliver()
	s.healthy()
	s.has(Banner{[]byte("\x1b[31mhello")})
	s.send(banner(""))
	s.deliver()
	s.fails(KindAbuse, "17 of them")

	s = newScripted(t, Config{})
	s.handshake()
	s.send(banner(strings.Repeat("x", MaxBannerBytes)))
	s.deliver()
	s.healthy()
	s.send(banner("x"))
	s.deliver()
	s.fails(KindAbuse, "65537 bytes")
}

// faults.md: A04
func TestA04PartialSuccess(t *testing.T) {
	s := newScripted(t, Config{})
	s.handshake()
	s.client.AuthPublicKey("u", "alg", []byte("key"), []byte("sig"))
	s.pump()
	s.send(serviceAccept(), failure(true, "password"))
	s.deliver()
	s.has(AuthFailure{Methods: []string{"password"}, Partial: true})
	s.client.AuthPassword("u", []byte("secret"))
	s.pump()
	s.send([]byte{msgUserAuthSuccess})
	s.deliver()
	s.has(AuthSuccess{})
	if n := count(s.got, msgServiceRequest); n != 1 {
		t.Errorf("%d SERVICE_REQUESTs", n)
	}
}

func count(got [][]byte, number byte) (n int) {
	for _, p := range got {
		if p[0] == number {
			n++
		}
	}
	return n
}

// faults.md: A05
func TestA05Prompts(t *testing.T) {
	asked := func() *scripted {
		s := newScripted(t, Config{})
		s.handshake()
		s.client.AuthInteractive("u")
		s.pump()
		s.send(serviceAccept())
		return s
	}
	s := asked()
	for round := range MaxPromptRounds {
		s.send(prompts(round))
		s.deliver()
		s.healthy()
		ev := s.events[len(s.events)-1].(Prompts)
		if len(ev.Prompts) != round || string(ev.Instruction) != "do" {
			t.Fatalf("round %d: %#v", round, ev)
		}
		s.client.Answer(make([][]byte, round))
		s.pump()
		if got, want := s.got[len(s.got)-1], 5+4*round; got[0] != msgUserAuthAnswer || len(got) != want {
			t.Fatalf("round %d: %x", round, got)
		}
	}
	s.send(prompts(0))
	s.deliver()
	s.fails(KindAbuse, "in round 9")

	for _, n := range []int{MaxPrompts + 1, 10000} {
		s = asked()
		s.send(prompts(n))
		s.deliver()
		s.fails(KindAbuse, "prompts without end")
	}
	s = asked()
	s.send(appendUint32(prompts(0)[:len(prompts(0))-4], 1<<32-1))
	if got := allocated(func() { s.deliver() }); got > 16<<10 {
		t.Errorf("%d bytes allocated for a count", got)
	}
	s.fails(KindAbuse, "prompts without end")

	s = asked() // another request instead of an answer
	s.send(prompts(1))
	s.deliver()
	s.client.Abandon()
	s.client.AuthPassword("u", []byte("secret"))
	s.pump()
	if got := s.got[len(s.got)-1]; got[0] != msgUserAuthRequest || count(s.got, msgUserAuthAnswer) != 0 {
		t.Errorf("the last message is %x, and %d answers", got, count(s.got, msgUserAuthAnswer))
	}
	s.send([]byte{msgUserAuthSuccess})
	s.deliver()
	s.has(AuthSuccess{})

	s = asked() // a second question before the first is answered
	s.send(prompts(1), prompts(1))
	s.deliver()
	s.fails(KindProtocol, "before the last one was answered")
}

// faults.md: A06
func TestA06PasswordExpired(t *testing.T) {
	s := newScripted(t, Config{})
	s.handshake()
	s.client.AuthPassword("u", []byte("secret"))
	s.pump()
	s.send(serviceAccept(), appendString(appendString([]byte{msgUserAuthMethod}, "new one?"), ""))
	s.deliver()
	s.healthy()
	s.has(ServiceAccepted{}, PasswordExpired{[]byte("new one?")})
	if n := count(s.got, msgUserAuthRequest); n != 1 {
		t.Errorf("%d requests: the password went out again", n)
	}
}

// faults.md: A07
func TestA07Unasked(t *testing.T) {
	success := []byte{msgUserAuthSuccess}
	for name, c := range map[string]struct {
		ask     func(c *Client)
		answers [][]byte
	}{
		"nothing asked":        {func(*Client) {}, [][]byte{success}},
		"accepted unasked":     {func(*Client) {}, [][]byte{serviceAccept()}},
		"before the service":   {func(c *Client) { c.AuthNone("u") }, [][]byte{success}},
		"twice":                {func(c *Client) { c.AuthNone("u") }, [][]byte{serviceAccept(), success, success}},
		"another service":      {func(c *Client) { c.AuthNone("u") }, [][]byte{appendString([]byte{msgServiceAccept}, "ssh-connection")}},
		"service twice":        {func(c *Client) { c.AuthNone("u") }, [][]byte{serviceAccept(), serviceAccept()}},
		"after failure":        {func(c *Client) { c.AuthNone("u") }, [][]byte{serviceAccept(), failure(false, "none"), success}},
		"failure twice":        {func(c *Client) { c.AuthNone("u") }, [][]byte{serviceAccept(), failure(false), failure(false)}},
		"to a query":           {func(c *Client) { c.QueryPublicKey("u", "alg", []byte("key")) }, [][]byte{serviceAccept(), success}},
		"channel before login": {func(c *Client) { c.AuthNone("u") }, [][]byte{serviceAccept(), confirm(0, 0, 1)}},
	} {
		s := newScripted(t, Config{})
		s.handshake()
		c.ask(s.client)
		s.pump()
		s.send(c.answers...)
		s.deliver()
		t.Run(name, func(*testing.T) { s.fails(KindProtocol, "") })
	}
	s := newScripted(t, Config{}) // SUCCESS to none is the driver's to judge
	s.handshake()
	s.client.AuthNone("u")
	s.pump()
	s.send(serviceAccept(), success)
	s.deliver()
	s.has(ServiceAccepted{}, AuthSuccess{})
}

// TestServiceAcceptWithoutName is how some servers accept a service.
func TestServiceAcceptWithoutName(t *testing.T) {
	s := newScripted(t, Config{})
	s.handshake()
	s.client.AuthNone("u")
	s.send([]byte{msgServiceAccept}, []byte{msgUserAuthSuccess})
	s.deliver()
	s.has(ServiceAccepted{}, AuthSuccess{})
}

// faults.md: A07
func TestA07BeforeNewKeys(t *testing.T) {
	s := newScripted(t, Config{})
	toKexInit(s)
	s.send([]byte{msgUserAuthSuccess})
	s.deliver()
	s.fails(KindProtocol, "USERAUTH_SUCCESS came during a key exchange")
}

// faults.md: A11
func TestA11DisconnectText(t *testing.T) {
	s := newScripted(t, Config{})
	s.login()
	s.send(disconnect(2, "\x1b]52;c;\a\n"+strings.Repeat("x", 250<<10)))
	s.deliver()
	s.fails(KindDisconnect, `"\x1b]52;c;\a\n`)
	d, ok := errors.AsType[*DisconnectError](s.err)
	if !ok || d.Code != 2 || len(d.Text) != maxDisconnectText || len(s.err.Error()) > 300 {
		t.Errorf("%#v, %d bytes of text", d, len(s.err.Error()))
	}
}

func TestMethodListIsBounded(t *testing.T) {
	s := newScripted(t, Config{})
	s.handshake()
	s.client.AuthNone("u")
	s.pump()
	s.send(serviceAccept(), failure(false, slices.Repeat([]string{"x"}, 100000)...))
	if got := allocated(func() { s.deliver() }); got > 1<<20 {
		t.Errorf("%d bytes allocated", got)
	}
	s.fails(KindAbuse, "the list of methods")
}

// TestHeldSecretsAreWiped has a password wait for the end of a key exchange that
// does not come.
func TestHeldSecretsAreWiped(t *testing.T) {
	for name, over := range map[string]func(s *scripted){
		"given up":   func(s *scripted) { s.client.Wipe() },
		"goodbye":    func(s *scripted) { s.client.Disconnect() },
		"an error":   func(s *scripted) { s.send([]byte{msgUserAuthSuccess}); s.deliver() },
		"disconnect": func(s *scripted) { s.send(disconnect(2, "bye")); s.deliver() },
	} {
		s := newScripted(t, Config{})
		s.handshake()
		s.client.RequestService()
		s.pump()
		s.send(serviceAccept())
		s.deliver()
		s.sendKexInit()
		s.deliver()
		s.client.AuthPassword("u", []byte("open sesame"))
		held := s.client.out.held.messages
		if len(held) != 1 || !bytes.Contains(held[0], []byte("open sesame")) {
			t.Fatalf("%s: what is held is %q", name, held)
		}
		over(s)
		if left := bytes.Trim(held[0], "\x00"); len(left) > 0 {
			t.Errorf("%s: %q is left", name, left)
		}
		if _, err := s.client.kex.key.agree(make([]byte, x25519Size)); !errors.Is(err, errSpent) {
			t.Errorf("%s: the ephemeral key is still there: %v", name, err)
		}
	}
}
