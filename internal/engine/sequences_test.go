package engine_test

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/engine"
	"shoal/internal/ssh"
	"shoal/internal/ssh/client"
	"shoal/internal/ssh/hostcache"
	"shoal/internal/ssh/xcrypto"
)

var (
	// make test has 100,000 of them, without the race detector.
	sequences = flag.Int("sequences", 5_000, "generated sequences of events for TestSequences")
	firstOf   = flag.Int("sequence", 0, "the first of them, to try one again")
)

// A scenario decides at random what the server, the network and the person do in
// one run with one target, and records what the server has done. It knows nothing
// of the client's reasoning.
type scenario struct {
	mu   sync.Mutex
	dice *rand.Rand

	delay  time.Duration // of each answer
	junk   float64       // chance that bytes that are no packet come behind a message
	early  earlyManner
	cutEnd error // what the client reads where the server's stream is cut; nil: it stays silent

	exact       bool // the client knows which byte is the last of the command
	connections int
	peer        *peer // of the last
	executed    int
	lied        bool      // an exit status left before the command had come
	exit        *exitSeen // the first that was sent
	execTaken   bool      // the kernel has taken an exec request whole
	intents     int
	unintended  bool // the command arrived before any intent
	ended       bool // the result is there
	late        bool // and the client wrote after that
	story       []string
}

type exitSeen struct {
	status uint32
	signal string
}

// An earlyManner is how a server handles messages of RFC 4254 before it has
// authenticated the client.
type earlyManner int

const (
	earlyUnimplemented earlyManner = iota // RFC 4253 §11.4, as OpenSSH
	earlyDisconnects                      // RFC 4252 §6
	earlyCloses                           // as Dropbear
	earlyDrops
	earlyQueues // and takes them once it has let the client in
	earlyManners
)

func (s *scenario) chance(p float64) bool { return s.dice.Float64() < p }
func (s *scenario) fill(b []byte) {
	for i := range b {
		b[i] = byte(s.dice.Uint32())
	}
}

func (s *scenario) tell(format string, args ...any) {
	s.story = append(s.story, fmt.Sprintf(format, args...))
}

// pick returns an index by weight.
func (s *scenario) pick(weights ...int) int {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	n := s.dice.IntN(sum)
	for i, w := range weights {
		if n -= w; n < 0 {
			return i
		}
	}
	return 0
}

// Open implements ssh.Network.
func (s *scenario) Open(ctx context.Context, a *ssh.Attempt) (net.Conn, error) {
	a.Timeline.Enter(fleet.PhaseDial)
	if ctx.Err() != nil {
		return nil, a.Fail(a.Execution.Interrupted(), fleet.ReasonInterrupted, context.Cause(ctx))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connections++
	s.exit, s.lied = nil, false // an earlier connection was followed by this one: nothing of it counts
	const all = 1 << 30
	// Most cuts are after the key exchange, where outcomes are in doubt.
	within := func(handshake, rest int) int {
		if s.chance(0.1) {
			return s.dice.IntN(handshake)
		}
		return handshake + s.dice.IntN(rest)
	}
	p := &peer{scenario: s, cut: all, lost: all, most: all}
	p.changed.L = &s.mu
	s.cutEnd = nil
	switch s.pick(50, 10, 10, 30) {
	case 1:
		p.cut = within(1000, 1000)
		s.tell("writes fail at byte %d", p.cut)
	case 2:
		p.lost = within(1000, 1000)
		s.tell("bytes from %d on are lost", p.lost)
	case 3:
		p.most = within(600, 600)
		s.cutEnd = []error{nil, io.EOF, syscall.ECONNRESET}[s.dice.IntN(3)]
		s.tell("the server's stream is cut at byte %d: %v", p.most, s.cutEnd)
	}
	s.peer = p
	p.begin()
	return p, nil
}

// ends returns a way for a server to end the connection.
func (p *peer) ends() {
	switch p.pick(2, 2, 2, 1) {
	case 0:
		p.tell("closes")
		p.leave(io.EOF)
	case 1:
		p.tell("resets")
		p.leave(syscall.ECONNRESET)
	case 2:
		p.tell("disconnects")
		p.message(append(append([]byte{msgDisconnect}, 0, 0, 0, 2), make([]byte, 8)...))
		p.leave(io.EOF)
	default:
		p.tell("falls silent")
		p.leave(nil)
	}
}

// secureMessage processes an encrypted message.
func (p *peer) secureMessage(m []byte) {
	switch {
	case p.script != nil:
		p.script(m)
	case m[0] == msgDisconnect:
		p.leave(io.EOF)
	case m[0] == msgServiceRequest:
		p.accepted = true
		p.message(appendText([]byte{msgServiceAccept}, "ssh-userauth"))
	case m[0] == msgAuthRequest && !p.authenticated:
		p.request(m)
	case m[0] < 80:
	case p.authenticated:
		p.connectionMessage(m)
	default:
		p.tell("early message %d", m[0])
		switch p.early {
		case earlyUnimplemented:
			p.message(binary.BigEndian.AppendUint32([]byte{msgUnimplemented}, p.received-1))
		case earlyDisconnects:
			p.message(append(append([]byte{msgDisconnect}, 0, 0, 0, 2), make([]byte, 8)...))
			p.leave(io.EOF)
		case earlyCloses:
			p.leave([]error{io.EOF, syscall.ECONNRESET}[p.dice.IntN(2)])
		case earlyQueues:
			p.queue = append(p.queue, slices.Clone(m))
		}
	}
}

// request decides on a USERAUTH_REQUEST (RFC 4252 §5).
func (p *peer) request(m []byte) {
	_, rest := text(m[1:])
	_, rest = text(rest)
	method, rest := text(rest)
	query := method == "publickey" && len(rest) > 0 && rest[0] == 0
	verdict := p.pick(55, 22, 6, 8, 5)
	switch {
	case verdict == 3:
		p.ends()
	case verdict == 4:
		p.tell("does not answer %s", method)
	case verdict == 0 && query:
		p.tell("would take a key")
		algorithm, rest := text(rest[1:])
		key, _ := text(rest)
		p.message(appendText(appendText([]byte{msgAuthKeyOK}, algorithm), key))
	case verdict == 0 && method != "none":
		p.tell("lets in")
		p.authenticated = true
		p.message([]byte{msgAuthSuccess})
		queue := p.queue
		p.queue = nil
		for _, m := range queue {
			if !p.left {
				p.connectionMessage(m)
			}
		}
	default:
		partial := byte(0)
		if verdict == 2 && !query && method != "none" {
			partial = 1
		}
		methods := []string{"publickey", "publickey,password", "password"}[p.dice.IntN(3)]
		p.tell("rejects %s, partial %d, next %s", method, partial, methods)
		p.message(append(appendText([]byte{msgAuthFailure}, methods), partial))
	}
}

// connectionMessage processes a message of RFC 4254.
func (p *peer) connectionMessage(m []byte) {
	about := func(number byte) []byte { return []byte{number, 0, 0, 0, 0} }
	switch {
	case m[0] == msgOpen:
		kind, rest := text(m[1:])
		sender := rest[:4]
		p.tell("CHANNEL_OPEN %s", kind)
		number := byte(0)
		switch p.pick(88, 3, 4, 2, 3) {
		case 1:
			number = 5
		case 2:
			p.tell("refuses it")
			refusal := append(append([]byte{msgOpenFailure}, sender...), 0, 0, 0, 1)
			p.message(appendText(appendText(refusal, "no"), ""))
			return
		case 3:
			return
		case 4:
			p.ends()
			return
		}
		p.open = true
		p.number = number
		p.message(append(append([]byte{msgOpenConfirmation}, sender...), 0, 0, 0, number, 0, 16, 0, 0, 0, 0, 128, 0))
		if !p.execTaken && len(p.in) == 0 && p.chance(0.03) {
			p.tell("tells of the end of a command that it was not sent")
			p.exit = &exitSeen{}
			p.lied = true
			p.message(exitMessage(exitSeen{}))
			p.message(about(msgClose))
		}
	case m[0] == msgRequest && (!p.open || m[4] != p.number):
		p.tell("a request for a channel that is not open")
		p.ends()
	case isExec(m):
		switch p.pick(88, 5, 3, 2, 2) {
		case 0:
			p.execute(false)
		case 1:
			p.tell("refuses exec")
			p.message(about(msgFailure))
		case 2:
			p.execute(true)
		case 3:
			p.tell("does not answer exec")
		default:
			p.ends()
		}
	case m[0] == 80: // a question for a sign of life
		p.message([]byte{82})
	}
}

func exitMessage(e exitSeen) []byte {
	m := []byte{msgRequest, 0, 0, 0, 0}
	if e.signal == "" {
		return binary.BigEndian.AppendUint32(append(appendText(m, "exit-status"), 0), e.status)
	}
	m = append(appendText(append(appendText(m, "exit-signal"), 0), e.signal), 0)
	return appendText(appendText(m, ""), "")
}

// execute runs the command, and reports about it at random.
func (p *peer) execute(contradicts bool) {
	p.executed++
	p.unintended = p.unintended || p.intents == 0
	p.tell("executes")
	about := func(number byte) []byte { return []byte{number, 0, 0, 0, 0} }
	var answer [][]byte
	if !contradicts && p.chance(0.95) {
		answer = append(answer, about(msgSuccess))
	}
	if contradicts || p.chance(0.6) {
		answer = append(answer, appendText(about(msgData), "ran\n"))
	}
	exits := 1 + p.pick(90, 10)
	if p.chance(0.1) {
		exits = 0
	}
	for range exits {
		answer = append(answer, exitMessage(exitSeen{status: uint32(p.dice.IntN(3)), signal: []string{"", "", "", "TERM"}[p.dice.IntN(4)]}))
	}
	if contradicts {
		answer = append(answer, about(msgFailure))
	}
	if p.chance(0.1) {
		p.dice.Shuffle(len(answer), func(i, j int) {
			if i > 0 && j > 0 {
				answer[i], answer[j] = answer[j], answer[i]
			}
		})
	}
	answer = append(answer, about(msgEOF), about(msgClose))
	stop := len(answer)
	if p.chance(0.2) {
		stop = p.dice.IntN(len(answer) + 1)
	}
	for _, m := range answer[:stop] {
		if kind, rest := text(m[min(5, len(m)):]); m[0] == msgRequest && p.exit == nil {
			p.exit = &exitSeen{}
			if kind == "exit-status" {
				p.exit.status = binary.BigEndian.Uint32(rest[1:])
			} else {
				p.exit.signal, _ = text(rest[1:])
			}
		}
		p.tell("sends %d", m[0])
		p.message(m)
	}
	if stop < len(answer) {
		p.ends()
	}
}

// Trusting every key is sufficient: there is only one.
type trustAll struct{}

func (trustAll) Algorithms(ssh.Target) []string                                  { return nil }
func (trustAll) Check(ssh.Target, net.Addr, xssh.PublicKey) error                { return nil }
func (trustAll) Accepted(context.Context, ssh.Target, xssh.PublicKey) error      { return nil }
func (trustAll) AllowPassword(context.Context, ssh.Target, xssh.PublicKey) error { return nil }

func (s *scenario) Password(context.Context, fleet.Target) ([]byte, func(bool), error) {
	return []byte("secret"), func(bool) {}, nil
}

func (s *scenario) Answer(context.Context, fleet.Target, string, bool) ([]byte, func(bool), error) {
	return []byte("secret"), func(bool) {}, nil
}

// A pretender makes invalid signatures; peers do not verify them.
type pretender struct {
	key      xssh.PublicKey
	takes    time.Duration
	askFirst bool
	broken   bool
}

func (s *pretender) PublicKey() xssh.PublicKey { return s.key }
func (s *pretender) AskFirst() bool            { return s.askFirst }
func (s *pretender) Sign(io.Reader, []byte) (*xssh.Signature, error) {
	time.Sleep(s.takes)
	if s.broken {
		return nil, errors.New("this key cannot sign")
	}
	return &xssh.Signature{Format: xssh.KeyAlgoED25519, Blob: make([]byte, 64)}, nil
}

type someSigners []xssh.Signer

func (s someSigners) Signers(context.Context, ssh.Target) ([]xssh.Signer, error) { return s, nil }

// someKeys are public keys whose owners never sign.
var someKeys = func() []xssh.PublicKey {
	keys := make([]xssh.PublicKey, 3)
	for i := range keys {
		blob := appendText(appendText(nil, xssh.KeyAlgoED25519), strings.Repeat(string(rune('a'+i)), 32))
		key, err := xssh.ParsePublicKey(blob)
		if err != nil {
			panic(err)
		}
		keys[i] = key
	}
	return keys
}()

// A client makes the Dialer of one sequence.
type clientMaker func(t *testing.T, s *scenario, keys someSigners, timeouts ssh.Timeouts) ssh.Dialer

// Whatever server, network and person do, in any order: what is reported of the
// command, and what the journal concludes from it, agrees with what the server has
// done. 100,000 generated sequences are compared with a server that follows RFC
// 4252 and 4254, or is lenient about violations, and knows nothing of the client
// but its bytes.
func TestSequences(t *testing.T) {
	clients := map[string]struct {
		client clientMaker
		share  int // of the sequences, one in so many
	}{
		"express":  {expressClient, 1},
		"standard": {standardClient, 20},
	}
	for name, c := range clients {
		t.Run(name, func(t *testing.T) {
			const parts = 4
			counts := make([]map[string]int, parts)
			t.Run("parts", func(t *testing.T) {
				for part := range parts {
					t.Run(fmt.Sprint(part), func(t *testing.T) {
						t.Parallel()
						counts[part] = make(map[string]int)
						synctest.Test(t, func(t *testing.T) {
							for i := *firstOf + part; i < *firstOf+max(*sequences/c.share, 1) && !t.Failed(); i += parts {
								counts[part][sequence(t, uint64(i), c.client)]++
							}
						})
					})
				}
			})
			all := make(map[string]int)
			for _, some := range counts {
				for k, n := range some {
					all[k] += n
				}
			}
			t.Logf("%v", all)
		})
	}
}

func expressClient(t *testing.T, s *scenario, keys someSigners, timeouts ssh.Timeouts) ssh.Dialer {
	t.Helper()
	s.exact = true
	memory, err := hostcache.Open("", hostcache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if s.chance(0.7) {
		memory.Put("h0:22", hostcache.Entry{User: "u", Client: "express", Kex: []string{"ecdh-sha2-nistp256"}})
	}
	opts := client.Options{
		HostKeys: trustAll{}, Identities: keys, Timeouts: timeouts, Network: s, Memory: memory,
		Pipeline: []client.Pipeline{client.Full, client.Full, client.Auth, client.Off}[s.dice.IntN(4)],
	}
	if s.chance(0.3) {
		opts.Passwords = s
	}
	d, err := client.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func standardClient(t *testing.T, s *scenario, keys someSigners, timeouts ssh.Timeouts) ssh.Dialer {
	t.Helper()
	d, err := xcrypto.New(xcrypto.Options{HostKeys: trustAll{}, Identities: keys, Timeouts: timeouts, Network: s})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// sequence runs one sequence and returns its result.
func sequence(t *testing.T, number uint64, newClient clientMaker) string {
	t.Helper()
	s := &scenario{dice: rand.New(rand.NewPCG(number, 11))} // chance, not secrecy
	s.delay = []time.Duration{0, 10 * time.Millisecond, 100 * time.Millisecond, time.Second}[s.dice.IntN(4)]
	s.early = earlyManner(s.dice.IntN(int(earlyManners)))
	if s.chance(0.1) {
		s.junk = 0.1
	}
	var keys someSigners
	for _, key := range someKeys[:s.pick(5, 60, 25, 10)] {
		p := &pretender{key: key, askFirst: s.chance(0.1), broken: s.chance(0.05)}
		if s.chance(0.1) {
			p.takes = time.Duration(s.dice.IntN(20_000)) * time.Millisecond
		}
		keys = append(keys, p)
	}
	timeouts := ssh.Timeouts{
		Dial: time.Second, Kex: 5 * time.Second, Auth: 10 * time.Second, Session: 5 * time.Second,
		Command: 20 * time.Second, Drain: 2 * time.Second,
	}
	d := newClient(t, s, keys, timeouts)
	ctx, abort := context.WithCancelCause(context.Background())
	drain := make(chan struct{})
	opts := engine.Options{
		Dialer: d, Drain: drain, Targets: 1, Fanout: 1, MaxHeld: -1, Barrier: s.chance(0.05),
		Intend: func(fleet.Target, int, netip.AddrPort) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.intents++
			s.tell("intent")
			return nil
		},
	}
	var stops []*time.Timer
	soon := func() time.Duration {
		return time.Duration(s.dice.IntN(1+20*int(s.delay/time.Millisecond))) * time.Millisecond / 2
	}
	if s.chance(0.25) {
		stops = append(stops, time.AfterFunc(soon(), func() { close(drain) }))
	}
	if s.chance(0.25) {
		stops = append(stops, time.AfterFunc(soon(), func() { abort(errors.New("aborted")) }))
	}
	var result fleet.Result
	for res, err := range engine.Run(ctx, opts, engine.Direct(targets(1, 1))) {
		if err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		s.ended = true
		s.mu.Unlock()
		result = res
	}
	abort(nil)
	for _, timer := range stops {
		timer.Stop()
	}
	if c, ok := d.(io.Closer); ok {
		_ = c.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if wrong := s.judge(&result); wrong != "" {
		t.Errorf("%s\nsequence %d: ended %v(%s) in %v [%v] after %d attempts, %d connections, %d intents; executed %d times: %v\n%s\n"+
			"try again: go test ./engine -run '%s' -sequence %d -sequences 1",
			wrong, number, result.Outcome, result.Reason, result.Phase, result.Flags, result.Attempt, s.connections, s.intents, s.executed,
			result.Err, strings.Join(s.story, "\n"), strings.Join(strings.Split(t.Name(), "/")[:2], "/"), number)
	}
	return fmt.Sprintf("%v after %d connections", result.Outcome, s.connections)
}

// judge returns what is untrue in a result.
func (s *scenario) judge(r *fleet.Result) string {
	for _, earlier := range r.Earlier {
		if !earlier.Outcome.DidNotRun() {
			return fmt.Sprintf("an attempt that ended %v was followed by another", earlier.Outcome)
		}
	}
	switch {
	case s.executed > 1:
		return "the command ran twice"
	case s.late:
		return "bytes left after the result"
	case s.unintended:
		return "the command left before its intent was written"
	case r.Outcome == fleet.OutcomeNone:
		return "there is no result"
	case r.Outcome.DidNotRun() && s.executed > 0: // resume would run it again
		return "the command ran"
	case r.Outcome == fleet.OutcomeCancelled && s.intents > 0:
		return "it is cancelled, and has an intent"
	case s.exact && r.Outcome == fleet.OutcomeUnknown && !s.execTaken:
		return "the command has never left"
	case s.exact && r.Outcome == fleet.OutcomeUnknown && s.peer.proof() != "":
		return "the client has got " + s.peer.proof() + ", which proves that nothing ran"
	case !r.Outcome.Ran():
		return ""
	case s.executed == 0 && (!s.lied || !s.execTaken): // who reads late cannot tell
		return "the command never ran"
	case s.exit == nil:
		return "no exit status was sent"
	case (s.exit.signal != "") != (r.Outcome == fleet.OutcomeSignalled) || r.Signal != s.exit.signal,
		r.Outcome != fleet.OutcomeSignalled && r.Status != s.exit.status:
		return fmt.Sprintf("the first exit was %v", *s.exit)
	}
	return ""
}

// proof returns what the client has received on the last connection that proves
// that the command did not run.
func (p *peer) proof() string {
	letIn, runs := false, false
	for _, m := range p.sent {
		switch {
		case m.end > p.given || p.unlike:
			return ""
		case m.number == msgAuthSuccess:
			letIn = true
		case m.number == msgSuccess, m.number == msgData, m.number == msgRequest:
			runs = true
		case m.number == msgDisconnect && !letIn:
			return "DISCONNECT before USERAUTH_SUCCESS"
		case m.number == msgOpenFailure:
			return "CHANNEL_OPEN_FAILURE"
		case m.number == msgFailure && !runs:
			return "CHANNEL_FAILURE"
		}
	}
	return ""
}
