package sshreason

import (
	"fmt"
	"strings"

	"shoal/fleet"
	"shoal/internal/hint"
	"shoal/internal/ssh"
)

// noShell are servers behind which no POSIX shell reads commands, by how their software begins
// in the identification line.
var noShell = []struct{ software, what string }{
	{"OpenSSH_for_Windows", "OpenSSH for Windows, whose cmd and PowerShell"},
	{"Cisco-", "a Cisco device, whose command line"},
	{"ROSSSH", "MikroTik RouterOS, whose command line"},
	{"HUAWEI-", "a Huawei device, whose command line"},
	{"Comware-", "a Comware device, whose command line"},
	{"RomSShell_", "a device (RomSShell), whose command line"},
	{"Mocana SSH", "a device (Mocana), whose command line"},
	{"NetScreen", "a NetScreen device, whose command line"},
}

// Unfit returns the attempt's failure if its command is nothing for the server with this
// identification line, else nil: it is too long, or for a POSIX shell that is not there. It
// is called before the command is sent.
func Unfit(a *ssh.Attempt, identification string) *fleet.Error {
	_, software, _ := strings.Cut(strings.TrimPrefix(identification, "SSH-"), "-")
	if strings.HasPrefix(software, "dropbear") {
		return tooLong(a)
	}
	if a.Line == "" || a.Subsystem { // the command is the person's own, in whatever language
		return nil
	}
	for _, s := range noShell {
		if strings.HasPrefix(software, s.software) {
			return a.Fail(fleet.OutcomeNeverStarted, fleet.ReasonWrapRefused, hint.Wrap(
				fmt.Errorf("the command was not started: the server is %s cannot run the wrapper, which is for a POSIX sh", s.what),
				"leave out --once, --detach, --kill-on-cancel, --remote-timeout, --env, --chdir, --umask, --become and scripts for these hosts: plain commands run there; --via sftp copies files"))
		}
	}
	return nil
}

// dropbearCommand is the longest command in bytes that Dropbear takes (its
// MAX_CMD_LEN). At a longer one it closes the connection without an answer, which
// would leave the outcome unknown.
const dropbearCommand = 9000

func tooLong(a *ssh.Attempt) *fleet.Error {
	n := len(a.Exec())
	if n <= dropbearCommand {
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
