package openssh

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/ssh"
	"shoal/internal/ssh/algorithms"
	"shoal/internal/ssh/hostkeys"
	"shoal/internal/ssh/sshreason"
	"shoal/internal/ssh/xcrypto"
)

// A login is one connection and its process. It implements xcrypto.Master.
//
//	server ─ Carrier ─ down ─ stdin ─┐
//	server ─ Carrier ── up ─ stdout ─┴ ssh ─ control socket ─ xcrypto
type login struct {
	dialer   *Dialer
	ctx      context.Context
	attempt  *ssh.Attempt
	timeouts ssh.Timeouts
	// connectBy limits all phases before authentication, by the Dialer's clock; zero: no limit.
	connectBy time.Time
	server    *xcrypto.Carrier
	path      string // of the control socket; other files have suffixes
	agent     *agent // nil: none, or ended
	forward   *forwarder
	process   *process

	encrypted chan struct{} // closed by up when the program has sent NEWKEYS
	unread    chan struct{} // closed by down when reading from the server has ended
	// unwritable means that writing to the server has failed: then reading does too, which has
	// the reason.
	unwritable atomic.Bool
	letIn      atomic.Bool // the login is over: ctx, which is that of Dial, says nothing any more
	once       sync.Once   // of Release

	mu        sync.Mutex
	ours      *kexInit // nil: not seen
	theirs    *kexInit
	answered  bool           // the server has answered the key exchange
	hostKey   xssh.PublicKey // accepted; nil: none
	delegated bool           // known_hosts does not know the key, and KnownHostsCommand may
	accepted  bool           // HostKeys.Accepted was called for hostKey, or it was released
}

// connect returns the authenticated connection. After a failure the caller calls Release.
func (l *login) connect(program string) (ssh.Conn, *fleet.Error) {
	a := l.attempt
	stop := context.AfterFunc(l.ctx, func() { _ = l.server.Close() })
	defer stop()
	a.Timeline.Enter(fleet.PhaseBanner)
	l.server.Until(l.timeouts.Kex)
	if f := l.start(program); f != nil {
		return nil, f
	}
	control, f := l.await()
	if f != nil {
		return nil, f
	}
	by := l.server.Deadline()
	l.server.Authenticated()
	l.letIn.Store(true)
	l.agent.end()
	l.mu.Lock()
	forwards, f := a.MayForwardAgent(l.dialer.opts.HostKeys, l.hostKey)
	l.mu.Unlock()
	if f == nil {
		f = l.learn(by)
	}
	if f != nil {
		_ = control.Close()
		return nil, f
	}
	if !stop() {
		_ = control.Close()
		return nil, sshreason.Interrupted(l.ctx, a)
	}
	flags := fleet.FlagOpenSSH
	if a.WantsAgent() && (!forwards || l.forward == nil) {
		flags |= fleet.FlagNoAgent // not asked for, so that the server opens no channel to the socket
		l.forward.end()
	}
	if l.legacy() {
		flags |= fleet.FlagLegacy
	}
	c, err := xcrypto.Control(l.ctx, a, control, l, l.timeouts, l.dialer.opts.Clock, flags)
	if err != nil {
		return nil, asFailure(a, err)
	}
	return c, nil
}

// start starts the program and the goroutines that carry its bytes.
func (l *login) start(program string) *fleet.Error {
	var err error
	if l.path, err = l.dialer.place(); err != nil {
		return l.local(err)
	}
	if l.offersKeys() {
		if l.agent, err = startAgent(l); err != nil {
			return l.local(err)
		}
	}
	if l.attempt.WantsAgent() && l.dialer.opts.Agents != nil {
		if l.forward, err = startForwarder(l); err != nil {
			return l.local(err)
		}
	}
	if l.process, err = startProcess(program, l.arguments()); err != nil {
		return l.local(err)
	}
	l.process.all.Go(l.down)
	l.process.all.Go(l.up)
	return nil
}

// local returns the failure of something on this machine, before anything was sent.
func (l *login) local(err error) *fleet.Error {
	return l.attempt.Fail(fleet.OutcomeNeverStarted, cmp.Or(sshreason.Local(err), fleet.ReasonInternal), fmt.Errorf("running ssh: %w", err))
}

// await waits until the login is over, and returns a connection to the control socket, which
// then exists.
func (l *login) await() (net.Conn, *fleet.Error) {
	encrypted := l.encrypted
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		if encrypted == nil {
			c, err := new(net.Dialer).DialContext(l.ctx, "unix", l.path)
			if err == nil {
				return c, nil
			}
			if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED) && l.ctx.Err() == nil {
				return nil, l.local(fmt.Errorf("the control socket of ssh: %w", err))
			}
		}
		select {
		case <-encrypted:
			encrypted = nil
		case <-look.C:
			l.checkDeadline()
		case <-l.process.over:
			return nil, l.failure()
		case <-l.ctx.Done():
			return nil, sshreason.Interrupted(l.ctx, l.attempt)
		}
	}
}

// checkDeadline ends the program if the phase's deadline has passed for a while: then it reads
// nothing, or reading from the server would have ended.
func (l *login) checkDeadline() {
	by := l.server.Deadline()
	if by.IsZero() || l.dialer.opts.Clock.Now().Before(by.Add(patience)) {
		return
	}
	phase := l.attempt.Timeline.Phase()
	_ = l.server.Raise(l.attempt.Fail(fleet.OutcomeNeverStarted, sshreason.Deadline(phase),
		sshreason.TimeoutError(phase, l.timeouts, l.byConnect(by))))
	l.process.stop()
}

// byConnect reports whether a deadline is that of the connect timeout.
func (l *login) byConnect(by time.Time) bool { return !l.connectBy.IsZero() && !by.Before(l.connectBy) }

// lookEvery is how often the control socket is looked for, which costs microseconds.
const lookEvery = 3 * time.Millisecond

// failure returns why there was no login, once the connection or the program has ended.
func (l *login) failure() *fleet.Error {
	a := l.attempt
	if l.ctx.Err() != nil {
		return sshreason.Interrupted(l.ctx, a)
	}
	phase := a.Timeline.Phase()
	f := l.serverFailed()
	err := l.agent.failed()
	if err == nil && f != nil && f.Reason == fleet.ReasonAuthTimeout && l.agent.waits() {
		err = f.Err
	}
	if err != nil && phase == fleet.PhaseAuth {
		return sshreason.Refusal(a, phase, fleet.ReasonAgentUnavailable, err)
	}
	if err := l.nothingInCommon(); err != nil && phase == fleet.PhaseKex {
		return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonNoCommonAlgorithm, err)
	}
	if f != nil {
		f = l.quoting(f)
		if keys := l.agent.listed(); keys > 0 && errors.Is(f, sshreason.ErrClosed) {
			// Servers end a login this way when they have enough of it. Trying again would make it worse.
			return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonAuthFailed, sshreason.TooManyKeys(f.Err, keys))
		}
		return f
	}
	said := l.process.ended()
	never := func(r fleet.Reason, format string, args ...any) *fleet.Error {
		return a.Fail(fleet.OutcomeNeverStarted, r, fmt.Errorf(format, args...))
	}
	switch phase {
	case fleet.PhaseAuth:
		return l.notLetIn(said)
	case fleet.PhaseHostkey:
		if l.delegated {
			return never(fleet.ReasonHostkeyUnknown, "neither known_hosts nor KnownHostsCommand has the host's key; %w", said)
		}
		return never(fleet.ReasonHostkeyFailed, "the host key did not prove itself; %w", said)
	case fleet.PhaseKex:
		l.mu.Lock()
		began := l.ours != nil
		l.mu.Unlock()
		if !began && a.Target.Settings().Program.KnownHostsCommand { // which it runs before
			return never(fleet.ReasonHostkeyFailed, "the host key cannot be checked; %w", said)
		}
		return never(fleet.ReasonProtocolError, "the key exchange failed; %w", said)
	}
	return never(fleet.ReasonBadTarget, "no connection was made; %w", said)
}

// serverFailed returns why the connection to the server has ended; nil if it has not.
func (l *login) serverFailed() *fleet.Error {
	if l.unwritable.Load() {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-l.unread:
		case <-timer.C:
		}
	}
	return l.server.Failed(l.timeouts)
}

// notLetIn returns the failure of a login that the program has given up.
func (l *login) notLetIn(said error) *fleet.Error {
	a := l.attempt
	keys := l.agent.listed()
	own := &a.Target.Settings().Program
	if keys == 0 && !own.OtherLogins && len(a.Target.Settings().Keys.Hardware) == 0 {
		return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonNoIdentity, hint.Wrap(
			fmt.Errorf("there is no key to offer; %w", said), "name one with --identity, or add one to the agent with ssh-add"))
	}
	with := ""
	if keys > 0 {
		with = " with " + sshreason.OurKeys(keys)
	}
	err := fmt.Errorf("user %q was not let in%s, and ssh is given no password; %w", a.Target.User, with, said)
	if keys < 2 {
		err = hint.Wrap(err, "check the login name (-l) and the key (--identity)")
	}
	return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonAuthFailed, sshreason.TooManyKeys(err, keys))
}

// quoting adds to a failure what the program said.
func (l *login) quoting(f *fleet.Error) *fleet.Error {
	if text := l.process.said(); text != "" && f.Reason != fleet.ReasonInterrupted {
		made := *f
		made.Err = fmt.Errorf("%w; ssh said %q", f.Err, text)
		return &made
	}
	return f
}

// learn reports the accepted host key to HostKeys, once it has authenticated us; by is the deadline of that.
func (l *login) learn(by time.Time) *fleet.Error {
	l.mu.Lock()
	key := l.hostKey
	if l.delegated {
		key = nil
	}
	l.mu.Unlock()
	if key == nil {
		return nil
	}
	ctx, cancel := sshreason.LoginContext(l.ctx, l.dialer.opts.Clock, by, sshreason.TimeoutError(fleet.PhaseAuth, l.timeouts, l.byConnect(by)))
	defer cancel()
	switch err := l.dialer.opts.HostKeys.Accepted(ctx, l.attempt.Target, key); {
	case err != nil && l.ctx.Err() != nil:
		return sshreason.Interrupted(l.ctx, l.attempt)
	case err != nil:
		return sshreason.Refusal(l.attempt, fleet.PhaseHostkey, fleet.ReasonHostkeyFailed, err)
	}
	l.attempt.Identified(l.dialer.opts.HostKeys, key)
	l.mu.Lock()
	l.accepted = true
	l.mu.Unlock()
	return nil
}

// Ended implements xcrypto.Master.
func (l *login) Ended() *fleet.Error {
	said := l.process.ended()
	if f := l.serverFailed(); f != nil {
		f := *f
		f.Outcome, f.Phase = l.attempt.Execution.Failed(), l.attempt.Timeline.Phase()
		return l.quoting(&f)
	}
	return l.attempt.Fail(l.attempt.Execution.Failed(), fleet.ReasonProtocolError, fmt.Errorf("ssh ended the connection; %w", said))
}

// Release implements xcrypto.Master. It ends the program and waits for everything.
func (l *login) Release() {
	l.once.Do(func() {
		_ = l.server.Close()
		l.agent.end()
		l.forward.end()
		if l.process != nil {
			l.process.end()
		}
		l.mu.Lock()
		key, released := l.hostKey, l.accepted || l.delegated
		l.mu.Unlock()
		if !released {
			ssh.ReleaseKey(l.dialer.opts.HostKeys, l.attempt.Target, key)
		}
		if l.path != "" {
			for _, suffix := range []string{"", knownSuffix} {
				_ = os.Remove(l.path + suffix)
			}
		}
		l.dialer.release()
	})
}

// judge reaches the verdict on the host key in a key exchange, and has the program accept
// this key only.
func (l *login) judge(blob []byte) *fleet.Error {
	a := l.attempt
	refuse := func(r fleet.Reason, err error) *fleet.Error {
		return l.server.Raise(sshreason.Refusal(a, fleet.PhaseHostkey, r, err))
	}
	a.Timeline.Enter(fleet.PhaseHostkey)
	key, err := xssh.ParsePublicKey(blob)
	if err != nil {
		return refuse(fleet.ReasonHostkeyFailed, fmt.Errorf("reading the host key: %w", err))
	}
	if err := hostkeys.Weak(key); err != nil {
		return refuse(fleet.ReasonHostkeyWeak, err)
	}
	delegated := false
	if err := l.dialer.opts.HostKeys.Check(a.Target, l.server.RemoteAddr(), key); err != nil {
		f := sshreason.Refusal(a, fleet.PhaseHostkey, fleet.ReasonHostkeyFailed, err)
		if f.Reason != fleet.ReasonHostkeyUnknown || !a.Target.Settings().Program.KnownHostsCommand {
			return l.server.Raise(f)
		}
		delegated = true
	}
	if !delegated {
		l.mu.Lock()
		l.hostKey = key // from here on Release gives it back
		l.mu.Unlock()
		if err := writeKnown(l.path+knownSuffix, key); err != nil {
			return refuse(fleet.ReasonHostkeyFailed, err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answered, l.delegated = true, delegated
	return nil
}

// writeKnown writes a known_hosts file that has this key alone, for every name. The program
// checks a certificate's own key if it knows no authority (sshconnect.c, check_host_key).
func writeKnown(path string, key xssh.PublicKey) error {
	if cert, ok := key.(*xssh.Certificate); ok {
		key = cert.Key
	}
	line := fmt.Sprintf("* %s %s\n", key.Type(), base64.StdEncoding.EncodeToString(key.Marshal()))
	if err := os.WriteFile(path, []byte(line), 0o600); err != nil {
		return fmt.Errorf("writing the host key for ssh: %w", err)
	}
	return nil
}

// sameKey reports whether a further key of this connection is the one that was accepted.
func (l *login) sameKey(blob []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hostKey != nil && bytes.Equal(l.hostKey.Marshal(), blob)
}

// legacy reports whether an algorithm is used that is offered only if configured.
func (l *login) legacy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range negotiated(l.ours, l.theirs) {
		if algorithms.IsLegacy(name) {
			return true
		}
	}
	return l.agent.sha1()
}

// nothingInCommon returns an error that names the algorithms in which the program and the
// server have none in common; nil if both KEXINITs fit, or were not seen.
func (l *login) nothingInCommon() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ours == nil || l.theirs == nil {
		return nil
	}
	for _, k := range kinds(l.ours, l.theirs) {
		if firstCommon(k.ours, k.theirs) == "" {
			listed := strings.Join(k.theirs, ",")
			return fmt.Errorf("ssh and the server have no %s in common; the server has %.200q", k.what, listed)
		}
	}
	return nil
}
