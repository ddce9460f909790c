package filter_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"shoal/hosts/filter"
)

type host map[string]string

func (h host) Attr(name string) (string, bool) {
	value, there := h[name]
	return value, there
}

var example = host{"env": "prod", "az": "b", "empty": "", "n": "07", "quote": `a"b\c`, "has": "x", "os": "debian-12", "t": "a b"}

func TestMatch(t *testing.T) {
	for text, want := range map[string]bool{
		"env==prod":                        true,
		"env == 'prod'":                    true,
		"env==Prod":                        false,
		"env!=prod":                        false,
		"env==prod && az!=b":               false,
		"env==prod&&az!=c":                 true,
		"env==test || az==b":               true,
		"env==test || az==b && n==8":       false,
		"(env==prod || az==c) && n==07":    true,
		"n==7":                             false,
		"!env":                             false,
		"!gone":                            true,
		"!!env":                            true,
		"gone":                             false,
		"gone==''":                         false,
		"gone!=x":                          true,
		"gone=~''":                         false,
		"gone!~x":                          true,
		"empty":                            true,
		"empty==''":                        true,
		"has(env) && !has(gone)":           true,
		"has( env )":                       true,
		"has":                              true,
		"has==x":                           true,
		"has==x && env":                    true,
		"'has'(env)":                       false, // refused: see TestErrors
		"os=~^deb":                         true,
		"os=~'^(deb|ubu)'":                 true,
		"os=~12":                           true,
		"os!~12":                           false,
		`os=~'\d+$'`:                       true,
		`quote=='a"b\c'`:                   true,
		`quote=="a\"b\\c"`:                 true,
		"t=='a b'":                         true,
		"!(env==prod && az==b) || t=='x'":  false,
		"'env'==prod":                      true,
		"env==prod\t&&\taz==b":             true,
		"((((env))))":                      true,
		"gone!=x && gone!=y && !has(gone)": true,
	} {
		e, err := filter.Parse(text)
		if text == "'has'(env)" {
			if err == nil {
				t.Errorf("%s is accepted", text)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := e.Match(example); got != want {
			t.Errorf("%s is %v", text, got)
		}
	}
	if !(filter.Expr{}).Match(example) {
		t.Error("the zero Expr is false")
	}
}

func TestNames(t *testing.T) {
	e, err := filter.Parse("b==1 && (a || !has(c)) || b=~x")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"b", "a", "c"}, e.Names()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		text   string
		offset int
		reason string
		hint   string
	}{
		{"", 0, "no condition", "env==prod"},
		{"  ", 0, "no condition", "env==prod"},
		{"env=prod", 3, "a single =", "=="},
		{"a & b", 2, "a single &", "&&"},
		{"a | b", 2, "a single |", "||"},
		{"env==", 5, "the end is not expected here", "quote"},
		{"env==&&", 5, `"&&" is not expected here`, "quote"},
		{"==x", 0, `"==" is not expected here`, "env==prod"},
		{"a b", 2, `"b" is not expected here`, "&&"},
		{"(a", 2, "the end is not expected here", "close"},
		{"a)", 1, `")" is not expected here`, "&&"},
		{"has(a", 5, "the end is not expected here", "close"},
		{"has()", 4, `")" is not expected here`, "env==prod"},
		{"'has'(env)", 5, `"(" is not expected here`, "&&"},
		{"a=='x", 3, "a quote that is not closed", "end it with '"},
		{"a==\"x'", 3, "a quote that is not closed", "end it with \""},
		{"a=~'('", 3, "error parsing regexp: missing closing ): `(`", "RE2"},
		{"9==9", 0, `character '9' in the attribute name "9"`, "left"},
		{"a==\x01", 3, `character '\x01'`, "quote"},
		{"a==\xff", 3, "character '\ufffd'", "quote"},
		{strings.Repeat("(", 200) + "a", 100, "nested deeper than 100", ""},
		{strings.Repeat("!", 200) + "a", 100, "nested deeper than 100", ""},
		{strings.Repeat("a", filter.MaxBytes+1), filter.MaxBytes, "more than 16384 bytes", "shorten"},
	} {
		_, err := filter.Parse(c.text)
		var syntax *filter.SyntaxError
		if !errors.As(err, &syntax) || syntax.Offset != c.offset || syntax.Reason != c.reason || !strings.Contains(syntax.Hint(), c.hint) {
			t.Errorf("%.30q: %+v; want position %d, %s, …%s…", c.text, err, c.offset, c.reason, c.hint)
		}
	}
	if _, err := filter.Parse("a=b"); err == nil || err.Error() != "position 2: a single =" {
		t.Error(err)
	}
}

// TestLaws: an expression and its negation differ, and precedence is what
// parentheses say it is.
func TestLaws(t *testing.T) {
	condition := rapid.SampledFrom([]string{"env==prod", "az!=c", "gone", "has(n)", "os=~deb", "gone!~x", "n==1"})
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := condition.Draw(t, "a"), condition.Draw(t, "b"), condition.Draw(t, "c")
		value := func(text string) bool {
			e, err := filter.Parse(text)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			return e.Match(example)
		}
		if value(a) == value("!("+a+")") {
			t.Fatalf("%s and its negation are the same", a)
		}
		if value(a+" || "+b+" && "+c) != (value(a) || value(b) && value(c)) {
			t.Fatalf("%s || %s && %s", a, b, c)
		}
		if value("("+a+" || "+b+") && "+c) != ((value(a) || value(b)) && value(c)) {
			t.Fatalf("(%s || %s) && %s", a, b, c)
		}
		if value("!("+a+"&&"+b+")") != value("!("+a+")||!("+b+")") {
			t.Fatalf("De Morgan: %s, %s", a, b)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"env==prod && az!=b", "!(has(x) || y=~'^a|b') && z!~c", `a=="\"" || 'b'`, "has", "((", "a==\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := filter.Parse(text)
		if err != nil {
			var syntax *filter.SyntaxError
			if !errors.As(err, &syntax) || syntax.Offset < 0 || syntax.Offset > len(text) || syntax.Reason == "" {
				t.Errorf("%q: %+v", text, err)
			}
			return
		}
		if negated, err := filter.Parse("!(" + text + ")"); err == nil && negated.Match(example) == e.Match(example) {
			t.Errorf("%q and its negation are the same", text)
		}
		if len(e.Names()) == 0 {
			t.Errorf("%q asks for nothing", text)
		}
	})
}
