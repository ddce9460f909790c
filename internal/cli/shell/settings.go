package shell

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"shoal/internal/groups"
	"shoal/internal/hint"
	"shoal/internal/output"
	"shoal/internal/remote"
	"shoal/internal/remote/become"
	"shoal/internal/ui"
)

// settings are what lines that begin with a colon set for later commands.
type settings struct {
	timeout time.Duration
	chdir   string
	env     []string
	fanout  int
	become  *become.Options // nil: the account
	view    output.GroupView
	equal   groups.Options
}

// settings returns the settings that the flags ask for.
func (f *shellFlags) settings() (s settings, err error) {
	s = settings{timeout: f.timeout.Duration(), chdir: f.chdir, env: f.env, fanout: f.fanout}
	switch {
	case f.diff && f.oneLine:
		return s, hint.New("--groups and --diff cannot go together", "choose one of them")
	case f.diff:
		s.view = output.Diffs
	case f.oneLine:
		s.view = output.OneLine
	}
	if s.become, err = f.BecomeOptions(f.given.Changed); err != nil {
		return s, err
	}
	f.asked = s.become
	if err = s.remote().Validate(); err != nil {
		return s, err
	}
	s.equal, err = f.equal.Parse()
	return s, err
}

// without are the settings that have no value.
var without = []string{"quit", "q", "exit", "help", "h", "?", "all", "hosts", "reconnect", "settings"}

// setting does a line that begins with a colon.
func (s *shell) setting(ctx context.Context, text string) (quit bool, err error) {
	name, value, _ := strings.Cut(text, " ")
	value = strings.TrimSpace(value)
	if value != "" && slices.Contains(without, name) {
		return false, fmt.Errorf(":%s has no value", name)
	}
	switch name {
	case "quit", "q", "exit":
		return true, nil
	case "help", "h", "?":
		return false, s.print(helpFor(s.columns()))
	case "settings":
		return false, s.print(s.settings.text(s.flags.equal.Masks(), s.logName()))
	case "all":
		s.selectAll()
	case "hosts":
		return false, s.showHosts()
	case "only":
		return false, s.only(value)
	case "reconnect":
		s.hold.Refresh()
	case "log":
		return false, s.openLog(value)
	case "diff":
		return false, s.diff(value)
	default:
		return false, s.set(name, value)
	}
	return false, nil
}

// set sets one of the settings.
func (s *shell) set(name, value string) (err error) {
	now := s.settings
	switch name {
	case "timeout":
		if now.timeout = 0; value != "" {
			if now.timeout, err = time.ParseDuration(value); err != nil || now.timeout <= 0 {
				return hint.New(fmt.Sprintf(":timeout %.40q is no duration", value), "such as 5s, 2m")
			}
		}
	case "chdir":
		now.chdir = value
	case "env":
		if now.env, err = addVariable(now.env, value); err != nil {
			return err
		}
	case "fanout":
		if now.fanout, err = strconv.Atoi(value); value != "" && (err != nil || now.fanout < 1) {
			return fmt.Errorf(":fanout %.40q is no number of hosts", value)
		}
	case "mask":
		if err = s.flags.equal.SetMasks(value); err != nil {
			return err
		}
		if now.equal, err = s.flags.equal.Parse(); err != nil {
			return err
		}
	case "view":
		view, ok := map[string]output.GroupView{"": output.Blocks, "full": output.Blocks, "diff": output.Diffs, "groups": output.OneLine}[value]
		if !ok {
			return hint.New(fmt.Sprintf(":view %.40q is none of full, diff and groups", value), ":diff shows the last answers so, once")
		}
		now.view = view
	case "become":
		if now.become, err = s.flags.becoming(now.become, value); err != nil {
			return err
		}
	default:
		return hint.New(fmt.Sprintf("there is no :%.40s", name), ":help lists what there is")
	}
	if err := now.remote().Validate(); err != nil {
		return err
	}
	s.settings = now
	return nil
}

// settingFlags are the flags that are settings here.
var settingFlags = regexp.MustCompile(`--(mask|timeout|chdir|env|become|fanout|log)([^-\w]|$)`)

// asSettings returns an error that names settings where err names the flags of shoal shell for them.
func asSettings(err error) error {
	text := err.Error()
	what, advice := hint.Split(text)
	if advice == "" {
		advice = hint.Of(err)
	}
	named := func(text string) string {
		text = settingFlags.ReplaceAllString(text, ":$1$2")
		return strings.ReplaceAll(text, "--mask-regex", "shoal shell --mask-regex")
	}
	if advice == "" {
		return errors.New(named(what))
	}
	return hint.New(named(what), named(advice))
}

// addVariable sets a variable, or removes all.
func addVariable(env []string, value string) (kept []string, err error) {
	name, _, ok := strings.Cut(value, "=")
	switch {
	case value == "":
		return nil, nil
	case !ok || name == "":
		return nil, hint.New(fmt.Sprintf(":env %.40q is no variable", value), ":env NAME=VALUE; :env alone removes all")
	}
	for _, e := range env {
		if !strings.HasPrefix(e, name+"=") {
			kept = append(kept, e)
		}
	}
	return append(kept, value), nil
}

// becoming returns whom later commands run as: another user, by the way and with the password that the
// flags say; "" means the account.
func (f *shellFlags) becoming(now *become.Options, user string) (*become.Options, error) {
	if user == "" {
		return nil, nil
	}
	if f.asked == nil {
		o := &become.Options{Method: remote.Sudo, User: user, Timeout: become.DefaultTimeout}
		return o, o.Validate()
	}
	o := *f.asked
	if o.User != user && o.Method == remote.Su && o.Passwords != nil {
		return now, hint.New(fmt.Sprintf("su asks for the password of the other user, and that of %.40s is known, not that of %.40s", o.User, user),
			"shoal shell --become-method su --become-user USER --ask-become-pass asks for it")
	}
	o.User = user
	return &o, o.Validate()
}

// text lists the settings.
func (s *settings) text(masks, log string) string {
	var rows [][]string
	add := func(name, value string) {
		if value == "" {
			value = "-"
		}
		rows = append(rows, []string{":" + name, ui.Visible(value)})
	}
	limit, width, user := "", "", ""
	if s.timeout > 0 {
		limit = s.timeout.String()
	}
	if s.fanout > 0 {
		width = strconv.Itoa(s.fanout)
	}
	if s.become != nil {
		user = s.become.User + " by " + string(s.become.Method)
	}
	add("timeout", limit)
	add("chdir", s.chdir)
	add("env", strings.Join(s.env, " "))
	add("become", user)
	add("fanout", width)
	add("mask", masks)
	add("view", map[output.GroupView]string{output.Blocks: "full", output.Diffs: "diff", output.OneLine: "groups"}[s.view])
	add("log", log)
	return strings.TrimSuffix(ui.AlignTable(rows), "\n")
}
