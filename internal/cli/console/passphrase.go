package console

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
)

var errNotAsked = errors.New("its passphrase is asked for only when --identity names it; ssh-add takes it into the agent")

// AskPassphrase gives a function that asks for the passphrase of a key file on
// the terminal, without echo. Only files that were named are asked for: a key
// that happens to be in ~/.ssh is not worth a question in every run.
func AskPassphrase(named []string) func(path string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		if !slices.ContainsFunc(named, func(n string) bool { return filepath.Clean(n) == filepath.Clean(path) }) {
			return nil, errNotAsked
		}
		return ask(fmt.Sprintf("passphrase for %q: ", path))
	}
}

// AskPassword asks for the password of the run.
func AskPassword(context.Context) ([]byte, error) { return ask("password for the hosts: ") }
