package wire

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"hash"
	"slices"
	"time"
	"unique"
)

// An exchange is one key exchange from our KEXINIT to both NEWKEYS (RFC 4253
// §7).
type exchange struct {
	ours, theirs *kexInit
	oursRaw      []byte    // our whole KEXINIT payload, for the exchange hash
	hash         hash.Hash // the exchange hash up to both KEXINITs
	agreed       *agreement
	method       string // of key
	key          keyAgreement
	ignoreNext   bool   // the peer guessed wrong (RFC 4253 §7)
	next         opener // used after the peer's NEWKEYS
	nextSealer   sealer // used after our NEWKEYS
}

// Pseudo-methods in the kex list: RFC 8308 §2.1 and OpenSSH's PROTOCOL §1.10.
const (
	extInfoClient = "ext-info-c"
	strictClient  = "kex-strict-c-v00@openssh.com"
)

// startKex sends our KEXINIT and, with EarlyKex, the first message of the method: later again if the
// server has taken it so in the first exchange.
func (c *endpoint) startKex() {
	first := c.sessionID == nil
	k := &exchange{ours: c.newKexInit(first)}
	k.oursRaw = k.ours.append(make([]byte, 0, kexInitRoom))
	c.kex = k
	c.send(k.oursRaw)
	c.out.held = new(backlog)
	if early := first && !c.server && c.config.earlyKex() || c.early; early && len(k.ours.kex) > 0 && !pseudo(k.ours.kex[0]) {
		if err := c.sendKexMessage(k.ours.kex[0]); err != nil {
			c.end(err)
		}
	}
}

func (c *endpoint) newKexInit(first bool) *kexInit {
	none := []string{"none"}
	ciphers, macs := offered(c.config.Ciphers, Ciphers), offered(c.config.MACs, MACs)
	k := &kexInit{
		kex:        offered(c.config.Kex, KexAlgorithms),
		hostKeys:   c.role.hostKeyAlgorithms(),
		ciphersOut: ciphers, ciphersIn: ciphers,
		macsOut: macs, macsIn: macs,
		compOut: none, compIn: none,
	}
	if first {
		k.kex = append(slices.Clone(k.kex), c.markers()...)
	} else {
		m := c.later.Value()
		if k.hostKeys = []string{m.hostKey}; !c.server { // the host key must stay the same
			k.kex = []string{m.kex} // the server has it, and no later keys are weaker than the first
		}
	}
	_, _ = rand.Read(k.cookie[:])
	return k
}

// markers are the pseudo-methods that we list in the first KEXINIT.
func (c *endpoint) markers() []string {
	if c.server {
		return []string{strictServer}
	}
	return []string{extInfoClient, strictClient}
}

// sendKexMessage sends our ephemeral key (RFC 5656 §4, draft-ietf-sshm-mlkem-hybrid-kex §2).
func (c *endpoint) sendKexMessage(method string) error {
	key, err := newKeyAgreement(method)
	if err != nil {
		return err
	}
	c.kex.key, c.kex.method = key, method
	public := key.public()
	head := [1 + 4]byte{msgKexInitMethod}
	binary.BigEndian.PutUint32(head[1:], uint32(len(public)))
	c.trace(true, head[:], len(public))
	c.borrow()
	c.out.seal(head[:], public)
	return nil
}

// needsRekey reports whether the keys have been used for too much data or too long (RFC 4253
// §9).
func (c *endpoint) needsRekey() bool {
	if max(c.in.bytes, c.out.bytes) >= c.config.rekeyBytes() || max(c.in.packets, c.out.packets) >= MaxRekeyPackets {
		return c.mayRekey()
	}
	left, ages := c.KeysLast()
	return ages && left <= 0
}

func (c *endpoint) mayRekey() bool { return c.kex == nil && c.auth == nil }

// KeysLast returns how long the keys may still be used by Config.RekeyAfter; ok is false if there is
// no such limit, or it does not count now, because keys are being exchanged or there is no login yet.
func (c *endpoint) KeysLast() (left time.Duration, ok bool) {
	return c.config.RekeyAfter - c.age, c.config.RekeyAfter > 0 && c.mayRekey()
}

// Rekey begins a key exchange if the keys have been used for too much data or too long. Next does the
// same after each message: Rekey is for connections on which there is none.
func (c *endpoint) Rekey() {
	if c.err == nil && c.needsRekey() {
		c.startKex()
	}
}

// takeKexInit processes the peer's KEXINIT.
func (c *endpoint) takeKexInit(p []byte) (Event, error) {
	if c.kex != nil && c.kex.theirs != nil {
		return nil, unexpected(msgKexInit, "twice", "RFC 4253 §7.1")
	}
	if c.kex == nil {
		c.rekeys.give(float64(c.in.bytes+c.out.bytes)/(1<<20), freeRekeys)
		if !c.rekeys.take() {
			return nil, fail(KindAbuse, "RFC 4253 §9", "the %s exchanges keys over and over", c.peer())
		}
		c.startKex()
	}
	k := c.kex
	theirs, err := c.config.Memory.parseKexInit(p, c.peer())
	if err != nil {
		return nil, err
	}
	k.theirs = theirs
	first := c.sessionID == nil
	if k.agreed, err = c.agree(k, first); err != nil {
		return nil, err
	}
	newHash := kexHash(k.agreed.kex)
	if c.server {
		k.hash = beginExchangeHash(newHash, c.theirVersion(), c.config.version(), p, k.oursRaw)
	} else {
		k.hash = beginExchangeHash(newHash, c.config.version(), c.theirVersion(), k.oursRaw, p)
	}
	k.oursRaw = nil
	k.ignoreNext = k.agreed.guessed
	if first {
		c.strict = k.agreed.strict
		if c.strict && c.in.seq != 1 {
			return nil, fail(KindProtocol, "OpenSSH's PROTOCOL §1.10", "the %s's first message was not KEXINIT", c.peer())
		}
	}
	return c.role.negotiated(first)
}

// agree negotiates from both KEXINITs.
func (c *endpoint) agree(k *exchange, first bool) (*agreement, error) {
	client, server := k.ours, k.theirs
	if c.server {
		client, server = server, client
	}
	var a *agreement
	var err error
	if first {
		a, err = negotiate(client, server, k.theirs)
	} else {
		a, err = renegotiate(client, server, k.theirs, c.strict)
	}
	if err == nil && c.server {
		a.out, a.in = a.in, a.out
	}
	return a, err
}

// negotiated sends our ephemeral key, unless it was sent early.
func (c *Client) negotiated(first bool) (Event, error) {
	k := c.kex
	var err error
	switch {
	case k.key == nil:
		err = c.sendKexMessage(k.agreed.kex)
	case k.method != k.agreed.kex:
		err = fail(KindWrongGuess, "RFC 4253 §7.1",
			"the early key exchange was %s, the server chose %s", k.method, k.agreed.kex)
	}
	if !first {
		return nil, err
	}
	return Negotiated{
		Kex: k.agreed.kex, HostKey: k.agreed.hostKey,
		CipherOut: k.agreed.out.cipher, CipherIn: k.agreed.in.cipher, Strict: c.strict,
		ServerKex: k.theirs.kex, ServerHostKeys: k.theirs.hostKeys,
	}, err
}

// takeKex computes the shared secret and verifies the host key's signature of the
// exchange hash (RFC 4253 §8, RFC 5656 §4).
func (c *Client) takeKex(p []byte) (Event, error) {
	k := c.kex
	if k == nil || k.agreed == nil || k.next != nil {
		return nil, unexpected(msgKexReplyMethod, "out of turn", "RFC 4253 §8")
	}
	r := read(p[1:])
	blob, public, signature := r.string(), r.string(), r.string()
	if !r.done() {
		return nil, malformed(msgKexReplyMethod, "RFC 5656 §4")
	}
	secret, err := k.key.agree(public)
	if err != nil {
		return nil, err
	}
	h := endExchangeHash(k.hash, blob, k.key.public(), public, secret)
	if err := c.checkPin(blob); err != nil {
		return nil, err
	}
	key, err := verifyHostKey(k.agreed.hostKey, blob, signature, h)
	if err != nil {
		return nil, err
	}
	first := c.sessionID == nil
	if first {
		c.sessionID = h
		c.hostKey, c.later = sha256.Sum256(blob), unique.Make(methods{k.agreed.kex, k.agreed.hostKey})
		c.early = c.config.earlyKex()
	}
	defer clear(secret)
	material := keyMaterial{k.hash, secret, h, c.sessionID}
	if err := c.deriveKeys(material); err != nil {
		return nil, err
	}
	if !first {
		c.useNewSealer()
		return nil, nil
	}
	c.waiting = true
	return HostKey{Algorithm: k.agreed.hostKey, Key: key, Signature: slices.Clone(signature), SessionID: h}, nil
}

// deriveKeys makes the ciphers of both directions.
func (c *endpoint) deriveKeys(m keyMaterial) (err error) {
	k := c.kex
	out, in := toServer(), toClient()
	if c.server {
		out, in = in, out
	}
	if k.nextSealer, err = newProtection(k.agreed.out, m, out); err != nil {
		return err
	}
	k.next, err = newProtection(k.agreed.in, m, in)
	return err
}

// checkPin returns an error unless a later key exchange uses the key that was trusted.
func (c *Client) checkPin(blob []byte) error {
	if c.sessionID == nil {
		return nil
	}
	sum := sha256.Sum256(blob)
	if subtle.ConstantTimeCompare(sum[:], c.hostKey[:]) == 1 {
		return nil
	}
	return fail(KindHostKeyChanged, "", "the server brought another host key in a later key exchange")
}

// Trust accepts the host key. Messages may be sent after it; before it, nothing that depends
// on the keys is sent.
func (c *Client) Trust() {
	if !c.waiting {
		panic("wire: Trust without a HostKey event")
	}
	c.waiting = false
	c.useNewSealer()
	c.ready = true
}

// useNewSealer sends NEWKEYS and switches sending to the new keys (RFC 4253 §7.3).
func (c *endpoint) useNewSealer() {
	c.send([]byte{msgNewKeys})
	o := &c.out
	o.sealer, c.kex.nextSealer = c.kex.nextSealer, nil
	o.bytes, o.packets = 0, 0
	if c.strict {
		o.seq = 0
	}
	held := o.held.messages
	o.held = nil
	c.mux.early.age()
	for i, p := range held {
		c.mux.early.sealed(i, o.seq)
		c.send(p)
		clear(p)
	}
}

// takeNewKeys processes NEWKEYS and switches receiving to the new keys.
func (c *endpoint) takeNewKeys(p []byte) (Event, error) {
	if c.kex == nil || c.kex.next == nil {
		return nil, unexpected(msgNewKeys, "out of turn", "RFC 4253 §7.3")
	}
	if len(p) != 1 {
		return nil, malformed(msgNewKeys, "RFC 4253 §7.3")
	}
	c.in.opener = c.kex.next
	c.in.bytes, c.in.packets, c.age = 0, 0, 0
	if c.strict {
		c.in.seq = 0
		c.mux.early.renumber()
	}
	c.kex = nil
	if c.secured {
		return Rekeyed{}, nil
	}
	c.secured = true
	return nil, nil
}
