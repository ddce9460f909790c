package wire

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unique"

	"golang.org/x/crypto/ssh"
)

// A scripted is the server side of a connection in memory. It does what a test
// tells it and nothing by itself, so that it can send any message at any point.
// It uses the package's own packets and keys: that those are right is for
// vectors_test.go and x/crypto's server in client_test.go to show.
//
//	sendX → out.buf → deliver → Client → Output → pump → got
type scripted struct {
	tb     testing.TB
	client *Client
	host   ssh.Signer
	// version and lists may be changed before they are sent.
	version  string
	init     kexInit
	distrust bool // the driver does not call Trust
	// mutate may change the reply before it is sent, wire all that is.
	mutate func(blob, public, signature *[]byte)
	wire   func(p []byte)

	in            inbound
	out           outbound
	clientVersion string
	clientRaw     []byte
	initRaw       []byte
	strict        bool
	sessionID     []byte
	nextIn        opener
	nextOut       sealer

	got    [][]byte // messages from the client
	events []Event
	err    error
}

// testHost is one host key for all tests that do not need a special one.
func testHost(tb testing.TB) ssh.Signer {
	tb.Helper()
	signer, err := ssh.NewSignerFromKey(fixedKey())
	if err != nil {
		tb.Fatal(err)
	}
	return signer
}

func newScripted(tb testing.TB, config Config) *scripted {
	tb.Helper()
	if config.Kex == nil {
		config.Kex = []string{kexCurve25519}
	}
	s := &scripted{
		tb: tb, client: New(&config), host: testHost(tb), version: "SSH-2.0-Scripted",
		init: kexInit{
			kex: append(KexAlgorithms(), strictServer), hostKeys: HostKeyAlgorithms(),
			ciphersOut: Ciphers(), ciphersIn: Ciphers(), macsOut: MACs(), macsIn: MACs(),
			compOut: []string{"none"}, compIn: []string{"none"},
		},
	}
	s.in.opener, s.out.sealer = plainOpener{}, plainSealer{}
	return s
}

// pump takes what the client wants to send.
func (s *scripted) pump() {
	s.tb.Helper()
	out := bytes.Clone(s.client.Output())
	s.client.Sent(len(out))
	s.in.receive(out)
	if s.clientVersion == "" {
		line, rest, ok := bytes.Cut(s.in.all(), []byte("\r\n"))
		if !ok {
			return
		}
		s.in.take(len(s.in.all()) - len(rest))
		s.clientVersion = string(line)
	}
	for {
		p, err := s.in.packet()
		if err != nil {
			s.tb.Fatalf("reading what the client sent: %v", err)
		}
		if p == nil {
			break
		}
		s.note(bytes.Clone(p))
	}
	s.in.settle()
}

func (s *scripted) note(p []byte) {
	s.got = append(s.got, p)
	switch p[0] {
	case msgKexInit:
		s.clientRaw = p
	case msgNewKeys:
		s.in.opener, s.nextIn = s.nextIn, nil
		if s.strict {
			s.in.seq = 0
		}
	}
}

// send queues messages for the client.
func (s *scripted) send(messages ...[]byte) {
	for _, p := range messages {
		s.out.seal(p, nil)
	}
}

// deliver passes the queued bytes to the client and takes its answer.
func (s *scripted) deliver() []Event {
	s.tb.Helper()
	p := s.out.buf
	s.out.buf = nil
	if s.wire != nil {
		s.wire(p)
	}
	return s.feed(p)
}

// feed passes bytes to the client, in memory that is used for something else after.
func (s *scripted) feed(p []byte) []Event {
	s.tb.Helper()
	before := len(s.events)
	p = bytes.Clone(p)
	s.client.Receive(p)
	s.drain()
	for i := range p {
		p[i] = 0xee
	}
	return s.events[before:]
}

func (s *scripted) drain() {
	s.tb.Helper()
	for {
		ev, err := s.client.Next()
		if err != nil {
			s.err = err
		}
		if ev == nil {
			break
		}
		s.events = append(s.events, kept(ev))
		if _, ok := ev.(HostKey); ok && !s.distrust {
			s.client.Trust()
		}
	}
	s.pump()
}

// kept copies what an event holds of the client's memory.
func kept(ev Event) Event {
	switch ev := ev.(type) {
	case Data:
		ev.Bytes = bytes.Clone(ev.Bytes)
		return ev
	case Banner:
		return Banner{bytes.Clone(ev.Text)}
	case PasswordExpired:
		return PasswordExpired{bytes.Clone(ev.Prompt)}
	case Prompts:
		ev.Name, ev.Instruction = bytes.Clone(ev.Name), bytes.Clone(ev.Instruction)
		for i := range ev.Prompts {
			ev.Prompts[i].Text = bytes.Clone(ev.Prompts[i].Text)
		}
		return ev
	}
	return ev
}

func (s *scripted) sendVersion() { s.out.buf = append(s.out.buf, s.version+"\r\n"...) }

func (s *scripted) sendKexInit() {
	_, _ = rand.Read(s.init.cookie[:])
	s.initRaw = s.init.append(nil)
	s.send(s.initRaw)
}

// last returns the client's last message with a number.
func (s *scripted) last(number byte) []byte {
	for _, p := range slices.Backward(s.got) {
		if p[0] == number {
			return p
		}
	}
	return nil
}

// reply makes the KEX_REPLY to the client's last ephemeral key, and the keys.
func (s *scripted) reply() []byte {
	s.tb.Helper()
	client, err := parseKexInit(s.clientRaw, "server")
	if err != nil {
		s.tb.Fatal(err)
	}
	strict := s.strict
	if s.sessionID == nil {
		strict = slices.Contains(client.kex, strictClient) && slices.Contains(s.init.kex, strictServer)
	}
	agreed, err := renegotiate(client, &s.init, &s.init, strict)
	if err != nil {
		s.tb.Fatal(err)
	}
	key, err := newKeyAgreement(agreed.kex)
	if err != nil {
		s.tb.Fatal(err)
	}
	r := read(s.last(msgKexInitMethod)[1:])
	clientPublic := r.string()
	secret, err := key.agree(clientPublic)
	if err != nil {
		s.tb.Fatal(err)
	}
	blob := s.host.PublicKey().Marshal()
	hash := beginExchangeHash(kexHash(agreed.kex), s.clientVersion, s.version, s.clientRaw, s.initRaw)
	h := endExchangeHash(hash, blob, clientPublic, key.public(), secret)
	if s.sessionID == nil {
		s.sessionID, s.strict = h, agreed.strict
	}
	m := keyMaterial{hash, secret, h, s.sessionID}
	if s.nextIn, err = newProtection(agreed.out, m, toServer()); err != nil {
		s.tb.Fatal(err)
	}
	if s.nextOut, err = newProtection(agreed.in, m, toClient()); err != nil {
		s.tb.Fatal(err)
	}
	signature := s.sign(h, agreed.hostKey)
	public := key.public()
	if s.mutate != nil {
		s.mutate(&blob, &public, &signature)
	}
	return appendString(appendString(appendString([]byte{msgKexReplyMethod}, blob), public), signature)
}

func (s *scripted) sign(h []byte, algorithm string) []byte {
	s.tb.Helper()
	sig, err := s.host.(ssh.AlgorithmSigner).SignWithAlgorithm(rand.Reader, h, algorithm)
	if err != nil {
		s.tb.Fatal(err)
	}
	return ssh.Marshal(sig)
}

func (s *scripted) sendNewKeys() {
	s.send([]byte{msgNewKeys})
	s.out.sealer, s.nextOut = s.nextOut, nil
	if s.strict {
		s.out.seq = 0
	}
}

// secure puts both sides where a handshake would have brought them, with keys
// that are the same in every run and without the time that a handshake takes.
func (s *scripted) secure(d direction) {
	s.tb.Helper()
	s.pump()
	s.sendVersion()
	s.deliver()
	s.got, s.events = nil, nil
	s.strict, s.sessionID = true, bytes.Repeat([]byte{9}, 32)
	m := keyMaterial{sha256.New(), []byte("secret"), s.sessionID, s.sessionID}
	both := func(l letters) protection {
		p, err := newProtection(d, m, l)
		if err != nil {
			s.tb.Fatal(err)
		}
		return p
	}
	c := s.client
	c.kex, c.out.held, c.ready, c.secured, c.strict = nil, nil, true, true, true
	c.sessionID, c.hostKey = s.sessionID, sha256.Sum256(s.host.PublicKey().Marshal())
	c.later = unique.Make(methods{kexCurve25519, "ssh-ed25519"})
	c.in.opener, c.out.sealer = both(toClient()), both(toServer())
	s.in.opener, s.out.sealer = both(toServer()), both(toClient())
	c.in.seq, c.out.seq, s.in.seq, s.out.seq = 0, 0, 0, 0
}

// handshake does the first key exchange.
func (s *scripted) handshake() {
	s.tb.Helper()
	s.pump()
	s.sendVersion()
	s.sendKexInit()
	s.deliver()
	s.send(s.reply())
	s.sendNewKeys()
	s.deliver()
	s.healthy()
}

// rekey does another one, which the server begins unless the client has.
func (s *scripted) rekey() {
	s.tb.Helper()
	s.sendKexInit()
	s.deliver()
	s.send(s.reply())
	s.sendNewKeys()
	s.deliver()
	s.healthy()
}

// login does the handshake, unless that is done, and lets a password in.
func (s *scripted) login() {
	s.tb.Helper()
	if s.sessionID == nil {
		s.handshake()
	}
	s.client.AuthPassword("u", []byte("secret"))
	s.pump()
	s.send(serviceAccept(), []byte{msgUserAuthSuccess})
	s.deliver()
	s.healthy()
}

// opened returns a channel whose number at the server is remote.
func (s *scripted) opened(remote, window uint32) Channel {
	s.tb.Helper()
	ch := s.client.OpenSession()
	s.pump()
	s.send(confirm(ch, remote, window))
	s.deliver()
	s.healthy()
	return ch
}

// running returns a channel whose command runs.
func (s *scripted) running() Channel {
	s.tb.Helper()
	ch := s.opened(7, 1<<20)
	s.client.Exec(ch, "true")
	s.pump()
	s.send(about(msgChannelSuccess, ch))
	s.deliver()
	s.healthy()
	return ch
}

func (s *scripted) healthy() {
	s.tb.Helper()
	if s.err != nil {
		s.tb.Fatalf("the connection ended: %v", s.err)
	}
}

// fails says that the connection must have ended in a way.
func (s *scripted) fails(kind Kind, text string) {
	s.tb.Helper()
	if kindOf(s.err) != kind || !strings.Contains(s.err.Error(), text) {
		s.tb.Fatalf("got the end %#v, %v; want kind %d with %q", s.err, s.err, kind, text)
	}
}

// kindOf is 0 for nil.
func kindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return 0
}

// has says that these must be the last events.
func (s *scripted) has(want ...Event) {
	s.tb.Helper()
	got := s.events
	if len(got) > len(want) {
		got = got[len(got)-len(want):]
	}
	if fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) {
		s.tb.Fatalf("the last events are\n%#v\nwant\n%#v", got, want)
	}
}

// The messages of servers.

func serviceAccept() []byte { return appendString([]byte{msgServiceAccept}, serviceAuth) }

func failure(partial bool, methods ...string) []byte {
	return appendBool(appendNames([]byte{msgUserAuthFailure}, methods), partial)
}

func banner(text string) []byte {
	return appendString(appendString([]byte{msgUserAuthBanner}, text), "")
}

// about begins a message about the client's channel.
func about(number byte, ch Channel) []byte { return appendUint32([]byte{number}, uint32(ch)) }

func confirm(ch Channel, remote, window uint32) []byte {
	p := appendUint32(about(msgChannelOpenConfirm, ch), remote)
	return appendUint32(appendUint32(p, window), 32<<10)
}

func refusal(ch Channel, code uint32, text string) []byte {
	p := appendString(appendUint32(about(msgChannelOpenFailure, ch), code), text)
	return appendString(p, "")
}

func data(ch Channel, text string) []byte { return appendString(about(msgChannelData, ch), text) }

func stderrData(ch Channel, kind uint32, text string) []byte {
	return appendString(appendUint32(about(msgChannelExtendedData, ch), kind), text)
}

func adjust(ch Channel, n uint32) []byte { return appendUint32(about(msgChannelWindowAdjust, ch), n) }

func channelRequest(ch Channel, kind string, reply bool, body ...byte) []byte {
	return append(appendBool(appendString(about(msgChannelRequest, ch), kind), reply), body...)
}

func exitStatus(ch Channel, status uint32) []byte {
	return channelRequest(ch, "exit-status", false, appendUint32(nil, status)...)
}

func globalRequest(kind string, reply bool) []byte {
	return appendBool(appendString([]byte{msgGlobalRequest}, kind), reply)
}

func channelOpen(kind string, sender uint32) []byte {
	p := appendUint32(appendString([]byte{msgChannelOpen}, kind), sender)
	return appendUint32(appendUint32(p, 1<<20), 32<<10)
}

func extInfo(pairs ...string) []byte {
	p := appendUint32([]byte{msgExtInfo}, uint32(len(pairs)/2))
	for _, s := range pairs {
		p = appendString(p, s)
	}
	return p
}

func disconnect(code uint32, text string) []byte {
	return appendString(appendString(appendUint32([]byte{msgDisconnect}, code), text), "")
}

func unimplemented(seq uint32) []byte { return appendUint32([]byte{msgUnimplemented}, seq) }
