package shell

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"shoal/fleet"
	"shoal/hosts/expr"
	"shoal/internal/hint"
	"shoal/internal/ui"
)

func (s *shell) selectAll() {
	s.selected = make([]int, len(s.base))
	for i := range s.selected {
		s.selected[i] = i
	}
	s.named = "all"
}

// choose does a line that selects hosts: @GROUP, -w EXPR, +EXPR, -EXPR.
func (s *shell) choose(ctx context.Context, text string) error {
	how, expression := chosen(text)
	if expression == "" || strings.ContainsAny(expression, " \t") {
		return hint.New(fmt.Sprintf("%.60q selects no hosts", text), "@GROUP, -w EXPR, +EXPR, -EXPR; :help lists more")
	}
	find := s.find
	if strings.ContainsAny(expression, "*?") && !strings.Contains(expression, "@") {
		find = s.matching
	}
	found, err := find(ctx, expression)
	if err != nil {
		return err
	}
	now := make(map[int]bool)
	if how != '=' {
		for _, i := range s.selected {
			now[i] = true
		}
	}
	for _, i := range found {
		if how == '-' {
			delete(now, i)
		} else {
			now[i] = true
		}
	}
	s.selected = slices.Sorted(maps.Keys(now))
	if how == '=' {
		s.named = expression
	} else {
		s.named = strings.TrimSuffix(s.named, "…") + string(how) + expression
	}
	return nil
}

// chosen returns what a line that selects hosts does with an expression: = selects what it names,
// + adds, - leaves out. "-web1" is web1 left out, and "-w eb1" selects eb1.
func chosen(text string) (how byte, expression string) {
	switch rest, w := strings.CutPrefix(text, "-w"); {
	case w && (rest == "" || strings.ContainsRune(" \t'\"", rune(rest[0]))):
		expression = strings.TrimSpace(rest)
		if n := len(expression); n > 1 && (expression[0] == '\'' || expression[0] == '"') && expression[n-1] == expression[0] {
			expression = expression[1 : n-1]
		}
		return '=', expression
	case text[0] == '+' || text[0] == '-':
		return text[0], strings.TrimSpace(text[1:])
	}
	return '=', text
}

// find returns the hosts of the shell that an expression names.
func (s *shell) find(ctx context.Context, expression string) (found []int, err error) {
	f := s.flags.HostFlags.Naming(expression)
	opts := s.opts
	list, err := f.Load(ctx, &opts, s.stdio)
	if err != nil {
		return nil, err
	}
	at := make(map[string]int, len(s.base))
	for i, t := range s.base {
		at[t.Host.String()] = i
	}
	var missing []string
	for h := range list.Hosts() {
		if i, ok := at[h.String()]; ok {
			found = append(found, i)
		} else {
			missing = append(missing, h.String())
		}
	}
	return found, notHere(missing)
}

// matching is find for an expression with wildcards and without groups. Wildcards mean all hosts of the
// shell: a source may know some of them only, and -web* must leave out all others too.
func (s *shell) matching(_ context.Context, expression string) (found []int, err error) {
	r := expr.NewResolver(nil)
	at := make(map[string][]int, len(s.base))
	for i, t := range s.base {
		names := []string{t.Host.Name, t.Host.String()}
		r.Also = append(r.Also, t.Host.Name)
		for _, name := range slices.Compact(names) {
			at[name] = append(at[name], i)
		}
	}
	e, err := r.Parse(expression)
	if err != nil {
		return nil, fmt.Errorf("reading the hosts: %w", err)
	}
	var missing []string
	for name := range e.Names() {
		if at[name] == nil {
			missing = append(missing, name)
		}
		found = append(found, at[name]...)
	}
	if idle := e.Idle(); len(idle) > 0 {
		return nil, hint.New(fmt.Sprintf("no host of this shell is meant by %s", ui.Truncate(ui.Visible(strings.Join(idle, ", ")), 200)), ":all and :hosts show all of them")
	}
	return found, notHere(missing)
}

// notHere returns an error if hosts are missing.
func notHere(missing []string) error {
	if len(missing) == 0 {
		return nil
	}
	return hint.New(fmt.Sprintf("not among the hosts of this shell: %s", ui.Truncate(ui.Visible(expr.Fold(missing)), 200)),
		"name all hosts that you need when it starts: shoal shell -w …")
}

var errNoCommand = hint.New("there is no last command yet", "run one first")

// only keeps the selected hosts whose last command ended so.
func (s *shell) only(what string) error {
	match := map[string]func(answer) bool{
		"ok":        func(a answer) bool { return a.outcome == fleet.OutcomeOK },
		"failed":    func(a answer) bool { return a.outcome == fleet.OutcomeFailed || a.outcome == fleet.OutcomeSignalled },
		"unknown":   func(a answer) bool { return a.outcome == fleet.OutcomeUnknown },
		"unreached": func(a answer) bool { return a.outcome.DidNotRun() },
		"differs":   func(a answer) bool { return !a.common },
	}[what]
	if match == nil {
		return hint.New(fmt.Sprintf(":only %.40q is none of ok, failed, unknown, unreached and differs", what), ":all selects all hosts again")
	}
	if s.last == nil {
		return errNoCommand
	}
	var kept []int
	for _, i := range s.selected {
		if a, ok := s.last[i]; ok && match(a) {
			kept = append(kept, i)
		}
	}
	if len(kept) == 0 {
		return errors.New("there is none such; the selection stays")
	}
	s.selected, s.named = kept, "only "+what
	return nil
}

func (s *shell) showHosts() error {
	var all []fleet.Host
	for _, i := range s.selected {
		all = append(all, s.base[i].Host)
	}
	_, err := fmt.Fprintln(s.stdio.Out, ui.Visible(fold(all)))
	return err
}

func fold(all []fleet.Host) string {
	names := make([]string, len(all))
	for i, h := range all {
		names[i] = h.String()
	}
	return expr.Fold(names)
}
