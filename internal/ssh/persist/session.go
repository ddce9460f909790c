package persist

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/ssh"
)

// A session is the holder's side of one run.
type session struct {
	holder     *Holder
	line       *line
	link       *link
	began      time.Time       // by the holder's clock
	heard      atomic.Int64    // time.Duration after that: the run has last sent something
	ctx        context.Context // ends with the run
	cancel     context.CancelCauseFunc
	all        sync.WaitGroup // goroutines, and attempts that were started
	goroutines *goroutines    // some of them

	mu       sync.Mutex
	settings map[uint32]*ssh.Settings
	works    map[uint32]*work
	conns    map[uint32]ssh.Conn
	calls    map[uint32]chan []byte // questions without an answer; each has room for it
	last     uint32                 // question
	keys     map[string]xssh.PublicKey
}

func newSession(ctx context.Context, h *Holder, l *line, k *link) *session {
	s := &session{
		holder: h, line: l, link: k, settings: make(map[uint32]*ssh.Settings), works: make(map[uint32]*work),
		conns: make(map[uint32]ssh.Conn), calls: make(map[uint32]chan []byte), keys: make(map[string]xssh.PublicKey),
	}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	s.goroutines = newGoroutines(&s.all, s.ctx.Done())
	s.began = h.clock.Now()
	return s
}

// hears is called for each frame of the run.
func (s *session) hears() { s.heard.Store(int64(s.age())) }

func (s *session) age() time.Duration { return s.holder.clock.Now().Sub(s.began) }

// silent reports whether the run, which sends something with each beat, is stopped.
func (s *session) silent() bool {
	return s.age()-time.Duration(s.heard.Load()) >= s.holder.silence
}

var errRunGone = errors.New("the run that wanted the command has ended")

// close abandons what the run has begun, and waits for it.
func (s *session) close() {
	s.link.close(errRunGone)
	s.cancel(errRunGone)
	s.mu.Lock()
	conns := s.conns
	s.conns = nil
	s.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
	s.all.Wait()
	s.mu.Lock()
	left := slices.Collect(maps.Values(s.works)) // have a connection, and were not started
	s.mu.Unlock()
	for _, w := range left {
		s.forget(w)
	}
}

// take handles a frame. An error ends the session.
func (s *session) take(f frame) error {
	b := &f.body
	switch f.kind {
	case kindPing:
		s.link.send(kindPong, 0, nil)
		return b.done()
	case kindSettings:
		text := b.bytes()
		if err := b.done(); err != nil {
			return err
		}
		settings, err := s.holder.intern(text)
		if errors.Is(err, errManyOptions) {
			return nil // attempts with them are refused
		}
		if err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.settings) < maxSettings {
			s.settings[f.id] = settings
		}
		return nil
	case kindOpen:
		w, err := s.order(f.id, b)
		if err != nil {
			return s.refuse(kindFailed, f.id, err)
		}
		s.goroutines.run(w.open)
		return nil
	case kindNext:
		on, intended := uint32(b.uint()), b.bool()
		w, err := s.order(f.id, b)
		if err != nil {
			return s.refuse(kindEnd, f.id, err)
		}
		w.intended = intended
		s.mu.Lock()
		c := s.conns[on]
		s.mu.Unlock()
		s.goroutines.run(func() { w.next(c) })
		return nil
	case kindClose:
		s.mu.Lock()
		c, w := s.conns[f.id], s.works[f.id]
		delete(s.conns, f.id)
		s.mu.Unlock()
		if c != nil {
			s.goroutines.run(func() {
				_ = c.Close()
				if w != nil {
					w.closed()
				}
			})
		}
		return b.done()
	case kindAnswer:
		s.mu.Lock()
		answer := s.calls[f.id]
		delete(s.calls, f.id)
		s.mu.Unlock()
		if answer != nil {
			answer <- slices.Clone(b.b)
		}
		return nil
	}
	s.mu.Lock()
	w := s.works[f.id]
	s.mu.Unlock()
	switch {
	case w == nil && f.kind == kindStart: // it was closed before
		s.link.send(kindEnd, f.id, func(e *enc) { encodeEnd(e, unconnected().End(), nil) })
		return nil
	case w == nil:
		return nil // it has ended meanwhile
	}
	return w.take(f.kind, b)
}

// refuse answers an attempt for which there is no room, and returns every other error.
func (s *session) refuse(k kind, id uint32, err error) error {
	if !errors.Is(err, errManyOptions) {
		return err
	}
	end := fleet.End{Outcome: fleet.OutcomeNeverStarted, Reason: fleet.ReasonHolderLost, Phase: fleet.PhaseDial, Err: err}
	if k == kindEnd {
		end.Phase = fleet.PhaseSession
	}
	s.link.send(k, id, func(e *enc) { encodeEnd(e, end, nil) })
	return nil
}

// order enters a new attempt.
func (s *session) order(id uint32, b *dec) (*work, error) {
	o, err := decodeAttempt(b)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.works[id] != nil:
		return nil, errMalformed
	case len(s.works) >= maxAttempts || len(s.conns) >= maxAttempts:
		return nil, errManyOptions
	}
	w := &work{session: s, id: id, drain: make(chan struct{})}
	w.ctx, w.cancel = context.WithCancelCause(s.ctx)
	w.changed = sync.NewCond(&w.mu)
	w.credit = window
	a := &o.attempt
	if a.Target, err = s.target(w, o.way); err != nil {
		w.cancel(err)
		return nil, err
	}
	a.Progress = new(ssh.Progress)
	a.Timeline.OnEnter(w.entered)
	a.Stdout, a.Stderr = output{w, fleet.Stdout}, output{w, fleet.Stderr}
	a.Intent, a.Drain = w.intend, w.drain
	if o.verbose {
		a.Verbose = func(line string) { s.link.send(kindTell, id, func(e *enc) { e.str(cut(line)) }) }
	}
	if o.input {
		w.input = &inflow{work: w}
		a.Stream = w.input
	}
	w.attempt, w.connectLeft = a, o.connectLeft
	s.works[id] = w
	s.holder.askers.Store(a.Target.Endpoint, w)
	context.AfterFunc(w.ctx, func() {
		w.mu.Lock() // nobody is between looking at ctx and waiting
		defer w.mu.Unlock()
		w.changed.Broadcast()
	})
	return w, nil
}

// forget removes an attempt that is over.
func (s *session) forget(w *work) {
	s.mu.Lock()
	delete(s.works, w.id)
	s.mu.Unlock()
	s.holder.askers.Delete(w.attempt.Target.Endpoint)
	s.holder.leaveHops(w)
	w.cancel(errOver)
}

// An output passes on a stream of a command. A write waits until the run takes more.
type output struct {
	work   *work
	stream fleet.Stream
}

// Write implements io.Writer.
func (o output) Write(p []byte) (n int, err error) {
	w := o.work
	for n < len(p) {
		part := w.allowed(min(len(p)-n, chunk))
		if part == 0 {
			return n, errRunGone
		}
		if !w.session.link.sendData(kindOutput, w.id, func(e *enc) {
			e.uint(uint64(o.stream))
			e.bytes(p[n : n+part])
		}) {
			return n, errRunGone
		}
		n += part
	}
	return n, nil
}

// An inflow is the standard input of a command, as the run sends it. It implements ssh.Stream.
type inflow struct {
	work *work

	mu     sync.Mutex
	data   []byte // from offset base on
	base   int64
	wanted int64 // the run may send up to here
	ended  error // io.EOF, or why the input cannot be read; nil: more may come
	wake   func()
}

// Notify implements ssh.Stream.
func (in *inflow) Notify(wake func()) {
	in.mu.Lock()
	in.wake = wake
	in.mu.Unlock()
}

// Next implements ssh.Stream.
func (in *inflow) Next(p []byte, at int64) (int, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if skip := at - in.base; skip > 0 {
		in.data, in.base = in.data[skip:], at
	}
	n := copy(p, in.data)
	if len(in.data) == 0 && cap(in.data) > 0 {
		in.data = nil
	}
	if upTo := at + int64(n) + window; in.ended == nil && upTo-in.wanted >= window/2 {
		in.wanted = upTo
		in.work.session.link.send(kindWant, in.work.id, func(e *enc) { e.int(upTo) })
	}
	if n == len(in.data) {
		return n, in.ended
	}
	return n, nil
}

// add appends what the run has sent, or ends the input.
func (in *inflow) add(p []byte, ended error) error {
	in.mu.Lock()
	if in.ended != nil || in.base+int64(len(in.data)+len(p)) > in.wanted {
		in.mu.Unlock()
		return errMalformed
	}
	in.data, in.ended = append(in.data, p...), ended
	wake := in.wake
	in.mu.Unlock()
	if wake != nil {
		in.work.session.goroutines.run(wake)
	}
	return nil
}

// inputEnd returns how the input has ended, by the text of the run.
func inputEnd(text string) error {
	if text == "" {
		return io.EOF
	}
	return errors.New(text)
}
