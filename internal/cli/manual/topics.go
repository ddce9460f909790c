package manual

import (
	"github.com/spf13/cobra"
)

// A topic is a subject of help and a section of the manual.
type topic struct {
	name, title, about string
	programs           []string // that have the section; nil: all
	text               string   // of help, and of the program's own page
	short              string   // on the pages of its commands
}

// AddTopics adds the topics that help knows.
func AddTopics(root *cobra.Command) {
	for _, t := range topics {
		root.AddCommand(&cobra.Command{Use: t.name, Short: t.about, Long: t.text})
	}
}

// Topics returns their names.
func Topics() (names []string) {
	for _, t := range topics {
		names = append(names, t.name)
	}
	return names
}

var ofShoal = []string{"shoal"}

var topics = []topic{
	{
		name: "exit-codes", title: "EXIT STATUS", about: "What the exit code of a run says", programs: ofShoal,
		text: `The first line that applies, for commands that run something on hosts:

  130  the run was interrupted, and its journal is whole
    4  of some host it is unknown whether the command ran, or a result could not
       be stored
    3  some host never started the command, or its server refused it
    1  a command failed or was ended by a signal
    0  every host is ok, or its command is detached
    2  nothing was started: an error in flags, hosts, keys or command

Other commands end with 0, with 1 if they found what they look for to be wrong,
or with 2 after an error.`,
		short: `0 for success, 2 for an error before anything was started. Runs also end with 1 (a command failed), 3 (some host never started it), 4 (some outcome is unknown) and 130 (interrupted): see shoal(1).`,
	},
	{
		name: "files", title: "FILES", about: "Which files are read and written", programs: ofShoal,
		text: `Read, and never written but for known_hosts, to which new keys are added:

  ~/.ssh/config, /etc/ssh/ssh_config          as ssh reads them
  ~/.ssh/known_hosts, /etc/ssh/ssh_known_hosts
  ~/.ssh/id_*                                 keys, if the agent has none
  /etc/clustershell/groups.conf and others    groups of hosts: @GROUP

Written:

  ~/.local/state/shoal    the journal of runs, what servers are like

--state-dir names another directory for that, XDG_STATE_HOME another place.
On the hosts --once, --detach and --kill-on-cancel keep markers in
.local/state/shoal/marks until shoal sweep.`,
		short: `~/.local/state/shoal has the journal of runs. shoal(1) lists all files.`,
	},
	{
		name: "environment", title: "ENVIRONMENT", about: "Which variables of the environment count", programs: ofShoal,
		text: `  SSH_AUTH_SOCK   the SSH agent
  SSH_ASKPASS     the program that confirms uses of a forwarded agent
  XDG_STATE_HOME  where the journal is: its directory shoal
  TMPDIR          where large outputs are kept while a run goes on
  PAGER           what shoal browse shows outputs with
  NO_COLOR        no colours
  USER            the login name where no host, flag or ssh_config names one

The command of --check finds the number of the stage in SHOAL_STAGE.`,
		short: `SSH_AUTH_SOCK names the SSH agent, XDG_STATE_HOME the place of the journal. shoal(1) lists all variables.`,
	},
}
