package shell

import (
	"context"
	"fmt"
	"strings"

	"shoal/internal/hint"
)

// do does one line.
func (s *shell) do(ctx context.Context, text string) (quit bool, err error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "" || text[0] == '#':
		return false, nil
	case text[0] == ':':
		return s.setting(ctx, text[1:])
	case text[0] == '@' || text[0] == '+' || text[0] == '-':
		return false, s.choose(ctx, text)
	}
	if err := refuse(text); err != nil {
		return false, err
	}
	return false, s.command(ctx, text)
}

// alone are commands that do nothing but change the shell in which they run, and what is meant.
var alone = map[string]string{
	"cd": ":chdir DIR is for all later commands, and cd DIR && COMMAND for one", "export": ":env NAME=VALUE is for all later commands",
	"set": ":env NAME=VALUE is for all later commands", "unset": ":env alone removes all variables",
	"umask": "umask 022; COMMAND is for one command", "alias": "write the command out",
	"su": ":become USER is for all later commands; --become-method has the ways", "pushd": ":chdir DIR is for all later commands",
	"popd": ":chdir alone goes back to the home directory", "exit": ":quit ends the shell, as Ctrl-D does", "logout": ":quit ends the shell, as Ctrl-D does",
}

// refuse returns an error for a line that would change nothing for the next one, or would wait for
// somebody to type.
func refuse(text string) error {
	if strings.ContainsAny(text, ";&|\n`()") {
		return nil
	}
	words := strings.Fields(text)
	advice := alone[words[0]]
	if words[0] == "sudo" && len(words) == 2 && (words[1] == "-i" || words[1] == "-s" || words[1] == "su") || text == "sudo su -" {
		advice = ":become USER is for all later commands, and sudo -n COMMAND runs one"
	}
	if advice == "" || words[0] == "su" && strings.Contains(text, "-c") || words[0] == "set" && len(words) == 1 || words[0] == "umask" && len(words) == 1 {
		return nil
	}
	return hint.New(fmt.Sprintf("%s: each line is a command of its own, and this would end with it", words[0]), advice)
}
