package keys

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"shoal/internal/ssh/hostkeys/scan"
)

// An interview asks on the terminal about one group of hosts at a time. The
// zero value is ready to use; the terminal is opened for the first question.
type interview struct {
	tty   *os.File
	lines *bufio.Scanner
	all   [scan.NumStates]bool // yes to the rest of a state
	quit  bool                 // no to all remaining groups
}

// end closes the terminal.
func (q *interview) end() {
	if q.tty != nil {
		_ = q.tty.Close()
	}
}

// ask asks about one group. It returns an error if nobody can answer.
func (q *interview) ask(r *reviewed, g scan.Group) (bool, error) {
	if q.quit || q.all[g.State] {
		return !q.quit, nil
	}
	if err := q.open(); err != nil {
		return false, err
	}
	if err := r.printGroup(q.tty, g); err != nil {
		return false, fmt.Errorf("asking on the terminal: %w", err)
	}
	for {
		if _, err := fmt.Fprintf(q.tty, "are these the hosts' own keys? yes, no, all that are %s, quit [y/n/a/q] ", g.State); err != nil {
			return false, fmt.Errorf("asking on the terminal: %w", err)
		}
		if !q.lines.Scan() {
			return false, errors.Join(errors.New("the terminal gave no answer"), q.lines.Err())
		}
		switch strings.ToLower(strings.TrimSpace(q.lines.Text())) {
		case "y", "yes":
			return true, nil
		case "n", "no":
			return false, nil
		case "a", "all":
			q.all[g.State] = true
			return true, nil
		case "q", "quit":
			q.quit = true
			return false, nil
		}
	}
}

func (q *interview) open() error {
	if q.tty != nil {
		return nil
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("no terminal to ask on: %w", err)
	}
	q.tty, q.lines = tty, bufio.NewScanner(tty)
	return nil
}
