package persist

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// errOver is no fault of a host, so that whoever shares the connection for which it was asked tries again.
var errOver = lost(errors.New("the attempt is over"))

// lost returns err with the reason of a run or a holder that is gone.
func lost(err error) *fleet.Error {
	return &fleet.Error{Outcome: fleet.OutcomeNeverStarted, Phase: fleet.PhaseDial, Reason: fleet.ReasonHolderLost, Err: err}
}

// asked answers a question of the holder, on a goroutine of its own: the answer may take as long
// as an agent or a disk.
func (d *Dialer) asked(number uint32, b *dec) error {
	id, q, hop := uint32(b.uint()), question(b.uint()), b.uint()
	if b.bad || q > askIntend || hop > maxHops {
		return errMalformed
	}
	d.mu.Lock()
	r := d.attempts[id]
	d.mu.Unlock()
	if r == nil {
		d.link.send(kindAnswer, number, func(e *enc) { encodeRefusal(e, errOver) })
		return nil
	}
	if q == askIntend { // at once: the command waits for it
		at := b.str()
		if err := b.done(); err != nil {
			return err
		}
		d.goroutines.run(func() { r.intend(number, at) })
		return nil
	}
	all := way(r.attempt.Target)
	if hop >= uint64(len(all)) {
		return errMalformed
	}
	ask := &asking{remote: r, hop: int(hop), target: all[hop], ctx: r.context(), body: dec{b: append([]byte(nil), b.b...)}}
	d.goroutines.run(func() {
		fields, err := ask.guarded(q)
		if !d.link.send(kindAnswer, number, func(e *enc) {
			if encodeRefusal(e, err); err == nil && fields != nil {
				fields(e)
			}
		}) {
			d.link.send(kindAnswer, number, func(e *enc) { encodeRefusal(e, errLarge) })
		}
	})
	return nil
}

// reached is told of the address that was dialled, which the intent has.
func (r *remote) reached(text string) {
	if at, err := netip.ParseAddrPort(text); err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		if !r.withdrawn { // otherwise the run may have dialled by itself
			r.attempt.Address = &at
		}
	}
}

// intend records the intent and hands the command over.
func (r *remote) intend(number uint32, at string) {
	a := r.attempt
	r.reached(at)
	if f := r.recordIntent(); f != nil {
		r.dialer.link.send(kindAnswer, number, func(e *enc) { encodeRefusal(e, f) })
		return
	}
	r.mu.Lock() // its outcome is decided before this, or with the command handed over
	defer r.mu.Unlock()
	if r.withdrawn {
		r.dialer.link.send(kindAnswer, number, func(e *enc) { encodeRefusal(e, errOver) })
		return
	}
	a.Execution.Queue(1)
	r.dialer.link.hand(kindAnswer, number, func(e *enc) { encodeRefusal(e, nil) }, &a.Execution,
		frameOf(kindAnswer, number, func(e *enc) { encodeRefusal(e, errOver) }))
}

// recordIntent records the intent. A panic ends the attempt alone.
func (r *remote) recordIntent() (f *fleet.Error) {
	defer func() {
		if p := recover(); p != nil {
			f = r.attempt.Fail(r.attempt.Execution.Failed(), fleet.ReasonInternal, panicError(p))
		}
	}()
	return r.attempt.Intend()
}

// released is told of a host key that was checked and proved nothing.
func (r *remote) released(hop uint64, blob []byte) error {
	key, err := xssh.ParsePublicKey(blob)
	all := way(r.attempt.Target)
	if err != nil || hop >= uint64(len(all)) {
		return errMalformed
	}
	ssh.ReleaseKey(r.dialer.opts.HostKeys, all[hop], key)
	return nil
}

// An asking is a question.
type asking struct {
	remote *remote
	hop    int // 0: the target, or so many jump hosts before it
	target ssh.Target
	ctx    context.Context
	body   dec
}

func (k *asking) hostKey() (xssh.PublicKey, error) {
	key, err := xssh.ParsePublicKey(k.body.bytes())
	if err != nil {
		return nil, errMalformed
	}
	return key, nil
}

// guarded is answer, of which a panic ends the attempt alone.
func (k *asking) guarded(q question) (fields func(*enc), err error) {
	defer func() {
		if p := recover(); p != nil {
			fields, err = nil, panicError(p)
		}
	}()
	return k.answer(q)
}

// answer returns what is to be answered. The fields are those of values that are there: the link is locked
// while they are encoded.
func (k *asking) answer(q question) (fields func(*enc), err error) {
	r, b := k.remote, &k.body
	keys, t := r.dialer.opts.HostKeys, k.target
	proven := func(key xssh.PublicKey) func(*enc) {
		is := ssh.Proven(keys, t, key)
		return func(e *enc) { e.bool(is) }
	}
	switch q {
	case askAlgorithms:
		list := keys.Algorithms(t)
		return func(e *enc) { e.strs(list) }, b.done()
	case askCheck:
		addr := address(b.str())
		key, err := k.hostKey()
		if err := errors.Join(err, b.done()); err != nil {
			return nil, err
		}
		if err := keys.Check(t, addr, key); err != nil {
			return nil, err
		}
		if k.hop == 0 {
			r.attempt.TellHostKey(keys, key)
			r.attempt.Identified(keys, key)
		}
		return proven(key), nil
	case askAccepted:
		key, err := k.hostKey()
		if err := errors.Join(err, b.done()); err != nil {
			return nil, err
		}
		if err := k.accept(key); err != nil {
			return nil, err
		}
		return proven(key), nil
	case askAdmit:
		return k.admit()
	case askHops:
		jumps, err := k.hopKeys()
		if err := errors.Join(err, b.done()); err != nil {
			return nil, err
		}
		return nil, k.trust(jumps)
	case askSigners:
		if err := b.done(); err != nil {
			return nil, err
		}
		signers, err := r.dialer.opts.Identities.Signers(k.ctx, t)
		if err != nil {
			return nil, err
		}
		r.mu.Lock()
		r.signers[k.hop] = signers
		r.mu.Unlock()
		return func(e *enc) { encodeSigners(e, signers) }, nil
	case askSign:
		return k.sign()
	}
	return nil, errMalformed
}

// accept has a key learned with which the host has let somebody in. Where it was a jump host, another run may have been
// asked about the key: then its verdict is not ours.
func (k *asking) accept(key xssh.PublicKey) error {
	keys := k.remote.dialer.opts.HostKeys
	if k.hop == 0 {
		return keys.Accepted(k.ctx, k.target, key)
	}
	return learn(k.ctx, keys, k.target, key)
}

// learn has a key checked, and learned, of a connection that is there.
func learn(ctx context.Context, keys ssh.HostKeys, t ssh.Target, key xssh.PublicKey) error {
	if err := keys.Check(t, nil, key); err != nil {
		return err
	}
	err := keys.Accepted(ctx, t, key)
	if err != nil {
		ssh.ReleaseKey(keys, t, key)
	}
	return err
}

// A hopKey is a host key of a target, or of a jump host.
type hopKey struct {
	target ssh.Target
	key    xssh.PublicKey
}

// hopKeys reads the host keys with which jump hosts were reached.
func (k *asking) hopKeys() (jumps []hopKey, err error) {
	all := way(k.target)
	for range min(k.body.uint(), uint64(len(k.body.b))) {
		hop := k.body.uint()
		key, err := k.hostKey()
		if err != nil || hop == 0 || hop >= uint64(len(all)) {
			return nil, errMalformed
		}
		jumps = append(jumps, hopKey{all[hop], key})
	}
	return jumps, nil
}

// trust checks host keys of connections that are there.
func (k *asking) trust(all []hopKey) error {
	keys := k.remote.dialer.opts.HostKeys
	for _, c := range all {
		if err := keys.Check(c.target, nil, c.key); err != nil {
			return err
		}
		ssh.ReleaseKey(keys, c.target, c.key)
	}
	return nil
}

// admit decides whether a held connection is used.
func (k *asking) admit() (fields func(*enc), err error) {
	r := k.remote
	keys, t, maxAge := r.dialer.opts.HostKeys, r.attempt.Target, r.dialer.opts.MaxAge
	key, err := k.hostKey()
	jumps, err2 := k.hopKeys()
	err = errors.Join(err, err2)
	user, age := k.body.bytes(), k.body.dur()
	if err := errors.Join(err, k.body.done()); err != nil {
		return nil, err
	}
	say := func(why fleet.DialReason) (func(*enc), error) {
		return func(e *enc) { e.str(string(why)) }, nil
	}
	if maxAge > 0 && age >= maxAge {
		return say(fleet.DialExpired)
	}
	if err := k.trust(jumps); err != nil {
		return say(fleet.DialHostKey)
	}
	if err := k.learn(key); err != nil {
		return say(fleet.DialHostKey)
	}
	if len(user) > 0 {
		signers, err := r.dialer.opts.Identities.Signers(k.ctx, t)
		if err != nil || !has(signers, user) {
			return say(fleet.DialUserKey)
		}
	}
	r.attempt.Identified(keys, key)
	return say("")
}

// learn is learn for the key of a held connection, which another run may have learned since known_hosts was read here.
func (k *asking) learn(key xssh.PublicKey) error {
	ctx, cancel := context.WithTimeout(k.ctx, k.remote.dialer.opts.Timeouts.WithDefaults().Auth)
	defer cancel()
	return learn(ctx, k.remote.dialer.opts.HostKeys, k.remote.attempt.Target, key)
}

func has(signers []xssh.Signer, blob []byte) bool {
	for _, s := range signers {
		if bytes.Equal(s.PublicKey().Marshal(), blob) {
			return true
		}
	}
	return false
}

func encodeSigners(e *enc, signers []xssh.Signer) {
	e.uint(uint64(len(signers)))
	for _, s := range signers {
		e.bytes(s.PublicKey().Marshal())
		asks, ok := s.(interface{ AskFirst() bool })
		e.bool(ok)
		e.bool(ok && asks.AskFirst())
		_, chooses := s.(xssh.AlgorithmSigner)
		e.bool(chooses)
		multi, ok := s.(xssh.MultiAlgorithmSigner)
		e.bool(ok)
		if ok {
			e.strs(multi.Algorithms())
		}
		from := ""
		if o, ok := s.(interface{ From() string }); ok {
			from = o.From()
		}
		e.str(from)
	}
}

// sign makes a signature.
func (k *asking) sign() (fields func(*enc), err error) {
	r := k.remote
	number, algorithm, data := k.body.uint(), k.body.str(), k.body.bytes()
	if err := k.body.done(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	signers := r.signers[k.hop]
	r.mu.Unlock()
	if number >= uint64(len(signers)) {
		return nil, errMalformed
	}
	var sig *xssh.Signature
	s, chooses := signers[number].(xssh.AlgorithmSigner)
	if chooses && algorithm != "" {
		sig, err = s.SignWithAlgorithm(rand.Reader, data, algorithm)
	} else {
		sig, err = signers[number].Sign(rand.Reader, data)
	}
	if err != nil {
		return nil, err
	}
	return func(e *enc) {
		e.str(sig.Format)
		e.bytes(sig.Blob)
		e.bytes(sig.Rest)
	}, nil
}

// address returns the address of a connection as the checks of host keys know it.
func address(text string) net.Addr {
	a, err := netip.ParseAddrPort(text)
	if err != nil {
		return nil
	}
	return net.TCPAddrFromAddrPort(a)
}

// An inputState is how far an attempt's standard input has come.
type inputState struct {
	mu      sync.Mutex
	served  bool  // serveInput was called
	allowed int64 // bytes that the holder takes
	sent    int64
	busy    bool // a goroutine sends
	again   bool // and has to look again
	ended   bool
}

// serveInput begins to serve the attempt's standard input. The holder may have asked for some already: a
// Stream that is read before it can tell of more would not be read again.
func (r *remote) serveInput() {
	if r.attempt.Stream != nil {
		r.attempt.Stream.Notify(r.feed)
	}
	r.input.mu.Lock()
	r.input.served = true
	r.input.mu.Unlock()
	r.feed()
}

// want lets the run send input up to an offset.
func (r *remote) want(upTo int64) {
	r.input.mu.Lock()
	r.input.allowed = max(r.input.allowed, upTo)
	r.input.mu.Unlock()
	r.feed()
}

// feed sends what there is to send, on a goroutine of its own.
func (r *remote) feed() {
	if r.isOver() {
		return
	}
	in := &r.input
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.ended || !in.served || in.allowed == 0 || !r.attempt.HasInput():
	case in.busy:
		in.again = true
	default:
		r.dialer.mu.Lock()
		lost := r.dialer.lost != nil
		if !lost {
			in.busy = true
			r.dialer.all.Add(1)
		}
		r.dialer.mu.Unlock()
		if !lost {
			go r.sendInput()
		}
	}
}

func (r *remote) sendInput() {
	defer r.dialer.all.Done()
	in, buf := &r.input, make([]byte, chunk)
	for {
		in.mu.Lock()
		room := min(in.allowed-in.sent, chunk)
		at := in.sent
		in.again = false
		in.mu.Unlock()
		n, err := r.nextInput(buf[:room], at)
		if n > 0 && !r.dialer.link.sendData(kindInput, r.id, func(e *enc) { e.bytes(buf[:n]) }) {
			return
		}
		if err != nil {
			text := ""
			if !errors.Is(err, io.EOF) {
				text = cut(cmp.Or(err.Error(), "it failed"))
				r.mu.Lock()
				r.unread = err
				r.mu.Unlock()
			}
			r.dialer.link.send(kindInputEnd, r.id, func(e *enc) { e.str(text) })
		}
		r.mu.Lock()
		over := r.over
		r.mu.Unlock()
		in.mu.Lock()
		in.sent += int64(n)
		in.ended = err != nil || over
		if in.ended || !in.again && (n == 0 || in.sent == in.allowed) {
			in.busy = false
			in.mu.Unlock()
			return
		}
		in.mu.Unlock()
	}
}

// nextInput reads what is available now, and io.EOF if nothing follows.
func (r *remote) nextInput(p []byte, at int64) (n int, err error) {
	defer func() {
		if p := recover(); p != nil {
			n, err = 0, panicError(p)
		}
	}()
	a := r.attempt
	if a.Stream != nil {
		return a.Stream.Next(p, at)
	}
	left := a.InputSize() - at
	p = p[:min(int64(len(p)), left)]
	if n, err := a.Input.ReadAt(p, at); n < len(p) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return n, err
	}
	if int64(len(p)) == left {
		return len(p), io.EOF
	}
	return len(p), nil
}
