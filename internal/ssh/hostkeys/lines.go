package hostkeys

import (
	"errors"
	"io"
	"strings"

	"golang.org/x/crypto/ssh"

	"shoal/fleet"
)

// A Line is a line of a known_hosts file with names in the open and without a
// marker, as ssh-keyscan(1) prints them.
type Line struct {
	Number int      // from 1
	Names  []string // as they stand there: "host" or "[host]:port"
	Key    ssh.PublicKey
}

var errNotPlain = errors.New("only lines as ssh-keyscan prints them are taken: names in the open, no marker")

// Lines reads what ssh-keyscan prints. Bad lines are Problems, and so are lines
// with a marker, a pattern or a hashed name; the others count. file is what a
// Problem names. The error is that of reading.
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

// AppendLine adds the line that says that the target has this key, with its
// newline. The error says that the target's name cannot stand in known_hosts.
func AppendLine(text []byte, t fleet.Target, key ssh.PublicKey) ([]byte, error) {
	n, err := namesOf(t, "")
	if err != nil {
		return text, err
	}
	return appendLine(text, n.look, key, false), nil
}
