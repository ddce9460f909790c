package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/ssh"
)

// begin returns the job of one attempt to push.
func (p *Push) begin(a *ssh.Attempt, nonce string, sftp bool) (job, error) {
	if sftp {
		if err := errors.Join(CheckDest(a.Target.Command), p.Options.Validate()); err != nil {
			return nil, err
		}
		s := newSFTPPush(p, nonce, a.Target, a.Stdout)
		s.runs = *a
		s.runs.Line, s.runs.Subsystem, s.runs.Stdout, s.runs.Stream = "sftp", true, s, s
		return s, nil
	}
	line, before, err := p.request(a.Target.Command, nonce)
	if err != nil {
		return nil, err
	}
	j := &pushing{push: p, runs: *a, answer: newAnswer(nonce), stdout: a.Stdout}
	j.runs.Line, j.runs.Stdout = line, j.answer
	if !p.Plain && (p.asks() || p.Size > askFrom) {
		j.exchange = p.exchange(nonce, a.Target, a.Stdout)
		j.runs.Stdout, j.runs.Stream = j.exchange, j.exchange
	} else {
		j.runs.Input = ssh.JoinInputs(strings.NewReader(before), p.payload)
	}
	return j, nil
}

// A pushing is one attempt to push by sh.
type pushing struct {
	push   *Push
	runs   ssh.Attempt
	answer *answer
	stdout io.Writer

	exchange *exchange // nil: the bytes are sent without a question
}

func (p *pushing) attempt() *ssh.Attempt                     { return &p.runs }
func (p *pushing) start(ctx context.Context) context.Context { return ctx }
func (p *pushing) slow() bool                                { return false }
func (p *pushing) end()                                      { p.exchange.end() }

// judge implements job. A complete answer is proof, also where the end of the channel was not seen.
func (p *pushing) judge(end fleet.End) fleet.End {
	p.exchange.end()
	first := p.answer
	if p.exchange != nil {
		p.answer, first = p.exchange.line, p.exchange.first
		if p.exchange.stalled && end.Outcome == fleet.OutcomeUnknown {
			end.Reason, end.Err = fleet.ReasonStalled, errStalled
		}
	}
	v, ok := p.answer.parse(len(p.push.Entries))
	if ok && first.noisy {
		end.Flags |= fleet.FlagNoisyLogin
		p.runs.Tell(noisyText)
	}
	switch {
	case ok && v.done:
		if end.Outcome != fleet.OutcomeOK {
			return end
		}
		if !v.verified {
			end.Flags |= fleet.FlagUnverified
		}
		if v.label {
			end.Flags |= fleet.FlagLabelLost
		}
		if p.stdout != nil {
			_, _ = io.WriteString(p.stdout, v.text(p.push)) // whoever reads it decides about errors
		}
	case ok && end.Outcome == fleet.OutcomeFailed:
		end.Reason, end.Err = v.failure(p.push.what(v, p.runs.Target.Command, ""))
	case end.Outcome == fleet.OutcomeOK || end.Outcome == fleet.OutcomeFailed:
		// No shell, or one that ended before its work.
		f := p.runs.Fail(fleet.OutcomeUnknown, fleet.ReasonNoReceipt,
			hint.New(fmt.Sprintf("the host did not answer what became of the push (exit status %d)", end.Status), noAnswerHint))
		return f.End()
	}
	return end
}

// noisyText is told with fleet.FlagNoisyLogin.
const noisyText = "the account's login scripts write text, which was skipped"

// what says what was tried.
func (p *Push) what(v verdict, dest, how string) string {
	if v.entry >= 0 && !p.Only {
		dest = p.Entries[v.entry].Name + " in " + dest
	}
	return fmt.Sprintf("pushing to %.200q%s", dest, how)
}

func (s *sftpPush) attempt() *ssh.Attempt                     { return &s.runs }
func (s *sftpPush) start(ctx context.Context) context.Context { return ctx }
func (s *sftpPush) slow() bool                                { return false }

// judge implements job.
func (s *sftpPush) judge(end fleet.End) fleet.End {
	s.end()
	v := s.verdict
	if end.Outcome == fleet.OutcomeRefused {
		return noSFTP(end)
	}
	if s.stalled && end.Outcome == fleet.OutcomeUnknown {
		end.Reason, end.Err = fleet.ReasonStalled, errStalled
		return end
	}
	switch {
	case end.Outcome != fleet.OutcomeOK && end.Outcome != fleet.OutcomeFailed:
	case v.done:
		end.Outcome, end.Status = fleet.OutcomeOK, 0 // the server's status says nothing of the files, which were read back
		s.tell("%s", v.text(s.push))
	case v.word != "":
		end.Outcome = fleet.OutcomeFailed
		end.Reason, end.Err = v.failure(s.push.what(v, s.dest, " by SFTP"))
	default:
		return s.runs.Fail(fleet.OutcomeUnknown, fleet.ReasonNoReceipt,
			hint.New(fmt.Sprintf("the host ended SFTP before all was written (exit status %d)", end.Status), noSFTPHint)).End()
	}
	return end
}

// noSFTP says of an end whether there is no SFTP server.
func noSFTP(end fleet.End) fleet.End {
	if end.Reason == fleet.ReasonExecRefused {
		end.Err = hint.New("the host has no SFTP server", "--via sh needs none, and auto takes what there is")
	}
	return end
}

// noSFTPHint is for hosts where SFTP did not answer.
const noSFTPHint = "it may have no SFTP server, or print text at login; --via sh needs none"
