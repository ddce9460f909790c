package bench

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"shoal/fleet"
	"shoal/internal/placeholder"
)

// plainEcho matches commands whose output is the same in every shell: echo and
// words without characters that a shell, echo or a placeholder's filter could
// change.
var plainEcho = regexp.MustCompile(`^echo(?: (?:[A-Za-z0-9_./:@%+,]|\{(?:host|user|port|index)\})(?:[A-Za-z0-9_./:@%+,-]|\{(?:host|user|port|index)\})*)+$`)

// Expected returns the output of a command in the format of Options.Expect if
// it is certain, which it is for echo and plain words. Otherwise it returns "".
func Expected(text string) string {
	if !plainEcho.MatchString(text) {
		return ""
	}
	return strings.TrimPrefix(text, "echo ") + "\n"
}

// expectation parses Expect; it returns nil if outputs are not compared.
func (o Options) expectation() (*placeholder.Template, error) {
	if o.Expect == "" {
		return nil, nil
	}
	t, err := placeholder.Parse(o.Expect, placeholder.Everywhere)
	if err != nil {
		return nil, fmt.Errorf("reading the expected output: %w", err)
	}
	return t, nil
}

// correct reports whether r is as expected. If expect is nil, any OK is.
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
