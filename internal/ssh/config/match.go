package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"shoal/internal/ssh/match"
)

// match reports whether a Match line applies.
func (e *evaluation) match(n *node, never bool) (bool, error) {
	if never {
		return false, nil
	}
	for i := range n.criteria {
		c := &n.criteria[i]
		fits, err := e.fits(c)
		if err != nil {
			return false, err
		}
		if fits == c.negated {
			return false, nil
		}
	}
	return true, nil
}

func (e *evaluation) fits(c *criterion) (bool, error) {
	switch c.kind {
	case "all":
		return true, nil
	case "canonical", "final":
		return e.final, nil
	case "host":
		host, err := e.currentHost()
		return err == nil && c.patterns.match(match.Lower(host)), err
	case "originalhost":
		return c.patterns.match(match.Lower(e.original)), nil
	case "user":
		return c.patterns.match(e.user()), nil
	case "localuser":
		return c.patterns.match(e.config.local.User), nil
	case "tagged":
		return e.text(opTag) == c.arg || c.patterns.match(e.text(opTag)), nil
	case "sessiontype":
		return c.patterns.match("exec"), nil
	case "command":
		return c.patterns.match(e.options.Command), nil
	case "localnetwork":
		return e.inNetwork(c.networks)
	}
	command, err := e.execCommand(c.arg)
	if err != nil {
		return false, err
	}
	return e.runExec(command)
}

func (e *evaluation) runExec(command string) (bool, error) {
	ok, err := e.config.exec.do(e.ctx, command)
	if err != nil {
		return false, fmt.Errorf("exec %.200q: %w", command, err)
	}
	return ok, nil
}

// text returns a value, or "" if it is not set.
func (e *evaluation) text(o op) string {
	if s := e.values.first[o]; s != nil {
		return s.text
	}
	return ""
}

func (e *evaluation) user() string {
	if s := e.values.first[opUser]; s != nil {
		return s.text
	}
	return e.config.local.User
}

// currentHost returns the host name as known so far in this pass.
func (e *evaluation) currentHost() (string, error) {
	s := e.values.first[opHostName]
	if e.final || s == nil {
		return e.host, nil
	}
	return (&tokens{host: e.host}).expand(s.text, tokensHost, nil)
}

func (e *evaluation) inNetwork(networks []netip.Prefix) (bool, error) {
	addrs, err := e.config.local.Addresses()
	if err != nil {
		return false, fmt.Errorf("listing this machine's addresses: %w", err)
	}
	for _, a := range addrs {
		if slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) }) {
			return true, nil
		}
	}
	return false, nil
}

// execCommand returns the shell command of a Match exec. Names with characters that are special
// to a shell are refused.
func (e *evaluation) execCommand(arg string) (string, error) {
	host, err := e.currentHost()
	if err != nil {
		return "", err
	}
	t := e.tokens(host)
	if t.remote, err = e.expandUser(t); err != nil {
		return "", err
	}
	if e.values.first[opHostKeyAlias] == nil {
		t.alias = host
	}
	names := []string{host, t.alias}
	if t.jump != "" {
		names = append(names, t.jump)
	}
	for _, name := range names {
		if err := ValidHostName(name); err != nil {
			return "", err
		}
	}
	if err := ValidUser(t.remote); err != nil {
		return "", err
	}
	if err := t.checkRemote(arg); err != nil {
		return "", err
	}
	return t.expand(arg, tokensCommon, nil)
}

// tokens returns the token values that follow from the values so far.
func (e *evaluation) tokens(host string) *tokens {
	local := e.config.local
	t := &tokens{
		thisHost: local.Hostname, home: local.Home, uid: local.uid(), user: local.User,
		host: host, original: e.original, alias: e.original, port: "22", remote: e.user(),
	}
	if s := e.values.first[opPort]; s != nil {
		t.port = strconv.FormatInt(s.num, 10)
	}
	if s := e.values.first[opHostKeyAlias]; s != nil {
		t.alias = s.text
	}
	if jumps := e.values.jumps(); len(jumps) > 0 {
		t.jump = jumps[len(jumps)-1].Host
	}
	return t
}

// expandUser expands the tokens in the user name, as OpenSSH does since 10.
func (e *evaluation) expandUser(t *tokens) (string, error) {
	s := e.values.first[opUser]
	if s == nil {
		return e.config.local.User, nil
	}
	if s.value == (literal{}) {
		return s.text, nil
	}
	return t.expand(e.user(), tokensUser, e.config.local.Getenv)
}
