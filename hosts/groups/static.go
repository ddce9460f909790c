package groups

import (
	"strings"

	"shoal/hosts/expr"
	"shoal/hosts/internal/problem"
)

// Static answers from groups that are known already: of a host file, or of an
// Ansible inventory. Its methods are those of [Resolver]; the only source is Name.
type Static struct {
	// Name is that of the source.
	Name string
	// Groups lists the names of the groups.
	Groups []string
	// Members gives the hosts of a group; all must be known as "all".
	Members func(group string) (hosts []string, there bool)
}

func (s *Static) check(source string) error {
	if source != "" && source != s.Name {
		return problem.Faultf("known is "+s.Name, "no source of groups is called %q", problem.Bounded(source))
	}
	return nil
}

// Group returns the folded hosts of a group. A host whose name means something else in an
// expression, such as a*, is an error: it would stand for other hosts.
func (s *Static) Group(source, name string) (string, error) {
	if err := s.check(source); err != nil {
		return "", err
	}
	hosts, there := s.Members(name)
	if !there {
		return "", noGroup(s.Name, name, s.Groups)
	}
	set := expr.SetOf(hosts)
	text := set.Fold()
	if e, err := expr.Parse(text); set.Len() > 0 && (err != nil || !e.Set().Equal(set)) {
		return "", misread(name, hosts)
	}
	return text, nil
}

// misread returns the error for a group that no expression can stand for.
func misread(group string, hosts []string) error {
	for _, name := range hosts {
		if e, err := expr.Parse(name); name != "" && (err != nil || e.Len() != 1 || !e.Set().Contains(name)) {
			return problem.Faultf("give it another name", "the host %q of group %q cannot be named in an expression", problem.Bounded(name), problem.Bounded(group))
		}
	}
	return problem.Faultf("name its hosts otherwise", "group %q cannot be written as an expression", problem.Bounded(group))
}

// Names lists the groups.
func (s *Static) Names(source string) ([]string, error) { return s.Groups, s.check(source) }

// All returns all hosts, folded.
func (s *Static) All(source string) (string, error) { return s.Group(source, "all") }

// Answerer is what [Chain] asks: a [Resolver] or a [Static].
type Answerer interface {
	Group(source, name string) (expression string, err error)
	Names(source string) ([]string, error)
	All(source string) (expression string, err error)
}

// Chain asks First where a source is named First's, or where none is named and
// First has the group; otherwise it asks Then. So the groups of an inventory that
// somebody names stand before those of the machine's configuration.
type Chain struct {
	First *Static
	Then  Answerer
}

// Group asks as [Chain] says.
func (c Chain) Group(source, name string) (string, error) {
	if source == c.First.Name {
		return c.First.Group(source, name)
	}
	if source == "" {
		if _, there := c.First.Members(name); there {
			return c.First.Group(source, name)
		}
	}
	text, err := c.Then.Group(source, name)
	if err != nil && source == "" && len(c.First.Groups) > 0 {
		return "", noGroup(c.First.Name+" ("+strings.TrimSpace(err.Error())+")", name, c.First.Groups)
	}
	return text, err
}

// Names lists First's groups where no source is named.
func (c Chain) Names(source string) ([]string, error) {
	if source == "" || source == c.First.Name {
		return c.First.Names(source)
	}
	return c.Then.Names(source)
}

// All returns First's hosts where no source is named.
func (c Chain) All(source string) (string, error) {
	if source == "" || source == c.First.Name {
		return c.First.All(source)
	}
	return c.Then.All(source)
}
