package bench

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"shoal/fleet"
	"shoal/internal/placeholder"
)

// plainEcho is a command whose output every shell agrees on: echo and words
// without anything that a shell, echo itself or a placeholder's filter would
// change.
var plainEcho = regexp.MustCompile(`^echo(?: (?:[A-Za-z0-9_./:@%+,]|\{(?:host|user|port|index)\})(?:[A-Za-z0-9_./:@%+,-]|\{(?:host|user|port|index)\})*)+$`)

// Expected gives what a command prints, as Options.Expect has it, where that is
// certain: for echo and plain words. Otherwise it is "".
func Expected(text string) string {
	if !plainEcho.MatchString(text) {
		return ""
	}
	return strings.TrimPrefix(text, "echo ") + "\n"
}

// expectation reads Expect; nil when outputs are not compared.
func (o Options) expectation() (*placeholder.Template, error) {
	if o.Expect == "" {
		return nil, nil
	}
	t, err := placeholder.Parse(o.Expect)
	if err != nil {
		return nil, fmt.Errorf("reading the expected output: %w", err)
	}
	return t, nil
}

// correct says whether r is what was expected; nil expects an ok and no more.
func correct(expect *placeholder.Template, r *fleet.Result) bool {
	if r.Outcome != fleet.OutcomeOK {
		return false
	}
	if expect == nil {
		return true
	}
	return r.Stderr.Size == 0 && !r.Stdout.Truncated() &&
		bytes.Equal(r.Stdout.Bytes, []byte(expect.Expand(r.Target)))
}
