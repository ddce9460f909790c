package config

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"strconv"
	"strings"

	"shoal/fleet"
	"shoal/hosts/expr"
	"shoal/hosts/filter"
	"shoal/internal/cli/console"
	"shoal/internal/hint"
	"shoal/internal/ui"
)

// Values of confirm that are no conditions.
const (
	always = "always"
	never  = "never"
)

// rules say when a person is asked before something starts.
type rules struct {
	above     *int
	condition string // "" means none
	match     filter.Expr
	aboveFrom string
	from      string // of the condition
	yes       *bool  // --yes
}

type rulesKey struct{}

// rulesOf returns the rules of what was applied.
func (a *applied) rules(yes *bool) (r rules, err error) {
	r.yes = yes
	if v, ok := a.set[keyConfirmAbove]; ok {
		n, err := strconv.Atoi(v.texts[0])
		if err != nil {
			return r, fmt.Errorf("confirm-above: %w", err)
		}
		r.above, r.aboveFrom = &n, v.from
	}
	if v, ok := a.set[keyConfirm]; ok {
		r.condition, r.from = v.texts[0], v.from
		if r.condition != always && r.condition != never {
			r.match, err = filter.Parse(r.condition)
		}
	}
	return r, err
}

// Confirm asks whether something may start on targets, if the configuration of the command that
// runs says so: a person on the terminal, unless --yes was given. An error means no. attributes
// says whether the targets have the attributes of their hosts; without them, a condition may hold.
func Confirm(ctx context.Context, what string, targets iter.Seq[fleet.Target], attributes bool, stdio console.Stdio) error {
	r, ok := ctx.Value(rulesKey{}).(rules)
	if !ok || r.yes != nil && *r.yes {
		return nil
	}
	why, total, matching := r.why(targets, attributes)
	if why == "" {
		return nil
	}
	const shown = 400
	on := expr.Fold(matching)
	if len(on) > shown {
		on = on[:shown] + "…"
	}
	hosts := ui.CountOf(total, "host", "hosts")
	question := fmt.Sprintf("%s\nwould start on %s: %s\n%s\n", ui.Visible(clip(what)), hosts, ui.Visible(on), ui.Visible(why))
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return hint.New(fmt.Sprintf("not started on %s: %s, and there is no terminal to ask on", hosts, ui.Visible(why)), "--yes starts it without a question")
	}
	defer func() { _ = tty.Close() }()
	return ask(ctx, tty, question)
}

func clip(text string) string {
	text = strings.ReplaceAll(text, "\n", " ")
	if r := []rune(text); len(r) > 200 {
		return string(r[:200]) + "…"
	}
	return text
}

// why returns why to ask, "" if there is no reason; how many targets there are, and the names of
// those for which it asks.
func (r rules) why(targets iter.Seq[fleet.Target], attributes bool) (why string, total int, names []string) {
	var all, matching []string
	unknown := !attributes && r.condition != "" && r.condition != always && r.condition != never
	for t := range targets {
		total++
		name := t.Host.String()
		all = append(all, name)
		if r.condition == always || unknown || r.condition != never && r.condition != "" && r.match.Match(attrsOf(&t)) {
			matching = append(matching, name)
		}
	}
	switch {
	case total == 0:
		return "", 0, nil
	case r.above != nil && total > *r.above:
		return fmt.Sprintf("that is more than confirm-above = %s (%s)", ui.Count(int64(*r.above)), r.aboveFrom), total, all
	case unknown:
		return fmt.Sprintf("confirm = %q (%s) may hold: the journal has no attributes of hosts", r.condition, r.from), total, all
	case len(matching) > 0 && r.condition == always:
		return fmt.Sprintf("confirm = %q (%s)", r.condition, r.from), total, all
	case len(matching) > 0:
		return fmt.Sprintf("for %s of them confirm = %q holds (%s)", ui.Count(int64(len(matching))), r.condition, r.from), total, matching
	}
	return "", total, nil
}

// attrsOf returns the attributes of a target, for a host without any an empty set: conditions such
// as env!=test hold for it.
func attrsOf(t *fleet.Target) filter.Attrs {
	if t.Attrs == nil {
		return noAttrs{}
	}
	return t.Attrs
}

type noAttrs struct{}

// Attr implements filter.Attrs.
func (noAttrs) Attr(string) (string, bool) { return "", false }

var errRefused = errors.New("not started: the answer was not yes")

// ask asks on a terminal. Only "yes" and "y" mean yes.
func ask(ctx context.Context, tty *os.File, question string) error {
	if _, err := fmt.Fprintf(tty, "%sgo on? [y/N] ", question); err != nil {
		return fmt.Errorf("asking on the terminal: %w", err)
	}
	answer := make(chan string, 1) // sent by the goroutine, which may outlive us: reading a terminal cannot be ended
	go func() { answer <- readLine(tty) }()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case text := <-answer:
		switch strings.ToLower(strings.TrimSpace(text)) {
		case "y", "yes":
			return nil
		}
		return errRefused
	}
}

// readLine reads a line, and not what is behind it.
func readLine(tty *os.File) string {
	var line []byte
	var one [1]byte
	for len(line) < 256 {
		if n, err := tty.Read(one[:]); n == 0 || err != nil || one[0] == '\n' {
			break
		}
		line = append(line, one[0])
	}
	return string(line)
}
