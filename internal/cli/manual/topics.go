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

const noColour = "NO_COLOR" //nolint:misspell // the name is not ours

var ofShoal = []string{"shoal"}

var topics = []topic{
	{
		name: "configuration", title: "CONFIGURATION", about: "Defaults for flags, fleets and named commands in a file", programs: ofShoal,
		text: `~/.config/shoal/config.toml (or below XDG_CONFIG_HOME) and /etc/shoal/config.toml
have defaults for flags, fleets, and commands with a name, in TOML:

  confirm-above = 500           # ask before more hosts than this
  confirm = "env==prod"         # and before hosts for which this holds;
                                # also "always" and "never"
  [defaults]                    # for all commands, by the names of flags
  fanout = 200
  identity = "~/.ssh/fleet"
  [defaults.watch]              # for one command
  every = "30s"
  [fleets.prod]                 # shoal run --fleet prod
  inventory = "inventory/prod"  # a file's name counts from the file's directory
  where = "env==prod"
  user = "deploy"
  jump = "bastion"
  [commands.restart]            # shoal do restart nginx
  command = "systemctl restart" # or script = "FILE"
  rollout = "1,10%,100%"

SHOAL_FANOUT=50 in the environment is a default for --fanout, and so for other
flags. What counts, the first that has a value: a flag that is typed, the named
command, the fleet, a SHOAL_* variable, the user's file, the system's file, the
default of shoal. shoal config show tells where each value comes from.

A default gives way to a typed flag that excludes it: --hostfile to another source
of hosts, --json to -b. Host expressions read no configuration. What the journal
keeps of a run, rerun and resume take from there and not from a configuration.

Unknown keys are errors. A file that others can write is refused. Passwords are in
no configuration: password-file and become-password-file name files. A file of
another user, who is not root, sets nothing that starts programs or decides whom
to trust. hosts, fleet, demo and debug read no configuration, and neither do
shoal-bench and shoal-hub.`,
		short: `~/.config/shoal/config.toml and /etc/shoal/config.toml have defaults for flags, and SHOAL_FANOUT=50 is one for --fanout: see shoal(1).`,
	},
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
  ~/.config/shoal/config.toml, /etc/shoal/config.toml
                                              shoal help configuration

Written:

  ~/.local/state/shoal    the journal of runs, what servers are like

--state-dir names another directory for that, XDG_STATE_HOME another place.
On the hosts --once, --detach and --kill-on-cancel keep markers in
.local/state/shoal/marks until shoal sweep.`,
		short: `~/.local/state/shoal has the journal of runs. shoal(1) lists all files.`,
	},
	{
		name: "environment", title: "ENVIRONMENT", about: "Which variables of the environment count", programs: ofShoal,
		text: `  SSH_AUTH_SOCK      the SSH agent
  SSH_ASKPASS        the program that confirms uses of a forwarded agent
  SHOAL_FLAG         a default for --flag, such as SHOAL_FANOUT=50
  SHOAL_CONFIG_FILE  the only configuration to read, or none
  XDG_CONFIG_HOME    where the configuration is: its directory shoal
  XDG_STATE_HOME     where the journal is: its directory shoal
  TMPDIR             where large outputs are kept while a run goes on
  PAGER              what shoal browse shows outputs with
  ` + noColour + `           no colours
  USER               the login name where no host, flag or ssh_config names one

The command of --check finds the number of the stage in SHOAL_STAGE.`,
		short: `SSH_AUTH_SOCK names the SSH agent, XDG_STATE_HOME the place of the journal. shoal(1) lists all variables.`,
	},
}
