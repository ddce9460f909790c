package console

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
)

var errNotAsked = errors.New("its passphrase is asked for only when --identity names it; ssh-add takes it into the agent")

// AskPassphrase returns a function that asks on the terminal, without echo, for
// the passphrase of a key file. It asks only for files in named: a key that
// happens to be in ~/.ssh is not worth a question in every run.
func AskPassphrase(named []string) func(path string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		if !slices.ContainsFunc(named, func(n string) bool { return filepath.Clean(n) == filepath.Clean(path) }) {
			return nil, errNotAsked
		}
		return ask(fmt.Sprintf("passphrase for %q: ", path))
	}
}

// AskPassword asks on the terminal for the password of the run.
func AskPassword(context.Context) ([]byte, error) { return ask("password for the hosts: ") }
