package sshreason

import (
	"fmt"
	"strings"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/ssh"
)

// dropbearCommand is the longest command in bytes that Dropbear takes (its
// MAX_CMD_LEN). At a longer one it closes the connection without an answer, which
// would leave the outcome unknown.
const dropbearCommand = 9000

// TooLong returns the attempt's failure if its command is longer than the server with
// this identification line takes, else nil. It is called before the command is sent.
func TooLong(a *ssh.Attempt, identification string) *fleet.Error {
	_, software, _ := strings.Cut(strings.TrimPrefix(identification, "SSH-"), "-")
	n := len(a.Exec())
	if !strings.HasPrefix(software, "dropbear") || n <= dropbearCommand {
		return nil
	}
	what := "the command has"
	if a.Line != "" {
		what = "the command and its wrapper have"
	}
	return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonBadTarget, hint.Wrap(
		fmt.Errorf("%s %d bytes, and the server is Dropbear, which takes %d", what, n, dropbearCommand),
		"copy the command to the host as a file, and run that"))
}
