package expr

import (
	"slices"
	"strings"
	"testing"
)

func TestIdle(t *testing.T) {
	for text, want := range map[string]string{
		"a,b":             "",
		"a!b":             "b",
		"a[1-3]!a[3-5]":   "",
		"a[1-3]!a[4-5],b": "a[4-5]",
		"a!b!a!c":         "b c",
		"@g":              "",
		"@g!@other":       "", // of groups one need not know what is in them
		"@g!h9":           "h9",
		"a1,b!A1":         "", // in another case it is left out
		"h*,x*":           "x*",
		"@g&x*":           "x*",
		"h*!x*":           "x*",
	} {
		e, err := NewResolver(fixed{"g": "h1,h2,q!z", "other": "o", "*": "h1,h2,q"}).Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := strings.Join(e.Idle(), " "); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestOwn(t *testing.T) {
	e, err := NewResolver(fixed{"g": "h1,h2", "*": "h1,h2"}).Parse("@g,a[1-2],h*!a2")
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Collect(e.Own()); !slices.Equal(got, []string{"a1", "a2", "a2"}) {
		t.Errorf("%q", got)
	}
}

// fixed are groups by their names; "*" is all hosts.
type fixed map[string]string

func (f fixed) Group(_, name string) (string, error) { return f[name], nil }
func (f fixed) Names(string) ([]string, error)       { return nil, nil }
func (f fixed) All(string) (string, error)           { return f["*"], nil }
