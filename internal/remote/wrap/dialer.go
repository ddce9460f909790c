package wrap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/remote"
	"shoal/internal/ssh"
)

// A Dialer implements ssh.Dialer: its connections run wrapped commands.
type Dialer struct {
	inner ssh.Dialer
	opts  Options
}

// New returns a Dialer that connects through inner.
func New(inner ssh.Dialer, o Options) (*Dialer, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return &Dialer{inner: inner, opts: o}, nil
}

// endsOfFile is what is typed on a terminal: each of the command's processes that read it
// takes one.
var endsOfFile = strings.Repeat("\x04", 64)

var errTerminal = hint.Wrap(errors.New("a command with a terminal cannot have a wrapper, more than 128 KiB or a standard input, which the terminal would change"),
	"leave out --pty, or use -o RequestTTY=no")

// Dial implements ssh.Dialer. It fails before connecting if the command is too long or has
// a NUL byte and cannot be wrapped. A command longer than remote.MaxLine is wrapped even if
// the options do not ask for it: no server could start it otherwise. An attempt that has
// its Line already is not wrapped.
func (d *Dialer) Dial(ctx context.Context, a *ssh.Attempt) (ssh.Conn, error) {
	if d.opts.Input != nil && a.Line == "" {
		given := *a
		given.Input = d.opts.Input
		a = &given
	}
	if a.Line == "" && a.Target.Settings().Agent.Socket != "" {
		given := *a
		given.Agent = true
		a = &given
	}
	if a.Line == "" && a.Target.Settings().PTY {
		if d.wraps(a) || a.HasInput() {
			return nil, a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonBadTarget, errTerminal)
		}
		given := *a
		given.PTY, given.Input = &d.opts.PTY, strings.NewReader(endsOfFile)
		a = &given
	}
	if !d.wraps(a) {
		c, err := d.inner.Dial(ctx, a)
		if err == nil && a.Keep {
			c = &conn{Conn: c, dialer: d}
		}
		return c, err
	}
	w, f := d.wrap(a)
	if f != nil {
		return nil, f
	}
	c, err := d.inner.Dial(ctx, &w.attempt)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, dialer: d, wrapped: w}, nil
}

// wraps reports whether the attempt's command has to be wrapped.
func (d *Dialer) wraps(a *ssh.Attempt) bool {
	return a.Line == "" && (d.opts.Wraps() || len(a.Target.Command) > remote.MaxLine || d.opts.Becomes && !remote.Fits(a.Target.Command))
}

// wrap wraps the attempt's command.
func (d *Dialer) wrap(a *ssh.Attempt) (*wrapped, *fleet.Error) {
	nonce := remote.NewNonce()
	wrap := d.opts.wrap(a.Target.Target, nonce)
	wrap.Input = a.InputSize()
	line, before, err := wrap.Request(a.Target.Command)
	if err != nil {
		return nil, a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonBadTarget, err)
	}
	w := &wrapped{opts: d.opts, attempt: *a, nonce: nonce}
	w.attempt.Line = line
	w.sent(time.Now())
	w.attempt.Intent = func() error {
		w.sent(time.Now()) // the far end measures its time limit from later on
		if a.Intent == nil {
			return nil
		}
		return a.Intent()
	}
	if d.opts.Detach {
		w.attempt.Stdout = &w.receipt
	}
	// What runs the wrapper may join the streams, so that it is heard on both.
	w.each(func(s fleet.Stream, to io.Writer) io.Writer {
		w.refusals[s] = newRefusal(nonce, to)
		return w.refusals[s]
	})
	switch {
	case d.opts.Script != nil:
		w.script = &sentScript{Script: d.opts.Script}
		w.attempt.Input = ssh.JoinInputs(w.script, a.Input)
	case before != "":
		w.attempt.Input = ssh.JoinInputs(strings.NewReader(before), a.Input)
	}
	if d.opts.Secrets != nil {
		w.secrets = &sentSecrets{Secrets: d.opts.Secrets, allow: w.attempt.AllowSecret}
		w.attempt.Input = ssh.JoinInputs(w.secrets, w.attempt.Input)
	}
	if d.opts.Recorded != nil {
		w.confirmed = w.listen(remote.Confirmation(nonce))
	}
	if d.opts.Script != nil && !d.opts.Detach {
		w.began = w.open(remote.ScriptStarted(nonce))
	}
	return w, nil
}

// each replaces the writers of both streams.
func (w *wrapped) each(replace func(s fleet.Stream, to io.Writer) io.Writer) {
	w.attempt.Stdout, w.attempt.Stderr = replace(fleet.Stdout, w.attempt.Stdout), replace(fleet.Stderr, w.attempt.Stderr)
}

// listen removes a line of the wrapper from both streams.
func (w *wrapped) listen(line string) *confirmations {
	all := new(confirmations)
	w.each(func(s fleet.Stream, to io.Writer) io.Writer {
		all[s] = newConfirmation(line, to)
		return all[s]
	})
	return all
}

// confirmations remove one line from both streams.
type confirmations [fleet.NumStreams]*confirmation

// close passes on the held bytes, and reports whether the line was there.
func (all *confirmations) close() (seen bool) {
	for _, c := range all {
		seen = c.close() || seen
	}
	return seen
}

// A sentScript is an ssh.Input that remembers whether it was read to its end.
type sentScript struct {
	*remote.Script
	whole atomic.Bool
}

// ReadAt implements io.ReaderAt.
func (s *sentScript) ReadAt(p []byte, at int64) (int, error) {
	n, err := s.Script.ReadAt(p, at)
	if at+int64(n) >= s.Size() {
		s.whole.Store(true)
	}
	return n, err
}

// A sentSecrets is an ssh.Input that refuses hosts which must get no secret, and remembers whether
// it was read to its end.
type sentSecrets struct {
	*remote.Secrets

	allow func() error

	mu      sync.Mutex
	refused error
	whole   bool
}

// ReadAt implements io.ReaderAt.
func (s *sentSecrets) ReadAt(p []byte, at int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.allow(); err != nil {
		s.refused = err
		return 0, err
	}
	n, err := s.Secrets.ReadAt(p, at)
	s.whole = s.whole || at+int64(n) >= s.Size()
	return n, err
}

// state returns why nothing was sent, and whether all was.
func (s *sentSecrets) state() (refused error, whole bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused, s.whole
}

// A conn runs wrapped commands.
type conn struct {
	ssh.Conn
	dialer  *Dialer
	wrapped *wrapped // the first command; nil: it is not wrapped
}

// Start implements ssh.Conn.
func (c *conn) Start(ctx context.Context, done func(fleet.End)) {
	if c.wrapped == nil {
		c.Conn.Start(ctx, done)
		return
	}
	c.Conn.Start(ctx, func(end fleet.End) {
		done(c.wrapped.judge(end))
	})
}

// StartNext implements ssh.Conn. An attempt that has its Line already is not wrapped.
func (c *conn) StartNext(ctx context.Context, a *ssh.Attempt, done func(fleet.End)) {
	if !c.dialer.wraps(a) {
		c.Conn.StartNext(ctx, a, done)
		return
	}
	w, f := c.dialer.wrap(a)
	if f != nil {
		_ = c.Close()
		done(f.End())
		return
	}
	c.Conn.StartNext(ctx, &w.attempt, func(end fleet.End) { done(w.judge(end)) })
}

// wrapped is the state of one wrapped command.
type wrapped struct {
	opts    Options
	since   atomic.Pointer[time.Time] // before the command was sent, the last time
	attempt ssh.Attempt               // with the wrapper as its command
	nonce   string
	script  *sentScript  // nil: it is a command
	secrets *sentSecrets // nil: it has none
	receipt receipt

	refusals [fleet.NumStreams]*refusal
	// confirmed is nil if the wrapper does not confirm the end.
	confirmed *confirmations
	// began is nil unless the wrapper says that a script starts.
	began *openings
}

// judge converts the end of the wrapper to the end of the command.
func (w *wrapped) judge(end fleet.End) fleet.End {
	began, noisy := true, false
	if w.began != nil {
		began, noisy = w.began.close()
	}
	if noisy && end.Outcome.Ran() {
		end.Flags |= fleet.FlagNoisyLogin
		w.attempt.Tell("the account's login scripts write text, which was skipped")
	}
	if w.confirmed != nil && w.confirmed.close() && end.Outcome.Ran() {
		w.opts.Recorded(w.attempt.Target.Target)
	}
	if word, ok := w.refusal(); ok {
		return w.refused(word).End()
	}
	if w.secrets != nil {
		refused, whole := w.secrets.state()
		switch {
		case refused != nil:
			w.attempt.Execution.NotStarted()
			return w.attempt.Fail(fleet.OutcomeNeverStarted, fleet.ReasonSecretWithheld, hint.Wrap(fmt.Errorf("the command was not started, since its secret variables were not sent: %w", refused),
				"secrets go to hosts with a known key only")).End()
		case !whole:
			return w.incomplete("command", end)
		}
	}
	if w.script != nil && !w.script.whole.Load() {
		return w.incomplete("script", end)
	}
	if !began && end.Outcome.Ran() {
		return w.unseen(end)
	}
	switch {
	case w.opts.Timeout > 0 && end.Outcome == fleet.OutcomeSignalled && w.timedOut(end.Signal, time.Now()):
		end.Reason = fleet.ReasonRemoteTimeout
		end.Err = fmt.Errorf("the remote timeout of %v passed", w.opts.Timeout)
	case w.opts.Detach && end.Outcome.Ran():
		return w.detached(end)
	}
	return end
}

// refusal returns the wrapper's refusal, if there was one, and passes on the held bytes.
func (w *wrapped) refusal() (word remote.Refusal, ok bool) {
	for _, r := range w.refusals {
		if found, refused := r.close(); refused {
			word, ok = found, true
		}
	}
	return word, ok
}

// incomplete returns the end of what needs an input of which a part was not sent: the wrapper runs
// nothing of it.
func (w *wrapped) incomplete(what string, end fleet.End) fleet.End {
	switch {
	case end.Outcome == fleet.OutcomeUnknown:
		w.attempt.Execution.NotStarted()
		end.Outcome = fleet.OutcomeNeverStarted
	case end.Outcome.Ran():
		w.attempt.Execution.NotStarted()
		return w.attempt.Fail(fleet.OutcomeRefused, fleet.ReasonWrapRefused,
			fmt.Errorf("the %s was not started: the account's shell ended before all that it needs was sent (exit status %d, signal %q)", what, end.Status, end.Signal)).End()
	}
	return end
}

// unseen returns the end of a script of which the wrapper has not said that it starts: a forced
// command ran in its place, or dropped what the wrapper said.
func (w *wrapped) unseen(end fleet.End) fleet.End {
	missing := ""
	if end.Flags.Has(fleet.FlagOutputIncomplete) {
		missing = ", and a part of the output is missing"
	}
	return w.attempt.Fail(fleet.OutcomeUnknown, fleet.ReasonNoReceipt,
		hint.Wrap(fmt.Errorf("nothing says that the script was started%s (exit status %d, signal %q)", missing, end.Status, end.Signal),
			"a forced command or a device's own command line cannot run scripts, unless it runs what was sent and passes on its standard error")).End()
}

func (w *wrapped) sent(at time.Time) { w.since.Store(&at) }

// timedOut reports whether the time limit killed the wrapper: by ALRM, or by KILL together
// with a command that outlived the grace. Before that, somebody else did.
func (w *wrapped) timedOut(signal string, now time.Time) bool {
	limit, grace := remote.Wrap{Timeout: w.opts.Timeout, Grace: w.opts.Grace}.Limits()
	since := *w.since.Load()
	passed := max(now.Sub(since), now.Round(0).Sub(since.Round(0))) // this machine may have slept
	passed += passed / clockDrift
	return passed >= limit && signal == "ALRM" || passed >= limit+grace && signal == "KILL"
}

// clockDrift is the part of a time by which the clocks of two machines differ in it at most (500 ppm).
const clockDrift = 2000

// refused returns the error for a refusal, which proves that this start ran nothing.
func (w *wrapped) refused(word remote.Refusal) *fleet.Error {
	outcome, reason, text := fleet.OutcomeRefused, fleet.ReasonWrapRefused, explanations[word]
	switch word {
	case remote.RefusedAgain:
		outcome, reason = fleet.OutcomeUnknown, fleet.ReasonAlreadyStarted
	case remote.RefusedChdir:
		outcome, reason, text = fleet.OutcomeNeverStarted, fleet.ReasonChdirFailed, fmt.Sprintf("%s: %q", text, w.opts.Place.Dir)
	}
	if word != remote.RefusedAgain {
		w.attempt.Execution.NotStarted()
	}
	return w.attempt.Fail(outcome, reason, hint.New("the command was not started: "+text, word.Hint()))
}

var explanations = map[remote.Refusal]string{
	remote.RefusedAgain:     "an earlier start of it is there already",
	remote.RefusedSettled:   "it was settled before that it never starts",
	remote.RefusedHome:      "the account has no $HOME for markers",
	remote.RefusedDirectory: "the directory for markers is missing or not safe",
	remote.RefusedMarker:    "its marker could not be written",
	remote.RefusedGroup:     "it cannot have a process group of its own",
	remote.RefusedEnv:       "there is no env(1) for --env",
	remote.RefusedChdir:     "its working directory cannot be entered",
	remote.RefusedPrintf:    "the shell has no printf",
	remote.RefusedNowhere:   "no directory there takes the file that it needs",
	remote.RefusedInput:     "what was sent through standard input did not arrive there completely",

	remote.RefusedInterpreter: "its interpreter is not there",
	remote.RefusedExec:        "files cannot be executed where it was stored",
	remote.RefusedMachine:     "it is a binary for another kind of machine",
}

// detached checks for the receipt.
func (w *wrapped) detached(end fleet.End) fleet.End {
	report, err := remote.ParseReport(w.nonce, w.receipt.bytes)
	if err == nil && report.Accepted {
		end.Outcome, end.Status, end.Signal, end.Flags = fleet.OutcomeDetached, 0, "", 0
		if report.Noise {
			end.Flags = fleet.FlagNoisyLogin
		}
		return end
	}
	if err == nil {
		err = fmt.Errorf("%w: the start is not accepted in it", remote.ErrNoReport)
	}
	return w.attempt.Fail(fleet.OutcomeUnknown, fleet.ReasonNoReceipt, fmt.Errorf("no receipt for the detached command: %w", err)).End()
}
