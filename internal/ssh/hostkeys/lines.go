package hostkeys

import (
	"errors"
	"io"
	"strings"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// A Line is a known_hosts line with plain names and no marker, as ssh-keyscan(1) prints it.
type Line struct {
	Number int      // from 1
	Names  []string // as written: "host" or "[host]:port"
	Key    ssh.PublicKey
}

var errNotPlain = errors.New("only lines as ssh-keyscan prints them are taken: names in the open, no marker")

// Lines parses the output of ssh-keyscan. Bad lines become Problems, and so do lines with a
// marker, a pattern or a hashed name. file is the file name in Problems. The error is a read
// error.
func Lines(r io.Reader, file string) ([]Line, []Problem, error) {
	var lines []Line
	_, problems, err := eachLine(r, file, position{}, func(e *entry) error {
		if e.mark != markNone || strings.HasPrefix(e.names, "|") || !isPlain(e.names) {
			return errNotPlain
		}
		lines = append(lines, Line{Number: e.number, Names: strings.Split(e.names, ","), Key: e.key})
		return nil
	})
	return lines, problems, err
}

// AppendLine appends the target's known_hosts line for the key, with its newline: under its
// HostKeyAlias, if it has one, where it is looked up. It returns an error if that name cannot occur in
// known_hosts.
func AppendLine(text []byte, t fleet.Target, key ssh.PublicKey) ([]byte, error) {
	n, err := namesOf(t)
	if err != nil {
		return text, err
	}
	return appendLine(text, n.look, key, false), nil
}
