// Package completion writes the scripts that have shells complete the words of a program.
package completion

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"shoal/internal/cli/console"
)

// New returns the command completion.
func New(stdio console.Stdio) *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Write the script that has bash, zsh or fish complete words",
		Long: `Write the script that has a shell complete commands, flags, hosts, groups, runs and
other words: bash (with its package bash-completion), zsh or fish. Nothing of the
line that is typed is run for that.`,
		ValidArgs: []string{"bash", "zsh", "fish"},
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := script(cmd.Root(), args[0])
			if err == nil {
				_, err = io.WriteString(stdio.Out, text)
			}
			return err
		},
	}
}

// A repair replaces a line of cobra's script.
type repair struct{ from, to string }

// repairs keep the scripts from evaluating what was typed: cobra's have the shell evaluate the
// whole line, so that "$(reboot)" in it, or (reboot) within quotes in fish, would be run when Tab is
// pressed, and > file would empty a file.
var repairs = map[string]repair{
	"bash": {`    args=("${words[@]:1}")`, "    args=(\"${words[@]:1}\")\n    args=(\"${args[@]//[\\$\\`<>|&;()]/_}\")"},
	"zsh":  {`${words[2,-1]}"`, "${words[2,-1]//[\\$\\`<>|&;()]/_}\""},
	"fish": {`(commandline -opc)`, `(commandline -opc | string escape)`},
}

func script(root *cobra.Command, shell string) (string, error) {
	var b bytes.Buffer
	var err error
	switch shell {
	case "bash":
		err = root.GenBashCompletionV2(&b, true)
	case "zsh":
		err = root.GenZshCompletion(&b)
	default:
		err = root.GenFishCompletion(&b, true)
	}
	if err != nil {
		return "", fmt.Errorf("writing the script: %w", err)
	}
	r := repairs[shell]
	if !strings.Contains(b.String(), r.from) {
		return "", fmt.Errorf("the script for %s has no line %q to mend", shell, r.from)
	}
	return strings.ReplaceAll(b.String(), r.from, r.to), nil
}
