package expr_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"shoal/hosts/expr"
)

// mapGroups are groups by source and name; "*" is all hosts. The source
// "default" is the one without a name.
type mapGroups map[string]map[string]string

var errNoSuchGroup = errors.New("there is no such group")

func (m mapGroups) source(name string) map[string]string {
	if name == "default" {
		name = ""
	}
	return m[name]
}

func (m mapGroups) Group(source, name string) (string, error) {
	text, ok := m.source(source)[name]
	if !ok {
		return "", errNoSuchGroup
	}
	return text, nil
}

func (m mapGroups) Names(source string) ([]string, error) {
	if m.source(source) == nil {
		return nil, errors.New("there is no such source")
	}
	names := slices.Collect(maps.Keys(m.source(source)))
	return slices.DeleteFunc(names, func(name string) bool { return name == "*" }), nil
}

func (m mapGroups) All(source string) (string, error) {
	if text, ok := m.source(source)["*"]; ok {
		return text, nil
	}
	return "", errors.ErrUnsupported
}

func TestGroups(t *testing.T) {
	groups := mapGroups{
		"": {
			"web": "web[3-4],web1", "db": "db1,@site:core,@web!web3", "none": " ", "r1": "a", "r2": "b", "r01": "", "r02": "c",
			"*": "z,web[1-12],n1r[1-2],u@x:22,ü1",
		},
		"site": {"core": "sw[1-2]", "all": "@core,@edge", "edge": "e1", "web": "other"},
	}
	for _, c := range []struct{ expr, want string }{
		{"@web", "web3 web4 web1"},
		{"b,@web,a", "b web3 web4 web1 a"},
		{"@db", "db1 sw1 sw2 web4 web1"},
		{"@site:all", "sw1 sw2 e1"},
		{"@default:r1", "a"},
		{"@none", ""},
		{"a,@none", "a"},
		{"a&@none", ""},
		{"@none,a!@none", "a"},
		{"@r[1-2]", "a b"},
		{"@r[01-02]", "c"},
		{"web[1-9]&@web", "web1 web3 web4"},
		{"@web!web1,@web", "web3 web4 web1"},
		{"@*", "z web1 web2 web3 web4 web5 web6 web7 web8 web9 web10 web11 web12 n1r1 n1r2 u@x:22 ü1"},
		{"@site:*", "sw1 sw2 e1 other"},
		{"@@site", "all core edge web"},
		{"@@", "db none r1 r01 r2 r02 web"},
		{"web?", "web1 web2 web3 web4 web5 web6 web7 web8 web9"},
		{"web??,z", "web10 web11 web12 z"},
		{"*[1-2]", "web1 web2 web11 web12 n1r1 n1r2 u@x:22 ü1"},
		{"n[1-9]*[2]", "n1r2"},
		{"?", "z"},
		{"?1", "ü1"},
		{"u@*", "u@x:22"},
		{"*!web*", "z n1r1 n1r2 u@x:22 ü1"},
		{"web[01-03]*", ""},
		{"nothing*", ""},
		{"z*z", ""},
	} {
		resolver := expr.NewResolver(groups)
		e, err := resolver.Parse(c.expr)
		if err != nil {
			t.Errorf("%s: %v", c.expr, err)
			continue
		}
		got := strings.Join(slices.Collect(e.Names()), " ")
		if got != c.want || e.Len() != len(strings.Fields(c.want)) {
			t.Errorf("%s: %d names %q, want %q", c.expr, e.Len(), got, c.want)
		}
		checkSet(t, e)
	}
}

func TestSourceOfResolver(t *testing.T) {
	resolver := expr.NewResolver(mapGroups{"": {"g": "a"}, "s": {"g": "b", "*": "b,c"}})
	resolver.Source = "s"
	for text, want := range map[string]string{"@g": "b", "@default:g": "a", "@*": "b,c", "c*": "c"} {
		if e, err := resolver.Parse(text); err != nil || e.Set().Fold() != want {
			t.Errorf("%s = %s, %v; want %s", text, e.Set(), err, want)
		}
	}
}

// hintedError is an error of a group source that knows what to do.
type hintedError struct{ error }

func (hintedError) Hint() string { return "ask the owner" }

// brokenGroups fail in all ways.
type brokenGroups struct{ err error }

func (b brokenGroups) Group(string, string) (string, error) { return "", b.err }
func (b brokenGroups) Names(string) ([]string, error)       { return nil, b.err }
func (b brokenGroups) All(string) (string, error)           { return "", b.err }

func TestGroupErrors(t *testing.T) {
	groups := mapGroups{"": {
		"bad": "a,n[3-1]", "outer": "x,@bad", "a": "@b", "b": "n1,@c", "c": "@a", "self": "@self", "many": "n[1-9999999]",
	}, "loop": {"*": "n*"}, "names": {"g[1-": "a"}}
	for _, c := range []struct {
		expr   string
		offset int
		reason string // a part of it
		hint   string
	}{
		{"x, @nope", 3, `group "@nope": there is no such group`, "check the name"},
		{"@nope:g", 0, `group "@nope:g": there is no such group`, "check the name"},
		{"@bad", 0, `group "@bad": host expression "a,n[3-1]": position 5: range starts at 3, after its end 1`, "write 1-3"},
		{"y,@outer", 2, `group "@outer": host expression "x,@bad": position 3: group "@bad": host`, "write 1-3"},
		{"@self", 0, "@self contains itself: @self → @self", "definition"},
		{"@b", 0, "@b contains itself: @b → @c → @a → @b", "definition"},
		{"@loop:*", 0, "@loop:* contains itself: @loop:* → @loop:*", "definition"},
		{"@many,@many", 6, "stands for more than 10000000 names", "split"},
		{"@many,n1,n[1-3]", 9, "stands for more than 10000000 names", "split"},
		{"@g[1-100001]", 0, "more than 100000 groups are named", "digit"},
		{"@@names", 0, `group "@@names": reading the name of a group: host expression "g[1-"`, "close it"},
		{"@@nope", 0, `group "@@nope": listing groups: there is no such source`, "check"},
		{"@nope:*", 0, `group "@nope:*": listing groups: there is no such source`, "check"},
	} {
		e, err := expr.NewResolver(groups).Parse(c.expr)
		var syntax *expr.SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%s = %s, %v; want a SyntaxError", c.expr, e.Set(), err)
			continue
		}
		if syntax.Expr != c.expr || syntax.Offset != c.offset || !strings.Contains(syntax.Reason, c.reason) ||
			!strings.Contains(syntax.Hint(), c.hint) {
			t.Errorf("%s: offset %d, reason %q, hint %q; want %d, …%q…, …%q…",
				c.expr, syntax.Offset, syntax.Reason, syntax.Hint(), c.offset, c.reason, c.hint)
		}
	}
	if _, err := expr.NewResolver(groups).Parse("@nope"); !errors.Is(err, errNoSuchGroup) {
		t.Errorf("%v does not wrap what the source said", err)
	}
}

func TestErrorsOfTheSource(t *testing.T) {
	broken := brokenGroups{hintedError{errors.New("out of order")}}
	for _, text := range []string{"@g", "@*", "n*", "@@"} {
		_, err := expr.NewResolver(broken).Parse(text)
		var syntax *expr.SyntaxError
		if !errors.As(err, &syntax) || !errors.Is(err, broken.err) || syntax.Hint() != "ask the owner" {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := expr.NewResolver(broken).All("s"); !errors.Is(err, broken.err) {
		t.Errorf("All: %v", err)
	}
	if _, err := expr.NewResolver(broken).GroupNames(""); !errors.Is(err, broken.err) {
		t.Errorf("GroupNames: %v", err)
	}
	if _, err := expr.NewResolver(nil).GroupNames(""); !errors.Is(err, expr.ErrNoGroups) {
		t.Errorf("GroupNames without groups: %v", err)
	}
}

// nested are groups g0, g1, …, each naming the next one several times.
type nested struct {
	brokenGroups
	depth, times int
	asked        *int
}

func (n nested) Group(_, name string) (string, error) {
	*n.asked++
	var i int
	if _, err := fmt.Sscanf(name, "g%d", &i); err != nil {
		return "", err
	}
	if i == n.depth {
		return "", nil
	}
	next := fmt.Sprintf("@g%d", i+1)
	return strings.Repeat(next+",", n.times-1) + next, nil
}

func TestGroupsAreBounded(t *testing.T) {
	asked := 0
	e, err := expr.NewResolver(nested{depth: expr.MaxGroupDepth - 1, times: 20, asked: &asked}).Parse("@g0")
	if err != nil || e.Len() != 0 || asked != expr.MaxGroupDepth {
		t.Errorf("%d names, %v; asked %d times", e.Len(), err, asked)
	}
	_, err = expr.NewResolver(nested{depth: expr.MaxGroupDepth, times: 1, asked: &asked}).Parse("@g0")
	if err == nil || !strings.Contains(err.Error(), "more than 32 groups inside each other: @g0 → @g1 → ") {
		t.Errorf("too deep: %v", err)
	}
	half := strings.Repeat(" ", expr.MaxGroupBytes/2) + "n"
	large := mapGroups{"": {"a": half, "b": half}}
	_, err = expr.NewResolver(large).Parse("@a,@b")
	if err == nil || !strings.Contains(err.Error(), "definitions of more than 67108864 bytes") {
		t.Errorf("too large: %v", err)
	}
}

func TestGroupIsAskedForOnce(t *testing.T) {
	asked := 0
	resolver := expr.NewResolver(nested{depth: 0, times: 1, asked: &asked})
	for range 3 {
		if _, err := resolver.Parse("@g0,a,@g0"); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}
