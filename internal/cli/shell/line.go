package shell

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"shoal/internal/cli/console"
	"shoal/internal/hint"
)

// do does one line.
func (s *shell) do(ctx context.Context, text string) (quit bool, err error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "" || text[0] == '#':
		return false, nil
	case text[0] == ':':
		return s.setting(text[1:])
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
	"set": ":env NAME=VALUE is for all later commands", "umask": "umask 022; COMMAND is for one command", "alias": "write the command out",
	"su": "su -c COMMAND USER runs one command", "pushd": ":chdir DIR is for all later commands", "exit": ":quit ends the shell, as Ctrl-D does",
	"logout": ":quit ends the shell, as Ctrl-D does",
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
		advice = "sudo -n COMMAND runs one command"
	}
	if advice == "" || words[0] == "su" && strings.Contains(text, "-c") || words[0] == "set" && len(words) == 1 || words[0] == "umask" && len(words) == 1 {
		return nil
	}
	return hint.New(fmt.Sprintf("%s: each line is a command of its own, and this would end with it", words[0]), advice)
}

// setting does a line that begins with a colon.
func (s *shell) setting(text string) (quit bool, err error) {
	name, value, _ := strings.Cut(text, " ")
	value = strings.TrimSpace(value)
	if value != "" {
		switch name {
		case "quit", "q", "exit", "help", "all", "hosts", "reconnect":
			return false, fmt.Errorf(":%s has no value", name)
		}
	}
	switch name {
	case "quit", "q", "exit":
		return true, nil
	case "help", "h", "?":
		_, err = fmt.Fprintln(s.stdio.Out, help)
		return false, err
	case "all":
		s.selectAll()
		return false, nil
	case "hosts":
		return false, s.showHosts()
	case "only":
		return false, s.only(value)
	case "reconnect":
		s.hold.Pool.Refresh()
		return false, nil
	case "timeout":
		s.settings.timeout = 0
		if value != "" {
			d, err := time.ParseDuration(value)
			if err != nil || d <= 0 {
				return false, hint.New(fmt.Sprintf(":timeout %.40q is no duration", value), "such as 5s, 2m")
			}
			s.settings.timeout = d
		}
		return false, nil
	case "chdir":
		s.settings.chdir = value
		return false, nil
	case "env":
		return false, s.env(value)
	case "fanout":
		n, err := strconv.Atoi(value)
		if value != "" && (err != nil || n < 1) {
			return false, fmt.Errorf(":fanout %.40q is no number of hosts", value)
		}
		s.settings.fanout = n
		return false, nil
	}
	return false, hint.New(fmt.Sprintf("there is no :%.40s", name), ":help lists what there is")
}

// env sets a variable, or removes all.
func (s *shell) env(value string) error {
	name, _, ok := strings.Cut(value, "=")
	switch {
	case value == "":
		s.settings.env = nil
		return nil
	case !ok || name == "":
		return hint.New(fmt.Sprintf(":env %.40q is no variable", value), ":env NAME=VALUE; :env alone removes all")
	}
	var kept []string
	for _, e := range s.settings.env {
		if !strings.HasPrefix(e, name+"=") {
			kept = append(kept, e)
		}
	}
	s.settings.env = append(kept, value)
	return nil
}

func (s *shell) say(format string, args ...any) { console.Say(s.stdio.Err, format, args...) }
