package config

import (
	"errors"
	"fmt"
	"strings"
)

// readAgent reads the path of an agent's socket. Its environment variables must be set when the
// line is read, whichever host it is for (readconf.c).
func readAgent(o op) func(*line) error {
	return func(l *line) error {
		arg, err := l.need()
		if err != nil {
			return err
		}
		return l.setAgent(o, arg)
	}
}

func (l *line) setAgent(o op, arg string) error {
	if _, err := expandEnv(arg, l.loader.local.Getenv); err != nil {
		return err
	}
	if name, old := strings.CutPrefix(arg, "$"); old && !strings.HasPrefix(name, "{") && !validEnvName(name) {
		return fmt.Errorf("bad name of an environment variable: %.80q", name)
	}
	l.set(o, arg)
	return nil
}

// readForwardAgent reads yes, no, or the socket to forward: two values, for each of which the
// first one wins.
func readForwardAgent(l *line) error {
	arg, err := l.need()
	if err != nil {
		return err
	}
	if word, ok := flags.canonical(arg); ok {
		l.set(opForwardAgent, word)
		return nil
	}
	l.set(opForwardAgent, "yes")
	return l.setAgent(opForwardAgentPath, arg)
}

// agentSocket returns the socket that IdentityAgent denotes, "" for none. SSH_AUTH_SOCK and
// $NAME denote environment variables.
func agentSocket(path string, getenv func(string) (string, bool)) (string, error) {
	name, old := strings.CutPrefix(path, "$")
	switch {
	case path == "none":
		return "", nil
	case path == "SSH_AUTH_SOCK":
		name = path
	case !old:
		return path, nil
	case !validEnvName(name):
		return "", errors.New("bad name of an environment variable")
	}
	socket, _ := getenv(name)
	return socket, nil
}
