package cli

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/term"
)

var errNotAsked = errors.New("its passphrase is asked for only when --identity names it; ssh-add takes it into the agent")

// askPassphrase gives a function that asks for the passphrase of a key file on
// the terminal, without echo. Only files that were named are asked for: a key
// that happens to be in ~/.ssh is not worth a question in every run.
func askPassphrase(named []string) func(path string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		if !slices.Contains(named, path) {
			return nil, errNotAsked
		}
		tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
		if err != nil {
			return nil, fmt.Errorf("no terminal to ask on: %w", err)
		}
		defer func() { _ = tty.Close() }()
		if _, err := fmt.Fprintf(tty, "passphrase for %q: ", path); err != nil {
			return nil, err
		}
		passphrase, err := term.ReadPassword(int(tty.Fd()))
		_, _ = fmt.Fprintln(tty)
		return passphrase, err
	}
}
