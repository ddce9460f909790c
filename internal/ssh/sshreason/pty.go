package sshreason

import (
	"errors"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/ssh"
)

// PTYRefused returns the failure of an attempt whose pseudo-terminal the server refused,
// before the command was sent.
func PTYRefused(a *ssh.Attempt) *fleet.Error {
	return a.Fail(a.Execution.Failed(), fleet.ReasonPTYRefused, hint.Wrap(
		errors.New("the server refused a terminal; the command was not sent"),
		"run it without --pty, or allow one there (PermitTTY in sshd_config, no-pty and restrict in authorized_keys)"))
}
