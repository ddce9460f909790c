package persist

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// A work is an attempt that the holder makes for a run.
type work struct {
	session     *session
	id          uint32
	attempt     *ssh.Attempt
	ctx         context.Context
	cancel      context.CancelCauseFunc
	connectLeft time.Duration
	input       *inflow // nil: none

	drain chan struct{} // closed by kindDrain

	mu       sync.Mutex
	changed  *sync.Cond
	credit   int  // bytes of output that the run takes
	intended bool // the run has recorded the next intent
	started  bool
	drained  bool   // drain is closed
	proven   bool   // the host key is that of the target
	user     string // the key that signed last, in wire form
}

// open dials, or takes a held connection. A panic ends this one attempt.
func (w *work) open() {
	s, a := w.session, w.attempt
	defer func() {
		if p := recover(); p != nil {
			w.failed(a.Fail(a.Execution.Failed(), fleet.ReasonInternal, panicError(p)))
		}
	}()
	h := s.holder
	limit := s.line.timeouts.For(a).Connect
	a.ConnectBy(h.clock.Now().Add(w.connectLeft-limit), limit)
	if err := w.checkHops(w.ctx); err != nil {
		a.Connection = &fleet.Connection{Why: fleet.DialHostKey}
		w.failed(a.FailIn(fleet.PhaseHostkey, fleet.OutcomeNeverStarted, fleet.ReasonHostkeyFailed, err))
		return
	}
	other := h.elsewhere(s.line, a.Target)
	var d ssh.Dialer = s.line.pool
	if h.unheld {
		d = logins{h, s.line.dialer}
	}
	c, err := d.Dial(w.ctx, a)
	if other && a.Connection != nil && a.Connection.Why == fleet.DialNew {
		a.Connection.Why = fleet.DialSettings
	}
	if err != nil {
		f, ok := errors.AsType[*fleet.Error](err)
		if !ok {
			f = a.Fail(a.Execution.Failed(), fleet.ReasonInternal, err)
		}
		w.failed(f)
		return
	}
	s.mu.Lock()
	gone := s.conns == nil
	if !gone {
		s.conns[w.id] = c
	}
	s.mu.Unlock()
	if gone {
		_ = c.Close()
		s.forget(w)
		return
	}
	queued := a.Execution.Queued()
	s.link.send(kindOpened, w.id, func(e *enc) {
		encodeConnection(e, a.Connection)
		e.bool(queued)
		e.str(dialled(a))
	})
}

// failed reports that there is no connection.
func (w *work) failed(f *fleet.Error) {
	w.session.forget(w)
	w.session.link.send(kindFailed, w.id, func(e *enc) { encodeEnd(e, f.End(), w.attempt.Connection) })
}

// checkHops has the run check the host keys of the jump hosts, whose connections may be those of
// another run.
func (w *work) checkHops(ctx context.Context) error {
	if w.attempt.Target.Jump() == nil {
		return nil
	}
	d, err := w.at(0).ask(ctx, askHops, func(e *enc) { w.session.holder.encodeHops(e, w.attempt.Target) })
	if err != nil {
		return err
	}
	return d.done()
}

// next runs the attempt on a connection of an earlier one.
func (w *work) next(c ssh.Conn) {
	if !w.begins() {
		return
	}
	if c == nil {
		w.ended(unconnected().End())
		return
	}
	c.StartNext(w.ctx, w.attempt, w.ended)
}

// unconnected returns the failure of an attempt whose connection the run has closed.
func unconnected() *fleet.Error {
	return &fleet.Error{
		Outcome: fleet.OutcomeNeverStarted, Phase: fleet.PhaseSession, Reason: fleet.ReasonConnClosed,
		Err: errors.New("there is no such connection"),
	}
}

// begins counts the attempt as started; it reports false if it was already.
func (w *work) begins() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.started {
		return false
	}
	w.started = true
	w.session.all.Add(1)
	return true
}

// ended reports the command's end. Unless the run keeps the connection it does not close it either:
// the pool has it back.
func (w *work) ended(end fleet.End) {
	s := w.session
	if !w.attempt.Keep {
		s.mu.Lock()
		delete(s.conns, w.id)
		s.mu.Unlock()
	}
	s.forget(w)
	s.link.send(kindEnd, w.id, func(e *enc) { encodeEnd(e, end, w.attempt.Connection) })
	s.all.Done()
}

// closed forgets an attempt whose connection the run has closed before it was started.
func (w *work) closed() {
	w.mu.Lock()
	started := w.started
	w.mu.Unlock()
	if !started {
		w.session.forget(w)
	}
}

// take handles a frame about the attempt.
func (w *work) take(k kind, b *dec) error {
	s := w.session
	switch k {
	case kindStart:
		intended := b.bool()
		if err := b.done(); err != nil {
			return err
		}
		s.mu.Lock()
		c := s.conns[w.id]
		s.mu.Unlock()
		if !w.begins() {
			return errMalformed
		}
		if c == nil {
			f := unconnected()
			f.Outcome = w.attempt.Execution.Failed() // it may have been sent with the login
			w.ended(f.End())
			return nil
		}
		w.mu.Lock()
		w.intended = intended
		w.mu.Unlock()
		s.goroutines.run(func() { c.Start(w.ctx, w.ended) })
	case kindCancel:
		why := b.str()
		if err := b.done(); err != nil {
			return err
		}
		s.goroutines.run(func() { w.cancel(errors.New(why)) })
	case kindDrain:
		w.mu.Lock()
		if !w.drained {
			w.drained = true
			close(w.drain)
		}
		w.mu.Unlock()
		return b.done()
	case kindInput:
		p := b.bytes()
		if err := b.done(); err != nil || w.input == nil {
			return errMalformed
		}
		return w.input.add(p, nil)
	case kindInputEnd:
		text := b.str()
		if err := b.done(); err != nil || w.input == nil {
			return errMalformed
		}
		return w.input.add(nil, inputEnd(text))
	case kindCredit:
		n := b.uint()
		if err := b.done(); err != nil {
			return err
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if n > window || w.credit+int(n) > window {
			return errMalformed
		}
		w.credit += int(n)
		w.changed.Broadcast()
	default:
		return errMalformed
	}
	return nil
}

// allowed waits until the run takes output, and returns for how many bytes, n at most. 0 means
// that it takes none any more.
func (w *work) allowed(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.credit == 0 && w.ctx.Err() == nil {
		w.changed.Wait()
	}
	if w.credit == 0 {
		return 0
	}
	n = min(n, w.credit)
	w.credit -= n
	return n
}

// entered tells the run of a phase.
func (w *work) entered(p fleet.Phase) {
	w.session.link.send(kindPhase, w.id, func(e *enc) { e.uint(uint64(p)) })
}

// intentTime is how long a run may take to record an intent. One that is stopped (SIGSTOP) does not
// answer at all, and with ssh.Attempt.Hold a worker of the event loop waits for it.
const intentTime = 2 * time.Minute

// intend has the run record that the command is about to be sent.
func (w *work) intend() error {
	if w.attempt.Target.Jump() == nil && w.isIntended() {
		return nil
	}
	// Not the attempt's: the answer tells whether it was recorded.
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	h := w.session.holder
	defer h.clock.AfterFunc(h.intentTime, func() {
		cancel(&fleet.Error{Reason: fleet.ReasonSessionTimeout, Err: fmt.Errorf(
			"the run has not written down within %v that the command is about to be sent", h.intentTime)})
	})()
	if err := w.checkHops(ctx); err != nil || w.isIntended() {
		return err
	}
	at := dialled(w.attempt)
	d, err := w.at(0).ask(ctx, askIntend, func(e *enc) { e.str(at) })
	if err != nil {
		return err
	}
	return d.done()
}

// isIntended reports whether the run has recorded its intent already, which is true once.
func (w *work) isIntended() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	done := w.intended
	w.intended = false
	return done
}

// dialled returns the address that was dialled for the attempt, as ssh.Progress has it; "" for none.
func dialled(a *ssh.Attempt) string {
	if a.Address == nil {
		return ""
	}
	return a.Address.String()
}

// A stop is where on the way of an attempt a question arises: at its target, 0, or at so many jump
// hosts before it.
type stop struct {
	*work
	hop int
}

func (w *work) at(hop int) stop { return stop{w, hop} }

// ask asks the run and returns the fields of its answer.
func (w stop) ask(ctx context.Context, q question, body func(*enc)) (*dec, error) {
	s := w.session
	answer := make(chan []byte, 1)
	s.mu.Lock()
	s.last++
	number := s.last
	s.calls[number] = answer
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.calls, number)
		s.mu.Unlock()
	}()
	sent := s.link.send(kindAsk, number, func(e *enc) {
		e.uint(uint64(w.id))
		e.uint(uint64(q))
		if e.uint(uint64(w.hop)); body != nil {
			body(e)
		}
	})
	switch {
	case sent:
	case s.ctx.Err() != nil:
		return nil, w.unanswered(errRunGone)
	default:
		return nil, errLarge
	}
	var look <-chan time.Time
	if w.hop > 0 { // others wait for the answer too
		tick := time.NewTicker(s.holder.silence / silentBeats)
		defer tick.Stop()
		look = tick.C
	}
	for {
		select {
		case b := <-answer:
			d := &dec{b: b}
			if err := refusal(d); err != nil {
				return nil, err
			}
			return d, nil
		case <-ctx.Done():
			return nil, w.unanswered(context.Cause(ctx))
		case <-s.ctx.Done():
			return nil, w.unanswered(errRunGone)
		case <-look:
			if s.silent() {
				return nil, w.unanswered(errRunSilent)
			}
		}
	}
}

var errRunSilent = errors.New("the run that was asked about the jump host gives no answer")

// unanswered returns the error of a question that the run cannot answer any more. The connection to a
// jump host is not only for the attempt by which its run was asked, and that it ends is no fault of the
// jump host: the next try asks another one.
func (w stop) unanswered(err error) error {
	if w.hop == 0 {
		return err
	}
	return lost(err)
}

// An asker has the run decide. It implements ssh.HostKeys, ssh.KeyReleaser, ssh.PasswordGuard and
// ssh.Identities.
type asker struct{ holder *Holder }

var errNobody = lost(errors.New("no run asks for this host any more"))

// workOf returns who is asked about a target, or about a jump host: then any attempt whose way it
// is on, because they share the connection, and of a run that is not stopped if there is one.
func (h *Holder) workOf(t ssh.Target) (stop, error) {
	if w, ok := h.askers.Load(t.Endpoint); ok {
		return w.(*work).at(0), nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var found stop
	if hop := h.hops[t.Endpoint]; hop != nil {
		for w, n := range hop.works {
			if w.ctx.Err() != nil {
				continue
			}
			if found = w.at(n); !w.session.silent() {
				break
			}
		}
	}
	if found.work == nil {
		return stop{}, errNobody
	}
	return found, nil
}

// Algorithms implements ssh.HostKeys.
func (k asker) Algorithms(t ssh.Target) []string {
	w, err := k.holder.workOf(t)
	if err != nil {
		return nil
	}
	d, err := w.ask(w.ctx, askAlgorithms, nil)
	if err != nil {
		return nil
	}
	list := d.strs()
	if d.done() != nil {
		return nil
	}
	return list
}

// Check implements ssh.HostKeys.
func (k asker) Check(t ssh.Target, remote net.Addr, key xssh.PublicKey) error {
	w, err := k.holder.workOf(t)
	if err != nil {
		return err
	}
	addr := ""
	if remote != nil {
		addr = remote.String()
	}
	err = w.learn(w.ctx, askCheck, func(e *enc) {
		e.str(addr)
		e.bytes(key.Marshal())
	})
	if err == nil && w.hop > 0 {
		k.holder.passed(t, key)
	}
	return err
}

// Accepted implements ssh.HostKeys.
func (k asker) Accepted(ctx context.Context, t ssh.Target, key xssh.PublicKey) error {
	w, err := k.holder.workOf(t)
	if err != nil {
		return err
	}
	return w.learn(ctx, askAccepted, func(e *enc) { e.bytes(key.Marshal()) })
}

// learn asks for a verdict on a host key, and whether the key is proven.
func (w stop) learn(ctx context.Context, q question, body func(*enc)) error {
	d, err := w.ask(ctx, q, body)
	if err != nil {
		return err
	}
	proven := d.bool()
	if err := d.done(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hop == 0 {
		w.proven = proven
	}
	return nil
}

// Released implements ssh.KeyReleaser.
func (k asker) Released(t ssh.Target, key xssh.PublicKey) {
	if w, err := k.holder.workOf(t); err == nil {
		w.session.link.send(kindReleased, w.id, func(e *enc) {
			e.uint(uint64(w.hop))
			e.bytes(key.Marshal())
		})
	}
}

var errNotProven = errors.New("the run does not know the host key")

// AllowPassword implements ssh.PasswordGuard: there are no passwords, but the host cache, too, only
// believes proven hosts.
func (k asker) AllowPassword(_ context.Context, t ssh.Target, _ xssh.PublicKey) error {
	w, err := k.holder.workOf(t)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.proven || w.hop > 0 {
		return errNotProven
	}
	return nil
}

// Signers implements ssh.Identities.
func (k asker) Signers(ctx context.Context, t ssh.Target) ([]xssh.Signer, error) {
	w, err := k.holder.workOf(t)
	if err != nil {
		return nil, err
	}
	d, err := w.ask(ctx, askSigners, nil)
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	n := d.uint()
	if n > uint64(len(d.b)) {
		return nil, errMalformed
	}
	list := make([]xssh.Signer, 0, n)
	for i := range n {
		blob := d.str()
		s := signer{work: w, ctx: ctx, number: i, blob: blob}
		s.knowsAsk, s.ask = d.bool(), d.bool()
		chooses, multi := d.bool(), d.bool()
		if multi {
			s.algorithms = d.strs()
		}
		s.from = d.str()
		if d.bad {
			return nil, errMalformed
		}
		if s.key, err = w.session.publicKey(blob); err != nil {
			return nil, err
		}
		list = append(list, s.as(chooses, multi))
	}
	return list, d.done()
}

// unavailable returns the error of a question about keys whose answer did not come before ctx ended.
func unavailable(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return &fleet.Error{
		Outcome: fleet.OutcomeNeverStarted, Phase: fleet.PhaseAuth, Reason: fleet.ReasonAgentUnavailable,
		Err: fmt.Errorf("waiting for a key, or for a signature of the agent: %w", err),
	}
}

// publicKey returns the key in a blob.
func (s *session) publicKey(blob string) (xssh.PublicKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key := s.keys[blob]; key != nil {
		return key, nil
	}
	key, err := xssh.ParsePublicKey([]byte(blob))
	if err != nil {
		return nil, fmt.Errorf("a key of the run: %w", err)
	}
	s.keys[blob] = key
	return key, nil
}

// A signer has the run sign. What it implements beside is what the run's signer does.
type signer struct {
	work       stop
	ctx        context.Context // of the login
	number     uint64
	blob       string
	key        xssh.PublicKey
	algorithms []string
	ask        bool // see candidate.askFirst of package client
	knowsAsk   bool
	from       string
}

// PublicKey implements xssh.Signer.
func (s signer) PublicKey() xssh.PublicKey { return s.key }

// From returns where the key is from, for people.
func (s signer) From() string { return s.from }

// Sign implements xssh.Signer.
func (s signer) Sign(_ io.Reader, data []byte) (*xssh.Signature, error) { return s.sign(data, "") }

func (s signer) sign(data []byte, algorithm string) (*xssh.Signature, error) {
	if s.work.hop == 0 {
		s.work.mu.Lock()
		s.work.user = s.blob
		s.work.mu.Unlock()
	}
	d, err := s.work.ask(s.ctx, askSign, func(e *enc) {
		e.uint(s.number)
		e.str(algorithm)
		e.bytes(data)
	})
	if err != nil {
		return nil, unavailable(s.ctx, err)
	}
	sig := &xssh.Signature{Format: d.str(), Blob: append([]byte(nil), d.bytes()...), Rest: append([]byte(nil), d.bytes()...)}
	if err := d.done(); err != nil {
		return nil, err
	}
	return sig, nil
}

// as returns the signer with the methods that the run's has.
func (s signer) as(chooses, multi bool) xssh.Signer {
	switch {
	case s.knowsAsk && multi:
		return askingMulti{multiSigner{choosingSigner{s}}}
	case multi:
		return multiSigner{choosingSigner{s}}
	case chooses:
		return choosingSigner{s}
	}
	return s
}

type choosingSigner struct{ signer }

// SignWithAlgorithm implements xssh.AlgorithmSigner.
func (s choosingSigner) SignWithAlgorithm(_ io.Reader, data []byte, algorithm string) (*xssh.Signature, error) {
	return s.sign(data, algorithm)
}

type multiSigner struct{ choosingSigner }

// Algorithms implements xssh.MultiAlgorithmSigner.
func (s multiSigner) Algorithms() []string { return s.algorithms }

type askingMulti struct{ multiSigner }

// AskFirst reports whether a signature may need a person.
func (s askingMulti) AskFirst() bool { return s.ask }
