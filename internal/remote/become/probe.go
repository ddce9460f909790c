package become

import (
	"bytes"
	"context"
	"time"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/remote"
	"shoal/internal/ssh"
)

// probeTime limits a probe.
const probeTime = 15 * time.Second

// probe finds out whether sudo, which has refused without a question, would go on if there were a
// terminal (requiretty), and changes the reason if so. Nothing is typed on the terminal.
func (c *conn) probe(ctx context.Context, t *try, end fleet.End, done func(fleet.End)) {
	text := remote.Become{Method: remote.Sudo, User: t.text.User, Nonce: remote.NewNonce(), Ask: t.text.Ask, Terminal: true, Shell: t.text.Shell}
	line, err := text.Line(":", false)
	if err != nil {
		c.over(t)
		done(end)
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	seen := &seen{texts: [][]byte{[]byte(text.Became()), []byte(text.Prompt())}, found: cancel}
	stop := t.opts.Clock.AfterFunc(probeTime, cancel)
	probe := &ssh.Attempt{
		Progress: new(ssh.Progress), Target: t.attempt.Target, Line: line, PTY: new(ssh.PTY), Stdout: seen, Limit: -1, Verbose: t.attempt.Verbose, Keep: t.keep,
	}
	c.Conn.StartNext(ctx, probe, func(fleet.End) {
		stop()
		cancel()
		if seen.any {
			end = t.attempt.Fail(fleet.OutcomeNeverStarted, fleet.ReasonBecomeNeedsTTY,
				hint.New("the command was not started: sudo wants a terminal (requiretty)", "--pty gives it one, for commands without the wrapper; or set !requiretty for the account there")).End()
		}
		c.over(t)
		done(end)
	})
}

// seen looks for texts in what a terminal shows.
type seen struct {
	texts [][]byte
	found context.CancelFunc
	held  []byte
	any   bool
}

// Write implements io.Writer.
func (s *seen) Write(p []byte) (int, error) {
	s.held = append(s.held, p...)
	for _, text := range s.texts {
		if bytes.Contains(s.held, text) {
			s.any = true
			s.found()
		}
	}
	s.held = s.held[max(0, len(s.held)-maxSaid):]
	return len(p), nil
}
