package wire

import (
	"fmt"
	"strings"
	"testing"
)

// TestMisusePanics lists what a driver must not do.
func TestMisusePanics(t *testing.T) {
	asked := func(s *scripted) {
		s.handshake()
		s.client.AuthInteractive("u")
		s.send(serviceAccept(), prompts(2))
		s.deliver()
	}
	for _, c := range []struct {
		name, want string
		reach      func(s *scripted)
		misuse     func(c *Client)
	}{
		{"Trust too early", "Trust without a HostKey", toKexInit, (*Client).Trust},
		{"Trust twice", "Trust without a HostKey", (*scripted).handshake, (*Client).Trust},
		{"login before Trust", "before the host key is trusted", toKexInit, func(c *Client) { c.AuthNone("u") }},
		{"service before Trust", "before the host key is trusted", toKexInit, (*Client).RequestService},
		{"signature before Trust", "before the host key is trusted", toKexInit, func(c *Client) { c.SignatureData("u", "a", nil) }},
		{"channel before Trust", "before the host key is trusted", toKexInit, func(c *Client) { c.OpenSession() }},
		{"two requests", "while one is in flight", (*scripted).handshake, func(c *Client) { c.AuthNone("u"); c.AuthNone("u") }},
		{"login again", "after it has succeeded", (*scripted).login, func(c *Client) { c.AuthPassword("u", nil) }},
		{"answer to nothing", "nobody asked for", (*scripted).handshake, func(c *Client) { c.Answer(nil) }},
		{"answer too long", "another number of answers", asked, func(c *Client) { c.Answer(make([][]byte, 3)) }},
		{"answer twice", "nobody asked for", asked, func(c *Client) { c.Answer(make([][]byte, 2)); c.Answer(make([][]byte, 2)) }},
		{"abandoned twice", "no prompts", asked, func(c *Client) { c.Abandon(); c.Abandon() }},
		{"keepalive before login", "before authentication", (*scripted).handshake, (*Client).Keepalive},
		{"no channel", "not open", (*scripted).login, func(c *Client) { c.Exec(0, "true") }},
		{"a closed channel", "not open", func(s *scripted) {
			s.login()
			s.send(about(msgChannelClose, s.running()))
			s.deliver()
		}, func(c *Client) { c.SendEOF(0) }},
		{"a second guess", "not alone", (*scripted).login, func(c *Client) { c.OpenSession(); c.Exec(c.OpenSession(), "true") }},
		{"more sent than there was", "out of range", (*scripted).login, func(c *Client) { c.Sent(1) }},
	} {
		s := newScripted(t, Config{})
		c.reach(s)
		s.healthy()
		if got := panicOf(func() { c.misuse(s.client) }); !strings.Contains(got, c.want) {
			t.Errorf("%s: panic %q, want %q", c.name, got, c.want)
		}
	}
}

func panicOf(f func()) (text string) {
	defer func() { text = fmt.Sprint(recover()) }()
	f()
	return ""
}

func TestConfigValidate(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{}, ""},
		{Config{Kex: KexAlgorithms(), HostKeys: AllHostKeyAlgorithms(), Ciphers: []string{ctr192}, MACs: MACs()}, ""},
		{Config{Version: "SSH-2.0-x"}, ""},
		{Config{Version: "SSH-1.99-x"}, "no version line"},
		{Config{Version: "SSH-2.0-a\r\nb"}, "no version line"},
		{Config{Version: "SSH-2.0-" + strings.Repeat("x", 246)}, "no version line"},
		{Config{Kex: []string{"diffie-hellman-group1-sha1"}}, `key exchange method "diffie-hellman-group1-sha1" is not implemented`},
		{Config{HostKeys: []string{"ssh-rsa"}}, `host-key algorithm "ssh-rsa" is not implemented`},
		{Config{Ciphers: []string{"3des-cbc"}}, `cipher "3des-cbc" is not implemented`},
		{Config{MACs: []string{"hmac-md5"}}, `MAC "hmac-md5" is not implemented`},
	} {
		err := c.config.Validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.config, err, c.want)
		}
		if got := panicOf(func() { New(&c.config) }); (got == "<nil>") != (c.want == "") {
			t.Errorf("%+v: New panics with %q", c.config, got)
		}
	}
}

// TestAnEmptyListOffersNothing ends as a negotiation and not as a panic: lists
// may come from what is known of a host.
func TestAnEmptyListOffersNothing(t *testing.T) {
	for name, config := range map[string]Config{
		"kex":      {Kex: []string{}, EarlyKex: true},
		"hostkeys": {HostKeys: []string{}},
		"ciphers":  {Ciphers: []string{}},
	} {
		s := newScripted(t, config)
		toKexInit(s)
		t.Run(name, func(*testing.T) { s.fails(KindNoCommonAlgorithm, "in common") })
	}
}

func TestStepByStep(t *testing.T) {
	s := newScripted(t, Config{StepByStep: true, EarlyKex: true})
	if n := len(s.client.Output()); n != 0 {
		t.Fatalf("%d bytes are to be sent before the server's greeting", n)
	}
	s.client.Disconnect() // nobody to tell
	s.sendVersion()
	s.deliver()
	if s.clientVersion != "SSH-2.0-shoal" || len(s.got) != 1 || s.got[0][0] != msgKexInit {
		t.Fatalf("%q, %x", s.clientVersion, s.got)
	}
	s.sendKexInit()
	s.deliver()
	s.send(s.reply())
	s.sendNewKeys()
	s.deliver()
	s.healthy()
}

func TestDisconnect(t *testing.T) {
	s := newScripted(t, Config{})
	s.login()
	s.client.Disconnect()
	s.pump()
	want := appendString(appendString(appendUint32([]byte{msgDisconnect}, disconnectApplication), ""), "")
	if got := s.got[len(s.got)-1]; string(got) != string(want) {
		t.Errorf("the client sent %x, want %x", got, want)
	}
}

// TestTraceKeepsSecrets traces a whole connection, in which nothing secret may
// show.
func TestTraceKeepsSecrets(t *testing.T) {
	var lines []string
	secrets := []string{"pass-word", "the answer", "a command", "some input", "an output"}
	s := newScripted(t, Config{Trace: func(m Message) {
		lines = append(lines, fmt.Sprintf("%t %d %s %d %s", m.Out, m.Number, m.Name, m.Size, m.Detail))
	}})
	s.handshake()
	s.client.AuthInteractive("u")
	s.send(serviceAccept(), prompts(1))
	s.deliver()
	s.client.Answer([][]byte{[]byte("the answer")})
	s.send(failure(false, "password"))
	s.deliver()
	s.client.AuthPassword("u\x1b", []byte("pass-word"))
	s.send([]byte{msgUserAuthSuccess})
	s.deliver()
	ch := s.opened(7, 100)
	s.client.Exec(ch, "a command")
	s.client.Send(ch, []byte("some input"))
	s.send(data(ch, "an output"), stderrData(ch, 1, "an output"), exitStatus(ch, 3))
	s.deliver()
	s.healthy()
	all := strings.Join(lines, "\n")
	for _, secret := range secrets {
		if strings.Contains(all, secret) {
			t.Errorf("the trace holds %q", secret)
		}
	}
	for _, want := range []string{
		`true 20 KEXINIT `, `false 21 NEWKEYS 1 `, `true 5 SERVICE_REQUEST 17 "ssh-userauth"`,
		`true 50 USERAUTH_REQUEST 51 user "u\x1b" method "password"`,
		`false 51 USERAUTH_FAILURE 14 next "password"`,
		`true 90 CHANNEL_OPEN 24 "session" sender 0 window 2097152 max 32768`,
		`true 98 CHANNEL_REQUEST 27 channel 7 "exec" reply true`,
		`false 94 CHANNEL_DATA 18 channel 0, 9 bytes`,
		`false 98 CHANNEL_REQUEST 25 channel 0 "exit-status" reply false status 3`,
	} {
		if !strings.Contains(all, want) {
			t.Errorf("the trace lacks %q:\n%s", want, all)
		}
	}
}

// TestWaitingHoldsNothing looks for what only a handshake or a transfer needs.
func TestWaitingHoldsNothing(t *testing.T) {
	s := early(t)
	s.send(serviceAccept(), []byte{msgUserAuthSuccess}, confirm(0, 0, 1<<20), about(msgChannelSuccess, 0), data(0, "x"))
	for p := s.out.buf; len(p) > 0; p = p[min(len(p), 7):] {
		s.feed(p[:min(len(p), 7)])
	}
	s.healthy()
	c := s.client
	if c.in.early != nil || c.in.rest != nil || c.out.buf != nil || c.out.held != nil || c.kex != nil || c.auth != nil ||
		c.greeting != nil || c.mux.early != nil || c.mux.blocked != 0 || c.mux.find(0).questions != nil {
		t.Errorf("a connection that waits holds %+v", c)
	}
}

// TestShrink releases memory between all messages and in the middle of one.
func TestShrink(t *testing.T) {
	for _, d := range directions() {
		recording := recordServer(t, d)
		whole, _ := playBack(t, d, recording.bytes)
		s := newScripted(t, Config{})
		s.secure(d)
		s.client.AuthPassword("u", []byte("secret"))
		s.client.Exec(s.client.OpenSession(), "true")
		for i := range recording.bytes {
			s.feed(recording.bytes[i : i+1])
			s.client.Shrink()
		}
		s.healthy()
		if len(s.events) != len(whole) {
			t.Errorf("%v: %d events, want %d", d, len(s.events), len(whole))
		}
		s.client.Keepalive()
		s.pump() // can still be opened
	}
}
