package become

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/remote"
	"shoal/internal/ssh"
)

// A try is one command as the other user. It is the attempt's ssh.Stream if a password may be
// asked for.
type try struct {
	opts    Options
	text    remote.Become
	given   *ssh.Attempt
	attempt ssh.Attempt // given, with the line as its command
	noted   bool        // the host is known to ask for a password
	input   ssh.Input   // of the command, behind what the try sends
	stream  ssh.Stream  // in place of input; nil: none
	keep    bool        // the caller wants the connection kept
	unclear bool        // once finish was called: a terminal may be what the method lacks
	needed  bool        // once finish was called: a password may be, which was not tried
	streams [fleet.NumStreams]*before

	mu       sync.Mutex
	ctx      context.Context // of the command; ended by finish, and by stop
	cancel   context.CancelCauseFunc
	timer    func() // stops it; nil: none runs
	became   bool
	asked    bool   // the question for the password was seen
	sent     bool   // and answered
	again    bool   // and came again
	head     []byte // what is sent before the input: the password's line, and remote.Go
	secret   int    // how much of head is the password's line
	whole    bool   // head is complete, and the input follows
	wake     func()
	answered func(bool)   // tells Passwords; nil: nothing to tell
	stopped  *fleet.Error // why the try was stopped by itself
	lending  bool         // a goroutine waits for the password
	last     func()       // what that goroutine has to call at its end: finish came first
	hidden   []byte       // the password, which is not repeated in errors
	quiet    func()       // stops the timer of otherTime; nil: none runs
}

func newTry(o Options, text remote.Become, a *ssh.Attempt) *try {
	t := &try{opts: o, text: text, given: a, attempt: *a, input: a.Input, stream: a.Stream}
	for s, to := range map[fleet.Stream]io.Writer{fleet.Stdout: a.Stdout, fleet.Stderr: a.Stderr} {
		t.streams[s] = &before{try: t, to: to, telling: (s == fleet.Stdout) == text.Terminal}
	}
	t.attempt.Stdout, t.attempt.Stderr = t.streams[fleet.Stdout], t.streams[fleet.Stderr]
	if text.Raw {
		t.attempt.PTY = new(ssh.PTY)
	}
	quiet := !text.Ask && o.Passwords != nil
	t.keep, t.attempt.Keep = a.Keep, a.Keep || quiet || text.Method == remote.Sudo && !text.Terminal
	if text.Ask || quiet && a.HasInput() {
		t.attempt.Input, t.attempt.Stream = nil, t
	}
	return t
}

// begin returns the command's context.
func (t *try) begin(ctx context.Context) context.Context {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ctx, t.cancel = context.WithCancelCause(ctx)
	if !t.became && t.stopped == nil {
		t.limitLocked()
	}
	if t.stopped != nil {
		t.cancel(t.stopped)
	}
	if t.asked && !t.lending && !t.sent {
		t.lendLocked()
	}
	return t.ctx
}

// limitLocked starts the timeout.
func (t *try) limitLocked() {
	limit := cmp.Or(t.opts.Timeout, DefaultTimeout)
	t.timer = t.opts.Clock.AfterFunc(limit, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.stopLocked(fleet.ReasonBecomeTimeout, fmt.Errorf("%w (%v)", errTimeout, limit))
	})
}

func (t *try) unlimitLocked() {
	if t.timer != nil {
		t.timer()
		t.timer = nil
	}
}

// stopLocked ends the attempt, unless the command's user is the other one already.
func (t *try) stopLocked(r fleet.Reason, err error) {
	if t.became || t.stopped != nil {
		return
	}
	t.stopped = t.attempt.Fail(fleet.OutcomeNeverStarted, r, err)
	t.unlimitLocked()
	if t.cancel != nil {
		t.cancel(t.stopped)
	}
}

// Notify implements ssh.Stream.
func (t *try) Notify(wake func()) {
	t.mu.Lock()
	t.wake = wake
	t.mu.Unlock()
}

// Next implements ssh.Stream.
func (t *try) Next(p []byte, at int64) (n int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at >= int64(t.secret) {
		clear(t.head[:t.secret])
	}
	size := int64(len(t.head))
	if at < size {
		n = copy(p, t.head[at:])
	}
	if !t.whole || n == len(p) && at+int64(n) < size {
		return n, nil
	}
	from := at + int64(n) - size
	if t.stream != nil {
		m, err := t.stream.Next(p[n:], from)
		return n + m, err //nolint:wrapcheck // it is the caller's own
	}
	left := t.inputSize()
	if left -= from; left == 0 {
		return n, io.EOF
	}
	part := p[n:min(int64(len(p)), int64(n)+left)]
	if len(part) == 0 {
		return n, nil
	}
	m, err := t.input.ReadAt(part, from)
	switch {
	case m < len(part):
		return n + m, cmp.Or(err, io.ErrUnexpectedEOF)
	case int64(m) == left:
		return n + m, io.EOF
	}
	return n + m, nil
}

func (t *try) inputSize() int64 {
	if t.input == nil {
		return 0
	}
	return max(t.input.Size(), 0)
}

// isNowLocked handles the line that says that the command's user is the other one.
func (t *try) isNowLocked() {
	if t.became || t.stopped != nil {
		return
	}
	t.became = true
	t.unlimitLocked()
	t.awaitLocked(false)
	if t.answered != nil {
		t.answered(true)
		t.answered = nil
	}
	if said := t.output(); said != "" {
		t.attempt.Tell("before the command the host said %q", said[:min(len(said), maxQuoted)])
	}
	if t.text.Ask && !t.text.Direct {
		t.head = append(t.head, remote.Go...)
	}
	t.whole = true
	if t.stream != nil && t.wake != nil {
		t.stream.Notify(t.wake)
	}
	t.wakeLocked()
}

func (t *try) wakeLocked() {
	if t.wake != nil {
		t.wake()
	}
}

// questionLocked handles a prompt that the password answers.
func (t *try) questionLocked() {
	switch {
	case !t.text.Ask || t.became || t.stopped != nil || t.asked && !t.sent:
	case t.sent:
		t.again = true
		t.rejectedLocked(false)
	default:
		t.asked = true
		if t.ctx != nil {
			t.lendLocked()
		}
	}
}

// rejectedLocked handles a question after the password.
func (t *try) rejectedLocked(other bool) {
	if t.answered != nil {
		t.answered(false)
		t.answered = nil
	}
	if other {
		t.stopLocked(fleet.ReasonBecomePrompt, errors.New("something else was asked for after the password"))
		return
	}
	t.stopLocked(fleet.ReasonBecomePasswordWrong, hint.New("the password was not accepted, or is not all that is wanted: it was asked for again",
		"give another; each host gets one attempt, so that no account is locked"))
}

// lendLocked asks Passwords on a goroutine of its own: it may wait for the answers of others.
func (t *try) lendLocked() {
	t.unlimitLocked()
	t.lending = true
	ctx := t.ctx
	go func() {
		password, answered, err := t.password(ctx)
		t.mu.Lock()
		switch {
		case err != nil && ctx.Err() == nil:
			if f, ok := errors.AsType[*fleet.Error](err); ok { // its reason is about logging in
				err = f.Err
			}
			t.stopLocked(fleet.ReasonBecomePasswordNeeded, err)
		case err != nil:
		case t.stopped != nil || t.became || t.last != nil:
			clear(password)
		default:
			t.sendLocked(password, answered)
		}
		t.lending = false
		last := t.last
		t.mu.Unlock()
		if last != nil {
			last()
		}
	}()
}

func (t *try) password(ctx context.Context) ([]byte, func(bool), error) {
	if err := t.attempt.AllowSecret(); err != nil {
		return nil, nil, err
	}
	password, answered, err := t.opts.Passwords.Password(ctx, t.attempt.Target.Target)
	if err == nil && bytes.ContainsAny(password, "\n\x00") {
		clear(password)
		answered(false)
		err = errors.New("the password has a newline or a NUL byte")
	}
	return password, answered, err
}

// sendLocked has the password sent.
func (t *try) sendLocked(password []byte, answered func(bool)) {
	t.head = make([]byte, 0, len(password)+1+len(remote.Go)) // so that append leaves no copy behind
	t.head = append(append(t.head, password...), '\n')
	t.hidden = password
	t.secret, t.answered, t.sent = len(t.head), answered, true
	t.attempt.Tell("the password is sent")
	for _, s := range t.streams {
		s.cut()
	}
	t.limitLocked()
	t.wakeLocked()
}

// otherTime is how long an unfinished line stands before it counts as a question.
const otherTime = 2 * time.Second

// awaitLocked says whether there is an unfinished line after the password.
func (t *try) awaitLocked(unfinished bool) {
	if t.quiet != nil {
		t.quiet()
		t.quiet = nil
	}
	if unfinished && t.sent && !t.became {
		t.quiet = t.opts.Clock.AfterFunc(otherTime, func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.rejectedLocked(true)
		})
	}
}

// finish converts the end of the line to that of the command, and passes it on, at the latest
// when no goroutine of the try is left.
func (t *try) finish(end fleet.End, done func(fleet.End)) {
	t.mu.Lock()
	t.unlimitLocked()
	t.awaitLocked(false)
	end = t.judgeLocked(end)
	t.cancel(nil) // a password without an answer counts as such
	clear(t.head[:t.secret])
	clear(t.hidden)
	if t.lending {
		t.last = func() { done(end) }
		t.mu.Unlock()
		return
	}
	t.mu.Unlock()
	done(end)
}
