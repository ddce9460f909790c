package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"shoal/internal/ssh/match"
)

// A criterion is a condition of a Match line.
type criterion struct {
	kind     string // in lower case
	negated  bool
	arg      string
	patterns patterns       // of arg; for host and originalhost in lower case
	networks []netip.Prefix // of localnetwork
}

// The criteria that take an argument.
var criteriaWithArgument = []string{
	"host", "originalhost", "user", "localuser", "exec", "tagged", "localnetwork", "sessiontype", "command",
}

func readMatch(l *line) error {
	if l.file == nil {
		return errNotOnCommandLine
	}
	l.node.kind = nodeMatch
	for len(l.args) > 0 {
		if err := l.readCriterion(); err != nil {
			return err
		}
	}
	if len(l.node.criteria) == 0 {
		return errors.New("no criteria")
	}
	return nil
}

// readCriterion reads a criterion and its argument, written "kind arg", "kind=arg" or with
// blanks around the '='.
func (l *line) readCriterion() error {
	word, _ := l.next()
	kind, arg, joined := strings.Cut(word, "=")
	kind, negated := strings.CutPrefix(match.Lower(kind), "!")
	c := criterion{kind: kind, negated: negated}
	switch kind {
	case "all":
		// "canonical all" and "final all" are common (readconf.c).
		if len(l.node.criteria) > 1 || joined || len(l.args) > 0 {
			return errors.New(`"all" cannot be combined with other criteria`)
		}
		l.node.criteria = append(l.node.criteria, c)
		return nil
	case "canonical", "final":
		l.loader.wantFinal = l.loader.wantFinal || kind == "final"
		l.node.criteria = append(l.node.criteria, c)
		return nil
	}
	if !slices.Contains(criteriaWithArgument, kind) {
		return fmt.Errorf("unsupported criterion %.80q", kind)
	}
	if !joined || arg == "" {
		arg = l.criterionArgument(joined)
	}
	if arg == "" && kind != "tagged" {
		return fmt.Errorf("missing argument for %s", kind)
	}
	c.arg, c.patterns = arg, parsePatterns(arg)
	if kind == "host" || kind == "originalhost" || kind == "sessiontype" {
		c.patterns = parsePatterns(match.Lower(arg))
	}
	if kind == "exec" {
		// ssh checks the tokens even if the command is not run.
		if _, err := (&tokens{}).expand(arg, tokensCommon, nil); err != nil {
			return err
		}
	}
	if kind == "localnetwork" {
		var err error
		if c.networks, err = parseNetworks(arg); err != nil {
			return err
		}
	}
	l.node.criteria = append(l.node.criteria, c)
	return nil
}

func (l *line) criterionArgument(joined bool) string {
	arg, _ := l.next()
	if rest, ok := strings.CutPrefix(arg, "="); ok && !joined {
		if rest != "" {
			return rest
		}
		arg, _ = l.next()
	}
	return arg
}

func parseNetworks(list string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for part := range strings.SplitSeq(list, ",") {
		p, err := netip.ParsePrefix(part)
		if addr, addrErr := netip.ParseAddr(part); addrErr == nil {
			p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil || p != p.Masked() {
			return nil, fmt.Errorf("bad network %.80q", part)
		}
		networks = append(networks, p)
	}
	return networks, nil
}
