// Package become implements an [ssh.Dialer] whose commands run as another user: it puts each
// command, wrapped or not, into the line of remote.Become, and answers the host's question for a
// password.
//
//	transfer or wrap ─▸ become ─▸ any client
//
// In addition to the promises of the inner Dialer:
//
//   - Nothing is stdout or stderr that came before the line which the command's own shell
//     writes as the other user. That is kept apart, and quoted in errors and with Verbose.
//   - If that line did not come, the command did not run: fleet.OutcomeNeverStarted, with one
//     of the reasons ReasonBecome…. That is unknown (ReasonBecomeUnproven) where nothing waits for
//     remote.Go and no line of ours came: a forced command may have kept both outputs.
//   - Where a password may be asked for, the command (but a Direct one) starts only when remote.Go was sent, and
//     neither that nor the command's input is sent before that line. An attempt that ends
//     earlier, however it ends, is never started.
//   - sudo and doas are told first to ask for nothing (-n), in the same exec as the command, and
//     get another exec only if that is refused. That a host asked for a password is noted
//     ([ssh.Notes]), and then it is asked at once.
//   - The password is sent once for each command, to a host that [ssh.Attempt.AllowSecret]
//     allows, in answer to the prompt that the line has named. If sudo asks again, with
//     whatever words, the attempt ends.
//
// With Options.Direct no shell runs as the other user, and nothing says that the command starts:
// the line stands for sudo -l having allowed it. Nothing waits for remote.Go: once sudo has the
// password, or where it needs none, an attempt that ends before the line may have started the
// command. What fails after the line with status 1, and text on the standard error, may be sudo: it
// is fleet.OutcomeUnknown.
//
// No message of the host decides anything: only lines with the nonce, whether a line is
// finished, and that the command has ended. sudo does not say without a password whether it
// wants one or allows nothing at all, nor behind it whether a single wrong one was all that
// it takes (passwd_tries=1) or the account may not become that user.
package become
