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
other words: bash, zsh or fish. Nothing of the
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
// pressed, and > file would empty a file. In bash they also do what the package bash-completion does
// for cobra's script, where it is not installed.
var repairs = map[string][]repair{
	"bash": {
		{`    args=("${words[@]:1}")`, "    args=(\"${words[@]:1}\")\n    args=(\"${args[@]//[\\$\\`<>|&;()]/_}\")"},
		{`    _get_comp_words_by_ref "$@" cur prev words cword`, bashWords},
		// A comma within a word means nothing to bash, but printf %q quotes it, and then a list of hosts is
		// not what was typed.
		{`COMPREPLY[0]=$(printf "%q" "${COMPREPLY[0]}")`, `COMPREPLY[0]=$(printf "%q" "${COMPREPLY[0]}"); COMPREPLY[0]=${COMPREPLY[0]//\\,/,}`},
	},
	"zsh":  {{`${words[2,-1]}"`, "${words[2,-1]//[\\$\\`<>|&;()]/_}\""}},
	"fish": {{`(commandline -opc)`, `(commandline -opc | string escape)`}},
}

// bashWords finds the words of the line. Bash cuts them at = and : also.
const bashWords = `    if declare -F _get_comp_words_by_ref >/dev/null; then
        _get_comp_words_by_ref "$@" cur prev words cword
        return
    fi
    local i word last= rest=$COMP_LINE
    words=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $i -gt 0 && $rest != [[:space:]]* && ($word == [=:]* || $last == *[=:]) ]]; then
            words[${#words[@]}-1]+=$word
        else
            words+=("$word")
        fi
        rest=${rest#"${rest%%[![:space:]]*}"}
        rest=${rest#"$word"}
        last=$word
    done
    cword=$((${#words[@]} - 1))
    cur=${words[cword]}
    prev=
    if ((cword > 0)); then
        prev=${words[cword - 1]}
    fi`

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
	text := b.String()
	for _, r := range repairs[shell] {
		if !strings.Contains(text, r.from) {
			return "", fmt.Errorf("the script for %s has no line %q to mend", shell, r.from)
		}
		text = strings.ReplaceAll(text, r.from, r.to)
	}
	return text, nil
}
