package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/term"
)

var errNotAsked = errors.New("its passphrase is asked for only when --identity names it; ssh-add takes it into the agent")

// askPassphrase gives a function that asks for the passphrase of a key file on
// the terminal, without echo. Only files that were named are asked for: a key
// that happens to be in ~/.ssh is not worth a question in every run.
func askPassphrase(named []string) func(path string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		if !slices.ContainsFunc(named, func(n string) bool { return filepath.Clean(n) == filepath.Clean(path) }) {
			return nil, errNotAsked
		}
		return ask(fmt.Sprintf("passphrase for %q: ", path))
	}
}

// askPassword asks for the password of the run.
func askPassword(context.Context) ([]byte, error) { return ask("password for the hosts: ") }

// ask asks for a secret on the terminal, without echo.
func ask(question string) ([]byte, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("no terminal to ask on: %w", err)
	}
	defer func() { _ = tty.Close() }()
	if _, err := fmt.Fprint(tty, question); err != nil {
		return nil, err
	}
	secret, err := term.ReadPassword(int(tty.Fd()))
	_, _ = fmt.Fprintln(tty)
	return secret, err
}
