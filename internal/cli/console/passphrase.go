package console

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"path/filepath"
	"slices"
)

var errNotAsked = errors.New("its passphrase is asked for only when --identity names it; ssh-add takes it into the agent")

// AskPassphrase returns a function that asks on the terminal, without echo, for
// the passphrase of a key file. It asks only for files in named: a key that
// happens to be in ~/.ssh is not worth a question in every run. The function is not
// safe for concurrent use.
func AskPassphrase(named []string) func(path string) ([]byte, error) {
	asked := make(map[string]bool)
	return func(path string) ([]byte, error) {
		if !slices.ContainsFunc(named, func(n string) bool { return filepath.Clean(n) == filepath.Clean(path) }) {
			return nil, errNotAsked
		}
		again := ""
		if asked[path] {
			again = "wrong; once more: "
		}
		asked[path] = true
		return ask(fmt.Sprintf("%spassphrase for %q: ", again, path))
	}
}

// AskPassword returns a function that asks on the terminal for the password of
// the run, which logs in as user; "" means the local user.
func AskPassword(login string) func(context.Context) ([]byte, error) {
	if u, err := user.Current(); login == "" && err == nil {
		login = u.Username
	}
	return func(context.Context) ([]byte, error) {
		return ask(fmt.Sprintf("password for the hosts (%.100q where they name no other user): ", login))
	}
}
