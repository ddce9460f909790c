package shell

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"shoal/fleet"
	"shoal/internal/cli/console"
	"shoal/internal/output"
	"shoal/internal/ui"
	"shoal/record"
)

// answers shows the results of one line.
type answers struct {
	shell   *shell
	sink    *output.Gathered
	summary record.Summary
	began   time.Time
	held    int
	dialled map[fleet.DialReason]int
	last    map[int]answer // by index in base
	maybe   int            // given up, and may still run
}

func newAnswers(s *shell) *answers {
	return &answers{
		shell: s, began: time.Now(), dialled: make(map[fleet.DialReason]int), last: make(map[int]answer),
		sink: output.NewGathered(output.GatheredOptions{Stdout: s.out(s.stdio.Out), Stderr: s.out(s.stdio.Err)}),
	}
}

func (a *answers) take(res fleet.Result) error {
	a.summary.Add(res)
	switch c := res.Connection; {
	case c == nil:
	case c.Held:
		a.held++
	default:
		a.dialled[c.Why]++
	}
	if res.Outcome == fleet.OutcomeUnknown {
		a.maybe++
	}
	a.last[a.shell.selected[res.Target.Index]] = answer{outcome: res.Outcome}
	return a.sink.Result(res)
}

// close shows the answers and one line about all.
func (a *answers) close(ctx context.Context) error {
	if ctx.Err() != nil && ui.Inspect(a.shell.stdio.Err, os.Getenv).Terminal {
		_, _ = fmt.Fprintln(a.shell.stdio.Err) // behind ^C
	}
	s, groups := a.shell, a.sink.Groups().List
	if len(groups) > 0 { // of several largest, the one that has the first host
		for _, m := range groups[0].Members {
			i := s.selected[m.Index]
			a.last[i] = answer{outcome: a.last[i].outcome, common: true}
		}
	}
	err := a.sink.Close()
	s.last = a.last
	a.summary.Interrupted = ctx.Err() != nil
	s.code = max(s.code, console.ExitCode(&a.summary, err == nil))
	s.say("%s", a.line())
	if a.maybe > 0 && ctx.Err() != nil {
		s.say("interrupted: on %s the command may still run", count(a.maybe, "host"))
	}
	if err != nil {
		return errors.Join(errors.New("showing the answers failed"), err)
	}
	return nil
}

// line counts outcomes and connections.
func (a *answers) line() string {
	var parts []string
	for o, n := range a.summary.Outcomes {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", ui.Count(int64(n)), strings.ReplaceAll(fleet.Outcome(o).String(), "_", " ")))
		}
	}
	text := strings.Join(parts, ", ") + " in " + ui.Duration(time.Since(a.began))
	if n := len(a.sink.Groups().List); n > 1 {
		text += fmt.Sprintf("; %s answers", ui.Count(int64(n)))
	}
	for _, why := range []fleet.DialReason{
		fleet.DialLost, fleet.DialRefused, fleet.DialExpired, fleet.DialSettings, fleet.DialHostKey, fleet.DialLetGo,
	} {
		if n := a.dialled[why]; n > 0 {
			text += fmt.Sprintf("; %s dialled anew (%s)", ui.Count(int64(n)), strings.ReplaceAll(string(why), "_", " "))
		}
	}
	return text
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return ui.Count(int64(n)) + " " + what
}
