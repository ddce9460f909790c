package scan

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"shoal/fleet"
	"shoal/internal/ssh"
	"shoal/internal/ssh/hostkeys"
)

// Write writes a scan in the format of ssh-keyscan(1): a known_hosts line for each key. If a
// host's name cannot occur in known_hosts it returns an error and writes nothing.
func Write(w io.Writer, seen []Seen) error {
	var text []byte
	for _, s := range seen {
		for _, key := range s.Keys {
			var err error
			if text, err = hostkeys.AppendLine(text, s.Target.Target, key); err != nil {
				return fmt.Errorf("writing scanned host keys: %w", err)
			}
		}
	}
	if _, err := w.Write(text); err != nil {
		return fmt.Errorf("writing scanned host keys: %w", err)
	}
	return nil
}

// Read parses the output of Write or ssh-keyscan. It returns each host once, in the order of
// first appearance. Lines that cannot be used become problems with file as the file name. The
// error is a read error.
func Read(r io.Reader, file string) ([]Seen, []hostkeys.Problem, error) {
	lines, problems, err := hostkeys.Lines(r, file)
	if err != nil {
		return nil, nil, fmt.Errorf("reading scanned host keys: %w", err)
	}
	var seen []Seen
	places := make(map[fleet.Host]int)
	for _, line := range lines {
		for _, name := range line.Names {
			host := hostOf(name)
			at, ok := places[host]
			if !ok {
				at = len(seen)
				places[host] = at
				seen = append(seen, Seen{Target: ssh.Target{Target: fleet.Target{Host: host, Index: at, Port: host.Port}}})
			}
			seen[at].add(line.Key)
		}
	}
	return seen, problems, nil
}

// hostOf parses a known_hosts name: "name" or "[name]:port". Any other text becomes a name that
// matches nothing.
func hostOf(text string) fleet.Host {
	name, port, ok := strings.Cut(strings.TrimPrefix(text, "["), "]:")
	if ok && strings.HasPrefix(text, "[") {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil && n > 0 {
			return fleet.Host{Name: name, Port: uint16(n)}
		}
	}
	return fleet.Host{Name: text}
}
