package client

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/hostcache"
	"shoal/internal/ssh/hostkeys"
	"shoal/internal/ssh/wire"
	"shoal/internal/ssh/xcrypto"
	"shoal/internal/sshdtest"
)

// A meddler is an attacker on the path. In the first connection only it alters what
// no key protects yet: the server's version line and KEXINIT.
type meddler struct {
	*relay
	// alter changes these bytes.
	alter func(version, kexInit []byte) []byte

	mu     sync.Mutex
	offers [][]string // the key exchange methods of the client, by connection
}

// meddle inserts a meddler between the rig and its server.
func meddle(t testing.TB, r *rig, alter func(version, kexInit []byte) []byte) *meddler {
	t.Helper()
	m := &meddler{alter: alter}
	m.relay = startRelay(t, fleet.Target{Host: r.host, Port: r.host.Port}.Address(), m.carry)
	r.host.Name, r.host.Port = "127.0.0.1", m.port()
	return m
}

// rename alters names in the server's KEXINIT, keeping their length.
func rename(pairs ...string) func(version, kexInit []byte) []byte {
	return func(version, kexInit []byte) []byte {
		return append(version, strings.NewReplacer(pairs...).Replace(string(kexInit))...)
	}
}

func (m *meddler) carry(client, server *net.TCPConn) {
	defer func() { _, _ = client.Close(), server.Close() }()
	m.mu.Lock()
	n := len(m.offers)
	m.offers = append(m.offers, nil)
	m.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() {
		from := bufio.NewReader(client)
		version, _ := from.ReadBytes('\n')
		_, _ = server.Write(version)
		packet := readPlain(from)
		if names, _, ok := cutName(packet[min(len(packet), 4+1+1+16):]); ok {
			m.mu.Lock()
			m.offers[n] = strings.Split(string(names), ",")
			m.mu.Unlock()
		}
		_, _ = server.Write(packet)
		_, _ = io.Copy(server, from)
		_ = server.CloseWrite()
	})
	both.Go(func() {
		from := bufio.NewReader(server)
		if n == 0 {
			version, _ := from.ReadBytes('\n')
			_, _ = client.Write(m.alter(version, readPlain(from)))
		}
		_, _ = io.Copy(client, from)
		_ = client.CloseWrite()
	})
	both.Wait()
}

// readPlain reads an unencrypted packet (RFC 4253 §6); nil if there is none.
func readPlain(from io.Reader) []byte {
	head := make([]byte, 4)
	if _, err := io.ReadFull(from, head); err != nil {
		return nil
	}
	packet := append(head, make([]byte, binary.BigEndian.Uint32(head))...)
	if _, err := io.ReadFull(from, packet[4:]); err != nil {
		return nil
	}
	return packet
}

// cutName removes a protocol string from the front.
func cutName(p []byte) (name, rest []byte, ok bool) {
	if len(p) < 4 || uint64(len(p)-4) < uint64(binary.BigEndian.Uint32(p)) {
		return nil, nil, false
	}
	n := binary.BigEndian.Uint32(p)
	return p[4 : 4+n], p[4+n:], true
}

// offered returns the first method that each connection offered.
func (m *meddler) offered() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var first []string
	for _, o := range m.offers {
		first = append(first, strings.Join(o[:min(1, len(o))], ""))
	}
	return first
}

// plain returns an unencrypted packet.
func plain(payload []byte) []byte {
	padding := 8 - (5+len(payload))%8 + 8
	p := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)+padding))
	p = append(append(p, byte(padding)), payload...)
	return append(p, make([]byte, padding)...)
}

// An unauthenticated KEXINIT never decides which method is preferred: an altered
// name costs a further connection and the early key share, but not the protection
// against quantum computers (protocol.md, Policy 2).
func TestAlteredKexInitKeepsTheOrder(t *testing.T) {
	t.Parallel()
	const hybrid = "mlkem768x25519-sha256"
	p := startPoser(t, "OpenSSH_9.9", func(*poser) {})
	for name, methods := range map[string][]string{
		"remembered":     {hybrid, "curve25519-sha256"},
		"remembered old": {"curve25519-sha256"},
	} {
		t.Run(name, func(t *testing.T) {
			r := p.rig(newSigner(t, sshdtest.Ed25519))
			r.Pipeline = Auth
			m := meddle(t, r, rename(hybrid, "mlkem768x25519-sha999", "curve25519-sha256", "curve25519-sha999"))
			r.remember(t, hostcache.Entry{Kex: methods})
			r.run(t, "true").ok(t, p.said())
			if got := m.offered(); !slices.Equal(got, []string{methods[0], hybrid}) {
				t.Errorf("the dials offered first %q", got)
			}
			sent, asked := lastMessage(r, "KEX_INIT", true), lastMessage(r, "KEXINIT", false)
			if size := r.messages[sent].Size; size < 1184 || sent < asked {
				t.Errorf("the key exchange message has %d bytes, early %t; want ML-KEM's, and late", size, sent < asked)
			}
			if known := r.remembered(t).Kex; known[0] != hybrid {
				t.Errorf("remembered are %q", known)
			}
			r.dialled()
			r.run(t, "true").ok(t, p.said())
			if n, got := r.dialled(), m.offered(); n != 1 || got[2] != hybrid {
				t.Errorf("the next time: %d dials, offering %q", n, got)
			}
		})
	}
}

// An altered KEXINIT affects only its own connection: the fallback is remembered by
// the algorithms that it used with the server, which are authenticated.
func TestAlteredKexInitAndTheFallback(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*sshdtest.Server{"OpenSSH": sshdtest.OpenSSH(t), "Dropbear": sshdtest.Dropbear(t)} {
		for _, known := range []bool{false, true} {
			r := rigFor(s).withStandard(t)
			r.Memory = newMemory(t)
			meddle(t, r, rename("curve25519", "curve99999", "ecdh-sha2", "ecdh-sha9"))
			if known {
				r.remember(t, hostcache.Entry{Kex: []string{"curve25519-sha256"}})
			}
			e := r.run(t, "echo done")
			e.ok(t, "done\n")
			if n := r.dialled(); n != 2 || e.Flags&fleet.FlagFallback == 0 {
				t.Errorf("%s, known %t: dialled %d times, flags %v; want 2, the fallback's", name, known, n, e.Flags)
			}
			if entry, ok := r.Memory.Get(endpoint(r.target("").Target)); ok != known || entry.Client == clientFallback {
				t.Errorf("%s, known %t: remembered is %+v", name, known, entry)
			}
			e = r.run(t, "echo done")
			e.ok(t, "done\n")
			if n := r.dialled(); n != 1 || e.Flags != fleet.FlagExitKnown {
				t.Errorf("%s, known %t: the next time: dialled %d times, flags %v; want 1, our own", name, known, n, e.Flags)
			}
		}
	}
}

// Nothing protects what comes before the server's first NEWKEYS: a DISCONNECT that
// an attacker inserts there does not prove that the command, which is sent by then,
// did not run.
func TestPlainDisconnectProvesNothing(t *testing.T) {
	t.Parallel()
	ran := newCounter(t)
	r := rigFor(sshdtest.OpenSSH(t))
	middle := startRelay(t, fleet.Target{Host: r.host}.Address(), func(client, server *net.TCPConn) {
		defer func() { _, _ = client.Close(), server.Close() }()
		var back sync.WaitGroup
		defer back.Wait()
		back.Go(func() {
			_, _ = io.Copy(server, client)
			_ = server.CloseWrite()
		})
		from := bufio.NewReader(server)
		version, _ := from.ReadBytes('\n')
		_, _ = client.Write(slices.Concat(version, readPlain(from), readPlain(from))) // KEXINIT, KEX_REPLY
		for ran.runs(t) == 0 {
			time.Sleep(time.Millisecond)
		}
		_, _ = client.Write(plain(xssh.Marshal(struct {
			Reason            uint32 `sshtype:"1"`
			Message, Language string
		}{2, "no", ""})))
		_, _ = io.Copy(io.Discard, from)
	})
	r.host.Name, r.host.Port = "127.0.0.1", middle.port()
	r.remember(t, hostcache.Entry{Kex: []string{"curve25519-sha256"}})
	e := r.run(t, ran.command())
	if n := ran.runs(t); n != 1 || r.dialled() != 1 || e.Outcome != fleet.OutcomeUnknown {
		t.Errorf("ended %v(%s) in %v, the command ran %d times; want unknown, once: %v", e.Outcome, e.Reason, e.Phase, n, e.Err)
	}
}

// A host that is remembered as needing the fallback, and no longer does, is
// connected to by this package again.
func TestFallbackIsForgotten(t *testing.T) {
	t.Parallel()
	r := rigFor(sshdtest.OpenSSH(t)).withStandard(t)
	r.Memory = newMemory(t)
	r.Memory.Put(endpoint(r.target("").Target), hostcache.Entry{Client: clientFallback})
	for i, flags := range []fleet.Flags{fleet.FlagExitKnown | fleet.FlagFallback, fleet.FlagExitKnown} {
		e := r.run(t, "echo done")
		e.ok(t, "done\n")
		if e.Flags != flags || r.remembered(t).Client != clientExpress {
			t.Errorf("connection %d: flags %v, remembered %+v", i, e.Flags, r.remembered(t))
		}
	}
}

// An attacker who removes the strict-kex marker from a KEXINIT makes neither client
// use a cipher that needs it, and nothing is remembered.
// faults.md: K08
func TestStrictMarkTakenOut(t *testing.T) {
	t.Parallel()
	const chacha = "chacha20-poly1305@openssh.com"
	strip := rename("kex-strict-s-v00@openssh.com", "kex-strict-s-v99@openssh.com")
	for name, c := range map[string]struct {
		server *sshdtest.Server
		dials  int
		cipher string // in the end; "": it is refused
	}{
		"chacha only": {sshdtest.OpenSSH(t, sshdtest.WithCiphers(chacha)), 1, ""},
		"etm only": {sshdtest.OpenSSH(t, sshdtest.WithCiphers("aes128-ctr"),
			sshdtest.WithMACs("hmac-sha2-256-etm@openssh.com")), 1, ""},
		"chacha first": {sshdtest.OpenSSH(t, sshdtest.WithCiphers(chacha, "aes128-ctr")), 2, "aes128-ctr"},
		"Dropbear":     {sshdtest.Dropbear(t), 2, "aes128-ctr"},
	} {
		t.Run(name, func(t *testing.T) {
			r := rigFor(c.server).withStandard(t)
			r.Memory = newMemory(t)
			meddle(t, r, strip)
			e := r.run(t, "echo done")
			if c.cipher == "" {
				e.want(t, fleet.OutcomeNeverStarted, fleet.ReasonNoCommonAlgorithm, fleet.PhaseKex)
				if !strings.Contains(e.Err.Error(), "strict key exchange") || !strings.Contains(e.Err.Error(), "\nhint: ") {
					t.Errorf("the cause is %v", e.Err)
				}
				if entry, ok := r.Memory.Get(endpoint(r.target("").Target)); ok {
					t.Errorf("remembered is %+v", entry)
				}
			} else {
				e.ok(t, "done\n")
				if marks := r.remembered(t).Marks; marks != nil {
					t.Errorf("the marks are %q", marks)
				}
			}
			if n := r.dialled(); n != c.dials || e.Flags&fleet.FlagFallback != 0 {
				t.Errorf("dialled %d times, flags %v; want %d", n, e.Flags, c.dials)
			}
			r.run(t, "echo done").ok(t, "done\n") // with nobody on the path
			if n := r.dialled(); n != 1 {
				t.Errorf("the next time: dialled %d times, want 1", n)
			}
		})
	}
}

// A server without strict key exchange is remembered, so that only the first run
// takes a further connection.
func TestNotStrictIsRemembered(t *testing.T) {
	t.Parallel()
	var paramiko *sshdtest.Server
	for _, kind := range sshdtest.Kinds() {
		if kind.Name == "Paramiko" {
			paramiko = kind.Start(t)
		}
	}
	r := rigFor(paramiko)
	r.Memory, r.Fallback = newMemory(t), forbidden{t}
	for i, dials := range []int{2, 1, 1} {
		r.run(t, "echo done").ok(t, "done\n")
		if n := r.dialled(); n != dials {
			t.Errorf("connection %d: dialled %d times, want %d", i, n, dials)
		}
		if marks := r.remembered(t).Marks; !slices.Equal(marks, []string{markNotStrict}) {
			t.Errorf("connection %d: the marks are %q", i, marks)
		}
	}
}

// A server lacks strict key exchange and has only the cipher that needs it: both
// clients refuse it, say why, and remember nothing.
func TestNeedsStrict(t *testing.T) {
	t.Parallel()
	s := sshdtest.TinySSH(t)
	r := rigFor(s).withStandard(t)
	r.Memory = newMemory(t)
	for name, d := range map[string]ssh.Dialer{"express": r.newDialer(t), "standard": r.Fallback} {
		_, err := d.Dial(t.Context(), attemptAt(r, "true"))
		f, ok := err.(*fleet.Error) //nolint:errorlint // that it is one is what is tested
		if !ok || f.Outcome != fleet.OutcomeNeverStarted || f.Reason != fleet.ReasonNoCommonAlgorithm || f.Phase != fleet.PhaseKex {
			t.Fatalf("%s: %v", name, err)
		}
		for _, word := range []string{"chacha20-poly1305@openssh.com", "strict key exchange", "CVE-2023-48795", "\nhint: "} {
			if !strings.Contains(f.Err.Error(), word) {
				t.Errorf("%s: no word of %q: %v", name, word, f.Err)
			}
		}
		if n := r.dialled(); n != 1 {
			t.Errorf("%s: dialled %d times, want 1", name, n)
		}
		if c, ok := d.(*Dialer); ok {
			_ = c.Close()
		}
	}
	if e, ok := r.Memory.Get(endpoint(r.target("").Target)); ok {
		t.Errorf("remembered is %+v", e)
	}
}

// Package xcrypto offers nothing that is safe with some servers only.
func TestStandardOffersNothingUnsafe(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]sshdtest.Option{
		"chacha":    {sshdtest.WithCiphers("chacha20-poly1305@openssh.com")},
		"etm":       {sshdtest.WithCiphers("aes128-ctr"), sshdtest.WithMACs("hmac-sha2-256-etm@openssh.com")},
		"hmac-sha1": {sshdtest.WithCiphers("aes128-ctr"), sshdtest.WithMACs("hmac-sha1")},
	} {
		s := sshdtest.OpenSSH(t, opts...)
		d, err := xcrypto.New(xcrypto.Options{
			HostKeys: trustingSome{keys: s.HostKeys}, Identities: someKeys{s.Signer},
		})
		if err != nil {
			t.Fatal(err)
		}
		e := endOf(t, d, &ssh.Attempt{Progress: new(ssh.Progress), Target: rigFor(s).target("true")})
		if e.Outcome != fleet.OutcomeNeverStarted || e.Reason != fleet.ReasonNoCommonAlgorithm {
			t.Errorf("%s: ended %v(%s): %v", name, e.Outcome, e.Reason, e.Err)
		}
	}
}

func endOf(t *testing.T, d ssh.Dialer, a *ssh.Attempt) fleet.End {
	t.Helper()
	c, err := d.Dial(t.Context(), a)
	if err != nil {
		return err.(*fleet.Error).End() //nolint:errorlint // Dialers give nothing else
	}
	done := make(chan fleet.End, 1) // sent once by done
	c.Start(t.Context(), func(e fleet.End) { done <- e })
	return <-done
}

// One injected DISCONNECT slows the current connection, and those to the host until
// its mark expires: the mark keeps the day on which it was found.
func TestInjectedDisconnect(t *testing.T) {
	t.Parallel()
	r := rigFor(sshdtest.OpenSSH(t))
	r.Memory = newMemory(t)
	meddle(t, r, func(version, _ []byte) []byte {
		return append(version, plain(xssh.Marshal(struct {
			Reason            uint32 `sshtype:"1"`
			Message, Language string
		}{2, "no", ""}))...)
	})
	name := endpoint(r.target("").Target)
	stepByStep := func() bool { return !r.messages[0].Out }
	r.run(t, "echo done").ok(t, "done\n")
	if marks := r.remembered(t).Marks; r.dialled() != 2 || !slices.Equal(marks, []string{dated(markStepByStep, today())}) {
		t.Errorf("the marks are %q", marks)
	}
	for _, c := range []struct {
		mark  string
		slow  bool
		marks []string // afterwards
	}{
		{dated(markStepByStep, today()-6), true, []string{dated(markStepByStep, today()-6)}},
		{markStepByStep, true, []string{dated(markStepByStep, today())}}, // of an earlier version
		{dated(markStepByStep, today()-7), false, nil},
		{dated(markStepByStep, today()+1), false, nil},
	} {
		e := r.remembered(t)
		e.Marks = []string{c.mark}
		r.Memory.Put(name, e)
		r.run(t, "echo done").ok(t, "done\n")
		if n := r.dialled(); n != 1 || stepByStep() != c.slow {
			t.Errorf("%s: dialled %d times, step by step %t; want 1, %t", c.mark, n, stepByStep(), c.slow)
		}
		if marks := r.remembered(t).Marks; !slices.Equal(marks, c.marks) {
			t.Errorf("%s: afterwards the marks are %q, want %q", c.mark, marks, c.marks)
		}
	}
}

// Whoever answers an insecure run must not decide how later runs connect: the host
// cache learns only where the host key is known or was stored in this run.
func TestUnprovenServersTeachNothing(t *testing.T) {
	t.Parallel()
	own, other := sshdtest.OpenSSH(t), sshdtest.OpenSSH(t, sshdtest.WithKex("diffie-hellman-group14-sha256"))
	dropping := startPoser(t, "OpenSSH_9.9", func(p *poser) {
		p.ready = func(sc *xssh.ServerConn) { _ = sc.Wait() } // opens no channel
	})
	for _, c := range []struct {
		policy hostkeys.Policy
		known  bool
		learns bool
	}{
		{hostkeys.Strict, true, true},
		{hostkeys.AcceptNew, true, true},
		{hostkeys.AcceptNew, false, true},
		{hostkeys.Insecure, false, false},
	} {
		t.Run(fmt.Sprintf("%v, known %t", c.policy, c.known), func(t *testing.T) {
			t.Parallel()
			start := func(r *rig) *rig {
				path := filepath.Join(t.TempDir(), "known_hosts")
				if c.known {
					var lines []byte
					for _, key := range r.HostKeys.(trustingSome).keys {
						lines = fmt.Appendf(lines, "[%s]:%d %s", r.host.Name, r.host.Port, xssh.MarshalAuthorizedKey(key))
					}
					if err := os.WriteFile(path, lines, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				r.settings = &ssh.Settings{Known: ssh.HostKeySpec{Files: []string{path}, Policy: c.policy}}
				r.HostKeys, r.Memory = hostkeys.NewVerifier(), newMemory(t)
				return r
			}
			get := func(r *rig) (hostcache.Entry, bool) { return r.Memory.Get(endpoint(r.target("").Target)) }

			r := start(rigFor(own))
			r.run(t, "echo done").ok(t, "done\n")
			if e, ok := get(r); ok != c.learns {
				t.Errorf("remembered is %+v, %t", e, ok)
			}

			r = start(rigFor(other)).withStandard(t)
			r.run(t, "echo done").ok(t, "done\n")
			if e, _ := get(r); (e.Client == clientFallback) != c.learns {
				t.Errorf("the fallback: remembered is %+v", e)
			}

			r = start(dropping.rig(newSigner(t, sshdtest.Ed25519)))
			r.Timeouts.Session = 200 * time.Millisecond
			r.remember(t, hostcache.Entry{Kex: []string{"curve25519-sha256"}})
			if e := r.run(t, "true"); e.Outcome != fleet.OutcomeUnknown {
				t.Errorf("an unanswered command ended %v(%s)", e.Outcome, e.Reason)
			}
			if e, _ := get(r); slices.Contains(e.Marks, dated(markLateExec, today())) != c.learns {
				t.Errorf("an unanswered command: remembered is %+v", e)
			}
		})
	}
}

// The other marks expire in the same way, that of early commands only for commands
// that may be repeated: at a server that drops them the outcome would be unknown.
func TestMarksComeDue(t *testing.T) {
	t.Parallel()
	r := rigFor(sshdtest.OpenSSH(t))
	for _, c := range []struct {
		mark       string
		days       int
		idempotent bool
		auth, cmd  bool // early
		kept       bool
	}{
		{markLateAuth, 6, false, false, false, true},
		{markLateAuth, 7, false, true, true, false},
		{markLateExec, 27, true, true, false, true},
		{markLateExec, 28, true, true, true, false},
		{markLateExec, 28, false, true, false, true},
		{markLateExec, 280, false, true, false, true},
	} {
		r.idempotent = c.idempotent
		r.remember(t, hostcache.Entry{
			Kex: []string{"curve25519-sha256"}, Key: xssh.FingerprintSHA256(r.Identities.(someKeys)[0].PublicKey()),
			Marks: []string{dated(c.mark, today()-c.days)},
		})
		r.run(t, "echo done").ok(t, "done\n")
		accepted := slices.IndexFunc(r.messages, func(m wire.Message) bool { return m.Name == "SERVICE_ACCEPT" })
		request := slices.IndexFunc(r.messages, func(m wire.Message) bool { return m.Name == "USERAUTH_REQUEST" })
		if auth := request < accepted; auth != c.auth || r.early() != c.cmd {
			t.Errorf("%s of %d days: early authentication %t, command %t", c.mark, c.days, auth, r.early())
		}
		if kept := len(r.remembered(t).Marks) > 0; kept != c.kept {
			t.Errorf("%s of %d days: the marks are %q", c.mark, c.days, r.remembered(t).Marks)
		}
	}
}

// counted counts the calls of a HostKeys.
type counted struct {
	trustingSome
	checked, accepted, released atomic.Int32
	refuse                      error // what Accepted returns
}

func (c *counted) Check(t ssh.Target, a net.Addr, key xssh.PublicKey) error {
	c.checked.Add(1)
	return c.trustingSome.Check(ssh.Target{Target: t.Target}, a, key)
}

func (c *counted) Accepted(context.Context, ssh.Target, xssh.PublicKey) error {
	if c.refuse == nil {
		c.accepted.Add(1)
	}
	return c.refuse
}

func (c *counted) Released(ssh.Target, xssh.PublicKey) { c.released.Add(1) }

// Each key that passed Check is accepted or released, so that a host that answers
// first and then disconnects is not learned (hostkeys.Store.Released).
func TestKeysAreAcceptedOrReleased(t *testing.T) {
	t.Parallel()
	s := sshdtest.OpenSSH(t)
	for name, c := range map[string]struct {
		trusted  []xssh.PublicKey
		signer   xssh.Signer
		refuse   error
		accepted int32
		released int32
	}{
		"let in":         {s.HostKeys, s.Signer, nil, 1, 0},
		"not let in":     {s.HostKeys, newSigner(t, sshdtest.Ed25519), nil, 0, 1},
		"not written":    {s.HostKeys, s.Signer, errors.New("disk full"), 0, 1},
		"another key":    {nil, s.Signer, nil, 0, 0},
		"nothing signed": {s.HostKeys, nil, nil, 0, 1},
	} {
		for _, client := range []string{clientExpress, "standard"} {
			keys := &counted{trustingSome: trustingSome{keys: c.trusted}, refuse: c.refuse}
			r := rigFor(s)
			r.HostKeys, r.Identities = keys, someKeys{c.signer}
			if c.signer == nil {
				r.Identities = someKeys{}
			}
			d := r.withStandard(t).Fallback
			if client == clientExpress {
				d = r.newDialer(t)
			}
			_ = endOf(t, d, attemptAt(r, "true"))
			if checked, a, f := keys.checked.Load(), keys.accepted.Load(), keys.released.Load(); checked != 1 || a != c.accepted || f != c.released {
				t.Errorf("%s, %s: checked %d, accepted %d, released %d times; want 1, %d, %d",
					name, client, checked, a, f, c.accepted, c.released)
			}
			if own, ok := d.(*Dialer); ok {
				_ = own.Close()
			}
		}
	}
}

// panicking is an ssh.Identities that has a fault.
type panicking struct{}

func (panicking) Signers(context.Context, ssh.Target) ([]xssh.Signer, error) { panic("oops") }

// A key is released, too, where the attempt ends in a panic: nobody else would be let in by another
// one for the rest of the run.
func TestKeyIsReleasedAfterAPanic(t *testing.T) {
	t.Parallel()
	p := startPoser(t, "OpenSSH_9.9", func(*poser) {})
	for _, client := range []string{clientExpress, "standard"} {
		r := p.rig()
		keys := &counted{trustingSome: trustingSome{keys: []xssh.PublicKey{p.hostKey}}}
		r.HostKeys, r.Identities = keys, panicking{}
		own := r.newDialer(t)
		d := ssh.Dialer(own)
		if client != clientExpress {
			d = r.withStandard(t).Fallback
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: there was no panic", client)
				}
			}()
			_, _ = d.Dial(t.Context(), attemptAt(r, "true"))
		}()
		if n := keys.released.Load(); n != 1 {
			t.Errorf("%s: released %d times, want once", client, n)
		}
		_ = own.Close()
	}
}

// said returns the poser's last message.
func (p *poser) said() string { return fmt.Sprintf("hello %d\n", p.execs.Load()) }

// lastMessage returns the index of the last message with a name and a direction.
func lastMessage(r *rig, name string, out bool) int {
	last := -1
	for i, m := range r.messages {
		if m.Name == name && m.Out == out {
			last = i
		}
	}
	return last
}
