package become

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/remote"
)

// judgeLocked converts the end of the line to the end of the command.
func (t *try) judgeLocked(end fleet.End) fleet.End {
	if end.Outcome.Ran() && t.noisy() {
		end.Flags |= fleet.FlagNoisyLogin
	}
	switch {
	case t.became && t.text.Direct:
		return t.direct(end)
	case t.became:
		t.tell(t.output())
		return end
	case t.waitsLocked() && (t.stopped != nil || end.Outcome == fleet.OutcomeUnknown):
		t.attempt.Execution.NotStarted()
		if t.stopped != nil {
			return t.withOutput(t.stopped).End()
		}
		end.Outcome = fleet.OutcomeNeverStarted
		return end
	case t.stopped != nil && !end.Outcome.Ran():
		return t.withOutput(t.attempt.Fail(t.attempt.Execution.Failed(), t.stopped.Reason, t.stopped.Err)).End()
	case !end.Outcome.Ran():
		return end
	case end.Flags.Has(fleet.FlagOutputIncomplete) && !t.waitsLocked():
		return t.attempt.Fail(fleet.OutcomeUnknown, cmp.Or(end.Reason, fleet.ReasonExitMissing),
			errors.New("a part of the output is missing, and in what came nothing says that the command was started as the other user")).End()
	case !t.waitsLocked() && !t.text.Terminal && t.streams[fleet.Stdout].passing:
		return t.attempt.Fail(fleet.OutcomeUnknown, fleet.ReasonBecomeUnproven, hint.New("the command was started as the other user by its standard output, and was not by its standard error, which something there joins or drops",
			"a forced command with 2>&1 or 2>/dev/null does that; --pty expects one stream")).End()
	case !t.waitsLocked() && t.unread():
		return t.withOutput(t.attempt.Fail(fleet.OutcomeUnknown, fleet.ReasonBecomeUnproven, hint.New(
			fmt.Sprintf("nothing says that a POSIX shell has read what was sent, nor that none has (exit status %d, signal %q)", end.Status, end.Signal),
			"a forced command or a device's own command line cannot become another user; one that keeps both outputs for itself may have"))).End()
	}
	t.attempt.Execution.NotStarted()
	return t.withOutput(t.refused(end)).End()
}

// unread reports whether none of our lines came. Something may have kept them, and run the command.
func (t *try) unread() bool {
	if t.saw(t.text.Begun()) {
		return false
	}
	return !slices.ContainsFunc([]string{"method", "user", "printf", "stty", "go", "output"}, func(what string) bool { return t.saw(t.text.Lacks(what)) })
}

// waitsLocked reports whether the far end certainly waits for what was not sent: remote.Go, or, where
// sudo starts the command directly as soon as it knows the password, an answer to its question.
func (t *try) waitsLocked() bool {
	return t.text.Ask && !t.became && (!t.text.Direct || t.asked && (!t.sent || t.again))
}

// direct returns the end of a command that sudo has started directly, or not: nothing says so
// but sudo's exit status, which is 1 where it fails itself, and that it then writes why.
func (t *try) direct(end fleet.End) fleet.End {
	b := t.streams[fleet.Stderr]
	if bytes.Contains(b.late, []byte(t.text.Prompt())) {
		b.held = append(append(b.held, '\n'), b.late...)
		t.attempt.Execution.NotStarted()
		return t.withOutput(t.attempt.Fail(fleet.OutcomeNeverStarted, fleet.ReasonBecomePasswordNeeded,
			hint.New("the command was not started: sudo lists it, and wants a password to run it", "give one with --ask-become-pass; sudo has to keep it until the command starts (timestamp_timeout)"))).End()
	}
	t.tell(t.output())
	wrote := len(b.late) > 0
	if !b.over {
		_ = b.release() // as for every write: the command has ended
	}
	if wrote && end.Outcome == fleet.OutcomeFailed && end.Status == 1 {
		return t.attempt.Fail(fleet.OutcomeUnknown, fleet.ReasonBecomeUnproven, hint.New("exit status 1 with text on the standard error is the command's, or sudo's own, which has not started it then",
			"the text says which; without --become-direct it is certain")).End()
	}
	return end
}

// refused returns why the line has ended without having started the command.
func (t *try) refused(end fleet.End) *fleet.Error {
	fail := func(r fleet.Reason, advice, format string, args ...any) *fleet.Error {
		f := t.attempt.Fail(fleet.OutcomeNeverStarted, r, hint.New("the command was not started: "+fmt.Sprintf(format, args...), advice))
		f.Phase = fleet.PhaseRun // what has ended is the line that was to start the command
		return f
	}
	method, user := string(t.text.Method), t.text.User
	switch {
	case t.saw(t.text.Lacks("method")):
		return fail(fleet.ReasonBecomeUnavailable, "install it there, or use another --become-method", "there is no %s", method)
	case t.saw(t.text.Lacks("user")):
		return fail(fleet.ReasonBecomeNoUser, "", "there is no user %q", user)
	case t.saw(t.text.Lacks("printf")), t.saw(t.text.Lacks("stty")), t.saw(t.text.Lacks("go")):
		return fail(fleet.ReasonWrapRefused, "", "the host lacks a program that becoming another user needs")
	case t.saw(t.text.Lacks("output")):
		return fail(fleet.ReasonWrapRefused, "", "its output cannot be written there")
	case !t.saw(t.text.Begun()):
		f := fail(fleet.ReasonWrapRefused, "a forced command or a device's own command line cannot become another user",
			"no POSIX shell has read what was sent (exit status %d, signal %q)", end.Status, end.Signal)
		f.Outcome = fleet.OutcomeRefused
		return f
	case !t.asked && t.text.Method == remote.Sudo && !t.text.Terminal && !t.text.Direct:
		t.unclear = true
	}
	t.needed = !t.text.Ask && t.opts.Passwords != nil
	switch {
	case !t.text.Ask:
		return fail(fleet.ReasonBecomePasswordNeeded, "give a password with --ask-become-pass, workers with --become-password-file, or let it be allowed without one there",
			"%s wants a password, or does not allow the account to become %q", method, user)
	case !t.asked:
		return fail(fleet.ReasonBecomeNotAllowed, "", "%s does not allow the account to become %q, and asked for no password", method, user)
	case !t.sent:
		return fail(fleet.ReasonBecomeTimeout, "", "%s did not wait for the password", method)
	}
	if t.answered != nil {
		t.answered(false)
		t.answered = nil
	}
	if t.text.Method != remote.Sudo {
		return fail(fleet.ReasonBecomePasswordWrong, "give another; each host gets one attempt, so that no account is locked", "%s did not accept the password", method)
	}
	return fail(fleet.ReasonBecomeNotAllowed, "", "%s has ended after the password and not asked again: the account may not become %q, or the password was wrong where it takes one only (passwd_tries)", method, user)
}

// saw reports whether a line that ends with text came before the command.
func (t *try) saw(text string) bool {
	for _, s := range t.streams {
		for _, p := range [][]byte{s.said, s.held} {
			if _, _, ok := cutLine(p, text); ok {
				return true
			}
		}
	}
	return false
}

// noisy reports whether something came before the first of our lines on a stream. The method has not
// run before Begun, and writes nothing to the standard output unless that is a terminal.
func (t *try) noisy() bool {
	for _, s := range t.streams {
		text := bytes.Join([][]byte{s.said, s.held}, nil)
		found := true
		if s.telling {
			text, _, found = cutLine(text, t.text.Begun())
		} else if t.text.Terminal {
			continue
		}
		if found && len(bytes.TrimSpace(text)) > 0 {
			return true
		}
	}
	return false
}

// maxQuoted limits what an error quotes, in bytes.
const maxQuoted = 300

// tell reports what the host said.
func (t *try) tell(said string) {
	if t.attempt.BecomeOutput = nil; said != "" {
		t.attempt.BecomeOutput = &said
	}
}

// withOutput adds to f what the host said.
func (t *try) withOutput(f *fleet.Error) *fleet.Error {
	said := t.output()
	if t.tell(said); said == "" {
		return f
	}
	said = said[:min(len(said), maxQuoted)]
	made := *f
	text, advice := hint.Split(f.Err.Error())
	made.Err = hint.New(fmt.Sprintf("%s; the host said %q", text, said), advice)
	return &made
}

// output returns what came before the command and is not ours, without the password.
func (t *try) output() string {
	var all []string
	for _, s := range t.streams {
		text := bytes.Join([][]byte{s.said, s.held}, []byte("\n"))
		if len(t.hidden) > 0 {
			text = bytes.ReplaceAll(text, t.hidden, []byte("[password]"))
		}
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			line = strings.TrimSpace(strings.ReplaceAll(line, t.text.Prompt(), ""))
			if line != "" && !strings.Contains(line, t.text.Nonce) {
				all = append(all, line)
			}
		}
	}
	text := strings.Join(all, "\n")
	return text[:min(len(text), maxSaid)]
}
